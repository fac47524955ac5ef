"""The columns of the tables: which figures of a record they show, and how these are written."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rosetta.results import records
from rosetta.results.groups import Group
from rosetta.results.records import Record

NONE = "—"
# What the widest vectors of a processor are called.
VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sve": "SVE", "asimd": "NEON"}


def of(group: Group, unit: str) -> dict[str, Any]:
    """Return the headings of a table and how each of its figures is made."""
    trained = any(trains(record) for record in group.records) or group.task != "resnet50_features"
    columns: dict[str, Any] = {"version": _version}
    if trained:
        columns |= {
            "accuracy": lambda each: percent(each["metrics"].get("accuracy")),
            f"training {unit}/s": lambda each: _metric(each, "train_examples_per_second"),
            "of the matrix product": lambda each: _plain(fraction(each), ".2f"),
            "step, ms": lambda each: _metric(each, "step_milliseconds"),
        }
    columns[f"forward {unit}/s"] = lambda each: _metric(each, "forward_examples_per_second")
    if not trained:
        columns |= {
            "seconds per 1,000": lambda each: _metric(each, "seconds_per_1000_examples"),
            "of the matrix product": lambda each: _plain(fraction(each), ".2f"),
        }
    columns |= {
        "forward, ms": lambda each: _metric(each, "forward_milliseconds"),
        "first step, s": lambda each: _metric(each, "first_step_seconds"),
        "peak memory, GiB": lambda each: _gibibytes(each["metrics"].get("peak_memory_bytes")),
    }
    if any(record["metrics"].get("accelerator_memory_bytes") for record in group.ok):
        columns["of the GPU, GiB"] = lambda each: _gibibytes(
            each["metrics"].get("accelerator_memory_bytes")
        )
    return columns | {"worst check": _worst_check, "dialect": _dialect}


def unit(group: Group) -> str:
    """Return what a task counts: examples, if its records do not say otherwise."""
    return next((str(record["unit"]) for record in group.ok), "examples")


def _version(record: Record) -> str:
    versions = record["versions"]
    names = [name for name in versions if name not in ("framework", "python", "numpy")]
    named = [f"{name} {versions[name]}" for name in names] or [versions.get("framework", NONE)]
    python = record["environment"].get("python") or versions.get("python")
    return ", ".join([*named, f"Python {python}"] if python else named)


def _metric(record: Record, name: str) -> str:
    """Return a figure, with the least and the most of several runs where there are."""
    value = number(record["metrics"].get(name))
    spread = record.get("spread", {}).get(name)
    return f"{value} ({number(spread[0])}–{number(spread[1])})" if spread else value


def number(value: float | None) -> str:
    """Return a number with three significant digits, more before the point."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def _plain(value: float | None, form: str) -> str:
    return NONE if value is None else format(value, form)


def percent(value: float | None) -> str:
    """Return a fraction as a percentage."""
    return NONE if value is None else f"{100 * value:.2f} %"


def _gibibytes(value: float | None) -> str:
    return NONE if value is None else f"{value / 2**30:.2f}"


def _worst_check(record: Record) -> str:
    """Return the check nearest to its limit, as a fraction of that."""
    fractions = {name: check["error"] / check["limit"] for name, check in record["checks"].items()}
    if not fractions:
        return NONE
    worst = max(fractions, key=lambda name: fractions[name])
    return f"{fractions[worst]:.2g} ({worst})"


def _dialect(record: Record) -> str:
    if not record["dialect"]:
        return "base"
    forms = importlib.import_module("common.reference").DIALECTS.get(record["task"], {})
    base = {switch: form[0] for switch, form in forms.items()}
    other = [
        f"{switch} {form}" for switch, form in record["dialect"].items() if form != base.get(switch)
    ]
    return ", ".join(other) or "base"


def trains(record: Record) -> bool:
    """Say whether a record has a speed in training."""
    return record["metrics"].get("train_examples_per_second") is not None


def speed_name(record: Record) -> str:
    """Return the name of the metric that is a record's speed."""
    return f"{'train' if trains(record) else 'forward'}_examples_per_second"


def speed(record: Record) -> float | None:
    """Return examples per second, in training where the task has any; None of a row without."""
    if record["status"] != "ok" or not record.get("trains", True):
        return None
    value = record["metrics"].get(speed_name(record))
    return float(value) if value else None


def fraction(record: Record) -> float | None:
    """Return the speed as a fraction of what the device does in a matrix product."""
    flops = record.get("flops_per_example" if trains(record) else "inference_flops_per_example")
    done, rate = speed(record), _matmul_gflops(record["machine"])
    return done * flops / (rate * 1e9) if done and flops and rate else None


def _matmul_gflops(machine: Mapping[str, Any]) -> float | None:
    if machine.get("accelerator"):
        return (machine.get("accelerator_gflops") or {}).get("float32")
    return machine.get("matmul_gflops")


def fraction_legend(group: Group) -> str:
    """Return what a number in brackets means, where there is one."""
    any_fraction = any(fraction(record) for record in group.ok)
    return " (in brackets: of the machine's matrix product)" if any_fraction else ""


def state(record: Record) -> str:
    """Return the status and what keeps its figures from being those of the task."""
    marks = records.origins(record) if record["status"] == "ok" else []
    if not record.get("trains", True):
        marks = ["inference alone", *marks]
    return ", ".join([record["status"], *marks])


def machine_title(machine: Mapping[str, Any]) -> str:
    """Return a machine in one line: accelerator, processor and its vectors, cores."""
    cores = f"{machine['cores']} core{'' if machine['cores'] == 1 else 's'}"
    vectors = VECTORS.get(machine.get("vectors") or "")
    processor = machine["processor"] + (f" with {vectors}" if vectors else "")
    parts = [machine.get("accelerator"), processor, cores]
    return ", ".join(part for part in parts if part)


def machine_facts(machine: Mapping[str, Any], all_runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what else is known of a machine, with its rates in all runs."""
    facts = [
        f"{machine['threads']} hardware threads",
        f"{machine['memory_bytes'] / 2**30:.0f} GiB of memory",
        str(machine["system"]),
    ]
    if machine.get("accelerator"):
        facts.append(f"driver {machine['driver']}, CUDA {machine.get('cuda') or 'unknown'}")
    facts += _rates(
        "NumPy's float32 matrix product", [run.get("matmul_gflops") for run in all_runs]
    )
    for kind in ("float32", "tf32"):
        found = [(run.get("accelerator_gflops") or {}).get(kind) for run in all_runs]
        facts += _rates(f"the accelerator's {kind} matrix product", found)
    return facts


def _rates(what: str, found: Sequence[float | None]) -> list[str]:
    rates = [rate for rate in found if rate]
    if not rates:
        return []
    least, most = number(min(rates)), number(max(rates))
    return [f"{what}: {least if least == most else f'{least} to {most}'} GFLOP/s"]
