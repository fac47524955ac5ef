"""Cells as HTML: prose, highlighted code in lines, outputs."""

from __future__ import annotations

import hashlib
import html
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rosetta.site import safe

# Lines that may be broken at the width of a column carry their indentation, to hang at it.
LONG_LINE = 44
# What is nested deeply takes a time that grows with the square of its length.
HTML_LIMIT = 50_000
IMAGES = {"image/png": "png", "image/jpeg": "jpg", "image/svg+xml": "svg"}


@dataclass
class Images:
    """The pictures of all outputs, one file for each different one, written when pages are."""

    files: dict[str, bytes] = field(default_factory=dict)

    def add(self, content: bytes, extension: str) -> str:
        """Return where the picture will be, relative to the pages."""
        name = f"images/{hashlib.sha256(content).hexdigest()[:16]}.{extension}"
        self.files[name] = content
        return name

    def write(self, folder: Path) -> None:
        for name, content in self.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)


def prose(markdown: str) -> str:
    """Return Markdown as HTML, without nbconvert's marks beside headings."""
    from nbconvert.filters import markdown2html

    text: str = markdown2html(markdown)
    return safe.html(re.sub(r'<a class="anchor-link".*?</a>', "", text)).strip()


def inline(markdown: str) -> str:
    """Return one paragraph of Markdown as HTML without the paragraph's own tags."""
    return re.sub(r"^<p>(.*)</p>$", r"\1", prose(markdown), flags=re.DOTALL)


def code(source: str) -> str:
    """Return highlighted Python, each line a block of its own that ends with its line break."""
    return _pre(_lines(source))


def cell(source: str, parts: Mapping[int, Sequence[str]]) -> str:
    """Return the code of a cell; lines that begin a part say what it binds, for alignment."""
    lines = list(_lines(source))
    for number, names in parts.items():
        mark = f'<span class="l" data-part="{" ".join(names)}"'
        lines[number] = lines[number].replace('<span class="l"', mark, 1)
    return _pre(lines)


@cache
def _lines(source: str) -> tuple[str, ...]:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    marked = highlight(source, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True))
    lines = zip(source.split("\n"), marked.rstrip("\n").split("\n"), strict=False)
    return tuple(f'<span class="l"{_hang(plain)}>{line}\n</span>' for plain, line in lines)


def _pre(lines: Iterable[str]) -> str:
    return f"<pre><code>{''.join(lines)}</code></pre>"


def _hang(line: str) -> str:
    indentation = len(line) - len(line.lstrip())
    return f' style="--i:{indentation}"' if indentation and len(line) > LONG_LINE else ""


def outputs(found: list[Mapping[str, Any]], images: Images) -> str:
    """Return the outputs of a cell as HTML."""
    return "".join(_output(output, images) for output in found)


def _output(output: Mapping[str, Any], images: Images) -> str:
    if output["output_type"] == "stream":
        return _text(output["text"], output["name"])
    if output["output_type"] == "error":
        return _text("\n".join(output["traceback"]), "stderr")
    data = output["data"]
    alternative = _joined(data.get("text/plain", "a plot"))
    for kind, extension in IMAGES.items():
        if kind in data:
            try:
                content = safe.picture(_joined(data[kind]), kind)
            except ValueError:
                return _text(f"{alternative} (cannot be shown)", "result")
            return _image(content, extension, alternative, images)
    if "text/html" in data:
        text = _joined(data["text/html"])
        if len(text) > HTML_LIMIT:
            return _text(f"{alternative} (too long to be shown)", "result")
        return f'<div class="rich">{safe.html(text)}</div>'
    return _text(alternative, "result")


def _text(text: str | list[str], kind: str) -> str:
    from nbconvert.filters import ansi2html

    shown: str = ansi2html(_joined(text).rstrip())  # type: ignore[no-untyped-call]
    return f'<pre class="out {kind}">{shown}</pre>'


def _image(content: bytes, extension: str, alternative: str, images: Images) -> str:
    place = images.add(content, extension)
    size = ""
    if extension == "png":  # its header says how large it is: the page need not move for it
        width, height = struct.unpack(">II", content[16:24])
        size = f' width="{width}" height="{height}"'
    return f'<img src="{place}"{size} alt="{html.escape(alternative)}" loading="lazy">'


def _joined(text: str | list[str]) -> str:
    return "".join(text)
