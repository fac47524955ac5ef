"""The proof of sameness: what a notebook's network must do, and how near it must come."""

import time
from collections import OrderedDict

import numpy as np

from . import data, expected, probe, reference, weights
from .tasks import TASKS

# Correct float32 frameworks stay under these by a factor of three or more on every task; each
# deliberate mistake of tests/test_teeth.py is over at least one, nearly all by far. They are never
# widened for a framework: a difference that cannot be removed is a dialect of the reference.
#
# masks: -log10 of a probability, so that a correct program fails once in ten billion runs;
# training: the largest difference from the reference over its own limit, see common/training.py;
# start: 1 minus the correlation of the trained with the initial weights; predictions: the fraction
# of test examples that the notebook and the reference class differently.
LIMITS = OrderedDict(
    [
        ("roundtrip", 1e-6),
        ("logits", 1e-5),
        ("losses", 1e-5),
        ("weights", 1e-4),
        ("dropout", 1e-4),
        ("masks", 11.0),
        ("activations", 1e-5),
        ("training", 1.0),
        ("start", 0.5),
        ("trained", 1e-5),
        ("predictions", 5e-3),
        ("saved", 1e-6),
    ]
)
DROPOUT_CHECKS = ("dropout", "masks", "start")
INFERENCE_CHECKS = ("roundtrip", "logits", "activations", "saved")


class CheckFailed(AssertionError):
    """A notebook's network is not the network of the specification."""


def required(task):
    """Return the names of the checks that a notebook of this task must have passed."""
    settings = TASKS[task].hyper_parameters
    if not settings:
        return list(INFERENCE_CHECKS)
    return [name for name in LIMITS if "dropout" in settings or name not in DROPOUT_CHECKS]


def relative_error(value, expected):
    """Return the norm of the difference over the norm of what was expected, in float64."""
    expected = np.asarray(expected, np.float64)
    difference = np.linalg.norm((np.asarray(value, np.float64) - expected).ravel())
    return float(difference / max(np.linalg.norm(expected.ravel()), 1e-30))


def worst_of(errors):
    """Return (the largest error, its name) of {name: error}; NaN counts as the largest."""
    name = max(errors, key=lambda each: np.inf if np.isnan(errors[each]) else errors[each])
    return errors[name], name


class Results(object):
    """The errors of a run's checks beside their limits, and the checks that failed.

    A check that fails is kept until `stop`, so that the layers can be compared before the notebook
    ends and the message names the first one that differs.
    """

    def __init__(self):
        self.errors, self.failures = OrderedDict(), []

    def judge(self, name, error, detail=""):
        """Print the error of a check beside its limit and keep it; return whether it is good."""
        limit = LIMITS[name]
        self.errors[name] = {"error": float(error), "limit": limit}
        good = bool(error <= limit)  # False for NaN too
        print(
            "%-11s  error %.1e  limit %-5.2g  %-6s %s"
            % (name, error, limit, "ok" if good else "FAILED", detail)
        )
        if not good:
            self.fail("%s: error %.1e is over the limit of %.2g %s" % (name, error, limit, detail))
        return good

    def fail(self, reason):
        """Keep a failure."""
        self.failures.append(reason.strip())

    def stop(self, where=""):
        """Raise CheckFailed if a check has failed."""
        if self.failures:
            reason = self.failures[0] + where
            del self.failures[:]
            raise CheckFailed(reason)


