"""The phrase book: how each framework says a thing, cut from its notebook by a rule.

Concepts and shared rules are in phrases.toml, those of one notebook with its row.
"""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rosetta.errors import UserError
from rosetta.site.families import Family, where
from rosetta.site.notebooks import Notebook, steps

UNTOLD = "no phrase of this framework yet"


@dataclass(frozen=True)
class Phrase:
    """A concept in one framework: code, or why there is none.

    whole: the code with what it needs; section and lines: where it stands, lines counted from 1
    over the code of the section.
    """

    code: str | None
    reason: str | None = None
    whole: str | None = None
    section: str = ""
    lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class Concept:
    """One row of the book, with the phrase of each notebook by its name."""

    id: str
    group: str
    title: str
    task: str
    section: str
    words: str  # what else a reader may search it by
    phrases: Mapping[str, Phrase]


@dataclass
class Book:
    """All concepts, and the notebooks (by name) that have a column."""

    concepts: list[Concept]
    columns: Mapping[str, str]
    warnings: list[str] = field(default_factory=list)

    def groups(self) -> dict[str, list[Concept]]:
        groups: dict[str, list[Concept]] = {}
        for concept in self.concepts:
            groups.setdefault(concept.group, []).append(concept)
        return groups


def load(file: Path, notebooks: Sequence[Notebook], families: Mapping[str, Family]) -> Book:
    """Return the book. Raises UserError that names each phrase that is not found just once."""
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    by_name = {(each.task, each.framework.notebook or ""): each for each in notebooks}
    seen = {name for _, name in by_name}
    columns = {name: family.title for name, family in families.items() if name in seen}
    for family in families.values():
        family.check("phrases", [entry["id"] for entry in content["phrase"]])
    concepts, wrong = [], []
    for entry in content["phrase"]:
        phrases = {}
        for name in columns:
            try:
                rule = families[name].phrases.get(entry["id"], {})
                phrases[name] = _phrase(entry, rule, by_name.get((entry["task"], name)))
            except LookupError as error:
                phrases[name] = Phrase(None, UNTOLD)  # a new notebook need not fit the rules yet
                notebook = f"notebooks/{entry['task']}/{name}.ipynb"
                told = f"{where(name)}: phrases.{entry['id']} ({name}): {error} in {notebook}"
                wrong += [told] if families[name].told else []
        concepts.append(_concept(entry, phrases))
    if wrong:
        raise UserError(
            f"phrases not found in just one place: {'; '.join(wrong)}; mend the rule or the "
            "notebook, then 'python run_all.py site'"
        )
    return Book(concepts, columns, _warnings(concepts))


def _warnings(concepts: Sequence[Concept]) -> list[str]:
    missing: dict[str, list[str]] = {}
    for concept in concepts:
        for name, phrase in concept.phrases.items():
            if phrase.reason == UNTOLD:
                missing.setdefault(name, []).append(concept.id)
    return [f"{where(name)}: no phrase for {', '.join(ids)}" for name, ids in missing.items()]


def _concept(entry: Mapping[str, Any], phrases: Mapping[str, Phrase]) -> Concept:
    if entry["section"] not in steps(entry["task"]):
        raise UserError(f"phrases.toml: {entry['id']}: unknown section '{entry['section']}'")
    return Concept(
        id=entry["id"],
        group=entry["group"],
        title=entry["title"],
        task=entry["task"],
        section=entry["section"],
        words=entry.get("words", ""),
        phrases=phrases,
    )


def _phrase(entry: Mapping[str, Any], rule: Mapping[str, Any], notebook: Notebook | None) -> Phrase:
    """Return the phrase of a notebook by its own rule, or else the shared one.

    Raises LookupError where that does not fit once.
    """
    if "absent" in rule:
        return Phrase(None, rule["absent"])
    if notebook is None:
        return Phrase(None, "no notebook of this task")
    section = rule.get("section", entry["section"])
    source = notebook.code(section)
    pattern = rule.get("pattern") or entry.get("pattern")
    if pattern:
        patterns = [pattern] if isinstance(pattern, str) else pattern
        return _cut(notebook, section, [_lines_of(source, each) for each in patterns])
    if "define" in entry:
        return _cut(notebook, section, [_definition(source, entry["define"])])
    return Phrase(None, UNTOLD)


def _cut(notebook: Notebook, section: str, spans: Sequence[tuple[int, int]]) -> Phrase:
    """Return what stands in some lines of a section, as one phrase."""
    lines = notebook.code(section).split("\n")
    texts = [textwrap.dedent("\n".join(lines[first:last])).strip("\n") for first, last in spans]
    return Phrase(
        code="\n".join(texts),
        whole=notebook.whole(section, spans[0][0], spans[-1][1] - 1),
        section=section,
        lines=tuple(line + 1 for first, last in spans for line in range(first, last)),
    )


def _lines_of(source: str, pattern: str) -> tuple[int, int]:
    """Return the lines that the only match of a pattern touches: the first, and where they end."""
    found = list(re.finditer(pattern, source, re.MULTILINE))
    if len(found) != 1:
        raise LookupError(f"{len(found)} matches of {pattern}")
    begin, end = source.count("\n", 0, found[0].start()), source.count("\n", 0, found[0].end())
    return begin, end + 1


def _definition(source: str, name: str) -> tuple[int, int]:
    """Return the lines of the only function or class of a name, the one after the last too."""
    found = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
    ]
    if len(found) != 1:
        raise LookupError(f"{len(found)} definitions of {name}")
    first = min([found[0].lineno, *(each.lineno for each in found[0].decorator_list)])
    return first - 1, found[0].end_lineno or first
