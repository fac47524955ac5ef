"""One run at a time in a repository."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from filelock import Timeout

from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.runs import watch


@contextlib.contextmanager
def alone(project: Project) -> Iterator[None]:
    """Hold the project's lock, clear away what a killed run left, and watch what is started."""
    try:
        project.state.mkdir(parents=True, exist_ok=True)
        lock = watch.lock(project)
        lock.acquire()
    except Timeout:
        raise UserError(
            "another run is going on in this repository: wait for it, or stop it"
        ) from None
    except OSError as error:
        raise UserError(f"cannot write to the repository: {error.strerror}") from None
    try:
        watch.clear(project)
        with watch.watched(project):
            yield
    finally:
        lock.release()
