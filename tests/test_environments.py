"""Environments: real ones built by uv from packages made on the spot."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from small_project import heed_ctrl_c

from rosetta import registry
from rosetta.environments import (
    build,
    interpreters,
    kernels,
    lock,
    processor,
    releases,
    variables,
)
from rosetta.environments import uv as uv_tool
from rosetta.errors import Unavailable, UserError
from rosetta.project import Project
from rosetta.registry import Framework, load

ROOT = Path(__file__).parent.parent
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
ROW = f'title = "Tiny"\nnotebook = "tiny"\npython = "{VERSION}"\n[packages]\ncpu = ["tiny>=1"]\n'
SLOW = "import time\nprint('started', flush=True)\ntime.sleep(120)\n"


def quiet(line: str) -> None:
    """A log that keeps nothing."""


@pytest.fixture
def tiny(
    project: Project, wheels: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> Framework:
    """A row with one package of its own, in two versions; the lock names the older one."""
    monkeypatch.setattr(lock, "KERNEL_PACKAGES", ())
    uv_tool._pip_files.cache_clear()
    wheels("tiny", "1.0+cpu")
    wheels("tiny", "2.0")
    return row(project, ROW, lock="tiny==1.0\n")


def row(project: Project, text: str, name: str = "tiny", lock: str | None = None) -> Framework:
    (project.frameworks / f"{name}.toml").write_text(text, encoding="utf-8")
    if lock is not None:
        (project.frameworks / f"{name}.lock").write_text(lock, encoding="utf-8")
    return load(project)[name]


def answer(python: Path, code: str) -> str:
    # Away from the repository of the tests, whose common/ is not meant.
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def fake(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_builds_what_the_lock_says_and_knows_the_repository(
    project: Project, tiny: Framework
) -> None:
    (project.common / "__init__.py").write_text("here = True\n")
    assert not build.is_ready(project, tiny, "cpu")
    python = build.ensure(project, tiny, "cpu", quiet)
    # The lock's 1.0 is satisfied by a build of it for the CPU, and keeps the newer version out.
    assert answer(python, "import tiny, common; print(tiny.__version__)") == "1.0+cpu"
    assert python.is_relative_to(project.environments / "tiny")
    assert build.is_ready(project, tiny, "cpu")


def test_compiles_to_bytecode_also_where_uv_cannot(
    project: Project, tiny: Framework, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, by_uv in (("uv", True), ("own", False)):
        monkeypatch.setattr(build, "_uv_compiles", lambda _, by_uv=by_uv: by_uv)
        named = row(project, ROW, name)
        build.ensure(project, named, "cpu", quiet)
        folder = build.folder(project, named, "cpu")
        assert [*folder.glob("lib/python*/site-packages/__pycache__/tiny.*.pyc")]


def test_stays_right_when_the_repository_moves(project: Project, tiny: Framework) -> None:
    (project.common / "__init__.py").touch()
    build.ensure(project, tiny, "cpu", quiet)
    moved = Project(project.root.rename(project.root.with_name("moved")))
    python = build.interpreter(build.folder(moved, tiny, "cpu"))
    assert answer(python, "import common; print(common.__file__)").startswith(str(moved.root))


def test_a_ready_one_needs_no_process(
    project: Project, tiny: Framework, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = build.ensure(project, tiny, "cpu", quiet)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert build.ensure(project, tiny, "cpu", quiet) == python
    assert build.ensure_many(project, [tiny], "cpu", quiet) == {"tiny": python}
    assert build.plan(project, [tiny], "cpu") == []


def test_is_built_anew_when_its_lock_changes(project: Project, tiny: Framework) -> None:
    build.ensure(project, tiny, "cpu", quiet)
    tiny = row(project, ROW, lock="tiny==2.0\n")
    assert not build.is_ready(project, tiny, "cpu")
    python = build.ensure(project, tiny, "cpu", quiet)
    assert answer(python, "import tiny; print(tiny.__version__)") == "2.0"


@pytest.mark.parametrize(
    ("before", "after"),
    [(VERSION, "3.99"), ("tiny>=1", "tiny>=0"), ("[packages]", 'build = "b.py"\n[packages]')],
)
def test_is_stale_when_its_row_changes(
    project: Project, tiny: Framework, before: str, after: str
) -> None:
    build.ensure(project, tiny, "cpu", quiet)
    (project.frameworks / "b.py").touch()
    assert not build.is_ready(project, row(project, ROW.replace(before, after)), "cpu")


def test_variables_and_facts_do_not_matter(project: Project, tiny: Framework) -> None:
    build.ensure(project, tiny, "cpu", quiet)
    changed = row(project, ROW + '[variables]\nA = "1"\n[facts]\nlicence = "MIT"\n')
    assert build.is_ready(project, changed, "cpu")


def test_a_killed_build_is_made_anew(project: Project, tiny: Framework) -> None:
    left = build.folder(project, tiny, "cpu") / "bin" / "left-behind"
    left.parent.mkdir(parents=True)
    left.touch()
    build.ensure(project, tiny, "cpu", quiet)
    assert not left.exists()


def test_a_damaged_stamp_is_no_stamp(project: Project, tiny: Framework) -> None:
    build.ensure(project, tiny, "cpu", quiet)
    (build.folder(project, tiny, "cpu") / build.STAMP).write_text("{")
    assert not build.is_ready(project, tiny, "cpu")


def test_rows_that_share_an_environment_build_it_once(project: Project, tiny: Framework) -> None:
    shared = row(project, 'title = "S"\nnotebook = "s"\nenvironment = "tiny"\n', "shared")
    lines: list[str] = []
    built = build.ensure_many(project, [tiny, shared], "cpu", lines.append)
    assert built["tiny"] == built["shared"]
    assert sum(line.startswith("tiny: building") for line in lines) == 1


def test_one_that_fails_leaves_the_others(project: Project, tiny: Framework) -> None:
    bad = row(project, ROW.replace("tiny>=1", "no-such-package"), "bad")
    built = build.ensure_many(project, [bad, tiny], "cpu", quiet)
    reason = built["bad"]
    assert isinstance(reason, Unavailable) and isinstance(built["tiny"], Path)
    assert "no-such-package" in str(reason) and "Using Python" not in str(reason)
    assert not build.is_ready(project, bad, "cpu")


def test_runs_the_build_script_in_the_environment(project: Project, tiny: Framework) -> None:
    script = project.frameworks / "tiny.build.py"
    script.write_text("import pathlib, sys, tiny\npathlib.Path(sys.prefix, 'made').touch()\n")
    built = row(project, f'build = "{script.name}"\n' + ROW)
    build.ensure(project, built, "cpu", quiet)
    assert (build.folder(project, built, "cpu") / "made").exists()
    script.write_text("raise SystemExit('gcc is missing: install it')\n")
    assert not build.is_ready(project, built, "cpu")
    with pytest.raises(
        Unavailable, match=r"gcc is missing: install it \(more in \.rosetta/logs/env-tiny\.log\)"
    ):
        build.ensure(project, built, "cpu", quiet)


def test_runs_several_build_scripts_in_their_order(project: Project, tiny: Framework) -> None:
    code = "import sys\nopen(sys.prefix + '/order', 'a').write({!r})\n"
    for name in ("b", "a"):
        (project.frameworks / f"{name}.build.py").write_text(code.format(name))
    built = row(project, 'build = ["b.build.py", "a.build.py"]\n' + ROW)
    build.ensure(project, built, "cpu", quiet)
    assert (build.folder(project, built, "cpu") / "order").read_text() == "ba"
    (project.frameworks / "a.build.py").write_text("\n")
    assert not build.is_ready(project, built, "cpu")


def test_says_when_the_disk_is_too_full(
    project: Project, tiny: Framework, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(build.TYPICAL_GIGABYTES, "cpu", 1e9)
    with pytest.raises(Unavailable, match=r"needs about .* GB left: make room"):
        build.ensure(project, tiny, "cpu", quiet)


def test_a_row_without_a_gpu_build_says_so(project: Project, tiny: Framework) -> None:
    with pytest.raises(Unavailable, match="Tiny has no build for a GPU"):
        build.ensure(project, tiny, "gpu", quiet)


def test_the_plan_names_each_environment_once_with_its_size(
    project: Project, tiny: Framework
) -> None:
    sized = row(project, ROW + "gigabytes = {cpu = 0.3}\n")
    shared = row(project, 'title = "S"\nnotebook = "s"\nenvironment = "tiny"\n', "shared")
    assert build.plan(project, [sized, shared], "cpu") == [
        f"tiny: Python {VERSION}, tiny>=1, about 0.3 GB"
    ]


@pytest.fixture
def building(project: Project, tiny: Framework) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own in the middle of a build that takes long."""
    (project.frameworks / "slow.py").write_text(SLOW)
    row(project, 'build = "slow.py"\n' + ROW)
    code = (
        "import sys; from pathlib import Path; from rosetta import registry\n"
        "from rosetta.environments import build, lock\n"
        "from rosetta.project import Project\n"
        "lock.KERNEL_PACKAGES = ()\n"
        f"project = Project(Path({str(project.root)!r}))\n"
        "rows = registry.load(project).values()\n"
        "build.ensure_many(project, rows, 'cpu', print)\n"
    )
    repository = Path(__file__).parent.parent
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, cwd=repository, stderr=subprocess.DEVNULL, preexec_fn=heed_ctrl_c
    ) as process:
        log = project.state / "logs" / "env-tiny.log"
        until(lambda: log.exists() and "started" in log.read_text())
        yield process
        process.kill()


