"""The results pages, one of each machine: the tables with links, and their plots as SVG."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rosetta.results import columns
from rosetta.results.groups import Group
from rosetta.results.records import Record
from rosetta.results.report import Report
from rosetta.site import charts, notebooks


@dataclass(frozen=True)
class Cell:
    """A figure as it is read, and as it is sorted by."""

    text: str
    sort: str


@dataclass(frozen=True)
class Row:
    """One record in a table."""

    name: str
    title: str
    cells: Sequence[Cell]
    record: str | None  # where its files are in the site
    notebook: str | None
    ok: bool
    reason: str | None


def pages(report: Report, files: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return what the page of each machine shows, by its name: its tables and plots.

    The first is results.html, that of the machine at a glance. files: those of results/ to link to.
    """
    names = report.machine_names()
    if not names:
        return {"results": {"machines": []}}
    first = report.at_a_glance[0] if report.at_a_glance else names[0]
    names.sort(key=lambda name: name != first)
    machines = {
        f"results-{name}" if number else "results": report.machine(name)
        for number, name in enumerate(names)
    }
    shown = [{**machine, "page": f"{page}.html"} for page, machine in machines.items()]
    return {
        page: {
            "template": "results",
            "machines": shown,
            "machine": machine,
            "transplants": _of(machine, report.transplants),
            "variants": _of(machine, report.variants),
            "groups": [_section(report, group, files) for group in report.groups(machine["name"])],
        }
        for page, machine in machines.items()
    }


def _of(machine: Mapping[str, Any], tables: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in tables if each["machine"] == machine["name"]]


def glance(report: Report, rows: Mapping[str, str]) -> dict[str, Any]:
    """Return the speeds of all rows on one machine in one profile, those of README.md."""
    groups = report.groups(*(report.at_a_glance or ()))
    if not groups:
        return {"groups": {}, "stand_ins": {}, "speeds": {}}
    chosen = max(groups, key=lambda each: (each.profile != "smoke", len(each.ok), _newest(each)))
    mine = {group.task: group for group in report.groups(chosen.machine, chosen.profile)}
    return {
        "machine": report.machine(chosen.machine),
        "profile": chosen.profile,
        "groups": mine,
        "stand_ins": {task: group.stand_ins for task, group in mine.items()},
        "speeds": {task: _speeds(group, rows) for task, group in mine.items()},
    }


def _newest(group: Group) -> str:
    return max(str(record["started"]) for record in group.records)


def _speeds(group: Group, rows: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return speed, its share of the fastest one's, and the state of every row of a group."""
    fastest = max((columns.speed(record) or 0.0 for record in group.records), default=0.0)
    return {
        record["framework"]: {
            "speed": columns.speed(record),
            "share": (columns.speed(record) or 0.0) / (fastest or 1.0),
            "unit": record.get("unit", "examples"),
            "status": record["status"],
            "stand_ins": group.own_stand_ins(record),
        }
        for record in group.records
        if record["framework"] in rows
    }


def _section(report: Report, group: Group, files: Collection[str]) -> dict[str, Any]:
    table = report.table(group)
    records = {report.title(record["framework"]): record for record in group.records}
    rows = [_row(files, records[cells[0]], cells) for cells in table["rows"]]
    styles = charts.styles({name: report.title(name) for name in report.rows})
    curves = [
        charts.Curve(record["framework"], title, record["losses"], styles[record["framework"]])
        for title, record in sorted(records.items(), key=lambda item: item[0].lower())
        if record["status"] == "ok" and record["losses"]
    ]
    return {
        **table,
        "id": "-".join((group.machine, group.profile, group.task)),
        "profile": group.profile,
        "rows": rows,
        "chart": charts.losses(curves) if curves else None,
    }


def _row(files: Collection[str], record: Record, cells: Sequence[str]) -> Row:
    place = notebooks.place(record)
    return Row(
        name=record["framework"],
        title=cells[0],
        cells=[Cell(text, _sort_value(text)) for text in cells[1:]],
        record=f"{place}.json" if f"{place}.json" in files else None,
        notebook=f"{place}.ipynb" if f"{place}.ipynb" in files else None,
        ok=record["status"] == "ok",
        reason=record["reason"],
    )


def _sort_value(text: str) -> str:
    """Return the number that a figure begins with, or else its text."""
    number = re.match(r"-?[\d,]+(?:\.\d+)?(?:e[+-]?\d+)?(?![\d.]*[a-z])", text)
    return number[0].replace(",", "") if number else text.lower()
