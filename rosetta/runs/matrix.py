"""The matrix on one machine: what is to run, what came out of it, and what is said of that."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rosetta import registry
from rosetta.options import Options
from rosetta.progress import Display
from rosetta.project import Project
from rosetta.registry import Cell
from rosetta.results import conditions, publish, records, report
from rosetta.results.times import Times
from rosetta.runs import outcomes, words
from rosetta.runs.cell import Done
from rosetta.runs.states import Look, Setting, State

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


@dataclass
class Matrix:
    """The selected cells as one machine runs them. Who executes them is not its concern."""

    project: Project
    options: Options
    setting: Setting
    selected: Sequence[Cell]
    display: Display
    states: dict[tuple[str, str], State] = field(default_factory=dict)

    @cached_property
    def look(self) -> Look:
        return Look(self.project, self.setting)

    def judge(
        self,
        cells: Sequence[Cell],
        data: Mapping[str, Mapping[str, Any] | None],
        fetchable: Collection[str] = (),
    ) -> list[State]:
        """Look at cells and return those that are to be executed: not up to date, nor broken.

        `data` is {task: {"data", "weights"}, or None where that is known only later}; `fetchable`
        are the tasks whose real data may be had now, where they are missing.
        """
        found = [self.look.state(cell, data[cell.task]) for cell in cells]
        self.states |= {_place(each.cell): each for each in found}
        return [
            each
            for each in found
            if each.state != "broken" and not self._up_to_date(each, each.cell.task in fetchable)
        ]

    def _up_to_date(self, state: State, fetchable: bool) -> bool:
        record = state.record
        if self.options.force or state.state != "ok" or record is None:
            return False
        if fetchable and records.stand_ins(record):
            return False
        return int(record.get("repeats", 1)) >= self.setting.repeats

    def announce(self, todo: Sequence[State], preparation: Sequence[str]) -> None:
        """Say what will be run, before anything is; `preparation` is what comes before that."""
        line = self.display.line
        line(f"Machine: {words.describe_machine(self.setting.machine)}")
        done = len(self.states) - len(todo)
        line(
            f"Profile {self.setting.profile} on the {self.setting.device.upper()}: "
            f"{len(self.states)} notebooks, {len(todo)} to run, {done} up to date or left alone"
        )
        for text in preparation if todo else ():
            line(f"  {text}")
        for task in dict.fromkeys(each.cell.task for each in todo):
            mine = [each for each in todo if each.cell.task == task]
            names = ", ".join(each.cell.framework.name for each in mine)
            # What is up to date but for a stand-in runs again only if the real thing is found.
            again = all(self._up_to_date(each, False) for each in mine)
            line(f"  will run {task}{' if its real data can be had' if again else ''}: {names}")

    def say_what_stands_in(
        self, tasks: Sequence[str], data: Mapping[str, Mapping[str, Any]]
    ) -> None:
        for task in dict.fromkeys(tasks):
            said = records.stand_ins(data[task])
            if said:
                reason = f": {data[task]['reason']}" if data[task]["reason"] else ""
                self.display.line(f"{task} runs on {' and '.join(said)}{reason}", style="yellow")

    def finish(self, cell: Cell, done: Done) -> State:
        """Record what came out of a cell; return its state.

        What cannot run now leaves alone the figures of when it could.
        """
        record = done.record
        before = self.states[_place(cell)].record or {}
        unavailable = record["status"] == "unavailable"
        if not unavailable or (
            before.get("status") != "ok" and before.get("reason") != record["reason"]
        ):
            self._save(cell, done)
        state = State(cell, record["status"], record["reason"], record)
        self.states[_place(cell)] = state
        return state

    def _save(self, cell: Cell, done: Done) -> None:
        """Write the executed notebook, then the record: only the record makes a cell done.

        Where the figures of an earlier run stay, its notebook does too, and this one is a log.
        """
        file, record = self.look.path(cell), done.record
        outcomes.keep_weights(file.with_suffix(".npz"), record, done.weights)
        kept, executed = records.after(records.read(self.project, file), record), file
        if kept is not record:
            executed = self.project.logs / f"{record['task']}-{record['framework']}"
        executed = executed.with_suffix(".ipynb")
        if done.notebook is None:
            executed.unlink(missing_ok=True)
        else:
            records.write_text(self.project, executed, publish.dumps(done.notebook))
        records.write(self.project, kept)

    def report(self) -> list[str]:
        """Write the tables, which show no smoke run; return what is wrong with broken records."""
        why = [each.why or "" for each in self.states.values() if each.state == "broken"]
        if self.setting.profile != "smoke":
            why += map(str, report.update(self.project)[1])
        return list(dict.fromkeys(why))

    @property
    def tables(self) -> str:
        """Where the results of this run are shown."""
        smoke = self.setting.profile == "smoke"
        return "python run_all.py list --profile smoke" if smoke else "results.md"

    def say_what_was_replaced(self, done: Done) -> None:
        """Name what of a run was not fit to publish."""
        if done.replaced:
            said = ", ".join(done.replaced)
            self.display.line(f"  replaced in what the notebook left: {said}", style="yellow")

    def fastest_before(self) -> float | None:
        """Return the best matrix product among the records of this machine."""
        machine = self.setting.machine["name"]
        found = records.read_all(self.project, machine)[0]
        return conditions.fastest(record["machine"] for record in found)

    def save_outputs(self) -> None:
        """Write outputs into notebooks/: those of the row that runs a notebook as it stands."""
        shown: dict[str | None, str] = {}
        rows = registry.load(self.project).values()
        for framework in sorted(rows, key=lambda row: bool(row.parameters)):
            shown.setdefault(framework.notebook, framework.name)
        for cell in [each.cell for each in self.states.values() if each.state == "ok"]:
            executed = self.look.path(cell).with_suffix(".ipynb")
            if shown[cell.framework.notebook] != cell.framework.name or not executed.is_file():
                continue
            source = json.loads(cell.notebook.read_text(encoding="utf-8"))
            try:
                run = json.loads(executed.read_text(encoding="utf-8"))
                notebook = publish.with_outputs(source, run, cell.framework)
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                name = self.project.relative(executed)
                self.display.line(f"{name} is no notebook: its outputs are not saved", style="red")
                continue
            if notebook:
                records.write_text(self.project, cell.notebook, publish.dumps(notebook))

    def exit_code(self) -> int:
        states = {each.state for each in self.states.values()}
        return FAILED if states & {"failed", "stale", "never run"} else OK


def show_states(
    display: Display, states: Sequence[State], profile: str | None, known: Times | None = None
) -> None:
    """Print the matrix with the state of each cell, and under it why one is not ok."""
    display.console.print(words.matrix(states, known))
    for each in states:
        name = f"{each.cell.task} {each.cell.framework.name}"
        if profile == "smoke" and each.record:  # which no table shows
            display.line(f"{name}: {words.summary(each)}")
        elif each.why:
            display.line(f"{name}: {each.state}, {each.why}")


def _place(cell: Cell) -> tuple[str, str]:
    return cell.task, cell.framework.name
