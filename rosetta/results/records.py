"""The records: a JSON file per machine, profile, task and framework; tables are made of them."""

from __future__ import annotations

import json
import math
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rosetta import files
from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.results import proof, schema

SCHEMA = 1
LARGEST = 32_000_000  # bytes of a file that may be a record
MEDIA_TYPE = "application/vnd.rosetta.record+json"
# What stands in for data and weights that cannot be had, in words.
STAND_INS = {("data", "synthetic"): "synthetic data", ("weights", "random"): "random weights"}

Record = dict[str, Any]


class BrokenRecordError(UserError):
    """A file among the records that is none: names it, says why, and what to do."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(f"{file} is not a valid record ({why}): mend it, or delete it")
        self.file, self.why = file, why


def path(project: Project, machine: str, profile: str, task: str, framework: str) -> Path:
    """Return where the record of a cell is."""
    return project.results / machine / profile / task / f"{framework}.json"


def read(project: Project, file: Path) -> Record | None:
    """Return the record in `file`, or None where there is none. Raises BrokenRecordError."""
    found = content(project, file)
    if found is None:
        return None
    try:
        record = schema.read(found)
    except ValueError as error:
        raise BrokenRecordError(project.relative(file), str(error)) from None
    why = next(_contradictions(record, file), None)
    if why:
        raise BrokenRecordError(project.relative(file), why)
    return record


def content(project: Project, file: Path) -> bytes | None:
    """Return what a file below results/ holds, or None where there is none.

    Raises BrokenRecordError for what is no file, such as a pipe that would never end, or too large.
    """
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):
            raise BrokenRecordError(project.relative(file), "it is not a file")
        if about.st_size > LARGEST:
            raise BrokenRecordError(project.relative(file), "it is too large")
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BrokenRecordError(project.relative(file), str(error.strerror)) from None


def after(before: Record | None, new: Record) -> Record:
    """Return the record to keep after a run: a failure stands beside figures, replacing none."""
    if new["status"] == "ok" or before is None or before["status"] != "ok":
        return new
    last_try = {name: new[name] for name in ("status", "reason", "started")}
    return {**before, "last_try": last_try}


def read_all(project: Project, machine: str = "*") -> tuple[list[Record], list[BrokenRecordError]]:
    """Return the records, in the order of their paths, and what is wrong with the broken ones.

    Of all machines, or of one.
    """
    found, broken = [], []
    files_there = project.results.glob(f"{machine}/*/*/*.json")
    for file in sorted(files_there, key=lambda file: file.parts):
        try:
            record = read(project, file)
        except BrokenRecordError as error:
            broken.append(error)
        else:
            if record is not None:
                found.append(record)
    return found, broken


def last_try(record: Record) -> str | None:
    """Return why the last try to run a record anew has failed, in words, or None."""
    failure = record.get("last_try")
    return f"last try failed: {failure['reason']}" if failure else None


def stand_ins(found: Mapping[str, Any]) -> list[str]:
    """Return what stands in for the real, in words; `found` is a record, or {"data", "weights"}."""
    return [words for (name, value), words in STAND_INS.items() if found[name] == value]


def origins(record: Record) -> list[str]:
    """Return what a table says at a glance of where data and weights came from, in words."""
    kinds = {source["kind"] for source in sources(record).values()}
    return stand_ins(record) + (["from a mirror"] if "mirror" in kinds else [])


def sources(record: Record) -> dict[str, dict[str, Any]]:
    """Return where data and weights came from, as far as a record knows."""
    found = {name: record.get(f"{name}_source") for name in ("data", "weights")}
    return {name: source for name, source in found.items() if source}


def write(project: Project, record: Record) -> Path:
    """Write a record to its place, whole or not at all. Raises UserError when it cannot be."""
    file = path(
        project,
        record["machine"]["name"],
        record["profile"],
        record["task"],
        record["framework"],
    )
    write_text(project, file, dumps(record))
    return file


def dumps(record: Record) -> str:
    """Return a record as strict JSON, a list of numbers on one line."""
    text = json.dumps(_finite(record), indent=2, ensure_ascii=False, allow_nan=False)
    numbers = re.compile(r"\[\s+((?:-?[\d.eE+-]+|null)(?:,\s+(?:-?[\d.eE+-]+|null))*)\s+\]")
    return numbers.sub(lambda match: f"[{' '.join(match[1].split())}]", text) + "\n"


def write_text(project: Project, file: Path, text: str) -> None:
    """Write a file, whole or not at all. Raises UserError when it cannot be."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(file, text)
    except OSError as error:
        raise UserError(f"cannot write {project.relative(file)}: {error.strerror}") from None


def remove_temporary(project: Project) -> None:
    """Remove what killed writers left half-written."""
    folders = [folder for folder in project.results.glob("**/") if folder.is_dir()]
    written = [project.root, project.frameworks, project.state, *project.notebooks.glob("*/")]
    files.remove_left([*folders, *written, project.data / "reference"])


def _contradictions(record: Record, file: Path) -> Iterator[str]:
    """Yield what a record says that its own figures or its place belie."""
    if record["status"] == "ok":
        if not record["checks"]:
            yield "it holds no check"
        found = (proof.over(name, check) for name, check in record["checks"].items())
        yield from (why for why in found if why)
    place = (record["machine"]["name"], record["profile"], record["task"], record["framework"])
    if place != (*file.parts[-4:-1], file.stem):
        yield "it is not in the folder that its machine, profile and task name"


def _finite(value: Any) -> Any:
    """Return `value` with null for what JSON has no number for (a loss that is not a number)."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
