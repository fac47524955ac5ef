"""Files that are whole or not there, whoever else writes them and whatever ends the writer."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil

# Of a file's name, so that with what is added none is longer than a disk allows.
NAME_LENGTH = 60


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a file to write, which takes the place of `path` when the block ends well.

    Of several writers at one moment the last one wins, whole. Nothing is left where the block ends
    with an error.
    """
    temporary = beside(path)
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def beside(path: Path) -> Path:
    """Return a name beside `path` that no other writer has, and that `remove_left` knows."""
    return path.with_name(f".{path.name[:NAME_LENGTH]}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def remove_left(folders: Iterable[Path]) -> None:
    """Remove what writers that were killed have left in these folders."""
    for folder in folders:
        for left in folder.glob(".*.tmp"):
            writer = re.search(r"\.(\d+)-\w{8}\.tmp$", left.name)
            if not writer or psutil.pid_exists(int(writer[1])):
                continue
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    left.unlink()
