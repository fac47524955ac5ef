"""Keeps what records and notebooks bring from doing anything in a page: HTML, pictures, files."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import nh3

from rosetta.project import Project

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
SVG = "http://www.w3.org/2000/svg"
# Pictures of outputs are files of their own; one in HTML would lead elsewhere.
TAGS = nh3.ALLOWED_TAGS - {"img"}
ATTRIBUTES = {**nh3.ALLOWED_ATTRIBUTES, "*": {"class"}}  # classes give code its colours
SCHEMES = {"http", "https", "mailto"}
# What a drawing is made of; a script, a foreign object or an animation of a link is none of it.
SHAPES = ("rect", "circle", "ellipse", "line", "polyline", "polygon", "path", "text", "tspan")
PARTS = ("svg", "g", "defs", "symbol", "use", "title", "desc", "style", "clipPath", "mask")
PAINTS = ("pattern", "marker", "linearGradient", "radialGradient", "stop")
SVG_TAGS = frozenset((*SHAPES, *PARTS, *PAINTS))
DEEPEST = 100  # levels of a drawing
ElementTree.register_namespace("", SVG)


def html(text: str) -> str:
    """Return HTML without scripts, forms, frames, handlers, and links to what is no page."""
    return nh3.clean(text, tags=TAGS, attributes=ATTRIBUTES, url_schemes=SCHEMES)


def picture(data: str, kind: str) -> bytes:
    """Return the file of a picture as an output holds it. Raises ValueError where it is none."""
    if kind == "image/svg+xml":
        return drawing(data)
    try:
        content = base64.b64decode(data)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if not content.startswith(PNG if kind == "image/png" else JPEG) or len(content) < 24:
        raise ValueError(f"not a picture of {kind}")
    return content


def drawing(text: str) -> bytes:
    """Return an SVG with nothing but shapes and text. Raises ValueError where it is none."""
    if re.search(r"<!(?:DOCTYPE\s[^>]*\[|ENTITY)", text, re.IGNORECASE):
        raise ValueError("it defines entities")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from None
    if root.tag != f"{{{SVG}}}svg":
        raise ValueError("not an SVG")
    _prune(root, DEEPEST)
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def _prune(element: ElementTree.Element, levels: int) -> None:
    if levels == 0:
        raise ValueError("it is too deeply nested")
    for name, value in list(element.attrib.items()):
        local = name.rpartition("}")[2].lower()
        leads_out = re.search(r"url\(\s*['\"]?(?!#)|@import", value, re.IGNORECASE)
        if local.startswith("on") or (local == "href" and not value.startswith("#")) or leads_out:
            del element.attrib[name]
    for child in list(element):
        tag = child.tag if isinstance(child.tag, str) else ""
        styled = tag == f"{{{SVG}}}style" and re.search(r"url\(|@import", child.text or "")
        if tag.removeprefix(f"{{{SVG}}}") in SVG_TAGS and not styled:
            _prune(child, levels - 1)
        else:
            element.remove(child)


def published(project: Project, places: Iterable[str]) -> tuple[dict[str, Path], list[str]]:
    """Return the files of records and executed notebooks by their paths, and what is refused.

    places: paths in the repository without extension. A link that leads out of results/ is refused:
    what it leads to is not ours to show.
    """
    home, found, refused = project.results.resolve(), {}, []
    for name in (f"{place}.{extension}" for place in places for extension in ("json", "ipynb")):
        file = project.root / name
        if not file.is_file():
            continue
        if file.resolve().is_relative_to(home):
            found[name] = file
        else:
            refused.append(f"{name} is a link that leads out of results/: not shown, remove it")
    return found, refused
