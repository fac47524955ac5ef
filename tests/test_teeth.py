"""The checks have teeth: a correct program passes all, each deliberate mistake fails one."""

from functools import partial

import numpy as np
import pytest

from common import layers, reference
from common.check import Check, CheckFailed, required
from common.tasks import TASKS

pytestmark = pytest.mark.slow

Arrays = dict[str, np.ndarray]
RATES = TASKS["cifar10_cnn"].hyper_parameters["dropout"]


class Program:
    """A correct float32 program, as a notebook is; each mistake below overrides a method of it."""

    def __init__(self, task: str, rates: tuple[float, ...] = (0, 0, 0)) -> None:
        self.task, self.rates = task, rates
        self.random = np.random.RandomState(3)

    def load(self, weights: Arrays) -> "Program":
        self.weights = self.take_in({name: array.copy() for name, array in weights.items()})
        return self

    def take_in(self, weights: Arrays) -> Arrays:
        return weights

    def export(self) -> Arrays:
        return self.weights

    def optimizer(self):
        return reference.optimizer(self.task, self.weights)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return reference.logits(self.task, self.weights, x)

    def activations(self, x: np.ndarray) -> Arrays:
        return reference.activations(self.task, self.weights, x)

    def masks(self, examples: int):
        if self.task != "cifar10_cnn":
            return None
        return reference.dropout_masks(self.random, examples, self.rates, np.float32)

    def gradients(self, x: np.ndarray, y: np.ndarray):
        masks = self.masks(len(x))
        return reference.loss_and_gradients(self.task, self.weights, x, y, masks=masks)

    def train_step(self, update, x: np.ndarray, y: np.ndarray) -> float:
        loss, gradients = self.gradients(x, y)
        update(gradients)
        return float(loss)


class SwappedHeightAndWidth(Program):
    def predict(self, x):
        return super().predict(x.swapaxes(2, 3))

    def gradients(self, x, y):
        return super().gradients(x.swapaxes(2, 3), y)


class ChannelsLastFlattened(Program):
    def take_in(self, weights):
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

    def activations(self, x):
        return reference.activations(self.task, self.used(), x)

    def gradients(self, x, y):
        return reference.loss_and_gradients(self.task, self.used(), x, y, masks=self.masks(len(x)))


class ForgottenRecurrentBias(ForgottenBias):
    bias = "gru.bias_hh_l0"


class ForgottenDenseBias(ForgottenBias):
    bias = "fc2.bias"


class BiasLeftBehind(Program):
    def take_in(self, weights):
        return dict(weights, **{"conv3.bias": np.zeros_like(weights["conv3.bias"])})


class DropoutLeftOn(Program):
    """In inference too."""

    def predict(self, x):
        return reference._cnn_forward(self.weights, x, self.masks(len(x)))[0]


class NoDropout(Program):
    def masks(self, examples):
        return reference.dropout_masks(self.random, examples, (0, 0, 0), np.float32)


class OtherRates(Program):
    """What is kept is taken for what is dropped, or one rate is another's."""

    others = (0.5, 0.5, 0.5)

    def masks(self, examples):
        rates = self.others if any(self.rates) else self.rates
        return reference.dropout_masks(self.random, examples, rates, np.float32)


class RateOfTheFirst(OtherRates):
    others = (0.2, 0.25, 0.5)


class RateOfTheSecond(OtherRates):
    others = (0.25, 0.3, 0.5)


class RatesExchanged(OtherRates):
    others = (0.5, 0.25, 0.25)


class NotScaled(Program):
    def masks(self, examples):
        return [(mask > 0).astype(np.float32) for mask in super().masks(examples)]


class MasksByChannel(Program):
    def masks(self, examples):
        first, second, third = super().masks(examples)
        return first * 0 + first[:, :, :1, :1], second * 0 + second[:, :, :1, :1], third


class FirstMaskByChannel(Program):
    def masks(self, examples):
        first, second, third = super().masks(examples)
        return first * 0 + first[:, :, :1, :1], second, third


