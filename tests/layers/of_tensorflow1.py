"""The GRUs and batch normalisations of TensorFlow 1, as compare.py reads them."""

import given
import numpy as np
import tensorflow as tf
from tensorflow.contrib.cudnn_rnn import CudnnCompatibleGRUCell


def of(variable, layer):
    """Return the name of a variable inside its layer."""
    return variable.op.name.split("/" + layer + "/")[-1]


def run_cell(cell, layer):
    """Return the input, the last state, and {name: array} of a cell with random arrays."""
    x = given.sequences()
    with tf.Graph().as_default(), tf.Session() as session:
        _, last = tf.nn.dynamic_rnn(cell, tf.constant(x), dtype=tf.float32)
        variables = {of(each, layer): each for each in tf.trainable_variables()}
        for variable in variables.values():
            variable.load(given.draw(*variable.shape.as_list()), session)
        return x, session.run(last), session.run(variables)


def gru_cell():
    x, last, arrays = run_cell(tf.nn.rnn_cell.GRUCell(given.UNITS), "gru_cell")
    stacked = np.concatenate([arrays["gates/kernel"], arrays["candidate/kernel"]], axis=1)
    bias = np.concatenate([arrays["gates/bias"], arrays["candidate/bias"]])
    return given.gru(x, last, np.split(stacked, [given.INPUTS]), [bias], arrays)


def compatible_cell():
    x, last, arrays = run_cell(CudnnCompatibleGRUCell(given.UNITS), "cudnn_compatible_gru_cell")
    gates = np.split(arrays["gates/kernel"], [given.INPUTS])
    new = [arrays["candidate/%s_projection/kernel" % side] for side in ("input", "hidden")]
    kernels = [np.concatenate(both, axis=1) for both in zip(gates, new)]
    bias = np.concatenate([arrays["gates/bias"], arrays["candidate/input_projection/bias"]])
    hidden = arrays["candidate/hidden_projection/bias"]
    return given.gru(x, last, kernels, [bias, hidden], arrays)


def batch_normalization():
    x, before = given.pictures(), given.scale_shift_mean_variance()
    with tf.Graph().as_default(), tf.Session() as session:
        last = tf.constant(x.transpose(0, 2, 3, 1))
        y = tf.layers.batch_normalization(last, training=True)
        variables = tf.global_variables()
        for variable, array in zip(variables, before):
            variable.load(array, session)
        y, _ = session.run([y, tf.get_collection(tf.GraphKeys.UPDATE_OPS)])
        after = session.run(variables[2:])
    names = [of(each, "batch_normalization") for each in variables]
    names = [name.split("/")[-1] for name in names]
    return given.batch_norm(x, y.transpose(0, 3, 1, 2), before, after, names)


GRUS = {
    "tf.nn.rnn_cell.GRUCell": gru_cell,
    "tf.contrib.cudnn_rnn.CudnnCompatibleGRUCell": compatible_cell,
}
BATCH_NORMS = {"tf.layers.batch_normalization": batch_normalization}
