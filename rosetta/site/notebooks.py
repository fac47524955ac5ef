"""The notebooks as the site shows them: by row and section, with the outputs of their best run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rosetta.project import Project
from rosetta.registry import Cell as Entry
from rosetta.registry import Framework
from rosetta.results import keys, publish
from rosetta.results.records import Record
from rosetta.site import render

# The tags of the cells, in the order in which they stand, and their headings.
SECTIONS = {
    "about": "The framework",
    "setup": "Setup",
    "parameters": "Parameters",
    "data": "Data",
    "model": "Model",
    "weights": "Weights",
    "loss": "Training step",
    "check": "Check",
    "train": "Train",
    "evaluate": "Evaluate",
    "record": "Record",
}
PROFILES = ("full", "quick", "smoke")
# Its links lead to the sibling notebooks; the site has its own.
SIBLINGS = re.compile(r"^\[[^\]]*\]\(\.\).*?(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Cell:
    """A cell: what it says, as source and as HTML, and what it put out, as HTML."""

    kind: str  # "prose" or "code"
    source: str
    html: str
    names: tuple[str, ...] = ()
    outputs: str = ""

    @property
    def key(self) -> str:
        return keys.digest(self.source)[:12]

    @property
    def outputs_key(self) -> str:
        return keys.digest(self.outputs)[:12]


@dataclass(frozen=True)
class Notebook:
    """The notebook of a task in a row."""

    task: str
    framework: Framework
    file: str  # in the repository
    record: Record | None  # of the run whose outputs it shows
    sections: Mapping[str, Sequence[Cell]] = field(default_factory=dict)

    @property
    def row(self) -> str:
        return self.framework.name

    def code(self, section: str) -> str:
        """Return the code of a section, its cells two lines apart."""
        cells = self.sections.get(section, ())
        return "\n\n\n".join(cell.source for cell in cells if cell.kind == "code")


def load(
    project: Project, entries: Sequence[Entry], found: Sequence[Record], images: render.Images
) -> list[Notebook]:
    """Return the notebooks of `entries`, with outputs where an execution of this code is there."""
    return [_notebook(project, entry, found, images) for entry in entries]


def place(record: Record) -> str:
    """Return where a record and its executed notebook are, without their extensions."""
    parts = (record["machine"]["name"], record["profile"], record["task"], record["framework"])
    return "/".join(("results", *parts))


def rank(record: Record) -> tuple[bool, int, str]:
    """Return what orders the records of a cell, the best one last: the fullest, then the newest."""
    return (record["status"] == "ok", -PROFILES.index(record["profile"]), str(record["started"]))


def _notebook(
    project: Project, entry: Entry, found: Sequence[Record], images: render.Images
) -> Notebook:
    source = _read(entry.notebook)
    content, record = _executed(project, entry, source, found)
    if content is None:
        content = _own_outputs(source, entry.framework.name)
    return Notebook(
        task=entry.task,
        framework=entry.framework,
        file=project.relative(entry.notebook),
        record=record,
        sections=_sections(content["cells"], images),
    )


def _executed(
    project: Project, entry: Entry, source: Mapping[str, Any], found: Sequence[Record]
) -> tuple[Mapping[str, Any] | None, Record | None]:
    """Return the notebook with the outputs of the best run of just this code, and its record."""
    name = entry.framework.name
    mine = [
        record
        for record in found
        if (record["task"], record["framework"], record["status"]) == (entry.task, name, "ok")
    ]
    for record in sorted(mine, key=rank, reverse=True):
        file = project.root / f"{place(record)}.ipynb"
        if file.is_file():
            content = publish.with_outputs(source, _read(file), name)
            if content is not None:
                return content, record
    return None, None


def _own_outputs(source: Mapping[str, Any], row: str) -> Mapping[str, Any]:
    """Return a notebook with the outputs in its own file, unless another row or code made them."""
    made = source["metadata"].get("rosetta", {})
    if made == {"framework": row, "source": keys.digest(keys.code_of(source))}:
        return source
    cells = [{**cell, "outputs": []} for cell in source["cells"]]
    return {**source, "cells": cells}


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _sections(cells: Sequence[Mapping[str, Any]], images: render.Images) -> dict[str, list[Cell]]:
    """Return the cells by section; prose belongs to the code that follows its heading."""
    sections: dict[str, list[Cell]] = {name: [] for name in SECTIONS}
    section = "about"
    for index, cell in enumerate(cells):
        text = "".join(cell["source"])
        if cell["cell_type"] == "code" or text.startswith("## "):
            section = _tag(cells[index:]) or section
        made = _cell(cell, text, images)
        if made is not None:
            sections[section].append(made)
    return sections


def _tag(cells: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the section that the next code cell is tagged with."""
    code = next((cell for cell in cells if cell["cell_type"] == "code"), None)
    tags = code["metadata"].get("tags", []) if code else []
    return next((tag for tag in tags if tag in SECTIONS), None)


def _cell(cell: Mapping[str, Any], text: str, images: render.Images) -> Cell | None:
    if cell["cell_type"] == "code":
        names = tuple(render.names_of(text))
        shown = render.outputs(cell.get("outputs", []), images)
        return Cell("code", text, render.code(text), names, shown)
    text = SIBLINGS.sub("", re.sub(r"^##? .*\n*", "", text)).strip()
    return Cell("prose", text, _relinked(render.prose(text))) if text else None


def _relinked(text: str) -> str:
    """Return HTML whose links to notebooks lead to the site; those to other files go."""

    def leads(match: re.Match[str]) -> str:
        target, words = match["target"], match["words"]
        if re.match(r"https?:", target):
            return match[0]
        notebook = re.fullmatch(r"(?:\.\./)?(?P<task>\w+)/(?P<name>[\w-]+)\.ipynb", target)
        return f'<a href="{notebook["task"]}.html">{words}</a>' if notebook else words

    return re.sub(r'<a href="(?P<target>[^"]*)"[^>]*>(?P<words>.*?)</a>', leads, text)
