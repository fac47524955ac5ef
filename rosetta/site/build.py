"""Builds the pages into a folder, whole or not at all, and only when what they show has changed."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta import files
from rosetta.errors import UserError
from rosetta.project import Project

if TYPE_CHECKING:
    from rosetta.site.pages import Site

HERE = Path(__file__).parent
# Says what a folder was built from, and that it is ours to replace.
MARKER = "inputs.sha256"
ATTEMPTS = 3  # while records are written
SOURCES = (
    "common/*.py",
    "frameworks/*",
    "notebooks/*/*.ipynb",
    "results/*/*/*/*",
    "pyproject.toml",
)


def build(project: Project, folder: Path, say: Callable[[str], None]) -> None:
    """Build the site in `folder`. Raises UserError where the folder holds something else."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{project.relative(folder)} is a file: choose an empty folder")
    with _alone(project):
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(FileNotFoundError):  # a run replaces what is being read
                _build(project, folder, say)
                return
        _build(project, folder, say)


def _build(project: Project, folder: Path, say: Callable[[str], None]) -> None:
    began = time.monotonic()
    marker = folder / MARKER
    if folder.exists() and not marker.is_file() and any(folder.iterdir()):
        raise UserError(f"{project.relative(folder)}/ holds other files: choose an empty folder")
    inputs = fingerprint(project)
    shown = project.relative(folder / "index.html")
    if marker.is_file() and marker.read_text(encoding="utf-8").split()[0] == inputs:
        say(f"{shown}: nothing has changed")
        return
    # Only now: the renderers take longer to import than it takes to see that nothing changed.
    from rosetta.site.pages import Site

    site = Site(project)
    _write(site, folder, inputs)
    for warning in site.warnings:
        say(warning)
    seconds = time.monotonic() - began
    say(f"{shown}: {len(site.notebooks)} notebooks, {len(site.records)} records, {seconds:.1f} s")


def fingerprint(project: Project) -> str:
    """Return the hash of everything that the pages are made of, this program included."""
    found = hashlib.sha256()
    for file in _inputs(project):
        found.update(f"{file.name}\0{file.parent.name}\0".encode())
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def _inputs(project: Project) -> Iterator[Path]:
    for pattern in SOURCES:
        yield from sorted(
            file
            for file in project.root.glob(pattern)
            # Neither what is being written now nor weights, which no page shows.
            if file.is_file() and not file.name.startswith(".") and file.suffix != ".npz"
        )
    program = HERE.parent.rglob("*")
    yield from sorted(file for file in program if file.is_file() and file.suffix != ".pyc")


def _write(site: Site, folder: Path, inputs: str) -> None:
    """Write all files to a folder beside the old one, then exchange the two."""
    files.remove_left([folder.parent])
    new, old = files.beside(folder), files.beside(folder)
    try:
        new.mkdir(parents=True)
        site.write(new)
        (new / MARKER).write_text(f"{inputs}\n", encoding="utf-8")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _alone(project: Project) -> Iterator[None]:
    """Wait until no other process builds the pages."""
    from filelock import FileLock

    project.state.mkdir(parents=True, exist_ok=True)
    with FileLock(project.state / "site.lock"):
        yield
