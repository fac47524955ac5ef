"""The line in a notebook's title: from records of real data alone, and nothing else is touched."""

import json

import pytest
from small_project import TASK, fill

from rosetta import registry
from rosetta.results import titles


def record(**more):
    return {
        "status": "ok",
        "data": "real",
        "task": TASK,
        "framework": "alpha",
        "profile": "quick",
        "started": "2026-01-01",
        "run": {"seconds": 47.2},
        "machine": {"processor": "A CPU", "cores": 2},
        "metrics": {"accuracy": 0.3},
        **more,
    }


@pytest.fixture
def cells(project):
    fill(project, {"alpha": "ok_record"})
    return registry.cells(project, registry.load(project).values())


def title(cells):
    notebook = json.loads(cells[0].notebook.read_text())
    return "".join(notebook["cells"][0]["source"])


def test_what_a_processor_calls_itself_means_nothing_in_markdown(project, cells):
    machine = {"processor": "<b>A</b> [CPU](x)", "cores": 2}
    assert titles.update(project, cells, [record(machine=machine)])
    assert "on \\<b\\>A\\</b\\> \\[CPU\\](x), 2 cores" in title(cells)


def test_a_processor_is_told_from_another_of_its_name_by_its_vectors(project, cells):
    machine = {"processor": "A CPU", "cores": 2, "vectors": "avx512f"}
    assert titles.update(project, cells, [record(machine=machine)])
    assert "on A CPU with AVX-512, 2 cores" in title(cells)


def test_the_time_of_quick_and_the_accuracy_of_full_stand_in_the_title(project, cells):
    before = cells[0].notebook.read_text()
    full = record(profile="full", run={"seconds": 1400}, metrics={"accuracy": 0.7649})
    assert titles.update(project, cells, [record(), full])
    assert "profile `quick` takes 47 s on A CPU, 2 cores; profile `full` takes 23 min" in title(
        cells
    )
    assert title(cells).endswith("and reaches 76.5 %.")
    assert not titles.update(project, cells, [record(), full])
    assert titles.update(project, cells, [record(run={"seconds": 50})])
    assert "76.5" not in title(cells) and title(cells).count(titles.MARK) == 1
    assert titles.update(project, cells, [record(), full]) and "76.5" in title(cells)
    assert titles.update(project, cells, []) and titles.MARK not in title(cells)
    after = json.loads(cells[0].notebook.read_text())
    assert after["cells"][1:] == json.loads(before)["cells"][1:]


@pytest.mark.parametrize(
    "other", [{"status": "failed"}, {"data": "synthetic"}, {"framework": "beta"}, {"task": "x"}]
)
def test_other_records_say_nothing(project, cells, other):
    before = cells[0].notebook.read_bytes()
    assert not titles.update(project, cells, [record(**other)])
    assert cells[0].notebook.read_bytes() == before


def test_a_notebook_that_is_none_is_left_alone(project, cells):
    cells[0].notebook.write_bytes(b"\xff\xff")
    assert not titles.update(project, cells, [record()])


@pytest.mark.parametrize(
    ("seconds", "words"), [(47.2, "47 s"), (120, "2 min"), (1400, "23 min"), (9000, "2.5 h")]
)
def test_durations_are_said_as_a_reader_says_them(seconds, words):
    assert titles.duration(seconds) == words
