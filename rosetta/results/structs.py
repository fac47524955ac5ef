"""What stands beside the records: files of one structure each, read with the same care."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from rosetta.files import write_text
from rosetta.project import Project
from rosetta.results.records import BrokenRecordError, content

Kind = TypeVar("Kind", bound=msgspec.Struct)


def read(project: Project, file: Path, kind: type[Kind]) -> Kind | None:
    """Return what a file holds, or None where there is none. Raises BrokenRecordError."""
    found = content(project, file)
    if found is None:
        return None
    try:
        return msgspec.json.decode(found, type=kind)
    except (ValueError, RecursionError) as error:
        raise BrokenRecordError(project.relative(file), str(error)) from None


def write(file: Path, struct: msgspec.Struct) -> None:
    """Write a file, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(struct, order="sorted"), indent=1)
    write_text(file, text.decode() + "\n")
