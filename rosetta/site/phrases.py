"""The phrase book: how each framework says a thing, cut from its notebook by phrases.toml."""

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
from rosetta.site.notebooks import SECTIONS, Notebook

UNTOLD = "no phrase of this framework yet"


@dataclass(frozen=True)
class Phrase:
    """A concept in one framework: code, or why there is none."""

    code: str | None
    reason: str | None = None


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


def load(file: Path, notebooks: Sequence[Notebook]) -> Book:
    """Return the book. Raises UserError that names each phrase that is not found just once."""
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    by_name = {(each.task, each.framework.notebook or ""): each for each in notebooks}
    titles = {name: _title(name, content, notebooks) for _, name in by_name}
    columns = dict(sorted(titles.items(), key=lambda item: item[1].lower()))
    concepts, wrong = [], []
    for entry in content["phrase"]:
        phrases = {}
        for name in columns:
            try:
                phrases[name] = _phrase(entry, name, by_name.get((entry["task"], name)))
            except LookupError as error:
                phrases[name] = Phrase(None, UNTOLD)
                wrong += [f"{entry['id']} ({name}): {error}"] if _told(content, name) else []
        concepts.append(_concept(entry, phrases))
    if wrong:
        raise UserError(f"phrases.toml: not found in just one place: {'; '.join(wrong)}")
    return Book(concepts, columns, _warnings(concepts))


def _told(content: Mapping[str, Any], name: str) -> bool:
    """Return whether the book knows a notebook: a new one need not fit the rules yet."""
    tables = ("patterns", "absent", "sections")
    return any(name in entry.get(table, {}) for entry in content["phrase"] for table in tables)


def _warnings(concepts: Sequence[Concept]) -> list[str]:
    missing: dict[str, list[str]] = {}
    for concept in concepts:
        for name, phrase in concept.phrases.items():
            if phrase.reason == UNTOLD:
                missing.setdefault(name, []).append(concept.id)
    return [f"phrases.toml: no phrase of {name} for {', '.join(m)}" for name, m in missing.items()]


def _concept(entry: Mapping[str, Any], phrases: Mapping[str, Phrase]) -> Concept:
    if entry["section"] not in SECTIONS:
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


def _title(name: str, content: Mapping[str, Any], notebooks: Sequence[Notebook]) -> str:
    """Return the title of a notebook's column; its row's, unless several rows share it."""
    titles = {each.framework.title for each in notebooks if each.framework.notebook == name}
    return str(content["titles"].get(name) or min(titles))


def _phrase(entry: Mapping[str, Any], name: str, notebook: Notebook | None) -> Phrase:
    """Return the phrase of a notebook. Raises LookupError where its rule does not fit once."""
    if name in entry.get("absent", {}):
        return Phrase(None, entry["absent"][name])
    if notebook is None:
        return Phrase(None, "no notebook of this task")
    rule = entry.get("patterns", {}).get(name) or entry.get("pattern")
    source = notebook.code(entry.get("sections", {}).get(name, entry["section"]))
    if rule:
        rules = [rule] if isinstance(rule, str) else rule
        return Phrase("\n".join(_lines_of(source, each) for each in rules))
    if "define" in entry:
        return Phrase(_definition(source, entry["define"]))
    return Phrase(None, UNTOLD)


def _lines_of(source: str, pattern: str) -> str:
    """Return the whole lines that the only match of a pattern spans."""
    found = list(re.finditer(pattern, source, re.MULTILINE))
    if len(found) != 1:
        raise LookupError(f"{len(found)} matches of {pattern}")
    begin = source.rfind("\n", 0, found[0].start()) + 1
    end = source.find("\n", found[0].end())
    return textwrap.dedent(source[begin : end if end >= 0 else len(source)]).strip("\n")


def _definition(source: str, name: str) -> str:
    """Return the source of the only function or class of a name."""
    found = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
    ]
    if len(found) != 1:
        raise LookupError(f"{len(found)} definitions of {name}")
    first = min([found[0].lineno, *(each.lineno for each in found[0].decorator_list)])
    return textwrap.dedent("\n".join(source.split("\n")[first - 1 : found[0].end_lineno]))
