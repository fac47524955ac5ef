"""A run of a task that others train, in a framework that only runs what they have trained.

    run = InferenceRun("imdb_gru", device="cpu", profile="quick", seed=0)

The weights are those that the NumPy reference trains, on the batches that every row trains on.
"""

from collections import OrderedDict

import numpy as np

from . import check, data, expected, reference, training, weights
from .run import COMPARED_EXAMPLES, Run

# What takes a training step of the notebook's own.
OF_TRAINING = ("losses", "weights", "training") + check.DROPOUT_CHECKS


def required(task):
    """Return the names of the checks that a notebook of this task must have passed."""
    return [name for name in check.required(task) if name not in OF_TRAINING]


class InferenceRun(Run):
    """A Run without training: `trained_by_reference` takes the place of `epochs`.

    Raises ValueError for a task with dropout, or without training.
    """

    def __init__(self, task, device="cpu", profile="quick", seed=0):
        super(InferenceRun, self).__init__(task, device, profile, seed)
        self._given = None
        settings = self.task.hyper_parameters
        if not settings or "dropout" in settings:
            raise ValueError("%s is not trained by the reference" % task)

    def trained_by_reference(self):
        """Return the canonical weights, float32, after the whole training of this profile.

        The first time takes minutes at "quick"; they are kept in data/.
        """
        name, dialect, work = self.task.name, self._check.dialect, self.work
        start = weights.initial_weights(name, self.seed)

        def compute():
            x, y = training.training_data(name, self.profile, self.seed)
            batches = data.Batches(self.batch_size, self.seed, work.steps)
            found = [each for epoch in range(work.epochs) for each in batches(x, y, epoch)]
            return reference.train(name, expected.in_float64(start), found, dialect)[1]

        key = (name, "trained", self.profile, self.seed, self._digest, sorted(dialect.items()))
        after = expected.kept(key, compute)
        self._given = OrderedDict((each, after[each].astype(np.float32)) for each in start)
        return self._given

    def trained(self, model, export_weights, predict):
        """Compare the model's weights with the trained ones, and what it computes with theirs.

        model: with the trained weights; the others are the notebook's functions. Raises CheckFailed
        when it holds others, or computes something else than they say.
        """
        if self._given is None:
            raise check.CheckFailed("trained: run.trained_by_reference has not been called")
        exported = export_weights(model)
        self._check.same_names_and_shapes(exported)
        arrays = OrderedDict(
            (name, np.array(exported[name], np.float32)) for name in weights.SPECS[self.task.name]
        )
        x = self._x_test[:COMPARED_EXAMPLES]
        wanted = reference.logits(
            self.task.name, expected.in_float64(arrays), x, self._check.dialect
        )
        errors = {
            name: check.relative_error(array, self._given[name]) for name, array in arrays.items()
        }
        errors["the output"] = check.relative_error(predict(model, x), wanted)
        error, worst = check.worst_of(errors)
        self.results.judge("trained", error, "worst: " + worst)
        self.results.stop()
        self.trained_weights = arrays

    def _required(self):
        return required(self.task.name)

    def _weights_digest(self):
        return None  # they are not of this row's training
