"""From a bare Python to one that has what the runner needs: its own .venv, made on the first start.

Imports the standard library alone, and little of it: it runs before everything, every time.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from rosetta import signals

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".rosetta"
LOCK = ROOT / "rosetta" / "requirements.lock"


def _home() -> Path:
    """Return the folder of the runner's environment; checkouts on a cluster's host share theirs."""
    if "ROSETTA_WORK" not in os.environ:
        return ROOT / ".venv"
    name = f"runner-{_fingerprint()[:12]}-python{sys.version_info[0]}.{sys.version_info[1]}"
    return Path(os.environ["ROSETTA_WORK"], "environments", name)


def _fingerprint() -> str:
    """Return what .venv was made from: its versions, which change with the requirements."""
    import hashlib

    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


HOME = _home()
STAMP = HOME / "rosetta-stamp"
# The Python that the user started, for --here, which is not that of .venv.
STARTED = "ROSETTA_STARTED"


def enter() -> None:
    """Return in a Python that has what the runner needs; elsewhere start again in .venv."""
    with signals.heeded():
        _enter()


def _enter() -> None:
    # The path of an environment, and of what kernels import, is in lists that this parts.
    if os.pathsep in f"{ROOT}{HOME}":
        where = "this folder" if os.pathsep in str(ROOT) else "the folder of $ROSETTA_WORK"
        _fail(f"the path of {where} holds '{os.pathsep}', which no Python can run in: move it")
    try:
        if Path(sys.prefix) == HOME:
            if not _is_ready():
                _start_again(sys._base_executable)  # type: ignore[attr-defined]
        elif not has("dependencies"):
            if not _is_ready():
                _make()
            os.environ[STARTED] = sys.executable
            _start_again(str(_python()))
    except OSError as error:
        _fail(f"cannot make .venv in this folder: {error.strerror or error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def has(what: str) -> bool:
    """Say whether this Python has the "dependencies", or an extra, of pyproject.toml."""
    import shutil
    from importlib.metadata import PackageNotFoundError, version

    for requirement in requirements(what):
        name, _, least = requirement.partition(">=")
        if name == "uv" and shutil.which(name):
            continue  # a program, which conda installs without Python metadata
        try:
            if _numbers(version(name)) < _numbers(least):
                return False
        except PackageNotFoundError:
            return False
    return True


def requirements(what: str) -> list[str]:
    """Return the "dependencies", or the requirements of an extra, of pyproject.toml."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted: list[str] = {**project, **project["optional-dependencies"]}[what]
    return wanted


def add(what: str, words: str) -> None:
    """Install an extra of pyproject.toml beside the runner's packages where it is missing."""
    if has(what):
        return
    if Path(sys.prefix) != HOME:
        _fail(f"{words} missing here: install with 'pip install -e .[{what}]'")
    print(f"Adding {words} to .venv", flush=True)
    _install(what)


def _make() -> None:
    """Make .venv. Its stamp, written last, tells a whole one from what a killed start left."""
    import importlib.util
    import subprocess
    import time
    import venv

    if not importlib.util.find_spec("ensurepip"):
        _fail("this Python cannot make .venv: on Debian and Ubuntu, 'apt install python3-venv'")
    with _alone():
        if _is_ready():  # by another start, while this one waited
            return
        print(
            "First start: making .venv with the runner's own packages (papermill, matplotlib, uv "
            "and others, about 350 MB). It takes a minute, once.",
            flush=True,
        )
        began = time.monotonic()
        try:
            venv.create(HOME, clear=True, with_pip=True, symlinks=os.name != "nt")
        except subprocess.CalledProcessError:
            _fail("cannot make .venv: is the disk full, or is a part of this Python missing?")
        _install("dependencies")
        STAMP.write_text(_fingerprint(), encoding="utf-8")
        print(f".venv is ready after {time.monotonic() - began:.0f} s.", flush=True)


def _install(what: str) -> None:
    """Install requirements in the versions that were tested, or else in the newest."""
    command = [str(_python()), "-m", "pip", "install", "--no-input", *requirements(what)]
    (STATE / "logs").mkdir(parents=True, exist_ok=True)
    log = STATE / "logs" / "bootstrap.log"
    with log.open("w", encoding="utf-8") as output:
        for constraints in (["-c", str(LOCK)], []):
            if constraints and not LOCK.is_file():
                continue
            if _run([*command, *constraints], output) == 0:
                return
            if constraints:
                print("The tested versions do not install here, trying the newest.", flush=True)
    errors = [line for line in log.read_text(encoding="utf-8").splitlines() if "ERROR" in line]
    reason = errors[-1] if errors else "see .rosetta/logs/bootstrap.log"
    _fail(f"pip could not install what the runner needs: {reason}")


def _run(command: list[str], output: IO[str]) -> int:
    """Run pip to its end; when this ends before, so does all that pip has started."""
    import signal
    import subprocess

    process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        return process.wait()
    except BaseException:
        if os.name == "nt":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other start makes .venv; a killed one does not count."""
    if os.name == "nt":
        yield
        return
    import fcntl

    lock = (STATE if HOME.parent == ROOT else HOME.parent) / "bootstrap.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _start_again(python: str) -> NoReturn:
    command = [python, *sys.argv]
    if os.name == "nt":  # where execv returns to the shell before the program has ended
        import subprocess

        sys.exit(subprocess.run(command).returncode)
    os.execv(python, command)


def _is_ready() -> bool:
    try:
        return STAMP.read_text(encoding="utf-8") == _fingerprint() and _python().exists()
    except OSError:
        return False


def _python() -> Path:
    return HOME / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]


def _fail(reason: str) -> NoReturn:
    print(f"run_all.py: {reason}", file=sys.stderr)
    sys.exit(2)
