"""Loss curves as SVG that takes its colours from the page, light or dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 20, 8, 40
POINTS = 240  # of a curve: more cannot be told apart
LEAST_WINDOW = 5  # steps that a loss is averaged over, as in results.md
COLOURS = 10  # of the style sheet; after them the dashes change


@dataclass(frozen=True)
class Curve:
    """The losses of a row; `number` says which colour and dash it has everywhere."""

    name: str
    title: str
    losses: Sequence[float | None]
    number: int


@dataclass(frozen=True)
class Line:
    """A drawn curve: the path, and the classes that give it colour and dash."""

    name: str
    title: str
    path: str
    classes: str


@dataclass(frozen=True)
class Chart:
    """What the template draws: lines, and ticks as (position, words)."""

    lines: Sequence[Line]
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]
    window: int
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    bottom: int = HEIGHT - BOTTOM
    right: int = WIDTH - RIGHT
    top: int = TOP


def losses(curves: Sequence[Curve]) -> Chart:
    """Return the chart of the mean loss of the last steps, all curves on one scale."""
    longest = max(len(curve.losses) for curve in curves)
    window = min(max(LEAST_WINDOW, longest // 80), max(longest // 2, 1))
    smooth = [_smoothed(curve.losses, window) for curve in curves]
    values = [value for _, means in smooth for value in means if math.isfinite(value)] or [0.0]
    low, high = min(values), max(values)
    margin = (high - low) * 0.04 or 0.5
    low, high = low - margin, high + margin

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step - 1) / max(longest - 1, 1)

    def y(loss: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / (high - low)

    return Chart(
        lines=[
            Line(curve.name, curve.title, _path(steps, means, x, y), _classes(curve.number))
            for curve, (steps, means) in zip(curves, smooth, strict=True)
        ],
        across=[(x(step), f"{step:,.0f}") for step in _ticks(1, longest, 8)],
        up=[(y(loss), f"{loss:g}") for loss in _ticks(low, high, 6)],
        window=window,
    )


def _classes(number: int) -> str:
    return f"c{number % COLOURS} d{number // COLOURS % 4}"


def _path(
    steps: Iterable[float],
    means: Iterable[float],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> str:
    points = [
        f"{x(step):.1f} {y(mean):.1f}"
        for step, mean in zip(steps, means, strict=True)
        if math.isfinite(mean)
    ]
    return "M" + "L".join(points) if points else ""


def _smoothed(found: Sequence[float | None], window: int) -> tuple[list[float], list[float]]:
    """Return steps and the means of the last `window` losses up to each, thinned; gaps left out."""
    values = np.array([np.nan if loss is None else loss for loss in found], dtype=float)
    totals = np.concatenate([np.zeros(window), np.nancumsum(values)])
    counts = np.concatenate([np.zeros(window), np.cumsum(~np.isnan(values))])
    number = counts[window:] - counts[:-window]
    means = (totals[window:] - totals[:-window]) / np.where(number > 0, number, np.nan)
    stride = max(1, len(values) // POINTS)
    steps = np.arange(1, len(values) + 1)
    return steps[::stride].tolist(), means[::stride].tolist()


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` round numbers between two values."""
    rough = (high - low) / most or 1.0
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first = math.ceil(low / step)
    return [round(index * step, 10) for index in range(first, math.floor(high / step) + 1)]
