"""The facts page: one row per framework, from the [facts] of the registry's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rosetta.errors import UserError
from rosetta.registry import Framework, unknown

# The columns of the table, and what they are called.
COLUMNS = {
    "state": "state",
    "graph": "graph",
    "autograd": "autograd",
    "compiler": "compiler",
    "recurrent_layers": "recurrent layers",
    "distributed": "several GPUs, distributed",
    "deployment": "deployment",
    "pretrained": "pre-trained models",
    "languages": "languages",
    "platforms": "platforms",
    "licence": "licence",
    "creator": "creator",
    "first_release": "first release",
    "last_release": "last release",
}
OTHERS = ("homepage", "sources", "checked", "unavailable")
GRAPHS = ("static", "dynamic", "both")


@dataclass(frozen=True)
class Row:
    """What is known of a framework; where nothing is said a cell holds None."""

    name: str
    title: str
    homepage: str | None
    cells: Mapping[str, str | None]
    sources: tuple[str, ...]
    checked: str
    notebooks: bool
    living: bool


def table(frameworks: Mapping[str, Framework]) -> dict[str, Any]:
    """Return columns and rows. Raises UserError for a fact without source or of unknown name."""
    rows = [_row(framework) for framework in frameworks.values() if framework.facts]
    return {"columns": COLUMNS, "rows": sorted(rows, key=lambda row: row.title.lower())}


def _row(framework: Framework) -> Row:
    facts = framework.facts
    _check(framework.name, facts)
    return Row(
        name=framework.name,
        title=framework.title,
        homepage=facts.get("homepage"),
        cells={name: _words(facts.get(name)) for name in COLUMNS},
        sources=tuple(facts["sources"]),
        checked=str(facts["checked"]),
        notebooks=framework.notebook is not None,
        living=str(facts.get("state", "")).startswith("living"),
    )


def _check(name: str, facts: Mapping[str, Any]) -> None:
    for key in facts:
        if key not in (*COLUMNS, *OTHERS):
            message = unknown(key, (*COLUMNS, *OTHERS), "fact")
            raise UserError(f"frameworks/{name}.toml: {message}")
    for key in ("sources", "checked", "state"):
        if not facts.get(key):
            raise UserError(f"frameworks/{name}.toml: facts.{key} is missing")
    for link in (facts.get("homepage", "https:"), *facts["sources"]):
        if not str(link).startswith(("https:", "http:")):
            raise UserError(f"frameworks/{name}.toml: '{link}' among the facts is no address")
    if facts.get("graph", "both") not in GRAPHS:
        raise UserError(f"frameworks/{name}.toml: facts.graph must be {', '.join(GRAPHS)}")


def _words(value: Any) -> str | None:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return None if value is None else str(value)
