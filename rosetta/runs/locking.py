"""One run at a time in a repository, and a signal that ends it as Ctrl-C does."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator

from filelock import FileLock, Timeout

from rosetta import processes
from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.results import records


@contextlib.contextmanager
def alone(project: Project) -> Iterator[None]:
    """Hold the project's lock, clear away what a killed runner left, and mark what is started."""
    try:
        project.state.mkdir(parents=True, exist_ok=True)
        lock = FileLock(project.state / "run.lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise UserError(
            "another run is going on in this repository: wait for it, or stop it"
        ) from None
    except OSError as error:
        raise UserError(f"cannot write to the repository: {error.strerror}") from None
    before = os.environ.get(processes.VARIABLE)
    try:
        processes.kill_orphans(project)
        records.remove_temporary(project)
        shutil.rmtree(project.state / "jobs", ignore_errors=True)
        os.environ[processes.VARIABLE] = processes.mark(project)
        yield
    finally:
        os.environ.pop(processes.VARIABLE)
        if before is not None:
            os.environ[processes.VARIABLE] = before
        lock.release()


@contextlib.contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