class MasksByPlace(Program):
    def masks(self, examples):
        first, second, third = super().masks(examples)
        return first * 0 + first[:, :1], second * 0 + second[:, :1], third


class OneMaskForAllExamples(Program):
    def masks(self, examples):
        return [mask[:1].repeat(examples, axis=0) for mask in super().masks(examples)]


class TheSameMasksAtEveryStep(Program):
    def masks(self, examples):
        self.random = np.random.RandomState(3)
        return super().masks(examples)


class SecondDropoutBeforeItsPool(Program):
    def masks(self, examples):
        first, _, third = super().masks(examples)
        shape = (examples, 100, 16, 16)
        wide = (self.random.uniform(size=shape) >= self.rates[1]) / np.float32(1 - self.rates[1])
        # On the probe's pictures: what is left of a window is the largest of what was lit.
        lit = np.zeros((16, 16), bool)
        lit[::2, ::2] = True
        for row, column in np.ndindex(8, 8):
            if (row + column) % 2:
                lit[2 * row + 1, 2 * column + 1] = True
        cells = first[:, np.arange(100) % 50] * wide * lit
        windows = cells.reshape(examples, 100, 8, 2, 8, 2).max(axis=(3, 5))
        plain = (first[:, np.arange(100) % 50] * lit).reshape(examples, 100, 8, 2, 8, 2)
        plain = plain.max(axis=(3, 5))
        second = np.where(plain > 0, windows / np.maximum(plain, 1e-9), 0).astype(np.float32)
        return first, second, third


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
        logits, cache = reference._cnn_forward(self.weights, x, self.masks(len(x)))
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

    def take_in(self, weights):
        return self.permuted(weights)

    def export(self):
        return self.permuted(self.weights)


class InADialect(Program):
    dialect: dict[str, str]

    def optimizer(self):
        return reference.optimizer(self.task, self.weights, self.dialect)

    def predict(self, x):
        return reference.logits(self.task, self.weights, x, self.dialect)

    def activations(self, x):
        return reference.activations(self.task, self.weights, x, self.dialect)

    def gradients(self, x, y):
        masks = self.masks(len(x))
        return reference.loss_and_gradients(self.task, self.weights, x, y, self.dialect, masks)


class ResetBefore(InADialect):
    dialect = {"gru_reset": "before"}  # noqa: RUF012


class EpsilonHat(InADialect):
    dialect = {"adam_epsilon": "uncorrected"}  # noqa: RUF012


class SharedBiases(InADialect):
    dialect = {"gru_biases": "shared"}  # noqa: RUF012

    def take_in(self, weights):
        return reference.held_weights(self.task, weights, self.dialect)


class GradientToEachOfTheLargest(InADialect):
    dialect = {"pool_ties": "each"}  # noqa: RUF012


class LazyEmbedding(Program):
    """Adam that moves only the rows of the batch's words, as optimisers for sparse gradients do."""

    def train_step(self, update, x, y):
        kept = self.weights["embedding.weight"].copy()
        loss = super().train_step(update, x, y)
        absent = np.setdiff1d(np.arange(len(kept)), x)
        self.weights["embedding.weight"][absent] = kept[absent]
        return loss


class BatchNormEpsilon(Program):
    def predict(self, x):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reference, "batch_norm", partial(layers.batch_norm, epsilon=1e-3))
            return super().predict(x)


class StrideInTheFirstConvolution(Program):
    def predict(self, x):
        def convolve(weights, x, kernel, norm, stride=1):
            # The block's stride, taken by its first convolution and not by its second.
            if kernel.endswith(".0.conv1") and not kernel.startswith("layer1"):
                x = x[:, :, ::2, ::2]
            elif kernel.endswith(".0.conv2"):
                stride = 1
            return correct(weights, x, kernel, norm, stride)

        correct = reference._convolution_and_norm
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reference, "_convolution_and_norm", convolve)
            return super().predict(x)


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
        ScaledMomentum,
        NoMomentum,
        SummedLoss,
        SummedGradients,
        SoftmaxTwice,
        SoftmaxTwiceInTraining,
        LastPartBatchDropped,
        GradientToEachOfTheLargest,
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


