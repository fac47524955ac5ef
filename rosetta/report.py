"""results.md and its plots, made of the records alone."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rosetta import keys, plots, records, registry
from rosetta.project import Project
from rosetta.records import BrokenRecordError, Record
from rosetta.registry import Cell, Framework

PROFILES = ("full", "quick", "smoke")
TEMPLATE = "results.md.jinja"
NONE = "—"
GLANCE = "<!-- results at a glance, made by `python run_all.py report` -->"
GLANCE_END = "<!-- end of the results at a glance -->"
# Tasks with dropout: their first loss in training depends on each framework's random numbers.
WITH_DROPOUT = ("cifar10_cnn",)
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


def update(project: Project, with_plots: bool = True) -> tuple[bool, list[BrokenRecordError]]:
    """Like `write`, but return what is wrong with the broken records beside whether it changed."""
    found, broken = records.read_all(project)
    report = Report(project, found, broken)
    changed = with_plots and report.draw()
    text = report.render()
    if not project.results_md.is_file() or project.results_md.read_text(encoding="utf-8") != text:
        records.write_text(project, project.results_md, text)
        changed = True
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


@dataclass(frozen=True)
class Group:
    """The records of one task, made with one profile on one machine."""

    machine: str
    profile: str
    task: str
    records: Sequence[Record]

    @property
    def folder(self) -> str:
        return f"results/{self.machine}/{self.profile}"

    @property
    def ok(self) -> list[Record]:
        return [record for record in self.records if record["status"] == "ok"]

    @property
    def stand_ins(self) -> list[str]:
        """What stands in for the real data and weights in every record that is ok."""
        found = [records.stand_ins(record) for record in self.ok]
        known = records.STAND_INS.values()
        return [words for words in known if found and all(words in each for each in found)]

    def own_stand_ins(self, record: Record) -> list[str]:
        """What stands in for them in a record, but not in every other one."""
        return [each for each in records.stand_ins(record) if each not in self.stand_ins]


class Report:
    """What results.md says, from the records and from what the repository holds now."""

    def __init__(
        self, project: Project, found: Sequence[Record], broken: Sequence[BrokenRecordError]
    ) -> None:
        self.project, self.records, self.broken = project, found, broken
        self.frameworks = registry.load(project)
        self.keys = keys.Keys(project)
        matrix = registry.cells(project, self.frameworks.values())
        self.cells = {(cell.task, cell.framework.name): cell for cell in matrix}

    def render(self) -> str:
        """Return the text of results.md."""
        import jinja2

        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("rosetta"),
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
        )
        return environment.get_template(TEMPLATE).render(
            tasks=self.tasks,
            matrix=self.matrix(),
            machines=[self.machine(name) for name in self.machine_names()],
            broken=[str(error) for error in self.broken],
        )

    def draw(self) -> bool:
        """Draw the plots that are not up to date; return whether there was one."""
        drawn = False
        for group in self.groups():
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
        return sorted(with_notebook | {record["framework"] for record in self.records})

    def machine_names(self) -> list[str]:
        return sorted({record["machine"]["name"] for record in self.records})

    def groups(self, machine: str | None = None, profile: str | None = None) -> list[Group]:
        """Return the records by machine, profile and task, in the order of the report."""
        made: dict[tuple[str, str, str], list[Record]] = {}
        for record in self.records:
            place = (record["machine"]["name"], record["profile"], record["task"])
            made.setdefault(place, []).append(record)
        groups = [Group(*place, found) for place, found in made.items()]
        order = {name: index for index, name in enumerate((*PROFILES, *registry.TASKS))}
        groups.sort(key=lambda group: (group.machine, order[group.profile], order[group.task]))
        return [
            group
            for group in groups
            if machine in (None, group.machine) and profile in (None, group.profile)
        ]

    def glance(self) -> str:
        """Return the table of README.md: the speed of every row where most of them ran.

        Beside it the accuracy that the whole specification reached, wherever it was trained.
        """
        groups = [each for each in self.groups() if each.profile != "smoke"]
        where = [(each.machine, each.profile) for each in groups for _ in each.ok]
        if not where:
            return "\nNo records are kept here yet: `python run_all.py` makes yours.\n\n"
        machine, profile = max(sorted(set(where)), key=where.count)
        tasks = {group.task: group for group in self.groups(machine, profile)}
        heads = [
            ", ".join([f"{_unit(group)}/s", task, *group.stand_ins])
            for task, group in tasks.items()
        ]
        lines = [
            f"\nProfile `{profile}` on {_machine_title(tasks[min(tasks)].records[0]['machine'])}:"
            " examples per second in training, of the ResNet-50 in inference; in brackets the "
            "accuracy after the whole training (profile `full`).\n",
            f"| | {' | '.join(heads)} |",
            f"|---|{'---:|' * len(heads)}",
        ]
        for name in self.rows:
            cells = [self._glance_cell(group, name) for group in tasks.values()]
            lines.append(f"| {self.title(name)} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n\n"

    def _glance_cell(self, group: Group, name: str) -> str:
        record = next((each for each in group.records if each["framework"] == name), None)
        if record is None:
            return "not run"
        if record["status"] != "ok":
            return str(record["status"])
        full = [
            each["metrics"].get("accuracy")
            for each in self.records
            if (each["task"], each["framework"], each["profile"]) == (group.task, name, "full")
            and each["status"] == "ok"
            and each["data"] == "real"
        ]
        marks = [_percent(full[0])] if full and full[0] is not None else []
        marks += group.own_stand_ins(record)
        return _number(_speed(record)) + (f" ({', '.join(marks)})" if marks else "")

    def title(self, name: str) -> str:
        framework: Framework | None = self.frameworks.get(name)
        return framework.title if framework else name

    def stale(self, record: Record) -> str | None:
        cell: Cell | None = self.cells.get((record["task"], record["framework"]))
        return self.keys.why_stale(record, cell) if record["status"] == "ok" else None

    # --- the matrix -----------------------------------------------------------------------------

    def matrix(self) -> list[dict[str, Any]]:
        """Return a row of cells for every framework: its best record of each task."""
        return [
            {"title": self.title(name), "cells": [self._entry(task, name) for task in self.tasks]}
            for name in self.rows
        ]

    def _entry(self, task: str, name: str) -> str:
        found = [
            record
            for record in self.records
            if (record["task"], record["framework"]) == (task, name)
        ]
        if not found:
            return "not run yet" if (task, name) in self.cells else f"{NONE} ¹"
        best = min(found, key=self._rank)
        place = self._place(best)
        state = _state(best) + (", stale" if self.stale(best) else "")
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
        mine = [record for record in self.records if record["machine"]["name"] == name]
        newest = max(mine, key=lambda record: str(record["started"]))
        profiles = [
            profile for profile in PROFILES if any(each["profile"] == profile for each in mine)
        ]
        return {
            "name": name,
            "title": _machine_title(newest["machine"]),
            "facts": _machine_facts(newest["machine"], [each["machine"] for each in mine]),
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
        unit = _unit(group)
        columns = _columns(group, unit)
        rows = [
            [self.title(record["framework"]), self._status(record)]
            + [make(record) if record["status"] == "ok" else NONE for make in columns.values()]
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
            "columns": ["", "status", *columns],
            "rows": rows,
            "notes": self._notes(group, columns),
            "missing": missing,
            "plots": self._plot_links(group),
            "synthetic": any(record["data"] == "synthetic" for record in group.ok),
            "start": self._start(group),
        }

    def _ordered(self, found: Iterable[Record]) -> list[Record]:
        """Return records fastest first, those without figures last."""
        return sorted(found, key=lambda each: (-(_speed(each) or 0.0), each["framework"]))

    def _status(self, record: Record) -> str:
        marks = [_state(record)]
        if self.stale(record):
            marks.append("stale")
        if record["environment"].get("differs"):
            marks.append("other versions")
        return ", ".join(marks)

    def _notes(self, group: Group, columns: Mapping[str, Any]) -> list[str]:
        """Return what must be known to read the rows; what holds for several is said once."""
        said: dict[str, list[str]] = {}
        for record in self._ordered(group.records):
            for remark in self._remarks(record, columns):
                said.setdefault(remark, []).append(self.title(record["framework"]))
        everyone = len(group.records)
        return [
            f"{'**All rows**' if 1 < len(names) == everyone else _bold(names)}: {remark}"
            for remark, names in said.items()
        ]

    def _remarks(self, record: Record, columns: Mapping[str, Any]) -> Iterable[str]:
        if record["status"] != "ok":
            yield f"{record['status']}: {_escaped(record['reason'])}"
            return
        why = self.stale(record)
        if why:
            yield f"stale, {why}"
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
        if record.get("notes"):
            yield _escaped(record["notes"])
        missing = [name for name, make in columns.items() if make(record) == NONE]
        if missing:
            yield f"not measured: {', '.join(missing)}"

    # --- the same start -------------------------------------------------------------------------

    def _start(self, group: Group) -> dict[str, Any] | None:
        """Return the first losses of all rows, and how well they agree; None without training."""
        found = [record for record in group.ok if record.get("check_losses")]
        if not found:
            return None
        columns = {"first batch of the check": [record["check_losses"][0] for record in found]}
        if group.task not in WITH_DROPOUT and all(record["losses"] for record in found):
            columns["first batch of training"] = [record["losses"][0] for record in found]
        rows = [
            [
                self.title(record["framework"]),
                *(f"{values[index]:.7g}" for values in columns.values()),
            ]
            for index, record in enumerate(found)
        ]
        agreement = [
            f"on the {name} the rows differ by at most {_relative_difference(values):.0e} of it"
            for name, values in columns.items()
            if len(values) > 1
        ]
        if agreement and group.task in WITH_DROPOUT:
            agreement.append("each row draws dropout masks of its own: the curves of training part")
        return {"columns": list(columns), "rows": rows, "agreement": agreement}

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
        bars = [self._bar(record) for record in self._ordered(group.ok) if _speed(record)]
        if bars:
            unit = group.ok[0].get("unit", "examples")
            what = "training" if _trains(group.ok[0]) else "inference"
            axis = f"{what}, {unit}/s" + _fraction_legend(group)
            made["speeds"] = {"kind": "speeds", "title": title, "axis": axis, "rows": bars}
        return made

    def _plot_links(self, group: Group) -> list[dict[str, str]]:
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
        speed, fraction = _speed(record) or 0.0, _fraction(record)
        label = _number(speed) + (f" ({fraction:.2f})" if fraction else "")
        spread = record.get("spread", {}).get(_speed_name(record))
        return {**self._label(record), "speed": speed, "spread": spread, "label": label}


# --- figures ----------------------------------------------------------------------------------


def _columns(group: Group, unit: str) -> dict[str, Any]:
    """Return the headings of a table and how each of its figures is made."""
    trained = any(_trains(record) for record in group.records) or group.task != "resnet50_features"
    columns: dict[str, Any] = {"version": _version}
    if trained:
        columns |= {
            "accuracy": lambda each: _percent(each["metrics"].get("accuracy")),
            f"training {unit}/s": lambda each: _metric(each, "train_examples_per_second"),
            "of the matrix product": lambda each: _plain(_fraction(each), ".2f"),
            "step, ms": lambda each: _metric(each, "step_milliseconds"),
        }
    columns[f"forward {unit}/s"] = lambda each: _metric(each, "forward_examples_per_second")
    if not trained:
        columns |= {
            "seconds per 1,000": lambda each: _metric(each, "seconds_per_1000_examples"),
            "of the matrix product": lambda each: _plain(_fraction(each), ".2f"),
        }
    columns |= {
        "forward, ms": lambda each: _metric(each, "forward_milliseconds"),
        "first step, s": lambda each: _metric(each, "first_step_seconds"),
        "peak memory, GiB": lambda each: _gibibytes(each["metrics"].get("peak_memory_bytes")),
    }
    if any(record["metrics"].get("accelerator_memory_bytes") for record in group.ok):
        columns["of the GPU, GiB"] = lambda each: _gibibytes(
            each["metrics"].get("accelerator_memory_bytes")
        )
    return columns | {"worst check": _worst_check, "dialect": _dialect}


def _unit(group: Group) -> str:
    return next((str(record["unit"]) for record in group.ok), "examples")


def _version(record: Record) -> str:
    versions = record["versions"]
    names = [name for name in versions if name not in ("framework", "python", "numpy")]
    named = [f"{name} {versions[name]}" for name in names] or [versions.get("framework", NONE)]
    python = record["environment"].get("python") or versions.get("python")
    return ", ".join([*named, f"Python {python}"] if python else named)


def _metric(record: Record, name: str) -> str:
    """Return a figure, with the least and the most of several runs where there are."""
    value = _number(record["metrics"].get(name))
    spread = record.get("spread", {}).get(name)
    return f"{value} ({_number(spread[0])}–{_number(spread[1])})" if spread else value


def _number(value: float | None) -> str:
    """Return a number with three significant digits, more before the point."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def _plain(value: float | None, form: str) -> str:
    return NONE if value is None else format(value, form)


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.2f} %"


