"""Make what the reference says of one training, and keep it in training_losses.json.

    python -m common.training_losses cifar10_cnn --profile quick --masks 4

computes the reference's losses of the first steps, for the data that lie in data/.
"""

import argparse
import io
import json
from collections import OrderedDict

from . import data, reference, training
from .tasks import PROFILES, TASKS


def main():
    """Make the losses of one training and keep them in training_losses.json."""
    parser = argparse.ArgumentParser(
        prog="python -m common.training_losses", description=main.__doc__
    )
    parser.add_argument("task", choices=[name for name in TASKS if TASKS[name].hyper_parameters])
    parser.add_argument("--profile", choices=PROFILES, default="quick")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--masks", type=int, default=4, help="sets of dropout masks")
    parser.add_argument("--dialect", action="append", default=[], metavar="SWITCH=FORM")
    chosen = parser.parse_args()
    task, profile, seed = chosen.task, chosen.profile, chosen.seed
    dialect = reference.full_dialect(task, dict(each.split("=") for each in chosen.dialect))
    key = training.key_of(
        task,
        profile,
        seed,
        dialect,
        training.data_digest(*training.training_data(task, profile, seed)),
    )
    steps = min(training.STEPS, training.whole(task, profile) or training.STEPS)
    made = training.compute_training(task, profile, seed, dialect, steps, chosen.masks)
    entry = OrderedDict(key, kind=data.find(TASKS[task].dataset)[1])
    for name, rows in made.items():
        # Enough digits for the limits of the first steps.
        entry[name] = [[round(float(number), 8) for number in row] for row in rows]
    others = [
        each
        for each in training.entries()
        if any(each[name] != value for name, value in key.items())
    ]
    entries = sorted(others + [entry], key=lambda each: json.dumps(each, sort_keys=True))
    text = ",\n".join(json.dumps(each) for each in entries)
    with io.open(training.FILE, "w", encoding="utf-8") as file:
        file.write("[\n%s\n]\n" % text)


if __name__ == "__main__":
    main()
