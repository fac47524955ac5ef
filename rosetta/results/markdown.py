"""Texts of others in Markdown: what they hold means nothing there, nor in HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Signs that mean something to Markdown; an underscore inside a word is nothing but that.
MEANT = re.compile(r"[\\|*<>&\[\]`~$]|(?<!\w)_|_(?!\w)")


def plain(text: str) -> str:
    """Return a text on one line that means nothing to Markdown and HTML, tables included."""
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else " " for sign in text)
    text = " ".join(text.split())
    return MEANT.sub(r"\\\g<0>", text) if MEANT.search(text) else text


def linked(text: str, place: str | None) -> str:
    """Return Markdown that leads to a file of the repository, or as it is where there is none."""
    return f"[{text}]({place})" if place else text


def table_row(cells: Iterable[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(map(plain, cells))} |"
