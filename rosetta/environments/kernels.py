"""The environments as kernels of the user's own JupyterLab."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rosetta.environments import start_kernel
from rosetta.environments.build import folder, interpreter
from rosetta.environments.variables import resolve
from rosetta.errors import UserError
from rosetta.files import write_json
from rosetta.project import Project, home
from rosetta.registry import Framework


def command(interpreter: Path) -> list[str]:
    """Return the command of a kernelspec that starts a kernel in an interpreter."""
    return [str(interpreter), str(start_kernel.__file__), "-f", "{connection_file}"]


def register(project: Project, framework: Framework, device: str) -> Path:
    """Offer a row's environment to the user's JupyterLab; return the folder of its kernelspec."""
    from jupyter_core.paths import jupyter_data_dir

    if home() is None and "JUPYTER_DATA_DIR" not in os.environ:
        raise UserError("--jupyter: this user has no home folder: set HOME or JUPYTER_DATA_DIR")
    target = Path(jupyter_data_dir()) / "kernels" / f"rosetta-{framework.name}"
    python = interpreter(folder(project, framework, device))
    spec: dict[str, Any] = {
        "argv": command(python),
        "display_name": f"Rosetta: {framework.title}",
        "language": "python",
        "env": resolve(framework.variables),
    }
    if "ROSETTA_DATA" in os.environ:
        spec["env"]["ROSETTA_DATA"] = str(project.data)
    target.mkdir(parents=True, exist_ok=True)
    write_json(target / "kernel.json", spec)
    return target
