"""What makes an executed notebook fit to publish: no path, host or time of this machine in it."""

from __future__ import annotations

import json
import re
import socket
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rosetta.project import Project, home
from rosetta.results import keys
from rosetta.results.records import MEDIA_TYPE

Notebook = dict[str, Any]
Clean = Callable[[str], str]

KERNELSPEC = {"display_name": "Python 3", "name": "python3"}
# Cell metadata that holds times, and cells that papermill adds to say where it stopped.
TIMED = ("execution", "papermill")
ERROR_MARKER = "papermill-error-cell-tag"
INJECTED = "injected-parameters"
# Folders that are the same on every machine say nothing about this one.
COMMON_FOLDERS = {Path("/"), Path("/usr"), Path("/usr/local"), Path("/opt"), Path("/tmp")}


def cleaner(project: Project, environments: Iterable[str | Path] = ()) -> Clean:
    """Return a function that makes the paths in a text relative to what the reader knows.

    The repository's become relative, those of `environments` (prefixes of interpreters) begin
    with "environment", those below the home folder with "~"; the host's name goes.
    """
    names = {project.root: "", Path(tempfile.gettempdir()): "tmp"}
    if own := home():
        names[own] = "~"
    for folder in map(Path, environments):
        if not folder.is_relative_to(project.root):
            names[folder] = "environment"
    pairs = {str(path): name for folder, name in names.items() for path in _spellings(folder)}
    paths = _path_pattern(pairs)
    host = socket.gethostname()
    host_name = re.compile(rf"\b{re.escape(host)}\b") if len(host) > 3 else None

    def replaced(match: re.Match[str]) -> str:
        name, slash = pairs[match["folder"]], match["slash"] or ""
        return name + slash if name else ("" if slash else ".")

    def clean(text: str) -> str:
        # A cell's warnings name it by a temporary file that does not exist.
        text = re.sub(r"[^\s'\"(]*ipykernel_\d+/\d+\.py", "cell", text)
        text = paths.sub(replaced, text)
        return host_name.sub("host", text) if host_name and host != "localhost" else text

    return clean


def clean_json(value: Any, clean: Clean) -> Any:
    """Return a JSON value with every text in it cleaned."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {key: clean_json(item, clean) for key, item in value.items()}
    if isinstance(value, list):
        return [clean_json(item, clean) for item in value]
    return value


def normalise(notebook: Mapping[str, Any], clean: Clean) -> Notebook:
    """Return an executed notebook in which nothing differs but what its run made differ."""
    cells = [
        _normal_cell(cell, index, clean)
        for index, cell in enumerate(
            cell
            for cell in notebook["cells"]
            if ERROR_MARKER not in cell["metadata"].get("tags", [])
        )
    ]
    return {"cells": cells, "metadata": _metadata(), "nbformat": 4, "nbformat_minor": 5}


def with_outputs(
    source: Mapping[str, Any], executed: Mapping[str, Any], framework: str
) -> Notebook | None:
    """Return the notebook `source` with the outputs of its execution, or None if code differs."""
    if keys.code_of(source) != keys.code_of(executed):
        return None
    runs = (
        cell
        for cell in executed["cells"]
        if cell["cell_type"] == "code" and INJECTED not in cell["metadata"].get("tags", [])
    )
    cells, count = [], 0
    for index, cell in enumerate(source["cells"]):
        cell = _normal_cell(cell, index, str)
        if cell["cell_type"] == "code":
            outputs = next(runs)["outputs"]
            count += 1
            cell.update(execution_count=count, outputs=[_numbered(each, count) for each in outputs])
        cells.append(cell)
    made = {"framework": framework, "source": keys.digest(keys.code_of(source))}
    metadata = {**_metadata(), "rosetta": made}
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


def _metadata() -> dict[str, Any]:
    return {"kernelspec": dict(KERNELSPEC), "language_info": {"name": "python"}}


def _normal_cell(cell: Mapping[str, Any], index: int, clean: Clean) -> dict[str, Any]:
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
        normal["outputs"] = [_clean_output(each, clean) for each in _merged(cell["outputs"])]
    return normal


def _merged(outputs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the outputs with neighbouring pieces of one stream joined."""
    merged: list[dict[str, Any]] = []
    for output in outputs:
        output = dict(output)
        if output["output_type"] == "stream":
            output["text"] = "".join(output["text"])
            last = merged[-1] if merged else {}
            if last.get("output_type") == "stream" and last["name"] == output["name"]:
                last["text"] += output["text"]
                continue
        merged.append(output)
    return merged


def _clean_output(output: dict[str, Any], clean: Clean) -> dict[str, Any]:
    if output["output_type"] == "stream":
        return {**output, "text": clean(_overwritten(output["text"]))}
    if output["output_type"] == "error":
        return {**output, **clean_json({k: output[k] for k in ("evalue", "traceback")}, clean)}
    data = {
        kind: value if _is_binary(kind) else clean_json(value, clean)
        for kind, value in output["data"].items()
        if kind != MEDIA_TYPE  # the record has a file of its own; losses would fill the notebook
    }
    return {**output, "data": data}


def _is_binary(media_type: str) -> bool:
    return media_type.startswith("image/") and media_type != "image/svg+xml"


def _overwritten(text: str) -> str:
    """Return what a terminal would show: a carriage return begins the line anew."""
    return re.sub(r"[^\n]*\r(?!\n)", "", text.replace("\r\n", "\n"))


def _numbered(output: Mapping[str, Any], count: int) -> dict[str, Any]:
    return {**output, **({"execution_count": count} if "execution_count" in output else {})}


def _spellings(folder: Path) -> set[Path]:
    """Return a folder as it is named and as it is, without what every machine has."""
    return {folder.absolute(), folder.resolve()} - COMMON_FOLDERS


def _path_pattern(pairs: Mapping[str, str]) -> re.Pattern[str]:
    longest_first = sorted(pairs, key=len, reverse=True)
    folders = "|".join(map(re.escape, longest_first))
    return re.compile(rf"(?<![\w.~-])(?P<folder>{folders})(?:(?P<slash>/)|(?![\w.-]))")
