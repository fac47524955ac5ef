"""The Python of a cell: what its statements bind, what they need, and where each of them begins."""

from __future__ import annotations

import ast
import builtins
import re
import symtable
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

BUILTINS = frozenset(dir(builtins))
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)


@dataclass(frozen=True)
class Statement:
    """A statement of a cell's top level: its text with the comments above it, and its names."""

    text: str
    line: int  # the first of its text, counted from 0
    node: ast.stmt
    binds: frozenset[str]
    needs: frozenset[str]

    @property
    def imports(self) -> bool:
        return isinstance(self.node, IMPORTS)

    @property
    def defines(self) -> bool:
        return isinstance(self.node, DEFINITIONS)


@cache
def statements(source: str) -> tuple[Statement, ...]:
    """Return the statements of a cell in their order; none where it is no Python."""
    # A line that is IPython's own is none of Python's, but the others of its cell are.
    lines = re.sub(r"^[%!].*$", "", source, flags=re.MULTILINE).split("\n")
    try:
        nodes = ast.parse("\n".join(lines)).body
    except SyntaxError:
        return ()
    return tuple(_statement(node, lines) for node in nodes)


def parts_of(source: str) -> dict[int, list[str]]:
    """Return the lines on which a cell may be cut, with what each part binds: for alignment."""
    found = [each for each in statements(source) if each.binds and not each.imports]
    return {each.line: sorted(each.binds) for each in found}


def _statement(node: ast.stmt, lines: list[str]) -> Statement:
    first = node.lineno
    if isinstance(node, DEFINITIONS):
        first = min([first, *(each.lineno for each in node.decorator_list)])
    own = "\n".join(lines[first - 1 : node.end_lineno])
    while first > 1 and lines[first - 2].startswith("#"):
        first -= 1
    text = "\n".join(lines[first - 1 : node.end_lineno])
    table = symtable.symtable(own, "cell", "exec")
    binds = {name.get_name() for name in table.get_symbols() if _is_bound(name)}
    read = set(_read(table, top=True)) - BUILTINS
    if not isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):  # those read, then bind
        read -= binds
    return Statement(text, first - 1, node, frozenset(binds), frozenset(read))


def _is_bound(name: symtable.Symbol) -> bool:
    return name.is_assigned() or name.is_imported()


def _read(table: symtable.SymbolTable, top: bool = False) -> Iterator[str]:
    """Yield the names that a scope and those inside it read from the top level."""
    for name in table.get_symbols():
        if name.is_referenced() and (top or name.is_global()):
            yield name.get_name()
    for child in table.get_children():
        yield from _read(child)
