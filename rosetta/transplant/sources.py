"""The weights that rows have trained on this machine."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.weights import SPECS
from rosetta.project import Project
from rosetta.results import records

# Of several runs of a row the fullest one counts; smoke only where it is asked for.
PROFILES = ("full", "quick")
NEVER = "it has not trained here"


@dataclass(frozen=True)
class Source:
    """The trained weights of a row: their file, the profile of the run, and their hash."""

    row: str
    file: Path
    profile: str
    sha256: str


def find(
    project: Project, machine: str, task: str, rows: Iterable[str], profile: str | None
) -> tuple[dict[str, Source], dict[str, str]]:
    """Return {row: its trained weights} of the runs on this machine, and {row: why it has none}."""
    found: dict[str, Source] = {}
    missing: dict[str, str] = {}
    for row in rows:
        tried = [
            _of_run(project, machine, each, task, row)
            for each in ((profile,) if profile else PROFILES)
        ]
        here = [each for each in tried if isinstance(each, Source)]
        if here:
            found[row] = here[0]
        else:
            reasons = [each for each in tried if isinstance(each, str)]
            missing[row] = next((each for each in reasons if each != NEVER), NEVER)
    return found, missing


def _of_run(project: Project, machine: str, profile: str, task: str, row: str) -> Source | str:
    """Return the weights that a run has trained, or why there are none."""
    record = records.read(project, records.path(project, machine, profile, task, row))
    if record is None or record["status"] != "ok" or not record.get("trains", True):
        return NEVER
    file = records.path(project, machine, profile, task, row).with_suffix(".npz")
    if not file.is_file():
        return "its trained weights are not here: run it again with --force"
    if _digest(file, task) != record.get("trained_weights_sha256"):
        name = project.relative(file)
        return f"{name} is not what its record says: run it again with --force"
    return Source(row, file, profile, str(record["trained_weights_sha256"]))


def _digest(file: Path, task: str) -> str | None:
    """Return the SHA-256 of trained weights, as a run makes it; None of a file that holds none."""
    digest = hashlib.sha256()
    try:
        with np.load(file, allow_pickle=False) as stored:
            for name in SPECS[task]:
                digest.update(np.ascontiguousarray(stored[name]).data)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return digest.hexdigest()
