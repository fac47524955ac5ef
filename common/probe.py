"""The proof of dropout: weights and a batch through which a few training steps show the masks.

The network of `weights` copies: each convolution hands a pixel's channel on as it is, so that what
reaches fc1 is a lit place of the picture times the masks of the first two dropouts. The update of
fc1.weight is then the third mask over its rows times the first two over its columns, with known
factors. Channels o and o + 50 of conv3 copy the same channel: they share the first mask and not
the second, which tells the two apart.

Two pictures of the batch are lit, all others black. Each owns half of the rows of fc1, where it
counts nine times as much as the other one with the opposite sign, so that the masks of both are
seen in one update.
"""

import math
from collections import OrderedDict, namedtuple

import numpy as np

STEPS = 3
CHANNELS, SIDE, HIDDEN = 50, 8, 512
# Where the two lit pictures stand in the batch, and their labels.
LIT, LABELS = (3, 40), (0, 1)
# Small enough that the softmax stays at one tenth, large enough for float32 to hold each update.
FC1, FC2 = 1e-6, 1e-4

Masks = namedtuple("Masks", "flat hidden")
Masks.__doc__ = """What was kept in one step. flat: bool [2, 100, 8, 8], of each lit picture, the
first two dropouts together; hidden: bool [2, 512], the third."""

Test = namedtuple("Test", "what kept trials probability")
Test.__doc__ = """One count that must be binomial: `kept` of `trials` with this probability."""


def weights():
    """Return canonical weights of cifar10_cnn that copy what is lit to fc1."""
    arrays = OrderedDict()
    for name, outputs, inputs in (
        ("conv1", 50, 3), ("conv2", 50, 50), ("conv3", 100, 50), ("conv4", 100, 100),
    ):  # fmt: skip
        kernel = np.zeros((outputs, inputs, 3, 3), np.float32)
        kernel[np.arange(outputs), np.arange(outputs) % inputs, 1, 1] = 1
        arrays[name + ".weight"], arrays[name + ".bias"] = kernel, np.zeros(outputs, np.float32)
    last = np.zeros((10, HIDDEN), np.float32)
    for label, rows in zip(LABELS, _halves()):
        last[label, rows] = -FC2
    arrays["fc1.weight"] = np.full((HIDDEN, 6400), FC1, np.float32)
    arrays["fc1.bias"] = np.zeros(HIDDEN, np.float32)
    arrays["fc2.weight"], arrays["fc2.bias"] = last, np.zeros(10, np.float32)
    return arrays


def batch(batch_size):
    """Return (x float32 [N, 3, 32, 32], y int64 [N]) of the probe.

    A lit place is 2x2 pixels, one place of the first pool. Of the 8x8 windows of the second pool
    one half holds one lit place, in the pattern of a chess board, the other half two: a second
    dropout that stands before its pool would keep too many of these.
    """
    places = np.zeros((16, 16), np.float32)
    for row in range(SIDE):
        for column in range(SIDE):
            places[2 * row, 2 * column] = 1
            if (row + column) % 2:
                places[2 * row + 1, 2 * column + 1] = 1
    x = np.zeros((batch_size, 3, 32, 32), np.float32)
    x[list(LIT)] = places.repeat(2, axis=0).repeat(2, axis=1)
    y = (np.arange(batch_size) % 10).astype(np.int64)
    y[list(LIT)] = LABELS
    return x, y


