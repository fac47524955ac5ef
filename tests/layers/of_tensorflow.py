"""The GRUs and batch normalisations of TensorFlow, as compare.py reads them."""

import inspect

import given
import numpy as np
import of_keras
import tensorflow as tf


def block_cell():
    x, both = given.sequences(), given.INPUTS + given.UNITS
    w_ru, w_c = given.draw(both, 2 * given.UNITS), given.draw(both, given.UNITS)
    b_ru, b_c = given.draw(2 * given.UNITS), given.draw(given.UNITS)
    state = np.zeros((given.BATCH, given.UNITS), np.float32)
    for step in range(given.STEPS):
        arrays = {"w_ru": w_ru, "w_c": w_c, "b_ru": b_ru, "b_c": b_c}
        state = tf.raw_ops.GRUBlockCell(x=x[:, step], h_prev=state, **arrays).h
    kernels = np.split(np.concatenate([w_ru, w_c], axis=1), [given.INPUTS])
    return given.gru(x, state, kernels, [np.concatenate([b_ru, b_c])], arrays)


def fused_batch_norm():
    x, before = given.pictures(), given.scale_shift_mean_variance()
    last, (scale, offset, _, _) = x.transpose(0, 2, 3, 1), before
    # With a weight of one for the new values, it must not be given old ones.
    done = tf.raw_ops.FusedBatchNormV3(x=last, scale=scale, offset=offset, mean=[], variance=[])
    names = {"scale", "offset", "mean", "variance"}
    names &= set(inspect.signature(tf.raw_ops.FusedBatchNormV3).parameters)
    y, after = done.y.numpy().transpose(0, 3, 1, 2), (done.batch_mean, done.batch_variance)
    return given.batch_norm(x, y, before, after, names)


GRUS = {
    "tf.keras.layers.GRU": lambda: of_keras.gru(tf.keras.layers.GRU(given.UNITS)),
    "tf.raw_ops.GRUBlockCell": block_cell,
}
BATCH_NORMS = {
    "tf.keras.layers.BatchNormalization": lambda: of_keras.batch_norm(
        tf.keras.layers.BatchNormalization()
    ),
    "tf.raw_ops.FusedBatchNormV3": fused_batch_norm,
}
