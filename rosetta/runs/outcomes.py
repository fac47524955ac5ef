"""From what came out of executions to a record: nothing that proves nothing passes for ok."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rosetta import files
from rosetta.results import proof, records, schema
from rosetta.results.records import Record
from rosetta.runs.execution import Outcome

# What a notebook must have recorded.
EMITTED = ("versions", "checks", "metrics", "losses", "dialect", "unit")
# What else of the schema is for the notebook to say; of the rest the runner knows.
FROM_NOTEBOOK = {
    *EMITTED, "data", "weights", "dialect_losses", "seed", "threads", "batch_size", "epochs",
    "flops_per_example", "inference_flops_per_example", "check_losses", "notes",
    "trained_weights_sha256",
}  # fmt: skip
LARGEST = 4_000_000  # characters of a record


def fill(record: Record, outcome: Outcome) -> None:
    """Put into a record what came out of an execution; what proves nothing has failed."""
    record["status"], record["reason"] = outcome.status, outcome.reason
    record["run"] = {
        "seconds": outcome.seconds,
        "cell_seconds": outcome.cell_seconds,
        "sections": dict(outcome.sections),
        "other_cores": outcome.other_cores,
    }
    if outcome.status != "ok" or outcome.emitted is None:
        return
    emitted = _numbers(outcome.emitted)
    defect = _defect(record, emitted)
    if not defect:
        filled = _filled(record, emitted)
        defect = _unreadable(filled)
    if defect:
        record["status"], record["reason"] = "failed", defect
    else:
        record.clear()
        record.update(filled)


def _filled(record: Record, emitted: Mapping[str, Any]) -> Record:
    """Return a record with what the notebook says, the longest part last."""
    said = {name: value for name, value in emitted.items() if name in FROM_NOTEBOOK}
    gflops = emitted.get("accelerator_gflops")
    filled = {**record, **said, "machine": {**record["machine"], "accelerator_gflops": gflops}}
    filled["losses"] = filled.pop("losses")
    return filled


def _unreadable(record: Record) -> str | None:
    """Return why a record, once written, could not be read again, or None."""
    text = records.dumps(record)
    if len(text) > LARGEST:
        return f"the notebook's record is larger than {LARGEST:,} characters"
    try:
        schema.read(text.encode())
    except ValueError as error:
        return f"the notebook's record: {error}"
    return None


def keep_weights(file: Path, record: Record, saved: Path | None) -> None:
    """Put the trained weights of a run that is ok beside its record as `file`.

    Whole or not at all. A run that failed leaves what is there, one that saved none removes it.
    """
    if record["status"] == "ok" and saved:
        file.parent.mkdir(parents=True, exist_ok=True)
        with files.whole(file) as temporary:
            shutil.move(saved, temporary)
    elif record["status"] == "ok":
        file.unlink(missing_ok=True)
    if saved:
        saved.unlink(missing_ok=True)


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
            found = str(emitted.get(name))[:40]
            return f"the notebook recorded the {name} '{found}', not '{record[name]}'"
    for name in emitted:
        if name not in schema.Record.__annotations__ and name != "accelerator_gflops":
            return f"the notebook's record holds an unknown field {name[:40]!r}"
    for name in EMITTED:
        if emitted.get(name) is None:
            return f"the notebook's record has no '{name}'"
    return proof.defect(record, emitted["checks"])


def summarise_repeats(done: Sequence[Record]) -> Record:
    """Return the last of several records with the medians of all metrics, and their spread.

    Of each check it holds the worst, of the load of the machine the heaviest.
    """
    record = {**done[-1], "repeats": len(done)}
    if len(done) < 2:
        return record
    record["metrics"], record["spread"] = dict(record["metrics"]), {}
    for name, value in record["metrics"].items():
        values = [each["metrics"].get(name) for each in done]
        numbers = [each for each in values if isinstance(each, int | float)]
        if isinstance(value, int | float) and len(numbers) == len(values):
            record["metrics"][name] = statistics.median(numbers)
            record["spread"][name] = [min(numbers), max(numbers)]
    record["run"] = {
        **record["run"],
        "other_cores": max(each["run"]["other_cores"] for each in done),
    }
    record["checks"] = {
        name: max(
            (each["checks"][name] for each in done if name in each["checks"]),
            key=lambda check: float(check["error"]),
        )
        for name in record["checks"]
    }
    return record
