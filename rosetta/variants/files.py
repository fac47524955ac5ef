"""Variants of notebooks: other settings that were considered, each a small file.

`variants/TASK/ROW/NAME.toml` says what it tries, which text of the notebook's code becomes which
other, which variables the kernel gets, which versions of which packages it runs with, and why the
notebook does without it where it is faster.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.registry import Cell

FOLDER = "variants"
# An exact version: nothing else tells what was measured.
Pinned = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][\w.-]*(\[[\w., -]+\])?==[\w.!+]+\Z")]


class Replacement(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Text of a code cell, and what stands in its place."""

    old: str
    new: str


class Versions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is installed in place of the row's own packages; the Python is the row's if not said."""

    packages: Annotated[tuple[Pinned, ...], Meta(min_length=1)]
    python: Annotated[str, Meta(pattern=r"\A3\.[0-9]{1,3}\Z")] | None = None


class Variant(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One other setting of a notebook."""

    title: str  # what it tries, for the tables
    refused: str | None = None  # why the notebook does without it
    variables: Mapping[str, str] = {}
    replace: tuple[Replacement, ...] = ()
    versions: Versions | None = None

    @property
    def settings(self) -> list[Any]:
        """What its figures depend on, besides the notebook and its row."""
        found = [dict(self.variables), msgspec.to_builtins(self.replace)]
        return [*found, msgspec.to_builtins(self.versions)] if self.versions else found


def load(project: Project, cell: Cell) -> dict[str, Variant]:
    """Return {name: variant} of a cell. Raises UserError that names the file and the fault."""
    folder = project.root / FOLDER / cell.task / cell.framework.name
    return {file.stem: _read(project, file) for file in sorted(folder.glob("*.toml"))}


def _read(project: Project, file: Path) -> Variant:
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
        return msgspec.convert(found, Variant)
    except (OSError, ValueError, RecursionError) as error:  # msgspec's and tomllib's are the second
        raise UserError(f"{project.relative(file)}: {error}") from None


def cell_of(cell: Cell, variant: Variant, name: str) -> Cell:
    """Return the cell that is executed for a variant: in an environment of its versions, if any."""
    if not variant.versions:
        return cell
    row, versions = cell.framework, variant.versions
    own = dataclasses.replace(
        row,
        name=f"{row.name}.{name}",
        environment=f"{row.environment}.{name}",  # one for the tasks that try the same versions
        python=versions.python or row.python,
        packages={"cpu": versions.packages},
    )
    return dataclasses.replace(cell, framework=own)


def notebook_of(cell: Cell) -> dict[str, Any]:
    """Return the JSON of a cell's notebook."""
    return dict(json.loads(cell.notebook.read_text(encoding="utf-8")))


def apply(notebook: Mapping[str, Any], variant: Variant, name: str) -> dict[str, Any]:
    """Return a notebook with a variant's texts in place of its own.

    Raises UserError for a text that is not there, as the notebook has changed since.
    """
    cells = [dict(cell) for cell in notebook["cells"]]
    for each in variant.replace:
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        having = [cell for cell in code if each.old in "".join(cell["source"])]
        if not having:
            first = each.old.strip().splitlines()[0]
            raise UserError(f"variant {name}: the notebook has no '{first}': mend the variant")
        for cell in having:
            cell["source"] = "".join(cell["source"]).replace(each.old, each.new)
    return {**notebook, "cells": cells}
