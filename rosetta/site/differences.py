"""What differs between two frameworks for one and the same network: from differences.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosetta.errors import UserError
from rosetta.registry import Framework


@dataclass(frozen=True)
class Form:
    """One way to do it, and the notebooks (or families without one) that do it this way."""

    text: str
    families: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """A thing that frameworks do in several ways; `advice` says what moving between them takes."""

    id: str
    group: str
    title: str
    forms: Sequence[Form]
    advice: str
    tasks: Sequence[str]
    step: str  # the section of the notebooks where it shows


@dataclass(frozen=True)
class Table:
    """All differences, and the titles of the families that they speak of."""

    differences: Sequence[Difference]
    families: Mapping[str, str]

    def groups(self) -> dict[str, list[Difference]]:
        groups: dict[str, list[Difference]] = {}
        for difference in self.differences:
            groups.setdefault(difference.group, []).append(difference)
        return groups


def load(file: Path, frameworks: Mapping[str, Framework]) -> Table:
    """Return the table in `file`. Raises UserError for a family that nothing knows."""
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    families: dict[str, str] = dict(content["families"])
    known = {framework.notebook for framework in frameworks.values()} | set(families)
    differences = [_difference(entry) for entry in content["difference"]]
    for difference in differences:
        told = [family for form in difference.forms for family in form.families]
        for family in told:
            if family not in known:
                raise UserError(f"{file.name}: {difference.id}: unknown family '{family}'")
            if told.count(family) > 1:
                raise UserError(f"{file.name}: {difference.id}: '{family}' is in two forms")
    return Table(differences, families)


def _difference(entry: Mapping[str, Any]) -> Difference:
    return Difference(
        id=entry["id"],
        group=entry["group"],
        title=entry["title"],
        forms=[Form(form["text"], tuple(form["in"])) for form in entry["form"]],
        advice=entry["advice"],
        tasks=entry["tasks"],
        step=entry["step"],
    )
