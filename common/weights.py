"""Canonical weights: PyTorch's names, shapes and layout, drawn from streams that never change.

A set of weights is a dict of float32 arrays. Convolutions are [out, in, height, width]; dense
kernels [out, in], the flattened input in channel, row, column order; the GRU's gates are stacked in
the order reset, update, new.
"""

import os
from collections import OrderedDict

import numpy as np

from . import data
from .tasks import resnet50_blocks


def _cifar10_cnn_shapes():
    shapes = OrderedDict()
    layers = [("conv1", 50, (3, 3, 3)), ("conv2", 50, (50, 3, 3)), ("conv3", 100, (50, 3, 3))]
    layers += [("conv4", 100, (100, 3, 3)), ("fc1", 512, (6400,)), ("fc2", 10, (512,))]
    for name, outputs, inputs in layers:
        shapes[name + ".weight"] = (outputs,) + inputs
        shapes[name + ".bias"] = (outputs,)
    return shapes


def _imdb_gru_shapes():
    return OrderedDict(
        [
            ("embedding.weight", (30000, 125)),
            ("gru.weight_ih_l0", (300, 125)),
            ("gru.weight_hh_l0", (300, 100)),
            ("gru.bias_ih_l0", (300,)),
            ("gru.bias_hh_l0", (300,)),
            ("fc.weight", (2, 100)),
            ("fc.bias", (2,)),
        ]
    )


def _resnet50_features_shapes():
    shapes = OrderedDict()

    def convolution(prefix, index, outputs, inputs, kernel):
        shapes["%sconv%d.weight" % (prefix, index)] = (outputs, inputs, kernel, kernel)
        batch_norm("%sbn%d" % (prefix, index), outputs)

    def batch_norm(name, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes["%s.%s" % (name, part)] = (channels,)

    convolution("", 1, 64, 3, 7)
    for prefix, inputs, width, outputs, _ in resnet50_blocks():
        convolution(prefix, 1, width, inputs, 1)
        convolution(prefix, 2, width, width, 3)
        convolution(prefix, 3, outputs, width, 1)
        if inputs != outputs:
            shapes[prefix + "downsample.0.weight"] = (outputs, inputs, 1, 1)
            batch_norm(prefix + "downsample.1", outputs)
    return shapes


# Per task: the name of every array and its shape, in canonical order.
SPECS = {
    "cifar10_cnn": _cifar10_cnn_shapes(),
    "imdb_gru": _imdb_gru_shapes(),
    "resnet50_features": _resnet50_features_shapes(),
}


def _glorot_uniform(random, shape, gain=1.0):
    receptive_field = int(np.prod(shape[2:]))
    limit = gain * np.sqrt(6.0 / ((shape[0] + shape[1]) * receptive_field))
    return random.uniform(-limit, limit, shape).astype(np.float32)


def _fill(spec, draw):
    return OrderedDict((name, draw(name, shape)) for name, shape in spec.items())


def initial_weights(task, seed=0):
    """Return what training starts from: Glorot-uniform kernels and zero biases.

    Each gate of the GRU is a kernel of its own, though they lie stacked in one array.
    For resnet50_features: what is published, or random where that is not on disk, as `weights_kind`
    says.
    """
    if task == "resnet50_features":
        return (
            _published_resnet50()
            if weights_kind(task) == "pretrained"
            else check_weights(task, seed)
        )
    random = np.random.RandomState(seed)

    def draw(name, shape):
        if len(shape) == 1:
            return np.zeros(shape, np.float32)
        gates = 3 if name.startswith("gru.") else 1
        kernel = (shape[0] // gates,) + shape[1:]
        return np.concatenate([_glorot_uniform(random, kernel) for _ in range(gates)])

    return _fill(SPECS[task], draw)


def check_weights(task, seed=1):
    """Return weights that are all random, batch-norm statistics too: zero biases hide bugs."""
    random = np.random.RandomState(seed)

    def draw(name, shape):
        if name.endswith("bn3.weight"):
            # The last scale of a residual branch is kept small, or sixteen sums would let the
            # activations explode.
            return random.uniform(0.1, 0.5, shape).astype(np.float32)
        if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
            return random.uniform(0.5, 1.5, shape).astype(np.float32)
        if name == "embedding.weight":
            return random.uniform(-0.5, 0.5, shape).astype(np.float32)
        if len(shape) == 1:
            return random.uniform(-0.2, 0.2, shape).astype(np.float32)
        # sqrt(2) makes up for the half of the activations that a ReLU removes.
        return _glorot_uniform(random, shape, gain=1.0 if task == "imdb_gru" else np.sqrt(2.0))

    return _fill(SPECS[task], draw)


def weights_kind(task):
    """Return "pretrained" or "random" for resnet50_features, "initial" for the tasks that train."""
    if task != "resnet50_features":
        return "initial"
    return (
        "pretrained"
        if os.path.exists(os.path.join(data.folder(), "resnet50", "dataset.json"))
        else "random"
    )


def _published_resnet50():
    flat = np.load(os.path.join(data.folder(), "resnet50", "weights.npy"), mmap_mode="r")
    weights, start = OrderedDict(), 0
    for name, shape in SPECS["resnet50_features"].items():
        stop = start + int(np.prod(shape))
        weights[name] = np.array(flat[start:stop]).reshape(shape)
        start = stop
    return weights
