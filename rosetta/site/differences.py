"""What differs between two frameworks for one and the same network.

The questions are in differences.toml, how a framework answers them stands with its row.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosetta.errors import UserError
from rosetta.registry import unknown
from rosetta.site.families import Family
from rosetta.site.notebooks import Notebook
from rosetta.site.phrases import Book, Concept


@dataclass(frozen=True)
class Form:
    """One way to do it, and the notebooks (or families without one) that do it this way."""

    text: str
    families: tuple[str, ...]
    like: str  # equal in forms that only words make different


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
    phrase: str | None  # the concept of the phrase book that shows it best

    @property
    def shown(self) -> str:
        """Where its code is from: a concept of the phrase book, or a task and a section."""
        return self.phrase or f"{self.tasks[0]}/{self.step}"


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


@dataclass(frozen=True)
class Sample:
    """The code that shows a difference in one notebook, and where it stands there."""

    shown: str
    family: str
    task: str
    section: str
    line: int  # of the section's code, counted from 1
    code: str
    whole: str | None


def samples(table: Table, book: Book, notebooks: Sequence[Notebook]) -> list[Sample]:
    """Return the code of every family for every difference: its phrase, or else the cells."""
    concepts = {concept.id: concept for concept in book.concepts}
    by_name = {(each.task, each.framework.notebook or ""): each for each in notebooks}
    found: dict[tuple[str, str], Sample] = {}
    for difference in table.differences:
        if difference.phrase and difference.phrase not in concepts:
            message = unknown(difference.phrase, concepts, "phrase")
            raise UserError(f"differences.toml: {difference.id}: {message}")
        for family in (name for form in difference.forms for name in form.families):
            sample = _sample(difference, family, concepts, by_name)
            if sample is not None:
                found.setdefault((difference.shown, family), sample)
    return list(found.values())


def _sample(
    difference: Difference,
    family: str,
    concepts: Mapping[str, Concept],
    notebooks: Mapping[tuple[str, str], Notebook],
) -> Sample | None:
    task, section = difference.tasks[0], difference.step
    if difference.phrase:
        concept = concepts[difference.phrase]
        task, section = concept.task, concept.section
        phrase = concept.phrases.get(family)
        if phrase and phrase.code:
            line = min(phrase.lines)
            place = (difference.shown, family, task, phrase.section, line)
            return Sample(*place, phrase.code, phrase.whole)
    notebook = notebooks.get((task, family))
    code = notebook.code(section) if notebook else ""
    return Sample(difference.shown, family, task, section, 1, code, None) if code else None


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
    said: dict[tuple[str, str], list[str]] = {}
    for name, family in families.items():
        if difference in family.differences:
            form = family.differences[difference]
            said.setdefault((form.text, form.like), []).append(name)
    return [Form(text, tuple(names), like) for (text, like), names in said.items()]


def _difference(entry: Mapping[str, Any], forms: Sequence[Form]) -> Difference:
    return Difference(
        id=entry["id"],
        group=entry["group"],
        title=entry["title"],
        forms=forms,
        advice=entry["advice"],
        tasks=entry["tasks"],
        step=entry["step"],
        phrase=entry.get("phrase"),
    )
