"""What a machine was like while a record was made: shared, slowed, or of two speeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rosetta.results.columns import number
from rosetta.results.records import Record

BUSY = 0.25  # cores with other work, from which on a row is marked
# Of a machine's best matrix product; below it, something else is using what its cores are made of.
SLOWED = 0.8
UNSTEADY = 1.25  # times the slowest epoch's speed


def fastest(machines: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the best matrix product, in GFLOP/s, that a machine has shown in its records."""
    return max((rate for each in machines if (rate := each.get("matmul_gflops"))), default=None)


def busy(record: Record, best: float | None) -> str | None:
    """Return in words that others used the machine while a record was made, if they did.

    `best` is the best matrix product that this machine has shown, in GFLOP/s.
    """
    others = record.get("run", {}).get("other_cores", 0.0)
    if others >= BUSY:
        return f"made on a busy machine: {others:.1f} of its cores had other work"
    machine = record["machine"]
    then = machine.get("matmul_last_gflops") or machine.get("matmul_gflops")
    if machine.get("accelerator") or not then or not best or then >= SLOWED * best:
        return None
    return (
        f"made on a busy machine: its matrix product gave {then:.0f} GFLOP/s, "
        f"where it has given {best:.0f}"
    )


def unsteady(record: Record) -> str | None:
    """Return in words that the epochs of a training ran at different speeds, if they did."""
    speeds = [
        float(each["examples"]) / float(each["seconds"])
        for each in record.get("epochs", [])[1:]
        if each.get("examples") and each.get("seconds")
    ]
    if not speeds or max(speeds) < UNSTEADY * min(speeds):
        return None
    unit = record.get("unit", "examples")
    return f"its epochs ran at {number(min(speeds))} to {number(max(speeds))} {unit}/s"
