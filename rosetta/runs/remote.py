"""The answer of a checkout that has travelled to a worker: what this machine is, or what came out
of one cell on it. `python run_all.py answer FOLDER` is started by rosetta/runs/worker.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from rosetta.data import datasets
from rosetta.errors import Unavailable
from rosetta.options import Options
from rosetta.project import Project
from rosetta.results import records
from rosetta.runs import cell, machine
from rosetta.runs.states import Look, Setting, make_setting, select
from rosetta.runs.watch import watched


def answer(project: Project, folder: Path) -> None:
    """Answer the question in `folder` with files beside it."""
    question = json.loads((folder / "question.json").read_text(encoding="utf-8"))
    options = _options(question["options"])
    with _no_longer_than_the_worker(folder), watched(project, clear=False):
        if question["ask"] == "describe":
            found = _describe(project, options)
        else:
            found = _execute(project, options, folder, question["measure"])
    (folder / "answer.json").write_text(json.dumps(found), encoding="utf-8")


def _options(chosen: Mapping[str, Any]) -> Options:
    """Return options as they were before they became JSON."""
    lists = {name: tuple(value) for name, value in chosen.items() if isinstance(value, list)}
    python = Path(chosen["python"]) if chosen["python"] else None
    return Options(**{**chosen, **lists, "python": python})


def _describe(project: Project, options: Options) -> dict[str, Any]:
    """Return what this machine is, and what data it has for the tasks, null where not yet."""
    cells = select(project, options)
    setting = make_setting(project, options, [each.framework for each in cells])
    return {
        "host": socket.gethostname(),
        "folder": str(project.shared),
        "device": setting.device,
        "machine": setting.machine,
        "here": setting.here.found if setting.here else None,
        "data": Look(project, setting).data(each.task for each in cells),
    }


def _execute(project: Project, options: Options, folder: Path, measure: bool) -> dict[str, Any]:
    """Execute one cell; write its record and its notebook, return what was measured beside it."""
    (one,) = select(project, options)
    setting = make_setting(project, options, [one.framework])
    data = datasets.ensure(project, [one.task], options.mirror, print)[one.task]
    look = Look(project, setting)
    python = cell.pythons(project, setting, [one.framework], print)[one.framework.name]
    measured = None
    if isinstance(python, Unavailable):
        done = cell.unavailable(look, one, data, python)
    else:
        with _lease(project, setting):
            if measure:
                measured = machine.matmul_gflops()
            done = cell.execute(look, one, data, python)
    (folder / "record.json").write_text(records.dumps(done.record), encoding="utf-8")
    if done.weights is not None:
        shutil.move(done.weights, folder / "weights.npz")
    if done.notebook is not None:
        (folder / "executed.json").write_text(json.dumps(done.notebook), encoding="utf-8")
    return {"matmul_gflops": measured, "replaced": done.replaced}


@contextlib.contextmanager
def _lease(project: Project, setting: Setting) -> Iterator[None]:
    """Hold this worker's device alone, even where two workers of a host were given the same."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES") if setting.device == "gpu" else None
    device = hashlib.sha256(json.dumps([setting.device, gpus, cores]).encode()).hexdigest()[:12]
    with FileLock(project.locks / f"device-{device}.lock"):
        yield


@contextlib.contextmanager
def _no_longer_than_the_worker(folder: Path) -> Iterator[None]:
    """End this process as Ctrl-C does when the worker closes its end of standard input, or dies."""
    over = threading.Event()

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)  # a dead worker does not
        raise
    finally:
        over.set()
