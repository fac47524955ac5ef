"""What a Dask worker does for a run: unpack the checkout, let it answer one question, clear up.

Travels as source text, so that the worker need not have it, nor the client's version of Python: it
uses nothing but the standard library of Python 3.11 and Dask's own.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

# What an answer may consist of, and the question; see rosetta/runs/remote.py.
QUESTION, ANSWER = "question.json", ("answer.json", "record.json", "executed.json", "weights.npz")
POLL_SECONDS = 0.1
# What the checkout's process has for ending its kernel, once it is told to stop.
STOP_SECONDS = 20.0
# Of the worker's surroundings, what would make the checkout's process another one.
LEFT_OUT = ("PYTHONPATH", "PYTHONHOME", "ROSETTA_ROOT", "ROSETTA_RUN", "ROSETTA_STATE")


def perform(package: bytes, name: str, question: dict[str, Any]) -> dict[str, bytes]:
    """Return the files with which the checkout `name`, packed in `package`, answers a question.

    What the host of this worker is to blame for comes back as {"fault": why}, in UTF-8.
    """
    work = Path(os.environ.get("ROSETTA_WORK") or "~/.cache/rosetta").expanduser().absolute()
    folder = work / "jobs" / uuid.uuid4().hex[:12]
    try:
        checkout = _unpack(package, work / "checkouts" / name)
        folder.mkdir(parents=True)
        (folder / QUESTION).write_text(json.dumps(question), encoding="utf-8")
        return _ask(checkout, folder, work)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full: make room there" if full else str(error.strerror or error)
        return {"fault": f"{error.filename or work}: {why}".encode()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(package: bytes, checkout: Path) -> Path:
    """Unpack the checkout unless it is there; raise OSError where what is there was changed."""
    with zipfile.ZipFile(BytesIO(package)) as archive:
        if not checkout.is_dir():
            temporary = checkout.with_name(f".{checkout.name}-{uuid.uuid4().hex[:8]}")
            try:
                archive.extractall(temporary)
                temporary.rename(checkout)
            except OSError as error:
                if not (checkout.is_dir() and error.errno in (errno.EEXIST, errno.ENOTEMPTY)):
                    raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        for each in archive.infolist():
            file = checkout / each.filename
            if not file.is_file() or zlib.crc32(file.read_bytes()) != each.CRC:
                why = f"{each.filename} in it was changed: remove the folder"
                raise OSError(errno.ESTALE, why, str(checkout))
    return checkout


def _ask(checkout: Path, folder: Path, work: Path) -> dict[str, bytes]:
    """Let the checkout answer the question in `folder`; end it when nobody waits any longer."""
    wanted = _wanted()
    log = folder / "log.txt"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, str(checkout / "run_all.py"), "answer", str(folder)],
            cwd=checkout,
            # Workers of a host share the checkout, and may not share what is cleared after a run.
            env={**_surroundings(work), "ROSETTA_STATE": str(folder)},
            # Never written to: that it ends tells the process that this worker is no more.
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        try:
            while process.poll() is None and wanted():
                time.sleep(POLL_SECONDS)
        finally:
            _stop(process)
    if process.returncode:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
        last = next((line for line in reversed(lines) if line), "")
        why = last.removeprefix("run_all.py: ") or f"exit code {process.returncode}"
        return {"fault": why.encode()}
    files = {name: folder / name for name in ANSWER}
    return {name: file.read_bytes() for name, file in files.items() if file.is_file()}


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wanted() -> Callable[[], bool]:
    """Return what says whether the client still waits for the task that this thread performs."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        there = worker.status.name in ("running", "paused")  # not where the scheduler was lost
        return there and task is not None and task.state != "cancelled"

    return wanted


def _surroundings(work: Path) -> dict[str, str]:
    """Return the variables of the checkout's process, without what Dask's nanny has set.

    It gives workers one thread each for their matrix products, which is not what is measured.
    """
    import dask
    from distributed import get_worker

    kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    if get_worker().nanny is not None:
        set_by_nanny = dask.config.get("distributed.nanny.pre-spawn-environ", {})
        for name, value in {**set_by_nanny, "PYTHONHASHSEED": "6640"}.items():
            if kept.get(name) == str(value):
                del kept[name]
    return {**kept, "ROSETTA_WORK": str(work)}
