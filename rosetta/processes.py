"""Whose processes are whose: a mark in the environment of each, so that none is left behind.

A kernel lives in a session of its own and outlives a runner that was killed. It still carries
ROSETTA_RUN=<repository>:<process id of the runner>:<when that started>, and so is found again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from rosetta.project import Project

VARIABLE = "ROSETTA_RUN"
DEATH_SECONDS = 10.0


def mark(project: Project) -> str:
    """Return the mark of what this process starts."""
    return f"{_repository(project)}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this repository in this Python.

    Not by PYTHONPATH, which cannot name a folder with a ":" in its name.
    """
    code = "import runpy, sys; sys.path[0] = sys.argv.pop(1); name = sys.argv.pop(1); "
    code += "runpy.run_module(name, run_name='__main__', alter_sys=True)"
    root = str(Path(__file__).parents[1])
    return [sys.executable, "-c", code, root, module, *arguments]


def kill_orphans(project: Project) -> int:
    """Kill what a dead runner of this repository left behind; return how many processes."""
    orphans = [
        process
        for process, found in _marked()
        if found.startswith(f"{_repository(project)}:") and not runner_lives(found)
    ]
    return _kill(orphans)


def kill_tree(process_id: int, mark: str) -> None:
    """Kill a process, all below it, and whatever of its mark has cut itself loose."""
    processes: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(process_id)
        processes = [top, *top.children(recursive=True)]
    _kill(processes)
    kill_marked(mark)


def kill_marked(mark: str) -> None:
    """Kill every process with this mark, or one that begins so, but never the caller."""
    _kill([process for process, found in _marked() if f"{found}:".startswith(f"{mark}:")])


def _repository(project: Project) -> str:
    return hashlib.sha256(str(project.root).encode()).hexdigest()[:12]


def _marked() -> Iterator[tuple[psutil.Process, str]]:
    """Yield the processes with a mark, without the caller and what it runs in."""
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with contextlib.suppress(psutil.Error, OSError):
            found = process.environ().get(VARIABLE)
            if found:
                yield process, found


def runner_lives(found: str) -> bool:
    """Say whether the process lives that a mark is of."""
    try:
        process_id, started = found.split(":")[1:3]
        runner = psutil.Process(int(process_id))
        return abs(runner.create_time() - float(started)) < 1 and _lives(runner)
    except (ValueError, psutil.NoSuchProcess):
        return False


def _kill(processes: list[psutil.Process]) -> int:
    killed = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.kill()
            killed.append(process)
    deadline = time.monotonic() + DEATH_SECONDS
    while any(map(_lives, killed)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return len(killed)


def _lives(process: psutil.Process) -> bool:
    """Say whether a process still does something: a dead one may wait long for its parent."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
