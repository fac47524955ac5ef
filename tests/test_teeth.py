"""The checks have teeth: a correct program passes all, each deliberate mistake fails one."""

import numpy as np
import pytest

from common import reference
from common.check import Check, CheckFailed
from common.tasks import TASKS

Arrays = dict[str, np.ndarray]


class Program:
    """A correct float32 program, as a notebook is; each mistake below overrides a method of it."""

    def __init__(self, task: str, weights: Arrays) -> None:
        self.task = task
        self.weights = self.load({name: array.copy() for name, array in weights.items()})
        if TASKS[task].hyper_parameters:
            self.update = self.optimizer()

    def load(self, weights: Arrays) -> Arrays:
        return weights

    def export(self) -> Arrays:
        return self.weights

    def optimizer(self):
        return reference.optimizer(self.task, self.weights)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return reference.logits(self.task, self.weights, x)

    def gradients(self, x: np.ndarray, y: np.ndarray):
        return reference.loss_and_gradients(self.task, self.weights, x, y)

    def train_step(self, x: np.ndarray, y: np.ndarray) -> float:
        loss, gradients = self.gradients(x, y)
        self.update(gradients)
        return float(loss)


class SwappedHeightAndWidth(Program):
    def predict(self, x):
        return super().predict(x.swapaxes(2, 3))

    def gradients(self, x, y):
        return super().gradients(x.swapaxes(2, 3), y)


class ChannelsLastFlattened(Program):
    def load(self, weights):
        kernel = weights["fc1.weight"].reshape(512, 100, 8, 8)
        weights["fc1.weight"] = kernel.transpose(0, 2, 3, 1).reshape(512, 6400)
        return weights

    def export(self):
        kernel = self.weights["fc1.weight"].reshape(512, 8, 8, 100)
        return dict(self.weights, **{"fc1.weight": kernel.transpose(0, 3, 1, 2).reshape(512, 6400)})


class ForgottenBias(Program):
    """The bias is not used, but kept and given back, so that the round trip does not see it."""

    bias = "conv2.bias"

    def used(self):
        return dict(self.weights, **{self.bias: np.zeros_like(self.weights[self.bias])})

    def predict(self, x):
        return reference.logits(self.task, self.used(), x)

    def gradients(self, x, y):
        return reference.loss_and_gradients(self.task, self.used(), x, y)


class ForgottenRecurrentBias(ForgottenBias):
    bias = "gru.bias_hh_l0"


class ForgottenDenseBias(ForgottenBias):
    bias = "fc2.bias"


class BiasLeftBehind(Program):
    def load(self, weights):
        return dict(weights, **{"conv3.bias": np.zeros_like(weights["conv3.bias"])})


class DropoutLeftOn(Program):
    def dropped(self, x):
        cache = reference._cnn_forward(self.weights, x)[1]
        hidden = cache[3] * (np.random.RandomState(0).uniform(size=cache[3].shape) > 0.5) / 0.5
        logits = hidden.dot(self.weights["fc2.weight"].T) + self.weights["fc2.bias"]
        return logits, (*cache[:3], hidden)

    def predict(self, x):
        return self.dropped(x)[0].astype(np.float32)


class DropoutLeftOnInTraining(DropoutLeftOn):
    def predict(self, x):
        return Program.predict(self, x)

    def gradients(self, x, y):
        logits, cache = self.dropped(x)
        loss, dlogits = reference.softmax_cross_entropy(logits, y)
        return loss, reference._cnn_backward(self.weights, dlogits, cache)


class ScaledMomentum(Program):
    """A velocity that takes (1 - momentum) of the gradient, "unit gain"."""

    def optimizer(self):
        settings = TASKS[self.task].hyper_parameters
        rate = settings["learning_rate"] * (1 - settings["momentum"])
        return reference.optimizer(self.task, self.weights, learning_rate=rate)


class NoMomentum(Program):
    def optimizer(self):
        return reference.optimizer(self.task, self.weights, momentum=0.0)


class SummedLoss(Program):
    def gradients(self, x, y):
        loss, gradients = super().gradients(x, y)
        return loss * len(y), {name: array * len(y) for name, array in gradients.items()}


class SummedGradients(SummedLoss):
    def gradients(self, x, y):
        loss, gradients = super().gradients(x, y)
        return loss / len(y), gradients


def _softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


class SoftmaxTwice(Program):
    """The last layer is a softmax, and the cross-entropy takes what it gives for logits."""

    def predict(self, x):
        return _softmax(super().predict(x))


class SoftmaxTwiceInTraining(Program):
    def gradients(self, x, y):
        logits, cache = reference._cnn_forward(self.weights, x)
        p = _softmax(logits)
        loss, dp = reference.softmax_cross_entropy(p, y)
        dlogits = p * (dp - (dp * p).sum(axis=1, keepdims=True))
        return loss, reference._cnn_backward(self.weights, dlogits, cache)


