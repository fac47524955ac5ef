"""What makes an executed notebook fit to publish: no path, host or time of this machine in it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rosetta import registry
from rosetta.registry import Framework
from rosetta.results import keys
from rosetta.results.private import Cleaner, TooDeep
from rosetta.results.records import MEDIA_TYPE

Notebook = dict[str, Any]

KERNELSPEC = {"display_name": "Python 3", "name": "python3"}
# Cell metadata that holds times, and cells that papermill adds to say where it stopped.
TIMED = ("execution", "papermill")
ERROR_MARKER = "papermill-error-cell-tag"
INJECTED = "injected-parameters"

# What is kept of outputs, in characters, and in outputs of one cell. What is left out is said.
TEXT_LIMIT = 100_000  # of one text: its beginning and its end
PICTURE_LIMIT = 3_000_000  # of a picture, a page or a table: whole or not at all
NOTEBOOK_LIMIT = 10_000_000
OUTPUTS_LIMIT = 200


def normalise(notebook: Mapping[str, Any], clean: Cleaner) -> Notebook:
    """Return an executed notebook in which nothing differs but what its run made differ.

    Of outputs it keeps what a reader may want: see the limits above.
    """
    budget = Budget()
    cells = [
        _normal_cell(cell, index, lambda outputs: _outputs(outputs, clean, budget))
        for index, cell in enumerate(
            cell
            for cell in notebook["cells"]
            if ERROR_MARKER not in cell["metadata"].get("tags", [])
        )
    ]
    return {"cells": cells, "metadata": _metadata(KERNELSPEC), "nbformat": 4, "nbformat_minor": 5}


def with_outputs(
    source: Mapping[str, Any], executed: Mapping[str, Any], framework: Framework
) -> Notebook | None:
    """Return the notebook `source` with the outputs of its execution, or None if code differs.

    It names the kernel of the row whose outputs it shows.
    """
    if keys.code_of(source) != keys.code_of(executed):
        return None
    runs = (
        cell
        for cell in executed["cells"]
        if cell["cell_type"] == "code" and INJECTED not in cell["metadata"].get("tags", [])
    )
    cells, count = [], 0
    for index, cell in enumerate(source["cells"]):
        cell = _normal_cell(cell, index, lambda outputs: [])
        if cell["cell_type"] == "code":
            outputs = next(runs)["outputs"]
            count += 1
            cell.update(execution_count=count, outputs=[_numbered(each, count) for each in outputs])
        cells.append(cell)
    made = {"framework": framework.name, "source": keys.digest(keys.code_of(source))}
    metadata = {**_metadata(registry.kernel(framework)), "rosetta": made}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def emitted_record(notebook: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a notebook recorded: its last output of the project's media type."""
    found = None
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {}).get(MEDIA_TYPE)
            found = data if isinstance(data, dict) else found
    return found


def dumps(notebook: Notebook) -> str:
    """Return a notebook as the text of its file."""
    cells = [{**cell, "source": _lines(cell["source"])} for cell in notebook["cells"]]
    for cell in cells:
        if "outputs" in cell:
            cell["outputs"] = [_with_lines(output) for output in cell["outputs"]]
    whole = {**notebook, "cells": cells}
    return json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


# --- cells ------------------------------------------------------------------------------------


def _normal_cell(
    cell: Mapping[str, Any], index: int, made: Callable[[list[Any]], list[dict[str, Any]]]
) -> dict[str, Any]:
    """Return a cell as it is kept, with the outputs that are `made` of its own."""
    metadata = {
        key: value
        for key, value in cell["metadata"].items()
        if key not in TIMED and not (key == "tags" and not value)
    }
    injected = INJECTED in metadata.get("tags", [])
    name = INJECTED if injected else cell.get("id") or f"cell-{index:02d}"
    normal = {"id": name, **cell, "metadata": metadata}
    normal["id"] = name
    normal["source"] = "".join(cell["source"])
    if cell["cell_type"] == "code":
        normal["outputs"] = made(cell["outputs"])
    return normal


def _metadata(kernel: Mapping[str, str]) -> dict[str, Any]:
    return {"kernelspec": dict(kernel), "language_info": {"name": "python"}}


def _numbered(output: Mapping[str, Any], count: int) -> dict[str, Any]:
    return {**output, **({"execution_count": count} if "execution_count" in output else {})}


# --- outputs ----------------------------------------------------------------------------------


