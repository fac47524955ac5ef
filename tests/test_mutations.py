"""Mistakes planted in the real notebooks: each is run, and caught by the check that should."""

import json
import re
from pathlib import Path

import pytest
from mutations import CORE, MUTATIONS, Mutation
from real_project import ROOT, linked, run_all

from rosetta import registry
from rosetta.project import Project

pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(5000)]


@pytest.fixture
def project(tmp_path: Path, environments: None) -> Project:
    """The repository with notebooks of its own to spoil, and results of its own."""
    return linked(tmp_path)


def plant(project: Project, mutation: Mutation) -> Path:
    """Copy the notebook of a mutation with its mistake planted."""
    row = registry.load(Project(ROOT))[mutation.row]
    source = ROOT / "notebooks" / mutation.task / f"{row.notebook}.ipynb"
    target = project.notebooks / mutation.task / source.name
    target.parent.mkdir(parents=True)
    notebook, planted = json.loads(source.read_text(encoding="utf-8")), 0
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code" and mutation.old in text:
            planted += text.count(mutation.old)
            cell["source"] = text.replace(mutation.old, mutation.new)
    assert planted, f"nothing to plant '{mutation.mistake}' in: {mutation.old!r} is gone"
    target.write_text(json.dumps(notebook), encoding="utf-8")
    return target


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "mutation" in metafunc.fixturenames:
        everything = metafunc.config.getoption("--all-mutations")
        chosen = [each for each in MUTATIONS if everything or each.name in CORE]
        metafunc.parametrize("mutation", chosen, ids=[each.name for each in chosen])


def test_every_mistake_of_the_core_is_one_of_the_list():
    assert {each.name for each in MUTATIONS} >= CORE


def test_a_planted_mistake_is_caught(project, mutation):
    plant(project, mutation)
    selection = ("--framework", mutation.row, "--task", mutation.task)
    done = run_all(*selection, "--profile", "smoke", "--device", "cpu", root=project.root)
    (file,) = project.results.glob(f"*/smoke/{mutation.task}/{mutation.row}.json")
    record = json.loads(file.read_text(encoding="utf-8"))
    assert record["status"] == "failed", f"recorded as {record['status']}"
    assert done.returncode == 1
    reason = record["reason"]
    print(f"{mutation.name}: {reason}")
    assert re.search(rf"CheckFailed: (?:{mutation.caught})\b", reason), reason
