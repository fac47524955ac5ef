"""The proof of the whole training: its losses beside the reference's own, on the same batches.

    python -m common.training cifar10_cnn --profile quick --masks 4

makes the reference's losses of the first steps of a training and keeps them in
training_losses.json, for the data that lie in data/. Without dropout they are what every correct
program must follow; with dropout each of several sets of masks gives a curve, and a correct program
stays as near to their mean as another set of masks would.
"""

import argparse
import hashlib
import io
import json
import os
from collections import OrderedDict

import numpy as np

from . import data, expected, reference, weights
from .tasks import PROFILES, TASKS

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "training_losses.json")
STEPS, WINDOW = 200, 50
# Of data or a seed that the file does not hold, so much is computed on the spot, and kept.
STEPS_ON_THE_SPOT, MASKS_ON_THE_SPOT = 10, 2

# Without dropout: how far the loss of a step may part from the reference's, relative, by the number
# of the step: float32 drifts from float64. In between, the logarithm is interpolated.
DRIFT_STEPS = (1, 10, 20, 40, 60, 100)
DRIFT_LIMITS = (1e-5, 1e-5, 1e-4, 3e-3, 3e-2, 1e-1)
# After them programs go ways of their own; the mean over a window may part so far, relative.
DRIFT_MEAN = 0.15

# With dropout: the standard deviation between sets of masks, of the first loss and of the means of
# the windows, as the reference's sets and the recorded runs show it. A correct program is seven of
# them away once in 400 billion runs.
FIRST_DEVIATION, WINDOW_DEVIATIONS = 0.011, (0.0025, 0.010, 0.026, 0.026)
# Of the mean of the first steps, fewer than a window.
FEW_STEPS_DEVIATION = 0.005
DEVIATIONS = 7.0


def data_digest(x, y):
    """Return a hash of the training examples, as data.load returns them."""
    digest = hashlib.sha256()
    for array in (x, y):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def _key(task, profile, seed, dialect, digest):
    # The losses depend on the dialect only through the switches that are not in the base form.
    base = reference.full_dialect(task)
    forms = {switch: form for switch, form in dialect.items() if form != base[switch]}
    return OrderedDict(
        [("task", task), ("profile", profile), ("seed", seed), ("dialect", forms), ("data", digest)]
    )


def _entries():
    if not os.path.exists(FILE):
        return []
    with io.open(FILE, encoding="utf-8") as file:
        return json.load(file)


def _compute(task, profile, seed, dialect, steps, masks):
    """Return the losses of the reference, float64 [masks, steps], on the data in data/."""
    work, batch_size = TASKS[task].profiles[profile], TASKS[task].batch_size
    seen = work.steps and work.steps * work.epochs * batch_size
    x, y = data.load(TASKS[task].dataset, "train", seen, seed)
    batches, found = data.Batches(batch_size, seed, work.steps), []
    for epoch in range(work.epochs):
        if len(found) < steps:
            found.extend(batches(x, y, epoch))
    found = found[:steps]
    if "dropout" not in TASKS[task].hyper_parameters:
        start = expected.in_float64(weights.initial_weights(task, seed))
        return np.array([reference.train(task, start, found, dialect)[0]])
    # The masks make a thousand times more difference than float32 does.
    found = [(data.cifar10_pictures(pictures, "channels_first"), y) for pictures, y in found]
    start = weights.initial_weights(task, seed)
    randoms = [np.random.RandomState(1000 + number) for number in range(masks)]
    return np.array([reference.train(task, start, found, dialect, each)[0] for each in randoms])


def expected_losses(task, profile, seed, dialect, digest):
    """Return the losses of the reference, float64 [masks, steps]: kept ones, or the first few."""
    key = _key(task, profile, seed, dialect, digest)
    for entry in _entries():
        if all(entry[name] == value for name, value in key.items()):
            return np.array(entry["losses"])

    def compute():
        work = TASKS[task].profiles[profile]
        steps = min(STEPS_ON_THE_SPOT, work.steps * work.epochs if work.steps else STEPS)
        return {"losses": _compute(task, profile, seed, dialect, steps, MASKS_ON_THE_SPOT)}

    return expected.kept((task, "training", repr(sorted(key.items()))), compute)["losses"]