class Check(object):
    """The check of one notebook: inputs to feed, and a method for each thing that must agree.

    weights: canonical weights to load; x: inputs for `logits`; batches: [(x, y)] for the training
    steps; pictures are in the notebook's layout. Each method prints its error beside its limit;
    `activations`, the last of them, raises CheckFailed when one of them was over it.
    """

    def __init__(self, task, layout="channels_first", dialect=None, results=None):
        self.task, self.dialect = task, reference.full_dialect(task, dialect)
        self.layout, self.results = layout, results or Results()
        self.weights = reference.representable_weights(task, weights.check_weights(task), dialect)
        x, batches = expected.examples(task)
        self._expected = expected.of_check(task, self.weights, self.dialect)
        self._before = reference.held_weights(task, self.weights, self.dialect)
        self._pictures = TASKS[task].dataset == "cifar10"
        self.x = self._in_layout(x)
        self.batches = [(self._in_layout(each), y) for each, y in batches]
        self.step_losses, self.first_step_seconds, self.proven_model = None, None, None
        self.dialect_losses = self._distance_from_base_form()

    def _in_layout(self, x):
        return data.to_layout(x, self.layout) if self._pictures else x

    def _distance_from_base_form(self):
        """Return how far this dialect's own losses part from the base form's, relative, at most."""
        base = reference.full_dialect(self.task)
        if self.dialect == base or not self.batches:
            return None
        losses = expected.of_check(self.task, weights.check_weights(self.task), base)["losses"]
        return float(np.max(np.abs(self._expected["losses"] / losses - 1)))

    def same_names_and_shapes(self, exported):
        """Raise CheckFailed unless `exported` holds the arrays of the specification."""
        wanted = {name: array.shape for name, array in self._before.items()}
        found = {name: np.shape(array) for name, array in exported.items()}
        for name in sorted(set(wanted) | set(found)):
            if wanted.get(name) != found.get(name):
                raise CheckFailed(
                    "%s: shape %s, expected %s" % (name, found.get(name), wanted.get(name))
                )

    def roundtrip(self, exported):
        """Compare weights that went into the model and out again with what went in."""
        self._same_weights("roundtrip", exported, self._before)

    def saved(self, exported, trained):
        """Compare weights that went to a file and back with those that were saved."""
        self._same_weights("saved", exported, trained)
        self.results.stop()

    def _same_weights(self, check, exported, wanted):
        self.same_names_and_shapes(exported)
        errors = {name: relative_error(exported[name], array) for name, array in wanted.items()}
        error, worst = worst_of(errors)
        self.results.judge(check, error, "worst: " + worst)

    def logits(self, output):
        """Compare the network's output for `x`, [N, classes] or [N, 2048], in inference mode."""
        wanted = self._expected["logits"]
        if np.shape(output) != wanted.shape:
            raise CheckFailed("logits: shape %s, expected %s" % (np.shape(output), wanted.shape))
        self.results.judge("logits", relative_error(output, wanted))

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
                self.results.judge("losses", errors[-1], "at step %d" % len(values))
                return
        if len(values) != len(self.batches):
            raise CheckFailed("losses: %d of them, expected %d" % (len(values), len(self.batches)))
        self.step_losses = values
        self.results.judge("losses", max(errors))

    def updated(self, exported):
        """Compare the weights after the training steps, by the update of each tensor.

        By norm and not element by element: where a gradient vanishes, Adam's first steps divide two
        tiny numbers, so that single elements of correct float32 programs differ by as much as the
        learning rate.
        """
        if self.step_losses is None:
            print("weights      not compared, since the losses before them differ")
            return
        self.same_names_and_shapes(exported)
        errors = {}
        for name, before in self._before.items():
            # The framework starts from float32 weights, the reference from the same in float64.
            update = np.asarray(exported[name], np.float64) - before
            errors[name] = relative_error(update, self._expected["after/" + name] - before)
        error, worst = worst_of(errors)
        self.results.judge("weights", error, "worst: " + worst)

    def dropout(self, model, load_weights, create_optimizer, train_step, export_weights):
        """Take a few training steps on a network that shows its masks, see common/probe.py.

        model: the one that will be trained, made with the rates that it is trained with; the others
        are the notebook's own functions. Afterwards the model holds the probe's weights.
        """
        settings = TASKS[self.task].hyper_parameters
        batch_size, rates = TASKS[self.task].batch_size, settings["dropout"]
        x, y = probe.batch(batch_size)
        model = load_weights(model, probe.weights())
        optimizer, exported = create_optimizer(model), [probe.weights()]
        for _ in range(probe.STEPS):
            train_step(model, optimizer, self._in_layout(x), y)
            arrays = export_weights(model)
            exported.append({name: np.array(array) for name, array in arrays.items()})
        self.proven_model = model
        updates = probe.gradients(exported, settings["learning_rate"], settings["momentum"])
        masks = [probe.masks(update) for update in updates]
        errors = [
            relative_error(update, probe.expected_gradient(before, found, rates, batch_size))
            for update, before, found in zip(updates, exported, masks)
        ]
        self.results.judge("dropout", worst_of(dict(enumerate(errors)))[0], "scaled by 1/(1-p)")
        surprises = {test.what: probe.surprise(test) for test in probe.tests(masks, rates)}
        surprise, worst = worst_of(surprises)
        self.results.judge("masks", surprise, "worst: " + worst)

    def activations(self, activations):
        """Compare the outputs of the named layers, and each layer on what the one before it gave.

        activations: takes x, returns {layer: array} in canonical layout; the model holds `weights`.
        The last check before the training: raises CheckFailed if this one or one before it failed,
        and names the first layer that differs.
        """
        names = reference.LAYERS[self.task]
        # A copy of each: some frameworks use their memory again.
        found = {
            name: np.array(array)
            for name, array in activations(self.x[: expected.LAYER_EXAMPLES]).items()
        }
        if sorted(found) != sorted(names):
            raise CheckFailed(
                "activations: of %s, expected %s" % (", ".join(sorted(found)), ", ".join(names))
            )
        start, before = expected.in_float64(self.weights), expected.examples(self.task)[0]
        before = before[: expected.LAYER_EXAMPLES]
        errors, alone = OrderedDict(), OrderedDict()
        print("%-11s  %-15s error alone" % ("layer", "error"))
        for name in names:
            wanted = self._expected["layers/" + name]
            if found[name].shape != wanted.shape:
                raise CheckFailed(
                    "activations: %s: shape %s, expected %s"
                    % (name, found[name].shape, wanted.shape)
                )
            output = found[name].astype(np.float64)
            output = np.maximum(output, 0) if name in reference.RECTIFIED else output
            errors[name] = relative_error(output, wanted)
            own = reference.layer(self.task, start, name, before, self.dialect)
            alone[name], before = relative_error(output, own), output
            print("%-11s  %-15.1e %.1e" % (name, errors[name], alone[name]))
        error, worst = worst_of(errors)
        self.results.judge("activations", error, "worst: " + worst)
        wrong = [name for name in names if not alone[name] <= LIMITS["activations"]]
        self.results.stop(
            "; the first layer that differs: %s" % wrong[0]
            if wrong
            else "; every layer by itself agrees"
        )
