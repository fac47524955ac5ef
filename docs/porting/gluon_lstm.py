"""A Gluon model to move: two bidirectional LSTMs with layer normalisation, and what they compute.

python gluon_lstm.py FOLDER, in the environment of the row gluon.
"""

import sys

import mxnet as mx
import numpy as np
from mxnet import gluon
from mxnet.gluon import nn, rnn

from common import porting


class Tagger(gluon.HybridBlock):
    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.lstm = rnn.LSTM(24, num_layers=2, layout="NTC", bidirectional=True, input_size=16)
            self.norm = nn.LayerNorm(in_channels=48)
            self.out = nn.Dense(5, flatten=False, in_units=48)

    def hybrid_forward(self, F, x):
        return self.out(self.norm(self.lstm(x)))


def outputs(model, x):
    """Return the outputs of the layers, from the first to the last."""
    states = model.lstm(mx.nd.array(x))
    normed = model.norm(states)
    found = {"lstm": states, "norm": normed, "out": model.out(normed)}
    return {name: array.asnumpy() for name, array in found.items()}


folder = sys.argv[1]
model = Tagger()
model.initialize(mx.init.Uniform(0.5))  # biases stay zero: give them numbers, or they hide mistakes
for parameter in model.collect_params().values():
    parameter.set_data(parameter.data() + 0.1 * mx.nd.random.normal(shape=parameter.shape))

x = np.random.RandomState(0).normal(size=(4, 12, 16)).astype(np.float32)  # N x steps x features
weights = {
    name: each.data().asnumpy() for name, each in model._collect_params_with_prefix().items()
}
porting.save(folder + "/weights.npz", weights)
porting.save(folder + "/outputs.npz", dict(outputs(model, x), x=x))
print("\n".join("%-36s %s" % (name, array.shape) for name, array in weights.items()))