def test_ctrl_c_ends_the_builds(building: subprocess.Popen[bytes], project: Project) -> None:
    building.send_signal(signal.SIGINT)
    assert building.wait(timeout=20) != 0
    until(lambda: not running("slow.py", project))


def test_a_build_whose_runner_was_killed_is_ended_by_the_next(
    building: subprocess.Popen[bytes], project: Project
) -> None:
    building.kill()
    building.wait()
    assert running("slow.py", project)
    python = build.ensure(project, row(project, ROW), "cpu", quiet)
    assert not running("slow.py", project)
    assert answer(python, "import tiny; print(tiny.__version__)") == "1.0+cpu"


def test_nothing_is_started_after_ctrl_c(project: Project, tiny: Framework, tmp_path: Path) -> None:
    build._stop_all()
    with pytest.raises(Unavailable, match="interrupted"):
        build._run(project, ["touch", str(tmp_path / "made")], tmp_path / "log")
    assert not (tmp_path / "made").exists()
    # The next build is not held up by that.
    assert isinstance(build.ensure_many(project, [tiny], "cpu", quiet)["tiny"], Path)


def test_takes_uv_from_the_path_where_its_package_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = fake(tmp_path / "uv", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "uv", None)
    assert uv_tool.executable() == str(uv)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="pip install uv"):
        uv_tool.executable()


