"""Whatever a record, or what a notebook hands over, holds: no traceback, no harm in a table."""

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_project import TASK, a_record, fill
from test_outcomes import emitted, judged

from rosetta.project import Project
from rosetta.registry import Framework
from rosetta.results import publish, records, report
from rosetta.results.private import Cleaner

TEXT = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["<script>alert(1)</script>", "a | b", "[x](javascript:y)", "nan", "\x00", "../../x", "\u202e"]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(10**25), 1e308])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
RECORD = a_record()
PATHS = [
    *[(name,) for name in RECORD],
    *[(name, key) for name, value in RECORD.items() if isinstance(value, dict) for key in value],
    ("checks", "logits", "error"),
    ("checks", "logits", "limit"),
    ("losses", 0),
]
QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def changed(value: dict, path: tuple, new: object) -> dict:
    """A copy of a JSON value with another one at a place in it."""
    copy = json.loads(json.dumps(value))
    place = copy
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = new
    return copy


@contextmanager
def another_project() -> Iterator[Project]:
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder).resolve())
        for name in ("frameworks", "notebooks", "common", "data"):
            (project.root / name).mkdir()
        yield fill(project, {"row": "ok_record"})


def is_harmless(markdown: str) -> bool:
    """Say whether no HTML and no link but the table's own can come of a text."""
    bare = re.sub(r"\\[\\|*<>&\[\]`~$_]", "", markdown)
    own = re.sub(r"<!-- Made by .*? -->", "", bare)
    return "<" not in own and not re.search(r"\]\((?!results/)", own) and "\x00" not in own


@QUICK
@given(content=st.binary(max_size=200) | JSON.map(lambda each: json.dumps(each).encode()))
def test_a_file_that_may_hold_anything_is_a_record_or_named(
    project: Project, content: bytes
) -> None:
    file = records.path(project, "machine-1", "quick", TASK, "row")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    found, broken = records.read_all(project)
    assert (found, len(broken)) == ([], 1)
    assert "\n" not in str(broken[0]) and len(str(broken[0])) < 500


@pytest.mark.slow
@settings(QUICK, max_examples=25)  # each writes all tables
@given(path=st.sampled_from(PATHS), value=JSON)
def test_a_record_with_anything_in_it_is_shown_or_named(path: tuple, value: object) -> None:
    with another_project() as project:
        file = records.write(project, RECORD)
        file.write_text(json.dumps(changed(RECORD, path, value)))
        records.write(project, a_record(framework="other"))
        _, broken = report.update(project)
        text = project.results_md.read_text()
        assert "| other | ok" in text
        assert bool(broken) == ("Left out" in text)
        assert is_harmless(text)


@QUICK
@given(path=st.sampled_from([path for path in PATHS if path[0] in emitted()]), value=JSON)
def test_whatever_a_notebook_hands_over_becomes_a_record(path: tuple, value: object) -> None:
    record = judged(changed(emitted(), path, value))
    with another_project() as project:
        file = records.write(project, record)
        read = records.read(project, file)
        assert read["status"] == record["status"]
        assert (read["reason"] is None) == (read["status"] == "ok")
        report.update(project)
        assert is_harmless(project.results_md.read_text())


@QUICK
@given(value=st.dictionaries(TEXT, JSON, max_size=5))
def test_a_record_of_anything_at_all_proves_nothing(value: dict) -> None:
    record = judged(value)
    assert record["status"] == "failed" and record["reason"].isprintable()


STREAMS = st.builds(
    lambda name, text: {"output_type": "stream", "name": name, "text": text},
    st.sampled_from(["stdout", "stderr"]),
    st.text(max_size=40) | st.lists(TEXT, max_size=3),
)
ERRORS = st.builds(
    lambda *texts: {
        "output_type": "error", "ename": texts[0], "evalue": texts[1], "traceback": [texts[2]]
    },
    TEXT, TEXT, TEXT,
)  # fmt: skip
MEDIA = st.sampled_from(["text/plain", "text/html", "image/png", "application/json", "x/<b>"])
SHOWN = st.builds(
    lambda data, metadata: {"output_type": "display_data", "data": data, "metadata": metadata},
    st.dictionaries(MEDIA, JSON, max_size=3),
    st.dictionaries(TEXT, JSON, max_size=2),
)


@QUICK
@given(outputs=st.lists(STREAMS | ERRORS | SHOWN, max_size=6))
def test_whatever_a_cell_puts_out_can_be_published(project: Project, outputs: list) -> None:
    cell = {
        "cell_type": "code", "id": "a", "execution_count": 1, "metadata": {}, "source": "x",
        "outputs": outputs,
    }  # fmt: skip
    executed = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    kept = publish.normalise(executed, Cleaner(project))
    text = publish.dumps(kept)
    text.encode("utf-8")
    nbformat.reads(text, as_version=4)
    assert publish.normalise(kept, Cleaner(project)) == kept
    assert publish.with_outputs(executed, kept, Framework("row", "Row")) is not None


@QUICK
@given(
    secret=st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=9),
    before=TEXT,
    after=TEXT,
)
def test_no_secret_is_left_in_any_text(
    project: Project, secret: str, before: str, after: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOO_TOKEN", secret)
        cleaned = Cleaner(project)(f"{before} {secret} {after}")
    assert secret not in cleaned.replace("(value of FOO_TOKEN)", "")
