"""From what came out of executions to a record: nothing that proves nothing passes for ok."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rosetta import files
from rosetta.results.records import Record
from rosetta.runs.execution import Outcome

# What a notebook must have recorded, and of what type.
EMITTED = {"versions": dict, "checks": dict, "metrics": dict, "losses": list, "dialect": dict}
# What of a record is for the notebook to say, besides all that the runner has no name for.
FROM_NOTEBOOK = {*EMITTED, "data", "weights"}


def fill(record: Record, outcome: Outcome) -> None:
    """Put into a record what came out of an execution; what proves nothing has failed."""
    record["status"], record["reason"] = outcome.status, outcome.reason
    record["run"] = {"seconds": outcome.seconds, "cell_seconds": outcome.cell_seconds}
    if outcome.status != "ok" or outcome.emitted is None:
        return
    emitted = _numbers(outcome.emitted)
    defect = _defect(record, emitted)
    if defect:
        record["status"], record["reason"] = "failed", defect
        return
    for name, value in emitted.items():
        if name in FROM_NOTEBOOK or name not in record:
            record[name] = value
    record["machine"]["accelerator_gflops"] = emitted.get("accelerator_gflops")
    record["losses"] = record.pop("losses")  # the longest part last


def keep_weights(file: Path, record: Record, outcomes: Sequence[Outcome]) -> None:
    """Put the trained weights of a run that is ok beside its record as `file`, those of a last one.

    Whole or not at all. A run that failed leaves what is there, one that saved none removes it.
    """
    saved = [outcome.weights for outcome in outcomes]
    if record["status"] == "ok" and saved[-1]:
        file.parent.mkdir(parents=True, exist_ok=True)
        with files.whole(file) as temporary:
            shutil.move(saved[-1], temporary)
    elif record["status"] == "ok":
        file.unlink(missing_ok=True)
    for each in filter(None, saved):
        each.unlink(missing_ok=True)


def _numbers(value: Any) -> Any:
    """Return a JSON value with the numbers back that JSON has no word for and a kernel spells."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value) if value in ("nan", "inf", "-inf") else value


def _defect(record: Record, emitted: Mapping[str, Any]) -> str | None:
    """Return what is wrong with what a notebook recorded, or None."""
    for name in ("task", "profile", "device"):
        if emitted.get(name) != record[name]:
            return f"the notebook recorded the {name} '{emitted.get(name)}', not '{record[name]}'"
    for name, kind in EMITTED.items():
        if not isinstance(emitted.get(name), kind):
            return f"the notebook's record has no '{name}'"
    if not emitted["checks"]:
        return "the notebook's record holds no check"
    for name, check in emitted["checks"].items():
        error, limit = check["error"], check["limit"]
        if not error <= limit:  # true for NaN, too
            return f"check {name}: error {error:.3g} is over the limit {limit:.3g}"
    return None


def summarise_repeats(record: Record, outcomes: Sequence[Outcome]) -> None:
    """Make metrics the medians over all repeats, with their spread; each check its worst."""
    record["repeats"] = len(outcomes)
    emitted = [outcome.emitted for outcome in outcomes if outcome.emitted]
    if len(emitted) < 2:
        return
    record["spread"] = {}
    for name, value in record["metrics"].items():
        values = [each["metrics"].get(name) for each in emitted]
        numbers = [each for each in values if isinstance(each, int | float)]
        if isinstance(value, int | float) and len(numbers) == len(values):
            record["metrics"][name] = statistics.median(numbers)
            record["spread"][name] = [min(numbers), max(numbers)]
    for name in record["checks"]:
        record["checks"][name] = max(
            (each["checks"][name] for each in emitted if name in each["checks"]),
            key=lambda check: float(check["error"]),
        )
