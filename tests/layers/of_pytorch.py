"""The GRUs and batch normalisations of PyTorch, as compare.py reads them."""

import given
import torch
from torch import nn


def fill(layer):
    """Give a GRU random arrays, and return its kernels, biases and names."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.from_numpy(given.draw(*parameter.shape)))
    names, arrays = zip(*layer.named_parameters(), strict=True)
    arrays = [array.detach().numpy() for array in arrays]
    return arrays[:2], arrays[2:], names


@torch.no_grad()
def gru():
    layer, x = nn.GRU(given.INPUTS, given.UNITS, batch_first=True), given.sequences()
    parts = fill(layer)
    return given.gru(x, layer(torch.from_numpy(x))[1][0], *parts)


@torch.no_grad()
def gru_cell():
    layer, x = nn.GRUCell(given.INPUTS, given.UNITS), given.sequences()
    parts = fill(layer)
    state = None
    for step in range(given.STEPS):
        state = layer(torch.from_numpy(x[:, step]), state)
    return given.gru(x, state, *parts)


@torch.no_grad()
def batch_norm(layer, x):
    layer, before = layer(given.CHANNELS), given.scale_shift_mean_variance()
    arrays = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    for array, value in zip(arrays, before, strict=True):
        array.copy_(torch.from_numpy(value))
    y = layer(torch.from_numpy(x)).numpy()
    names = set(layer.state_dict()) - {"num_batches_tracked"}
    shape = (*x.shape[:2], 1, -1)
    after = (layer.running_mean, layer.running_var)
    return given.batch_norm(x.reshape(shape), y.reshape(shape), before, after, names)


GRUS = {"nn.GRU": gru, "nn.GRUCell": gru_cell}
BATCH_NORMS = {
    "nn.BatchNorm1d": lambda: batch_norm(nn.BatchNorm1d, given.pictures()[:, :, 0, 0]),
    "nn.BatchNorm2d": lambda: batch_norm(nn.BatchNorm2d, given.pictures()),
}
