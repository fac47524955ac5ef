"""What the width of a processor's vectors leaves a convolutional network of its matrix product."""

from __future__ import annotations

import importlib
import math
from typing import Any

# Numbers of float32 in a vector.
LANES = {"avx512f": 16, "avx2": 8, "avx": 8, "asimd": 4}
# Pixels along a side of what a convolution of cifar10_cnn gives.
SIZES = {"conv1": 32, "conv2": 32, "conv3": 16, "conv4": 16}


def padded(channels: int, lanes: int) -> int:
    """Return how many channels whole vectors hold."""
    return math.ceil(channels / lanes) * lanes


def _shapes() -> dict[str, Any]:
    """Return the shapes of the network's arrays: where common/ is, as not in every project."""
    return dict(importlib.import_module("common.weights").SPECS["cifar10_cnn"])


def share(lanes: int) -> float:
    """Return the work of cifar10_cnn's forward pass over that with its outputs in whole vectors."""
    useful = done = 0
    for name, shape in _shapes().items():
        if len(shape) > 1:
            work = math.prod(shape) * SIZES.get(name.split(".")[0], 1) ** 2
            useful += work
            done += work // shape[0] * padded(shape[0], lanes)
    return useful / done


def remark(task: str, vectors: str | None) -> str | None:
    """Return a sentence on the bound of a task on such a processor, where there is one to tell."""
    lanes = LANES.get(vectors or "")
    if task != "cifar10_cnn" or not lanes or share(lanes) > 0.99:
        return None
    widths = sorted({s[0] for name, s in _shapes().items() if name.split(".")[0] in SIZES})
    those = " and ".join(str(width) for width in widths)
    cost = " and ".join(str(padded(width, lanes)) for width in widths)
    return (
        f"with vectors of {lanes} numbers, {those} channels cost as much as {cost}: of the matrix "
        f"product about {share(lanes):.2f} can be had in this network"
    )