def _windows(steps):
    """Return the windows (first, last) whose means are compared, of so many steps."""
    if steps < WINDOW:
        return [(0, steps)]
    return [(start, start + WINDOW) for start in range(0, steps - WINDOW + 1, WINDOW)]


def distances(losses, wanted):
    """Return {what: distance over its limit} of a training from the reference.

    losses: of the steps of the training, at least as many as the reference's; wanted [masks, steps]
    of the reference, one row where there is no dropout.
    """
    steps = wanted.shape[1]
    losses, found = np.asarray(losses[:steps], np.float64), OrderedDict()
    if len(wanted) == 1:
        drift = min(steps, DRIFT_STEPS[-1])
        limits = np.exp(np.interp(np.arange(1, drift + 1), DRIFT_STEPS, np.log(DRIFT_LIMITS)))
        ratios = np.abs(losses[:drift] / wanted[0, :drift] - 1) / limits
        worst = int(np.argmax(np.where(np.isnan(ratios), np.inf, ratios)))
        found["step %d" % (worst + 1)] = ratios[worst]
        for start, stop in _windows(steps):
            if start >= drift:
                mean = wanted[0, start:stop].mean()
                off = abs(losses[start:stop].mean() / mean - 1)
                found["mean of steps %d to %d" % (start + 1, stop)] = off / DRIFT_MEAN
        return found
    # The mean over the sets of masks is itself uncertain.
    limit = DEVIATIONS * np.sqrt(1 + 1.0 / len(wanted))
    found["step 1"] = abs(losses[0] - wanted[:, 0].mean()) / (limit * FIRST_DEVIATION)
    for index, (start, stop) in enumerate(_windows(steps)):
        off = abs(losses[start:stop].mean() - wanted[:, start:stop].mean())
        deviation = FEW_STEPS_DEVIATION if steps < WINDOW else WINDOW_DEVIATIONS[index]
        found["mean of steps %d to %d" % (start + 1, stop)] = off / (limit * deviation)
    return found


def main():
    """Make the losses of one training and keep them in FILE."""
    parser = argparse.ArgumentParser(prog="python -m common.training", description=main.__doc__)
    parser.add_argument("task", choices=[name for name in TASKS if TASKS[name].hyper_parameters])
    parser.add_argument("--profile", choices=PROFILES, default="quick")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--masks", type=int, default=4, help="sets of dropout masks")
    parser.add_argument("--dialect", action="append", default=[], metavar="SWITCH=FORM")
    chosen = parser.parse_args()
    dialect = reference.full_dialect(chosen.task, dict(each.split("=") for each in chosen.dialect))
    task, work = TASKS[chosen.task], TASKS[chosen.task].profiles[chosen.profile]
    seen = work.steps and work.steps * work.epochs * task.batch_size
    digest = data_digest(*data.load(task.dataset, "train", seen, chosen.seed))
    steps = min(STEPS, work.steps * work.epochs if work.steps else STEPS)
    losses = _compute(chosen.task, chosen.profile, chosen.seed, dialect, steps, chosen.masks)
    key = _key(chosen.task, chosen.profile, chosen.seed, dialect, digest)
    entry = OrderedDict(key, kind=data.find(task.dataset)[1])
    # Enough digits for the limits of the first steps.
    entry["losses"] = [[round(float(loss), 8) for loss in row] for row in losses]
    others = [
        each for each in _entries() if any(each[name] != value for name, value in key.items())
    ]
    entries = sorted(others + [entry], key=lambda each: json.dumps(each, sort_keys=True))
    text = ",\n".join(json.dumps(each) for each in entries)
    with io.open(FILE, "w", encoding="utf-8") as file:
        file.write("[\n%s\n]\n" % text)


if __name__ == "__main__":
    main()