def _halves():
    return slice(0, HIDDEN // 2), slice(HIDDEN // 2, HIDDEN)


def gradients(exported, learning_rate, momentum):
    """Return the gradient of fc1.weight in each step from the weights before and after each."""
    found, velocity = [], 0.0
    for before, after in zip(exported, exported[1:]):
        step = np.asarray(before["fc1.weight"], np.float64) - after["fc1.weight"]
        found.append(step / learning_rate - momentum * velocity)
        velocity = step / learning_rate
    return found


def masks(gradient):
    """Return the Masks that an update shows; gradient float64 [512, 6400]."""
    flat, hidden = np.zeros((2, 6400), bool), np.zeros((2, HIDDEN), bool)
    own, other = _halves()
    for lit, rows in enumerate((own, other)):
        block = gradient[rows]
        large = block > 0.5 * block.max() if block.max() > 0 else np.zeros(block.shape, bool)
        flat[lit], hidden[lit, rows] = large.any(axis=0), large.any(axis=1)
    for lit, rows in enumerate((other, own)):
        # In the rows of the other picture this one shows where the other one was dropped.
        alone = flat[lit] & ~flat[1 - lit]
        block = gradient[rows][:, alone]
        hidden[lit, rows] = (block < -0.05 * np.abs(gradient).max()).any(axis=1)
    return Masks(flat.reshape(2, 2 * CHANNELS, SIDE, SIDE), hidden)


def expected_gradient(before, found, rates, batch_size):
    """Return the gradient of fc1.weight, float64 [512, 6400], that these Masks make.

    before: the exported weights before the step.
    """
    kept = [1 - rate for rate in rates]
    kernel, last = (np.asarray(before[name + ".weight"], np.float64) for name in ("fc1", "fc2"))
    total = np.zeros_like(kernel)
    for lit, label in enumerate(LABELS):
        flat = found.flat[lit].ravel() / (kept[0] * kept[1])
        passed = found.hidden[lit] / kept[2]
        hidden = (kernel.dot(flat) + before["fc1.bias"]) * passed
        logits = last.dot(hidden) + before["fc2.bias"]
        probabilities = np.exp(logits - logits.max())
        dlogits = probabilities / probabilities.sum()
        dlogits[label] -= 1
        total += np.outer(dlogits.dot(last) / batch_size * passed, flat)
    return total


def _agreement(what, one, other, probability):
    """Return the Test that two independent masks agree as often as chance has it."""
    chance = probability**2 + (1 - probability) ** 2
    return Test(what, int((one == other).sum()), one.size, chance)


def tests(steps, rates):
    """Return the Tests of the masks of several steps: rates, places, each number on its own."""
    first, second, third = (1 - rate for rate in rates)
    both = first * second
    flat = np.array([step.flat for step in steps])  # steps x 2 x 100 x 8 x 8
    hidden = np.array([step.hidden for step in steps])  # steps x 2 x 512
    row, column = np.mgrid[:SIDE, :SIDE]
    single, double = (row + column) % 2 == 0, (row + column) % 2 == 1
    one, twin = flat[:, :, :CHANNELS, single], flat[:, :, CHANNELS:, single]
    two = flat[:, :, :CHANNELS, double]
    left, right = one[..., ::2], one[..., 1::2]
    return [
        Test("rate of the first dropout", int(one.sum()), one.size, both),
        Test("rate of the second dropout", int((one & twin).sum()), int(one.sum()), second),
        Test("rate of the third dropout", int(hidden.sum()), hidden.size, third),
        Test("place of the dropouts", int(two.sum()), two.size, (1 - (1 - first) ** 2) * second),
        _agreement("new masks at every step", one[1:], one[:-1], both),
        _agreement("a new third mask at every step", hidden[1:], hidden[:-1], third),
        _agreement("a mask for each example", one[:, 0], one[:, 1], both),
        _agreement("a third mask for each example", hidden[:, 0], hidden[:, 1], third),
        _agreement("a mask for each place of a channel", left, right, both),
        _agreement("a mask for each channel", one[:, :, ::2], one[:, :, 1::2], both),
        _agreement("a mask for each hidden unit", hidden[:, :, ::2], hidden[:, :, 1::2], third),
    ]


def surprise(test):
    """Return -log10 of the chance that a correct program is as far off as this Test, or farther.

    From the exact binomial distribution: the smaller of its tails, doubled.
    """
    kept, trials, p = test.kept, test.trials, test.probability
    if trials == 0:
        return float("inf")
    k = np.arange(trials + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1)))])
    logs = factorials[-1] - factorials[k] - factorials[trials - k]
    logs += k * math.log(p) + (trials - k) * math.log(1 - p)
    tails = []
    for tail in (logs[: kept + 1], logs[kept:]):
        largest = tail.max()
        tails.append(largest + math.log(np.exp(tail - largest).sum()))
    return max(0.0, -(min(tails) + math.log(2)) / math.log(10))