@pytest.mark.skipif(not hasattr(sysconfig, "_init_posix"), reason="sysconfig is made otherwise")
def test_two_threads_may_look_for_uv_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    make = sysconfig._init_posix

    def slowly(variables: dict[str, object]) -> None:
        time.sleep(0.2)
        make(variables)

    monkeypatch.setattr(sysconfig, "_init_posix", slowly)
    monkeypatch.setattr(sysconfig, "_CONFIG_VARS", None)
    monkeypatch.setattr(sysconfig, "_CONFIG_VARS_INITIALIZED", False, raising=False)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: uv_tool.executable(), range(4)))
    assert len(set(found)) == 1


def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.05)


def running(name: str, project: Project) -> bool:
    import psutil

    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return any(str(project.frameworks / name) in line for line in lines)


# --- versions ---------------------------------------------------------------------------------


def test_lock_holds_versions_and_nothing_else(project: Project, tiny: Framework) -> None:
    (project.frameworks / "tiny.lock").unlink()
    both = row(project, ROW + 'gpu = ["tiny>=1", "tiny-cuda"]\n')
    with pytest.raises(UserError, match="tiny-cuda"):
        lock.write(project, both, quiet)
    assert not (project.frameworks / "tiny.lock").exists()


def test_lock_covers_the_cpu_and_the_gpu_build(
    project: Project, tiny: Framework, wheels: Callable[..., None]
) -> None:
    wheels("tiny", "3.0+cpu")
    wheels("extra", "1.5")
    both = row(project, ROW + 'gpu = ["tiny>=1", "extra"]\n')
    written = lock.write(project, both, quiet).read_text(encoding="utf-8")
    assert written.splitlines()[1:] == ["extra==1.5", "tiny==3.0"]
    assert "/" not in written


