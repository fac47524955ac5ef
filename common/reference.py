"""The specification in NumPy: each network forward and backward, the optimisers, the dialects.

Every function computes in the precision of the weights it is given; the checks use float64.
Pictures are [N, channels, height, width], activations of the GRU [N, features].
"""

from collections import OrderedDict

import numpy as np

from .layers import (
    add_rows,
    batch_norm,
    convolution,
    convolution_backward,
    gru,
    gru_step_backward,
    max_pool,
    max_pool_backward,
    overlapping_max_pool,
    softmax_cross_entropy,
)
from .optimizers import adam, sgd_with_momentum
from .tasks import TASKS, resnet50_blocks

# What a framework may do otherwise, per task: the first form is the base form.
DIALECTS = {
    "cifar10_cnn": OrderedDict(
        [
            # What gets the gradient of a max-pool where several numbers of a window are the
            # largest: one of them (or each a share of it), or each all of it. Most are zeros of a
            # ReLU, which stops it; those of an area of one colour are not.
            ("pool_ties", ("one", "each")),
        ]
    ),
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


# --- cifar10_cnn ----------------------------------------------------------------------------------

CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4")
POOLED = ("conv2", "conv4")


def dropout_masks(random, examples, rates, dtype):
    """Return the masks of one training step: 1/(1-p) where a number is kept, else 0.

    rates: of the three dropouts. Shapes [N, 50, 16, 16], [N, 100, 8, 8], [N, 512].
    """
    shapes = [(examples, 50, 16, 16), (examples, 100, 8, 8), (examples, 512)]
    return [
        (random.uniform(size=shape) >= rate).astype(dtype) / np.asarray(1 - rate, dtype)
        for shape, rate in zip(shapes, rates)
    ]


def _cnn_forward(weights, x, masks=None, ties="one"):
    caches, first, second, third = [], *(masks or (1, 1, 1))
    for name in CONVOLUTIONS:
        x, cache = convolution(x, weights[name + ".weight"], weights[name + ".bias"], padding=1)
        x = np.maximum(x, 0)
        caches.append((cache, x > 0))
        if name in POOLED:
            x, largest = max_pool(x, ties)
            mask = first if name == "conv2" else second
            x = x * mask
            caches.append((largest, mask))
    pooled = x.shape
    flat = x.reshape(len(x), -1)
    active = np.maximum(flat.dot(weights["fc1.weight"].T) + weights["fc1.bias"], 0)
    hidden = active * third
    logits = hidden.dot(weights["fc2.weight"].T) + weights["fc2.bias"]
    return logits, (caches, pooled, flat, hidden, (active > 0) * third)


def _cnn_backward(weights, dlogits, cache):
    caches, pooled, flat, hidden, passed = cache
    gradients = {"fc2.weight": dlogits.T.dot(hidden), "fc2.bias": dlogits.sum(axis=0)}
    dhidden = dlogits.dot(weights["fc2.weight"]) * passed
    gradients.update({"fc1.weight": dhidden.T.dot(flat), "fc1.bias": dhidden.sum(axis=0)})
    dx = dhidden.dot(weights["fc1.weight"]).reshape(pooled)
    caches = list(caches)
    for name in reversed(CONVOLUTIONS):
        if name in POOLED:
            largest, mask = caches.pop()
            dx = max_pool_backward(dx * mask, largest)
        convolution_cache, active = caches.pop()
        dx, dkernel, dbias = convolution_backward(
            dx * active, convolution_cache, need_dx=name != "conv1"
        )
        gradients.update({name + ".weight": dkernel, name + ".bias": dbias})
    return gradients


# --- imdb_gru -------------------------------------------------------------------------------------


def _gru_backward(weights, x, dlogits, embedded, last, caches, biases):
    gradients = {"fc.weight": dlogits.T.dot(last), "fc.bias": dlogits.sum(axis=0)}
    kernel = weights["gru.weight_hh_l0"]
    size = kernel.shape[1]
    dinputs = np.empty(x.shape + (3 * size,), kernel.dtype)
    dkernel, dbias = np.zeros_like(kernel), np.zeros(3 * size, kernel.dtype)
    dh = dlogits.dot(weights["fc.weight"])
    for step in reversed(range(x.shape[1])):
        h = caches[step][0]
        dh, dinputs[:, step], drecurrent, factor = gru_step_backward(dh, kernel, caches[step])
        dkernel[: 2 * size] += drecurrent[:, : 2 * size].T.dot(h)
        dkernel[2 * size :] += drecurrent[:, 2 * size :].T.dot(factor)
        dbias += drecurrent.sum(axis=0)
    # A bias that the dialect does not have gets no gradient and stays at zero.
    dbias[: {"separate": 0, "shared": 2 * size, "input": 3 * size}[biases]] = 0
    flat = dinputs.reshape(-1, 3 * size)
    dembedded = flat.dot(weights["gru.weight_ih_l0"])
    gradients.update(
        {
            "embedding.weight": add_rows(x.ravel(), dembedded, len(weights["embedding.weight"])),
            "gru.weight_ih_l0": flat.T.dot(embedded.reshape(len(flat), -1)),
            "gru.weight_hh_l0": dkernel,
            "gru.bias_ih_l0": flat.sum(axis=0),
            "gru.bias_hh_l0": dbias,
        }
    )
    return gradients


# --- resnet50_features ----------------------------------------------------------------------------


def _convolution_and_norm(weights, x, convolution_name, norm_name, stride=1):
    kernel = weights[convolution_name + ".weight"]
    x = convolution(x, kernel, stride=stride, padding=kernel.shape[2] // 2)[0]
    return batch_norm(weights, norm_name, x)


def _resnet_stem(weights, x):
    return np.maximum(_convolution_and_norm(weights, x, "conv1", "bn1", stride=2), 0)


def _resnet_layer(weights, x, layer):
    for prefix, inputs, _, outputs, stride in resnet50_blocks():
        if not prefix.startswith(layer + "."):
            continue
        branch = np.maximum(_convolution_and_norm(weights, x, prefix + "conv1", prefix + "bn1"), 0)
        branch = np.maximum(
            _convolution_and_norm(weights, branch, prefix + "conv2", prefix + "bn2", stride), 0
        )
        branch = _convolution_and_norm(weights, branch, prefix + "conv3", prefix + "bn3")
        if inputs != outputs:
            names = prefix + "downsample.0", prefix + "downsample.1"
            x = _convolution_and_norm(weights, x, *names, stride=stride)
        x = np.maximum(x + branch, 0)
    return x


# --- layer by layer -------------------------------------------------------------------------------

# The layers that have a name of their own, in order, per task.
LAYERS = {
    "cifar10_cnn": ("conv1", "conv2", "conv3", "conv4", "fc1", "fc2"),
    "imdb_gru": ("embedding", "gru", "fc"),
    "resnet50_features": ("bn1", "layer1", "layer2", "layer3", "layer4", "features"),
}
# A ReLU follows these. It may stand in the layer, after it or after the pool behind it.
RECTIFIED = ("conv1", "conv2", "conv3", "conv4", "fc1", "bn1")


def layer(task, weights, name, x, dialect=None):
    """Return the output of one layer, after its ReLU if it has one, in inference mode.

    x: the output of the layer before it as this function returns it, or the network's input. A
    max-pool belongs to the layer that follows it.
    """
    if task == "resnet50_features":
        if name == "bn1":
            return _resnet_stem(weights, x)
        if name == "features":
            return x.mean(axis=(2, 3))
        return _resnet_layer(weights, overlapping_max_pool(x) if name == "layer1" else x, name)
    if name == "embedding":
        return weights["embedding.weight"][x]
    if name == "gru":
        return gru(weights, x, full_dialect(task, dialect)["gru_reset"])[0]
    if name in ("conv3", "fc1"):
        x = max_pool(x)[0]
    kernel, bias = weights[name + ".weight"], weights[name + ".bias"]
    if name.startswith("conv"):
        y = convolution(x, kernel, bias, padding=1)[0]
    else:
        y = x.reshape(len(x), -1).dot(kernel.T) + bias
    return np.maximum(y, 0) if name in RECTIFIED else y


def activations(task, weights, x, dialect=None):
    """Return {layer: its output} of all layers for x, see `layer`; the last is the network's."""
    outputs = OrderedDict()
    for name in LAYERS[task]:
        x = outputs[name] = layer(task, weights, name, x, dialect)
    return outputs


# --- the tasks ------------------------------------------------------------------------------------

EXAMPLES_AT_ONCE = 64  # keeps the working set small, whatever N is


def logits(task, weights, x, dialect=None):
    """Return the output in inference mode: logits [N, classes], or features [N, 2048]."""
    parts = [x[i : i + EXAMPLES_AT_ONCE] for i in range(0, len(x), EXAMPLES_AT_ONCE)]
    last = LAYERS[task][-1]
    return np.concatenate([activations(task, weights, part, dialect)[last] for part in parts])


def loss_and_gradients(task, weights, x, y, dialect=None, masks=None):
    """Return (mean cross-entropy, its gradient for every array of `weights`).

    masks: of the dropouts of cifar10_cnn, from `dropout_masks`; None drops nothing out.
    """
    dialect = full_dialect(task, dialect)
    if task == "cifar10_cnn":
        output, cache = _cnn_forward(weights, x, masks, dialect["pool_ties"])
        loss, dlogits = softmax_cross_entropy(output, y)
        return loss, _cnn_backward(weights, dlogits, cache)
    embedded = weights["embedding.weight"][x]
    last, caches = gru(weights, embedded, dialect["gru_reset"])
    output = last.dot(weights["fc.weight"].T) + weights["fc.bias"]
    loss, dlogits = softmax_cross_entropy(output, y)
    biases = dialect["gru_biases"]
    return loss, _gru_backward(weights, x, dlogits, embedded, last, caches, biases)


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


def optimizer(task, weights, dialect=None, **changed):
    """Return the task's optimiser over `weights`; `changed` replaces hyper-parameters."""
    settings = dict(TASKS[task].hyper_parameters, **changed)
    settings.pop("dropout", None)
    if task == "cifar10_cnn":
        return sgd_with_momentum(weights, **settings)
    return adam(weights, epsilon_at=full_dialect(task, dialect)["adam_epsilon"], **settings)


def train(task, weights, batches, dialect=None, dropout_random=None):
    """Return (losses, weights after them) of one training step per batch, on a copy of `weights`.

    dropout_random: a numpy.random.RandomState to draw the masks of cifar10_cnn from; None: no
    dropout.
    """
    weights = OrderedDict(
        (name, array.copy()) for name, array in held_weights(task, weights, dialect).items()
    )
    step, losses, masks = optimizer(task, weights, dialect), [], None
    for x, y in batches:
        if dropout_random is not None:
            rates = TASKS[task].hyper_parameters["dropout"]
            masks = dropout_masks(dropout_random, len(x), rates, x.dtype)
        loss, gradients = loss_and_gradients(task, weights, x, y, dialect, masks)
        step(gradients)
        losses.append(float(loss))
    return losses, weights
