"""One execution of one notebook: a driver process, a wall-clock limit, and an outcome in words."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rosetta import processes
from rosetta.environments import kernels, variables
from rosetta.errors import MACHINE_ERRORS, UserError
from rosetta.project import Project, home
from rosetta.registry import Variable
from rosetta.results import publish
from rosetta.results.private import Cleaner, TooDeep
from rosetta.runs.load import Load

# Of the caller's surroundings, what must not reach a kernel.
LEFT_OUT = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONWARNINGS",
    "MPLBACKEND",
    "JUPYTER_PATH",
)
REASON_LENGTH = 400
LEAST_FREE = 100_000  # bytes: with less, nothing can be written
# What kernels say in every log, and lines in which one that dies may say why.
NO_REASON = re.compile(r"\[IPKernelApp\] WARNING|To connect another client|--existing |NOTE: When")
A_REASON = re.compile(
    r"error|fatal|abort|terminate|what\(\)|memory|assert|exception", re.IGNORECASE
)
FILES = "files"  # in the folder of a job: where a run may write; its weights.npz is kept


@dataclass(frozen=True)
class Job:
    """What to execute, and in which Python."""

    notebook: Path
    interpreter: Path
    prefix: Path  # sys.prefix of the interpreter, which the kernel is checked against
    parameters: Mapping[str, Any]
    variables: Mapping[str, Variable] = field(default_factory=dict)
    device: str = "cpu"
    timeout: float = 3600.0
    here: bool = False  # an interpreter of the user's, which does not know the repository
    log: Path | None = None  # what the driver and the kernel's process print past the notebook
    cores: tuple[int, ...] = ()  # the hardware threads that it is bound to; none: as the caller is


@dataclass(frozen=True)
class Outcome:
    """How it went. Times in seconds; `notebook` as far as it came, `emitted` what it recorded.

    `weights` is what the notebook saved as weights.npz, among the job files for the caller to move.
    """

    status: str
    reason: str | None
    notebook: publish.Notebook | None
    emitted: dict[str, Any] | None
    seconds: float
    cell_seconds: float
    sections: Mapping[str, float] = field(default_factory=dict)  # seconds of each, by its tag
    other_cores: float = 0.0  # that were busy with other work meanwhile, on average
    weights: Path | None = None
    replaced: tuple[str, ...] = ()  # what was not fit to publish, in words


def execute(project: Project, job: Job) -> Outcome:
    """Execute a notebook and return its outcome, whatever happened to it.

    Leaves no process behind, not even when it is interrupted.
    """
    with _job_folder(project) as folder:
        start, load = time.monotonic(), Load()
        try:
            result = _drive(project, job, folder)
        except OSError as error:
            if error.errno in MACHINE_ERRORS:
                raise
            result = {"status": "failed", "reason": f"could not start: {error}", "prefixes": []}
        seconds = time.monotonic() - start
        executed = _read_json(folder / "executed.ipynb")
        others = round(load.others(), 2)
        outcome = replace(_outcome(project, job, result, executed, seconds), other_cores=others)
        if outcome.status != "ok":
            _check_disk(folder, outcome.reason or "")
            return outcome
        return replace(outcome, weights=_saved_weights(folder))


def _check_disk(folder: Path, reason: str) -> None:
    """Raise UserError where it was the machine that failed, and not the notebook."""
    full = shutil.disk_usage(folder).free < LEAST_FREE
    if full or re.search(r"No space left on device|Disk quota exceeded", reason):
        raise UserError(MACHINE_ERRORS[errno.ENOSPC])


def _drive(project: Project, job: Job, folder: Path) -> dict[str, Any]:
    """Run the driver in `folder` to its end or to the limit; return its result."""
    _write_job(project, job, folder)
    mark = f"{processes.mark(project)}:{folder.name}"
    log = job.log or folder / "log.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        driver = subprocess.Popen(
            processes.command("rosetta.runs.driver", str(folder / "job.json")),
            cwd=folder,
            env=_surroundings(job, folder, mark),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,  # Ctrl-C is for the runner alone
        )
        try:
            driver.wait(job.timeout)
        except subprocess.TimeoutExpired:
            reason = f"exceeded the limit of {job.timeout:g} s"
            return {"status": "failed", "kind": "cell", "reason": reason, "prefixes": []}
        finally:
            processes.kill_tree(driver.pid, mark)
            driver.wait()
    last = _last_line(log)
    result = _read_json(folder / "result.json")
    if result is None:
        return {"status": "failed", "reason": _driver_died(driver.returncode, last), "prefixes": []}
    if last and (result["kind"] == "start" or (result["died"] and A_REASON.search(last))):
        result["reason"] += f": {last}"
    return result


def _write_job(project: Project, job: Job, folder: Path) -> None:
    kernel = folder / "jupyter" / "kernels" / "rosetta"
    kernel.mkdir(parents=True)
    (folder / FILES).mkdir()
    # The environments know the repository by a .pth file. The user's Python must be told, and one
    # that several checkouts share.
    told = [project.root] if job.here or project.shared else []
    specification = {
        "argv": kernels.command(job.interpreter, *told),
        "display_name": "Rosetta",
        "language": "python",
        "env": _kernel_variables(project, job, folder),
    }
    (kernel / "kernel.json").write_text(json.dumps(specification), encoding="utf-8")
    description = {
        "notebook": str(job.notebook),
        "output": str(folder / "executed.ipynb"),
        "result": str(folder / "result.json"),
        "prefix": str(job.prefix),
        "parameters": dict(job.parameters),
        "cwd": str(job.notebook.parent),
        "parent": os.getpid(),
        "cores": list(job.cores),
    }
    (folder / "job.json").write_text(json.dumps(description), encoding="utf-8")


def _kernel_variables(project: Project, job: Job, folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(job.interpreter.parent), os.environ.get("PATH", os.defpath)])
    own = variables.resolve(job.variables, job.device, os.environ, len(job.cores))
    found = {"PATH": path, **own, "ROSETTA_DATA": str(project.data)}
    found["ROSETTA_FILES"] = str(folder / FILES)
    if job.here and "PYTHONPATH" in os.environ:  # which is the user's, as that Python is
        found["PYTHONPATH"] = os.environ["PYTHONPATH"]
    # Jupyter takes ${NAME} in a kernelspec for a variable.
    return {name: value.replace("$", "$$") for name, value in found.items()}


def _surroundings(job: Job, folder: Path, mark: str) -> dict[str, str]:
    """Return the driver's environment variables; the kernel inherits them."""
    kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    if home() is None:  # which Jupyter and frameworks take for granted
        kept["HOME"] = str(folder)
    return {
        **kept,
        "JUPYTER_DATA_DIR": str(folder / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),  # the user's start-up files are not part of a run
        processes.VARIABLE: mark,
    }


