"""The same start: how well the first losses of the rows of a table agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rosetta.results.groups import Group

# Tasks with dropout: their first loss in training depends on each framework's random numbers.
WITH_DROPOUT = ("cifar10_cnn",)


def of(group: Group, title: Callable[[str], str]) -> dict[str, Any] | None:
    """Return the first losses of all rows, and how well they agree; None without training."""
    found = [record for record in group.ok if _first(record.get("check_losses")) is not None]
    if not found:
        return None
    losses = {"first batch of the check": [record["check_losses"][0] for record in found]}
    if group.task not in WITH_DROPOUT and all(
        _first(record["losses"]) is not None for record in found
    ):
        losses["first batch of training"] = [record["losses"][0] for record in found]
    rows = [
        [
            title(record["framework"]),
            *(f"{values[index]:.7g}" for values in losses.values()),
        ]
        for index, record in enumerate(found)
    ]
    agreement = [
        f"on the {name} the rows differ by at most {_relative_difference(values):.0e} of it"
        for name, values in losses.items()
        if len(values) > 1
    ]
    if agreement and group.task in WITH_DROPOUT:
        agreement.append("each row draws dropout masks of its own: the curves of training part")
    return {"columns": list(losses), "rows": rows, "agreement": agreement}


def _first(losses: Sequence[float | None] | None) -> float | None:
    """Return the first of some losses; None where there is none, or it was no number."""
    return losses[0] if losses else None


def _relative_difference(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / max(abs(min(values)), 1e-30)
