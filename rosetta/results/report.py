"""results.md and its plots, made of the records alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from rosetta.project import Project
from rosetta.results import (
    columns,
    conditions,
    glance,
    headline,
    plot_data,
    plots,
    records,
    start,
    titles,
    transplants,
    variants,
    vectors,
)
from rosetta.results.groups import Group
from rosetta.results.markdown import linked, plain, table_row
from rosetta.results.overview import PROFILES, Overview
from rosetta.results.records import BrokenRecordError, Record

Kind = TypeVar("Kind")

TEMPLATE = "results.md.jinja"
ORIGINS = {"published": "as published", "mirror": "from a mirror, not the published file"}
TASK_TITLES = {
    "cifar10_cnn": "VGG-style CNN on CIFAR-10",
    "imdb_gru": "GRU on IMDB reviews",
    "resnet50_features": "feature extraction with ResNet-50",
}


def write(project: Project) -> bool:
    """Write results.md and its plots; return whether anything has changed.

    Raises UserError for a broken record, after the tables of all others are written.
    """
    changed, broken = update(project)
    if broken:
        raise broken[0]
    return changed


def update(project: Project) -> tuple[bool, list[BrokenRecordError]]:
    """Like `write`, but return what is wrong with the broken records beside whether it changed.

    Smoke runs prove that a notebook works, and measure nothing: they stay out of the tables.
    """
    found, broken = records.read_all(project)
    report = Report(project, [each for each in found if each["profile"] != "smoke"], broken)
    changed = report.draw()
    text = report.render()
    if not project.results_md.is_file() or project.results_md.read_text(encoding="utf-8") != text:
        records.write_text(project, project.results_md, text)
        changed = True
    fresh = [record for record in report.records if not report.stale(record)]
    changed |= titles.update(project, report.cells.values(), fresh)
    return changed | glance.update(project, report), list(report.broken)


class Report(Overview):
    """What results.md says, from the records and from what the repository holds now."""

    def render(self) -> str:
        """Return the text of results.md."""
        import jinja2

        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("rosetta.results"),
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
        )
        environment.filters.update(plain=plain, row=table_row, linked=linked)
        return environment.get_template(TEMPLATE).render(
            tasks=self.tasks,
            headlines=headline.tables(self),
            glance=self.at_a_glance,
            matrix=self.matrix(),
            machines=[self.machine(name) for name in self.machine_names()],
            transplants=self.transplants,
            variants=self.variants,
            broken=[str(error) for error in self.broken],
        )

    def draw(self) -> bool:
        """Draw the plots that are shown and not up to date; return whether there was one."""
        drawn = False
        for group in (each for machine in self.plotted for each in self.groups(machine)):
            for name, plot in plot_data.of(self, group).items():
                file = self.project.root / group.folder / f"{group.task}-{name}.svg"
                drawn |= plots.update(self.project, file, plot)
        return drawn

    # --- the matrix -----------------------------------------------------------------------------

    def matrix(self) -> list[dict[str, Any]]:
        """Return a row of cells for every framework: its best record of each task."""
        return [
            {"title": self.title(name), "cells": [self._entry(task, name) for task in self.tasks]}
            for name in self.rows
        ]

    def _entry(self, task: str, name: str) -> str:
        found = self.by_cell.get((task, name))
        if not found:
            return "not run yet" if (task, name) in self.cells else f"{columns.NONE} ¹"
        best = min(found, key=self._rank)
        place = self._place(best)
        state = self._status(best)
        entry = f"[{state}]({place}.json), {best['profile']}"
        if (self.project.root / f"{place}.ipynb").is_file():
            entry += f", [notebook]({place}.ipynb)"
        return entry

    def _rank(self, record: Record) -> tuple[bool, bool, int, str]:
        """Return what orders the records of a cell: sound ones first, then the fullest profile."""
        stale = self.stale(record) is not None
        return (
            record["status"] != "ok",
            stale,
            PROFILES.index(record["profile"]),
            record["machine"]["name"],
        )

    def _place(self, record: Record) -> str:
        group = Group(record["machine"]["name"], record["profile"], record["task"], ())
        return f"{group.folder}/{record['task']}/{record['framework']}"

    # --- beside the records ---------------------------------------------------------------------

    @cached_property
    def transplants(self) -> list[dict[str, Any]]:
        """Return the matrices, source by target, of every machine that moved trained weights."""
        found = []
        for file, matrix in self._beside(transplants.FOLDER, transplants.read):
            targets, rows = transplants.table(matrix)
            found.append(
                {
                    "task": matrix.task,
                    "machine": matrix.machine,
                    "columns": [self.title(name) for name in targets],
                    "notebooks": {name: self._notebook(matrix.task, name) for name in targets},
                    "rows": [(self.title(name), cells) for name, cells in rows.items()],
                    "worst": transplants.worst(matrix),
                    "synthetic": matrix.data != "real",
                    "stale": any(
                        self._has_changed(matrix.task, name, target.files)
                        for name, target in matrix.targets.items()
                    ),
                    "file": self.project.relative(file),
                }
            )
        return found

    def _has_changed(self, task: str, name: str, files: Mapping[str, str]) -> bool:
        """Say whether a row's notebook or common/ are no more what they were, or gone."""
        cell = self.cells.get((task, name))
        return cell is None or files != self.keys.of_files(cell)

    def _notebook(self, task: str, name: str) -> str | None:
        """Return where the notebook of a row is, if it still has one."""
        cell = self.cells.get((task, name))
        return self.project.relative(cell.notebook) if cell else None

    @cached_property
    def variants(self) -> list[dict[str, Any]]:
        """Return the tables of the variants that were measured, of every machine."""
        return [
            {
                "title": f"{rounds.task}, {self.title(rounds.framework)}",
                "machine": rounds.machine,
                "unit": rounds.unit,
                "rows": variants.rows(rounds),
                "stale": self._has_changed(rounds.task, rounds.framework, rounds.files),
                "file": self.project.relative(file),
            }
            for file, rounds in self._beside(variants.FOLDER, variants.read)
        ]

    def _beside(
        self, folder: str, read: Callable[[Project, Path], Kind | None]
    ) -> list[tuple[Path, Kind]]:
        """Return what files of a kind hold, of all machines; broken ones are named as such."""
        found = []
        for file in sorted(self.project.results.glob(f"*/{folder}/*.json")):
            try:
                held = read(self.project, file)
            except BrokenRecordError as error:
                self.broken = [*self.broken, error]
                continue
            if held is not None:
                found.append((file, held))
        return found

    # --- machines and tables --------------------------------------------------------------------

    def machine(self, name: str) -> dict[str, Any]:
        """Return a machine with its tables, profile by profile."""
        mine = [record for group in self.groups(name) for record in group.records]
        newest = max(mine, key=lambda record: str(record["started"]))
        profiles = [
            profile for profile in PROFILES if any(each["profile"] == profile for each in mine)
        ]
        return {
            "name": name,
            "title": columns.machine_title(newest["machine"]),
            "facts": columns.machine_facts(newest["machine"], [each["machine"] for each in mine]),
            "profiles": [
                {
                    "name": profile,
                    "tables": [self.table(group) for group in self.groups(name, profile)],
                }
                for profile in profiles
            ],
        }

    def table(self, group: Group) -> dict[str, Any]:
        """Return the table of one task with its plots and notes."""
        unit = columns.unit(group)
        makers = columns.of(group, unit)
        figures = [
            (
                record,
                {
                    name: make(record) if record["status"] == "ok" else columns.NONE
                    for name, make in makers.items()
                },
            )
            for record in self.ordered(group.records)
        ]
        missing = [
            self.title(name)
            for task, name in self.cells
            if task == group.task and name not in {each["framework"] for each in group.records}
        ]
        return {
            "task": group.task,
            "title": TASK_TITLES[group.task],
            "columns": ["", "status", *makers],
            "rows": [
                [self.title(record["framework"]), self._status(record), *found.values()]
                for record, found in figures
            ],
            "notes": [*self._notes(figures), *self._bound(group)],
            "missing": missing,
            "plots": self._plot_links(group),
            "synthetic": any(record["data"] == "synthetic" for record in group.ok),
            "start": start.of(group, self.title),
        }

    def _status(self, record: Record) -> str:
        marks = [columns.state(record)]
        if self.stale(record):
            marks.append("stale")
        if "last_try" in record:
            marks.append("last try failed")
        if self.busy(record):
            marks.append("busy machine")
        if conditions.unsteady(record):
            marks.append("unsteady")
        if record["environment"].get("differs"):
            marks.append("other versions")
        return ", ".join(marks)

    def _notes(self, figures: Sequence[tuple[Record, Mapping[str, str]]]) -> list[str]:
        """Return what must be known to read the rows; what holds for several is said once."""
        said: dict[str, list[str]] = {}
        for record, found in figures:
            for remark in self._remarks(record, found):
                said.setdefault(remark, []).append(self.title(record["framework"]))
        everyone = len(figures)
        return [
            f"{'**All rows**' if 1 < len(names) == everyone else _bold(names)}: {plain(remark)}"
            for remark, names in said.items()
        ]

    def _bound(self, group: Group) -> Iterable[str]:
        """Return what the processor's vectors leave of the matrix product, if it is known."""
        machine = group.records[0]["machine"]
        found = None
        if not machine.get("accelerator"):
            found = vectors.remark(group.task, machine.get("vectors"))
        return [plain(found[0].upper() + found[1:] + ".")] if found else []

    def _remarks(self, record: Record, figures: Mapping[str, str]) -> Iterable[str]:
        if record["status"] != "ok":
            yield f"{record['status']}: {record['reason']}"
            return
        why = self.stale(record)
        if why:
            yield f"stale, {why}"
        if failure := records.last_try(record):
            yield failure
        for remark in (self.busy(record), conditions.unsteady(record)):
            if remark:
                yield remark
        environment = record["environment"]
        if environment.get("here"):
            yield f"run in a Python {environment['python']} of the user's own (--here)"
        for name, each in environment.get("differs", {}).items():
            yield f"{name} {each['found']} where the lock has {each['locked']}"
        for name, value in environment.get("variables", {}).items():
            yield f"run with {name}={value}"
        if record.get("dialect_losses") is not None:
            part = f"{record['dialect_losses']:.0e}"
            yield f"its dialect makes the losses of the check part from the base form's by {part}"
        if record.get("repeats", 1) > 1:
            yield f"medians of {record['repeats']} runs, least and most in brackets"
        for name, source in records.sources(record).items():
            if source.get("sha256"):
                yield f"{name} {ORIGINS[source['kind']]}, SHA-256 {source['sha256']}"
        if record.get("notes"):
            yield str(record["notes"])
        missing = [name for name, figure in figures.items() if figure == columns.NONE]
        if missing:
            yield f"not measured: {', '.join(missing)}"

    def _plot_links(self, group: Group) -> list[dict[str, str]]:
        if group.machine not in self.plotted:
            return []
        words = {"losses": "loss of every row", "speeds": "speed of every row"}
        files = [(name, f"{group.folder}/{group.task}-{name}.svg") for name in words]
        return [
            {"text": f"{group.task}, {group.profile}: {words[name]}", "file": file}
            for name, file in files
            if (self.project.root / file).is_file()
        ]


def _bold(names: Sequence[str]) -> str:
    return f"**{', '.join(map(plain, names))}**"
