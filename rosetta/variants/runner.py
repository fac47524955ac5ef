"""Measure notebooks and their variants in turn, several rounds, the order rotated."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from rosetta import registry
from rosetta.data import datasets
from rosetta.environments import here
from rosetta.errors import UserError
from rosetta.files import write_json
from rosetta.options import Options
from rosetta.progress import Display
from rosetta.project import Project
from rosetta.registry import Cell, Framework
from rosetta.results import keys, records, report, variants
from rosetta.results.variants import NOTEBOOK, Measured, Rounds
from rosetta.runs import cell, execution, outcomes
from rosetta.runs.locking import alone
from rosetta.runs.states import Look, Setting, make_setting
from rosetta.variants import files
from rosetta.variants.files import Variant

ITSELF = Variant(title="the notebook as it stands")


@dataclass(frozen=True)
class Asked:
    """What is measured; empty: every cell that has variants."""

    tasks: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    rounds: int = 5
    profile: str = "quick"
    device: str = "auto"
    force: bool = False
    python: Path | None = None  # this interpreter for every row


def run(project: Project, asked: Asked, console: Console | None = None) -> int:
    """Measure, and return the exit code: 0, or 1 where a notebook itself failed.

    Rounds that were made with what is there now are kept: a run that was stopped goes on.
    """
    display = Display(console)
    frameworks = registry.load(project)
    chosen = registry.select(asked.frameworks, frameworks, "framework")
    tasks = registry.select(asked.tasks, registry.TASKS, "task")
    cells = registry.cells(project, [frameworks[name] for name in chosen], tasks)
    series = [(each, files.load(project, each)) for each in cells]
    series = [(each, found) for each, found in series if found]
    if not series:
        raise UserError("none of these cells has variants: see the folder variants/")
    rows = _rows(series)
    options = Options(profile=asked.profile, device=asked.device, python=asked.python)
    notebooks = [each.framework for each, _ in series]
    setting = make_setting(project, options, notebooks)
    rows = rows if setting.here is None else notebooks
    with alone(project):
        data = datasets.ensure(project, list({each.task for each, _ in series}), None, display.log)
        pythons = cell.pythons(project, setting, rows, display.log)
        good = True
        for each, found in series:
            measure = Series(project, asked, setting, display, each, found, pythons)
            good &= measure.go(data[each.task])
    report.write(project)
    return 0 if good else 1


def _rows(series: Sequence[tuple[Cell, Mapping[str, Variant]]]) -> list[Framework]:
    """Return the rows of the notebooks, and those that variants make with their own versions.

    Raises UserError where two variants of a row, under one name, try different versions.
    """
    rows: dict[str, Framework] = {}
    for each, found in series:
        for name, variant in {NOTEBOOK: ITSELF, **found}.items():
            row = files.cell_of(each, variant, name).framework
            if rows.setdefault(row.name, row) != row:
                raise UserError(
                    f"{files.FOLDER}/{each.task}/{each.framework.name}/{name}.toml: under another "
                    "task this name has other versions: rename one of them"
                )
    return list(rows.values())


def _misses(measured: Measured, number: int) -> bool:
    """Say whether a round of a variant, counted from 0, has yet to be measured."""
    return len(measured.speeds) <= number and not measured.failure


class Series:
    """A notebook and its variants, measured in turn."""

    def __init__(
        self,
        project: Project,
        asked: Asked,
        setting: Setting,
        display: Display,
        each: Cell,
        found: dict[str, Variant],
        pythons: cell.Pythons,
    ) -> None:
        self.project, self.asked, self.setting, self.display = project, asked, setting, display
        self.cell = each
        self.variants = {NOTEBOOK: ITSELF, **found}
        self.cells = {
            name: files.cell_of(each, variant, name) for name, variant in self.variants.items()
        }
        self.pythons = {name: pythons.get(row.framework.name) for name, row in self.cells.items()}
        self.look = Look(project, setting)

    def go(self, data: dict[str, Any]) -> bool:
        """Measure what rounds are missing; return whether the notebook itself is sound."""
        names = [name for name in self.variants if self._can_run(name)]
        if NOTEBOOK not in names:
            return True
        rounds = self._rounds(data)
        own = rounds.measured[NOTEBOOK]
        for number in range(self.asked.rounds):
            turn = [*names[number % len(names) :], *names[: number % len(names)]]
            missing = [name for name in turn if _misses(rounds.measured[name], number)]
            if missing and not own.failure:
                # The notebook once more beside what is new: a machine is not the same for long.
                due = [name for name in turn if name in missing or name == NOTEBOOK]
                self._round(rounds, number, due, data)
                variants.write(self.project, rounds)
        variants.write(self.project, rounds)
        return not own.failure

    def _can_run(self, name: str) -> bool:
        """Say whether a variant has a Python here, in a line where it has none."""
        python = self.pythons[name]
        if isinstance(python, here.Python):
            return True
        title = f"{self.cell.task} {self.cells[name].framework.name}"
        reason = python or "it tries other versions than this Python has"
        self.display.line(f"{title}: {reason}", style="yellow")
        return False

    def _rounds(self, data: dict[str, Any]) -> Rounds:
        machine, task = str(self.setting.machine["name"]), self.cell.task
        name = self.cell.framework.name
        found = variants.read(self.project, variants.path(self.project, machine, task, name))
        if found is None or self.asked.force or found.profile != self.setting.profile:
            started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            profile = self.setting.profile
            found = Rounds(variants.SCHEMA, task, name, machine, profile, "", started)
        own = keys.digest(self.look.key_parts(self.cell, data))
        for each, variant in self.variants.items():
            key = keys.digest([own, *variant.settings])
            known = found.measured.get(each)
            if known is None or known.key != key:
                found.measured[each] = Measured(title=variant.title, key=key)
            found.measured[each].title = variant.title  # words, which change no figure
            found.measured[each].refused = variant.refused
        found.measured = {each: found.measured[each] for each in self.variants}
        found.files = self.look.keys.of_files(self.cell)
        return found

    def _round(self, rounds: Rounds, number: int, due: list[str], data: dict[str, Any]) -> None:
        """Measure the notebook and some variants in turn, and keep the round as a whole."""
        found = {name: self._measure(rounds, name, number, data) for name in due}
        own = found.pop(NOTEBOOK)
        if own is None:
            return
        speed, first = own
        notebook = rounds.measured[NOTEBOOK]
        for figures, figure in ((notebook.speeds, speed), (notebook.first_steps, first)):
            figures[number:] = [figure, *figures[number + 1 :]]
        notebook.beside = list(notebook.speeds)
        for name, pair in found.items():
            if pair is not None:
                measured = rounds.measured[name]
                measured.speeds.append(pair[0])
                measured.first_steps.append(pair[1])
                measured.beside.append(speed)

    def _measure(
        self, rounds: Rounds, name: str, number: int, data: dict[str, Any]
    ) -> tuple[float, float] | None:
        """Return a variant's examples per second and the seconds to its first step, if it runs."""
        title = f"[{number + 1}/{self.asked.rounds}] {self.cell.task} {self.cell.framework.name}"
        self.display.begin(f"{title}: {name}")
        record, measured = self._execute(name, data), rounds.measured[name]
        if record["status"] != "ok":
            measured.failure = str(record["reason"])
            self.display.done(f"{title}: {name}: {measured.failure}", "red")
            return None
        measured.python = str(record["environment"]["python"])
        measured.versions = dict(record["versions"])
        metrics = record["metrics"]
        speed = metrics.get("train_examples_per_second") or metrics["forward_examples_per_second"]
        rounds.unit = str(record["unit"])
        self.display.done(f"{title}: {name}: {speed:.4g} {rounds.unit}/s")
        return float(speed), float(metrics["first_step_seconds"])

    def _execute(self, name: str, data: dict[str, Any]) -> records.Record:
        """Execute a variant once; return its record, which is written nowhere."""
        variant, task = self.variants[name], self.cell.task
        python = self.pythons[name]
        assert isinstance(python, here.Python), "go() leaves out what has none"
        file = self.project.state / variants.FOLDER / task / f"{self.cell.framework.name}.ipynb"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, files.apply(files.notebook_of(self.cell), variant, name))
        job = cell.job(self.look, self.cells[name], python)
        job = dataclasses.replace(
            job, notebook=file, variables={**job.variables, **variant.variables}
        )
        outcome = execution.execute(self.project, job)
        if outcome.weights:
            outcome.weights.unlink(missing_ok=True)
        record = cell.base(self.look, self.cells[name], data, python)
        outcomes.fill(record, outcome)
        return record
