"""A run from plan to report: data, environments, executions one by one, records, results.md."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rich.console import Console

from rosetta.data import datasets
from rosetta.environments import build
from rosetta.errors import Unavailable
from rosetta.options import Options
from rosetta.progress import Display
from rosetta.project import Project
from rosetta.registry import Cell, Framework
from rosetta.results import report, times
from rosetta.runs import cell, machine, words
from rosetta.runs.locking import alone
from rosetta.runs.matrix import BAD_INPUT, FAILED, INTERRUPTED, OK, Matrix, show_states
from rosetta.runs.states import list_cells, make_setting, select, times_on

__all__ = ["BAD_INPUT", "FAILED", "INTERRUPTED", "OK", "list_cells", "run", "show_cells"]


@dataclass
class Times:
    """Where the wall time of a run went, in seconds."""

    data: float = 0.0
    environments: float = 0.0
    runs: float = 0.0

    @contextlib.contextmanager
    def spent_on(self, what: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            setattr(self, what, getattr(self, what) + time.monotonic() - start)


def run(project: Project, options: Options, console: Console | None = None) -> int:
    """Execute what has changed since it was last recorded; return the exit code.

    0: every selected cell is ok or unavailable; 1: one has failed; 2: a record is broken;
    130: interrupted. Raises UserError for bad input, before anything is done.
    """
    display = Display(console)
    selected = select(project, options)
    setting = make_setting(project, options, [each.framework for each in selected])
    with alone(project):
        try:
            return Run(Matrix(project, options, setting, selected, display)).go()
        except KeyboardInterrupt:
            display.line(
                "Interrupted. What was finished is recorded; the next run goes on from there."
            )
            if setting.profile != "smoke":
                report.update(project)
            return INTERRUPTED


def show_cells(project: Project, options: Options, console: Console | None = None) -> None:
    """Print the matrix with the state of each cell, and under it why one is not ok."""
    display = Display(console)
    states = list_cells(project, options)
    known = None
    if options.times:
        setting = make_setting(project, options, [each.cell.framework for each in states])
        known = times_on(project, setting)
    show_states(display, states, options.profile, known)
    if options.profile is None:
        smoke = list_cells(project, dataclasses.replace(options, profile="smoke"))
        counts = Counter(each.state for each in smoke if each.state != "never run")
        if counts:
            said = ", ".join(f"{count} {state}" for state, count in counts.items())
            display.line(f"Smoke runs: {said}; see python run_all.py list --profile smoke")


@dataclass
class Run:
    """One run on this machine: the matrix, and how long what took."""

    matrix: Matrix
    times: Times = field(default_factory=Times)

    def __post_init__(self) -> None:
        self.project, self.options = self.matrix.project, self.matrix.options
        self.setting, self.display = self.matrix.setting, self.matrix.display

    def go(self) -> int:
        """Do it all; return the exit code."""
        matrix = self.matrix
        tasks = {cell.task for cell in matrix.selected}
        fetchable = {
            task for task in tasks if self.options.mirror or datasets.plan(self.project, [task])
        }
        todo = matrix.judge(matrix.selected, matrix.look.data(tasks), fetchable)
        matrix.announce(todo, self._preparation([each.cell for each in todo]))
        self._say_how_long([each.cell for each in todo])
        self._say_what_is_missing([each.cell.framework for each in todo])
        if todo or self.options.mirror:  # a bad mirror is an error even where nothing is to do
            cells = [each.cell for each in todo]
            data = self._fetch(cells)
            todo = matrix.judge(cells, data)
            matrix.say_what_stands_in([each.cell.task for each in todo], data)
            self._execute([each.cell for each in todo], data)
        if self.options.save_outputs:
            matrix.save_outputs()
        return self._conclude(ran=bool(todo))

    def _preparation(self, cells: Sequence[Cell]) -> list[str]:
        """Return a line for each environment that will be built and data set that is fetched."""
        lines = []
        if self.setting.here is None:
            frameworks = [cell.framework for cell in cells]
            built = build.plan(self.project, frameworks, self.setting.device)
            lines += [f"will build {text}" for text in built]
        fetched = datasets.plan(self.project, {cell.task for cell in cells})
        return lines + [f"will fetch {text}" for text in fetched]

    def _say_how_long(self, cells: Sequence[Cell]) -> None:
        known = times_on(self.project, self.setting)
        found = [(cell, known.seconds(cell)) for cell in cells]
        sure = [seconds for _, seconds in found if seconds is not None]
        if not sure:
            return
        said = times.words(sum(sure) * self.setting.repeats)
        open_ = [f"{cell.task} {cell.framework.name}" for cell, each in found if each is None]
        rest = f"; no record tells of {', '.join(open_)}" if open_ else ""
        self.display.line(f"  will take about {said}, without what is built and fetched{rest}")

    def _say_what_is_missing(self, frameworks: Sequence[Framework]) -> None:
        """Name the rows that the user's own Python (--here) does not hold."""
        asked = self.setting.here
        unique = {framework.name: framework for framework in frameworks}
        found = {name: asked and cell.attempt(asked, unique[name]) for name in unique}
        for name, why in found.items():
            if isinstance(why, Unavailable):
                self.display.line(f"  cannot run {name}: {why}", style="yellow")

    def _fetch(self, cells: Sequence[Cell]) -> dict[str, dict[str, Any]]:
        tasks = list(dict.fromkeys(cell.task for cell in cells))
        with self.times.spent_on("data"), self.display.transfers() as progress:
            data: dict[str, dict[str, Any]] = datasets.ensure(
                self.project, tasks, self.options.mirror, self.display.log, progress
            )
        return data

    def _execute(self, cells: Sequence[Cell], data: Mapping[str, Mapping[str, Any]]) -> None:
        """Execute cells one by one and record each."""
        look = self.matrix.look
        with self.times.spent_on("environments"), self.display.busy("Environments"):
            frameworks = [each.framework for each in cells]
            pythons = cell.pythons(self.project, self.setting, frameworks, self.display.log)
        product = machine.MatrixProduct()
        with self.display.bar(len(cells)), self.times.spent_on("runs"):
            for number, each in enumerate(cells, start=1):
                python = pythons[each.framework.name]
                title = f"[{number}/{len(cells)}] {each.task} {each.framework.name}"
                if isinstance(python, Unavailable):
                    done = cell.unavailable(look, each, data[each.task], python)
                else:
                    self._measure_machine(product)
                    self.display.begin(title)
                    done = cell.repeat(look, each, data[each.task], python)
                    self.matrix.say_what_was_replaced(done)
                state = self.matrix.finish(each, done)
                self.display.done(f"{title}: {words.summary(state)}", words.STYLES.get(state.state))

    def _measure_machine(self, product: machine.MatrixProduct) -> None:
        """Measure the matrix product that speeds are compared with; a smoke run has none."""
        if self.setting.profile == "smoke" or not product.is_due():
            return
        with self.display.busy("Matrix product"):
            warning = product.measure(self._fastest_before)
        self.setting.machine.update(product.rates)
        self.display.log(f"matrix product of this machine: {product.best:.0f} GFLOP/s")
        if warning:
            self.display.line(f"  {warning}", style="yellow")

    @cached_property
    def _fastest_before(self) -> float | None:
        return self.matrix.fastest_before()

    def _conclude(self, ran: bool) -> int:
        broken = self.matrix.report()
        if ran:
            self.display.console.print(words.summary_table(list(self.matrix.states.values())))
            self.display.line(
                f"Wall time: data {self.times.data:.0f} s, environments "
                f"{self.times.environments:.0f} s, runs {self.times.runs:.0f} s. "
                f"Tables: {self.matrix.tables}"
            )
        else:
            self.display.line("Nothing to do. --force runs it all again.")
        for why in broken:
            self.display.line(f"Left alone: {why}", style="red")
        return BAD_INPUT if broken else self.matrix.exit_code()
