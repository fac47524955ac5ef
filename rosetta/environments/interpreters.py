"""The interpreter for a version of Python: found on this machine, or downloaded by uv."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rosetta.environments import uv
from rosetta.errors import Unavailable
from rosetta.project import home

Log = Callable[[str], None]

CONDAS = ("mamba", "micromamba", "conda")  # the fastest first; they take the same words


def find_python(version: str, log: Log | None = None, folder: Path | None = None) -> Path:
    """Return an interpreter of a version such as "3.6", downloaded where there is none.

    Looks on the PATH, under pyenv, in conda and among the builds that uv manages; then asks uv for
    one, and conda, which has older ones and makes it in `folder`. Raises Unavailable that says how
    to get it.
    """
    made = folder / f"python{version}" if folder else None
    for candidate in _candidates(version, made):
        found = _probe(candidate, version)
        if found:
            return found
    if log:
        log(f"Python {version} was not found here: asking uv to download it")
    command = [uv.executable(), "python", "install", version]
    subprocess.run(command, capture_output=True, env=uv.settings())
    managed = _uv_managed(version)
    if managed:
        return managed
    conda = next(filter(None, map(shutil.which, CONDAS)), None) or os.environ.get("CONDA_EXE")
    reason = ""
    if made and conda:
        if log:
            log(f"Python {version}: asking {Path(conda).name} to make it in .envs/{made.name}")
        reason = _make_with(conda, made, version)
        found = _probe(made / "bin" / f"python{version}", version)
        if found:
            return found
    raise Unavailable(
        f"needs Python {version}, which is not on the PATH, under pyenv or in conda, and which uv "
        f"could not download{reason}: get it with 'pyenv install {version}' or "
        f"'conda create -n python{version} python={version}'"
    )


def _make_with(conda: str, prefix: Path, version: str) -> str:
    """Let conda, or what takes its words, make a Python; return why it did not, if it did not."""
    command = [conda, "create", "--yes", "--quiet", "--prefix", str(prefix)]
    command += ["--channel", "conda-forge", f"python={version}"]
    shutil.rmtree(prefix, ignore_errors=True)  # half-made by a run that was killed
    prefix.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    return f" ({Path(conda).name} could not make it either: {uv.reason(done.stderr)})"


def _candidates(version: str, made: Path | None) -> Iterator[Path]:
    """Yield the places where an interpreter of this version may be, best first."""
    yield Path(sys.executable)
    if made:
        yield made / "bin" / f"python{version}"
    name = f"python{version}"
    for command in (name, "python3", "python"):
        found = shutil.which(command)
        if found:
            yield Path(found)
    for prefix in [*_pyenv_prefixes(version), *_conda_prefixes()]:
        yield prefix / "bin" / name
        yield prefix / "python.exe"
    managed = _uv_managed(version)
    if managed:
        yield managed


def _pyenv_prefixes(version: str) -> list[Path]:
    """Return pyenv's interpreters of this version, the newest first."""
    own = home()
    root = os.environ.get("PYENV_ROOT") or (own / ".pyenv" if own else None)
    found = Path(root, "versions").glob(f"{version}.*") if root else []
    return sorted(found, key=lambda path: numbers(path.name), reverse=True)


def _conda_prefixes() -> Iterator[Path]:
    """Yield conda's environments: the active one, the base, and all that conda wrote down."""
    if "CONDA_PREFIX" in os.environ:
        yield Path(os.environ["CONDA_PREFIX"])
    if "CONDA_EXE" in os.environ:
        base = Path(os.environ["CONDA_EXE"]).parent.parent
        yield base
        yield from sorted((base / "envs").glob("*"))
    own = home()
    listed = own / ".conda" / "environments.txt" if own else None
    if listed and listed.is_file():
        yield from map(Path, listed.read_text(encoding="utf-8").split("\n"))


def _uv_managed(version: str) -> Path | None:
    command = [uv.executable(), "python", "find", "--managed-python", "--no-python-downloads"]
    done = subprocess.run([*command, version], capture_output=True, text=True, env=uv.settings())
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def _probe(python: Path, version: str) -> Path | None:
    """Return the real path of an interpreter if it starts and is of this version.

    What is found on the PATH may be a shim of pyenv, which fails or stands for another version.
    """
    if not python.is_file():
        return None
    code = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"
    try:
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found, _, path = done.stdout.strip().partition("\n")
    return Path(path) if done.returncode == 0 and found == version else None


def numbers(version: str) -> list[int]:
    """Return the numbers of a version, which order versions as they were made."""
    return [int(number) for number in re.findall(r"\d+", version)]