def _gibibytes(value: float | None) -> str:
    return NONE if value is None else f"{value / 2**30:.2f}"


def _worst_check(record: Record) -> str:
    """Return the check nearest to its limit, as a fraction of that."""
    fractions = {name: check["error"] / check["limit"] for name, check in record["checks"].items()}
    if not fractions:
        return NONE
    worst = max(fractions, key=lambda name: fractions[name])
    return f"{fractions[worst]:.2g} ({worst})"


def _dialect(record: Record) -> str:
    if not record["dialect"]:
        return "base"
    forms = importlib.import_module("common.reference").DIALECTS.get(record["task"], {})
    base = {switch: form[0] for switch, form in forms.items()}
    other = [
        f"{switch} {form}" for switch, form in record["dialect"].items() if form != base.get(switch)
    ]
    return ", ".join(other) or "base"


def _trains(record: Record) -> bool:
    return record["metrics"].get("train_examples_per_second") is not None


def _speed_name(record: Record) -> str:
    return f"{'train' if _trains(record) else 'forward'}_examples_per_second"


def _speed(record: Record) -> float | None:
    """Return examples per second, in training where the task has any."""
    value = record["metrics"].get(_speed_name(record))
    return float(value) if value and record["status"] == "ok" else None


def _fraction(record: Record) -> float | None:
    """Return the speed as a fraction of what the device does in a matrix product."""
    flops = record.get("flops_per_example" if _trains(record) else "inference_flops_per_example")
    speed, rate = _speed(record), _matmul_gflops(record["machine"])
    return speed * flops / (rate * 1e9) if speed and flops and rate else None


