"""The retired rows, for those who come for an old framework alone: does it still run?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rosetta.registry import Framework
from rosetta.results import columns
from rosetta.results.markdown import plain
from rosetta.results.overview import Overview
from rosetta.results.records import Record

HEAD = ("framework", "last release", "Python", "size", "to build", "last seen to work", "")


def table(overview: Overview) -> str:
    """Return a table of the retired rows as Markdown: from their files, and from their records."""
    rows: Mapping[str, Framework] = overview.frameworks
    lines = [_joined(_row(overview, row)) for row in rows.values() if _is_shown(row)]
    if not lines:
        return "\nNo row is retired.\n\n"
    head = [_joined(HEAD), f"|{'---|' * 3}---:|---:|---|---|"]
    return "\n".join(["", *head, *lines, "", ""])


def _joined(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _is_shown(row: Framework) -> bool:
    retired = str(row.facts.get("state", "")).startswith("retired")
    return bool(row.notebook and retired) or "unavailable" in row.facts


def _row(overview: Overview, row: Framework) -> list[str]:
    release = plain(str(row.facts.get("last_release", columns.NONE)))
    if not row.notebook:
        nothing = [columns.NONE] * 4
        return [plain(row.title), release, *nothing, plain(str(row.facts["unavailable"]))]
    found = [each for each in overview.records if _counts(each, row)]
    found.sort(key=lambda each: str(each["started"]))
    built = next((each for each in reversed(found) if "bytes" in each["environment"]), None)
    environment = built["environment"] if built else {}
    return [
        plain(row.title),
        release,
        row.python,
        f"{environment['bytes'] / 1e9:.1f} GB" if environment else columns.NONE,
        f"{environment['build_seconds']:,} s" if environment else columns.NONE,
        str(found[-1]["started"])[:10] if found else "never",
        f"`python run_all.py env {row.name}`",
    ]


def _counts(record: Record, row: Framework) -> bool:
    """Say whether a record shows that a row works as its environment is described."""
    works = record["status"] == "ok" and record["profile"] != "smoke"
    return bool(works and record["framework"] == row.name)
