"""The proof of sameness: what a notebook's network must do, and how near it must come."""

import hashlib
import os
import tempfile
import time
from collections import OrderedDict

import numpy as np

from . import data, reference, weights
from .tasks import TASKS

STEPS = 5

# Correct float32 frameworks stay under these by a factor of three or more on every task; each
# deliberate mistake of tests/test_teeth.py is over at least one by far. They are never widened for
# a framework: a difference that cannot be removed is a dialect of the reference.
LIMITS = OrderedDict([("roundtrip", 1e-6), ("logits", 1e-5), ("losses", 1e-5), ("weights", 1e-4)])


class CheckFailed(AssertionError):
    """A notebook's network is not the network of the specification."""


def relative_error(value, expected):
    """Return the norm of the difference over the norm of what was expected, in float64."""
    expected = np.asarray(expected, np.float64)
    difference = np.linalg.norm((np.asarray(value, np.float64) - expected).ravel())
    return float(difference / max(np.linalg.norm(expected.ravel()), 1e-30))


def update_error(before, after, expected_before, expected_after):
    """Return the largest error of any tensor's update, by norm, and that tensor's name.

    By norm and not element by element: where a gradient vanishes, Adam's first steps divide two
    tiny numbers, so that single elements of correct float32 programs differ by as much as the
    learning rate.
    """
    errors = {}
    for name, expected in expected_after.items():
        update = np.asarray(after[name], np.float64) - np.asarray(before[name], np.float64)
        errors[name] = relative_error(
            update, expected - np.asarray(expected_before[name], np.float64)
        )
    worst = max(errors, key=errors.get)
    return errors[worst], worst


# A ReLU or a max-pool whose input stands within float32's rounding of a tie may go the other way in
# a correct program, and each such flip shifts an update by up to 1e-2. So a batch of the CNN holds
# four different pictures, each sixteen times with other labels, and this seed is the one of many
# whose smallest distance from a tie is the largest: 2.8e-6 standard deviations over all activations
# of the five steps, ten times the rounding of a convolution.
DIFFERENT_PICTURES = 4
SEEDS = {"cifar10_cnn": 234, "imdb_gru": 2, "resnet50_features": 2}


