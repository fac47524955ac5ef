"""The environments of the kernels: a Python with exact packages for each row, built by uv."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta import processes
from rosetta.environments import interpreters, lock, uv
from rosetta.errors import Unavailable
from rosetta.project import Project
from rosetta.registry import Framework

if TYPE_CHECKING:
    from filelock import FileLock

Log = Callable[[str], None]

STAMP = "rosetta-stamp.json"
COST = "rosetta-cost.json"  # what the building took, beside the stamp
# Gigabytes of an environment whose row does not say: a typical one, and one with CUDA libraries.
TYPICAL_GIGABYTES = {"cpu": 1.0, "gpu": 6.0}
WORKERS = 3  # builds side by side: they wait for the network most of the time


def folder(project: Project, framework: Framework, device: str) -> Path:
    """Return the folder of a row's environment; rows that share one have the same.

    Among checkouts that share their environments, it is named after what it is made of as well.
    """
    name = framework.environment + ("-gpu" if device == "gpu" else "")
    if project.shared:
        stamp = json.dumps(_stamp(project, framework, device))
        name += f"-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    return project.environments / name


def interpreter(environment: Path) -> Path:
    """Return the Python inside an environment's folder."""
    if os.name == "nt":
        return environment / "Scripts" / "python.exe"
    return environment / "bin" / "python"


