"""The GRU and the batch normalisation of CNTK, as compare.py reads them."""

import cntk as C  # noqa: N812, its users' name for it
import given
import numpy as np


def gru():
    x = given.sequences()
    model = C.layers.Fold(C.layers.GRU(given.UNITS))(C.sequence.input_variable(given.INPUTS))
    found = {each.name: given.draw(*each.shape) for each in model.parameters}
    for parameter in model.parameters:
        parameter.value = found[parameter.name]
    kernels = [found["W"], np.concatenate([found["H"], found["H1"]], axis=1)]
    return given.gru(x, model.eval(list(x)), kernels, [found["b"]], found)


def batch_norm():
    x, before = given.pictures(), given.scale_shift_mean_variance()
    model = C.layers.BatchNormalization(map_rank=1)(C.input_variable(x.shape[1:]))
    names = ["scale", "bias", "aggregate_mean", "aggregate_variance"]
    for count in (0, 1):
        for name, value in zip(names + ["aggregate_count"], before + [np.array(count, np.float32)]):
            getattr(model, name).value = value
        # To keep what the backward pass needs is what makes it a step of training.
        _, outputs = model.forward({model.arguments[0]: x}, [model.output], {model.output})
        if count == 0:  # what was kept is lost
            new = given.samples(x).var(axis=0, ddof=1)
            assert np.allclose(model.aggregate_variance.value, new, rtol=1e-5)
    after = [model.aggregate_mean.value, model.aggregate_variance.value]
    return given.batch_norm(x, outputs[model.output], before, after, names)


GRUS = {"layers.GRU": gru}
BATCH_NORMS = {"layers.BatchNormalization": batch_norm}
