"""results.md and its plots, made of the records alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from rosetta import registry
from rosetta.project import Project
from rosetta.registry import Cell, Framework
from rosetta.results import columns, keys, plots, records, titles
from rosetta.results.groups import Group
from rosetta.results.markdown import plain, table_row
from rosetta.results.records import BrokenRecordError, Record

PROFILES = ("full", "quick", "smoke")
TEMPLATE = "results.md.jinja"
GLANCE = "<!-- results at a glance, made by `python run_all.py report` -->"
GLANCE_END = "<!-- end of the results at a glance -->"
# Tasks with dropout: their first loss in training depends on each framework's random numbers.
WITH_DROPOUT = ("cifar10_cnn",)
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
    return changed | _update_readme(project, report.glance()), broken


def _update_readme(project: Project, table: str) -> bool:
    """Put the results at a glance between their marks in README.md, where it has them."""
    readme = project.root / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    before, mark, rest = text.partition(GLANCE)
    _, end, after = rest.partition(GLANCE_END)
    new = f"{before}{mark}\n{table}{end}{after}"
    if not (mark and end) or new == text:
        return False
    records.write_text(project, readme, new)
    return True


class Report:
    """What results.md says, from the records and from what the repository holds now."""

    def __init__(
        self, project: Project, found: Sequence[Record], broken: Sequence[BrokenRecordError]
    ) -> None:
        self.project, self.records, self.broken = project, found, broken
        self.frameworks = registry.load(project)
        self.keys = keys.Keys(project)
        self._stale: dict[int, str | None] = {}
        matrix = registry.cells(project, self.frameworks.values())
        self.cells = {(cell.task, cell.framework.name): cell for cell in matrix}

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
        environment.filters.update(plain=plain, row=table_row)
        return environment.get_template(TEMPLATE).render(
            tasks=self.tasks,
            matrix=self.matrix(),
            machines=[self.machine(name) for name in self.machine_names()],
            broken=[str(error) for error in self.broken],
        )

    def draw(self) -> bool:
        """Draw the plots that are shown and not up to date; return whether there was one."""
        drawn = False
        for group in (each for machine in self.plotted for each in self.groups(machine)):
            for name, plot in self.plots(group).items():
                file = self.project.root / group.folder / f"{group.task}-{name}.svg"
                drawn |= plots.update(self.project, file, plot)
        return drawn

    # --- what there is --------------------------------------------------------------------------

    @cached_property
    def tasks(self) -> list[str]:
        """The tasks that have a notebook or a record, in their order."""
        seen = {record["task"] for record in self.records} | {task for task, _ in self.cells}
        return [task for task in registry.TASKS if task in seen]

    @cached_property
    def rows(self) -> list[str]:
        """The names of all rows, those with records only too."""
        with_notebook = {name for _, name in self.cells}
        return sorted(with_notebook | {name for _, name in self._by_cell})

    def machine_names(self) -> list[str]:
        return list(self._groups)

    def groups(self, machine: str | None = None, profile: str | None = None) -> list[Group]:
        """Return the records by machine, profile and task, in the order of the report."""
        found = self._groups.values() if machine is None else [self._groups.get(machine, [])]
        return [
            group for mine in found for group in mine if profile is None or group.profile == profile
        ]

    @cached_property
    def _groups(self) -> dict[str, list[Group]]:
        """The groups of every machine."""
        made: dict[tuple[str, str, str], list[Record]] = {}
        for record in self.records:
            place = (record["machine"]["name"], record["profile"], record["task"])
            made.setdefault(place, []).append(record)
        groups = [Group(*place, found) for place, found in made.items()]
        order = {name: index for index, name in enumerate((*PROFILES, *registry.TASKS))}
        groups.sort(key=lambda group: (group.machine, order[group.profile], order[group.task]))
        by_machine = itertools.groupby(groups, lambda group: group.machine)
        return {name: list(mine) for name, mine in by_machine}

    @cached_property
    def _by_cell(self) -> dict[tuple[str, str], list[Record]]:
        """The records of every cell of the matrix, of all machines and profiles."""
        made: dict[tuple[str, str], list[Record]] = {}
        for record in self.records:
            made.setdefault((record["task"], record["framework"]), []).append(record)
        return made

    @cached_property
    def at_a_glance(self) -> tuple[str, str] | None:
        """The machine and the profile with the most records that are ok, smoke runs left out."""
        sizes = {
            (each.machine, each.profile): 0 for each in self.groups() if each.profile != "smoke"
        }
        for group in self.groups():
            if group.profile != "smoke":
                sizes[group.machine, group.profile] += len(group.ok)
        most = max(sizes.values(), default=0)
        return min((each for each in sizes if sizes[each] == most), default=None) if most else None

    @cached_property
    def plotted(self) -> list[str]:
        """The machines whose plots results.md shows: that of README.md, and the newest one.

        The pages of the site show those of all, and draw them there.
        """
        newest = max(self.records, key=lambda each: str(each["started"]), default=None)
        names = {newest["machine"]["name"]} if newest else set()
        return sorted(names | set((self.at_a_glance or ())[:1]))

    def glance(self) -> str:
        """Return the table of README.md: the speed of every row where most of them ran.

        Beside it the accuracy that the whole specification reached, wherever it was trained.
        """
        if not self.at_a_glance:
            return "\nNo records are kept here yet: `python run_all.py` makes yours.\n\n"
        machine, profile = self.at_a_glance
        tasks = {group.task: group for group in self.groups(machine, profile)}
        title = columns.machine_title(tasks[min(tasks)].records[0]["machine"])
        heads = [
            ", ".join([f"{columns.unit(group)}/s", task, *group.stand_ins])
            for task, group in tasks.items()
        ]
        lines = [
            f"\nProfile `{profile}` on {plain(title)}:"
            " examples per second in training, of the ResNet-50 in inference; in brackets the "
            "accuracy after the whole training (profile `full`).\n",
            f"| | {' | '.join(heads)} |",
            f"|---|{'---:|' * len(heads)}",
        ]
        for name in self.rows:
            cells = [self._glance_cell(group, name) for group in tasks.values()]
            lines.append(f"| {plain(self.title(name))} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n\n"

    def _glance_cell(self, group: Group, name: str) -> str:
        record = next((each for each in group.records if each["framework"] == name), None)
        if record is None:
            return "not run"
        if record["status"] != "ok":
            return str(record["status"])
        full = [
            each["metrics"].get("accuracy")
            for each in self._by_cell[group.task, name]
            if (each["profile"], each["status"]) == ("full", "ok") and each["data"] == "real"
        ]
        marks = [columns.percent(full[0])] if full and full[0] is not None else []
        marks += group.own_stand_ins(record)
        return columns.number(columns.speed(record)) + (f" ({', '.join(marks)})" if marks else "")

    def title(self, name: str) -> str:
        framework: Framework | None = self.frameworks.get(name)
        return framework.title if framework else name

    def stale(self, record: Record) -> str | None:
        """Return what has changed since a record was made, in words; None where nothing has."""
        if record["status"] != "ok":
            return None
        if id(record) not in self._stale:
            cell: Cell | None = self.cells.get((record["task"], record["framework"]))
            self._stale[id(record)] = self.keys.why_stale(record, cell)
        return self._stale[id(record)]

    # --- the matrix -----------------------------------------------------------------------------

    def matrix(self) -> list[dict[str, Any]]:
        """Return a row of cells for every framework: its best record of each task."""
        return [
            {"title": self.title(name), "cells": [self._entry(task, name) for task in self.tasks]}
            for name in self.rows
        ]

    def _entry(self, task: str, name: str) -> str:
        found = self._by_cell.get((task, name))
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
            for record in self._ordered(group.records)
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
            "notes": self._notes(figures),
            "missing": missing,
            "plots": self._plot_links(group),
            "synthetic": any(record["data"] == "synthetic" for record in group.ok),
            "start": self._start(group),
        }

    def _ordered(self, found: Iterable[Record]) -> list[Record]:
        """Return records fastest first, those without figures last."""
        return sorted(found, key=lambda each: (-(columns.speed(each) or 0.0), each["framework"]))

    def _status(self, record: Record) -> str:
        marks = [columns.state(record)]
        if self.stale(record):
            marks.append("stale")
        if "last_try" in record:
            marks.append("last try failed")
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

    def _remarks(self, record: Record, figures: Mapping[str, str]) -> Iterable[str]:
        if record["status"] != "ok":
            yield f"{record['status']}: {record['reason']}"
            return
        why = self.stale(record)
        if why:
            yield f"stale, {why}"
        if failure := records.last_try(record):
            yield failure
        environment = record["environment"]
        if environment.get("here"):
            yield f"run in a Python {environment['python']} of the user's own (--here)"
        for name, each in environment.get("differs", {}).items():
            yield f"{name} {each['found']} where the lock has {each['locked']}"
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

    # --- the same start -------------------------------------------------------------------------

    def _start(self, group: Group) -> dict[str, Any] | None:
        """Return the first losses of all rows, and how well they agree; None without training."""
        found = [record for record in group.ok if _first(record.get("check_losses")) is not None]
        if not found:
            return None
        losses = {"first batch of the check": [record["check_losses"][0] for record in found]}
        if group.task not in WITH_DROPOUT and all(
            _first(record["losses"]) is not None for record in found
        ):
            losses["first batch of training"] = [record["losses"][0] for record in found]
        rows = [
            [
                self.title(record["framework"]),
                *(f"{values[index]:.7g}" for values in losses.values()),
            ]
            for index, record in enumerate(found)
        ]
        agreement = [
            f"on the {name} the rows differ by at most {_relative_difference(values):.0e} of it"
            for name, values in losses.items()
            if len(values) > 1
        ]
        if agreement and group.task in WITH_DROPOUT:
            agreement.append("each row draws dropout masks of its own: the curves of training part")
        return {"columns": list(losses), "rows": rows, "agreement": agreement}

    # --- plots ----------------------------------------------------------------------------------

    def plots(self, group: Group) -> dict[str, plots.Plot]:
        """Return the plots of a table by the end of their file name."""
        made: dict[str, plots.Plot] = {}
        title = f"{group.task}, {group.profile}"
        curves = [
            {**self._label(record), "run": _run(record), "losses": record["losses"]}
            for record in group.ok
            if record["losses"]
        ]
        if curves:
            made["losses"] = {"kind": "losses", "title": title, "rows": curves}
        bars = [self._bar(record) for record in self._ordered(group.ok) if columns.speed(record)]
        if bars:
            unit = group.ok[0].get("unit", "examples")
            what = "training" if columns.trains(group.ok[0]) else "inference"
            axis = f"{what}, {unit}/s" + columns.fraction_legend(group)
            made["speeds"] = {"kind": "speeds", "title": title, "axis": axis, "rows": bars}
        return made

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

    def _label(self, record: Record) -> dict[str, Any]:
        name = record["framework"]
        return {"name": self.title(name), "colour": self.rows.index(name)}

    def _bar(self, record: Record) -> dict[str, Any]:
        speed, fraction = columns.speed(record) or 0.0, columns.fraction(record)
        label = columns.number(speed) + (f" ({fraction:.2f})" if fraction else "")
        spread = record.get("spread", {}).get(columns.speed_name(record))
        return {**self._label(record), "speed": speed, "spread": spread, "label": label}


# --- figures ----------------------------------------------------------------------------------


def _run(record: Record) -> list[str]:
    return [str(record["key"]), str(record["started"])]


def _first(losses: Sequence[float | None] | None) -> float | None:
    """Return the first of some losses; None where there is none, or it was no number."""
    return losses[0] if losses else None


def _relative_difference(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / max(abs(min(values)), 1e-30)


# --- words ------------------------------------------------------------------------------------


def _bold(names: Sequence[str]) -> str:
    return f"**{', '.join(map(plain, names))}**"
