"""What the plots of a table show: the losses and the speeds of its rows."""

from __future__ import annotations

from typing import Any

from rosetta.results import columns, plots
from rosetta.results.groups import Group
from rosetta.results.overview import Overview
from rosetta.results.records import Record


def of(overview: Overview, group: Group) -> dict[str, plots.Plot]:
    """Return the plots of a table by the end of their file name."""
    made: dict[str, plots.Plot] = {}
    title = f"{group.task}, {group.profile}"
    curves = [
        {**_label(overview, record), "run": _run(record), "losses": record["losses"]}
        for record in group.ok
        if record["losses"]
    ]
    if curves:
        made["losses"] = {"kind": "losses", "title": title, "rows": curves}
    bars = [
        _bar(overview, record) for record in overview.ordered(group.ok) if columns.speed(record)
    ]
    if bars:
        unit = group.ok[0].get("unit", "examples")
        what = "training" if any(map(columns.trains, group.ok)) else "inference"
        axis = f"{what}, {unit}/s" + columns.fraction_legend(group)
        made["speeds"] = {"kind": "speeds", "title": title, "axis": axis, "rows": bars}
    return made


def _label(overview: Overview, record: Record) -> dict[str, Any]:
    name = record["framework"]
    return {"name": overview.title(name), "colour": overview.rows.index(name)}


def _bar(overview: Overview, record: Record) -> dict[str, Any]:
    speed, fraction = columns.speed(record) or 0.0, columns.fraction(record)
    label = columns.number(speed) + (f" ({fraction:.2f})" if fraction else "")
    spread = record.get("spread", {}).get(columns.speed_name(record))
    return {**_label(overview, record), "speed": speed, "spread": spread, "label": label}


def _run(record: Record) -> list[str]:
    return [str(record["key"]), str(record["started"])]
