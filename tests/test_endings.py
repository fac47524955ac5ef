"""Whatever ends a command: no process, no temporary file and no lock is left, nothing is lost."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from small_project import (
    ROOT,
    add_cell,
    add_row,
    command,
    fill,
    heed_ctrl_c,
    living,
    record_of,
    surroundings,
)

from rosetta import processes
from rosetta.project import Project
from rosetta.runs import runner

pytestmark = pytest.mark.slow

MAIN = "import sys; from rosetta.cli import main; sys.exit(main(sys.argv[1:]))"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]
# The kernel computes in C code that holds Python's lock: nothing in it can see that it should end.
BUSY = "open('busy', 'w').close()\nsum(range(10**12))"


def until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.05)


def marked(project: Project) -> list[str]:
    """What lives of all that commands in this project have started, and the watchdogs."""
    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(processes.VARIABLE, "")
            own = mark.startswith(processes._repository(project))
            words = process.cmdline()
            if (own or str(project.root) in words) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(words))
        except psutil.Error:
            continue
    return found


class Begun:
    """A command in a session of its own, with a folder of its own for temporary files."""

    def __init__(self, project: Project, arguments: list[str], **more: object) -> None:
        self.project = project
        self.temporary = project.root.parent / "temporary"
        self.temporary.mkdir(exist_ok=True)
        environment = {**surroundings(project), "TMPDIR": str(self.temporary)}
        environment.pop(processes.VARIABLE, None)
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.process = subprocess.Popen(
            arguments,
            cwd=project.root,
            env=environment,
            start_new_session=True,
            **{"preexec_fn": heed_ctrl_c, **streams, **more},
        )

    def check_that_nothing_is_left(self) -> None:
        until(lambda: not marked(self.project) and not living(self.project), 20)
        until(lambda: not list(self.project.state.glob("jobs/*")), 20)
        for folder in (self.project.root, self.project.data, self.temporary):
            assert not list(folder.glob("**/*.tmp")) and not list(folder.glob("**/*.part"))
        assert not list(self.temporary.rglob("*")), "temporary files"
        for lock in self.project.root.rglob("*.lock"):
            if "frameworks" not in lock.parts:
                with FileLock(lock, timeout=5):
                    pass


@pytest.fixture
def begin(project: Project) -> Iterator[Callable[..., Begun]]:
    begun: list[Begun] = []

    def start(arguments: list[str], **more: object) -> Begun:
        begun.append(Begun(project, arguments, **more))
        return begun[-1]

    yield start
    for each in begun:
        each.process.kill()
        each.process.wait()
        if each.process.stdout:
            each.process.stdout.close()


def busy(project: Project, begin: Callable[..., Begun], **more: object) -> Begun:
    """A run with one result on disk and a kernel that computes."""
    fill(project, {"a": "ok_record", "b": "ok_record"})
    add_cell(project, "b", BUSY)
    begun = begin(command(), **more)
    until((project.notebooks / "cifar10_cnn" / "busy").exists)
    assert len(living(project)) >= 1
    return begun


# --- a run --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_a_run_as_ctrl_c_does(
    project: Project, begin: Callable[..., Begun], number: signal.Signals
) -> None:
    begun = busy(project, begin)
    for _ in range(3 if number != signal.SIGINT else 1):  # a terminal may say it more than once
        begun.process.send_signal(number)
    said, _ = begun.process.communicate(timeout=60)
    assert begun.process.returncode == runner.INTERRUPTED, said
    assert "Interrupted. What was finished is recorded" in said and "Traceback" not in said
    assert record_of(project, "a")["status"] == "ok"
    assert not list(project.results.glob("*/*/*/b.*"))
    begun.check_that_nothing_is_left()


def test_a_terminal_that_is_closed_ends_a_run(
    project: Project, begin: Callable[..., Begun]
) -> None:
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        import fcntl
        import termios

        heed_ctrl_c()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    begun = busy(project, begin, preexec_fn=take_terminal, text=None, **streams)
    os.close(theirs)
    os.close(ours)  # as a closed window does
    assert begun.process.wait(timeout=60) == runner.INTERRUPTED
    assert record_of(project, "a")["status"] == "ok"
    begun.check_that_nothing_is_left()


def test_nohup_keeps_a_run_going(project: Project, begin: Callable[..., Begun]) -> None:
    fill(project, {"a": "slow"})
    begun = begin(["nohup", *command()])
    until(lambda: living(project))
    begun.process.send_signal(signal.SIGHUP)
    said, _ = begun.process.communicate(timeout=60)
    assert begun.process.returncode == runner.OK, said
    begun.check_that_nothing_is_left()


def test_a_run_that_is_killed_takes_all_with_it(
    project: Project, begin: Callable[..., Begun]
) -> None:
    begun = busy(project, begin)
    begun.process.kill()
    begun.process.wait()
    begun.check_that_nothing_is_left()
    assert record_of(project, "a")["status"] == "ok"


@pytest.mark.skipif(sys.platform != "linux", reason="what only Linux can")
def test_a_kernel_dies_with_its_run_even_when_the_watchdog_is_killed_too(
    project: Project, begin: Callable[..., Begun]
) -> None:
    begun = busy(project, begin)
    watchdogs = [
        process
        for process in psutil.process_iter(["cmdline"])
        if {"rosetta.runs.watch", str(project.root)} <= set(process.info["cmdline"] or [])
    ]
    assert len(watchdogs) == 1
    watchdogs[0].kill()
    begun.process.kill()
    begun.process.wait()
    until(lambda: not living(project), 10)


@pytest.mark.parametrize(
    ("fixture", "options"),
    [
        ("ok_record", []),
        ("exception", []),
        ("sigkill", []),
        ("leaves_process", []),
        ("endless_loop", ["--timeout", "10"]),
    ],
)
def test_a_run_that_ends_by_itself_leaves_nothing(
    project: Project, begin: Callable[..., Begun], fixture: str, options: list[str]
) -> None:
    fill(project, {"a": fixture})
    begun = begin(command(*options))
    said, _ = begun.process.communicate(timeout=120)
    assert begun.process.returncode in (runner.OK, runner.FAILED), said
    begun.check_that_nothing_is_left()


# --- other commands -----------------------------------------------------------------------------


@pytest.fixture
def building(project: Project, begin: Callable[..., Begun]) -> Begun:
    """`env` in the middle of a build, whose script has started a compiler of sorts."""
    script = "import subprocess\nprint('started', flush=True)\n"
    script += "subprocess.run(['sleep', '1000'])\n"
    (project.frameworks / "slow.build.py").write_text(script)
    add_row(project, "slow", build='"slow.build.py"')
    without_packages = "from rosetta.environments import lock, build\nlock.KERNEL_PACKAGES = ()\n"
    without_packages += "build._install = lambda *given: None\n"
    begun = begin([sys.executable, "-c", without_packages + MAIN, "env", "slow"])
    log = project.state / "logs" / "env-slow.log"
    until(lambda: log.exists() and "started" in log.read_text())
    until(lambda: any(each == "sleep 1000" for each in marked(project)))
    return begun


@pytest.mark.parametrize("number", [*SIGNALS, signal.SIGKILL], ids=lambda number: number.name)
def test_a_signal_ends_a_build_and_all_that_it_has_started(
    building: Begun, number: signal.Signals
) -> None:
    building.process.send_signal(number)
    said, _ = building.process.communicate(timeout=60)
    if number != signal.SIGKILL:
        assert building.process.returncode == runner.INTERRUPTED
        assert said.splitlines()[-1] == "interrupted" and "Traceback" not in said
    building.check_that_nothing_is_left()


def test_who_waits_for_the_build_of_another_can_be_interrupted(
    project: Project, building: Begun, begin: Callable[..., Begun]
) -> None:
    waiting = begin([sys.executable, "-c", MAIN, "env", "slow"])
    assert "Environments to build" in waiting.process.stdout.readline()
    time.sleep(2)
    waiting.process.send_signal(signal.SIGTERM)
    waiting.process.communicate(timeout=20)
    assert waiting.process.returncode == runner.INTERRUPTED
    assert building.process.poll() is None and "sleep 1000" in marked(project)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL], ids=lambda each: each.name)
def test_a_signal_ends_the_tests(
    project: Project, begin: Callable[..., Begun], number: signal.Signals
) -> None:
    tool = project.root / "python"
    tool.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *rosetta.runs.watch*) exec "{sys.executable}" "$@";; esac\n'
        "echo started\nsetsid sleep 1000 &\nsleep 1000\n"
    )
    tool.chmod(0o755)
    fake = f"import sys; sys.executable = {str(tool)!r}\n"
    fake += "from rosetta import bootstrap; bootstrap.add = lambda what, words: None\n"
    begun = begin([sys.executable, "-c", fake + MAIN, "test"])
    until(lambda: marked(project).count("sleep 1000") == 2)
    begun.process.send_signal(number)
    begun.process.wait(timeout=60)
    begun.check_that_nothing_is_left()


@pytest.mark.parametrize("number", [*SIGNALS, signal.SIGKILL], ids=lambda number: number.name)
def test_a_signal_ends_jupyterlab_and_its_kernels(
    project: Project, begin: Callable[..., Begun], number: signal.Signals, tmp_path: Path
) -> None:
    fill(project, {"a": "ok_record"})
    jupyterlab = tmp_path / "jupyterlab"
    jupyterlab.mkdir()
    (jupyterlab / "__init__.py").touch()
    text = "import subprocess\nsubprocess.run(['setsid', 'sleep', '1000'])\n"
    (jupyterlab / "__main__.py").write_text(text)
    fake = f"import os, sys; os.environ['PYTHONPATH'] += ':{tmp_path}'\n"
    fake += "from rosetta import bootstrap; bootstrap.add = lambda *given: None\n"
    fake += "from rosetta.environments import build; build.is_ready = lambda *given: True\n"
    begun = begin([sys.executable, "-c", fake + MAIN, "lab", "--no-browser"])
    until(lambda: "sleep 1000" in marked(project))
    begun.process.send_signal(number)
    begun.process.communicate(timeout=60)
    begun.check_that_nothing_is_left()


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_the_data_sets(
    project: Project, begin: Callable[..., Begun], number: signal.Signals
) -> None:
    """In the middle of an answer that never comes."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        begun = begin([sys.executable, "-c", MAIN, "data", "--mirror", address])
        connection, _ = server.accept()
        begun.process.send_signal(number)
        said, _ = begun.process.communicate(timeout=20)
        connection.close()
    assert (begun.process.returncode, said.split()) == (runner.INTERRUPTED, ["interrupted"])
    begun.check_that_nothing_is_left()


def test_a_signal_ends_the_first_start_and_pip(tmp_path: Path) -> None:
    """pip of the first start is in a session of its own: what it compiles ends with it."""
    pip = tmp_path / "python"
    pip.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/started\nsleep 1000 &\nsleep 1000\n")
    pip.chmod(0o755)
    code = "import sys; from pathlib import Path; from rosetta import bootstrap\n"
    code += f"bootstrap._python = lambda: Path({str(pip)!r})\n"
    code += f"bootstrap.STATE = Path({str(tmp_path)!r})\nbootstrap.HOME = Path('/nowhere')\n"
    code += "bootstrap.has = lambda what: False\nbootstrap._is_ready = lambda: False\n"
    code += "bootstrap._make = lambda: bootstrap._install('dependencies')\nbootstrap.enter()\n"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c
    )
    started = tmp_path / "started"
    until(lambda: started.exists() and started.read_text().strip())
    group = int(started.read_text())
    process.send_signal(signal.SIGHUP)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (runner.INTERRUPTED, b"interrupted\n")

    def ended() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return all(
            process.status() == psutil.STATUS_ZOMBIE
            for process in psutil.process_iter()
            if os.getpgid(process.pid) == group
        )

    until(ended, 10)
