"""The registry: frameworks/NAME.toml, one file per row of the tables."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rosetta.errors import UserError
from rosetta.project import Project

TASKS = ("cifar10_cnn", "imdb_gru", "resnet50_features")

# What a row may say, and of what type.
KEYS: dict[str, type] = {
    "title": str,
    "notebook": str,
    "python": str,
    "environment": str,
    "build": list,
    "modules": list,
    "packages": dict,
    "variables": dict,
    "parameters": dict,
    "inference": list,
    "facts": dict,
    "familiar": int,
}
KINDS = {"str": "a string", "int": "a whole number", "list": "a list of strings", "dict": "a table"}
NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*"  # of a row and of a notebook: no path
# A package with extras and versions: no option of the installer, no file, no address.
REQUIREMENT = r"[A-Za-z0-9][\w.-]*(\[[\w., -]+\])? *([<>=!~][\w.*+!<>=~, -]*)?(;[^@\n\r]*)?"
PACKAGE_KEYS: dict[str, type] = {"cpu": list, "gpu": list, "cuda": str, "gigabytes": dict}
GIGABYTES = ("packages.gigabytes.cpu", "packages.gigabytes.gpu")
OWNED_BY_ENVIRONMENT = ("python", "build", "packages")

# An environment variable of a row: its value, or {"value", "processor", "device"} for some
# processors or one device.
Variable = str | Mapping[str, str]
VARIABLE_KEYS: dict[str, type] = {"value": str, "processor": str, "device": str}
CORES = "{cores}"  # in a value: the number of physical cores
# What helps every row is set for every row: glibc keeps freed memory, instead of asking the system
# for new, zeroed pages for each large array of each step.
EVERY_ROW = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "17179869184"}


@dataclass(frozen=True)
class Framework:
    """One row. `environment` names the row whose packages it runs in: itself, if not another."""

    name: str
    title: str
    notebook: str | None = None  # None: facts only
    python: str = ""
    environment: str = ""
    build: tuple[str, ...] = ()  # scripts that run after the packages are in
    modules: tuple[str, ...] = ()
    packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by device: cpu, gpu
    cuda: str | None = None  # which CUDA the gpu packages are for
    gigabytes: Mapping[str, float] = field(default_factory=dict)  # installed, by device
    variables: Mapping[str, Variable] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inference: tuple[str, ...] = ()  # tasks of which it only runs what others have trained
    facts: Mapping[str, Any] = field(default_factory=dict)
    familiar: int | None = None  # the site shows the rows of the least two until others are chosen


def kernel(framework: Framework) -> dict[str, str]:
    """Return what a notebook says of the kernel of a row, by which a Jupyter finds it."""
    return {"display_name": f"Rosetta: {framework.title}", "name": f"rosetta-{framework.name}"}


@dataclass(frozen=True)
class Cell:
    """One notebook to execute: a task in a row."""

    task: str
    framework: Framework
    notebook: Path

    @property
    def trains(self) -> bool:
        """Say whether it proves the training, too, of a task that has one."""
        return self.task not in self.framework.inference


def load(project: Project) -> dict[str, Framework]:
    """Return the rows by name, sorted. Raises UserError that names the file and what is wrong."""
    # A name with a dot, as of NAME.site.toml, is that of a file beside a row's.
    files = sorted(path for path in project.frameworks.glob("*.toml") if "." not in path.stem)
    rows = {path.stem: _read(path) for path in files}
    if not rows:
        raise UserError("frameworks/ holds no row: is this a whole checkout of the repository?")
    return {name: _framework(name, row, rows) for name, row in rows.items()}


def cells(
    project: Project, frameworks: Iterable[Framework], tasks: Iterable[str] = TASKS
) -> list[Cell]:
    """Return the cells of the matrix whose notebook exists, task by task."""
    frameworks = list(frameworks)
    found = [
        Cell(task, framework, project.notebooks / task / f"{framework.notebook}.ipynb")
        for task in tasks
        for framework in frameworks
        if framework.notebook
    ]
    there = [cell for cell in found if cell.notebook.is_file()]
    for cell in there:
        _check_inside(project.notebooks, cell.notebook, project.relative(cell.notebook))
    return there


def select(names: Iterable[str], known: Iterable[str], what: str) -> list[str]:
    """Return `names` in the order of `known`; no names means all of them.

    Raises UserError with the nearest match of a name that is not known.
    """
    known, wanted = list(known), set(names)
    for name in sorted(wanted.difference(known)):
        raise UserError(unknown(name, known, what))
    return [name for name in known if name in wanted] if wanted else known


def unknown(name: str, known: Iterable[str], what: str) -> str:
    """Return one line about a misspelt name: its nearest match, or the names there are."""
    known = list(known)
    lower = {each.lower(): each for each in known}
    begun = [each for each in lower if each.startswith(name.lower())]
    nearest = begun or difflib.get_close_matches(name.lower(), lower, n=1)
    if nearest:
        return f"unknown {what} '{name}': did you mean '{lower[nearest[0]]}'?"
    return f"unknown {what} '{name}': there is {', '.join(known)}"


def _read(path: Path) -> dict[str, Any]:
    if not re.fullmatch(NAME, path.stem):
        raise UserError(f"{_where(path.stem)}: a row's name has letters, digits, - and _ only")
    if not path.is_file():
        raise UserError(f"{_where(path.stem)} is not a file: move it out of frameworks/")
    _check_inside(path.parent, path, _where(path.stem))
    try:
        row = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # tomllib's own error, bytes, digits, brackets
        raise UserError(f"{_where(path.stem)}: not valid TOML: {error}") from None
    if isinstance(row.get("build"), str):  # one script may stand alone
        row["build"] = [row["build"]]
    _check(path.stem, row, KEYS)
    _check(path.stem, row.get("packages", {}), PACKAGE_KEYS, "packages.")
    _check_values(path.stem, row)
    for script in row.get("build", ()):
        _check_build(path, script)
    return row


def _check_build(path: Path, build: str) -> None:
    if not re.fullmatch(rf"{NAME}(\.{NAME})*", build):
        raise UserError(f"{_where(path.stem)}: build must be the name of a file in frameworks/")
    if not path.with_name(build).is_file():
        raise UserError(f"{_where(path.stem)}: build: there is no frameworks/{build}")
    _check_inside(path.parent, path.with_name(build), f"frameworks/{build}")


def _check_inside(folder: Path, file: Path, name: str) -> None:
    """Raise UserError for a link that leads out of its folder."""
    if not file.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{name} is a link to elsewhere: put the file itself there")


def _where(name: str) -> str:
    return f"frameworks/{name}.toml"


def _check(name: str, table: dict[str, Any], keys: dict[str, type], prefix: str = "") -> None:
    for key, value in table.items():
        if key not in keys:
            raise UserError(f"{_where(name)}: {unknown(prefix + key, _full(keys, prefix), 'key')}")
        if not isinstance(value, keys[key]) or isinstance(value, bool):
            raise UserError(f"{_where(name)}: {prefix}{key} must be {KINDS[keys[key].__name__]}")
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise UserError(f"{_where(name)}: {prefix}{key} must be a list of strings")


def _full(keys: Iterable[str], prefix: str) -> list[str]:
    return [prefix + key for key in keys]


def _check_values(name: str, row: dict[str, Any]) -> None:
    if not row.get("title"):
        raise UserError(f"{_where(name)}: title is missing")
    if not row["title"].isprintable():
        raise UserError(f"{_where(name)}: title must be one line")
    if "notebook" in row and not re.fullmatch(NAME, row["notebook"]):
        raise UserError(f"{_where(name)}: notebook must be a name without path and .ipynb")
    for module in row.get("modules", []):
        if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", module):
            raise UserError(f"{_where(name)}: modules: '{module}' is no module's name")
    for task in row.get("inference", []):
        if task not in TASKS:
            raise UserError(f"{_where(name)}: inference: {unknown(task, TASKS, 'task')}")
    _check_packages(name, row.get("packages", {}))
    _check_parameters(name, row.get("parameters", {}))
    for key, value in row.get("variables", {}).items():
        _check_variable(name, key, value)
    if "python" in row and not re.fullmatch(r"3\.[0-9]{1,3}", row["python"]):
        raise UserError(f'{_where(name)}: python must be a version such as "3.11"')


def _check_packages(name: str, packages: dict[str, Any]) -> None:
    for device in ("cpu", "gpu"):
        for requirement in packages.get(device, []):
            if not re.fullmatch(REQUIREMENT, requirement):
                raise UserError(
                    f"{_where(name)}: packages.{device}: '{requirement}' is not a package with its "
                    'version, such as "numpy==2.0"'
                )
    for device, size in packages.get("gigabytes", {}).items():
        if device not in ("cpu", "gpu"):
            raise UserError(
                f"{_where(name)}: {unknown(f'packages.gigabytes.{device}', GIGABYTES, 'key')}"
            )
        number = isinstance(size, int | float) and not isinstance(size, bool)
        if not number or not 0 < size < 10_000:
            raise UserError(f"{_where(name)}: packages.gigabytes.{device} must be a number above 0")


def _check_parameters(name: str, parameters: dict[str, Any]) -> None:
    for key, value in parameters.items():
        if not key.isidentifier():
            raise UserError(f"{_where(name)}: parameters: '{key}' is no name in Python")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise UserError(
                f"{_where(name)}: parameters.{key} must be a string, a number, true or false, or a "
                "list or table of them"
            ) from None


def _check_variable(name: str, key: str, variable: Any) -> None:
    where = f"{_where(name)}: variables.{key}"
    if isinstance(variable, dict):
        _check(name, variable, VARIABLE_KEYS, f"variables.{key}.")
        if "value" not in variable:
            raise UserError(f"{where}.value is missing")
        if variable.get("device", "cpu") not in ("cpu", "gpu"):
            raise UserError(f'{where}.device must be "cpu" or "gpu"')
    elif not isinstance(variable, str):
        raise UserError(f"{where} must be a string: put it in quotes")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) or key.startswith("ROSETTA_"):
        raise UserError(f"{where} is not a name that a row's variable may have")
    value = variable if isinstance(variable, str) else variable["value"]
    if "\0" in value:
        raise UserError(f"{where} must not hold a null character")
    for braces in re.findall(r"\{\w+\}", value):
        if braces != CORES:
            raise UserError(f"{where}: {braces} means nothing, only {CORES} does")


def _framework(name: str, row: dict[str, Any], rows: dict[str, dict[str, Any]]) -> Framework:
    environment = row.get("environment", name)
    if environment != name:
        _check_shared(name, row, environment, rows)
    owner = rows[environment]
    if row.get("notebook"):
        for key in ("python", "packages"):
            if not owner.get(key):
                raise UserError(f"{_where(environment)}: {key} is missing")
        if not owner["packages"].get("cpu"):
            raise UserError(f"{_where(environment)}: packages.cpu is missing")
    packages = owner.get("packages", {})
    return Framework(
        name=name,
        title=row["title"],
        notebook=row.get("notebook"),
        python=owner.get("python", ""),
        environment=environment,
        build=tuple(owner.get("build", ())),
        modules=tuple(row.get("modules", ())),
        packages={key: tuple(packages[key]) for key in ("cpu", "gpu") if key in packages},
        cuda=packages.get("cuda"),
        gigabytes=packages.get("gigabytes", {}),
        variables={**EVERY_ROW, **row.get("variables", {})},
        parameters=row.get("parameters", {}),
        inference=tuple(row.get("inference", ())),
        facts=row.get("facts", {}),
        familiar=row.get("familiar"),
    )


def _check_shared(
    name: str, row: dict[str, Any], environment: str, rows: dict[str, dict[str, Any]]
) -> None:
    if environment not in rows:
        others = [each for each in rows if each != name]
        raise UserError(f"{_where(name)}: {unknown(environment, others, 'environment')}")
    if "environment" in rows[environment]:
        raise UserError(f"{_where(name)}: environment '{environment}' is itself a shared one")
    for key in OWNED_BY_ENVIRONMENT:
        if key in row:
            raise UserError(f"{_where(name)}: {key} belongs to the row '{environment}' it shares")
