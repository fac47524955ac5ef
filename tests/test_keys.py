"""A key changes with what the outcome depends on, and with nothing else."""

import json
import time
from pathlib import Path

import pytest
from small_project import ROOT, TASK, a_record, add_row, fill

from rosetta import registry
from rosetta.project import Project
from rosetta.results import keys, records, report
from rosetta.results.keys import Keys

DATA = {"data": "real", "weights": "initial"}


def key(project: Project, **changed: object) -> str:
    """The key of the only cell, from the files as they are now."""
    (cell,) = registry.cells(project, registry.load(project).values())
    found = Keys(project)
    settings = {
        "environment": found.environment(cell.framework, "cpu"),
        "parameters": {"device": "cpu", "profile": "quick", "seed": 0},
        "data": DATA,
        "machine": "machine-1",
    }
    return keys.of(found.parts(cell, **{**settings, **changed}))


def edit(project: Project, change: str) -> None:
    file = project.notebooks / TASK / "row.ipynb"
    notebook = json.loads(file.read_text())
    if change == "code":
        notebook["cells"][2]["source"] = ["1 + 1"]
    elif change == "prose":
        notebook["cells"][0]["source"] = ["Other words."]
    elif change == "outputs":
        notebook["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1"}]
        notebook["metadata"]["rosetta"] = {"framework": "row"}
    file.write_text(json.dumps(notebook))


@pytest.mark.parametrize("change", ["prose", "outputs"])
def test_prose_and_outputs_do_not_count(project: Project, change: str) -> None:
    fill(project, {"row": "ok_record"})
    before = key(project)
    edit(project, change)
    assert key(project) == before


def change_code(project: Project) -> None:
    edit(project, "code")


def change_common(project: Project) -> None:
    (project.common / "tasks.py").write_text("x = 1\n")


def change_lock(project: Project) -> None:
    (project.frameworks / "row.lock").write_text("numpy==1.0\n")


def change_variables(project: Project) -> None:
    file = project.frameworks / "row.toml"
    file.write_text(file.read_text() + '[variables]\nA = "1"\n')


def change_build(project: Project) -> None:
    (project.frameworks / "row.build.py").write_text("")
    add_row(project, "row", build='"row.build.py"')


@pytest.mark.parametrize(
    "change", [change_code, change_common, change_lock, change_variables, change_build]
)
def test_what_a_run_depends_on_changes_its_key(project: Project, change: object) -> None:
    fill(project, {"row": "ok_record"})
    before = key(project)
    change(project)
    assert key(project) != before


def test_what_only_runs_without_training_use_is_no_part_of_the_others(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    before = key(project)
    (project.common / "inference.py").write_text("x = 1\n")
    assert key(project) == before
    file = project.frameworks / "row.toml"
    file.write_text(f'inference = ["{TASK}"]\n' + file.read_text())
    without = key(project)
    assert without != before
    (project.common / "inference.py").write_text("x = 2\n")
    assert key(project) != without


@pytest.mark.parametrize(
    "changed",
    [
        {"parameters": {"device": "cpu", "profile": "full", "seed": 0}},
        {"data": {"data": "synthetic", "weights": "initial"}},
        {"machine": "machine-2"},
        {"environment": "another"},
    ],
)
def test_the_setting_of_a_run_changes_its_key(project: Project, changed: dict) -> None:
    fill(project, {"row": "ok_record"})
    assert key(project, **changed) != key(project)


@pytest.mark.parametrize("content", [b"{}", b"\xff\xff", b"[" * 100_000, b""])
def test_what_is_no_notebook_has_a_key_too(project: Project, content: bytes) -> None:
    fill(project, {"row": "ok_record"})
    (project.notebooks / TASK / "row.ipynb").write_bytes(content)
    assert key(project)
    records.write(project, a_record())
    report.write(project)
    assert "stale, changed since: the notebook" in project.results_md.read_text()


def test_a_record_says_what_has_changed_since(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    (cell,) = registry.cells(project, registry.load(project).values())
    found = Keys(project)
    parameters = {"device": "cpu", "profile": "quick", "seed": 0}
    environment = found.environment(cell.framework, "cpu")
    parts = found.parts(cell, environment, parameters, DATA, "machine-2")
    record = a_record(key_parts=parts, parameters=parameters)
    assert Keys(project).why_stale(record, cell) is None
    fewer = {**record, "checks": {"logits": record["checks"]["logits"]}}
    assert "made without the checks roundtrip" in Keys(project).why_stale(fewer, cell)
    change_code(project)
    change_lock(project)
    why = Keys(project).why_stale(record, cell)
    assert why == "changed since: the notebook, the environment"
    here = {**record, "environment": {"here": True}}
    assert Keys(project).why_stale(here, cell) == "changed since: the notebook"
    assert "gone" in Keys(project).why_stale(record, None)


def test_the_keys_of_the_whole_project_take_no_time() -> None:
    project = Project(ROOT)
    start = time.process_time()  # whatever else runs
    found = Keys(project)
    for cell in registry.cells(project, registry.load(project).values()):
        found.parts(cell, found.environment(cell.framework, "cpu"), {}, DATA, "machine-1")
    assert time.process_time() - start < 1.0
    assert Path(project.common).is_dir()


def test_comments_and_docstrings_of_common_do_not_count_but_code_does():
    plain = "def f(x):\n    return x\n"
    worded = '"""What it is."""\n\n# Why.\ndef f(x):\n    """Return x."""\n\n    return x  # so\n'
    assert keys.statements_of(plain) == keys.statements_of(worded)
    assert keys.statements_of(plain) != keys.statements_of(plain.replace("return x", "return 'x'"))
    assert keys.statements_of(plain) != keys.statements_of(plain.replace("    return", "return"))
