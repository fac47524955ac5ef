"""The plots of results.md as SVG: the loss curves of all rows in one, and bars of their speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rosetta.project import Project
from rosetta.results import keys, records

# Changes whenever a plot is drawn otherwise, so that old files are drawn anew.
VERSION = 1
POINTS = 300  # of a curve: more cannot be told apart, and would make the files large
LEAST_WINDOW = 5  # steps that a loss is averaged over
LINE_STYLES = ("-", "--", ":", "-.")
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "rosetta",  # names inside the file do not depend on the run
    "svg.fonttype": "path",
    "path.simplify": True,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}

Plot = Mapping[str, Any]


def update(project: Project, file: Path, plot: Plot) -> bool:
    """Draw a plot into `file` unless it already shows just this; return whether it was drawn.

    plot: {"kind": "losses" or "speeds", "title", "axis", "rows": [{"name", "colour", ...}]}; rows
    have "losses" [one per step] and "run", which tells one run's from another's, or they have
    "speed", "spread" [least, most] or None, and "label".
    """
    rows = [{name: row[name] for name in row if name != "losses"} for row in plot["rows"]]
    identifier = f"sha256:{keys.digest([VERSION, {**plot, 'rows': rows}])}"
    if file.is_file() and identifier in file.read_text(encoding="utf-8")[:4000]:
        return False
    records.write_text(project, file, _draw(plot, identifier))
    return True


def _draw(plot: Plot, identifier: str) -> str:
    """Return the SVG of a plot. Imports matplotlib, which takes a while: only when needed."""
    import io

    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(layout="constrained")
        FigureCanvasSVG(figure)
        {"losses": _losses, "speeds": _speeds}[plot["kind"]](figure, plot)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Identifier": identifier})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _losses(figure: Any, plot: Plot) -> None:
    rows = plot["rows"]
    figure.set_size_inches(7.5, 3.6 + 0.12 * max(0, len(rows) - 12))
    axes = figure.add_subplot()
    window = max(LEAST_WINDOW, max(len(row["losses"]) for row in rows) // 80)
    for row in rows:
        steps = range(1, len(row["losses"]) + 1)
        if len(row["losses"]) <= POINTS:
            raw = [float("nan") if loss is None else loss for loss in row["losses"]]
            axes.plot(steps, raw, color=_colour(row), alpha=0.15, linewidth=0.6)
        axes.plot(
            *_thinned(_smoothed(row["losses"], window)),
            color=_colour(row),
            linestyle=LINE_STYLES[row["colour"] // 10 % len(LINE_STYLES)],
            linewidth=1.1,
            label=row["name"],
        )
    axes.set(
        title=plot["title"],
        xlabel=f"training step (loss: mean of the last {window})",
        ylabel="loss",
    )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)


def _speeds(figure: Any, plot: Plot) -> None:
    rows = plot["rows"]
    figure.set_size_inches(7.5, 0.9 + 0.28 * len(rows))
    axes = figure.add_subplot()
    positions = range(len(rows))
    speeds = [row["speed"] for row in rows]
    axes.barh(positions, speeds, color=[_colour(row) for row in rows], height=0.7)
    for position, row in zip(positions, rows, strict=True):
        least, most = row["spread"] or (row["speed"], row["speed"])
        if row["spread"]:
            axes.plot([least, most], [position, position], color="black", linewidth=1.2)
        axes.annotate(
            row["label"], (most, position), (4, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(positions, [row["name"] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set(title=plot["title"], xlabel=plot["axis"])
    axes.margins(x=0.22)
    axes.set_xlim(left=0)


def _colour(row: Mapping[str, Any]) -> str:
    return f"C{row['colour'] % 10}"


def _smoothed(losses: Sequence[float | None], window: int) -> tuple[Any, Any]:
    """Return (steps, means) of the last `window` losses up to each step, gaps left out."""
    import numpy as np

    values = np.array([np.nan if loss is None else loss for loss in losses])
    totals = np.concatenate([np.zeros(window), np.nancumsum(values)])
    counts = np.concatenate([np.zeros(window), np.cumsum(~np.isnan(values))])
    steps = np.arange(1, len(values) + 1)
    number = counts[window:] - counts[:-window]
    means = (totals[window:] - totals[:-window]) / np.maximum(number, 1)
    return steps[number > 0], means[number > 0]


def _thinned(curve: tuple[Any, Any]) -> tuple[Any, Any]:
    stride = max(1, len(curve[0]) // POINTS)
    return curve[0][::stride], curve[1][::stride]
