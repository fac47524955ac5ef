"""What is known of the cells of the matrix: which are up to date on this machine, and why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosetta import registry
from rosetta.data import datasets
from rosetta.environments import here
from rosetta.errors import Unavailable, UserError
from rosetta.options import Options
from rosetta.project import Project
from rosetta.registry import Cell, Framework
from rosetta.results import keys, records
from rosetta.results.records import BrokenRecordError, Record
from rosetta.runs import machine

# Seconds that one execution may take. The slowest row needs an hour for an epoch of cifar10_cnn.
TIMEOUTS = {"smoke": 900.0, "quick": 3600.0, "full": 12 * 3600.0}


@dataclass(frozen=True)
class State:
    """What is known of a cell: state is ok, stale, failed, unavailable, never run or broken."""

    cell: Cell
    state: str
    why: str | None = None
    record: Record | None = None


@dataclass
class Setting:
    """What all executions of a run have in common."""

    device: str
    profile: str
    seed: int
    timeout: float
    repeats: int
    machine: dict[str, Any]
    here: here.Here | None = None

    def parameters(self, framework: Framework) -> dict[str, Any]:
        """Return the papermill parameters of a row."""
        common = {"device": self.device, "profile": self.profile, "seed": self.seed}
        return {**common, **framework.parameters}


def select(project: Project, options: Options) -> list[Cell]:
    """Return the cells that the options ask for. Raises UserError for unknown names or none."""
    frameworks = registry.load(project)
    names = registry.select(options.frameworks, frameworks, "framework")
    tasks = registry.select(options.tasks, registry.TASKS, "task")
    cells = registry.cells(project, [frameworks[name] for name in names], tasks)
    if not cells:
        raise UserError(
            f"nothing to run: no notebook for {', '.join(names)} in {', '.join(tasks)}; "
            "'python run_all.py list' shows what there is"
        )
    return cells


def make_setting(project: Project, options: Options, frameworks: Sequence[Framework]) -> Setting:
    """Return the setting that the options and this machine make."""
    device = machine.choose_device(options.device)
    python = options.python
    asked = here.Here.ask(project, python, frameworks, device) if python else None
    return setting_on(options, device, machine.describe(device), asked)


def setting_on(
    options: Options, device: str, machine: Mapping[str, Any], asked: here.Here | None
) -> Setting:
    """Return the setting that the options make on a device of a machine."""
    profile = options.profile or ("full" if device == "gpu" else "quick")
    return Setting(
        device=device,
        profile=profile,
        seed=options.seed,
        timeout=options.timeout or TIMEOUTS[profile],
        repeats=options.repeats,
        machine=dict(machine),
        here=asked,
    )


def list_cells(project: Project, options: Options) -> list[State]:
    """Return the state of every selected cell on this machine. Executes and builds nothing."""
    cells = select(project, options)
    setting = make_setting(project, options, [cell.framework for cell in cells])
    return Look(project, setting).states(cells)


class Look:
    """What the records say about cells, compared with what a run would find now."""

    def __init__(self, project: Project, setting: Setting) -> None:
        self.project, self.setting = project, setting
        self.keys = keys.Keys(project)

    def states(self, cells: Sequence[Cell]) -> list[State]:
        data = self.data(cell.task for cell in cells)
        return [self.state(cell, data[cell.task]) for cell in cells]

    def data(self, tasks: Iterable[str]) -> dict[str, Mapping[str, Any] | None]:
        """Return what tasks have for data; None where that is only known once they are fetched."""
        return {task: self._data(task) for task in dict.fromkeys(tasks)}

    def _data(self, task: str) -> Mapping[str, Any] | None:
        if datasets.plan(self.project, [task]):
            return None
        return datasets.ensure(self.project, [task], None, log=lambda text: None)[task]

    def state(self, cell: Cell, data: Mapping[str, Any] | None) -> State:
        """Return the state of a cell; `data` is {"data", "weights"}, or None if not yet there."""
        try:
            record = records.read(self.project, self.path(cell))
        except BrokenRecordError as error:
            return State(cell, "broken", str(error))
        if record is None:
            return State(cell, "never run")
        if record["status"] != "ok":
            return State(cell, record["status"], record["reason"], record)
        if "last_try" in record:
            return State(cell, "failed", records.last_try(record), record)
        try:
            parts = self.key_parts(cell, _better(record, data))
        except Unavailable as reason:
            return State(cell, "unavailable", str(reason), record)
        why = keys.changed(record, parts)
        if why is None and keys.of(parts) == record["key"]:
            return State(cell, "ok", None, record)
        return State(cell, "stale", why, record)

    def path(self, cell: Cell) -> Path:
        """Return where the record of a cell is."""
        name, profile = self.setting.machine["name"], self.setting.profile
        return records.path(self.project, name, profile, cell.task, cell.framework.name)

    def key_parts(self, cell: Cell, data: Mapping[str, Any]) -> dict[str, str]:
        """Return the parts of a cell's key. Raises Unavailable where --here lacks the framework."""
        asked, framework = self.setting.here, cell.framework
        if asked:
            environment = keys.digest(asked.python(framework).describe())
        else:
            environment = self.keys.environment(framework, self.setting.device)
        return self.keys.parts(
            cell,
            environment,
            self.setting.parameters(framework),
            data,
            self.setting.machine["name"],
        )


def _better(record: Record, data: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the data that a record is judged by: those of a run now, or its own.

    Its own where a run would find the same or stand-ins: they do not make real figures stale.
    """
    if data is None:
        return record
    same_or_worse = all(
        (name, data[name]) in records.STAND_INS
        or all(data[each] == record.get(each) for each in (name, f"{name}_source"))
        for name in ("data", "weights")
    )
    return record if same_or_worse else data
