"""The notebooks as the site shows them: by row and section, with the outputs of their best run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from common.tasks import TASKS
from rosetta.project import Project
from rosetta.registry import Cell as Entry
from rosetta.registry import Framework
from rosetta.results import keys, publish
from rosetta.results.records import Record
from rosetta.site import render
from rosetta.site.portable import Portable
from rosetta.site.source import parts_of

# What stands before the first section and after the last one, and their headings.
ABOUT, TAKEAWAY = "about", "takeaway"
FRAME = {ABOUT: "The framework", TAKEAWAY: "To take away"}
# Sections whose cells set up the notebook itself: they are not copied with what they need.
OWN = ("setup", "parameters", "data")
PROFILES = ("full", "quick", "smoke")
# Its links lead to the sibling notebooks; the site has its own.
SIBLINGS = re.compile(r"^\[[^\]]*\]\(\.\).*?(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)


class NoNotebook(ValueError):
    """A file that should be a notebook, and is none."""


@dataclass(frozen=True)
class Cell:
    """A cell: what it says, as source and as HTML, and what it put out, as HTML."""

    kind: str  # "prose" or "code"
    source: str
    html: str
    outputs: str = ""
    whole: str | None = None  # the code with what it needs, where it leans on nothing of ours
    number: int = 0  # among the code cells of the notebook

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
    headings: Mapping[str, str] = field(default_factory=dict)  # of its sections, as it has them
    portable: Portable | None = None

    @property
    def row(self) -> str:
        return self.framework.name

    def code(self, section: str) -> str:
        """Return the code of a section: the lines of its cells after one another."""
        return "\n".join(cell.source for cell in self._cells(section))

    def whole(self, section: str, first: int, last: int) -> str | None:
        """Return what lines of a section are part of, with what it needs.

        Lines count from 0, `last` among them. None where they stand in two cells or need ours.
        """
        for cell in self._cells(section):
            length = cell.source.count("\n") + 1
            if first < length:
                if self.portable is None or last >= length or section in OWN:
                    return None
                return self.portable.cut(cell.number, first, last)
            first, last = first - length, last - length
        return None

    def _cells(self, section: str) -> list[Cell]:
        return [cell for cell in self.sections.get(section, ()) if cell.kind == "code"]


@dataclass
class Runs:
    """The records of runs, the files of their executed notebooks, and which of these are none."""

    records: Sequence[Record]
    files: Mapping[str, Path]
    broken: list[str] = field(default_factory=list)

    def executed(
        self, entry: Entry, source: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any] | None, Record | None]:
        """Return a notebook with the outputs of the best run of just this code, and its record."""
        wanted = (entry.task, entry.framework.name, "ok")
        mine = (r for r in self.records if (r["task"], r["framework"], r["status"]) == wanted)
        for record in sorted(mine, key=rank, reverse=True):
            content = self._read(f"{place(record)}.ipynb")
            if content is not None:
                content = publish.with_outputs(source, content, entry.framework)
            if content is not None:
                return content, record
        return None, None

    def _read(self, name: str) -> dict[str, Any] | None:
        if name not in self.files:
            return None
        try:
            return _read(self.files[name])
        except NoNotebook as why:
            self.broken.append(f"{name} is no notebook ({why}): its outputs are not shown")
            return None


def load(
    project: Project, entries: Sequence[Entry], runs: Runs, images: render.Images
) -> list[Notebook]:
    """Return the notebooks of `entries`, with outputs where an execution of this code is there."""
    found = []
    for entry in entries:
        try:
            found.append(_notebook(project, entry, runs, images))
        except NoNotebook as why:
            name = project.relative(entry.notebook)
            runs.broken.append(f"{name} is no notebook ({why}): {entry.framework.name} is left out")
    return found


def place(record: Record) -> str:
    """Return where a record and its executed notebook are, without their extensions."""
    parts = (record["machine"]["name"], record["profile"], record["task"], record["framework"])
    return "/".join(("results", *parts))


def rank(record: Record) -> tuple[bool, int, str]:
    """Return what orders the records of a cell, the best one last: the fullest, then the newest."""
    return (record["status"] == "ok", -PROFILES.index(record["profile"]), str(record["started"]))


def _notebook(project: Project, entry: Entry, runs: Runs, images: render.Images) -> Notebook:
    source = _read(entry.notebook)
    content, record = runs.executed(entry, source)
    if content is None:
        content = _own_outputs(source, entry.framework.name)
    portable = portable_of(entry, source)
    reader = _Reader(entry.task, portable, images)
    reader.read(content["cells"])
    return Notebook(
        task=entry.task,
        framework=entry.framework,
        file=project.relative(entry.notebook),
        record=record,
        sections=reader.sections,
        headings=reader.headings,
        portable=portable,
    )


def portable_of(entry: Entry, content: Mapping[str, Any]) -> Portable:
    """Return the code of a row's notebook, to be cut from."""
    row = entry.framework
    variables = {name: value for name, value in row.variables.items() if isinstance(value, str)}
    return Portable(entry.task, keys.code_of(content), variables, row.parameters)


