"""The GRUs and the batch normalisation of Chainer, as compare.py reads them."""

import chainer
import chainer.functions as F  # noqa: N812
import chainer.links as L  # noqa: N812, its users' name for it
import given
import numpy as np


def fill(link):
    for parameter in link.params():
        parameter.array[...] = given.draw(*parameter.shape)


def n_step_gru():
    x, link = given.sequences(), L.NStepGRU(1, given.INPUTS, given.UNITS, 0)
    fill(link)
    found = {name.split("/")[-1]: each.array for name, each in link.namedparams()}
    last, _ = link(None, list(x))
    kernels = [np.concatenate([found["w%d" % i] for i in side]) for side in (range(3), range(3, 6))]
    biases = [np.concatenate([found["b%d" % i] for i in side]) for side in (range(3), range(3, 6))]
    return given.gru(x, last.array[0], kernels, biases, found)


def parts(link):
    """Return the kernels, biases and names of a GRU that is made of linear layers."""
    sides = [[link.W_r, link.W_z, link.W], [link.U_r, link.U_z, link.U]]
    kernels = [np.concatenate([each.W.array for each in side]) for side in sides]
    biases = [np.concatenate([each.b.array for each in side]) for side in sides]
    return kernels, biases, [each.name for each in link.children()]


def stateful_gru(kind):
    x, link = given.sequences(), kind(given.INPUTS, given.UNITS)
    fill(link)
    leaves_out_biases_without_a_state(link, x[:, 0])
    link.set_state(chainer.Variable(np.zeros((given.BATCH, given.UNITS), np.float32)))
    for step in range(given.STEPS):
        state = link(x[:, step])
    return given.gru(x, state.array, *parts(link))


def leaves_out_biases_without_a_state(link, x):
    """Assert that with no state the first step takes in no bias of the state's side."""
    first, z, n = link(x).array, F.sigmoid(link.W_z(x)), F.tanh(link.W(x))
    assert np.allclose(first, (z * n).array, atol=1e-6)
    link.set_state(chainer.Variable(np.zeros_like(first)))
    assert np.abs(link(x).array - first).max() > 0.01


def stateless_gru():
    x, link = given.sequences(), L.StatelessGRU(given.INPUTS, given.UNITS)
    fill(link)
    state = np.zeros((given.BATCH, given.UNITS), np.float32)
    for step in range(given.STEPS):
        state = link(state, x[:, step])
    return given.gru(x, state.array, *parts(link))


def batch_norm():
    x, before = given.pictures(), given.scale_shift_mean_variance()
    link = L.BatchNormalization(given.CHANNELS)
    arrays = (link.gamma.array, link.beta.array, link.avg_mean, link.avg_var)
    for array, value in zip(arrays, before, strict=True):
        array[...] = value
    with chainer.using_config("train", True):
        y = link(x).array
    names = {name for name, _ in link.namedparams()} | {"/avg_mean", "/avg_var"}
    names = [name[1:] for name in names if hasattr(link, name[1:])]
    return given.batch_norm(x, y, before, [link.avg_mean, link.avg_var], names)


GRUS = {
    "L.NStepGRU": n_step_gru,
    "L.GRU": lambda: stateful_gru(L.GRU),
    "L.StatefulGRU": lambda: stateful_gru(L.StatefulGRU),
    "L.StatelessGRU": stateless_gru,
}
BATCH_NORMS = {"L.BatchNormalization": batch_norm}