class LastPartBatchDropped(Program):
    def predict(self, x):
        size = TASKS[self.task].batch_size
        whole = len(x) // size * size
        return super().predict(x[:whole]) if whole else np.zeros((0, 2048), np.float32)


class GatesInAnotherOrder(Program):
    """Update, reset, new: what a copy between frameworks yields when nobody permutes the blocks."""

    def permuted(self, weights):
        order = np.r_[100:200, 0:100, 200:300]
        return {
            name: array[order] if name.startswith("gru.") else array
            for name, array in weights.items()
        }

    def load(self, weights):
        return self.permuted(weights)

    def export(self):
        return self.permuted(self.weights)


class InADialect(Program):
    dialect: dict[str, str]

    def optimizer(self):
        return reference.optimizer(self.task, self.weights, self.dialect)

    def predict(self, x):
        return reference.logits(self.task, self.weights, x, self.dialect)

    def gradients(self, x, y):
        return reference.loss_and_gradients(self.task, self.weights, x, y, self.dialect)


class ResetBefore(InADialect):
    dialect = {"gru_reset": "before"}  # noqa: RUF012


class EpsilonHat(InADialect):
    dialect = {"adam_epsilon": "uncorrected"}  # noqa: RUF012


class SharedBiases(InADialect):
    dialect = {"gru_biases": "shared"}  # noqa: RUF012

    def load(self, weights):
        return reference.held_weights(self.task, weights, self.dialect)


class LazyEmbedding(Program):
    """Adam that moves only the rows of the batch's words, as optimisers for sparse gradients do."""

    def train_step(self, x, y):
        kept = self.weights["embedding.weight"].copy()
        loss = super().train_step(x, y)
        absent = np.setdiff1d(np.arange(len(kept)), x)
        self.weights["embedding.weight"][absent] = kept[absent]
        return loss


class BatchNormEpsilon(Program):
    def predict(self, x):
        return reference._resnet_forward(self.weights, x, epsilon=1e-3)


class StrideInTheFirstConvolution(Program):
    def predict(self, x):
        return reference._resnet_forward(self.weights, x, stride_in="conv1")


class ForgottenBatchNormShift(ForgottenBias):
    bias = "layer3.2.bn2.bias"


MISTAKES = {
    "cifar10_cnn": [
        SwappedHeightAndWidth,
        ChannelsLastFlattened,
        ForgottenBias,
        ForgottenDenseBias,
        BiasLeftBehind,
        DropoutLeftOn,
        DropoutLeftOnInTraining,
        ScaledMomentum,
        NoMomentum,
        SummedLoss,
        SummedGradients,
        SoftmaxTwice,
        SoftmaxTwiceInTraining,
        LastPartBatchDropped,
    ],
    "imdb_gru": [
        GatesInAnotherOrder,
        ResetBefore,
        EpsilonHat,
        SharedBiases,
        ForgottenRecurrentBias,
        LazyEmbedding,
        SummedLoss,
        SoftmaxTwice,
        LastPartBatchDropped,
    ],
    "resnet50_features": [
        SwappedHeightAndWidth,
        BatchNormEpsilon,
        StrideInTheFirstConvolution,
        ForgottenBatchNormShift,
        LastPartBatchDropped,
    ],
}


@pytest.fixture(scope="module", autouse=True)
def reference_kept_for_all(tmp_path_factory):
    """What the reference computes is kept in one folder for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROSETTA_DATA", str(tmp_path_factory.mktemp("data")))
        yield


def put_through(program_class, task):
    """Make all checks of a task on a program; return the Check."""
    check = Check(task)
    program = program_class(task, check.weights)
    check.roundtrip(program.export())
    check.logits(program.predict(check.x))
    if check.batches:
        check.losses(program.train_step(x, y) for x, y in check.batches)
        check.updated(program.export())
    return check


@pytest.mark.parametrize("task", TASKS)
def test_a_correct_float32_program_stays_under_a_third_of_every_limit(task):
    check = put_through(Program, task)
    assert sorted(check.results) == sorted(check.required())
    for name, result in check.results.items():
        assert result["error"] < result["limit"] / 3, name


@pytest.mark.parametrize(
    ("task", "mistake"),
    [(task, mistake) for task, mistakes in MISTAKES.items() for mistake in mistakes],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_mistake_is_caught(task, mistake):
    with pytest.raises(CheckFailed):
        put_through(mistake, task)


@pytest.mark.parametrize("program_class", [ResetBefore, EpsilonHat, SharedBiases])
def test_a_dialect_passes_once_it_is_declared(program_class):
    check = Check("imdb_gru", dialect=program_class.dialect)
    program = program_class("imdb_gru", check.weights)
    check.roundtrip(program.export())
    check.logits(program.predict(check.x))
    check.losses(program.train_step(x, y) for x, y in check.batches)
    check.updated(program.export())
    assert 0 < check.dialect_losses < 0.1
