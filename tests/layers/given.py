"""What the layers of every framework are given: sizes, and random arrays in float32."""

import numpy as np

BATCH, STEPS, INPUTS, UNITS, CHANNELS = 4, 5, 3, 5, 3
_random = np.random.RandomState(0)


def draw(*shape):
    return _random.uniform(-1, 1, shape).astype(np.float32)


def sequences():
    return draw(BATCH, STEPS, INPUTS)


def pictures():
    """Return [N, channels, 1, 2]: few numbers a channel, of a variance that shows an epsilon."""
    return np.float32(0.05) * draw(6, CHANNELS, 1, 2)


def scale_shift_mean_variance():
    mean = np.float32(0.01) * draw(CHANNELS)
    variance = np.float32(2e-4) * (np.float32(1.5) + draw(CHANNELS))
    return [1 + np.float32(0.5) * draw(CHANNELS), draw(CHANNELS), mean, variance]


def samples(x):
    """Return pictures [N, channels, height, width] as [m, channels]."""
    return np.asarray(x).transpose(0, 2, 3, 1).reshape(-1, CHANNELS)


def gru(x, last, kernels, biases, names):
    """Return a GRU as it is compared: its input, its last state, and its arrays as it has them."""
    arrays = {"kernels": kernels, "biases": biases}
    found = {key: [np.asarray(each) for each in each_of] for key, each_of in arrays.items()}
    return dict(found, x=np.asarray(x), last=np.asarray(last), names=sorted(names))


def batch_norm(x, y, before, after, names):
    """Return a step of training as it is compared.

    x and y are [N, channels, height, width]; `before` are scale, shift, mean and variance, `after`
    mean and variance.
    """
    arrays = [np.asarray(each, np.float64) for each in (samples(x), samples(y), *before, *after)]
    keys = ("x", "y", "scale", "shift", "mean", "variance", "new mean", "new variance")
    return dict(zip(keys, arrays), examples=len(x), names=sorted(names))
