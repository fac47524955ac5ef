"""What the site says of each family of rows (all that run one notebook): frameworks/*.site.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.registry import Framework, unknown

SUFFIX = ".site.toml"
LAYERS = ("gru", "batch_norm")  # what an entry may hold says layers.py
# What a file and a rule may say, and of what type.
KEYS: dict[str, tuple[type, ...]] = {
    "title": (str,),
    "phrases": (dict,),
    "differences": (dict,),
    **dict.fromkeys(LAYERS, (list,)),
}
RULE_KEYS: dict[str, tuple[type, ...]] = {
    "pattern": (str, list),
    "section": (str,),
    "absent": (str,),
}
FORM_KEYS: dict[str, tuple[type, ...]] = {"text": (str,), "like": (str,)}
KINDS: dict[type, str] = {str: "a string", list: "a list", dict: "a table"}


@dataclass(frozen=True)
class Form:
    """How a family does a thing; `like` is the form that it is, where only the words differ."""

    text: str
    like: str


@dataclass(frozen=True)
class Family:
    """A notebook's name and title, its phrases, its forms of the differences, and its layers.

    `told` says whether it has a file of its own. Some families are spoken of and have no row.
    """

    name: str
    title: str
    told: bool = False
    phrases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    differences: Mapping[str, Form] = field(default_factory=dict)
    layers: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def check(self, table: str, known: Iterable[str]) -> None:
        """Raise UserError where one of the two tables speaks of what is not among `known`."""
        known = list(known)
        for name in getattr(self, table):
            if name not in known:
                raise UserError(f"{where(self.name)}: {unknown(name, known, table[:-1])}")


def load(project: Project, frameworks: Iterable[Framework]) -> dict[str, Family]:
    """Return the families by name, in the order of their titles.

    Raises UserError for a file of nothing: it has no row, and no title of its own to go without.
    """
    titles: dict[str, set[str]] = {}
    for framework in frameworks:
        if framework.notebook:
            titles.setdefault(framework.notebook, set()).add(framework.title)
    families = {name: Family(name, min(found)) for name, found in titles.items()}
    for file in sorted(project.frameworks.glob(f"*{SUFFIX}")):
        name = file.name.removesuffix(SUFFIX)
        families[name] = _read(file, name, families.get(name))
    return dict(sorted(families.items(), key=lambda item: item[1].title.lower()))


def where(name: str) -> str:
    """Return the file that speaks of a family, as a message names it."""
    return f"frameworks/{name}{SUFFIX}"


def _read(file: Path, name: str, of_rows: Family | None) -> Family:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{where(name)}: not valid TOML: {error}") from None
    _check_keys(name, content, KEYS)
    for phrase, rule in content.get("phrases", {}).items():
        _check_type(name, f"phrases.{phrase}", rule, (dict,))
        _check_keys(name, rule, RULE_KEYS, f"phrases.{phrase}.")
    for difference, form in content.get("differences", {}).items():
        _check_type(name, f"differences.{difference}", form, (str, dict))
        if isinstance(form, dict):
            _check_keys(name, form, FORM_KEYS, f"differences.{difference}.")
    if of_rows is None and "title" not in content:
        raise UserError(
            f"{where(name)}: no row has the notebook '{name}': remove the file, or give it a title"
        )
    return Family(
        name,
        content.get("title") or (of_rows.title if of_rows else name),
        told=True,
        phrases=content.get("phrases", {}),
        differences={id: _form(each) for id, each in content.get("differences", {}).items()},
        layers={key: content[key] for key in LAYERS if key in content},
    )


def _form(said: str | Mapping[str, str]) -> Form:
    if isinstance(said, str):
        return Form(said, said)
    return Form(said.get("text", ""), said.get("like") or said.get("text", ""))


def _check_keys(
    name: str, table: Mapping[str, Any], known: Mapping[str, tuple[type, ...]], prefix: str = ""
) -> None:
    for key, value in table.items():
        if key not in known:
            raise UserError(f"{where(name)}: {unknown(key, known, 'key')}")
        _check_type(name, prefix + key, value, known[key])


def _check_type(name: str, key: str, value: Any, kinds: tuple[type, ...]) -> None:
    if not isinstance(value, kinds):
        wanted = " or ".join(KINDS[kind] for kind in kinds)
        raise UserError(f"{where(name)}: {key} must be {wanted}")
