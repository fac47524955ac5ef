"""The environments as kernels: of the project's JupyterLab, or of the user's own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rosetta.environments import start_kernel
from rosetta.environments.build import folder, interpreter
from rosetta.environments.variables import resolve
from rosetta.errors import UserError
from rosetta.files import write_json
from rosetta.project import Project, home
from rosetta.registry import Framework, kernel


def command(interpreter: Path, *importable: Path) -> list[str]:
    """Return the command of a kernelspec that starts a kernel in an interpreter.

    Notebooks can import what is in the folders `importable`, too.
    """
    words = [interpreter, start_kernel.__file__, "-f", "{connection_file}", *importable]
    return list(map(str, words))


def register(project: Project, framework: Framework, device: str) -> Path:
    """Offer a row's environment to the user's JupyterLab; return the folder of its kernelspec.

    Its name tells this checkout from others, whose rows may be other versions.
    """
    target = _users_kernels() / (kernel(framework)["name"] + _checkout(project))
    return _write(project, framework, device, target, title(project, framework))


def title(project: Project, framework: Framework) -> str:
    """Return what the user's JupyterLab calls the kernel of a row."""
    return f"{kernel(framework)['display_name']} ({project.root.name})"


def remove(project: Project, names: Sequence[str]) -> list[str]:
    """Take what `register` has offered of these rows from the user's JupyterLab.

    Returns the names of the kernels that were there. No names: those of this checkout, rows that
    are gone included.
    """
    ends = [f"{name}{_checkout(project)}" for name in names or ("*",)]
    found = sorted(path for end in ends for path in _users_kernels().glob(f"rosetta-{end}"))
    for path in found:
        shutil.rmtree(path)
    return [path.name for path in found]


def _users_kernels() -> Path:
    from jupyter_core.paths import jupyter_data_dir

    if home() is None and "JUPYTER_DATA_DIR" not in os.environ:
        raise UserError("--jupyter: this user has no home folder: set HOME or JUPYTER_DATA_DIR")
    return Path(jupyter_data_dir()) / "kernels"


def _checkout(project: Project) -> str:
    """Return the end of the names of this checkout's kernels."""
    return "-" + hashlib.sha256(str(project.root).encode()).hexdigest()[:8]


def lab(
    project: Project, rows: Sequence[Framework], device: str, arguments: Sequence[str] = ()
) -> int:
    """Run JupyterLab on the notebooks, with the kernels of `rows` alone; return its exit code.

    All that it writes stays in the project's folder, so that two checkouts do not collide.
    """
    home = project.root / ".rosetta" / "jupyter"
    offered = home / "offered"
    shutil.rmtree(offered, ignore_errors=True)  # a row that is gone offers no kernel
    for row in rows:
        names = kernel(row)  # those that the notebooks name
        _write(project, row, device, offered / "kernels" / names["name"], names["display_name"])
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    places = {name: str(home / name.lower()) for name in own}
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={project.notebooks}",
        "--KernelSpecManager.ensure_native_kernel=False",  # which has no framework
        *arguments,
    ]
    return subprocess.call(
        command, env={**os.environ, **places, "JUPYTER_PATH": str(offered)}, cwd=project.root
    )


def _write(project: Project, framework: Framework, device: str, target: Path, shown: str) -> Path:
    """Write the kernelspec of a row's environment into a folder."""
    python = interpreter(folder(project, framework, device))
    spec: dict[str, Any] = {
        "argv": command(python),
        "display_name": shown,
        "language": "python",
        "env": resolve(framework.variables, device),
    }
    if "ROSETTA_DATA" in os.environ:
        spec["env"]["ROSETTA_DATA"] = str(project.data)
    target.mkdir(parents=True, exist_ok=True)
    write_json(target / "kernel.json", spec)
    return target
