"""The GRUs of Keras 2, on any backend, as compare.py reads them."""

import re

import given
import keras
import numpy as np
from keras import layers


def gru(layer):
    x = given.sequences()
    inputs = layers.Input(x.shape[1:])
    model = keras.models.Model(inputs, layer(inputs))
    layer.set_weights([given.draw(*array.shape) for array in layer.get_weights()])
    last = model.predict(x)
    kernel, recurrent_kernel, bias = layer.get_weights()
    # The backends call them "gru_1/kernel:0", "gru_1/kernel", "gru_1/kernel1" and so on.
    names = [re.match("[a-z_]+", array.name.split("/")[-1]).group() for array in layer.weights]
    return given.gru(x, last, [kernel, recurrent_kernel], np.atleast_2d(bias), names)


def form(reset_after):
    return layers.GRU(
        given.UNITS,
        recurrent_activation="sigmoid",
        reset_after=reset_after,
        unroll=keras.backend.backend() == "mxnet",  # whose loop computes something else
    )


GRUS = {
    "layers.GRU": lambda: gru(form(reset_after=False)),
    "layers.GRU(reset_after=True)": lambda: gru(form(reset_after=True)),
}
BATCH_NORMS = {}
