"""Loss curves as SVG that takes its colours from the page, light or dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 900, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 176, 8, 40
LABEL = 12.5  # pixels that a label beside its curve needs
POINTS = 240  # of a curve: more cannot be told apart
LEAST_WINDOW = 5  # steps that a loss is averaged over, as in results.md
COLOURS = 10  # of the style sheet


@dataclass(frozen=True)
class Curve:
    """The losses of a row, and the classes that give it colour and dash everywhere."""

    name: str
    title: str
    losses: Sequence[float | None]
    classes: str


@dataclass(frozen=True)
class Line:
    """A drawn curve: its path, its classes, and the label that stands beside its end."""

    name: str
    title: str
    path: str
    classes: str
    end: tuple[float, float] | None  # of the curve; None where it has no point
    label: float  # the height at which its title stands


@dataclass(frozen=True)
class Chart:
    """What the template draws: lines, and ticks as (position, words)."""

    lines: Sequence[Line]
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]
    window: int
    width: int = WIDTH
    height: float = HEIGHT
    left: int = LEFT
    bottom: float = HEIGHT - BOTTOM
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
    height = max(HEIGHT, TOP + LABEL * len(curves) + BOTTOM)

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step - 1) / max(longest - 1, 1)

    def y(loss: float) -> float:
        return TOP + (height - TOP - BOTTOM) * (high - loss) / (high - low)

    points = [
        [(x(step), y(mean)) for step, mean in zip(*each, strict=True) if math.isfinite(mean)]
        for each in smooth
    ]
    ends = [each[-1] if each else None for each in points]
    heights = spread([end[1] if end else TOP for end in ends], TOP + 4, height - BOTTOM)
    return Chart(
        lines=[
            Line(curve.name, curve.title, _path(each), curve.classes, end, label)
            for curve, each, end, label in zip(curves, points, ends, heights, strict=True)
        ],
        across=[(x(step), f"{step:,.0f}") for step in _ticks(1, longest, 8)],
        up=[(y(loss), f"{loss:g}") for loss in _ticks(low, high, 6)],
        window=window,
        height=height,
        bottom=height - BOTTOM,
    )


def styles(titles: Mapping[str, str]) -> dict[str, str]:
    """Return the classes of every row: a colour for its family, a dash that tells its rows apart.

    titles: of the rows, by name. Rows whose titles begin with the same word are a family.
    """
    used: dict[int, int] = {}
    found = {}
    for number, rows in enumerate(grouped(titles).values()):
        for name in rows:
            dash = used[number % COLOURS] = used.get(number % COLOURS, -1) + 1
            found[name] = f"c{number % COLOURS} d{dash}"
    return found


def grouped(titles: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the titles of rows by family, both in the order of the alphabet."""
    groups: dict[str, dict[str, str]] = {}
    for name, title in sorted(titles.items(), key=lambda item: item[1].lower()):
        groups.setdefault(title.split()[0], {})[name] = title
    return groups


def spread(heights: Sequence[float], top: float, bottom: float) -> list[float]:
    """Return heights in the same order that are far enough apart for labels to be read."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    placed = [0.0] * len(heights)
    least = top
    for index in order:
        placed[index] = max(heights[index], least)
        least = placed[index] + LABEL
    most = bottom
    for index in reversed(order):
        placed[index] = min(placed[index], most)
        most = placed[index] - LABEL
    return placed


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""


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
