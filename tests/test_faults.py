"""Odd surroundings and odd words: one line that names them, exit code 2, and nothing lost."""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Group
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_project import (
    ROOT,
    TASK,
    add_cell,
    add_row,
    command,
    fill,
    options,
    record_of,
    surroundings,
)

from rosetta import cli
from rosetta.data import datasets
from rosetta.environments import build, here
from rosetta.environments import lock as locks
from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.runs import runner

MAIN = [sys.executable, "-c", "import sys; from rosetta.cli import main; sys.exit(main())"]
MAIN[-1] = MAIN[-1].replace("main())", "main(sys.argv[1:]))")


def start(project: Project, *words: str, **more: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, to its end."""
    settings = {"cwd": project.root.parent, "env": surroundings(project), "errors": "replace"}
    arguments = list(words) if words[0] == sys.executable else [*MAIN, *words]
    return subprocess.run(arguments, capture_output=True, text=True, **{**settings, **more})


def complaint(project: Project, *words: str, **more: object) -> str:
    """The one line that a command ends with; it has said nothing else and changed nothing."""
    done = start(project, *words, **more)
    assert done.returncode == 2, done
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("run_all.py: "), done.stderr
    return done.stderr.removeprefix("run_all.py: ").strip()


# --- the machine --------------------------------------------------------------------------------


def can_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    test = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(test, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="no disk can be made here")
def test_a_full_disk_stops_a_run_and_leaves_what_there_was(project: Project) -> None:
    """The disk of the job files, which a notebook fills; the rows behind it do not run."""
    fill(project, {"a": "ok_record", "b": "ok_record"})
    assert start(project, *command()).returncode == 0
    before = record_of(project, "a")
    file = next(project.results.glob("*/*/*/a.json"))
    executed = file.with_suffix(".ipynb").read_text()
    filling = (
        "import os\nwith open(os.path.join(os.environ['ROSETTA_FILES'], 'big'), 'wb') as file:"
    )
    add_cell(project, "a", f"{filling}\n    file.write(bytes(20_000_000))")
    mount = 'mount -t tmpfs -o size=8m none .rosetta && exec "$@"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, "sh", *command("--force")],
        capture_output=True, text=True, cwd=project.root, env=surroundings(project),
    )  # fmt: skip
    assert done.returncode == 2, done
    assert done.stderr == "run_all.py: the disk is full: make room and run again\n"
    assert "[1/2]" in done.stdout and "[2/2]" not in done.stdout
    assert record_of(project, "a") == before
    assert file.with_suffix(".ipynb").read_text() == executed


def test_memory_that_is_used_up_is_called_that(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(runner, "run", fail)
    monkeypatch.setenv("ROSETTA_ROOT", str(project.root))
    assert cli.main([]) == 2
    assert capsys.readouterr().err.startswith("run_all.py: the memory is full")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python without any package."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    return folder / "bin" / "python"


@pytest.mark.parametrize("missing", ["numpy", "matplotlib", "ipykernel"])
def test_a_python_that_lacks_what_every_notebook_needs_is_named_before_anything_runs(
    project: Project, bare: Path, missing: str
) -> None:
    fill(project, {"a": "ok_record"})
    (packages,) = bare.parent.parent.glob("lib/python*/site-packages")
    for name in ("numpy", "matplotlib", "ipykernel"):
        (packages / f"{name}.py").unlink(missing_ok=True)
        if name != missing:
            (packages / f"{name}.py").touch()
    with pytest.raises(UserError, match=f"has no {missing}, which .* -m pip install {missing}'"):
        runner.run(project, options(python=bare))
    assert not project.results.exists()


@pytest.mark.parametrize(
    "says", ["echo hello", "exit 3", "printf '[1]'", "printf '{}'", "printf '\\377'", ""]
)
def test_what_is_no_python_is_called_that(tmp_path: Path, says: str) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    with pytest.raises(UserError, match="--python python is not a Python that works"):
        here.Here.ask(Project(tmp_path), program, [], "cpu")


# --- folders and files --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["results", "notebooks", "frameworks", ".rosetta", "data"])
@pytest.mark.parametrize("words", ["run", "list", "report", "site", "data", "env a", "lock a"])
def test_a_file_in_the_place_of_a_folder_is_named(
    project: Project,
    name: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(project, {"a": "ok_record"})
    shutil.rmtree(project.root / name, ignore_errors=True)
    (project.root / name).touch()
    monkeypatch.setenv("ROSETTA_ROOT", str(project.root))
    assert cli.main(words.split()) == 2
    assert capsys.readouterr().err == f"run_all.py: {name} is a file: a folder must be there\n"


def test_a_notebook_that_is_none_fails_with_words_and_stops_no_other(project: Project) -> None:
    contents = {"a": b"\xff\xff", "b": b"[" * 100_000, "c": b"[1, 2]", "d": b""}
    fill(project, dict.fromkeys([*contents, "e"], "ok_record"))
    for row, content in contents.items():
        (project.notebooks / TASK / f"{row}.ipynb").write_bytes(content)
    done = start(project, *command())
    assert (done.returncode, done.stderr) == (1, ""), done
    for row in contents:
        assert record_of(project, row)["status"] == "failed"
        assert record_of(project, row)["reason"]
    assert record_of(project, "e")["status"] == "ok"
    assert start(project, "list").returncode == 0


def test_two_checkouts_may_share_their_data(tmp_path: Path) -> None:
    """Each finds no publisher and makes stand-ins, in one folder at one moment."""
    nowhere = "from dataclasses import replace; from rosetta.data import datasets\n"
    nowhere += "for name, each in datasets.DATASETS.items():\n"
    nowhere += "    datasets.DATASETS[name] = replace(each, url='http://127.0.0.1:9/x')\n"
    running = []
    for number in range(4):
        project = Project(tmp_path / f"checkout-{number}")
        (project.frameworks).mkdir(parents=True)
        environment = {**surroundings(project), "ROSETTA_DATA": str(tmp_path / "data")}
        running.append(
            subprocess.Popen(
                [*MAIN[:2], nowhere + MAIN[2], "data"],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    for each in running:
        said, _ = each.communicate(timeout=300)
        assert each.returncode == 0, said
        assert "cifar10_cnn: synthetic data" in said and "Traceback" not in said
    left = {path.name for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert left - {".lock"} == {
        "dataset.json", "vocabulary.txt", "x_train.npy", "x_test.npy", "y_train.npy", "y_test.npy",
    }  # fmt: skip


RECORDS = """
import sys
from pathlib import Path
from small_project import a_record
from rosetta.project import Project
from rosetta.results import records
project = Project(Path(sys.argv[1]))
while True:
    for number in range(20):
        records.write(project, a_record(reason=None, framework=f"row{number}", notebook="a"))
        records.path(project, "machine-1", "quick", "cifar10_cnn", f"row{number}").unlink()
"""


def test_the_site_may_be_built_by_several_while_records_come_and_go(project: Project) -> None:
    fill(project, {"a": "ok_record"})
    environment = {**surroundings(project), "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    writing = [sys.executable, "-c", RECORDS, str(project.root)]
    settings = {"cwd": project.root.parent, "env": environment, "text": True}
    writer = subprocess.Popen(writing, stderr=subprocess.PIPE, **settings)
    try:
        building = [
            subprocess.Popen(
                [*MAIN, "site", "--output", str(project.root / "site")],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                **settings,
            )
            for _ in range(4)
        ]
        for each in building:
            said, _ = each.communicate(timeout=200)
            assert each.returncode == 0, said
        assert writer.poll() is None, writer.stderr and writer.stderr.read()
    finally:
        writer.kill()
        writer.communicate()
    assert (project.root / "site" / "index.html").read_text().endswith("</html>")
    assert not list(project.root.glob(".*.tmp"))


# --- words --------------------------------------------------------------------------------------

LONG = "x" * 5000


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--python", LONG], "--python: there is no file 'xxx"),
        (["--mirror", LONG], "file name too long"),
        (["data", "--mirror", LONG], "file name too long"),
        (["data", "--mirror", "http://[::1"], "this is no address: Invalid IPv6 URL"),
        (["site", "--output", "a.txt"], "a.txt is a file: choose an empty folder"),
        (["site", "--output", "a.txt/b"], "not a directory"),
        (["site", "--output", LONG], "file name too long"),
        (["site", "--output", "/"], "holds other files"),
        (["--framework", b"\xff\xfe"], "unknown framework"),
        ([b"\xff"], "unknown command"),
        (["--python", b"\xff"], "--python: there is no file"),
        (["data", "--mirror", b"\xff"], "--mirror: there is no such folder"),
        (["--timeout", "nan"], "--timeout must be from 1 to"),
        (["--seed", "9" * 5000], "Invalid value for '--seed'"),
    ],
)
def test_odd_words_get_one_line(project: Project, words: list[str], line: str) -> None:
    fill(project, {"a": "ok_record"})
    (project.root.parent / "a.txt").touch()
    said = complaint(project, *words)
    assert line in said and len(said) < 6000
    assert not project.results.exists()


def test_names_of_any_bytes_can_be_said(project: Project) -> None:
    fill(project, {"a": "ok_record"})
    done = start(project, "site", "--output", os.fsencode(project.root) + b"/site-\xff")
    assert (done.returncode, done.stderr) == (0, "")
    assert "site-\\udcff" in done.stdout


def test_a_closed_output_is_no_fault(project: Project) -> None:
    fill(project, {"a": "ok_record"})
    shell = " ".join(f"'{word}'" for word in [*MAIN, "list"])
    done = subprocess.run(
        ["sh", "-c", f"{shell} >&- 2>&-"], cwd=project.root, env=surroundings(project)
    )
    assert done.returncode == 0


@pytest.fixture
def stubbed() -> Iterator[Project]:
    """A project whose commands are parsed in full and then do nothing."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        project = Project(Path(folder).resolve())
        project.frameworks.mkdir()
        for name in ("alpha", "beta"):
            add_row(project, name)
        patch.setenv("ROSETTA_ROOT", str(project.root))
        patch.delenv("ROSETTA_DATA", raising=False)
        patch.chdir(project.root)
        patch.setattr(runner, "run", lambda *given: 0)
        patch.setattr(runner, "show_cells", lambda *given: None)
        patch.setattr(
            build, "ensure_many", lambda project, rows, *rest: {r.name: HERE for r in rows}
        )
        patch.setattr(locks, "write", lambda project, row, log: project.frameworks)
        patch.setattr(datasets, "ensure", lambda *given, **named: {})
        group = cli.commands
        assert isinstance(group, Group)
        for name in set(group.commands) - {"run", "list", "env", "data", "lock"}:
            patch.setattr(group.commands[name], "callback", lambda **chosen: 0)
        yield project


HERE = Path(sys.executable)
WORD = st.one_of(
    st.sampled_from(
        ["run", "list", "env", "data", "lock", "test", "report", "site", "all", "alpha", "beta,",
         "--task", "--framework", "--profile", "--device", "--seed", "--force", "--repeats",
         "--timeout", "--save-outputs", "--mirror", "--here", "--python", "--jupyter", "--output",
         "--fast", "--help", "-h", "--", "-", "", ",", "cpu", "smoke", "1", "-1", "nan", "1e999",
         "imdb_gru", "../x", "/", "\udcff", "a\nb", "--mirror=http://[", "--python=/", "9" * 5000]
    ),
    st.text("-=a1,./ \u00e9\udcff\x1b", max_size=8),
)  # fmt: skip


@given(words=st.lists(WORD, max_size=6))
@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the same for all examples
)
def test_whatever_the_words_there_is_an_exit_code(stubbed: Project, words: list[str]) -> None:
    """No traceback; one line where it is 2; and no file is written outside."""
    before = {path.name for path in stubbed.root.iterdir()}
    code = cli.main(words)
    assert code in (0, 1, 2)
    assert {path.name for path in stubbed.root.iterdir()} <= before | {".rosetta"}


# --- reasons ------------------------------------------------------------------------------------


def test_a_kernel_that_dies_is_quoted_with_what_matters(project: Project) -> None:
    last = {
        "a": ("Fatal: pointer lost", ": Fatal: pointer lost"),
        "b": ("[IPKernelApp] WARNING | error-free", ""),
        "c": ("oneDNN is in use", ""),
    }
    fill(project, dict.fromkeys(last, "ok_record"))
    for row, (words, _) in last.items():
        source = f"import os\nos.write(2, {(words + chr(10)).encode()!r})\nos._exit(3)"
        add_cell(project, row, source)
    runner.run(project, options())
    for row, (_, quoted) in last.items():
        reason = f"the kernel died (exit code 3){quoted} (in setup)"
        assert record_of(project, row)["reason"] == reason
