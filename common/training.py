"""The proof of the whole training: its losses beside the reference's own, on the same batches.

Without dropout every correct program must follow the reference's losses; with dropout each of
several sets of masks gives the reference a curve, and a correct program stays as near to their mean
as another set of masks would.

A batch that is trained twice or left out changes the first losses by less than the masks do. It
shows in the last bias: while the classes are equally likely, each step moves it by the labels of
its batch, whatever the masks.
"""

import hashlib
import io
import json
import os
from collections import OrderedDict

import numpy as np

from . import data, expected, reference, weights
from .tasks import TASKS

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "training_losses.json")
RESULTS = ("losses", "last_bias")
STEPS, WINDOW = 200, 50
# Of data or a seed that the file does not hold, so much is computed on the spot, and kept.
STEPS_ON_THE_SPOT, MASKS_ON_THE_SPOT = 10, 2

# Without dropout: how far the loss of a step may part from the reference's, relative, by the number
# of the step: float32 drifts from float64. In between, the logarithm is interpolated.
DRIFT_STEPS = (1, 20, 30, 40, 60, 100)
DRIFT_LIMITS = (1e-5, 1e-5, 3e-5, 3e-3, 5e-2, 1e-1)
# After them programs go ways of their own; the mean over a window may part so far, relative.
DRIFT_MEAN = 0.15

# With dropout: the standard deviation between sets of masks, of the first loss and of the means of
# the windows, as the reference's sets and the recorded runs show it. Were they normally
# distributed, a correct program would be seven of them away once in 400 billion runs; their tails
# are heavier, as a training may fall back to chance and recover: one that did stayed within.
FIRST_DEVIATION, WINDOW_DEVIATIONS = 0.018, (0.0025, 0.010, 0.026, 0.026)
# Of the mean of the first steps, fewer than a window.
FEW_STEPS_DEVIATION = 0.009
DEVIATIONS = 7.0
LAST_BIAS = "fc2.bias"
# How far its change after a whole training may part from the reference's mean, relative, by norm:
# after a few steps, and after STEPS.
LAST_BIAS_LIMITS = {"few": 0.3, "many": 0.6}


def data_digest(x, y):
    """Return a hash of the training examples, as data.load returns them."""
    digest = hashlib.sha256()
    for array in (x, y):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def key_of(task, profile, seed, dialect, digest):
    """Return what a kept training is found by."""
    # The losses depend on the dialect only through the switches that are not in the base form.
    base = reference.full_dialect(task)
    forms = {switch: form for switch, form in dialect.items() if form != base[switch]}
    return OrderedDict(
        [("task", task), ("profile", profile), ("seed", seed), ("dialect", forms), ("data", digest)]
    )


def entries():
    """Return the trainings that FILE keeps."""
    if not os.path.exists(FILE):
        return []
    with io.open(FILE, encoding="utf-8") as file:
        return json.load(file)


def whole(task, profile):
    """Return the number of steps of a training, or None for passes over all of the data."""
    work = TASKS[task].profiles[profile]
    return work.steps and work.steps * work.epochs


def training_data(task, profile, seed):
    """Return (x, y) of the training examples that a profile sees, as they lie on disk."""
    steps = whole(task, profile)
    return data.load(TASKS[task].dataset, "train", steps and steps * TASKS[task].batch_size, seed)


def compute_training(task, profile, seed, dialect, steps, masks):
    """Return what the reference makes of the first steps on the data in data/.

    losses: float64 [masks, steps]; last_bias [masks, classes]: with dropout, its change, if these
    are all steps of the profile.
    """
    work, (x, y) = TASKS[task].profiles[profile], training_data(task, profile, seed)
    batches, found = data.Batches(TASKS[task].batch_size, seed, work.steps), []
    for epoch in range(work.epochs):
        if len(found) < steps:
            found.extend(batches(x, y, epoch))
    found, start = found[:steps], weights.initial_weights(task, seed)
    if "dropout" not in TASKS[task].hyper_parameters:
        losses, _ = reference.train(task, expected.in_float64(start), found, dialect)
        return {"losses": np.array([losses])}
    # The masks make a thousand times more difference than float32 does.
    found = [(data.cifar10_pictures(pictures, "channels_first"), y) for pictures, y in found]
    randoms = [np.random.RandomState(1000 + number) for number in range(masks)]
    runs = [reference.train(task, start, found, dialect, each) for each in randoms]
    made = {"losses": np.array([losses for losses, _ in runs])}
    if steps == whole(task, profile):
        made["last_bias"] = np.array([after[LAST_BIAS] - start[LAST_BIAS] for _, after in runs])
    return made


def of_reference(task, profile, seed, dialect, digest):
    """Return what the reference makes of a training: what is kept of it, or of its first steps.

    {"losses": float64 [masks, steps]}, and with dropout, where it is known, {"last_bias":
    [masks, classes]}.
    """
    key = key_of(task, profile, seed, dialect, digest)
    for entry in entries():
        if all(entry[name] == value for name, value in key.items()):
            return {name: np.array(entry[name]) for name in RESULTS if name in entry}

    def compute():
        steps = min(STEPS_ON_THE_SPOT, whole(task, profile) or STEPS)
        return compute_training(task, profile, seed, dialect, steps, MASKS_ON_THE_SPOT)

    return expected.kept((task, "training", repr(sorted(key.items()))), compute)


def _windows(steps):
    """Return the windows (first, last) whose means are compared, of so many steps."""
    if steps < WINDOW:
        return [(0, steps)]
    return [(start, start + WINDOW) for start in range(0, steps - WINDOW + 1, WINDOW)]


def _without_nan(distances):
    """Return the distances as numbers that compare: what is not a number is infinitely far off."""
    return OrderedDict(
        (name, float("inf") if np.isnan(value) else float(value))
        for name, value in distances.items()
    )


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
        return _without_nan(found)
    # The mean over the sets of masks is itself uncertain.
    limit = DEVIATIONS * np.sqrt(1 + 1.0 / len(wanted))
    found["step 1"] = abs(losses[0] - wanted[:, 0].mean()) / (limit * FIRST_DEVIATION)
    for index, (start, stop) in enumerate(_windows(steps)):
        off = abs(losses[start:stop].mean() - wanted[:, start:stop].mean())
        deviation = FEW_STEPS_DEVIATION if steps < WINDOW else WINDOW_DEVIATIONS[index]
        found["mean of steps %d to %d" % (start + 1, stop)] = off / (limit * deviation)
    return _without_nan(found)


def bias_distance(change, wanted, steps):
    """Return the distance of the last bias's change from the reference's, over its limit.

    change: float [classes]; wanted [masks, classes]; steps: of the training.
    """
    mean = wanted.mean(axis=0)
    limit = LAST_BIAS_LIMITS["few" if steps < WINDOW else "many"]
    return float(np.linalg.norm(change - mean) / np.linalg.norm(mean) / limit)
