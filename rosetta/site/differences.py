"""What differs between two frameworks for one and the same network.

The questions are in differences.toml, how a framework answers them stands with its row.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosetta.site.families import Family


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


def load(file: Path, families: Mapping[str, Family]) -> Table:
    """Return the table in `file`, with the forms of all families."""
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    for family in families.values():
        family.check("differences", [entry["id"] for entry in content["difference"]])
    differences = [
        _difference(entry, _forms(entry["id"], families)) for entry in content["difference"]
    ]
    return Table(differences, {name: family.title for name, family in families.items()})


def _forms(difference: str, families: Mapping[str, Family]) -> list[Form]:
    """Return the forms of a difference: families that say the same have the same."""
    said: dict[str, list[str]] = {}
    for name, family in families.items():
        if difference in family.differences:
            said.setdefault(family.differences[difference], []).append(name)
    return [Form(text, tuple(names)) for text, names in said.items()]


def _difference(entry: Mapping[str, Any], forms: Sequence[Form]) -> Difference:
    return Difference(
        id=entry["id"],
        group=entry["group"],
        title=entry["title"],
        forms=forms,
        advice=entry["advice"],
        tasks=entry["tasks"],
        step=entry["step"],
    )
