"""A run on a Dask cluster of two workers, with real processes and tiny notebooks."""

import io
import re
from pathlib import Path

import pytest
from dask_cluster import Cluster, cluster_of, wait_until
from rich.console import Console
from small_project import fill, living, options, record_of

from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.runs import cluster, machine, runner, travel

# What two runs of one notebook may differ in.
pytestmark = pytest.mark.slow

TIMED = ("started", "run")


def run(project: Project, on: Cluster, **chosen: object) -> tuple[int, str]:
    """Run on a cluster from this process; return the exit code and what was said."""
    said = io.StringIO()
    chosen = {"scheduler": on.address, **chosen}
    code = cluster.run(project, options(**chosen), Console(file=said, width=200))
    return code, said.getvalue()


def untimed(project: Project, row: str) -> dict:
    record = record_of(project, row)
    return {name: value for name, value in record.items() if name not in TIMED}


def nothing_is_left(project: Project, on: Cluster) -> None:
    """No process of a run, and no file of one, on any of the hosts."""
    wait_until(lambda: not on.answering(), 30)
    wait_until(lambda: all("dask" in each for each in living(project)), 10)
    wait_until(lambda: not list(on.folder.glob("*/jobs/*")), 10)
    assert not list(on.folder.glob("*/checkouts/*/.rosetta/jobs/*"))
    assert not list(project.root.glob("**/*.tmp"))


def test_two_workers_make_the_records_that_a_run_here_makes(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"a": "ok_record", "b": "exception", "c": "ok_record"}
    fill(project, rows)
    monkeypatch.setattr(machine.MatrixProduct, "is_due", lambda self: False)
    quick = {"profile": "quick"}  # which the tables show
    assert runner.run(project, options(**quick), Console(file=io.StringIO())) == runner.FAILED
    here = {row: untimed(project, row) for row in rows}
    executed = {file.name: file.read_text() for file in project.results.glob("*/*/*/*.ipynb")}
    for file in project.results.glob("*/*/*/*.*"):
        file.unlink()
    fill(project, rows)  # the notebooks' titles speak of records since
    # A worker's own paths lead to another checkout: it is not to matter.
    other = tmp_path / "other" / "rosetta"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise ImportError('another version')")
    with cluster_of(tmp_path / "cluster", project, "one") as on:
        on.start_worker("two", PYTHONPATH=str(other.parent), ROSETTA_ROOT="/nowhere")
        on.wait_for_workers(2)
        code, said = run(project, on, **quick)
        assert code == runner.FAILED
        assert "3 notebooks, 3 to run" in said
        assert "cifar10_cnn a on tcp://" in said and "[3/3] cifar10_cnn" in said
        assert len(set(re.findall(r"on (tcp://\S+) \.\.\.", said))) == 2
        assert {row: untimed(project, row) for row in rows} == here
        found = {file.name: file.read_text() for file in project.results.glob("*/*/*/*.ipynb")}
        assert found == executed
        assert re.search(r"\[ok(, busy machine)?\]", project.results_md.read_text())
        nothing_is_left(project, on)

        said = listing(project, on, **quick)
        assert f"{here['a']['machine']['name']}: 2 workers, tcp://" in said
        assert "will run cifar10_cnn: b\n" in said and re.search(r"c +│ ok", said)
        code, said = run(project, on, frameworks=("a", "c"), **quick)
        assert (code, "Nothing to do" in said) == (runner.OK, True)


def listing(project: Project, on: Cluster, **chosen: object) -> str:
    said = io.StringIO()
    asked = options(scheduler=on.address, **chosen)
    cluster.show_cells(project, asked, Console(file=said, width=200))
    return said.getvalue()


def test_a_cluster_that_is_of_no_use_is_one_line(project: Project, tmp_path: Path) -> None:
    fill(project, {"a": "ok_record"})
    with cluster_of(tmp_path / "cluster", project) as on:
        start = f"start one for each device with 'dask worker {on.address} .*--resources rosetta=1'"
        with pytest.raises(UserError, match=f"has no worker: {start}"):
            run(project, on)
        on.start_worker("one", resource="")
        on.wait_for_workers(1)
        with pytest.raises(UserError, match=f"no worker declares a device to lease: {start}"):
            run(project, on)
    with pytest.raises(UserError, match=r"no Dask scheduler answers at .*start one with"):
        run(project, on)
    with pytest.raises(UserError, match="unknown framework 'aa': did you mean 'a'"):
        run(project, on, frameworks=("aa",))
    assert not project.results.exists()


def test_what_travels_has_a_name_made_of_what_is_in_it(project: Project) -> None:
    fill(project, {"a": "ok_record"})
    name, package = travel.pack(project)
    (project.root / "results").mkdir()
    (project.results / "x.json").write_text("{}")
    (project.common / "__pycache__").mkdir()
    (project.common / "__pycache__" / "tasks.pyc").write_text("")
    assert travel.pack(project) == (name, package)
    (project.common / "tasks.py").write_text("x = 1\n")
    assert travel.pack(project)[0] != name
    assert len(package) < 4e6  # sent to every worker once


def test_repeats_are_spread_over_the_workers(project: Project, tmp_path: Path) -> None:
    fill(project, {"a": "ok_record", "b": "exception"})
    with cluster_of(tmp_path / "cluster", project, "one", "two") as on:
        code, _ = run(project, on, repeats=2)
        assert code == runner.FAILED
        record = record_of(project, "a")
        assert (record["repeats"], record["workers"]) == (2, 2)
        assert record["spread"]["train_examples_per_second"] == [100, 100]
        assert record_of(project, "b")["reason"].endswith(" of 2)")
        nothing_is_left(project, on)
