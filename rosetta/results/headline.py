"""What a reader comes for, per task: the accuracy and the time of the whole training, the speed."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosetta.results import columns
from rosetta.results.groups import Group
from rosetta.results.markdown import table_row
from rosetta.results.overview import Overview
from rosetta.results.records import Record

PUBLISHED = Path(__file__).with_name("published.toml")


@dataclass(frozen=True)
class Headline:
    """The table of one task."""

    task: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""  # Markdown

    @property
    def lines(self) -> list[str]:
        """The table as lines of Markdown."""
        head = [
            f"| {' | '.join(self.columns)} |",
            f"|---|{'---:|' * (len(self.columns) - 1)}",
        ]
        return [*head, *(table_row(row) for row in self.rows), *(["", self.note] * bool(self.note))]


@functools.cache
def published() -> dict[str, Any]:
    """Return what others have published."""
    return tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))


def tables(overview: Overview) -> list[Headline]:
    """Return a table for each task, of the machine where most rows ran the present code."""
    if not overview.at_a_glance:
        return []
    return [_table(overview, group) for group in overview.groups(*overview.at_a_glance)]


def _table(overview: Overview, group: Group) -> Headline:
    accuracies = published()["accuracy"]
    known = accuracies.get(group.task, {})
    makers: dict[str, Callable[[str], str]] = {
        "accuracy, whole training": lambda name: _accuracy(overview, group, name),
        "seconds, whole training": lambda name: _seconds(overview, group, name),
        ", ".join([f"{columns.unit(group)}/s", *group.stand_ins]): lambda name: _speed(
            overview, group, name
        ),
        "per core": lambda name: _per_core(group, name),
        f"[{accuracies['title']}]({accuracies['source']})": lambda name: (
            f"{known[name]} %" if name in known else columns.NONE
        ),
    }
    # Of a row that has no notebook for this task, none is missing.
    names = [each for each in overview.rows if (group.task, each) in overview.cells]
    figures = {head: [make(name) for name in names] for head, make in makers.items()}
    shown = {head: found for head, found in figures.items() if set(found) != {columns.NONE}}
    rows = [
        [overview.title(name), *(found[index] for found in shown.values())]
        for index, name in enumerate(names)
    ]
    return Headline(group.task, [group.task, *shown], rows, _note(group))


def _record(group: Group, name: str) -> Record | None:
    return next((each for each in group.records if each["framework"] == name), None)


def _whole(overview: Overview, group: Group, name: str) -> list[Record]:
    """Return the records of the whole training of a row on the real data, the fresh ones first."""
    found = [
        each
        for each in overview.by_cell.get((group.task, name), [])
        if (each["profile"], each["status"], each["data"]) == ("full", "ok", "real")
        and each.get("trains", True)
    ]
    return sorted(found, key=lambda each: overview.stale(each) is not None)


def _accuracy(overview: Overview, group: Group, name: str) -> str:
    found = _whole(overview, group, name)
    if not found:
        return columns.NONE
    mark = " (stale)" if overview.stale(found[0]) else ""
    return columns.percent(found[0]["metrics"].get("accuracy")) + mark


def _seconds(overview: Overview, group: Group, name: str) -> str:
    found = [
        each["metrics"].get("train_seconds")
        for each in _whole(overview, group, name)
        if each["machine"]["name"] == group.machine
    ]
    return columns.number(found[0]) if found and found[0] else columns.NONE


def _speed(overview: Overview, group: Group, name: str) -> str:
    record = _record(group, name)
    if record is None:
        return "not run"
    if record["status"] != "ok":
        return str(record["status"])
    if not record.get("trains", True):
        return "inference alone"
    marks = [*group.own_stand_ins(record), *(["busy machine"] if overview.busy(record) else [])]
    return columns.number(columns.speed(record)) + (f" ({', '.join(marks)})" if marks else "")


def _per_core(group: Group, name: str) -> str:
    """Return the speed of a core where others have published theirs: in ResNet-50, on a CPU."""
    record = _record(group, name)
    if group.task != "resnet50_features" or record is None or record["device"] != "cpu":
        return columns.NONE
    speed = columns.speed(record)
    return columns.number(speed / record["machine"]["cores"]) if speed else columns.NONE


def _note(group: Group) -> str:
    if group.task != "resnet50_features":
        return ""
    found = published()["per_core"]
    said = ", ".join(f"{name} {figure}" for name, figure in found["figures"].items())
    return f"Published, pictures/s per core of [{found['title']}]({found['source']}): {said}."
