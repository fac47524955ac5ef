"""Cuts code out of a notebook with all that it needs, so that it runs with its framework alone."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from common.tasks import TASKS
from rosetta.site.source import Statement, statements

# What only a notebook beside common/ has: code that reads it is not portable.
OURS = frozenset({"common", "run", "check"})
SPECIFIED = "  # from the task's specification"


@dataclass(frozen=True)
class Line:
    """A statement of the notebook as it is copied, and where in the notebook it stands."""

    cell: int
    line: int
    statement: Statement


@dataclass(frozen=True)
class Portable:
    """The code of a notebook from which parts are cut.

    cells: the sources of its code cells in their order; variables: those of the row's environment;
    parameters: what the row sets of the notebook's parameters.
    """

    task: str
    cells: Sequence[str]
    variables: Mapping[str, str]
    parameters: Mapping[str, Any]

    def cut(self, cell: int, first: int = 0, last: int | None = None) -> str | None:
        """Return a cell, or the statements that some of its lines touch, with what they need.

        Lines count from 0, `last` among them. None where the code needs what is ours.
        """
        mine = [number for number, each in enumerate(self._lines) if each.cell == cell]
        starts = [self._lines[number].line for number in mine]
        ends = [*starts[1:], sys.maxsize]
        wanted = {
            number
            for number, start, end in zip(mine, starts, ends, strict=True)
            if end > first and (last is None or start <= last)
        }
        kept = self._closed(wanted)
        return self._written(sorted(kept), min(wanted)) if kept else None

    @cached_property
    def _lines(self) -> list[Line]:
        return [
            Line(index, each.line, rewritten)
            for index, source in enumerate(self.cells)
            for each in statements(source)
            for rewritten in self._rewritten(each)
        ]

    @cached_property
    def _binders(self) -> dict[str, list[int]]:
        """The numbers of the statements that bind each name."""
        found: dict[str, list[int]] = {}
        for number, each in enumerate(self._lines):
            for name in each.statement.binds:
                found.setdefault(name, []).append(number)
        return found

    @property
    def _values(self) -> dict[str, Any]:
        """What `run` hands to a notebook from the specification."""
        task = TASKS[self.task]
        return {"batch_size": task.batch_size, **task.hyper_parameters}

    def _rewritten(self, each: Statement) -> Sequence[Statement]:
        """Return a statement with its values from the specification and the row as literals."""
        if isinstance(each.node, ast.Assign) and isinstance(each.node.targets[0], ast.Name):
            name = each.node.targets[0].id
            if name in self.parameters and isinstance(each.node.value, ast.Constant):
                return statements(f"{name} = {_literal(self.parameters[name])}")
        text = each.text
        for name, value in self._values.items():
            text = re.sub(rf"\brun\.{name}\b", _literal(value), text)
        if text == each.text:
            return [each]
        (changed,) = statements(text)
        return _one_by_one(changed.node) or [changed]

    def _closed(self, wanted: Iterable[int]) -> set[int] | None:
        """Return statements and all that they need; None where that is ours."""
        kept, queue = set(wanted), list(wanted)
        start = min(kept, default=0)
        while queue:
            number = queue.pop()
            needed = self._needed(number)
            if needed is None:
                return None
            for other in needed | self._settings(number, start):
                if other not in kept:
                    kept.add(other)
                    queue.append(other)
        return kept

    def _needed(self, number: int) -> set[int] | None:
        """Return the statements that bind what one reads: the last before it, or the next."""
        found = set()
        for name in self._lines[number].statement.needs:
            before = [each for each in self._binders.get(name, ()) if each < number]
            after = [each for each in self._binders.get(name, ()) if each > number]
            if name in OURS or not (before or after):
                return None
            found.add(before[-1] if before else after[0])
        return found

    def _settings(self, number: int, start: int) -> set[int]:
        """Return what sets up, before the code that is cut, what a statement imports or makes.

        Such as `torch.backends.cudnn.allow_tf32 = False`: the code was proven with it.
        """
        bound = self._lines[number].statement.binds - sys.stdlib_module_names
        return {
            other
            for other in range(start)
            if _root(self._lines[other].statement.node) in bound and self._closed_from(other)
        }

    def _closed_from(self, number: int) -> bool:
        """Return whether a setting needs nothing of ours."""
        seen, queue = {number}, [number]
        while queue:
            needed = self._needed(queue.pop())
            if needed is None:
                return False
            queue += needed - seen
            seen |= needed
        return True

    def _written(self, kept: Sequence[int], start: int) -> str:
        text, before = self._environment(kept), None
        for number in kept:
            line = self._lines[number]
            text += _gap(before, line) if before or text else ""
            text += re.sub(r";(?=\s*(#.*)?$)", "", line.statement.text)  # which hides a result
            before = line
        return text

    def _environment(self, kept: Sequence[int]) -> str:
        """Return code that sets the variables that an imported package reads, by their names."""
        packages = {
            name.split(".")[0].upper()
            for number in kept
            for name in _imported(self._lines[number].statement.node)
        }
        # A value in braces is filled in for the machine that it runs on.
        names = [
            name
            for name, value in self.variables.items()
            if name.split("_")[0] in packages and "{" not in value
        ]
        lines = [f'os.environ.setdefault("{name}", "{self.variables[name]}")' for name in names]
        return "\n".join(["import os\n", *lines]) if lines else ""


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _one_by_one(node: ast.stmt) -> Sequence[Statement]:
    """Return an assignment of several values as one for each, with the word where they are from."""
    if not isinstance(node, ast.Assign):
        return []
    target, value = node.targets[0], node.value
    names = target.elts if isinstance(target, ast.Tuple) else [target]
    values = (
        value.elts if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) else [value]
    )
    if len(names) != len(values):
        return []
    texts = [
        f"{ast.unparse(name)} = {ast.unparse(each)}{SPECIFIED}"
        for name, each in zip(names, values, strict=True)
    ]
    return [statement for text in texts for statement in statements(text)]


def _root(node: ast.stmt) -> str:
    """Return the name that a call or an assignment to an attribute begins with."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        each: ast.expr = node.value.func
    elif isinstance(node, ast.Assign):
        each = node.targets[0]
    else:
        return ""
    if not isinstance(each, ast.Attribute):
        return ""
    while isinstance(each, ast.Attribute):
        each = each.value
    return each.id if isinstance(each, ast.Name) else ""


def _imported(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def _gap(before: Line | None, line: Line) -> str:
    """Return the empty space between two statements, as ruff formats it."""
    if before is None:
        return "\n\n"
    if before.statement.defines or line.statement.defines:
        return "\n\n\n"
    same = before.cell == line.cell and before.statement.imports == line.statement.imports
    return "\n" if same or (before.statement.imports and line.statement.imports) else "\n\n"