def is_ready(project: Project, framework: Framework, device: str) -> bool:
    """Say whether the environment is there and up to date. Starts no process."""
    environment = folder(project, framework, device)
    try:
        stamp = json.loads((environment / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    # A link to an interpreter that was since removed does not exist either.
    return stamp == _stamp(project, framework, device) and interpreter(environment).exists()


def cost(project: Project, framework: Framework, device: str) -> dict[str, int]:
    """Return {build_seconds, bytes} of a row's environment; of one that is not told, nothing."""
    try:
        text = (folder(project, framework, device) / COST).read_text(encoding="utf-8")
        return {name: int(json.loads(text)[name]) for name in ("build_seconds", "bytes")}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def ensure(project: Project, framework: Framework, device: str, log: Log) -> Path:
    """Return the interpreter of a row's environment, built first where it is not ready.

    Raises Unavailable with the reason where it cannot be built.
    """
    from filelock import FileLock

    environment = folder(project, framework, device)
    if not framework.packages.get(device):
        raise Unavailable(f"{framework.title} has no build for a GPU here: use --device cpu")
    if not is_ready(project, framework, device):
        project.logs.mkdir(parents=True, exist_ok=True)
        project.locks.mkdir(parents=True, exist_ok=True)
        with _held(FileLock(project.locks / f"env-{environment.name}.lock")):
            if not is_ready(project, framework, device):
                _build(project, framework, device, log)
    return interpreter(environment)


@contextlib.contextmanager
def _held(lock: FileLock) -> Iterator[None]:
    """Hold a lock, waiting for it no longer than until Ctrl-C."""
    from filelock import Timeout

    while True:
        if _stopped.is_set():
            raise Unavailable("its environment was not built: interrupted")
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            continue
    try:
        yield
    finally:
        lock.release()


def ensure_many(
    project: Project, frameworks: Iterable[Framework], device: str, log: Log
) -> dict[str, Path | Unavailable]:
    """Return the interpreter of every row by name, or why it has none; builds side by side."""
    frameworks = list(frameworks)
    first = {framework.environment: framework for framework in frameworks}

    def attempt(framework: Framework) -> Path | Unavailable:
        try:
            return ensure(project, framework, device, log)
        except Unavailable as reason:
            return reason

    if all(is_ready(project, framework, device) for framework in first.values()):
        built = {name: attempt(framework) for name, framework in first.items()}
    else:
        _stopped.clear()
        with ThreadPoolExecutor(WORKERS) as pool:
            try:
                built = dict(zip(first, pool.map(attempt, first.values()), strict=True))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                _stop_all()
                raise
    return {framework.name: built[framework.environment] for framework in frameworks}


def plan(project: Project, frameworks: Iterable[Framework], device: str) -> list[str]:
    """Return a line for each environment that has yet to be built: its Python and its size."""
    lines = {}
    for framework in frameworks:
        if framework.packages.get(device) and not is_ready(project, framework, device):
            lines[framework.environment] = (
                f"{folder(project, framework, device).name}: Python {framework.python}, "
                f"{', '.join(framework.packages[device])}, about {_gigabytes(framework, device)} GB"
            )
    return list(lines.values())


# --- building ---------------------------------------------------------------------------------


def _build(project: Project, framework: Framework, device: str, log: Log) -> None:
    environment = folder(project, framework, device)
    name = environment.name
    processes.kill_orphans(project)  # a build whose runner was killed may still go on
    _check_space(project, framework, device)
    python = interpreters.find_python(framework.python, log, project.environments)
    start = time.monotonic()
    log(f"{name}: building (Python {framework.python}, {', '.join(framework.packages[device])})")
    shutil.rmtree(environment, ignore_errors=True)  # outdated, or half-made by a killed run
    output = project.logs / f"env-{name}.log"
    output.write_text("", encoding="utf-8")
    _run(project, [uv.executable(), "venv", "--python", str(python), str(environment)], output)
    _install(project, framework, device, output, log)
    packages = _packages_folder(environment)
    if not project.shared:  # a shared one is told by PYTHONPATH whose common/ it is to import
        # Relative, which Python allows: it stays right when the repository is moved.
        line = os.path.relpath(project.root, packages)
        (packages / "rosetta.pth").write_text(line + "\n", encoding="utf-8")
    if not _uv_compiles(framework):
        _compile(environment, packages)
    for script in framework.build:
        path = str(project.frameworks / script)
        _run(project, [str(interpreter(environment)), path], output)
    took = {"build_seconds": round(time.monotonic() - start), "bytes": _bytes(environment)}
    (environment / COST).write_text(json.dumps(took), encoding="utf-8")
    stamp = json.dumps(_stamp(project, framework, device), indent=1)
    (environment / STAMP).write_text(stamp, encoding="utf-8")  # last: this makes it ready
    log(f"{name}: ready")


def _install(project: Project, framework: Framework, device: str, output: Path, log: Log) -> None:
    python = interpreter(folder(project, framework, device))
    command = [uv.executable(), "pip", "install", "--python", str(python)]
    command += ["--compile-bytecode"] if _uv_compiles(framework) else []
    command += lock.requirements(framework, device)
    if lock.file(project, framework).is_file():
        # For the building of source packages too: an old setup.py needs the setuptools of its time.
        lock_file = str(lock.file(project, framework))
        command += ["-c", lock_file, "--build-constraints", lock_file]
    if not _wants_cpu_torch(framework, device):
        _run(project, command, output)
        return
    try:
        _run(project, [*command, "--torch-backend", "cpu"], output)
    except Unavailable:
        log(f"{framework.environment}: no CPU build of torch to be had, taking the default one")
        _run(project, command, output)


def _wants_cpu_torch(framework: Framework, device: str) -> bool:
    """Say whether PyTorch's own index should be asked, as its PyPI packages bring 4 GB of CUDA."""
    holds_torch = any(re.match(r"torch\b", each) for each in framework.packages[device])
    return device == "cpu" and holds_torch and not uv.settings().get("UV_FIND_LINKS")


def _packages_folder(environment: Path) -> Path:
    command = [str(interpreter(environment)), "-c"]
    command += ["import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(command, capture_output=True, text=True).stdout.strip())


def _bytes(environment: Path) -> int:
    """Return what the files of an environment hold, links left out."""
    files = (Path(at) / name for at, _, names in os.walk(environment) for name in names)
    return sum(file.lstat().st_size for file in files if not file.is_symlink())


def _uv_compiles(framework: Framework) -> bool:
    """Say whether uv can compile to bytecode at once, so that no measured start has to."""
    return interpreters.numbers(framework.python) >= [3, 7]


def _compile(environment: Path, packages: Path) -> None:
    """Compile what can be: some packages hold files for other versions of Python."""
    command = [str(interpreter(environment)), "-m", "compileall", "-qq", "-j", "0", str(packages)]
    subprocess.run(command, capture_output=True)


def _check_space(project: Project, framework: Framework, device: str) -> None:
    need = _gigabytes(framework, device)
    free = shutil.disk_usage(project.root).free / 1e9
    if free < need:
        raise Unavailable(
            f"its environment needs about {need} GB, and the disk of the repository has "
            f"{free:.1f} GB left: make room and run again"
        )


def _gigabytes(framework: Framework, device: str) -> float:
    return framework.gigabytes.get(device, TYPICAL_GIGABYTES[device])


def _stamp(project: Project, framework: Framework, device: str) -> dict[str, object]:
    """Return all that an environment is made of; a built one keeps it as its stamp."""
    return {
        "python": framework.python,
        "requirements": lock.requirements(framework, device),
        "lock": _digest(lock.file(project, framework)),
        "build": [_digest(project.frameworks / script) for script in framework.build],
    }


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


# --- processes --------------------------------------------------------------------------------

_running: set[subprocess.Popen[bytes]] = set()
_running_lock = threading.Lock()
_stopped = threading.Event()


def _run(project: Project, command: list[str], output: Path) -> None:
    """Run one step of a build, its output appended to a log; raise Unavailable if it fails."""
    # Marked, so that the next run finds what a killed one left behind.
    variables = {**uv.settings(), processes.VARIABLE: processes.mark(project)}
    with output.open("ab") as stream:
        start = stream.tell()
        with _running_lock:
            if _stopped.is_set():
                raise Unavailable("its environment was not built: interrupted")
            process = subprocess.Popen(
                command, stdout=stream, stderr=stream, env=variables, cwd=project.root
            )
            _running.add(process)
        code = process.wait()
        with _running_lock:
            _running.discard(process)
    if code:
        text = output.read_bytes()[start:].decode("utf-8", "replace")
        reason = project.sanitise(uv.reason(text)) or f"exit code {code}"
        log = project.relative(output)
        raise Unavailable(f"its environment could not be built: {reason} (more in {log})")


def _stop_all() -> None:
    """End the builds under way, so that Ctrl-C leaves none behind."""
    with _running_lock:
        _stopped.set()
        for process in _running:
            process.terminate()
