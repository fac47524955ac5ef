"""Records are written whole or not at all, and a broken one is named and left alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_project import a_record

from rosetta import files
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


def test_lists_of_numbers_are_one_line_and_no_number_is_null() -> None:
    text = records.dumps({"losses": [1.5, float("nan"), 2e-07], "empty": [], "words": ["a", "b"]})
    assert '"losses": [1.5, null, 2e-07]' in text
    assert json.loads(text)["words"] == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": 2}, "schema is 2, this version reads 1"),
        ({"metrics": None}, "'metrics' is of the wrong type"),
        ({"status": "fine"}, "status is 'fine', not one of ok, failed, unavailable"),
        ({"status": "failed", "reason": None}, "status is 'failed' without a reason"),
        ({"profile": "long"}, "profile is 'long'"),
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


@pytest.mark.parametrize("text", ["", '{"schema": 1,', "[]", "<<<<<<< HEAD\n{}", "\x00\xff"])
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
    with pytest.raises(BrokenRecordError, match="'checks' is missing"):
        records.read(project, file)


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
