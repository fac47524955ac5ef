"""The line in a notebook's title that says what one will see: time and accuracy, from records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rosetta.project import Project
from rosetta.registry import Cell
from rosetta.results import columns
from rosetta.results.markdown import plain
from rosetta.results.records import Record, write_text

MARK = "<!-- from the records -->"


def update(project: Project, cells: Iterable[Cell], found: Sequence[Record]) -> bool:
    """Write the line of every notebook; return whether one has changed.

    found: the records that its present code has made.
    """
    by_notebook: dict[Any, list[Cell]] = {}
    for cell in cells:
        by_notebook.setdefault(cell.notebook, []).append(cell)
    changed = False
    for file, rows in by_notebook.items():
        lines = [line for cell in rows for line in [sentence(cell, found)] if line]
        try:
            notebook = json.loads(file.read_text(encoding="utf-8"))
            new = with_line(notebook, "  \n".join(lines))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue  # a notebook that is none: the run says so
        if new != notebook:
            text = json.dumps(new, indent=1, ensure_ascii=False) + "\n"
            write_text(project, file, text)
            changed = True
    return changed


def with_line(notebook: Mapping[str, Any], line: str) -> dict[str, Any]:
    """Return the notebook with `line` behind the mark at the end of its title, "" for none."""
    title, *rest = notebook["cells"]
    source = "".join(title["source"])
    if MARK in source or line:
        text = source.partition(MARK)[0].rstrip()
        source = f"{text}\n\n{MARK}\n{line}" if line else text
    return {**notebook, "cells": [{**title, "source": source.splitlines(keepends=True)}, *rest]}


def sentence(cell: Cell, found: Sequence[Record]) -> str:
    """Return what a row's runs of a task took and reached on the newest machine, or ""."""
    good = [
        record
        for record in found
        if record["status"] == "ok"
        and record["data"] == "real"
        and (record["task"], record["framework"]) == (cell.task, cell.framework.name)
    ]
    parts = []
    for profile in ("quick", "full"):
        runs = [record for record in good if record["profile"] == profile]
        if runs:
            parts.append(_of_run(max(runs, key=lambda record: str(record["started"]))))
    if not parts:
        return ""
    return f"**What you will see** with {plain(cell.framework.title)}: {'; '.join(parts)}."


def _of_run(record: Record) -> str:
    """Return what one run took, and what it reached after the whole training."""
    seconds = record.get("run", {}).get("seconds")
    text = f"profile `{record['profile']}`"
    if isinstance(seconds, int | float):
        text += f" takes {duration(seconds)}"
    text += f" on {plain(columns.machine_title(record['machine']))}"
    accuracy = record["metrics"].get("accuracy")
    if record["profile"] == "full" and isinstance(accuracy, int | float):
        text += f" and reaches {100 * accuracy:.1f} %"
    return text


def duration(seconds: float) -> str:
    """Return a time as a reader says it: 47 s, 23 min, 1.4 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
