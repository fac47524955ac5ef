"""The command line: what it understands, and one clear line where it does not."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rosetta import bootstrap, cli
from rosetta.data import datasets
from rosetta.environments import build, releases
from rosetta.environments import lock as locks
from rosetta.errors import Unavailable, UserError
from rosetta.options import Options
from rosetta.project import Project
from rosetta.results import report
from rosetta.runs import machine, runner

ROOT = Path(__file__).parent.parent
ROW = 'title = "Alpha"\nnotebook = "alpha"\npython = "3.11"\n[packages]\ncpu = ["alpha"]\n'


@pytest.fixture(autouse=True)
def small(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of two rows instead of the repository."""
    for name in ("alpha", "beta"):
        text = ROW.replace("Alpha", name.title())
        (project.frameworks / f"{name}.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("ROSETTA_ROOT", str(project.root))
    return project


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """Where the options of a run end up, instead of running."""
    seen: list[Options] = []
    monkeypatch.setattr(runner, "run", lambda project, options: seen.append(options) or 0)
    return seen


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line about arguments that are wrong."""
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err.strip()


# --- options ----------------------------------------------------------------------------------


def test_runs_without_a_command(asked: list[Options]) -> None:
    assert cli.main([]) == 0 and cli.main(["run"]) == 0
    assert asked == [Options(), Options()]


def test_hands_every_option_over(asked: list[Options], tmp_path: Path) -> None:
    words = "--task imdb_gru,cifar10_cnn --framework beta --framework alpha --profile full"
    words += " --device cpu --seed 3 --force --repeats 5 --timeout 60 --mirror m --save-outputs"
    assert cli.main([*words.split(), "--python", sys.executable]) == 0
    assert asked == [
        Options(
            tasks=("cifar10_cnn", "imdb_gru"),
            frameworks=("alpha", "beta"),
            profile="full",
            device="cpu",
            force=True,
            repeats=5,
            timeout=60.0,
            mirror="m",
            seed=3,
            python=Path(sys.executable),
            save_outputs=True,
        )
    ]


def test_here_is_the_python_that_the_user_started(
    asked: list[Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(bootstrap.STARTED, raising=False)
    cli.main(["--here"])
    monkeypatch.setenv(bootstrap.STARTED, "/users/own/python")
    cli.main(["--here"])
    assert [options.python for options in asked] == [
        Path(sys.executable),
        Path("/users/own/python"),
    ]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("lst", "unknown command 'lst': did you mean 'list'?"),
        ("--task imdb", "unknown task 'imdb': did you mean 'imdb_gru'?"),
        ("--framework alhpa", "unknown framework 'alhpa': did you mean 'alpha'?"),
        ("run --framework alpha,bata", "unknown framework 'bata': did you mean 'beta'?"),
        ("--profile fulll", "unknown profile 'fulll': did you mean 'full'?"),
        ("--device cuda", "unknown device 'cuda': there is auto, cpu, gpu"),
        (
            "--framework alpha beta",
            "Got unexpected extra argument (beta): give several names with commas, "
            "as in --framework pytorch,cntk",
        ),
        ("--frce", "No such option '--frce'. Did you mean '--force'?"),
        ("--framework ,", "nothing selected: name a framework, or leave the option out"),
        ("--repeats 0", "--repeats must be from 1 to 1,000"),
        ("--repeats two", "Invalid value for '--repeats': 'two' is not a valid integer."),
        ("--seed -1", "--seed must be from 0 to 2,147,483,647"),
        ("--timeout 0", "--timeout must be from 1 to 10,000,000"),
        ("--here --python p", "--here and --python exclude each other: choose one"),
        ("--python gone", "--python: there is no file 'gone': give the path of an interpreter"),
        ("env", "Missing argument 'NAME...'."),
        ("env alpa", "unknown framework 'alpa': did you mean 'alpha'?"),
        ("lock bta", "unknown framework 'bta': did you mean 'beta'?"),
        ("list --profile qick", "unknown profile 'qick': did you mean 'quick'?"),
        ("data --mirror gone", "--mirror: there is no such folder: give a folder or a URL"),
    ],
)
def test_bad_input_is_one_line(
    words: str, line: str, asked: list[Options], capsys: pytest.CaptureFixture[str]
) -> None:
    assert complaint(capsys, *words.split()) == f"run_all.py: {line}"
    assert asked == []


def test_a_broken_row_is_one_line(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (project.frameworks / "alpha.toml").write_text("title = ")
    assert "frameworks/alpha.toml: not valid TOML" in complaint(capsys, "list")


# --- what may stand in the way ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("a\nb"), "run_all.py: a b"),
        (OSError(errno.ENOSPC, "", "{root}/results/x.json"), "results/x.json: the disk is full"),
        (OSError(errno.EDQUOT, "", "{root}/a"), "a: the disk quota is used up"),
        (OSError(errno.EACCES, "", "{root}/.envs"), ".envs: no permission"),
        (OSError(errno.EROFS, "", None), "run_all.py: this is a read-only disk"),
    ],
)
def test_faults_of_the_machine_are_one_line(
    error: Exception,
    line: str,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if isinstance(error, OSError) and error.filename:
        error.filename = error.filename.format(root=project.root)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(runner, "run", fail)
    assert line in complaint(capsys)


def test_faults_of_the_program_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("of the program")

    monkeypatch.setattr(runner, "run", fail)
    with pytest.raises(ZeroDivisionError, match="of the program"):
        cli.main([])


def test_ctrl_c_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupted)
    assert cli.main([]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_the_exit_code_is_that_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "run", lambda *_: 1)
    assert cli.main([]) == 1


def test_a_reader_that_leaves_is_no_fault(project: Project) -> None:
    command = f"{sys.executable} run_all.py --help | true"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""


def test_an_unwritable_folder_is_one_line(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "SHA256SUMS").write_text(f"{'0' * 64}  aclImdb_v1.tar.gz\n")
    project.root.chmod(0o500)
    try:
        if os.access(project.root, os.W_OK):
            pytest.skip("this user may write everywhere")
        assert "no permission" in complaint(capsys, "data", "--mirror", str(tmp_path / "mirror"))
    finally:
        project.root.chmod(0o700)


# --- commands ---------------------------------------------------------------------------------


def test_list_hands_its_options_over(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Options] = []
    monkeypatch.setattr(runner, "show_cells", lambda project, options: seen.append(options))
    assert cli.main(["list", "--task", "imdb_gru", "--profile", "full"]) == 0
    assert seen == [Options(tasks=("imdb_gru",), profile="full")]


def test_report_writes_the_report(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Project] = []
    monkeypatch.setattr(report, "write", seen.append)
    assert cli.main(["report"]) == 0 and seen == [project]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, project: Project) -> list[str]:
    """The names of the environments that `env` asks for; beta cannot be built."""
    names: list[str] = []

    def ensure_many(project: Project, rows: Any, device: str, log: Any) -> dict[str, Any]:
        names.extend(row.name for row in rows)
        found = {"alpha": project.environments / "alpha", "beta": Unavailable("needs Python 3.6")}
        return {row.name: found[row.name] for row in rows}

    monkeypatch.setattr(build, "ensure_many", ensure_many)
    monkeypatch.setattr(machine, "choose_device", lambda device: "cpu")
    return names


def test_env_builds_and_says_what(built: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["env", "alpha"]) == 0 and built == ["alpha"]
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "Environments to build:",
        "  alpha: Python 3.11, alpha, about 1.0 GB",
        "alpha: .envs/alpha",
    ]


def test_env_all_reports_what_failed(built: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["env", "all"]) == 1 and built == ["alpha", "beta"]
    assert "beta: needs Python 3.6" in capsys.readouterr().out


def test_env_registers_kernels(
    built: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    assert cli.main(["env", "alpha", "--jupyter"]) == 0
    offered = tmp_path / "jupyter" / "kernels"
    assert len(list(offered.glob("rosetta-alpha-*/kernel.json"))) == 1
    (offered / "rosetta-alpha-00000000").mkdir()  # of another checkout
    assert cli.main(["env", "alpha", "--remove"]) == 2
    assert cli.main(["env", "all", "--jupyter", "--remove"]) == 0
    assert [path.name for path in offered.iterdir()] == ["rosetta-alpha-00000000"]
    assert "'Rosetta: Alpha (" in capsys.readouterr().out


def test_data_says_what_each_task_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {
        "cifar10_cnn": {"data": "real", "weights": "initial", "reason": None},
        "resnet50_features": {"data": "real", "weights": "random", "reason": "no network"},
    }
    seen: list[Any] = []
    monkeypatch.setattr(
        datasets, "ensure", lambda *given, **named: seen.append((given[2], named)) or found
    )
    assert cli.main(["data", "--mirror", "m"]) == 0
    assert seen == [("m", {"retry": True})]
    assert capsys.readouterr().out.splitlines() == [
        "cifar10_cnn: real data",
        "resnet50_features: real data, random weights (no network)",
    ]


def test_lock_writes_each_environment_once(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = 'title = "C"\nnotebook = "c"\nenvironment = "alpha"\n'
    (project.frameworks / "gamma.toml").write_text(shared)
    seen: list[str] = []

    def lock(project: Project, row: Any, log: Any) -> Path:
        seen.append(row.environment)
        return project.frameworks / f"{row.environment}.lock"

    monkeypatch.setattr(locks, "write", lock)
    assert cli.main(["lock", "alpha", "gamma"]) == 0
    assert seen == ["alpha"]
    assert capsys.readouterr().out == "frameworks/alpha.lock\n"


def test_outdated_names_what_has_newer_releases(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pins = [
        releases.Pin("same", "1.0", "1.0"),
        releases.Pin("old", "1.0", "2.0"),
        releases.Pin("older", "1.0", "1.0", elsewhere="3.0"),
    ]
    monkeypatch.setattr(releases, "look_up", lambda rows, newest: {"alpha": pins})
    assert cli.main(["outdated", "alpha"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "alpha: old 1.0, newest 2.0",
        "alpha: older 1.0, newest 1.0, 3.0 for Python 3.11",
    ]
    monkeypatch.setattr(releases, "look_up", lambda rows, newest: {"alpha": pins[:1]})
    assert cli.main(["outdated"]) == 0
    assert capsys.readouterr().out == "All rows have the newest releases for their Python.\n"


@pytest.mark.parametrize(
    ("fast", "marks"),
    [
        ([], ["not notebooks and not slow", "slow and not notebooks", "notebooks"]),
        (["--fast"], ["not notebooks and not slow"]),
    ],
)
def test_test_runs_every_check_even_if_one_fails(
    fast: list[str],
    marks: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command[2:])
        return subprocess.CompletedProcess(command, int(command[2] == "mypy"))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(bootstrap, "add", lambda what, words: None)
    assert cli.main(["test", *fast, "-k", "registry", "tests"]) == 1
    assert commands[:3] == [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]]
    assert [(words[0], words[2]) for words in commands[3:]] == [("pytest", mark) for mark in marks]
    assert all(words[-3:] == ["-k", "registry", "tests"] for words in commands[3:])
    assert capsys.readouterr().out.splitlines()[-1] == "Failed: mypy"


@pytest.mark.parametrize(("arguments", "code"), [(["-k", "registry"], 0), ([], 1)])
def test_no_test_is_a_failure_unless_the_user_has_chosen(
    arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 5 if "notebooks" in command else 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(bootstrap, "add", lambda what, words: None)
    assert cli.main(["test", *arguments]) == code


# --- help and speed ---------------------------------------------------------------------------


def test_help_shows_examples_commands_and_the_options_of_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("run", "list", "env", "data", "lock", "test", "report"):
        assert f"\n  {command} " in text
    parameters = [each.opts[0] for each in cli.run.params]
    assert len(parameters) == 13 and all(f"\n  {option} " in text for option in parameters)
    assert text.index("Examples:") < text.index("Commands:") < text.index("What to run:")
    assert max(map(len, text.splitlines())) <= 100


def test_the_command_line_imports_nothing_heavy() -> None:
    heavy = ("numpy", "papermill", "nbformat", "nbclient", "matplotlib", "rich", "jinja2", "psutil")
    code = f"import sys, rosetta.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_help_comes_at_once() -> None:
    seconds = []
    for _ in range(5):  # the best of some, of its own time, since other work may go on beside
        began = os.times()
        done = subprocess.run([sys.executable, "run_all.py", "--help"], cwd=ROOT, stdout=-1)
        ended = os.times()
        user = ended.children_user - began.children_user
        seconds.append(user + ended.children_system - began.children_system)
        assert done.returncode == 0
    assert min(seconds) < 0.5
