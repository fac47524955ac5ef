"""How busy the machine was with other work."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from small_project import fill, options, record_of

from rosetta.project import Project
from rosetta.runs import load, runner

BURN = "while True: pass"


@pytest.fixture
def other_work() -> Iterator[None]:
    """A process that keeps a core busy, and is no child of what is measured."""
    shell = f"exec {sys.executable} -c '{BURN}'"
    process = subprocess.Popen(["sh", "-c", shell], start_new_session=True)
    yield
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.usefixtures("other_work")
def test_other_work_is_in_the_record(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    assert runner.run(project, options()) == 0
    assert record_of(project, "row")["run"]["other_cores"] > 0.1


@pytest.mark.parametrize(("busy", "own", "others"), [(15.0, 2.0, 1.3), (10.0, 10.5, 0.0)])
def test_what_a_run_does_itself_is_no_other_work(
    monkeypatch: pytest.MonkeyPatch, busy: float, own: float, others: float
) -> None:
    readings = {"_busy": iter([100.0, 100.0 + busy]), "_own": iter([5.0, 5.0 + own])}
    for name, values in readings.items():
        monkeypatch.setattr(load, name, lambda values=values: next(values))
    clock = iter([50.0, 60.0])
    monkeypatch.setattr(load.time, "monotonic", lambda: next(clock))
    assert load.Load().others() == pytest.approx(others)


def test_children_that_have_ended_are_own_work() -> None:
    before = load._own()
    code = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert load._own() - before >= 0.3
