"""The repository's own rows and notebooks, run with results of their own."""

import os
import subprocess
import sys
from pathlib import Path

from rosetta.project import Project

ROOT = Path(__file__).resolve().parents[1]


def run_all(*arguments: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Call run_all.py on the repository, or on a project that links to its parts."""
    command = [sys.executable, str(ROOT / "run_all.py"), *arguments]
    environment = {**os.environ, "ROSETTA_ROOT": str(root)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def linked(folder: Path, *names: str) -> Project:
    """Return a project in `folder` that links to these parts of the repository."""
    (ROOT / ".envs").mkdir(exist_ok=True)
    for name in (*names, "frameworks", "common", "data", ".envs"):
        (folder / name).symlink_to(ROOT / name)
    return Project(folder)
