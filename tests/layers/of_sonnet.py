"""The GRU of Sonnet, as compare.py reads it."""

import given
import sonnet as snt
import tensorflow as tf


def gru():
    x, core = tf.constant(given.sequences()), snt.GRU(given.UNITS)
    state = core.initial_state(given.BATCH)
    core(x[:, 0], state)  # makes the variables
    found = {}
    for variable in core.variables:
        name = variable.name.split("/")[-1].split(":")[0]
        found[name] = given.draw(*variable.shape)
        variable.assign(found[name])
    _, last = snt.dynamic_unroll(core, tf.transpose(x, [1, 0, 2]), state)
    return given.gru(x, last, [found["w_i"], found["w_h"]], [found["b"]], found)


GRUS = {"snt.GRU": gru}
BATCH_NORMS = {}
