"""The Python that a row runs in: its own environment, or with --here one that the user has."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rosetta.environments.lock import KERNEL_PACKAGES, parse_pins
from rosetta.errors import Unavailable, UserError
from rosetta.project import Project
from rosetta.registry import Framework

# Started by the interpreter in question, which may be as old as 3.6; imports no framework.
PROBE = """
import importlib.util, json, sys
modules, packages = json.loads(sys.argv[1])
def found(module):
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
def version(package):
    try:
        if sys.version_info >= (3, 8):
            import importlib.metadata
            return importlib.metadata.version(package)
        import pkg_resources
        return pkg_resources.get_distribution(package).version
    except Exception:
        return None
json.dump({
    "prefix": sys.prefix,
    "python": "%d.%d.%d" % sys.version_info[:3],
    "modules": [module for module in modules if found(module)],
    "packages": {package: version(package) for package in packages},
}, sys.stdout)
"""

# The packages that bring CUDA's own libraries into an environment: cuDNN, cuBLAS, the runtime.
LIBRARIES = """
import json, sys
if sys.version_info >= (3, 8):
    from importlib.metadata import distributions
    found = {each.metadata["Name"]: each.version for each in distributions()}
else:
    import pkg_resources
    found = {each.project_name: each.version for each in pkg_resources.working_set}
json.dump({n: v for n, v in found.items() if n and n.lower().startswith("nvidia-")}, sys.stdout)
"""


@dataclass(frozen=True)
class Python:
    """An interpreter for a row, and what of the row's packages is in it."""

    interpreter: Path
    prefix: Path
    version: str
    packages: Mapping[str, str]  # the row's own ones, by name
    locked: Mapping[str, str] = field(default_factory=dict)  # what the lock asks for
    here: bool = False
    libraries: Mapping[str, str] = field(default_factory=dict)  # CUDA's, on a GPU

    def describe(self) -> dict[str, Any]:
        """Return the facts for a record."""
        differs = {
            name: {"found": found, "locked": self.locked[name]}
            for name, found in self.packages.items()
            if self.locked.get(name, found) != found.partition("+")[0]
        }
        return {
            "here": self.here,
            "python": self.version,
            "packages": dict(self.packages),
            "differs": differs,
            "libraries": dict(self.libraries),
        }

    def with_libraries(self) -> Python:
        """Return the same, with the versions of cuDNN and CUDA's other libraries in it."""
        return replace(self, libraries=_ask(self.interpreter, LIBRARIES))


@dataclass(frozen=True)
class Here:
    """The user's own interpreter, and what was found in it for some rows."""

    project: Project
    interpreter: Path
    device: str
    found: Mapping[str, Any]

    @classmethod
    def ask(
        cls, project: Project, interpreter: Path, frameworks: Iterable[Framework], device: str
    ) -> Here:
        """Ask an interpreter once what it holds for these rows. Raises UserError."""
        frameworks = list(frameworks)
        modules = {module for framework in frameworks for module in framework.modules}
        names = {name for framework in frameworks for name in package_names(framework, device)}
        found = _probe(interpreter, [*KERNEL_PACKAGES, *sorted(modules)], sorted(names))
        missing = [name for name in KERNEL_PACKAGES if name not in found["modules"]]
        if missing:
            name = project.relative(interpreter)
            raise UserError(
                f"{name} has no {' and no '.join(missing)}, which every notebook needs: "
                f"'{name} -m pip install {' '.join(missing)}'"
            )
        return cls(project, interpreter, device, found)

    def python(self, framework: Framework) -> Python:
        """Return this interpreter as a row's. Raises Unavailable where a module is missing."""
        missing = [name for name in framework.modules if name not in self.found["modules"]]
        if missing:
            raise Unavailable(f"{' and '.join(missing)} cannot be imported in this Python (--here)")
        found = self.found["packages"]
        names = package_names(framework, self.device)
        return Python(
            interpreter=self.interpreter,
            prefix=Path(self.found["prefix"]),
            version=self.found["python"],
            packages={name: found[name] for name in names if found[name]},
            locked=locked(self.project, framework, self.device),
            here=True,
        )


def own(project: Project, framework: Framework, device: str, interpreter: Path) -> Python:
    """Return the interpreter of a row's own environment, which holds what the lock says."""
    versions = locked(project, framework, device)
    return Python(interpreter, interpreter.parent.parent, framework.python, versions, versions)


def package_names(framework: Framework, device: str) -> list[str]:
    """Return the names of a row's packages without versions and extras, as indexes spell them."""
    return [_name(requirement) for requirement in _requirements(framework, device)]


def locked(project: Project, framework: Framework, device: str) -> dict[str, str]:
    """Return the versions that the lock gives a row's packages, or else its requirements."""
    lock = project.frameworks / f"{framework.environment}.lock"
    text = "\n".join(re.sub(r"\[.*?\]", "", each) for each in _requirements(framework, device))
    pins = parse_pins(text)
    if lock.is_file():
        pins.update(parse_pins(lock.read_text(encoding="utf-8")))
    normal = {_name(name): version for name, version in pins.items()}
    return {name: normal[name] for name in package_names(framework, device) if name in normal}


def _requirements(framework: Framework, device: str) -> tuple[str, ...]:
    return framework.packages.get(device) or framework.packages.get("cpu", ())


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9][\w.-]*", requirement.strip())
    return re.sub(r"[-_.]+", "-", found.group() if found else requirement).lower()


def _probe(interpreter: Path, modules: list[str], packages: list[str]) -> dict[str, Any]:
    found = _ask(interpreter, PROBE, json.dumps([modules, packages]))
    if set(found) != {"prefix", "python", "modules", "packages"}:
        raise UserError(f"--python {interpreter.name} is not a Python that works")
    return found


def _ask(interpreter: Path, program: str, *arguments: str) -> dict[str, Any]:
    """Return what a program prints as JSON when an interpreter runs it. Raises UserError."""
    command = [str(interpreter), "-c", program, *arguments]
    try:
        run = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=120
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"--python {interpreter.name} cannot be started: {error}") from None
    if run.returncode != 0:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"--python {interpreter.name} is not a Python that works: {last}")
    try:
        return dict(json.loads(run.stdout.splitlines()[-1]))  # a start-up file may print, too
    except (ValueError, IndexError, TypeError):
        raise UserError(f"--python {interpreter.name} is not a Python that works") from None