def examples(task):
    """Return (x, batches): random inputs for the logits, and STEPS training batches [(x, y)].

    x holds a full batch and a part batch, so that a helper which drops the last part batch is found
    out.
    """
    random, batch_size = np.random.RandomState(SEEDS[task]), TASKS[task].batch_size
    if task == "resnet50_features":
        return random.normal(size=(3, 3, 224, 224)).astype(np.float32), []

    def draw(count):
        if task == "cifar10_cnn":
            return random.uniform(size=(count, 3, 32, 32)).astype(np.float32)
        words = 3 + (29997 * random.uniform(size=(count, 150)) ** 3).astype(np.int32)
        starts = random.randint(0, 140, count)
        position = np.arange(150)
        words[position[None] == starts[:, None]] = 1
        words[position[None] < starts[:, None]] = 0
        return words

    batches = []
    for _ in range(STEPS):
        y = random.randint(0, TASKS[task].classes, batch_size).astype(np.int64)
        if task == "cifar10_cnn":
            batches.append(
                (np.tile(draw(DIFFERENT_PICTURES), (batch_size // DIFFERENT_PICTURES, 1, 1, 1)), y)
            )
        else:
            batches.append((draw(batch_size), y))
    return draw(batch_size + 36), batches


def _cache_path(task, dialect):
    digest = hashlib.sha256(repr((task, sorted(dialect.items()))).encode())
    folder = os.path.dirname(os.path.abspath(__file__))
    for name in ("check.py", "reference.py", "tasks.py", "weights.py"):
        with open(os.path.join(folder, name), "rb") as file:
            digest.update(file.read())
    return os.path.join(data.folder(), "reference", "%s-%s.npz" % (task, digest.hexdigest()[:16]))


def _compute(task, start, x, batches, dialect):
    start = OrderedDict((name, array.astype(np.float64)) for name, array in start.items())
    x, batches = (x, batches) if task == "imdb_gru" else (x.astype(np.float64), batches)
    expected = {"logits": reference.logits(task, start, x, dialect)}
    if batches:
        losses, after = reference.train(task, start, batches, dialect)
        expected["losses"] = np.array(losses)
        expected.update(("after/" + name, array) for name, array in after.items())
    return expected


def _write(path, arrays):
    try:
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
            np.savez(file, **arrays)
        os.replace(file.name, path)
    except OSError:
        pass  # a folder that cannot be written costs the seconds of computing it again


def expected(task, start, x, batches, dialect):
    """Return what the reference makes of the examples, kept in data/: logits, losses, weights."""
    path = _cache_path(task, dialect)
    if os.path.exists(path):
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    arrays = _compute(task, start, x, batches, dialect)
    _write(path, arrays)
    return arrays


class Check(object):
    """The check of one notebook: inputs to feed, and a method for each thing that must agree.

    weights: canonical weights to load; x: inputs for `logits`; batches: [(x, y)] for the training
    steps; pictures are in the notebook's layout. Each method prints its error beside its limit and
    raises CheckFailed over it.
    """

    def __init__(self, task, layout="channels_first", dialect=None):
        self.task, self.dialect = task, reference.full_dialect(task, dialect)
        self.weights = reference.representable_weights(task, weights.check_weights(task), dialect)
        x, batches = examples(task)
        self._expected = expected(task, self.weights, x, batches, self.dialect)
        self._before = reference.held_weights(task, self.weights, self.dialect)
        if TASKS[task].dataset == "cifar10":
            x = data.to_layout(x, layout)
            batches = [(data.to_layout(pictures, layout), y) for pictures, y in batches]
        self.x, self.batches = x, batches
        self.results, self.step_losses, self.first_step_seconds = OrderedDict(), None, None
        self.dialect_losses = self._distance_from_base_form(dialect)

    def _distance_from_base_form(self, dialect):
        """Return how far this dialect's own losses part from the base form's, relative, at most."""
        if self.dialect == reference.full_dialect(self.task) or not self.batches:
            return None
        x, batches = examples(self.task)
        base = expected(
            self.task,
            weights.check_weights(self.task),
            x,
            batches,
            reference.full_dialect(self.task),
        )
        return float(np.max(np.abs(self._expected["losses"] / base["losses"] - 1)))

    def required(self):
        """Return the names of the checks that a notebook of this task must have passed."""
        return [name for name in LIMITS if self.batches or name in ("roundtrip", "logits")]

    def _judge(self, name, error, detail=""):
        limit = LIMITS[name]
        self.results[name] = {"error": error, "limit": limit}
        good = error <= limit  # False for NaN too
        print(
            "%-9s  error %.1e  limit %.0e  %s"
            % (name, error, limit, "ok" if good else "FAILED" + detail)
        )
        if not good:
            raise CheckFailed(
                "%s: error %.1e is over the limit of %.0e%s" % (name, error, limit, detail)
            )

    def _same_names_and_shapes(self, exported):
        wanted = {name: array.shape for name, array in self._before.items()}
        found = {name: np.shape(array) for name, array in exported.items()}
        for name in sorted(set(wanted) | set(found)):
            if wanted.get(name) != found.get(name):
                raise CheckFailed(
                    "%s: shape %s, expected %s" % (name, found.get(name), wanted.get(name))
                )

    def roundtrip(self, exported):
        """Compare weights that went into the model and out again with what went in."""
        self._same_names_and_shapes(exported)
        errors = {
            name: relative_error(exported[name], array) for name, array in self._before.items()
        }
        worst = max(errors, key=errors.get)
        self._judge("roundtrip", errors[worst], " at " + worst)

    def logits(self, output):
        """Compare the network's output for `x`, [N, classes] or [N, 2048], in inference mode."""
        wanted = self._expected["logits"]
        if np.shape(output) != wanted.shape:
            raise CheckFailed("logits: shape %s, expected %s" % (np.shape(output), wanted.shape))
        self._judge("logits", relative_error(output, wanted))

    def losses(self, steps):
        """Compare the losses of training steps; `steps` is a generator that takes one for each.

        The time until the first one is kept: it holds the compilation.
        """
        began, values, errors = time.perf_counter(), [], [0.0]
        for loss, wanted in zip(steps, self._expected["losses"]):
            values.append(float(loss))
            if self.first_step_seconds is None:
                self.first_step_seconds = time.perf_counter() - began
            errors.append(abs(values[-1] / float(wanted) - 1))
            # NaN too; the steps after a wrong one tell nothing more.
            if not errors[-1] <= LIMITS["losses"]:
                self._judge("losses", errors[-1], " at step %d" % len(values))
        if len(values) != len(self.batches):
            raise CheckFailed("losses: %d of them, expected %d" % (len(values), len(self.batches)))
        self.step_losses = values
        self._judge("losses", max(errors))

    def updated(self, exported):
        """Compare the weights after the training steps, by the update of each tensor."""
        self._same_names_and_shapes(exported)
        after = {name: self._expected["after/" + name] for name in self._before}
        before = {name: array.astype(np.float64) for name, array in self._before.items()}
        # The framework starts from float32 weights, the reference from the same numbers in float64.
        error, worst = update_error(before, exported, before, after)
        self._judge("weights", error, " at " + worst)