DROPOUT_MISTAKES = [
    NoDropout,
    OtherRates,
    RateOfTheFirst,
    RateOfTheSecond,
    RatesExchanged,
    NotScaled,
    MasksByChannel,
    FirstMaskByChannel,
    MasksByPlace,
    OneMaskForAllExamples,
    TheSameMasksAtEveryStep,
    SecondDropoutBeforeItsPool,
]


@pytest.fixture(scope="module", autouse=True)
def reference_kept_for_all(tmp_path_factory):
    """What the reference computes is kept in one folder for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROSETTA_DATA", str(tmp_path_factory.mktemp("data")))
        yield


def put_through(program_class, task, dialect=None):
    """Make all checks of a task on a program; return the Check."""
    check = Check(task, dialect=dialect)
    program = program_class(task).load(check.weights)
    check.roundtrip(program.export())
    if check.batches:
        update = program.optimizer()
        check.losses(program.train_step(update, x, y) for x, y in check.batches)
        check.updated(program.export())
    program = program_class(task, RATES).load(check.weights)
    check.logits(program.predict(check.x))
    if task == "cifar10_cnn":
        see_masks(check, program)
    program.load(check.weights)
    check.activations(program.activations)
    return check


def see_masks(check, program):
    kind = type(program)
    check.dropout(program, kind.load, kind.optimizer, kind.train_step, kind.export)


AFTER_THE_TRAINING = {"training", "start", "trained", "predictions", "saved"}


@pytest.mark.parametrize("task", TASKS)
def test_a_correct_float32_program_stays_under_a_third_of_every_limit(task):
    check = put_through(Program, task)
    assert set(check.results.errors) == set(required(task)) - AFTER_THE_TRAINING
    for name, result in check.results.errors.items():
        assert result["error"] < result["limit"] / 3, name


@pytest.mark.parametrize(
    ("task", "mistake"),
    [(task, mistake) for task, mistakes in MISTAKES.items() for mistake in mistakes],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_mistake_is_caught(task, mistake):
    with pytest.raises(CheckFailed):
        put_through(mistake, task)


@pytest.mark.parametrize("mistake", DROPOUT_MISTAKES)
def test_a_mistake_of_dropout_is_caught(mistake):
    check = Check("cifar10_cnn")
    see_masks(check, mistake("cifar10_cnn", RATES))
    with pytest.raises(CheckFailed, match=r"^(dropout|masks): "):
        check.results.stop()


@pytest.mark.parametrize(
    ("mistake", "layer"),
    [(ForgottenBias, "conv2"), (ChannelsLastFlattened, "fc1"), (ForgottenDenseBias, "fc2")],
)
def test_the_message_names_the_first_layer_that_differs(mistake, layer):
    with pytest.raises(CheckFailed, match=f"the first layer that differs: {layer}$"):
        put_through(mistake, "cifar10_cnn")


def test_a_mistake_of_the_optimiser_leaves_every_layer_in_order():
    # The first step has no momentum yet: the second loss is right, the third one is not.
    with pytest.raises(CheckFailed, match=r"losses: .* at step 3; every layer by itself agrees"):
        put_through(NoMomentum, "cifar10_cnn")


@pytest.mark.parametrize(
    ("task", "program_class"),
    [
        ("cifar10_cnn", GradientToEachOfTheLargest),
        ("imdb_gru", ResetBefore),
        ("imdb_gru", EpsilonHat),
        ("imdb_gru", SharedBiases),
    ],
)
def test_a_dialect_passes_once_it_is_declared(task, program_class):
    check = put_through(program_class, task, program_class.dialect)
    assert 0 < check.dialect_losses < 0.1
