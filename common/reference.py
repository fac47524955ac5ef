"""The specification in NumPy: each network forward and backward, the optimisers, the dialects.

Every function computes in the precision of the weights it is given; the checks use float64.
Pictures are [N, channels, height, width], activations of the GRU [N, features].
"""

from collections import OrderedDict

import numpy as np

from .tasks import TASKS, resnet50_blocks

# What a framework may do otherwise, per task: the first form is the base form.
DIALECTS = {
    "cifar10_cnn": {},
    "imdb_gru": OrderedDict(
        [
            # Where Adam adds epsilon: to the bias-corrected root, or to the uncorrected one
            # ("epsilon hat").
            ("adam_epsilon", ("corrected", "uncorrected")),
            # Biases of the GRU: two per gate; one for reset and update each, two for new; none on
            # the recurrent side.
            ("gru_biases", ("separate", "shared", "input")),
            # The reset gate multiplies the recurrent product after it is formed, or the state
            # before.
            ("gru_reset", ("after", "before")),
        ]
    ),
    "resnet50_features": {},
}


def full_dialect(task, dialect=None):
    """Return the form of every switch of a task: those in `dialect`, the base form elsewhere.

    Raises ValueError for a switch or a form that the reference does not know.
    """
    chosen = OrderedDict((switch, forms[0]) for switch, forms in DIALECTS[task].items())
    for switch, form in (dialect or {}).items():
        if form not in DIALECTS[task].get(switch, ()):
            raise ValueError(
                "no dialect %s=%r in %s: choose of %s" % (switch, form, task, DIALECTS[task])
            )
        chosen[switch] = form
    return chosen


# --- layers ---------------------------------------------------------------------------------------


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


