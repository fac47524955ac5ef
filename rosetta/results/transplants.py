"""What became of trained weights in other rows: a file for each task and machine, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from rosetta.project import Project
from rosetta.registry import TASKS
from rosetta.results import structs
from rosetta.results.records import BrokenRecordError
from rosetta.results.schema import Amount, Count, Hash, Key, Name, Notes, Number, Text, Time

SCHEMA = 1
FOLDER = "transplant"
Losses = Annotated[list[Number | None], Meta(max_length=100)]


class Pair(msgspec.Struct):
    """The weights of a source in a target.

    Errors are relative: of the logits against those of the source itself, by norm, and of the
    losses of the training steps from there against the reference's, at most.
    """

    weights: Hash  # the SHA-256 of what the source has trained
    accuracy: Amount
    losses: Losses
    reference: Losses
    layers: dict[Key, list[Number]] = {}
    differ: Count | None = None  # predictions that are not the source's
    logits: Amount | None = None

    @property
    def steps(self) -> float | None:
        """The largest relative distance of a loss from the reference's."""
        pairs = list(zip(self.losses, self.reference, strict=False))
        if not pairs or any(None in pair or not pair[1] for pair in pairs):
            return None
        return max(abs(float(one) / float(other) - 1) for one, other in pairs)  # type: ignore[arg-type]


class Target(msgspec.Struct):
    """A row into which weights were loaded, by the names of their sources."""

    key: Hash
    started: Time
    examples: Count
    dialect: dict[Key, Text]
    files: dict[Key, Hash] = {}  # the parts of the key that its notebook and common/ make
    pairs: dict[Name, Pair] = {}
    failure: Notes | None = None


class Matrix(msgspec.Struct):
    """All that was tried with the weights of one task on one machine."""

    schema: int
    task: Name
    machine: Name
    data: Text
    profiles: dict[Name, Name]  # of the run that trained the weights of a source
    targets: dict[Name, Target] = {}


def path(project: Project, machine: str, task: str) -> Path:
    """Return where the matrix of a task is."""
    return project.results / machine / FOLDER / f"{task}.json"


def read(project: Project, file: Path) -> Matrix | None:
    """Return the matrix in `file`, or None where there is none. Raises BrokenRecordError."""
    matrix = structs.read(project, file, Matrix)
    if matrix and (file != path(project, matrix.machine, matrix.task) or matrix.task not in TASKS):
        raise BrokenRecordError(project.relative(file), "it is of another task or machine")
    return matrix


def write(project: Project, matrix: Matrix) -> None:
    """Write a matrix, whole or not at all."""
    structs.write(path(project, matrix.machine, matrix.task), matrix)


@dataclass(frozen=True)
class Cell:
    """What a table says of the weights of a source in a target."""

    source: str
    target: str
    text: str


def table(matrix: Matrix) -> tuple[list[str], dict[str, list[Cell]]]:
    """Return the targets, which are the columns, and {source: its cells in their order}."""
    targets = sorted(matrix.targets)
    sources = sorted({source for each in matrix.targets.values() for source in each.pairs})
    return targets, {
        source: [Cell(source, name, _cell(matrix.targets[name], source)) for name in targets]
        for source in sources
    }


def _cell(target: Target, source: str) -> str:
    pair = target.pairs.get(source)
    if pair is None:
        return f"failed: {target.failure}" if target.failure else "not tried"
    if pair.differ is None or pair.logits is None:
        return "not compared"
    return f"{pair.differ:,}, {pair.logits:.0e}" + (f", {pair.steps:.0e}" if pair.steps else "")


def worst(matrix: Matrix) -> Sequence[str]:
    """Return in words how far the worst of all pairs is from its source."""
    pairs = [pair for each in matrix.targets.values() for pair in each.pairs.values()]
    differ = [pair.differ for pair in pairs if pair.differ is not None]
    logits = [pair.logits for pair in pairs if pair.logits is not None]
    if not differ:
        return []
    examples = max(each.examples for each in matrix.targets.values())
    return [
        f"at most {max(differ):,} of {examples:,} predictions differ",
        f"the logits by at most {max(logits):.0e}",
    ]
