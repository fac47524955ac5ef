"""What a run says on the terminal of cells and of the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from rosetta import registry
from rosetta.results import times
from rosetta.results.records import Record
from rosetta.results.times import Times
from rosetta.runs.states import State

STYLES = {"ok": "green", "stale": "yellow", "failed": "red", "broken": "red"}


def matrix(states: Sequence[State], known: Times | None = None) -> Table:
    """Return a table with the state of each cell: a row for each framework, a column per task.

    Beside it about how long the cell takes, as far as that is `known`.
    """
    tasks = [task for task in registry.TASKS if any(each.cell.task == task for each in states)]
    table = Table(title=None)
    for heading in ("framework", *tasks):
        table.add_column(heading)
    found = {(each.cell.framework.name, each.cell.task): each for each in states}
    for name in dict.fromkeys(each.cell.framework.name for each in states):
        table.add_row(name, *(_mark(found.get((name, task)), known) for task in tasks))
    return table


def _mark(state: State | None, known: Times | None) -> str:
    if state is None:
        return "no notebook"
    style = STYLES.get(state.state)
    mark = f"[{style}]{state.state}[/]" if style else state.state
    seconds = known.seconds(state.cell) if known else None
    return mark if seconds is None else f"{mark}, {times.words(seconds)}"


def describe_machine(machine: Mapping[str, Any]) -> str:
    """Return what a machine is made of, and its name, in one line."""
    memory = machine["memory_bytes"] / 2**30
    parts = [
        machine["processor"],
        f"{machine['cores']} cores",
        f"{memory:.0f} GiB",
        machine["accelerator"],
        machine["system"],
    ]
    return ", ".join(part for part in parts if part) + f" ({machine['name']})"


def summary(state: State) -> str:
    """Return how a cell ended, in one line."""
    record = state.record
    if state.state != "ok" or record is None:
        return f"{state.state}: {state.why}" if state.why else state.state
    parts = ["ok", *_figures(record)]
    if "run" in record:
        parts.append(f"{record['run']['seconds']:.0f} s")
    return ", ".join(parts)


def _figures(record: Record) -> list[str]:
    metrics, unit = record["metrics"], record.get("unit", "examples")
    figures = []
    if metrics.get("accuracy") is not None:
        figures.append(f"accuracy {100 * metrics['accuracy']:.1f} %")
    if metrics.get("train_examples_per_second"):
        figures.append(f"training {metrics['train_examples_per_second']:.4g} {unit}/s")
    elif metrics.get("forward_examples_per_second"):
        figures.append(f"forward {metrics['forward_examples_per_second']:.4g} {unit}/s")
    return figures


def summary_table(states: Sequence[State]) -> Table:
    """Return a table with how each cell ended and its figures, or why it has none."""
    table = Table()
    for heading in ("task", "framework", "state", "figures"):
        table.add_column(heading, overflow="fold")
    for each in states:
        ok = each.state == "ok" and each.record is not None
        figures = ", ".join(_figures(each.record)) if ok and each.record else escape(each.why or "")
        marked = f"[{STYLES.get(each.state, 'default')}]{each.state}[/]"
        table.add_row(each.cell.task, each.cell.framework.name, marked, figures)
    return table
