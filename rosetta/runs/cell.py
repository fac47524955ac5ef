"""One cell of the matrix on this machine: executed once or several times, and its record."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rosetta.environments import build, here, variables
from rosetta.errors import Unavailable, UserError
from rosetta.project import Project
from rosetta.registry import Cell, Framework, Variable
from rosetta.results import keys, publish, records
from rosetta.results.records import Record
from rosetta.runs import execution, machine, outcomes
from rosetta.runs.states import Look, Setting

# Of a run that never told: it claims nothing real.
UNKNOWN = {
    "data": "synthetic",
    "weights": "initial",
    "data_source": None,
    "weights_source": None,
}

Pythons = dict[str, here.Python | Unavailable]


@dataclass(frozen=True)
class Done:
    """What came out of a cell: its record, its notebook as far as it came, trained weights."""

    record: Record
    notebook: publish.Notebook | None = None
    weights: Path | None = None  # a file for the one who records this to move
    replaced: tuple[str, ...] = ()  # what was not fit to publish, in words


def execute(look: Look, cell: Cell, data: Mapping[str, Any], python: here.Python) -> Done:
    """Execute a cell once and return what came out of it, whatever happened.

    A fault of this program in it is its failure, and stops no other row.
    """
    try:
        record = base(look, cell, data, python)
        outcome = execution.execute(look.project, job(look, cell, python))
        outcomes.fill(record, outcome)
        return Done(record, outcome.notebook, outcome.weights, outcome.replaced)
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        log = look.project.logs / f"{cell.task}-{cell.framework.name}-fault.log"
        records.write_text(look.project, log, traceback.format_exc())
        where = look.project.relative(log)
        reason = f"a fault of the runner, {type(error).__name__}: see {where}"
        return Done({**base(look, cell, data, python), "status": "failed", "reason": reason})


def repeat(look: Look, cell: Cell, data: Mapping[str, Any], python: here.Python) -> Done:
    """Execute a cell as often as the setting says, or until it fails."""
    done: list[Done] = []
    while len(done) < look.setting.repeats and not failed(done):
        done.append(execute(look, cell, data, python))
    return combine(done, look.setting.repeats)


def failed(done: Sequence[Done]) -> bool:
    """Say whether one of these executions was not ok."""
    return any(each.record["status"] != "ok" for each in done)


def combine(done: Sequence[Done], repeats: int) -> Done:
    """Return one for all the executions of a cell: the first that failed, or the last, medians."""
    number = next((n for n, each in enumerate(done) if failed([each])), len(done) - 1)
    last = done[number]
    for each in done:
        if each.weights and each is not last:
            each.weights.unlink(missing_ok=True)
    if last.record["status"] == "ok":
        record = outcomes.summarise_repeats([each.record for each in done])
    elif repeats > 1:
        reason = f"{last.record['reason']} (repeat {number + 1} of {repeats})"
        record = {**last.record, "reason": reason}
    else:
        record = last.record
    return replace(last, record=record)


def unavailable(look: Look, cell: Cell, data: Mapping[str, Any], reason: Unavailable) -> Done:
    """Return the record of a cell that cannot run on this machine."""
    record = base(look, cell, data, None)
    return Done({**record, "status": "unavailable", "reason": str(reason)})


def lost(look: Look, cell: Cell, data: Mapping[str, Any] | None, reason: str) -> Done:
    """Return the record of a cell of which nothing came back."""
    record = base(look, cell, data or UNKNOWN, None)
    return Done({**record, "status": "failed", "reason": reason})


def pythons(
    project: Project, setting: Setting, frameworks: Sequence[Framework], log: build.Log
) -> Pythons:
    """Return the interpreter of each row, environments built first, or why it has none."""
    unique = {framework.name: framework for framework in frameworks}
    if setting.here is not None:
        found = {name: attempt(setting.here, unique[name]) for name in unique}
    else:
        built = build.ensure_many(project, unique.values(), setting.device, log)
        found = {
            name: python
            if isinstance(python, Unavailable)
            else here.own(project, unique[name], setting.device, python)
            for name, python in built.items()
        }
    if setting.device == "cpu":
        return found
    return {
        name: python.with_libraries() if isinstance(python, here.Python) else python
        for name, python in found.items()
    }


def attempt(asked: here.Here, framework: Framework) -> here.Python | Unavailable:
    """Return the user's own Python (--here) as a row's, or what the row misses in it."""
    try:
        return asked.python(framework)
    except Unavailable as reason:
        return reason


def job(look: Look, cell: Cell, python: here.Python) -> execution.Job:
    """Return what is executed for a cell: its notebook, with what its row sets."""
    setting = look.setting
    own: dict[str, Variable] = dict(cell.framework.variables)
    if setting.device == "cpu" and machine.accelerator():
        own["CUDA_VISIBLE_DEVICES"] = ""  # some frameworks take a GPU unasked
    return execution.Job(
        notebook=cell.notebook,
        interpreter=python.interpreter,
        prefix=python.prefix,
        parameters=setting.parameters(cell.framework),
        variables=own,
        device=setting.device,
        timeout=setting.timeout,
        here=python.here,
        log=look.project.logs / f"{cell.task}-{cell.framework.name}.log",
    )


def _environment(look: Look, cell: Cell, python: here.Python) -> dict[str, Any]:
    """Return what a record says of the Python of a run, and of the variables that the row sets."""
    device = look.setting.device
    own = variables.resolve(cell.framework.variables, device, already=os.environ)
    cost = {} if python.here else build.cost(look.project, cell.framework, device)
    return {**python.describe(), **cost, "variables": own}


def base(look: Look, cell: Cell, data: Mapping[str, Any], python: here.Python | None) -> Record:
    """Return a record with all that is known before its run."""
    setting = look.setting
    parts = look.key_parts(cell, data) if python else {}
    return {
        "schema": records.SCHEMA,
        "task": cell.task,
        "framework": cell.framework.name,
        "notebook": cell.notebook.stem,
        **({} if cell.trains else {"trains": False}),
        "status": "ok",
        "reason": None,
        "profile": setting.profile,
        "device": setting.device,
        "data": data["data"],
        "weights": data["weights"],
        "data_source": data["data_source"],
        "weights_source": data["weights_source"],
        "started": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "key": keys.of(parts),
        "key_parts": parts,
        "parameters": setting.parameters(cell.framework),
        "machine": dict(setting.machine),
        "environment": _environment(look, cell, python) if python else {},
        "repeats": 1,
        "versions": {},
        "checks": {},
        "dialect": {},
        "metrics": {},
        "losses": [],
    }
