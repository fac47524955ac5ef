"""What records and notebooks bring into the pages: no script, no handler, no link to run."""

import base64
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosetta.site import render, safe


class Tags(HTMLParser):
    """Collects the names and the attributes of all tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attributes


HOSTILE = (
    "<script>hacked = 1</script>",
    "<img src=x onerror='hacked = 1'>",
    "<a href='javascript:hacked = 1'>go</a>",
    "<iframe srcdoc='<script>hacked = 1</script>'></iframe>",
    "<svg onload='hacked = 1'><script>hacked = 1</script></svg>",
    "<form action='https://example.org'><input name='a'></form>",
    "<style>body { display: none }</style>",
    "<math><mtext></mtext><mglyph><style></math><img src onerror=hacked=1>",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_html_of_an_output_and_of_prose_is_harmless(text: str) -> None:
    output = {"output_type": "display_data", "data": {"text/html": text}}
    for shown in (render.outputs([output], render.Images()), render.prose(text)):
        tags = Tags(shown)
        assert not tags.names & {"script", "iframe", "form", "input", "style", "svg", "math"}
        assert not [name for name, _ in tags.attributes if name.startswith("on")]
        assert not [value for _, value in tags.attributes if "hacked" in (value or "")]


def test_tables_and_coloured_code_stay() -> None:
    table = "<table><tr><td>accuracy</td><td>0.75</td></tr></table>"
    assert "<td>accuracy</td>" in safe.html(table)
    assert '<span class="k">' in render.prose("```python\nimport numpy\n```").replace("kn", "k")
    assert '<a href="../README.md"' in render.prose("[guide](../README.md)")


def test_text_of_an_output_is_no_html() -> None:
    stream = {"output_type": "stream", "name": "stdout", "text": "<script>hacked = 1</script>"}
    error = {"output_type": "error", "traceback": ["<img src=x onerror=hacked=1>"]}
    plain = {"output_type": "execute_result", "data": {"text/plain": "<b>bold</b>"}}
    shown = render.outputs([stream, error, plain], render.Images())
    assert "<script" not in shown and "<img" not in shown and "<b>" not in shown


DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'viewBox="0 0 9 9" onload="hacked = 1"><script>hacked = 1</script>{}'
    '<path d="M0 0L9 9" onclick="hacked = 1"/><foreignObject><p>hacked</p></foreignObject>'
    '<a xlink:href="javascript:hacked = 1"><text>hacked</text></a>'
    '<use href="https://example.org/hacked.svg"/><rect style="fill: url(//hacked)"/></svg>'
)


def test_a_drawing_has_shapes_alone() -> None:
    drawn = safe.drawing(DRAWING.format("<text>loss</text>")).decode()
    assert "hacked" not in drawn
    assert 'viewBox="0 0 9 9"' in drawn and 'd="M0 0L9 9"' in drawn and "loss" in drawn


NESTED = '<svg xmlns="http://www.w3.org/2000/svg">' + "<g>" * 100_000 + "</g>" * 100_000 + "</svg>"


@pytest.mark.parametrize(
    "text", ["", "<svg>", "<html/>", "<!DOCTYPE x [<!ENTITY a 'b'>]><svg/>", NESTED]
)
def test_a_drawing_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        safe.drawing(text)


def test_nested_html_takes_no_hours() -> None:
    output = {"output_type": "display_data", "data": {"text/html": "<div>" * 1_000_000}}
    assert "a plot (too long to be shown)" in render.outputs([output], render.Images())


PIECES = st.lists(
    st.sampled_from(
        [*HOSTILE, "<", ">", "</", "/>", "<!--", "-->", "<![CDATA[", "]]>", "<script", "<svg ",
         "<g>", "</g>", "</svg>", "<style>", "<title>", "<table>", "<a href=", "'", '"', "\0",
         "&#x", "javascript:x", " onload=x", " style='x'", '<svg xmlns="http://www.w3.org/2000/svg">',
         '<use href="//x"/>', "<animate attributeName='href' to='javascript:x'/>"]
    ) | st.text(max_size=5),
    max_size=9,
).map("".join)  # fmt: skip
KINDS = ["text/html", "image/svg+xml", "image/png", "image/jpeg", "text/plain"]


@given(data=st.dictionaries(st.sampled_from(KINDS), PIECES, max_size=2), text=PIECES)
@settings(max_examples=200, deadline=None)
def test_whatever_an_output_holds_nothing_in_a_page_runs(data: dict, text: str) -> None:
    images = render.Images()
    found = [
        {"output_type": "display_data", "data": data},
        {"output_type": "stream", "name": "stdout", "text": text},
        {"output_type": "error", "traceback": [text]},
    ]
    pages = [render.outputs(found, images), *(each.decode() for each in images.files.values())]
    for page in pages:
        tags = Tags(page)
        assert not tags.names & {"script", "iframe", "form", "input", "animate", "math"}
        assert not [name for name, _ in tags.attributes if name.startswith("on")]
        links = [value or "" for name, value in tags.attributes if name.endswith("href")]
        assert not [link for link in links if link.strip().lower().startswith("javascript")]


@pytest.mark.parametrize("data", ["?", "", base64.b64encode(b"GIF89a").decode(), "iVBORw0KGgo="])
def test_a_picture_that_is_none_is_said_to_be_none(data: str) -> None:
    output = {"output_type": "display_data", "data": {"image/png": data, "text/plain": "loss"}}
    images = render.Images()
    assert "loss (cannot be shown)" in render.outputs([output], images)
    assert images.files == {}
