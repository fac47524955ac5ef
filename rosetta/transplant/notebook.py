"""The notebook that is executed for a target: its own cells up to the training step, then ours."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rosetta.errors import UserError
from rosetta.transplant.sources import Source

KERNEL = Path(__file__).with_name("kernel.py")
KEPT = ("setup", "parameters", "data", "model", "weights", "loss")


def derive(
    notebook: Mapping[str, Any], sources: Mapping[str, Source], layers: bool
) -> dict[str, Any]:
    """Return a notebook that loads the weights of each source into the network of this one.

    Raises UserError where it lacks a part.
    """
    cells = [each for each in notebook["cells"] if each["cell_type"] == "code"]
    kept = [_cell(each, _tags(each)) for each in cells if set(KEPT) & set(_tags(each))]
    declared = [_statement("".join(each["source"])) for each in cells if "check" in _tags(each)]
    check = next(filter(None, declared), None)
    if check is None:
        raise UserError("the notebook has no 'check = run.check(...)'")
    kept.append(_cell({"source": check}, ["check"]))
    inside = ["".join(each["source"]) for each in cells if "inside" in _tags(each)]
    kept += [_cell({"source": _functions(each)}, ["inside"]) for each in inside]
    files = {name: str(source.file) for name, source in sources.items()}
    # In a namespace of its own: what it imports must not take the place of the notebook's names.
    call = f"import runpy\n\nours = runpy.run_path({str(KERNEL)!r})\n"
    call += f'ours["transplant"](run, check, globals(), {files!r}, layers={layers})\n'
    kept.append(_cell({"source": call}, ["transplant"]))
    return {**notebook, "cells": kept}


def _tags(cell: Mapping[str, Any]) -> list[str]:
    return list(cell["metadata"].get("tags", []))


def _cell(cell: Mapping[str, Any], tags: list[str]) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": tags},
        "outputs": [],
        "source": cell["source"],
    }


def _statement(source: str) -> str | None:
    """Return the statement of a cell that declares the layout and the dialect, if it has it."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "check":
            return ast.get_source_segment(source, node)
    return None


def _functions(source: str) -> str:
    """Return the definitions and imports of a cell, without what it executes."""
    kinds = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    kept = [node for node in ast.parse(source).body if isinstance(node, kinds)]
    return "\n\n\n".join(ast.unparse(node) for node in kept)


def load(file: Path) -> dict[str, Any]:
    """Return a notebook's JSON."""
    return dict(json.loads(file.read_text(encoding="utf-8")))
