"""The same model in Keras 3, with the weights of chainer_cnn.py, compared layer by layer.

python keras_cnn.py FOLDER, in the environment of the row keras-jax, keras-pytorch or
keras-tensorflow.
"""

import sys

import keras
from keras import layers, ops

from common import porting


def create_model():
    return keras.Sequential(
        [
            keras.Input((30, 30, 3)),
            layers.ZeroPadding2D(1),  # "same" would pad the bottom and the right alone
            layers.Conv2D(16, 3, strides=2, use_bias=False, name="conv1"),
            layers.BatchNormalization(epsilon=2e-5, name="norm1"),  # Chainer's, not Keras's 1e-3
            layers.ReLU(),
            layers.Conv2D(32, 3, padding="same", name="conv2"),
            layers.MaxPooling2D(2, padding="same", name="pool"),  # covers the odd rest
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(10, name="out"),
        ]
    )


def load_weights(model, weights):
    def kernel(name):
        return porting.axes(weights[name], "oihw", "hwio")

    out = porting.flattened(weights["out/W"], (32, 8, 8), "chw", "hwc")
    statistics = [weights["norm1/" + name] for name in ("gamma", "beta", "mean", "variance")]
    model.get_layer("conv1").set_weights([kernel("conv1/W")])
    model.get_layer("norm1").set_weights(statistics)
    model.get_layer("conv2").set_weights([kernel("conv2/W"), weights["conv2/b"]])
    model.get_layer("out").set_weights([porting.axes(out, "oi", "io"), weights["out/b"]])


def outputs(model, x):
    """Return the outputs of the layers, from the first to the last, in Chainer's layout."""
    names = ("conv1", "norm1", "conv2", "pool", "out")
    inside = keras.Model(model.inputs, {name: model.get_layer(name).output for name in names})
    found = inside(porting.axes(x, "nchw", "nhwc"), training=False)
    arrays = {name: ops.convert_to_numpy(found[name]) for name in names}
    return {
        name: porting.axes(array, "nhwc", "nchw") if array.ndim == 4 else array
        for name, array in arrays.items()
    }


folder = sys.argv[1]
model = create_model()
load_weights(model, porting.load(folder + "/weights.npz"))
wanted = porting.load(folder + "/outputs.npz")
porting.compare(outputs(model, wanted.pop("x")), wanted)
