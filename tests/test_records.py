"""Records are written whole or not at all, and a broken one is named and left alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_project import a_record, fill

from rosetta import cli, files
from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.results import records
from rosetta.results.records import BrokenRecordError


def test_a_record_is_read_as_it_was_written(project: Project) -> None:
    record = a_record()
    file = records.write(project, record)
    assert file == project.results / "machine-1" / "quick" / "cifar10_cnn" / "row.json"
    assert records.read(project, file) == record
    assert records.read_all(project) == ([record], [])
    assert records.read(project, file.with_name("other.json")) is None


def test_what_is_read_and_written_again_is_the_same_text(project: Project) -> None:
    """Its parameters are hashed, so that 0 must not become 0.0 on the way."""
    file = records.write(project, a_record(spread={"accuracy": [0.5, 0.75]}))
    text = file.read_text()
    records.write(project, records.read(project, file))
    assert file.read_text() == text


def test_lists_of_numbers_are_one_line_and_no_number_is_null() -> None:
    text = records.dumps({"losses": [1.5, float("nan"), 2e-07], "empty": [], "words": ["a", "b"]})
    assert '"losses": [1.5, null, 2e-07]' in text
    assert json.loads(text)["words"] == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": 2}, "schema is 2, this version reads 1"),
        ({"metrics": None}, "metrics: Expected 'object', got 'null'"),
        ({"metrics": {"accuracy": "high"}}, "metrics: Expected 'int | float | null', got 'str'"),
        ({"metrics": {"accuracy": 75.0}}, "metrics.accuracy is 75, not from 0 to 1"),
        ({"metrics": {"accuracy": 10**400}}, "metrics: Expected 'int' <= 9223372036854775807"),
        ({"environment": None}, "environment: Expected 'object', got 'null'"),
        ({"machine": {"name": "machine-1"}}, "machine: missing: 'processor'"),
        ({"unit": "<b>"}, "unit: Expected 'str' matching regex"),
        ({"notes": 5}, "notes: Expected 'str | null', got 'int'"),
        ({"losses": ["a"]}, "losses[0]: Expected 'int | float | null', got 'str'"),
        ({"repeats": 0}, "repeats: Expected 'int' >= 1"),
        ({"checks": {}}, "it holds no check"),
        ({"checks": {"logits": {"error": 0.9, "limit": 1.0}}}, "error 0.9 is over the limit"),
        ({"checks": {"new": {"error": 2.0, "limit": 1.0}}}, "error 2 is over the limit 1"),
        ({"checks": {"logits": {"error": 0.0, "limit": 0.0}}}, "its limit is no number above 0"),
        ({"checks": {"logits": {"error": True, "limit": 1e-5}}}, "got 'bool'"),
        ({"status": "fine"}, "status: Invalid enum value 'fine'"),
        ({"status": "failed", "reason": None}, "status is 'failed' without a reason"),
        ({"profile": "long"}, "profile: Invalid enum value 'long'"),
        ({"framework": "other"}, "it is not in the folder that"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(project: Project, change: dict, why: str) -> None:
    file = records.write(project, a_record())
    file.write_text(json.dumps({**a_record(), **change}))
    found, broken = records.read_all(project)
    assert found == []
    assert "results/machine-1/quick/cifar10_cnn/row.json is not a valid record" in str(broken[0])
    assert why in str(broken[0])
    assert "mend it, or delete it" in str(broken[0])


NO_RECORDS = {
    "nothing": "",
    "half": '{"schema": 1,',
    "a list": "[]",
    "a conflict": "<<<<<<< HEAD\n{}",
    "other bytes": "\x00\xff",
    "deep lists": "[" * 200_000,
    "deep objects": '{"a":' * 100_000,
    "a long number": f'{{"schema": {"9" * 6000}}}',
    "a number that is none": '{"schema": NaN}',
    "half a character": '{"schema": "\\ud800"}',
}


@pytest.mark.parametrize("text", NO_RECORDS.values(), ids=NO_RECORDS)
def test_what_is_no_json_is_a_broken_record(project: Project, text: str) -> None:
    file = records.write(project, a_record())
    file.write_text(text, encoding="latin-1")
    with pytest.raises(BrokenRecordError):
        records.read(project, file)
    assert file.read_text(encoding="latin-1") == text


def test_a_missing_field_is_named(project: Project) -> None:
    record = a_record()
    file = records.write(project, record)
    del record["checks"]
    file.write_text(json.dumps(record))
    with pytest.raises(BrokenRecordError, match="missing: 'checks'"):
        records.read(project, file)


@pytest.mark.parametrize("name", ["environment", "unit", "machine", "versions", "metrics"])
def test_what_every_record_holds(project: Project, name: str) -> None:
    record = a_record()
    file = records.write(project, record)
    del record[name]
    file.write_text(json.dumps(record))
    with pytest.raises(BrokenRecordError, match=f"'{name}'"):
        records.read(project, file)


def test_a_folder_and_a_pipe_in_the_place_of_a_record_are_named(project: Project) -> None:
    folder = records.write(project, a_record()).parent
    (folder / "a.json").mkdir()
    os.mkfifo(folder / "b.json")  # reading it would never end
    found, broken = records.read_all(project)
    assert [each["framework"] for each in found] == ["row"]
    assert [error.why for error in broken] == ["it is not a file"] * 2


@pytest.mark.parametrize("command", ["list", "report", "site", "run"])
def test_results_that_are_no_folder_are_named(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    fill(project, {"row": "ok_record"})
    project.results.write_text("")
    monkeypatch.setenv("ROSETTA_ROOT", str(project.root))
    monkeypatch.chdir(project.root)
    assert cli.main([command]) == 2
    said = capsys.readouterr().err
    assert said.startswith("run_all.py: results is a file: a folder must be there")
    assert said.count("\n") == 1


def test_a_failure_stands_beside_the_figures_of_a_run_that_was_ok() -> None:
    ok = a_record()
    failed = a_record(status="failed", reason="E: why", started="2026-11-21T12:00:00Z")
    kept = records.after(ok, failed)
    last = {"status": "failed", "reason": "E: why", "started": "2026-11-21T12:00:00Z"}
    assert kept == {**ok, "last_try": last}
    assert records.last_try(kept) == "last try failed: E: why"
    assert records.after(kept, ok) == ok  # the next run that is ok clears it
    assert records.after(failed, failed) is failed
    assert records.after(None, failed) is failed


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_what_cannot_be_written_leaves_what_was_there(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = records.write(project, a_record())
    before = file.read_text()
    (project.root / "full").symlink_to("/dev/full")
    monkeypatch.setattr(files, "beside", lambda path: project.root / "full")
    with pytest.raises(UserError, match=r"cannot write results/.*row.json: No space left"):
        records.write(project, a_record(reason="new"))
    assert file.read_text() == before


def test_half_written_files_of_a_killed_runner_go(project: Project) -> None:
    file = records.write(project, a_record())
    program = "import os, sys, rosetta.files as files; from pathlib import Path\n"
    program += "for each in sys.argv[1:]:\n    files.beside(Path(each)).write_text('{')\n"
    written = [file, project.results_md, project.notebooks / "a" / "b.ipynb"]
    written[-1].parent.mkdir()
    subprocess.run([sys.executable, "-c", program, *map(str, written)], check=True)
    own = files.beside(file)  # of a writer that lives
    own.touch()
    assert len(list(project.root.glob("**/.*.tmp"))) == 4
    records.remove_temporary(project)
    assert list(project.root.glob("**/.*.tmp")) == [own]
    assert records.read_all(project)[1] == []


def test_records_of_other_machines_are_read_too(project: Project) -> None:
    for name in ("b", "a"):
        records.write(project, a_record(machine={**a_record()["machine"], "name": name}))
    assert [each["machine"]["name"] for each in records.read_all(project)[0]] == ["a", "b"]
    assert Path(project.results / "a").is_dir()
