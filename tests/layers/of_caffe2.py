"""The GRUs and batch normalisations of Caffe2, as compare.py reads them."""

import given
import numpy as np
from caffe2.python import brew, workspace
from caffe2.python.gru_cell import GRU
from caffe2.python.model_helper import ModelHelper


def run(model, x, arrays):
    """Run a model on x with arrays of its own in place of its initial weights."""
    workspace.FeedBlob("x", x)
    workspace.RunNetOnce(model.param_init_net)
    for blob, array in arrays.items():
        workspace.FeedBlob(blob, array)
    workspace.RunNetOnce(model.net)


def names_of(model, prefix):
    return [str(blob)[len(prefix) :] for blob in model.params + model.GetComputedParams()]


def gru(**form):
    x, model = given.sequences(), ModelHelper("gru")
    start = model.net.ConstantFill([], "start", shape=[given.UNITS], value=0.0)
    sizes = (given.INPUTS, given.UNITS)
    _, last = GRU(model, "x", None, [start], *sizes, scope="gru", forward_only=True, **form)
    arrays = {"i2h_w": given.draw(3 * given.UNITS, given.INPUTS)}
    arrays["i2h_b"] = given.draw(3 * given.UNITS)
    gates = ["%s_gate_t" % gate for gate in ("reset", "update", "output")]
    for gate in gates:
        arrays[gate + "_w"] = given.draw(given.UNITS, given.UNITS)
        arrays[gate + "_b"] = given.draw(given.UNITS)
    steps_first = np.ascontiguousarray(x.transpose(1, 0, 2))
    run(model, steps_first, {"gru/" + name: array for name, array in arrays.items()})
    kernel, bias = (
        np.concatenate([arrays[gate + kind] for gate in gates]) for kind in ("_w", "_b")
    )
    kernels, biases = [arrays["i2h_w"], kernel], [arrays["i2h_b"], bias]
    return given.gru(x, workspace.FetchBlob(last)[0], kernels, biases, names_of(model, "gru/"))


def linear_before_reset():
    return gru(linear_before_reset=True)


def spatial_bn():
    x, before, model = given.pictures(), given.scale_shift_mean_variance(), ModelHelper("norm")
    brew.spatial_bn(model, "x", "norm", given.CHANNELS, is_test=False)
    blobs = ["norm_s", "norm_b", "norm_rm", "norm_riv"]
    run(model, x, dict(zip(blobs, before)))
    after = workspace.FetchBlobs(blobs[2:])
    return given.batch_norm(x, workspace.FetchBlob("norm"), before, after, names_of(model, "norm_"))


GRUS = {"gru_cell.GRU": gru, "gru_cell.GRU(linear_before_reset=True)": linear_before_reset}
BATCH_NORMS = {"brew.spatial_bn": spatial_bn}
