"""The same model in PyTorch, with the weights of gluon_lstm.py, compared layer by layer.

python pytorch_lstm.py FOLDER, in the environment of the row pytorch.
"""

import sys

import torch
from torch import nn

from common import porting


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(16, 24, num_layers=2, batch_first=True, bidirectional=True)
        self.norm = nn.LayerNorm(48)  # epsilon 1e-5, as Gluon's
        self.out = nn.Linear(48, 5)

    def forward(self, x):
        return self.out(self.norm(self.lstm(x)[0]))


def renamed(weights):
    """Return Gluon's arrays under PyTorch's names. Gates (i, f, g, o) and axes are the same."""
    state = {
        "norm.weight": weights["norm.gamma"],
        "norm.bias": weights["norm.beta"],
        "out.weight": weights["out.weight"],
        "out.bias": weights["out.bias"],
    }
    for layer in (0, 1):
        for ours, end in (("l", ""), ("r", "_reverse")):
            for gluons, torchs in (("i2h", "ih"), ("h2h", "hh")):
                for kind in ("weight", "bias"):
                    array = weights[f"lstm._unfused.{layer}.{ours}_cell.{gluons}_{kind}"]
                    state[f"lstm.{kind}_{torchs}_l{layer}{end}"] = array
    return {name: torch.from_numpy(array) for name, array in state.items()}


@torch.inference_mode()
def outputs(model, x):
    """Return the outputs of the layers, from the first to the last."""
    states, _ = model.lstm(torch.from_numpy(x))
    normed = model.norm(states)
    found = {"lstm": states, "norm": normed, "out": model.out(normed)}
    return {name: array.numpy() for name, array in found.items()}


folder = sys.argv[1]
model = Tagger()
model.load_state_dict(renamed(porting.load(folder + "/weights.npz")))
wanted = porting.load(folder + "/outputs.npz")
porting.compare(outputs(model, wanted.pop("x")), wanted)