def test_locks_for_a_python_that_is_not_here(project: Project, tiny: Framework) -> None:
    old = row(project, ROW.replace(VERSION, "3.6"))
    assert "tiny==2.0" in lock.write(project, old, quiet).read_text(encoding="utf-8")


def test_newer_releases_are_named(
    project: Project, tiny: Framework, wheels: Callable[..., None]
) -> None:
    wheels("extra", "1.5")
    pinned = row(project, ROW.replace('"tiny>=1"', '"tiny[x]==1.0", "extra==1.5", "free>=2"'))
    tiny_pin, extra_pin = releases.look_up([pinned], VERSION)["tiny"]
    assert (tiny_pin.package, tiny_pin.pinned, tiny_pin.newest) == ("tiny", "1.0", "2.0")
    assert tiny_pin.outdated and not extra_pin.outdated


def test_a_release_for_another_python_is_named(
    project: Project, tiny: Framework, wheels: Callable[..., None]
) -> None:
    wheels("tiny", "3.0", python="cp313")
    pinned = row(project, ROW.replace("tiny>=1", "tiny==2.0").replace(VERSION, "3.11"))
    (pin,) = releases.look_up([pinned], "3.13")["tiny"]
    assert (pin.newest, pin.elsewhere, pin.outdated) == ("2.0", "3.0", True)


def test_upgrading_moves_the_pins_and_the_lock(project: Project, tiny: Framework) -> None:
    pinned = row(project, "# kept\n" + ROW.replace("tiny>=1", "tiny==1.0"), lock="tiny==1.0\n")
    releases.upgrade(project, pinned, quiet)
    toml = (project.frameworks / "tiny.toml").read_text(encoding="utf-8")
    assert toml == "# kept\n" + ROW.replace("tiny>=1", "tiny==2.0")
    assert "tiny==2.0" in (project.frameworks / "tiny.lock").read_text(encoding="utf-8")


def test_an_upgrade_that_does_not_fit_changes_nothing(
    project: Project, tiny: Framework, wheels: Callable[..., None]
) -> None:
    wheels("other", "1.0", requires="tiny<2")
    text = ROW.replace('"tiny>=1"', '"tiny==1.0", "other==1.0"')
    pinned = row(project, text, lock="tiny==1.0\n")
    with pytest.raises(UserError, match="no versions fit together"):
        releases.upgrade(project, pinned, quiet)
    assert (project.frameworks / "tiny.toml").read_text(encoding="utf-8") == text
    assert (project.frameworks / "tiny.lock").read_text(encoding="utf-8") == "tiny==1.0\n"


names = st.from_regex(r"[A-Za-z0-9]([\w.-]{0,8}[A-Za-z0-9])?", fullmatch=True).filter(str.isascii)
versions = st.lists(st.integers(0, 99), min_size=1, max_size=3).map(lambda v: ".".join(map(str, v)))


@given(st.dictionaries(names, versions), st.sampled_from(["", "+cpu", "+cu130", "+g1a2.b"]))
def test_pins_lose_their_local_version(pins: dict[str, str], local: str) -> None:
    text = "# a comment\n" + "".join(f"{name}=={v}{local}\n" for name, v in pins.items())
    assert lock.parse_pins(text) == pins


# --- settings of pip --------------------------------------------------------------------------


