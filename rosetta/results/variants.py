"""What the variants of notebooks measured: a file for each cell and machine, and its table."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from rosetta.project import Project
from rosetta.results import structs
from rosetta.results.records import BrokenRecordError
from rosetta.results.schema import Amount, Hash, Key, Name, Notes, Text, Time

SCHEMA = 1
FOLDER = "variants"
NOTEBOOK = "notebook"  # the name under which the notebook itself is measured
Figures = Annotated[list[Amount], Meta(max_length=1000)]


class Measured(msgspec.Struct):
    """One variant, or the notebook itself: a figure for each round."""

    title: Text
    key: Hash  # of what the figures depend on
    speeds: Figures = []  # examples per second
    beside: Figures = []  # examples per second of the notebook in the same rounds
    first_steps: Figures = []  # seconds until the first step, or the first batch, is done
    failure: Notes | None = None  # such as the check that does not hold
    refused: Notes | None = None
    python: Text = ""
    versions: dict[Key, Text] = {}

    @property
    def speed(self) -> float | None:
        return statistics.median(self.speeds) if self.speeds else None


class Rounds(msgspec.Struct):
    """All variants of a cell, measured in turn on one machine."""

    schema: int
    task: Name
    framework: Name
    machine: Name
    profile: Name
    unit: Text
    started: Time
    files: dict[Name, Hash] = {}  # the parts of the key that the notebook and common/ make
    measured: dict[Name, Measured] = {}

    def ratio(self, name: str) -> float | None:
        """Return the speed of a variant over the notebook's own, round by round, the median."""
        ratios = self._ratios(name)
        return statistics.median(ratios) if ratios else None

    def verdict(self, name: str) -> str:
        """Return in words in how many rounds a variant was faster than the notebook."""
        ratios = self._ratios(name)
        if name == NOTEBOOK or not ratios:
            return ""
        faster = sum(ratio > 1 for ratio in ratios)
        if 0 < faster < len(ratios):
            return f"faster in {faster} of {len(ratios)} rounds"
        return f"{'faster' if faster else 'slower'} in every round"

    def _ratios(self, name: str) -> list[float]:
        measured = self.measured[name]
        pairs = zip(measured.speeds, measured.beside, strict=False)
        return [one / other for one, other in pairs if other]


def path(project: Project, machine: str, task: str, framework: str) -> Path:
    """Return where the rounds of a cell are."""
    return project.results / machine / FOLDER / f"{task}.{framework}.json"


def read(project: Project, file: Path) -> Rounds | None:
    """Return the rounds in `file`, or None where there are none. Raises BrokenRecordError."""
    rounds = structs.read(project, file, Rounds)
    if rounds and (file != path(project, rounds.machine, rounds.task, rounds.framework)):
        raise BrokenRecordError(project.relative(file), "it is of another cell or machine")
    return rounds


def write(project: Project, rounds: Rounds) -> None:
    """Write the rounds of a cell, whole or not at all."""
    structs.write(path(project, rounds.machine, rounds.task, rounds.framework), rounds)


def rows(rounds: Rounds) -> list[list[str]]:
    """Return the rows of a cell's table: title, speed, ratio, first step, what came of it."""
    names = sorted(rounds.measured, key=lambda name: (name != NOTEBOOK, name))
    return [_row(rounds, name) for name in names]


def _row(rounds: Rounds, name: str) -> list[str]:
    each, ratio = rounds.measured[name], rounds.ratio(name)
    if each.failure or not each.speeds:
        outcome = f"failed: {each.failure}" if each.failure else "not measured"
        return [each.title, "—", "—", "—", outcome]
    spread = f"{each.speed:.4g} ({min(each.speeds):.4g} to {max(each.speeds):.4g})"
    first = f"{statistics.median(each.first_steps):.3g}" if each.first_steps else "—"
    said = [rounds.verdict(name), f"not chosen: {each.refused}" if each.refused else ""]
    words = "; ".join(filter(None, said))
    return [each.title, spread, f"{ratio:.2f}" if ratio else "—", first, words]
