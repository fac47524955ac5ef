"""A runner killed at any moment loses no record, and the next one clears up and completes."""

import json
import random
import signal
import time

import psutil
from small_project import fill, living, record_of, start

from rosetta import records
from rosetta.project import Project

KILLS = 5
ROWS = {"a": "ok_record", "b": "slow", "c": "ok_record"}


def check_what_is_on_disk(project: Project) -> None:
    """Whatever was going on: records, notebooks and tables are whole."""
    _, broken = records.read_all(project)
    assert broken == []
    for file in project.results.glob("*/*/*/*.ipynb"):
        assert json.loads(file.read_text())["nbformat"] == 4
    for file in project.results.glob("*/*/*.svg"):
        assert file.read_text().endswith("</svg>\n")
    if project.results_md.exists():
        text = project.results_md.read_text()
        assert text.startswith("# Results") and text.endswith("\n")
        assert "## The matrix" in text


def orphans(project: Project) -> set[int]:
    mark = str(project.data)
    found = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get("ROSETTA_DATA") == mark:
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


def wait_for_a_kernel(project: Project) -> None:
    deadline = time.monotonic() + 60
    while not orphans(project) and time.monotonic() < deadline:
        time.sleep(0.05)


def test_kill_at_any_moment(project: Project) -> None:
    fill(project, ROWS)
    left_behind = 0
    for number in range(KILLS):
        before = orphans(project)
        process = start(project, "--force")
        moment = random.uniform(0.2, 4.0)
        began = time.monotonic()
        first = process.stdout.readline()  # said after the orphans of the last run are killed
        assert first.startswith("Machine"), first
        assert not before & orphans(project), f"orphans after the next start ({moment=})"
        time.sleep(max(0.0, moment - (time.monotonic() - began)))
        if number == KILLS - 1:  # so that one at least has a kernel, however slow the machine
            wait_for_a_kernel(project)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        left_behind += len(orphans(project))
        check_what_is_on_disk(project)
    process = start(project)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert all(record_of(project, row)["status"] == "ok" for row in ROWS)
    assert living(project) == []
    assert not list(project.root.glob("**/*.tmp"))
    assert not list((project.state / "jobs").glob("*"))
    check_what_is_on_disk(project)
    assert left_behind  # otherwise the test has shown nothing about orphans
