"""The GRU of DyNet, as compare.py reads it; it has no batch normalisation."""

import dynet as dy
import given
import numpy as np


def gru_builder():
    x = given.sequences()
    collection = dy.ParameterCollection()  # which the builder does not keep alive
    builder = dy.GRUBuilder(1, given.INPUTS, given.UNITS, collection)
    (parameters,) = builder.get_parameters()
    arrays = [given.draw(*parameter.shape()) for parameter in parameters]
    for parameter, array in zip(parameters, arrays):
        parameter.set_value(array)
    dy.renew_cg()
    steps = [dy.inputTensor(x[:, step].T, batched=True) for step in range(given.STEPS)]
    last = builder.initial_state().transduce(steps)[-1].npvalue().T
    update, reset, new = arrays[:3], arrays[3:6], arrays[6:]
    kernels = [np.concatenate([gate[i] for gate in (reset, update, new)]) for i in (0, 1)]
    bias = np.concatenate([gate[2] for gate in (reset, update, new)])
    names = [parameter.name().split("/")[-1] for parameter in parameters]
    return given.gru(x, last, kernels, [bias], names)


GRUS = {"GRUBuilder": gru_builder}
BATCH_NORMS = {}
