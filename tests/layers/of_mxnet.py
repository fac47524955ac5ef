"""The GRUs and the batch normalisation of MXNet's symbols, as compare.py reads them."""

import given
import mxnet as mx
import numpy as np


def bound(symbol, x):
    """Return a symbol that is bound, its arguments random, and those arguments."""
    executor = symbol.simple_bind(mx.cpu(), data=x.shape)
    arguments = {name: given.draw(*each.shape) for name, each in executor.arg_dict.items()}
    executor.copy_params_from({name: mx.nd.array(each) for name, each in arguments.items()})
    executor.arg_dict["data"][:] = x
    del arguments["data"]
    return executor, arguments


def fused_cell():
    x, cell = given.sequences(), mx.rnn.FusedRNNCell(given.UNITS, mode="gru", get_next_state=True)
    _, states = cell.unroll(given.STEPS, mx.sym.Variable("data"), layout="NTC", merge_outputs=True)
    executor, arguments = bound(mx.sym.squeeze(states[0], axis=0), x)
    sizes = [3 * given.UNITS * given.INPUTS, 3 * given.UNITS * given.UNITS, 3 * given.UNITS]
    parts = np.split(arguments["gru_parameters"], np.cumsum(sizes))
    kernels = [part.reshape(3 * given.UNITS, -1) for part in parts[:2]]
    last = executor.forward(is_train=False)[0].asnumpy()
    return given.gru(x, last, kernels, parts[2:], arguments)


def cell():
    x, cell = given.sequences(), mx.rnn.GRUCell(given.UNITS)
    _, states = cell.unroll(given.STEPS, mx.sym.Variable("data"), layout="NTC")
    executor, arguments = bound(states[0], x)
    kernels = [arguments["gru_%s_weight" % side] for side in ("i2h", "h2h")]
    biases = [arguments["gru_%s_bias" % side] for side in ("i2h", "h2h")]
    last = executor.forward(is_train=False)[0].asnumpy()
    return given.gru(x, last, kernels, biases, arguments)


def batch_norm():
    x, (scale, shift, mean, variance) = given.pictures(), given.scale_shift_mean_variance()
    executor, arguments = bound(mx.sym.BatchNorm(mx.sym.Variable("data"), name="bn"), x)
    kept = executor.aux_dict
    values = {"bn_gamma": scale, "bn_beta": shift}
    values.update({"bn_moving_mean": mean, "bn_moving_var": variance})
    for name, value in values.items():
        dict(executor.arg_dict, **kept)[name][:] = value
    y = executor.forward(is_train=True)[0].asnumpy()
    executor.backward(mx.nd.zeros(x.shape))  # which moves the averages
    after = [kept["bn_moving_mean"].asnumpy(), kept["bn_moving_var"].asnumpy()]
    names = [name[len("bn_") :] for name in [*arguments, *kept]]
    before = [np.ones_like(scale), shift, mean, variance]  # fix_gamma: the scale is not gamma
    return given.batch_norm(x, y, before, after, names)


GRUS = {"rnn.FusedRNNCell": fused_cell, "rnn.GRUCell": cell}
BATCH_NORMS = {"sym.BatchNorm": batch_norm}
