"""What thousands of records cost: time in proportion, plots where they are shown, pages apart."""

import time

import pytest
from small_project import TASK, a_record, fill, options

from rosetta.project import Project
from rosetta.results import records, report
from rosetta.runs import machine, runner


def fill_machines(project: Project, number: int) -> None:
    """Leave the records of ten rows on each of so many machines, one newer than the other."""
    for index in range(number):
        name = {**a_record()["machine"], "name": f"machine-{index}"}
        for row in range(10):
            started = f"2026-11-20T12:{index // 60:02}:{index % 60:02}Z"
            record = a_record(framework=f"row-{row}", machine=name, started=started)
            place = records.path(project, f"machine-{index}", "quick", TASK, f"row-{row}")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(records.dumps(record))  # without the disk's own time for each


def seconds_of_a_report(project: Project) -> float:
    began = time.process_time()
    report.update(project)
    return time.process_time() - began


@pytest.mark.slow
def test_the_time_of_a_report_grows_with_the_records_alone(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    fill_machines(project, 40)
    report.update(project)  # draws the plots
    few = min(seconds_of_a_report(project) for _ in range(3))
    fill_machines(project, 200)
    report.update(project)
    many = min(seconds_of_a_report(project) for _ in range(3))
    assert many < 8 * few  # five times as many; quadratic would be 25


def test_plots_are_drawn_of_the_machines_whose_plots_are_shown(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    fill_machines(project, 4)
    records.write(project, a_record(machine={**a_record()["machine"], "name": "machine-1"}))
    report.update(project)
    drawn = {file.parts[-3] for file in project.results.glob("*/*/*.svg")}
    assert drawn == {"machine-1", "machine-3"}  # the one with the most records, and the newest
    text = project.results_md.read_text()
    for name in ("machine-0", "machine-1", "machine-2", "machine-3"):
        assert (f"(results/{name}/quick/{TASK}-losses.svg)" in text) == (name in drawn)


@pytest.mark.slow
def test_a_run_writes_the_tables_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many cells it has: what one costs does not depend on the records of others."""
    fill(project, {"a": "no_record", "b": "no_record"})
    monkeypatch.setattr(machine.MatrixProduct, "is_due", lambda self: False)
    read, written = [], []
    read_all, update = records.read_all, report.update
    monkeypatch.setattr(records, "read_all", lambda *where: read.append(where) or read_all(*where))
    monkeypatch.setattr(report, "update", lambda where: written.append(where) or update(where))
    assert runner.run(project, options(profile="quick")) == runner.FAILED
    assert len(written) == 1
    assert len(read) == 2  # for the tables, and before the run, to say how long it will take