def test_uv_is_told_what_pip_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://a/simple\nextra-index-url = https://b https://c\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_FIND_LINKS", "/one /two")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mine/simple")
    uv_tool._pip_files.cache_clear()
    settings = uv_tool.settings()
    uv_tool._pip_files.cache_clear()
    assert settings["UV_FIND_LINKS"] == "/one,/two"
    assert settings["UV_INDEX"] == "https://b https://c"
    assert settings["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert settings["UV_DEFAULT_INDEX"] == "https://mine/simple"  # what uv was told itself wins


@pytest.mark.parametrize("links", [True, False])
def test_torch_comes_from_its_cpu_index_or_else_as_it_is(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, links: bool
) -> None:
    calls = tmp_path / "calls"
    uv = fake(
        tmp_path / "uv",
        f'echo "$@" >> {calls}; case "$*" in *--torch-backend*) exit 1;; esac; exit 0',
    )
    monkeypatch.setattr(uv_tool, "executable", lambda: str(uv))
    found = {"UV_FIND_LINKS": "/wheels"} if links else {}
    monkeypatch.setattr(uv_tool, "settings", lambda: {**os.environ, **found})
    torch = row(project, ROW.replace("tiny>=1", "torch==2.13.0"))
    (project.state / "logs").mkdir(parents=True)
    log = project.state / "logs" / "env.log"
    build._install(project, torch, "cpu", log, quiet)
    asked = ["--torch-backend cpu" in line for line in calls.read_text().splitlines()]
    assert asked == ([False] if links else [True, False])


# --- interpreters -----------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any Python but the one that runs the tests, and a uv that has none."""
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    for name in ("PYENV_ROOT", "CONDA_PREFIX", "CONDA_EXE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", str(home / "bin"))
    uv = fake(home / "uv", "exit 2")
    monkeypatch.setattr(uv_tool, "executable", lambda: str(uv))
    monkeypatch.setattr(uv_tool, "settings", lambda: dict(os.environ))
    return home


def interpreter(path: Path, version: str = "3.6") -> Path:
    return fake(path, f"echo {version}; echo {path}")


def test_takes_its_own_python(bare: Path) -> None:
    assert interpreters.find_python(VERSION) == Path(sys.executable)


def test_finds_a_python_on_the_path(bare: Path) -> None:
    python = interpreter(bare / "bin" / "python3.6")
    assert interpreters.find_python("3.6") == python


def test_finds_the_newest_under_pyenv_past_a_shim_that_fails(bare: Path) -> None:
    fake(bare / "bin" / "python3.6", "echo 'pyenv: python3.6: command not found' >&2; exit 127")
    interpreter(bare / "bin" / "python3", "3.12")
    for patch in ("3.6.9", "3.6.15", "3.60.1"):
        interpreter(bare / ".pyenv" / "versions" / patch / "bin" / "python3.6")
    assert interpreters.find_python("3.6").parts[-3] == "3.6.15"


def test_finds_a_python_in_conda(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = interpreter(bare / "conda" / "envs" / "old" / "bin" / "python3.6")
    with pytest.raises(Unavailable):
        interpreters.find_python("3.6")
    monkeypatch.setenv("CONDA_EXE", str(bare / "conda" / "bin" / "conda"))
    assert interpreters.find_python("3.6") == python


def test_finds_what_conda_wrote_down(bare: Path) -> None:
    python = interpreter(bare / "elsewhere" / "bin" / "python3.6")
    (bare / ".conda").mkdir()
    (bare / ".conda" / "environments.txt").write_text(f"{bare / 'elsewhere'}\n")
    assert interpreters.find_python("3.6") == python


def test_downloads_what_uv_has(bare: Path) -> None:
    python = bare / "managed" / "python3.6"
    fake(
        bare / "uv",
        f'case "$2" in install) : > {python.parent}.done;; '
        f"find) test -e {python.parent}.done && echo {python};; esac",
    )
    lines: list[str] = []
    assert interpreters.find_python("3.6", lines.append) == python
    assert "download" in lines[0]


CONDA = """\
echo "$@" >> {bare}/calls
while [ "$1" != --prefix ]; do shift; done
mkdir -p "$2/bin"
printf '#!/bin/sh\\necho 3.6; echo %s\\n' "$2/bin/python3.6" > "$2/bin/python3.6"
/bin/chmod +x "$2/bin/python3.6"
"""


@pytest.mark.parametrize("name", interpreters.CONDAS)
def test_lets_conda_make_an_old_python_once(
    bare: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{bare / 'bin'}:/usr/bin:/bin")
    fake(bare / "bin" / name, CONDA.format(bare=bare))
    folder, lines = bare / ".envs", list[str]()
    python = folder / "python3.6" / "bin" / "python3.6"
    assert interpreters.find_python("3.6", lines.append, folder) == python
    assert lines[-1] == f"Python 3.6: asking {name} to make it in .envs/python3.6"
    assert interpreters.find_python("3.6", lines.append, folder) == python
    (call,) = (bare / "calls").read_text().splitlines()
    assert call.startswith("create --yes") and call.endswith("--channel conda-forge python=3.6")


def test_says_why_conda_could_not_make_it(bare: Path) -> None:
    fake(bare / "bin" / "conda", "echo 'error: no such package' >&2; exit 1")
    with pytest.raises(Unavailable, match=r"conda could not make it either: no such package"):
        interpreters.find_python("3.6", None, bare / ".envs")


def test_says_which_python_is_missing_and_how_to_get_it(bare: Path) -> None:
    with pytest.raises(Unavailable, match=r"needs Python 3\.6.*pyenv install 3\.6.*conda create"):
        interpreters.find_python("3.6")


# --- Jupyter ----------------------------------------------------------------------------------


def test_registers_a_kernel(
    project: Project, tiny: Framework, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("THREADS", "3")  # of this process, not of JupyterLab's kernels
    text = '[variables]\nBACKEND = "x"\nTHREADS = "{cores}"\n'
    tiny = row(project, ROW + text)
    own = {**registry.EVERY_ROW, "BACKEND": "x", "THREADS": str(processor.cores())}
    folder = kernels.register(project, tiny, "cpu")
    assert folder.parent == tmp_path / "jupyter" / "kernels"
    other = Project(tmp_path / "other")
    assert kernels.register(other, tiny, "cpu").name != folder.name
    assert kernels.remove(project, ["tin"]) == []
    assert kernels.remove(project, ["tiny"]) == [folder.name] and not folder.exists()
    assert kernels.register(project, tiny, "cpu") == folder
    spec = json.loads((folder / "kernel.json").read_text(encoding="utf-8"))
    assert spec["display_name"] == "Rosetta: Tiny (project)" and spec["env"] == own
    monkeypatch.setenv("ROSETTA_DATA", str(tmp_path))
    kernels.register(project, tiny, "cpu")
    again = json.loads((folder / "kernel.json").read_text(encoding="utf-8"))
    assert again["env"] == {**own, "ROSETTA_DATA": str(tmp_path)}
    assert spec["argv"][0] == str(project.environments / "tiny" / "bin" / "python")


def test_what_a_framework_writes_to_file_descriptor_2_stays_out_of_the_notebooks_of_jupyterlab(
    project: Project, tiny: Framework, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setattr(kernels, "interpreter", lambda folder: Path(sys.executable))
    folder = kernels.register(project, tiny, "cpu")
    manager = KernelManager(kernel_name=folder.name)
    source = "import os, sys; os.write(2, b'start-up'); print('shown')"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, km=manager, timeout=60).execute()
    (output,) = notebook.cells[0].outputs
    assert (output["name"], output["text"]) == ("stdout", "shown\n")


# --- variables --------------------------------------------------------------------------------


def test_a_variable_may_depend_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2\n"
    monkeypatch.setattr(processor, "read", lambda path: text if path == "/proc/cpuinfo" else "")
    declared = {
        "A": {"value": "5", "processor": "AuthenticAMD"},
        "B": {"value": "5", "processor": "avx2 !GenuineIntel"},
        "C": {"value": "5", "processor": "GenuineIntel"},
        "D": {"value": "5", "processor": "avx2 !AuthenticAMD"},
        "E": {"value": "{cores}"},
        "F": "a {cores} b",
    }
    cores = str(processor.cores())
    found = {"A": "5", "B": "5", "E": cores, "F": f"a {cores} b"}
    assert variables.resolve(declared, "cpu") == found
    assert variables.resolve(declared, "cpu", already=["A", "E"]) == {
        name: value for name, value in found.items() if name != "E"
    }


def test_a_variable_may_hold_for_a_device_only() -> None:
    declared = {"A": {"value": "1", "device": "cpu"}, "B": {"value": "2", "device": "gpu"}}
    assert variables.resolve(declared, "cpu") == {"A": "1"}
    assert variables.resolve(declared, "gpu") == {"B": "2"}


def test_the_cores_are_those_that_this_process_may_use() -> None:
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
    code += "from rosetta.environments import variables; "
    code += "print(variables.resolve({'N': '{cores}'}, 'cpu')['N'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "1\n", done.stderr
