"""The GRUs and the batch normalisation of Gluon, as compare.py reads them."""

import given
import mxnet as mx
from mxnet.gluon import nn, rnn


def fill(layer):
    """Give a GRU random arrays, and return its kernels, biases and names."""
    layer.initialize()
    found = {}
    for name, parameter in layer.collect_params().items():
        name = name[len(layer.prefix) :]
        found[name] = given.draw(*parameter.shape)
        parameter.set_data(mx.nd.array(found[name]))
    start = "l0_" if "l0_i2h_weight" in found else ""
    kernels = [found[start + side + "_weight"] for side in ("i2h", "h2h")]
    biases = [found[start + side + "_bias"] for side in ("i2h", "h2h")]
    return kernels, biases, found


def gru():
    x, layer = given.sequences(), rnn.GRU(given.UNITS, layout="NTC", input_size=given.INPUTS)
    parts = fill(layer)
    return given.gru(x, layer(mx.nd.array(x))[:, -1].asnumpy(), *parts)


def cell():
    x, layer = given.sequences(), rnn.GRUCell(given.UNITS, input_size=given.INPUTS)
    parts = fill(layer)
    _, states = layer.unroll(given.STEPS, mx.nd.array(x), layout="NTC")
    return given.gru(x, states[0].asnumpy(), *parts)


def batch_norm():
    x, before = given.pictures(), given.scale_shift_mean_variance()
    layer = nn.BatchNorm(in_channels=given.CHANNELS)
    layer.initialize()
    parameters = [layer.gamma, layer.beta, layer.running_mean, layer.running_var]
    for parameter, value in zip(parameters, before):
        parameter.set_data(mx.nd.array(value))
    with mx.autograd.record():
        y = layer(mx.nd.array(x))
    y.backward()  # which moves the averages
    after = [parameter.data().asnumpy() for parameter in parameters[2:]]
    names = [name[len(layer.prefix) :] for name in layer.collect_params()]
    return given.batch_norm(x, y.asnumpy(), before, after, names)


GRUS = {"rnn.GRU": gru, "rnn.GRUCell": cell}
BATCH_NORMS = {"nn.BatchNorm": batch_norm}
