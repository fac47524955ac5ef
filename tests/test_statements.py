"""What the page of differences says of a framework, where a line of its own code can decide it."""

import signal
import subprocess

import pytest
from small_project import ROOT

from rosetta import registry
from rosetta.environments import build, processor, variables
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
    "mxnet": {
        "": "import inspect\nimport mxnet as mx\nx = mx.nd.zeros((1, 1, 3, 3))\n"
        "data = mx.sym.Variable('data')\n"
        "said = lambda f, name: inspect.signature(f).parameters[name].default\n"
        "of = lambda f, name: next(s for s in f.__doc__.splitlines() if s.startswith(name))",
        "dense-kernel": "mx.sym.FullyConnected(data, num_hidden=3, name='fc')"
        ".infer_shape(data=(1, 2))[0][1] == (3, 2)",
        "convolution-kernel": "mx.sym.Convolution(data, kernel=(3, 3), num_filter=5, name='c')"
        ".infer_shape(data=(1, 2, 4, 4))[0][1] == (5, 2, 3, 3)",
        "pooling-edge": "mx.nd.Pooling(x, kernel=(2, 2), stride=(2, 2)).shape == (1, 1, 1, 1)",
        "batch-norm-epsilon": "'default=0.001' in of(mx.sym.BatchNorm, 'eps :')"
        " and 'default=1' in of(mx.sym.BatchNorm, 'fix_gamma :')",
        "batch-norm-momentum": "'default=0.899999' in of(mx.sym.BatchNorm, 'momentum :')",
        "adam-epsilon": "said(mx.optimizer.Adam.__init__, 'epsilon') == 1e-8",
        "lazy-adam": "said(mx.optimizer.Adam.__init__, 'lazy_update') is True"
        " and 'default=0' in of(mx.sym.Embedding, 'sparse_grad :')",
        "initialiser": "said(mx.init.Uniform.__init__, 'scale') == 0.07"
        " and said(mx.mod.Module.init_params, 'initializer')._kwargs['scale'] == 0.01",
    },
    "cntk": {
        "": "import inspect\nimport cntk as C\nx = C.input_variable((1, 3, 3))\n"
        "said = lambda f, name: inspect.signature(f).parameters[name].default\n"
        "batch = C.layers.BatchNormalization",
        "dense-kernel": "C.layers.Dense(3)(C.input_variable((5, 2, 2))).W.shape == (5, 2, 2, 3)",
        "convolution-kernel": "C.layers.Convolution2D((3, 3), 5)(x).W.shape == (5, 1, 3, 3)",
        "pooling-edge": "C.layers.MaxPooling((2, 2), strides=2)(x).shape == (1, 1, 1)",
        "batch-norm-epsilon": "said(batch, 'epsilon').value == 1e-5",
        "batch-norm-momentum": "said(batch, 'normalization_time_constant').value == 5000",
        "gru-biases": "C.layers.GRU(3)(C.input_variable(3), C.input_variable(2)).b.shape == (9,)",
        "momentum": "C.default_unit_gain_value() is True",
        "adam-epsilon": "said(C.adam, 'epsilon') == 1e-8",
    },
    "tensorflow": {
        "": "import inspect\nimport tensorflow as tf\nx = tf.zeros((1, 3, 3, 1))\n"
        "said = lambda f, name: inspect.signature(f).parameters[name].default",
        "pooling-edge": "tf.nn.max_pool2d(x, 2, 2, 'VALID').shape == (1, 1, 1, 1)",
        "batch-norm-epsilon": "said(tf.nn.batch_normalization, 'variance_epsilon')"
        " is inspect.Parameter.empty",
        "inference-mode": "'training' not in inspect.signature(tf.nn.dropout).parameters",
        "loss-scale": "tf.nn.sparse_softmax_cross_entropy_with_logits([0, 1], [[0.0, 1.0]] * 2)"
        ".shape == (2,)",
    },
    "keras2-tensorflow": {
        "": "from keras import backend as K, layers, optimizers",
        "pooling-edge": "layers.MaxPooling2D(2).compute_output_shape((1, 3, 3, 1)) == (1, 1, 1, 1)",
        "batch-norm-epsilon": "layers.BatchNormalization().epsilon == 1e-3",
        "batch-norm-momentum": "layers.BatchNormalization().momentum == 0.99",
        "reset-gate": "layers.GRU(3).reset_after is False"
        " and layers.GRU(3).recurrent_activation is layers.Activation('sigmoid').activation",
        "adam-epsilon": "optimizers.Adam().epsilon == 1e-7",
        "initialiser": "layers.Dense(1).kernel_initializer.distribution == 'uniform'"
        " and layers.Dense(1).kernel_initializer.mode == 'fan_avg'",
    },
    "lasagne": {
        "": "import inspect\nimport numpy as np\nimport theano\nimport lasagne\n"
        "from lasagne import layers\n"
        "said = lambda f, name: inspect.signature(f).parameters[name].default\n"
        "convolution = layers.Conv2DLayer((1, 1, 2, 2), 1, 2, nonlinearity=None,"
        " W=np.arange(4, dtype='f').reshape(1, 1, 2, 2))\n"
        "x = np.arange(4, dtype='f').reshape(1, 1, 2, 2)",
        "convolution-kernel": "convolution.get_output_for(theano.tensor.as_tensor_variable(x))"
        ".eval().item() == x.ravel().dot(x.ravel()[::-1])"
        " and not hasattr(convolution, 'flip_filters')",
        "dense-kernel": "layers.DenseLayer((1, 2), 3).W.get_value().shape == (2, 3)",
        "flatten-layer": "layers.DenseLayer((1, 2, 5, 5), 3).W.get_value().shape == (50, 3)",
        "pooling-edge": "layers.MaxPool2DLayer((1, 1, 3, 3), 2).output_shape == (1, 1, 1, 1)",
        "batch-norm-epsilon": "not hasattr(layers, 'BatchNormLayer')",
        "gru-biases": "len([p for p in layers.GRULayer((1, 2, 3), 4).get_params()"
        " if p.name and p.name.startswith('b_')]) == 3",
        "adam-epsilon": "said(lasagne.updates.adam, 'epsilon') == 1e-8",
        "initialiser": "isinstance(said(layers.DenseLayer.__init__, 'W'),"
        " lasagne.init.GlorotUniform)",
    },
    "sonnet": {
        "": "import inspect\nimport sonnet as snt\nimport tensorflow as tf\n"
        "said = lambda f, name: inspect.signature(f).parameters[name].default\n"
        "gru, dense = snt.GRU(3), snt.Linear(3)\n"
        "state = gru(tf.zeros((1, 2)), gru.initial_state(1))\nresult = dense(tf.zeros((1, 2)))",
        "dense-kernel": "dense.w.shape == (2, 3)",
        "gru-biases": "sorted(tuple(v.shape) for v in gru.variables) == [(2, 9), (3, 9), (9,)]",
        "adam-epsilon": "said(snt.optimizers.Adam.__init__, 'epsilon') == 1e-8",
        "lazy-adam": "said(snt.Embed.__init__, 'densify_gradients') is False",
        "inference-mode": "said(snt.Dropout.__call__, 'is_training') is inspect.Parameter.empty",
        "initialiser": "isinstance(dense.w_init, snt.initializers.TruncatedNormal)",
    },
    "dynet": {
        "": "import dynet as dy\nimport numpy as np\nmodel = dy.ParameterCollection()\n"
        "gru = dy.GRUBuilder(1, 2, 3, model)\ntrainer = dy.AdamTrainer(model)\n"
        "x = dy.inputTensor(np.zeros((3, 3, 1)))",
        "pooling-edge": "dy.maxpooling2d(x, [2, 2], [2, 2]).dim() == ((1, 1, 1), 1)",
        "gru-biases": "sorted(p.shape() for p in model.parameters_list() if len(p.shape()) == 1)"
        " == [(3,)] * 3",
        "lazy-adam": "trainer.get_clip_threshold() == 5",
    },
    "caffe2": {
        "": "import inspect\nimport numpy as np\n"
        "from caffe2.python import core, gru_cell, optimizer, workspace\n"
        "said = lambda f, name: inspect.signature(f).parameters[name].default\n"
        "workspace.FeedBlob('x', np.zeros((1, 1, 3, 3), 'f'))\n"
        "pool = core.CreateOperator('MaxPool', 'x', 'y', kernel=2, stride=2)\n"
        "done = workspace.RunOperatorOnce(pool)\n"
        "adam = optimizer.AdamOptimizer.__init__",
        "pooling-edge": "workspace.FetchBlob('y').shape == (1, 1, 1, 1)",
        "reset-gate": "said(gru_cell.GRUCell.__init__, 'linear_before_reset') is False",
        "adam-epsilon": "said(adam, 'epsilon') == 1e-8",
    },
}


