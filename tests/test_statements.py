"""What the page of differences says of a framework, where a line of its own code can decide it."""

import subprocess

import pytest
from small_project import ROOT

from rosetta import registry
from rosetta.environments import build, variables
from rosetta.project import Project
from rosetta.site import families

PROJECT = Project(ROOT)
ROWS = registry.load(PROJECT)
# By row: what comes first, then for each difference what must hold.
STATEMENTS = {
    "pytorch": {
        "": "import torch\nfrom torch import nn\nx = torch.zeros(1, 1, 3, 3)",
        "pooling-edge": "nn.MaxPool2d(2)(x).shape == (1, 1, 1, 1)",
        "batch-norm-epsilon": "nn.BatchNorm2d(1).eps == 1e-5",
        "batch-norm-momentum": "nn.BatchNorm2d(1).momentum == 0.1",
        "gru-biases": "nn.GRU(2, 3).bias_hh_l0.shape == (9,)",
        "adam-epsilon": "torch.optim.Adam([x]).defaults['eps'] == 1e-8",
    },
    "tensorflow1": {
        "": "import inspect\nimport tensorflow as tf\nx = tf.zeros((1, 3, 3, 1))\n"
        "said = lambda f, name: inspect.signature(f).parameters[name].default",
        "pooling-edge": "tf.layers.max_pooling2d(x, 2, 2).shape == (1, 1, 1, 1)",
        "batch-norm-epsilon": "said(tf.layers.batch_normalization, 'epsilon') == 1e-3",
        "batch-norm-momentum": "said(tf.layers.batch_normalization, 'momentum') == 0.99",
        "inference-mode": "said(tf.layers.dropout, 'training') is False",
        "adam-epsilon": "said(tf.train.AdamOptimizer.__init__, 'epsilon') == 1e-8",
    },
    "slim": {
        "": "import inspect\nimport tensorflow as tf\nfrom tensorflow.contrib import slim\n"
        "from tensorflow.contrib.slim.nets import resnet_utils\nx = tf.zeros((1, 3, 3, 1))\n"
        "said = lambda f, name: inspect.signature(f).parameters[name].default\n"
        "resnet = lambda name: said(resnet_utils.resnet_arg_scope, name)",
        "pooling-edge": "slim.max_pool2d(x, 2).shape == (1, 1, 1, 1)",
        "batch-norm-epsilon": "said(slim.batch_norm, 'epsilon') == 1e-3"
        " and resnet('batch_norm_epsilon') == 1e-5",
        "batch-norm-momentum": "said(slim.batch_norm, 'decay') == 0.999"
        " and resnet('batch_norm_decay') == 0.997",
        "inference-mode": "said(slim.dropout, 'is_training') is True",
    },
    "tflearn": {
        "": "import inspect\nimport tensorflow as tf\nimport tflearn\nx = tf.zeros((1, 3, 3, 1))\n"
        "said = lambda f, name: inspect.signature(f).parameters[name].default",
        "padding": "said(tflearn.conv_2d, 'padding') == 'same'",
        "pooling-edge": "tflearn.max_pool_2d(x, 2).shape == (1, 2, 2, 1)",
        "batch-norm-epsilon": "said(tflearn.batch_normalization, 'epsilon') == 1e-5",
        "batch-norm-momentum": "said(tflearn.batch_normalization, 'decay') == 0.9",
        "adam-epsilon": "said(tflearn.Adam.__init__, 'epsilon') == 1e-8",
        "softmax": "said(tflearn.regression, 'loss') == 'categorical_crossentropy'"
        " and said(tflearn.DNN.__init__, 'clip_gradients') == 5.0",
    },
    "keras-pytorch": {
        "": "import keras\nfrom keras import layers, ops\nx = ops.zeros((1, 3, 3, 1))",
        "pooling-edge": "tuple(layers.MaxPooling2D(2)(x).shape) == (1, 1, 1, 1)",
        "batch-norm-epsilon": "layers.BatchNormalization().epsilon == 1e-3",
        "batch-norm-momentum": "layers.BatchNormalization().momentum == 0.99",
        "reset-gate": "layers.GRU(3).reset_after",
        "adam-epsilon": "keras.optimizers.Adam().epsilon == 1e-7",
    },
    "flax": {
        "": "import jax.numpy as jnp\nfrom flax import nnx\nrngs = nnx.Rngs(0)",
        "pooling-edge": "nnx.max_pool(jnp.zeros((1, 3, 3, 1)), (2, 2), (2, 2)).size == 1",
        "batch-norm-epsilon": "nnx.BatchNorm(1, rngs=rngs).epsilon == 1e-5",
        "batch-norm-momentum": "nnx.BatchNorm(1, rngs=rngs).momentum == 0.99",
        "gru-biases": "nnx.GRUCell(2, 3, rngs=rngs).dense_h.bias is None",
        "sequence-layout": "nnx.RNN(nnx.GRUCell(2, 3, rngs=rngs)).time_major is False",
    },
    "chainer": {
        "": "import numpy as np\nimport chainer.functions as F\nimport chainer.links as L\n"
        "import chainer\nx = np.zeros((1, 1, 3, 3), 'f')",
        "pooling-edge": "F.max_pooling_2d(x, 2).shape == (1, 1, 2, 2)",
        "batch-norm-epsilon": "L.BatchNormalization(1).eps == 2e-5",
        "batch-norm-momentum": "L.BatchNormalization(1).decay == 0.9",
        "gru-biases": "[len(layer.b0) for layer in L.NStepGRU(1, 2, 3, 0)] == [3]",
        "adam-epsilon": "chainer.optimizers.Adam().hyperparam.eps == 1e-8",
    },
    "gluon": {
        "": "import mxnet as mx\nfrom mxnet.gluon import nn, rnn\nx = mx.nd.zeros((1, 1, 3, 3))",
        "pooling-edge": "nn.MaxPool2D(2)(x).shape == (1, 1, 1, 1)",
        "batch-norm-epsilon": "nn.BatchNorm()._kwargs['eps'] == 1e-5",
        "batch-norm-momentum": "nn.BatchNorm()._kwargs['momentum'] == 0.9",
        "gru-biases": "rnn.GRU(3, input_size=2).l0_h2h_bias.shape == (9,)",
    },
}


@pytest.mark.notebooks
@pytest.mark.parametrize("row", STATEMENTS)
def test_statements_hold_in_the_environment_of_the_row(row: str) -> None:
    framework = ROWS[row]
    first, *others = STATEMENTS[row].items()
    lines = [first[1], *(f"assert {code}, {name!r}" for name, code in others)]
    python = build.ensure(PROJECT, framework, "cpu", print)
    done = subprocess.run(
        [str(python), "-c", "\n".join(lines)],
        env={**variables.resolve(framework.variables, "cpu"), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-1500:]


@pytest.mark.parametrize("row", STATEMENTS)
def test_what_is_tested_is_said(row: str) -> None:
    told = families.load(PROJECT, ROWS.values())[ROWS[row].notebook or ""]
    assert set(STATEMENTS[row]) - {""} <= set(told.differences)
