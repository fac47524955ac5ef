"""The GRUs and the batch normalisation of Keras 3, on any backend, as compare.py reads them."""

import given
import numpy as np
from keras import layers, ops


def gru(layer):
    x = given.sequences()
    layer.build(x.shape)
    layer.set_weights([given.draw(*array.shape) for array in layer.weights])
    last = ops.convert_to_numpy(layer(x))
    kernel, recurrent_kernel, bias = layer.get_weights()
    names = [array.name for array in layer.weights]
    return given.gru(x, last, [kernel, recurrent_kernel], np.atleast_2d(bias), names)


def batch_norm(layer):
    x, before = given.pictures(), given.scale_shift_mean_variance()
    last = x.transpose(0, 2, 3, 1)
    layer.build(last.shape)
    layer.set_weights(before)
    y = ops.convert_to_numpy(layer(last, training=True)).transpose(0, 3, 1, 2)
    names = [array.name for array in layer.weights]
    return given.batch_norm(x, y, before, layer.get_weights()[2:], names)


GRUS = {
    "layers.GRU": lambda: gru(layers.GRU(given.UNITS)),
    "layers.GRU(reset_after=False)": lambda: gru(layers.GRU(given.UNITS, reset_after=False)),
}
BATCH_NORMS = {"layers.BatchNormalization": lambda: batch_norm(layers.BatchNormalization())}
