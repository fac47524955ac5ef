"""What is installed for a row: its requirements, and their exact versions in NAME.lock."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from rosetta.environments import uv
from rosetta.errors import UserError
from rosetta.files import write_text
from rosetta.project import Project
from rosetta.registry import Framework

Log = Callable[[str], None]

# What every environment holds besides the packages of its row.
KERNEL_PACKAGES = ("ipykernel", "matplotlib", "numpy")


def write(project: Project, framework: Framework, log: Log) -> Path:
    """Resolve a row's packages, CPU and CUDA builds alike, into frameworks/NAME.lock.

    Raises UserError where they cannot be resolved.
    """
    name = framework.environment
    pins: dict[str, str] = {}
    for device in framework.packages:
        log(f"{name}: resolving the {device} packages for Python {framework.python}")
        pins = {**_resolve(project, framework, device, pins), **pins}
    target = file(project, framework)
    lines = [f"{package}=={version}\n" for package, version in sorted(pins.items())]
    head = f"# Exact versions for Python {framework.python}, from: python run_all.py lock {name}\n"
    write_text(target, head + "".join(lines))
    return target


def parse_pins(text: str) -> dict[str, str]:
    """Return {package: version} of the `name==version` lines of a lock, local versions stripped.

    A CPU build (2.13.0+cpu) and a CUDA build (2.13.0+cu130) of one version then both satisfy it.
    """
    pairs = re.findall(r"^([A-Za-z0-9][\w.-]*)==([^\s;+]+)", text, re.MULTILINE)
    return dict(pairs)


def requirements(framework: Framework, device: str) -> list[str]:
    """Return what is installed for a row: its own packages, and those of every kernel."""
    return [*framework.packages[device], *KERNEL_PACKAGES]


def file(project: Project, framework: Framework) -> Path:
    """Return where the exact versions of a row's environment are written."""
    return project.frameworks / f"{framework.environment}.lock"


def _resolve(
    project: Project, framework: Framework, device: str, pins: dict[str, str]
) -> dict[str, str]:
    """Return the versions that uv picks for one device, those of `pins` where it can."""
    project.state.mkdir(parents=True, exist_ok=True)
    constraints = project.state / f"lock-{framework.environment}.txt"
    constraints.write_text("".join(f"{k}=={v}\n" for k, v in pins.items()), encoding="utf-8")
    asked = constraints.with_name(f"build-{framework.environment}.txt")
    plain = [each for each in framework.packages.get(device, ()) if "[" not in each]
    asked.write_text("\n".join(plain), encoding="utf-8")
    command = [uv.executable(), "pip", "compile", "-", "--no-header", "--no-annotate", "--quiet"]
    command += ["--python-version", framework.python, "--constraints", str(constraints)]
    command += ["--build-constraints", str(asked)]
    wanted = "\n".join(requirements(framework, device))
    done = subprocess.run(
        command, input=wanted, capture_output=True, text=True, env=uv.settings(), cwd=project.root
    )
    constraints.unlink()
    asked.unlink()
    if done.returncode:
        reason = project.sanitise(uv.reason(done.stderr))
        raise UserError(f"{framework.environment}: no versions fit together: {reason}")
    return parse_pins(done.stdout)
