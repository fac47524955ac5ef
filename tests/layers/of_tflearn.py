"""The GRU and the batch normalisation of TFLearn, as compare.py reads them."""

import given
import numpy as np
import tensorflow as tf
import tflearn


def gru():
    x = given.sequences()
    with tf.Graph().as_default(), tf.Session() as session:
        last = tflearn.gru(tf.constant(x), given.UNITS)
        of = {each.op.name.split("/GRUCell/")[-1]: each for each in tf.trainable_variables()}
        for variable in of.values():
            variable.load(given.draw(*variable.shape.as_list()), session)
        last, arrays = session.run([last, of])
    kernels = [arrays[part + "/Linear/Matrix"] for part in ("Gates", "Candidate")]
    biases = [arrays[part + "/Linear/Bias"] for part in ("Gates", "Candidate")]
    stacked = np.split(np.concatenate(kernels, axis=1), [given.INPUTS])
    return given.gru(x, last, stacked, [np.concatenate(biases)], arrays)


def batch_normalization():
    x, before = given.pictures(), given.scale_shift_mean_variance()
    with tf.Graph().as_default(), tf.Session() as session:
        tflearn.get_training_mode()  # makes its variable, which a layer would make in its own scope
        y = tflearn.batch_normalization(tf.constant(x.transpose(0, 2, 3, 1)))
        held = tf.get_collection(tf.GraphKeys.MODEL_VARIABLES)
        of = {each.op.name.split("/")[-1]: each for each in held if "/" in each.op.name}
        names = ["gamma", "beta", "moving_mean", "moving_variance"]
        for name, array in zip(names, before):
            of[name].load(array, session)
        tflearn.is_training(True, session=session)
        y = session.run(y)
        after = session.run([of[name] for name in names[2:]])
    return given.batch_norm(x, y.transpose(0, 3, 1, 2), before, after, of)


GRUS = {"tflearn.gru": gru}
BATCH_NORMS = {"tflearn.batch_normalization": batch_normalization}