def _own_outputs(source: Mapping[str, Any], row: str) -> Mapping[str, Any]:
    """Return a notebook with the outputs in its own file, unless another row or code made them."""
    made = source["metadata"].get("rosetta", {})
    if made == {"framework": row, "source": keys.digest(keys.code_of(source))}:
        return source
    cells = [{**cell, "outputs": []} for cell in source["cells"]]
    return {**source, "cells": cells}


def _read(file: Path) -> dict[str, Any]:
    """Return the notebook in a file. Raises NoNotebook that says why it is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise NoNotebook("not a JSON object")
        # In other versions nbformat lets pass what it does not know, or raises anything.
        major, minor = content.get("nbformat"), content.get("nbformat_minor")
        if not (isinstance(major, int) and isinstance(minor, int) and major == 4 and minor <= 5):
            raise NoNotebook("not of the notebook format 4.0 to 4.5")
        nbformat.validate(content)
    except (OSError, ValueError, RecursionError, nbformat.ValidationError) as error:
        raise NoNotebook(str(error).strip().split("\n")[0]) from None
    return content


def steps(task: str) -> tuple[str, ...]:
    """Return the sections of a task's notebooks, in order."""
    return (ABOUT, *TASKS[task].steps, TAKEAWAY)


def headings(notebooks: Sequence[Notebook]) -> dict[str, str]:
    """Return the heading of every section, as the notebooks have it."""
    named = {step: step.capitalize() for task in TASKS.values() for step in task.steps}
    for notebook in notebooks:
        named.update(notebook.headings)
    return FRAME | named


class _Reader:
    """Sorts the cells of a notebook into sections; prose belongs to the code that follows it."""

    def __init__(self, task: str, portable: Portable, images: render.Images) -> None:
        self.sections: dict[str, list[Cell]] = {step: [] for step in steps(task)}
        self.headings: dict[str, str] = {}
        self._portable = portable
        self._images = images

    def read(self, cells: Sequence[Mapping[str, Any]]) -> None:
        section, codes = ABOUT, 0
        for index, cell in enumerate(cells):
            text = "".join(cell["source"])
            code, heading = cell["cell_type"] == "code", re.match(r"## (.*)", text)
            if code or heading or not any(each["cell_type"] == "code" for each in cells[index:]):
                section = self._tag(cells[index:], section)
            if heading:
                self.headings[section] = heading[1].strip()
            made = self._code(cell, text, codes, section) if code else _prose(text)
            codes += code
            if made is not None:
                self.sections[section].append(made)

    def _tag(self, cells: Sequence[Mapping[str, Any]], section: str) -> str:
        """Return the section that the next code cell is tagged with."""
        code = next((cell for cell in cells if cell["cell_type"] == "code"), None)
        if code is None:
            return TAKEAWAY
        tags = code["metadata"].get("tags", [])
        return next((tag for tag in tags if tag in self.sections), section)

    def _code(self, cell: Mapping[str, Any], text: str, number: int, section: str) -> Cell:
        return Cell(
            "code",
            text,
            render.cell(text, parts_of(text)),
            render.outputs(cell.get("outputs", []), self._images),
            None if section in OWN else self._portable.cut(number),
            number,
        )


def _prose(text: str) -> Cell | None:
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
