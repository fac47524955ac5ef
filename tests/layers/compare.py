"""Compares the layers of an installed framework with what is said of them, on Python 3.6 too.

`python compare.py FAMILY` reads {kind: statements} as JSON. Of each layer of of_FAMILY.py it writes
the names of its arrays, its error, and the errors of all other statements that could be made.
"""

import importlib
import itertools
import json
import sys

import numpy as np

from common import layers

GATES = ("reset", "update", "new")
# The biases that a layer has, and where each belongs; the last two are nobody's.
SIDES = {
    "both": ("input", "state"),
    "input": ("input",),
    "new": ("input", "new"),
    "state": ("state",),
    "exchanged": ("state", "input"),
}


def canonical(stack, said):
    """Return kernels or a bias of three gates in the reference's form, by the map that is said."""
    gates = dict(zip(said.get("gates", GATES), np.split(stack.astype(np.float64), 3)))
    if said["update"] == "new":
        gates["update"] = -gates["update"]
    return np.concatenate([gates[gate] for gate in GATES])


def gru_error(found, said):
    """Return the largest error of the last state; infinite where the arrays do not even fit."""
    kernels = [each.T if said["axes"] == "in, out" else each for each in found["kernels"]]
    units = found["last"].shape[1]
    shapes = [(3 * units, found["x"].shape[2]), (3 * units, units)]
    sides = SIDES[said["biases"]]
    sizes = [units if side == "new" else 3 * units for side in sides]
    if [each.shape for each in kernels] != shapes or [len(b) for b in found["biases"]] != sizes:
        return float("inf")
    biases = {"input": np.zeros(3 * units), "state": np.zeros(3 * units)}
    for side, bias in zip(sides, found["biases"]):
        biases["state" if side == "new" else side][-len(bias) :] = bias
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    arrays = kernels + [biases["input"], biases["state"]]
    weights = {"gru.%s_l0" % name: canonical(a, said) for name, a in zip(names, arrays)}
    last, _ = layers.gru(weights, found["x"].astype(np.float64), said["reset"])
    return float(np.abs(last - found["last"]).max())


def other_grus(said):
    yield "reset", dict(said, reset="before" if said["reset"] == "after" else "after")
    yield "update", dict(said, update="new" if said["update"] == "old" else "old")
    yield "axes", dict(said, axes="in, out" if said["axes"] == "out, in" else "out, in")
    for gates in itertools.permutations(GATES):
        if "gates" in said and list(gates) != said["gates"]:
            yield "gates " + ", ".join(gates), dict(said, gates=gates)
    for biases, sides in SIDES.items():
        # Before the product, one side is as good as the other.
        same = said["reset"] == "before" and len(sides) == len(SIDES[said["biases"]])
        if biases != said["biases"] and not (same and "new" not in sides):
            yield "biases " + biases, dict(said, biases=biases)


def batch_norm_error(found, said):
    """Return the largest relative error of the output, and of the mean and variance kept."""
    count = len(found["x"])
    mean, variance = found["x"].mean(axis=0), found["x"].var(axis=0)
    weight = said.get("momentum")
    if weight is None:
        weight = np.exp(-found["examples"] / said["time_constant"])
    old = weight if said["weighs"] == "old" else 1 - weight
    y = (found["x"] - mean) / np.sqrt(variance + said["epsilon"])
    wanted = {
        "y": y * found["scale"] + found["shift"],
        "new mean": old * found["mean"] + (1 - old) * mean,
    }
    taken = variance * count / (count - 1) if said["variance"] == "unbiased" else variance
    wanted["new variance"] = old * found["variance"] + (1 - old) * taken
    return max(
        float(np.abs(found[key] - each).max() / np.abs(each).max()) for key, each in wanted.items()
    )


def other_batch_norms(said):
    yield "weighs", dict(said, weighs="new" if said["weighs"] == "old" else "old")
    other = "biased" if said["variance"] == "unbiased" else "unbiased"
    yield "variance", dict(said, variance=other)
    for number in ("epsilon", "momentum", "time_constant"):
        if number in said:
            yield number, dict(said, **{number: 0.9 * said[number]})


KINDS = {
    "gru": (gru_error, other_grus),
    "batch_norm": (batch_norm_error, other_batch_norms),
}


def compared(found, said, kind):
    error, others = KINDS[kind]
    return {
        "names": found["names"],
        "error": error(found, said),
        "others": {words: error(found, other) for words, other in others(said)},
    }


def main():
    module = importlib.import_module("of_" + sys.argv[1].replace("-", "_"))
    said = {
        (kind, layer): entry
        for kind, entries in json.load(sys.stdin).items()
        for entry in entries
        for layer in entry["layers"]
    }
    results = {kind: {} for kind in KINDS}
    for kind, found_in in (("gru", module.GRUS), ("batch_norm", module.BATCH_NORMS)):
        for layer, found in found_in.items():
            if (kind, layer) in said:
                results[kind][layer] = compared(found(), said[kind, layer], kind)
            else:
                results[kind][layer] = None
    print(json.dumps(results))


if __name__ == "__main__":
    main()
