"""A run from plan to report: data, environments, executions one by one, records, results.md."""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from rosetta import registry
from rosetta.data import datasets
from rosetta.environments import build, here
from rosetta.errors import Unavailable, UserError
from rosetta.options import Options
from rosetta.progress import Display
from rosetta.project import Project
from rosetta.registry import Cell, Framework, Variable
from rosetta.results import keys, publish, records, report
from rosetta.results.records import Record
from rosetta.runs import execution, machine, outcomes, words
from rosetta.runs.locking import alone
from rosetta.runs.states import Look, Setting, State, list_cells, make_setting, select

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


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
    setting = make_setting(project, options, [cell.framework for cell in selected])
    with alone(project):
        try:
            return Run(project, options, setting, selected, display).go()
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
    display.console.print(words.matrix(states))
    for each in states:
        if options.profile == "smoke" and each.record:  # which no table shows
            display.line(f"{each.cell.task} {each.cell.framework.name}: {words.summary(each)}")
        elif each.why:
            display.line(f"{each.cell.task} {each.cell.framework.name}: {each.state}, {each.why}")


@dataclass
class Run:
    """One run: what it found, what it has done so far, and how long that took."""

    project: Project
    options: Options
    setting: Setting
    selected: Sequence[Cell]
    display: Display
    times: Times = field(default_factory=Times)

    def go(self) -> int:
        """Do it all; return the exit code."""
        look = Look(self.project, self.setting)
        states = look.states(self.selected)
        todo = self._todo(states, self._fetchable())
        self._announce(states, todo)
        results = {_place(each.cell): each for each in states}
        if todo or self.options.mirror:  # a bad mirror is an error even where nothing is to do
            data = self._fetch([each.cell for each in todo])
            checked = [look.state(each.cell, data[each.cell.task]) for each in todo]
            results |= {_place(each.cell): each for each in checked}
            todo = self._todo(checked)
            self._say_what_stands_in([each.cell.task for each in todo], data)
            for state in self._execute(look, [each.cell for each in todo], data):
                results[_place(state.cell)] = state
        if self.options.save_outputs:
            self._save_outputs([each.cell for each in results.values() if each.state == "ok"])
        broken = self._report(results.values())
        self._conclude(list(results.values()), ran=bool(todo))
        for why in broken:
            self.display.line(f"Left alone: {why}", style="red")
        return BAD_INPUT if broken else _exit_code(results.values())

    def _report(self, states: Iterable[State]) -> list[str]:
        """Write the tables, which show no smoke run; return what is wrong with broken records."""
        why = [each.why or "" for each in states if each.state == "broken"]
        if self.setting.profile != "smoke":
            why += map(str, report.update(self.project)[1])
        return list(dict.fromkeys(why))

    def _fetchable(self) -> set[str]:
        """Return the tasks whose real data may be had now, where they are missing."""
        tasks = {cell.task for cell in self.selected}
        return {
            task for task in tasks if self.options.mirror or datasets.plan(self.project, [task])
        }

    def _todo(self, states: Sequence[State], fetchable: Collection[str] = ()) -> list[State]:
        """Return what is to be executed: all but what is up to date, and what is broken."""
        return [
            each
            for each in states
            if each.state != "broken" and not self._up_to_date(each, each.cell.task in fetchable)
        ]

    def _up_to_date(self, state: State, fetchable: bool) -> bool:
        record = state.record
        if self.options.force or state.state != "ok" or record is None:
            return False
        if fetchable and records.stand_ins(record):
            return False
        return int(record.get("repeats", 1)) >= self.setting.repeats

    def _announce(self, states: Sequence[State], todo: Sequence[State]) -> None:
        """Say what will be built and run, before anything is."""
        line = self.display.line
        line(f"Machine: {words.describe_machine(self.setting.machine)}")
        done = len(states) - len(todo)
        line(
            f"Profile {self.setting.profile} on the {self.setting.device.upper()}: "
            f"{len(states)} notebooks, {len(todo)} to run, {done} up to date or left alone"
        )
        if not todo:
            return
        if self.setting.here is None:
            frameworks = [each.cell.framework for each in todo]
            for text in build.plan(self.project, frameworks, self.setting.device):
                line(f"  will build {text}")
        for text in datasets.plan(self.project, {each.cell.task for each in todo}):
            line(f"  will fetch {text}")
        for task in dict.fromkeys(each.cell.task for each in todo):
            mine = [each for each in todo if each.cell.task == task]
            names = ", ".join(each.cell.framework.name for each in mine)
            # What is up to date but for a stand-in runs again only if the real thing is found.
            again = all(self._up_to_date(each, False) for each in mine)
            line(f"  will run {task}{' if its real data can be had' if again else ''}: {names}")
        for text in self._missing([each.cell.framework for each in todo]):
            line(f"  cannot run {text}", style="yellow")

    def _missing(self, frameworks: Sequence[Framework]) -> list[str]:
        """Return a line for each row that the user's own Python (--here) does not hold."""
        asked = self.setting.here
        unique = {framework.name: framework for framework in frameworks}
        found = {name: asked and _attempt(asked, unique[name]) for name in unique}
        return [f"{name}: {why}" for name, why in found.items() if isinstance(why, Unavailable)]

    def _fetch(self, cells: Sequence[Cell]) -> dict[str, dict[str, Any]]:
        tasks = list(dict.fromkeys(cell.task for cell in cells))
        with self.times.spent_on("data"), self.display.transfers() as progress:
            data: dict[str, dict[str, Any]] = datasets.ensure(
                self.project, tasks, self.options.mirror, self.display.log, progress
            )
        return data

    def _say_what_stands_in(
        self, tasks: Sequence[str], data: Mapping[str, Mapping[str, Any]]
    ) -> None:
        for task in dict.fromkeys(tasks):
            said = records.stand_ins(data[task])
            if said:
                reason = f": {data[task]['reason']}" if data[task]["reason"] else ""
                self.display.line(f"{task} runs on {' and '.join(said)}{reason}", style="yellow")

    def _execute(
        self, look: Look, cells: Sequence[Cell], data: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[State]:
        """Execute cells one by one, record each, and yield their states."""
        pythons = self._pythons([cell.framework for cell in cells])
        product = machine.MatrixProduct()
        with self.display.bar(len(cells)), self.times.spent_on("runs"):
            for number, cell in enumerate(cells, start=1):
                python = pythons[cell.framework.name]
                title = f"[{number}/{len(cells)}] {cell.task} {cell.framework.name}"
                if isinstance(python, Unavailable):
                    state = self._unavailable(look, cell, data[cell.task], python)
                else:
                    self._measure_machine(product)
                    self.display.begin(title)
                    state = self._guarded(look, cell, data[cell.task], python)
                self.display.done(f"{title}: {words.summary(state)}", words.STYLES.get(state.state))
                yield state

    def _measure_machine(self, product: machine.MatrixProduct) -> None:
        """Measure the matrix product that speeds are compared with; a smoke run has none."""
        if self.setting.profile == "smoke" or not product.is_due():
            return
        with self.display.busy("Matrix product"):
            warning = product.measure(self._fastest_before)
        self.setting.machine["matmul_gflops"] = product.best
        self.display.log(f"matrix product of this machine: {product.best:.0f} GFLOP/s")
        if warning:
            self.display.line(f"  {warning}", style="yellow")

    @cached_property
    def _fastest_before(self) -> float | None:
        """The best matrix product among the records of this machine."""
        machine = self.setting.machine["name"]
        found = [record["machine"] for record in records.read_all(self.project, machine)[0]]
        rates = [each["matmul_gflops"] for each in found if each.get("matmul_gflops")]
        return max(rates, default=None)

    def _pythons(self, frameworks: Sequence[Framework]) -> dict[str, here.Python | Unavailable]:
        """Return the interpreter of each row, environments built first, or why it has none."""
        unique = {framework.name: framework for framework in frameworks}
        if self.setting.here is not None:
            pythons = {name: _attempt(self.setting.here, unique[name]) for name in unique}
        else:
            pythons = self._own_pythons(unique)
        if self.setting.device == "cpu":
            return pythons
        return {
            name: python.with_libraries() if isinstance(python, here.Python) else python
            for name, python in pythons.items()
        }

    def _own_pythons(self, unique: Mapping[str, Framework]) -> dict[str, here.Python | Unavailable]:
        device = self.setting.device
        with self.times.spent_on("environments"), self.display.busy("Environments"):
            built = build.ensure_many(self.project, unique.values(), device, self.display.log)
        return {
            name: found
            if isinstance(found, Unavailable)
            else here.own(self.project, unique[name], device, found)
            for name, found in built.items()
        }

    def _guarded(
        self, look: Look, cell: Cell, data: Mapping[str, Any], python: here.Python
    ) -> State:
        """Execute a cell: a fault of this program in it is its failure, and stops no other row."""
        try:
            return self._execute_one(look, cell, data, python)
        except (UserError, OSError, MemoryError):
            raise
        except Exception as error:
            log = self.project.state / "logs" / f"{cell.task}-{cell.framework.name}-fault.log"
            records.write_text(self.project, log, traceback.format_exc())
            record = self._base(look, cell, data, python)
            where = self.project.relative(log)
            reason = f"a fault of the runner, {type(error).__name__}: see {where}"
            record.update(status="failed", reason=reason)
            self._save(look.path(cell), record, None)
            return State(cell, "failed", reason, record)

    def _execute_one(
        self, look: Look, cell: Cell, data: Mapping[str, Any], python: here.Python
    ) -> State:
        done: list[execution.Outcome] = []
        for number in range(1, self.setting.repeats + 1):
            record = self._base(look, cell, data, python)
            done.append(execution.execute(self.project, self._job(cell, python)))
            self._say_what_was_replaced(done[-1].replaced)
            outcomes.fill(record, done[-1])
            if record["status"] != "ok":
                if self.setting.repeats > 1:
                    record["reason"] += f" (repeat {number} of {self.setting.repeats})"
                break
        else:
            outcomes.summarise_repeats(record, done)
        outcomes.keep_weights(look.path(cell).with_suffix(".npz"), record, done)
        self._save(look.path(cell), record, done[-1].notebook)
        return State(cell, record["status"], record["reason"], record)

    def _say_what_was_replaced(self, found: Sequence[str]) -> None:
        if found:
            said = ", ".join(found)
            self.display.line(f"  replaced in what the notebook left: {said}", style="yellow")

    def _job(self, cell: Cell, python: here.Python) -> execution.Job:
        variables: dict[str, Variable] = dict(cell.framework.variables)
        if self.setting.device == "cpu" and machine.accelerator():
            variables["CUDA_VISIBLE_DEVICES"] = ""  # some frameworks take a GPU unasked
        return execution.Job(
            notebook=cell.notebook,
            interpreter=python.interpreter,
            prefix=python.prefix,
            parameters=self.setting.parameters(cell.framework),
            variables=variables,
            timeout=self.setting.timeout,
            here=python.here,
            log=self.project.state / "logs" / f"{cell.task}-{cell.framework.name}.log",
        )

    def _base(
        self,
        look: Look,
        cell: Cell,
        data: Mapping[str, Any],
        python: here.Python | None,
    ) -> Record:
        """Return a record with all that is known before its run."""
        parts = look.key_parts(cell, data) if python else {}
        return {
            "schema": records.SCHEMA,
            "task": cell.task,
            "framework": cell.framework.name,
            "notebook": cell.notebook.stem,
            "status": "ok",
            "reason": None,
            "profile": self.setting.profile,
            "device": self.setting.device,
            "data": data["data"],
            "weights": data["weights"],
            "data_source": data["data_source"],
            "weights_source": data["weights_source"],
            "started": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "key": keys.of(parts),
            "key_parts": parts,
            "parameters": self.setting.parameters(cell.framework),
            "machine": dict(self.setting.machine),
            "environment": python.describe() if python else {},
            "repeats": 1,
            "versions": {},
            "checks": {},
            "dialect": {},
            "metrics": {},
            "losses": [],
        }

    def _unavailable(
        self, look: Look, cell: Cell, data: Mapping[str, Any], reason: Unavailable
    ) -> State:
        """Record that a cell cannot run here, unless there are numbers from when it could."""
        record = self._base(look, cell, data, None)
        record.update(status="unavailable", reason=str(reason))
        before = look.state(cell, data).record or {}
        if before.get("status") != "ok" and before.get("reason") != str(reason):
            self._save(look.path(cell), record, None)
        return State(cell, "unavailable", str(reason), record)

    def _save(self, path: Path, record: Record, notebook: publish.Notebook | None) -> None:
        """Write the executed notebook, then the record: only the record makes a cell done.

        Where the figures of an earlier run stay, its notebook does too, and this one is a log.
        """
        kept, executed = records.after(records.read(self.project, path), record), path
        if kept is not record:
            executed = self.project.state / "logs" / f"{record['task']}-{record['framework']}"
        executed = executed.with_suffix(".ipynb")
        if notebook is None:
            executed.unlink(missing_ok=True)
        else:
            records.write_text(self.project, executed, publish.dumps(notebook))
        records.write(self.project, kept)

    def _save_outputs(self, cells: Sequence[Cell]) -> None:
        """Write outputs into notebooks/: those of the row that runs a notebook as it stands."""
        shown: dict[str | None, str] = {}
        rows = registry.load(self.project).values()
        for framework in sorted(rows, key=lambda row: bool(row.parameters)):
            shown.setdefault(framework.notebook, framework.name)
        look = Look(self.project, self.setting)
        for cell in cells:
            executed = look.path(cell).with_suffix(".ipynb")
            if shown[cell.framework.notebook] != cell.framework.name or not executed.is_file():
                continue
            source = json.loads(cell.notebook.read_text(encoding="utf-8"))
            run = json.loads(executed.read_text(encoding="utf-8"))
            notebook = publish.with_outputs(source, run, cell.framework.name)
            if notebook:
                records.write_text(self.project, cell.notebook, publish.dumps(notebook))

    def _conclude(self, states: Sequence[State], ran: bool) -> None:
        if not ran:
            self.display.line("Nothing to do. --force runs it all again.")
            return
        self.display.console.print(words.summary_table(states))
        smoke = self.setting.profile == "smoke"
        tables = "python run_all.py list --profile smoke" if smoke else "results.md"
        self.display.line(
            f"Wall time: data {self.times.data:.0f} s, environments "
            f"{self.times.environments:.0f} s, runs {self.times.runs:.0f} s. Tables: {tables}"
        )


def _attempt(asked: here.Here, framework: Framework) -> here.Python | Unavailable:
    try:
        return asked.python(framework)
    except Unavailable as reason:
        return reason


def _place(cell: Cell) -> tuple[str, str]:
    return cell.task, cell.framework.name


def _exit_code(states: Iterable[State]) -> int:
    return FAILED if {each.state for each in states} & {"failed", "stale", "never run"} else OK


# --- words ------------------------------------------------------------------------------------


# --- one run at a time ------------------------------------------------------------------------
