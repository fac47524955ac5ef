"""Layers in NumPy, forward and backward, as the reference is made of them.

Every function computes in the precision of the arrays it is given. Pictures are
[N, channels, height, width], activations of the GRU [N, features].
"""

import numpy as np


def _pad(x, padding, value=0.0):
    return np.pad(
        x,
        ((0, 0), (0, 0), (padding, padding), (padding, padding)),
        "constant",
        constant_values=value,
    )


def _taps(kernel, stride, height, width):
    """Yield (row, column, the slices of a padded picture that this tap of a kernel meets)."""
    for row in range(kernel):
        for column in range(kernel):
            rows = slice(row, row + stride * (height - 1) + 1, stride)
            columns = slice(column, column + stride * (width - 1) + 1, stride)
            yield row, column, (slice(None), slice(None), rows, columns)


def _output_size(x, kernel, stride, padding):
    return tuple((size + 2 * padding - kernel) // stride + 1 for size in x.shape[2:])


def convolution(x, kernel, bias=None, stride=1, padding=0):
    """Return (output, cache) of a convolution (a cross-correlation); kernel [out, in, k, k]."""
    (outputs, inputs, size, _), n = kernel.shape, len(x)
    height, width = _output_size(x, size, stride, padding)
    padded = _pad(x, padding)
    # One matrix product over all taps; the pictures stand innermost, so that each tap is copied in
    # long rows.
    patches = np.empty((inputs, size, size, n, height, width), x.dtype)
    for row, column, where in _taps(size, stride, height, width):
        patches[:, row, column] = padded[where].transpose(1, 0, 2, 3)
    patches = patches.reshape(-1, n * height * width)
    y = kernel.reshape(outputs, -1).dot(patches)
    if bias is not None:
        y += bias[:, None]
    return y.reshape(outputs, n, height, width).transpose(1, 0, 2, 3), (
        patches,
        kernel,
        x.shape,
        padding,
    )


def convolution_backward(dy, cache, need_dx=True):
    """Return (dx, dkernel, dbias) of a convolution of stride 1; dx is None unless asked for."""
    patches, kernel, (n, inputs, height, width), padding = cache
    outputs, size, out_height, out_width = len(kernel), kernel.shape[2], dy.shape[2], dy.shape[3]
    dy = dy.transpose(1, 0, 2, 3).reshape(outputs, -1)
    dkernel, dbias = dy.dot(patches.T).reshape(kernel.shape), dy.sum(axis=1)
    if not need_dx:
        return None, dkernel, dbias
    dpatches = kernel.reshape(outputs, -1).T.dot(dy)
    dpatches = dpatches.reshape(inputs, size, size, n, out_height, out_width)
    dx = np.zeros((n, inputs, height + 2 * padding, width + 2 * padding), dy.dtype)
    for row, column, where in _taps(size, 1, out_height, out_width):
        dx[where] += dpatches[:, row, column].transpose(1, 0, 2, 3)
    return dx[:, :, padding : padding + height, padding : padding + width], dkernel, dbias


def max_pool(x, ties="one"):
    """Return (output, cache) of a 2x2 max-pool with stride 2.

    ties: whether "one" of several largest numbers gets the gradient, the first, or "each" of them.
    """
    n, c, height, width = x.shape
    blocks = x.reshape(n, c, height // 2, 2, width // 2, 2)
    y = blocks.max(axis=(3, 5))
    largest = blocks == y[:, :, :, None, :, None]
    if ties == "one":
        found = np.zeros(y.shape, bool)
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            here = largest[:, :, :, row, :, column]
            here &= ~found
            found |= here
    return y, largest


def max_pool_backward(dy, mask):
    """Return dx of a max-pool."""
    n, c, height, _, width, _ = mask.shape
    return (mask * dy[:, :, :, None, :, None]).reshape(n, c, 2 * height, 2 * width)


def softmax_cross_entropy(logits, y):
    """Return (mean loss over the batch, dlogits)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(y))
    dlogits = np.exp(log_probabilities)
    dlogits[rows, y] -= 1
    return -log_probabilities[rows, y].mean(), dlogits / len(y)


def sigmoid(x):
    # tanh does not overflow where exp(-x) would.
    return 0.5 * (1 + np.tanh(0.5 * x))


def overlapping_max_pool(x):
    padded = _pad(x, 1, -np.inf)
    size = _output_size(x, 3, 2, 1)
    return np.maximum.reduce([padded[where] for _, _, where in _taps(3, 2, *size)])


def batch_norm(weights, name, x, epsilon=1e-5):
    gamma, beta, mean, variance = (
        weights[name + part][:, None, None]
        for part in (".weight", ".bias", ".running_mean", ".running_var")
    )
    return gamma * (x - mean) / np.sqrt(variance + np.asarray(epsilon, x.dtype)) + beta


def gru(weights, embedded, reset):
    """Return (the last state [N, 100], caches) of the GRU; embedded [N, steps, 125]."""
    inputs = embedded.dot(weights["gru.weight_ih_l0"].T) + weights["gru.bias_ih_l0"]
    kernel, bias = weights["gru.weight_hh_l0"], weights["gru.bias_hh_l0"]
    size = kernel.shape[1]
    h, caches = np.zeros((len(embedded), size), kernel.dtype), []
    for step in range(embedded.shape[1]):
        from_input = inputs[:, step]
        gates = sigmoid(from_input[:, : 2 * size] + h.dot(kernel[: 2 * size].T) + bias[: 2 * size])
        r, z = gates[:, :size], gates[:, size:]
        if reset == "after":
            recurrent = h.dot(kernel[2 * size :].T) + bias[2 * size :]
            n = np.tanh(from_input[:, 2 * size :] + r * recurrent)
        else:
            recurrent = None
            n = np.tanh(
                from_input[:, 2 * size :] + (r * h).dot(kernel[2 * size :].T) + bias[2 * size :]
            )
        caches.append((h, r, z, n, recurrent))
        h = (1 - z) * n + z * h
    return h, caches


def gru_step_backward(dh, kernel, cache):
    """Return (dh before, d of the input side [N, 3H], of the recurrent side, its factor for n)."""
    h, r, z, n, recurrent = cache
    size = h.shape[1]
    dn = dh * (1 - z) * (1 - n * n)
    dz = dh * (h - n) * z * (1 - z)
    if recurrent is not None:
        dr, from_n, factor = dn * recurrent, dn * r, h
        dh_n = from_n.dot(kernel[2 * size :])
    else:
        drh = dn.dot(kernel[2 * size :])
        dr, from_n, factor = drh * h, dn, r * h
        dh_n = drh * r
    dr = dr * r * (1 - r)
    dgates = np.concatenate([dr, dz], axis=1)
    dh_before = dh * z + dgates.dot(kernel[: 2 * size]) + dh_n
    return (
        dh_before,
        np.concatenate([dgates, dn], axis=1),
        np.concatenate([dgates, from_n], axis=1),
        factor,
    )


def add_rows(ids, rows, count):
    """Return [count, features]: the sum of the `rows` [M, features] of each id in `ids` [M]."""
    order = np.argsort(ids, kind="mergesort")
    found, starts = np.unique(ids[order], return_index=True)
    sums = np.zeros((count, rows.shape[1]), rows.dtype)
    sums[found] = np.add.reduceat(rows[order], starts, axis=0)
    return sums
