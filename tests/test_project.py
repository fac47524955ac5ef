"""Where everything is, for users without a home folder too, and texts without what is private."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_project import command, fill, record_of, surroundings

from rosetta.project import Project, home
from rosetta.results import private

# In a user namespace this process is a user whom the system does not know.
STRANGER = ["unshare", "--user", "--map-user=54321", "env", "-u", "HOME"]


def can_be_a_stranger() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*STRANGER, "true"], capture_output=True).returncode == 0


@pytest.mark.parametrize("value", ["/", "//", "", "somewhere"])
def test_a_home_that_is_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", value)
    project = Project(Path("/srv/rosetta"))
    assert home() is None
    assert project.sanitise("1/2 of /srv/rosetta/a and/or b") == "1/2 of a and/or b"
    assert project.relative("/etc/passwd") == "passwd"
    assert private.Cleaner(project)("1/2 and /srv/rosetta/a") == "1/2 and a"


def test_a_home_is_no_part_of_a_longer_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/u/ann")
    project = Project(Path("/srv/rosetta"))
    assert home() == Path("/u/ann")
    assert project.sanitise("see '/u/ann/x' and /u/ann: bad") == "see '~/x' and ~: bad"
    assert "~" not in project.sanitise("see /u/anne/x")


@pytest.mark.slow
@pytest.mark.skipif(not can_be_a_stranger(), reason="no user namespaces here")
@pytest.mark.parametrize("where", [STRANGER, ["env", "HOME=/"]], ids=["no home", "HOME=/"])
def test_a_user_without_a_home_can_run_list_and_build(project: Project, where: list[str]) -> None:
    fill(project, {"a": "ok_record", "b": "exception"})
    settings = {"cwd": project.root.parent, "env": surroundings(project), "text": True}
    done = subprocess.run([*where, *command()], capture_output=True, **settings)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stdout
    assert record_of(project, "a")["status"] == "ok"
    assert record_of(project, "b")["reason"] == (
        "ValueError: no weights in notebooks/cifar10_cnn (in check)"
    )
    main = [sys.executable, "-c", "import sys; from rosetta.cli import main; sys.exit(main())"]
    main[-1] = main[-1].replace("main()", "main(sys.argv[1:])")
    for arguments, code in ((["list"], 0), (["site"], 0), (["env", "a", "--jupyter"], 2)):
        if "env" in arguments:
            text = "from rosetta.environments import build\nbuild.ensure_many = lambda *given: "
            main[-1] = text + "{'a': given[0].root}\n" + main[-1]
        done = subprocess.run([*where, *main, *arguments], capture_output=True, **settings)
        assert done.returncode == code and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.startswith("run_all.py: --jupyter: this user has no home folder")
