"""A Chainer model to move: strided convolutions, batch normalisation, pooling that covers the rest.

python chainer_cnn.py FOLDER, in the environment of the row chainer.
"""

import sys

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np

from common import porting


class CNN(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 16, ksize=3, stride=2, pad=1, nobias=True)
            self.norm1 = L.BatchNormalization(16)  # epsilon 2e-5
            self.conv2 = L.Convolution2D(16, 32, ksize=3, pad=1)
            self.out = L.Linear(32 * 8 * 8, 10)

    def forward(self, x):
        return outputs(self, x)["out"]


def outputs(model, x):
    """Return the outputs of the layers, from the first to the last; x is N x 3 x 30 x 30."""
    found = {"conv1": model.conv1(x)}  # N x 16 x 15 x 15
    found["norm1"] = model.norm1(found["conv1"])
    found["conv2"] = model.conv2(F.relu(found["norm1"]))
    found["pool"] = F.max_pooling_2d(found["conv2"], 2)  # N x 32 x 8 x 8: it covers the odd rest
    found["out"] = model.out(F.relu(found["pool"]))  # flattens by itself
    return found


folder, random = sys.argv[1], np.random.RandomState(0)
model = CNN()
for _ in range(20):  # so that the running statistics are not zero and one
    model(random.normal(size=(8, 3, 30, 30)).astype("f"))
for parameter in (model.norm1.gamma, model.norm1.beta, model.conv2.b, model.out.b):
    parameter.array += random.normal(scale=0.2, size=parameter.shape).astype("f")

x = random.normal(size=(4, 3, 30, 30)).astype("f")
weights = {name[1:]: each.array for name, each in model.namedparams()}
weights["norm1/mean"], weights["norm1/variance"] = model.norm1.avg_mean, model.norm1.avg_var
with chainer.using_config("train", False), chainer.no_backprop_mode():
    found = {name: variable.array for name, variable in outputs(model, x).items()}
porting.save(folder + "/weights.npz", weights)
porting.save(folder + "/outputs.npz", dict(found, x=x))
print("\n".join("%-16s %s" % (name, array.shape) for name, array in weights.items()))
