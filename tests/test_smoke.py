"""Every row's notebooks, in their own environments, at profile smoke: the main job, made small."""

import json
from pathlib import Path

import pytest
from real_project import ROOT, linked, run_all

from rosetta import registry
from rosetta.project import Project
from rosetta.results import proof

ROWS = [row for row in registry.load(Project(ROOT)).values() if row.notebook]

pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(5000)]


@pytest.fixture
def project(tmp_path: Path, environments: None) -> Project:
    """The repository with results of its own, so that a test run leaves results.md alone."""
    return linked(tmp_path, "notebooks")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_notebooks_of_a_row_pass_their_checks(project, row):
    selection = ("--framework", row.name, "--profile", "smoke", "--device", "cpu")
    done = run_all(*selection, root=project.root)
    files = project.results.glob(f"*/smoke/*/{row.name}.json")
    records = {file.parent.name: json.loads(file.read_text()) for file in files}
    assert records, done.stdout + done.stderr
    missing = [record["reason"] for record in records.values() if record["status"] == "unavailable"]
    if missing and "Python" in missing[0]:
        pytest.skip(missing[0])
    for record in records.values():
        assert record["status"] == "ok", record["reason"]
        trains = record["task"] not in row.inference
        assert set(record["checks"]) == set(proof.required(record["task"], trains))
        for name, check in record["checks"].items():
            assert check["error"] <= check["limit"], name
    expected = {cell.task for cell in registry.cells(project, [row])}
    assert set(records) == expected and done.returncode == 0, done.stdout + done.stderr