@contextlib.contextmanager
def _job_folder(project: Project) -> Iterator[Path]:
    folder = project.state / "jobs" / uuid.uuid4().hex[:12]
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _saved_weights(folder: Path) -> Path | None:
    """Save the weights of a run from its folder, which goes; links and the like are no weights."""
    file, kept = folder / FILES / "weights.npz", folder.with_suffix(".npz")
    if file.is_symlink() or not file.is_file():
        return None
    return file.replace(kept)


def _outcome(
    project: Project,
    job: Job,
    result: dict[str, Any],
    executed: dict[str, Any] | None,
    seconds: float,
) -> Outcome:
    clean = Cleaner(project, [job.prefix, *result["prefixes"]])
    sections = _section_seconds(executed)
    status, reason = result["status"], result["reason"]
    notebook, emitted, step = None, None, None
    if executed is not None:
        notebook = publish.normalise(executed, clean)
        step = _last_step(executed)
        try:
            emitted = clean.json(publish.emitted_record(executed))
        except TooDeep as error:
            status, reason = "failed", reason or f"the notebook's record cannot be read: {error}"
    if status == "ok" and emitted is None:
        status, reason = "failed", "the notebook recorded nothing"
    elif reason and step and result.get("kind") == "cell":
        reason = f"{reason} (in {step})"
    return Outcome(
        status=status,
        reason=_in_short(project.sanitise(clean(reason))) if reason else None,
        notebook=notebook,
        emitted=emitted,
        seconds=round(seconds, 3),
        cell_seconds=round(sum(sections.values()), 3),
        sections=sections,
        replaced=tuple(sorted(clean.replaced)),
    )


def _section_seconds(executed: dict[str, Any] | None) -> dict[str, float]:
    """Return {tag: seconds} of the cells that were executed; "other" for those without one."""
    found: dict[str, float] = {}
    for cell in executed["cells"] if executed else []:
        seconds = cell["metadata"].get("papermill", {}).get("duration")
        if seconds and cell["cell_type"] == "code":
            injected = publish.INJECTED in cell["metadata"].get("tags", [])
            tag = "parameters" if injected else _tag(cell) or ""
            name = tag if re.fullmatch("[a-z]{1,30}", tag) else "other"
            found[name] = round(found.get(name, 0.0) + seconds, 3)
    return found


def _tag(cell: Mapping[str, Any]) -> str | None:
    """Return the section of a code cell, by its first tag."""
    tags = cell["metadata"].get("tags", [])
    return next((str(tag) for tag in tags if tag != publish.INJECTED), None)


def _last_step(executed: dict[str, Any]) -> str | None:
    """Return the tag of the last code cell that was begun, if it has one."""
    last = None
    for cell in executed["cells"]:
        begun = cell["metadata"].get("papermill", {}).get("start_time")
        if begun and cell["cell_type"] == "code":
            last = _tag(cell)
    return last


def _driver_died(code: int, last: str) -> str:
    how = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
    hint = "; out of memory?" if code == -9 else ""
    return f"the process that drives the notebook died ({how}{hint})" + (
        f": {last}" if last else ""
    )


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line and not NO_REASON.search(line)), "")


def _in_short(reason: str) -> str:
    reason = " ".join(re.sub(r"\x1b\[[\d;]*m", "", reason).split())
    return reason if len(reason) <= REASON_LENGTH else reason[: REASON_LENGTH - 1] + "…"


def _read_json(file: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return None