def max_pool(x):
    """Return (output, cache) of a 2x2 max-pool with stride 2."""
    n, c, height, width = x.shape
    blocks = x.reshape(n, c, height // 2, 2, width // 2, 2)
    y = blocks.max(axis=(3, 5))
    return y, blocks == y[:, :, :, None, :, None]


def max_pool_backward(dy, mask):
    """Return dx. Ties all get the gradient: they are zeros of a ReLU, which stops it."""
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


# --- cifar10_cnn ----------------------------------------------------------------------------------

CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4")


def _cnn_forward(weights, x):
    caches = []
    for name in CONVOLUTIONS:
        x, cache = convolution(x, weights[name + ".weight"], weights[name + ".bias"], padding=1)
        x = np.maximum(x, 0)
        caches.append((cache, x > 0))
        if name in ("conv2", "conv4"):
            x, mask = max_pool(x)
            caches.append(mask)
    pooled = x.shape
    flat = x.reshape(len(x), -1)
    hidden = np.maximum(flat.dot(weights["fc1.weight"].T) + weights["fc1.bias"], 0)
    logits = hidden.dot(weights["fc2.weight"].T) + weights["fc2.bias"]
    return logits, (caches, pooled, flat, hidden)


def _cnn_backward(weights, dlogits, cache):
    caches, pooled, flat, hidden = cache
    gradients = {"fc2.weight": dlogits.T.dot(hidden), "fc2.bias": dlogits.sum(axis=0)}
    dhidden = dlogits.dot(weights["fc2.weight"]) * (hidden > 0)
    gradients.update({"fc1.weight": dhidden.T.dot(flat), "fc1.bias": dhidden.sum(axis=0)})
    dx = dhidden.dot(weights["fc1.weight"]).reshape(pooled)
    caches = list(caches)
    for name in reversed(CONVOLUTIONS):
        if name in ("conv2", "conv4"):
            dx = max_pool_backward(dx, caches.pop())
        convolution_cache, active = caches.pop()
        dx, dkernel, dbias = convolution_backward(
            dx * active, convolution_cache, need_dx=name != "conv1"
        )
        gradients.update({name + ".weight": dkernel, name + ".bias": dbias})
    return gradients


# --- imdb_gru -------------------------------------------------------------------------------------


def _gru_forward(weights, x, reset):
    embedded = weights["embedding.weight"][x]  # [N, steps, 125]
    inputs = embedded.dot(weights["gru.weight_ih_l0"].T) + weights["gru.bias_ih_l0"]
    kernel, bias = weights["gru.weight_hh_l0"], weights["gru.bias_hh_l0"]
    size = kernel.shape[1]
    h, caches = np.zeros((len(x), size), kernel.dtype), []
    for step in range(x.shape[1]):
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
    logits = h.dot(weights["fc.weight"].T) + weights["fc.bias"]
    return logits, (embedded, caches, h)


def _gru_step_backward(dh, kernel, cache):
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


def _gru_backward(weights, x, dlogits, cache, biases):
    embedded, caches, last = cache
    gradients = {"fc.weight": dlogits.T.dot(last), "fc.bias": dlogits.sum(axis=0)}
    kernel = weights["gru.weight_hh_l0"]
    size = kernel.shape[1]
    dinputs = np.empty(x.shape + (3 * size,), kernel.dtype)
    dkernel, dbias = np.zeros_like(kernel), np.zeros(3 * size, kernel.dtype)
    dh = dlogits.dot(weights["fc.weight"])
    for step in reversed(range(x.shape[1])):
        h = caches[step][0]
        dh, dinputs[:, step], drecurrent, factor = _gru_step_backward(dh, kernel, caches[step])
        dkernel[: 2 * size] += drecurrent[:, : 2 * size].T.dot(h)
        dkernel[2 * size :] += drecurrent[:, 2 * size :].T.dot(factor)
        dbias += drecurrent.sum(axis=0)
    # A bias that the dialect does not have gets no gradient and stays at zero.
    dbias[: {"separate": 0, "shared": 2 * size, "input": 3 * size}[biases]] = 0
    flat = dinputs.reshape(-1, 3 * size)
    dembedding = np.zeros_like(weights["embedding.weight"])
    np.add.at(dembedding, x.ravel(), flat.dot(weights["gru.weight_ih_l0"]))
    gradients.update(
        {
            "embedding.weight": dembedding,
            "gru.weight_ih_l0": flat.T.dot(embedded.reshape(len(flat), -1)),
            "gru.weight_hh_l0": dkernel,
            "gru.bias_ih_l0": flat.sum(axis=0),
            "gru.bias_hh_l0": dbias,
        }
    )
    return gradients


# --- resnet50_features ----------------------------------------------------------------------------


def _resnet_forward(weights, x, epsilon=1e-5, stride_in="conv2"):
    def convolve(x, name, normalisation, stride=1):
        kernel = weights[name + ".weight"]
        x = convolution(x, kernel, stride=stride, padding=kernel.shape[2] // 2)[0]
        gamma, beta, mean, variance = (
            weights[normalisation + part][:, None, None]
            for part in (".weight", ".bias", ".running_mean", ".running_var")
        )
        return gamma * (x - mean) / np.sqrt(variance + np.asarray(epsilon, x.dtype)) + beta

    x = np.maximum(convolve(x, "conv1", "bn1", stride=2), 0)
    padded = _pad(x, 1, -np.inf)
    x = np.maximum.reduce([padded[where] for _, _, where in _taps(3, 2, *_output_size(x, 3, 2, 1))])
    for prefix, inputs, _, outputs, stride in resnet50_blocks():
        strides = {"conv1": 1, "conv2": 1, stride_in: stride}
        branch = np.maximum(convolve(x, prefix + "conv1", prefix + "bn1", strides["conv1"]), 0)
        branch = np.maximum(convolve(branch, prefix + "conv2", prefix + "bn2", strides["conv2"]), 0)
        branch = convolve(branch, prefix + "conv3", prefix + "bn3")
        if inputs != outputs:
            x = convolve(x, prefix + "downsample.0", prefix + "downsample.1", stride)
        x = np.maximum(x + branch, 0)
    return x.mean(axis=(2, 3))


# --- the tasks ------------------------------------------------------------------------------------


def logits(task, weights, x, dialect=None):
    """Return the output in inference mode: logits [N, classes], or features [N, 2048]."""
    if task == "cifar10_cnn":
        return _cnn_forward(weights, x)[0]
    if task == "imdb_gru":
        return _gru_forward(weights, x, full_dialect(task, dialect)["gru_reset"])[0]
    return _resnet_forward(weights, x)


def loss_and_gradients(task, weights, x, y, dialect=None):
    """Return (mean cross-entropy without dropout, its gradient for every array of `weights`)."""
    if task == "cifar10_cnn":
        output, cache = _cnn_forward(weights, x)
        loss, dlogits = softmax_cross_entropy(output, y)
        return loss, _cnn_backward(weights, dlogits, cache)
    dialect = full_dialect(task, dialect)
    output, cache = _gru_forward(weights, x, dialect["gru_reset"])
    loss, dlogits = softmax_cross_entropy(output, y)
    return loss, _gru_backward(weights, x, dlogits, cache, dialect["gru_biases"])


def held_weights(task, weights, dialect=None):
    """Return the weights as this dialect holds them: biases it lacks are merged into those it has.

    Exact for the forward pass. With gru_biases="input" the recurrent bias of the new gate, which
    stands inside the product with the reset gate, has nowhere to go: it must be zero
    (`representable_weights` makes it so).
    """
    biases = full_dialect(task, dialect).get("gru_biases", "separate")
    if biases == "separate":
        return weights
    held = OrderedDict((name, array.copy()) for name, array in weights.items())
    gates = len(held["gru.bias_hh_l0"]) * 2 // 3
    held["gru.bias_ih_l0"][:gates] += held["gru.bias_hh_l0"][:gates]
    held["gru.bias_hh_l0"][:gates] = 0
    return held


def representable_weights(task, weights, dialect=None):
    """Return `weights` with what the dialect has no place for set to zero."""
    if full_dialect(task, dialect).get("gru_biases") != "input":
        return weights
    weights = OrderedDict((name, array.copy()) for name, array in weights.items())
    weights["gru.bias_hh_l0"][len(weights["gru.bias_hh_l0"]) * 2 // 3 :] = 0
    return weights


def sgd_with_momentum(weights, learning_rate, momentum):
    """Return step(gradients), which updates `weights` in place: v = momentum v + g; w -= rate v."""
    velocity = {name: np.zeros_like(array) for name, array in weights.items()}

    def step(gradients):
        for name, array in weights.items():
            velocity[name] = momentum * velocity[name] + gradients[name]
            array -= learning_rate * velocity[name]

    return step


def adam(weights, learning_rate, beta1, beta2, epsilon, epsilon_at="corrected"):
    """Return step(gradients), which updates `weights` in place. Kingma and Ba, 2015, algorithm 1.

    epsilon_at "uncorrected" is the form of the end of its section 2, with the step size corrected
    for both biases: the same but for the place of epsilon.
    """
    first = {name: np.zeros_like(array) for name, array in weights.items()}
    second = {name: np.zeros_like(array) for name, array in weights.items()}
    count = [0]

    def step(gradients):
        count[0] += 1
        correction1, correction2 = 1 - beta1 ** count[0], 1 - beta2 ** count[0]
        for name, array in weights.items():
            gradient = gradients[name]
            first[name] = beta1 * first[name] + (1 - beta1) * gradient
            second[name] = beta2 * second[name] + (1 - beta2) * gradient * gradient
            if epsilon_at == "corrected":
                root = np.sqrt(second[name] / correction2) + epsilon
            else:
                root = (np.sqrt(second[name]) + epsilon) / np.sqrt(correction2)
            array -= learning_rate / correction1 * first[name] / root

    return step


def optimizer(task, weights, dialect=None, **changed):
    """Return the task's optimiser over `weights`; `changed` replaces hyper-parameters."""
    settings = dict(TASKS[task].hyper_parameters, **changed)
    settings.pop("dropout", None)
    if task == "cifar10_cnn":
        return sgd_with_momentum(weights, **settings)
    return adam(weights, epsilon_at=full_dialect(task, dialect)["adam_epsilon"], **settings)


def train(task, weights, batches, dialect=None):
    """Return (losses, weights after them) of one step per batch, without dropout, on a copy."""
    weights = OrderedDict(
        (name, array.copy()) for name, array in held_weights(task, weights, dialect).items()
    )
    step, losses = optimizer(task, weights, dialect), []
    for x, y in batches:
        loss, gradients = loss_and_gradients(task, weights, x, y, dialect)
        step(gradients)
        losses.append(float(loss))
    return losses, weights
