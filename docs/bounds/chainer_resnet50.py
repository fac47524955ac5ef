"""What Chainer's ResNet-50 spends its time on: its functions, and what convolutions are made of."""

import cProfile
import pstats

import cells
import numpy as np
from chainer.function_hooks import TimerHook


def own_time(stats, *words):
    """Return the seconds spent in functions whose names hold one of these words."""
    entries = stats.stats.items()
    return sum(
        entry[2]
        for (file, _, name), entry in entries
        if any(word in file + " " + name for word in words)
    )


def main():
    names = cells.names("resnet50_features", "chainer")
    model = names["create_model"]()
    x = np.random.default_rng(0).normal(size=(32, 3, 224, 224)).astype(np.float32)
    names["predict"](model, x)
    with TimerHook() as timed:
        names["predict"](model, x)
    times = {name: found["elapsed_time"] for name, found in timed.summary().items()}
    total = sum(times.values())
    profiler = cProfile.Profile()
    profiler.runcall(names["predict"], model, x)
    stats = pstats.Stats(profiler)
    rows = [
        [f"time in {name}", "share", spent / total]
        for name, spent in sorted(times.items(), key=lambda each: -each[1])
        if spent > total / 50
    ]
    whole = stats.total_tt
    parts = {"tensordot and dot": ("tensordot", " dot", ".dot"), "im2col": ("im2col",)}
    for what, words in parts.items():
        rows.append([f"time in {what}", "share", own_time(stats, *words) / whole])
    cells.tell(rows)


main()
