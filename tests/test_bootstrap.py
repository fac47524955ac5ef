"""The first start: a bare Python makes .venv and goes on in it, whatever happened before."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from rosetta import bootstrap

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow

PYPROJECT = """
[project]
dependencies = ["tiny>=1.0"]
[project.optional-dependencies]
test = ["checker>=1.0"]
"""
CLI = """
import sys
def main():
    import tiny
    from rosetta import bootstrap
    if "tools" in sys.argv:
        bootstrap.add("test", "the test tools")
    print("tiny", tiny.__version__, *sys.argv[1:], sys.prefix == str(bootstrap.HOME))
    return 7
"""


@pytest.fixture
def checkout(tmp_path: Path, wheels: Callable[..., None]) -> Path:
    """A repository whose command line needs one small package, not started yet."""
    root = (tmp_path / "checkout").resolve()
    (root / "rosetta").mkdir(parents=True)
    for name in ("run_all.py", "rosetta/__init__.py", "rosetta/bootstrap.py", "rosetta/signals.py"):
        shutil.copy(ROOT / name, root / name)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "rosetta" / "cli.py").write_text(CLI)
    (root / "rosetta" / "requirements.lock").write_text("tiny==1.5\n")
    wheels("tiny", "1.5")
    wheels("tiny", "2.0")
    wheels("checker", "1.0")
    return root


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first .venv that is made is kept: making one takes seconds."""
    return tmp_path_factory.mktemp("kept") / ".venv"


@pytest.fixture
def started(checkout: Path, kept: Path) -> Path:
    """The same repository after its first start."""
    if kept.exists():
        shutil.copytree(kept, checkout / ".venv", symlinks=True)
    else:
        first_start(checkout, kept)
    return checkout


def first_start(checkout: Path, kept: Path, *arguments: str) -> list[str]:
    """Start for the first time, keep the .venv that this makes, and return what was said."""
    code, lines, _ = start(checkout, *arguments)
    assert code == 7 and lines[-1] == " ".join(["tiny 1.5", *arguments, "True"])
    if not kept.exists():
        shutil.copytree(checkout / ".venv", kept, symlinks=True)
    return lines


def start(root: Path, *arguments: str, python: Path | None = None) -> tuple[int, list[str], str]:
    """Start run_all.py, with a bare Python; return its exit code, lines and complaints."""
    bare = sys._base_executable  # type: ignore[attr-defined]
    command = [str(python or bare), str(root / "run_all.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_a_folder_whose_path_no_python_can_run_in_is_named(checkout: Path) -> None:
    checkout = checkout.rename(checkout.with_name("a:b"))
    code, _, said = start(checkout)
    assert (code, said.count("\n"), (checkout / ".venv").exists()) == (2, 1, False)
    assert said.startswith("run_all.py: the path of this folder holds ':'")


def test_a_shared_folder_whose_path_no_python_can_run_in_is_named(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSETTA_WORK", str(tmp_path / "a:b"))
    code, _, said = start(checkout)
    assert (code, said.count("\n"), (tmp_path / "a:b").exists()) == (2, 1, False)
    assert said.startswith("run_all.py: the path of the folder of $ROSETTA_WORK holds ':'")


def test_a_first_start_mends_what_a_killed_one_left(checkout: Path, kept: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to("/gone")
    lines = first_start(checkout, kept, "list", "--force")
    assert lines[0].startswith("First start: making .venv") and "ready" in lines[1]


def test_a_second_start_makes_nothing(started: Path) -> None:
    assert start(started, "list") == (7, ["tiny 1.5 list True"], "")


def test_new_requirements_make_it_anew_with_the_newest_if_need_be(started: Path) -> None:
    (started / "rosetta" / "requirements.lock").write_text("tiny==1.7\n")  # which is gone
    own = started / ".venv" / "bin" / "python"
    code, lines, _ = start(started, python=own)
    assert code == 7 and lines[-1] == "tiny 2.0 True"
    assert "The tested versions do not install here, trying the newest." in lines


def test_a_venv_whose_stamp_or_python_is_gone_is_not_ready(
    started: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = started / ".venv"
    for name, value in (("HOME", home), ("STAMP", home / "rosetta-stamp")):
        monkeypatch.setattr(bootstrap, name, value)
    monkeypatch.setattr(bootstrap, "LOCK", started / "rosetta" / "requirements.lock")
    assert bootstrap._is_ready()
    python = bootstrap._python()
    python.rename(python.with_name("moved"))
    assert not bootstrap._is_ready()
    python.with_name("moved").rename(python)
    (home / "rosetta-stamp").unlink()
    assert not bootstrap._is_ready()


def test_says_what_pip_could_not_install(started: Path) -> None:
    text = PYPROJECT.replace("checker>=1.0", "no-such-package>=1.0")
    (started / "pyproject.toml").write_text(text)
    code, _, errors = start(started, "tools")
    assert code == 2 and errors.count("\n") == 1
    assert "run_all.py: pip could not install" in errors and "no-such-package" in errors


def test_adds_the_test_tools_once(started: Path) -> None:
    for expected in (["Adding the test tools to .venv"], []):
        code, lines, _ = start(started, "tools")
        assert code == 7 and [line for line in lines if line.startswith("Adding")] == expected


def test_an_environment_that_has_all_is_used_as_it_is(checkout: Path, tmp_path: Path) -> None:
    """As conda's does: nothing is made."""
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(site), "tiny"]
    subprocess.run(command, check=True)
    done = subprocess.run(
        [sys._base_executable, str(checkout / "run_all.py")],  # type: ignore[attr-defined]
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(site)},
    )
    assert (done.returncode, done.stdout) == (7, "tiny 2.0 False\n")
    assert not (checkout / ".venv").exists()


def test_older_versions_are_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"yes": ["click>=8.1", "filelock>=3.12"], "older": ["click>=99.1"], "no": ["nope>=1"]}
    monkeypatch.setattr(bootstrap, "requirements", wanted.__getitem__)
    assert [bootstrap.has(what) for what in wanted] == [True, False, False]


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.10"])
def test_an_older_python_gets_one_line(version: str) -> None:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [
        *pyenv.glob(f"{version}.*/bin/python"),
        *map(Path, filter(None, [shutil.which(f"python{version}")])),
    ]
    if not found:
        pytest.skip(f"no Python {version} here")
    done = subprocess.run([str(found[0]), str(ROOT / "run_all.py")], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert re.fullmatch(r"run_all\.py needs Python 3\.11 or newer and this is .*\n", done.stderr)


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[ =<>;]", each.strip())[0].lower() for each in requirements}


def test_the_lock_covers_all_that_is_required() -> None:
    locked = (ROOT / "rosetta" / "requirements.lock").read_text(encoding="utf-8")
    wanted = ("dependencies", "test", "cluster")
    required = names([each for what in wanted for each in bootstrap.requirements(what)])
    assert required <= names(locked.splitlines())
    assert "://" not in locked and not re.search(r" @ |\+", locked)


def test_conda_gets_the_same_requirements() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = {*project["dependencies"], *(each for extra in extras.values() for each in extra)}
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    conda = {each.replace(" ", "") for each in re.findall(r"^ +- (.+)$", text, re.MULTILINE)}
    renamed = {each.replace("-base", "").replace("-core", "") for each in conda}
    assert wanted <= renamed
