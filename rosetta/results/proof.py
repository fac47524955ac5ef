"""Whether a record proves what it must: the checks of its task, each under its limit."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeGuard


@cache
def limits() -> Mapping[str, float]:
    """Return the limit of every check, by name."""
    found: Mapping[str, float] = importlib.import_module("common.check").LIMITS
    return found


@cache
def required(task: str, trains: bool = True) -> tuple[str, ...]:
    """Return the names of the checks that a notebook of a task must have passed.

    trains: False for one that only runs what others have trained.
    """
    module = importlib.import_module("common.check" if trains else "common.inference")
    return tuple(module.required(task))


def defect(record: Mapping[str, Any], checks: Any) -> str | None:
    """Return why the checks that a notebook has handed over prove nothing, or None.

    record: of the run, as far as the runner knows it: its task, and whether the row trains. Each
    required check must be there with the limit of common/check.py, and no other.
    """
    if not isinstance(checks, Mapping) or not checks:
        return "the notebook's record holds no check"
    for name, check in checks.items():
        if name not in limits():
            return f"the notebook's record holds an unknown check {str(name)[:40]!r}"
        limit = check.get("limit") if isinstance(check, Mapping) else None
        if not _is_number(limit) or limit != limits()[name]:
            return f"check {name}: its limit is not that of common/check.py, {limits()[name]:.3g}"
        if why := over(name, check):
            return why
    missing = [name for name in _required(record) if name not in checks]
    return f"the notebook's record lacks the checks {', '.join(missing)}" if missing else None


def over(name: str, check: Mapping[str, Any]) -> str | None:
    """Return why a check is not passed by what it says itself and by its limit of today."""
    error, own = check.get("error"), check.get("limit")
    if not _is_number(error) or math.isnan(error) or error < 0:
        return f"check {name}: its error is no number of 0 or more"
    if not _is_number(own) or not 0 < own < math.inf:
        return f"check {name}: its limit is no number above 0"
    limit = min(own, limits().get(name, own))
    if not error <= limit:
        return f"check {name}: error {error:.3g} is over the limit {limit:.3g}"
    return None


def missing(record: Mapping[str, Any]) -> str | None:
    """Return which checks a record was made without, in words: they have been added since."""
    names = [name for name in _required(record) if name not in record["checks"]]
    return f"made without the checks {', '.join(names)}" if names else None


def _required(record: Mapping[str, Any]) -> tuple[str, ...]:
    return required(record["task"], record.get("trains", True))


def _is_number(value: Any) -> TypeGuard[float]:
    """Say whether a value is a number that a float holds; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < 2**63
