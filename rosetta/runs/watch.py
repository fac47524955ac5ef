"""Nothing that a command starts outlives it: python -m rosetta.runs.watch MARK [ROOT].

What a command starts is marked. A second process waits for the command to end and then ends all
that is marked, so that nothing goes on even when the command is killed and cannot do it itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from rosetta import processes
from rosetta.project import Project
from rosetta.results import records

POLL_SECONDS = 0.5


@contextlib.contextmanager
def watched(project: Project, clear: bool = True) -> Iterator[None]:
    """Mark what this process starts, and let none of it outlive the block or this process.

    Where this process is killed, its files are removed too, unless another one does it (`clear`).
    """
    mark = processes.mark(project)
    before = os.environ.get(processes.VARIABLE)
    watchdog = _start([mark, str(project.root)] if clear else [mark])
    os.environ[processes.VARIABLE] = mark
    try:
        yield
    finally:
        os.environ.pop(processes.VARIABLE)
        if before is not None:
            os.environ[processes.VARIABLE] = before
        processes.kill_marked(mark)
        watchdog.kill()
        watchdog.wait()


def lock(project: Project) -> FileLock:
    """Return the lock of the one run that may go on in a repository."""
    return FileLock(project.state / "run.lock", timeout=0)


def clear(project: Project) -> None:
    """Remove what a killed run has left. The lock must be held."""
    processes.kill_orphans(project)
    records.remove_temporary(project)
    shutil.rmtree(project.state / "jobs", ignore_errors=True)


def _start(arguments: list[str]) -> subprocess.Popen[bytes]:
    # Without a mark, and in a session of its own: what ends the command does not end it.
    kept = {name: value for name, value in os.environ.items() if name != processes.VARIABLE}
    return subprocess.Popen(
        processes.command(__name__, *arguments),
        env=kept,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def main() -> None:
    mark, roots = sys.argv[1], sys.argv[2:]
    while processes.runner_lives(mark):
        time.sleep(POLL_SECONDS)
    processes.kill_marked(mark)
    for project in map(Project, map(Path, roots)):
        with contextlib.suppress(OSError, Timeout), lock(project):  # a new run clears by itself
            clear(project)


if __name__ == "__main__":
    main()
