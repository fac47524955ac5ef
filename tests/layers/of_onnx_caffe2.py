"""The GRU of an ONNX file as Caffe2's importer reads it, as compare.py reads it."""

import caffe2.python.onnx.backend as backend
import given
import numpy as np
from onnx import TensorProto, helper, numpy_helper


def gru(**form):
    x, units = given.sequences(), given.UNITS
    arrays = {"W": given.draw(1, 3 * units, given.INPUTS), "R": given.draw(1, 3 * units, units)}
    arrays["B"] = given.draw(1, 6 * units)
    inputs = ["x", *arrays, "", "start"]  # "": no lengths
    node = helper.make_node("GRU", inputs, ["states", "last"], hidden_size=units, **form)
    fed = [np.ascontiguousarray(x.transpose(1, 0, 2)), np.zeros((1, len(x), units), np.float32)]
    shapes = {"x": fed[0].shape, "start": fed[1].shape}
    shapes.update((name, array.shape) for name, array in arrays.items())
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
    output = helper.make_tensor_value_info("last", TensorProto.FLOAT, fed[1].shape)
    filled = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph([node], "gru", infos, [output], filled)
    opset = [helper.make_opsetid("", 9)]
    model = backend.prepare(helper.make_model(graph, opset_imports=opset, ir_version=4))
    biases = np.split(arrays["B"][0], 2)
    return given.gru(x, model.run(fed).last[0], [arrays["W"][0], arrays["R"][0]], biases, arrays)


GRUS = {"GRU": gru, "GRU(linear_before_reset=1)": lambda: gru(linear_before_reset=1)}
BATCH_NORMS = {}
