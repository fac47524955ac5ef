"""The GRUs and the batch normalisation of Flax, as compare.py reads them."""

import given
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

GATES = ("r", "z", "n")


def nnx_cell():
    x, cell = given.sequences(), nnx.GRUCell(given.INPUTS, given.UNITS, rngs=nnx.Rngs(0))
    state = nnx.state(cell, nnx.Param)
    nnx.update(cell, jax.tree.map(lambda array: jnp.asarray(given.draw(*array.shape)), state))
    h = jnp.zeros((given.BATCH, given.UNITS))
    for step in range(given.STEPS):
        h, _ = cell(h, x[:, step])
    kernels = [cell.dense_i.kernel[...], cell.dense_h.kernel[...]]
    names = [".".join(path) for path, _ in nnx.to_flat_state(nnx.state(cell, nnx.Param))]
    return given.gru(x, h, kernels, [cell.dense_i.bias[...]], names)


def linen_cell():
    x, cell = given.sequences(), linen.GRUCell(features=given.UNITS)
    h = jnp.zeros((given.BATCH, given.UNITS))
    params = cell.init(jax.random.key(0), h, x[:, 0])
    params = jax.tree.map(lambda array: given.draw(*array.shape), params)
    for step in range(given.STEPS):
        h, _ = cell.apply(params, h, x[:, step])
    dense = params["params"]
    assert sorted(name for name in dense if "bias" in dense[name]) == ["hn", "in", "ir", "iz"]
    kernels = [
        np.concatenate([dense[side + gate]["kernel"] for gate in GATES], axis=1) for side in "ih"
    ]
    bias = np.concatenate([dense["i" + gate]["bias"] for gate in GATES])
    return given.gru(x, h, kernels, [bias, dense["hn"]["bias"]], dense)


def batch_norm():
    x, before = given.pictures(), given.scale_shift_mean_variance()
    layer = nnx.BatchNorm(given.CHANNELS, rngs=nnx.Rngs(0))
    for array, value in zip((layer.scale, layer.bias, layer.mean, layer.var), before, strict=True):
        array[...] = jnp.asarray(value)
    y = np.asarray(layer(x.transpose(0, 2, 3, 1), use_running_average=False))
    names = [".".join(path) for path, _ in nnx.to_flat_state(nnx.state(layer))]
    after = (layer.mean[...], layer.var[...])
    return given.batch_norm(x, y.transpose(0, 3, 1, 2), before, after, names)


GRUS = {"nnx.GRUCell": nnx_cell, "linen.GRUCell": linen_cell}
BATCH_NORMS = {"nnx.BatchNorm": batch_norm}