def _run(record: Record) -> list[str]:
    return [str(record["key"]), str(record["started"])]


def _matmul_gflops(machine: Mapping[str, Any]) -> float | None:
    if machine.get("accelerator"):
        return (machine.get("accelerator_gflops") or {}).get("float32")
    return machine.get("matmul_gflops")


def _fraction_legend(group: Group) -> str:
    any_fraction = any(_fraction(record) for record in group.ok)
    return " (in brackets: of the machine's matrix product)" if any_fraction else ""


def _relative_difference(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / max(abs(min(values)), 1e-30)


# --- words ------------------------------------------------------------------------------------


def _state(record: Record) -> str:
    """Return the status and what keeps its figures from being those of the task."""
    marks = records.stand_ins(record) if record["status"] == "ok" else []
    return ", ".join([record["status"], *marks])


def _machine_title(machine: Mapping[str, Any]) -> str:
    cores = f"{machine['cores']} core{'' if machine['cores'] == 1 else 's'}"
    parts = [machine.get("accelerator"), machine["processor"], cores]
    return ", ".join(part for part in parts if part)


def _machine_facts(machine: Mapping[str, Any], all_runs: Sequence[Mapping[str, Any]]) -> list[str]:
    facts = [
        f"{machine['threads']} hardware threads",
        f"{machine['memory_bytes'] / 2**30:.0f} GiB of memory",
        str(machine["system"]),
    ]
    if machine.get("accelerator"):
        facts.append(f"driver {machine['driver']}, CUDA {machine.get('cuda') or 'unknown'}")
    facts += _rates(
        "NumPy's float32 matrix product", [run.get("matmul_gflops") for run in all_runs]
    )
    for kind in ("float32", "tf32"):
        found = [(run.get("accelerator_gflops") or {}).get(kind) for run in all_runs]
        facts += _rates(f"the accelerator's {kind} matrix product", found)
    return facts


def _rates(what: str, found: Sequence[float | None]) -> list[str]:
    rates = [rate for rate in found if rate]
    if not rates:
        return []
    least, most = _number(min(rates)), _number(max(rates))
    return [f"{what}: {least if least == most else f'{least} to {most}'} GFLOP/s"]


def _bold(names: Sequence[str]) -> str:
    return f"**{', '.join(names)}**"


def _escaped(text: str) -> str:
    """Return a text that means nothing to Markdown, tables included."""
    for sign in ("\\", "|", "*", "_", "<", "[", "`"):
        text = text.replace(sign, f"\\{sign}")
    return text