class TooLarge(ValueError):
    """A picture, a page or a table that is larger than what is kept of a notebook."""


class Budget:
    """How many characters may still be kept of a notebook's outputs."""

    def __init__(self) -> None:
        self.left = NOTEBOOK_LIMIT

    def text(self, text: str) -> str:
        """Return a text, or its beginning and end with a line that says how much is left out."""
        most = min(TEXT_LIMIT, self.left)
        out = len(text) - most
        if out > 0:
            head, tail = most // 2, most - most // 2
            end = text[len(text) - tail :]
            text = f"{text[:head]}\n[{out:,} characters are left out here]\n{end}"
        self.left = max(0, self.left - len(text))
        return text

    def take(self, size: int) -> None:
        """Count something of this size, which cannot be cut. Raises TooLarge."""
        if size > min(PICTURE_LIMIT, self.left):
            raise TooLarge(f"it has {size:,} characters")
        self.left -= size


def _outputs(outputs: Iterable[Any], clean: Cleaner, budget: Budget) -> list[dict[str, Any]]:
    merged = _merged(outputs)
    kept = [_clean_output(output, clean, budget) for output in merged[:OUTPUTS_LIMIT]]
    if len(merged) > OUTPUTS_LIMIT:
        kept.append(_said(f"{len(merged) - OUTPUTS_LIMIT:,} more outputs are left out"))
    return kept


def _said(words: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stderr", "text": f"[{words}]\n"}


def _merged(outputs: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the outputs with neighbouring pieces of one stream joined."""
    merged: list[dict[str, Any]] = []
    for stream, group in itertools.groupby(
        outputs, lambda each: each["name"] if each["output_type"] == "stream" else None
    ):
        pieces = [dict(each) for each in group]
        if stream is None:
            merged += pieces
        else:
            text = "".join("".join(piece["text"]) for piece in pieces)
            merged.append({**pieces[0], "text": text})
    return merged


def _clean_output(output: dict[str, Any], clean: Cleaner, budget: Budget) -> dict[str, Any]:
    if output["output_type"] == "stream":
        return {**output, "text": budget.text(clean(_overwritten(output["text"])))}
    if output["output_type"] == "error":
        return {
            **output,
            "ename": budget.text(clean(output["ename"])),
            "evalue": budget.text(clean(output["evalue"])),
            "traceback": [budget.text(clean(line)) for line in output["traceback"]],
        }
    data, out = {}, []
    for kind, value in output["data"].items():
        if kind == MEDIA_TYPE:  # the record has a file of its own; losses would fill the notebook
            continue
        try:
            data[kind] = _clean_data(kind, value, clean, budget)
        except (TooDeep, TooLarge) as reason:
            out.append(f"[{clean(kind)[:100]} is left out: {reason}]")
    if out:
        data["text/plain"] = "\n".join([data.get("text/plain", ""), *out]).strip()
    try:
        metadata = clean.json(output.get("metadata", {}))
    except TooDeep:
        metadata = {}
    return {**output, "data": data, "metadata": metadata}


def _clean_data(kind: str, value: Any, clean: Cleaner, budget: Budget) -> Any:
    """Return one representation of an output. Raises TooDeep or TooLarge where it is not kept."""
    if kind == "text/plain":
        return budget.text(clean(_joined(value)))
    cleaned = value if _is_binary(kind) else clean.json(value)
    budget.take(len(cleaned) if isinstance(cleaned, str) else len(json.dumps(cleaned)))
    return cleaned


def _joined(value: Any) -> str:
    """Return a text that may stand in lines, or be no text at all."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def _is_binary(media_type: str) -> bool:
    return media_type.startswith("image/") and media_type != "image/svg+xml"


def _overwritten(text: str) -> str:
    """Return what a terminal would show: a carriage return begins the line anew."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rpartition("\r")[2] for line in lines)


# --- the text of a file -----------------------------------------------------------------------


def _with_lines(output: Mapping[str, Any]) -> dict[str, Any]:
    """Return an output with its texts as lists of lines, as Jupyter writes them."""
    split = dict(output)
    if "text" in split:
        split["text"] = _lines(split["text"])
    if "data" in split:
        split["data"] = {
            kind: _lines(value) if isinstance(value, str) and not _is_binary(kind) else value
            for kind, value in split["data"].items()
        }
    return split


def _lines(text: str | list[str]) -> list[str]:
    return "".join(text).splitlines(keepends=True)
