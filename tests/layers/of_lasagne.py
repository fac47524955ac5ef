"""The GRU of Lasagne, as compare.py reads it; its one release has no batch normalisation."""

import given
import lasagne
import numpy as np
import theano

GATES = ("resetgate", "updategate", "hidden_update")


def gru_layer():
    x = given.sequences()
    layer = lasagne.layers.GRULayer((None, given.STEPS, given.INPUTS), given.UNITS)
    found = {}
    for parameter in layer.get_params():
        value = given.draw(*parameter.get_value().shape)
        found[parameter.name] = np.zeros_like(value) if parameter.name == "hid_init" else value
        parameter.set_value(found[parameter.name])
    inputs = theano.tensor.tensor3()
    compute = theano.function([inputs], layer.get_output_for([inputs])[:, -1])
    kernels = [
        np.concatenate([found[side + gate] for gate in GATES], axis=1)
        for side in ("W_in_to_", "W_hid_to_")
    ]
    bias = np.concatenate([found["b_" + gate] for gate in GATES])
    return given.gru(x, compute(x), kernels, [bias], found)


GRUS = {"layers.GRULayer": gru_layer}
BATCH_NORMS = {}
