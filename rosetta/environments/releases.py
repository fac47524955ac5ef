"""Newer releases of the packages that rows pin, and a row's pins moved to them."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rosetta.environments import lock, uv
from rosetta.errors import UserError
from rosetta.files import write_text
from rosetta.project import Project
from rosetta.registry import Framework

PIN = re.compile(r"([A-Za-z0-9][\w.-]*)((?:\[[^]]*\])?)==([^\s;,]+)")
AT_ONCE = 8  # questions to the package index


@dataclass(frozen=True)
class Pin:
    """A package that a row pins, and the newest release of it."""

    package: str
    pinned: str
    newest: str  # for the row's Python
    elsewhere: str | None = None  # a newer one that wants another Python

    @property
    def outdated(self) -> bool:
        return self.newest != self.pinned or self.elsewhere is not None


def look_up(frameworks: Iterable[Framework], newest_python: str) -> dict[str, list[Pin]]:
    """Return {row: its pins}, by what the package index has for a row's Python and the newest one.

    newest_python: such as "3.13". Raises UserError where the index does not answer.
    """
    rows = {row.name: row for row in frameworks if row.name == row.environment}
    asked = {
        (package, python)
        for row in rows.values()
        for package in pins(row)
        for python in (row.python, newest_python)
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip(asked, pool.map(lambda each: _newest(*each), asked), strict=True))
    return {
        name: [
            _pin(package, version, found[package, row.python], found[package, newest_python])
            for package, version in pins(row).items()
        ]
        for name, row in rows.items()
    }


def _pin(package: str, pinned: str, own: str | None, other: str | None) -> Pin:
    newest = own or pinned
    return Pin(package, pinned, newest, other if other and _later(other, newest) else None)


def _later(one: str, other: str) -> bool:
    """Return whether one version is later than another, by their numbers."""
    numbers = [[int(part) for part in re.findall(r"\d+", each)] for each in (one, other)]
    return numbers[0] > numbers[1]


def pins(framework: Framework) -> dict[str, str]:
    """Return {package: version} of what a row's TOML pins to one version, for any device."""
    matches = [PIN.fullmatch(each) for packages in framework.packages.values() for each in packages]
    return {match[1]: match[3] for match in matches if match}


def upgrade(project: Project, framework: Framework, log: lock.Log) -> Path:
    """Move a row's pins to the newest releases for its Python, and write its lock anew.

    The TOML changes only if the new versions fit together. Raises UserError where they do not.
    """
    newest = {
        pin.package: pin.newest
        for pin in look_up([framework], framework.python)[framework.name]
        if _later(pin.newest, pin.pinned)
    }
    for package, version in newest.items():
        log(f"{framework.name}: {package} {pins(framework)[package]} becomes {version}")
    packages = {
        device: tuple(_moved(each, newest) for each in asked)
        for device, asked in framework.packages.items()
    }
    target = lock.write(project, dataclasses.replace(framework, packages=packages), log)
    toml = project.frameworks / f"{framework.name}.toml"
    text = toml.read_text(encoding="utf-8")
    for asked in framework.packages.values():
        for each in asked:
            text = text.replace(f'"{each}"', f'"{_moved(each, newest)}"')
    write_text(toml, text)
    return target


def _moved(requirement: str, newest: Mapping[str, str]) -> str:
    match = PIN.fullmatch(requirement)
    if not match or match[1] not in newest:
        return requirement
    return f"{match[1]}{match[2]}=={newest[match[1]]}"


def _newest(package: str, python: str) -> str | None:
    """Return the newest release of a package for a Python; None where there is none."""
    command = [sys.executable, "-m", "pip", "index", "versions", package]
    done = subprocess.run(
        [*command, "--python-version", python, "--disable-pip-version-check"],
        capture_output=True,
        text=True,
    )
    versions = re.search(r"^Available versions: ([^,\s]+)", done.stdout, re.MULTILINE)
    if versions:
        return versions[1].partition("+")[0]
    if "No matching distribution" in done.stderr:
        return None
    raise UserError(f"the releases of {package} could not be asked for: {uv.reason(done.stderr)}")
