"""How long a run takes, as it is said before it starts."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from small_project import TASK, a_record, fill, options

from rosetta.project import Project
from rosetta.registry import Cell, Framework
from rosetta.results import records, times
from rosetta.runs import machine, runner


def a_cell(name: str) -> Cell:
    return Cell(TASK, Framework(name, name), Path("row.ipynb"))


def took(seconds: float, machine: str, rate: float | None, **more: object) -> dict:
    known = {**a_record()["machine"], "name": machine, "matmul_gflops": rate}
    run = {"seconds": seconds, "cell_seconds": seconds}
    return a_record(machine=known, run=run, **more)


def test_the_records_of_this_machine_come_first_and_others_are_scaled() -> None:
    found = [
        took(100.0, "other", 400.0),
        took(70.0, "mine", 200.0),
        took(100.0, "other", 400.0, framework="b"),
        took(50.0, "other", None, framework="c"),
        took(9.0, "mine", 200.0, framework="d", profile="full"),
        took(9.0, "mine", 200.0, framework="e", status="failed", reason="broken"),
    ]
    known = times.Times(found, "mine", "quick", "cpu", pytest.fail)
    assert known.seconds(a_cell("row")) == 70.0
    assert known.seconds(a_cell("b")) == 200.0
    assert [known.seconds(a_cell(name)) for name in "cde"] == [None] * 3


def test_a_machine_without_records_is_measured_once() -> None:
    asked: list[int] = []
    found = [took(100.0, "other", 400.0), took(10.0, "other", 400.0, framework="b")]
    known = times.Times(found, "new", "quick", "cpu", lambda: asked.append(1) or 100.0)
    assert [known.seconds(a_cell(name)) for name in ("row", "b")] == [400.0, 40.0]
    assert asked == [1]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 second"), (40, "40 seconds"), (59.6, "1 minute"), (750, "12 minutes"),
     (12600, "3.5 hours")],
)  # fmt: skip
def test_a_duration_in_words(seconds: float, said: str) -> None:
    assert times.words(seconds) == said


def test_a_run_and_the_list_say_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "matmul_gflops", lambda: 100.0)
    fill(project, {"a": "exception", "b": "exception"})
    records.write(project, took(90.0, "other", 400.0, framework="a"))
    said = Console(file=io.StringIO(), width=200)
    runner.show_cells(project, options(times=True, profile="quick"), said)
    assert "never run, 6 minutes" in said.file.getvalue()
    runner.run(project, options(profile="quick", repeats=2), said)
    line = "will take about 12 minutes, without what is built and fetched; no record tells of"
    assert f"{line} {TASK} b" in said.file.getvalue()