@pytest.mark.notebooks
@pytest.mark.parametrize("row", STATEMENTS)
def test_statements_hold_in_the_environment_of_the_row(row: str) -> None:
    first, *others = STATEMENTS[row].items()
    lines = [first[1], *(f"assert {code}, {name!r}" for name, code in others)]
    done = run_in(row, "\n".join(lines))
    assert done.returncode == 0, done.stderr[-1500:]


def run_in(row: str, code: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run code in the environment of a row, with its variables and more."""
    python = build.ensure(PROJECT, ROWS[row], "cpu", print)
    env = {**variables.resolve(ROWS[row].variables, "cpu"), "PATH": "", **more}
    return subprocess.run([str(python), "-c", code], env=env, capture_output=True, text=True)


CNTK_STEP = """
import cntk, numpy as np
x, y = cntk.input_variable((3, 8, 8)), cntk.input_variable(10)
model = cntk.layers.Dense(10)(cntk.layers.Convolution2D((3, 3), 5, pad=True)(x))
model.eval({x: np.ones((4, 3, 8, 8), np.float32)})
loss = cntk.cross_entropy_with_softmax(model, y)
learner = cntk.sgd(model.parameters, cntk.learning_parameter_schedule(0.1))
data = {x: np.ones((4, 3, 8, 8), np.float32), y: np.eye(10, dtype=np.float32)[:4]}
cntk.Trainer(model, (loss, None), [learner]).train_minibatch(data)
"""


@pytest.mark.notebooks
@pytest.mark.parametrize(("threads", "code"), [("1", -signal.SIGFPE), ("2", 0)])
def test_cntk_needs_two_threads(threads: str, code: int) -> None:
    assert run_in("cntk", CNTK_STEP, OMP_NUM_THREADS=threads).returncode == code


GLUON_FOLDS = """
import mxnet as mx
from mxnet.gluon import nn

compiled = {"backend": "MKLDNN", "static_alloc": True, "static_shape": True}
x = mx.nd.random.uniform(shape=(1, 8, 4, 4))
model = nn.HybridSequential()
model.add(nn.Conv2D(8, 3, in_channels=8), nn.BatchNorm(in_channels=8))
model.initialize()
model.hybridize(**compiled)
before = model(x).asnumpy()
model[1].gamma.set_data(2 * model[1].gamma.data())
later = model(x).asnumpy()
model.hybridize(**compiled)
again = model(x).asnumpy()
assert abs(again - 2 * before).max() < 1e-5, (before, again)
assert abs(later - again).max() > 1e-3, (later, again)
"""


@pytest.mark.notebooks
def test_what_gluons_backend_folded_does_not_follow_a_parameter() -> None:
    """Why `load_weights` of Gluon's ResNet-50 hybridizes again."""
    done = run_in("gluon", GLUON_FOLDS)
    assert done.returncode == 0, done.stderr[-1500:]


BLAS_KERNELS = """
import ctypes
import {module}
loaded = {{line.split()[-1] for line in open("/proc/self/maps") if "libopenblas" in line}}
(file,) = [each for each in loaded if {folder!r} in each]
library = ctypes.CDLL(file)
name = next(each for each in ("openblas_get_corename64_", "openblas_get_corename")
            if hasattr(library, each))
ask = getattr(library, name)
ask.restype = ctypes.c_char_p
print(ask().decode())
"""


@pytest.mark.notebooks
@pytest.mark.skipif(not processor.has("avx512f"), reason="the rows name it where it is one")
@pytest.mark.parametrize(
    ("row", "module", "folder", "kernels"),
    [
        ("chainer", "chainer", "/numpy", "SkylakeX"),
        ("lasagne", "theano", "/numpy", "SkylakeX"),
        # Built without those of AVX-512.
        ("keras2-mxnet", "mxnet", "/mxnet/", "Haswell"),
    ],
)
def test_openblas_takes_the_kernels_that_the_row_names(
    row: str, module: str, folder: str, kernels: str
) -> None:
    code = BLAS_KERNELS.format(module=module, folder=folder)
    assert run_in(row, code).stdout.strip() == kernels
    oldest = run_in(row, code, OPENBLAS_CORETYPE="Prescott")
    assert oldest.stdout.strip() == "Prescott", oldest.stderr[-1500:]


@pytest.mark.parametrize("row", STATEMENTS)
def test_what_is_tested_is_said(row: str) -> None:
    told = families.load(PROJECT, ROWS.values())[ROWS[row].notebook or ""]
    assert set(STATEMENTS[row]) - {""} <= set(told.differences)
