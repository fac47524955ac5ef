"""Small projects, packages and processes for the tests to work with."""

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from real_project import run_all

from rosetta.project import Project

# What this process may use, before any test takes its share.
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

if "PYTEST_XDIST_WORKER" in os.environ:
    # Beside other tests, NumPy's threads would wait for one another in busy loops.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-mutations", action="store_true", help="plant every mistake of tests/mutations.py"
    )


@pytest.fixture(autouse=True)
def data_of_the_user(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let none but notebooks that run know where they are: small projects would write there."""
    with pytest.MonkeyPatch.context() as patch:  # not the test's own, which it may undo
        if not request.node.get_closest_marker("notebooks"):
            patch.delenv("ROSETTA_DATA", raising=False)
        yield


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project of its own, with the data folder inside it."""
    for folder in ("frameworks", "notebooks", "common", "data"):
        (tmp_path / "project" / folder).mkdir(parents=True)
    return Project((tmp_path / "project").resolve())


@pytest.fixture(autouse=True)
def cores_of_its_own(request: pytest.FixtureRequest) -> None:
    """Let a notebook that runs beside others keep to its share of the cores.

    Each framework would start a thread for every core, and all of them would wait for one another.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and request.node.get_closest_marker("notebooks") and hasattr(os, "sched_setaffinity"):
        number, workers = (
            int(worker.removeprefix("gw")),
            int(os.environ["PYTEST_XDIST_WORKER_COUNT"]),
        )
        share = CORES[number % len(CORES) :: workers]
        os.sched_setaffinity(0, share)


@pytest.fixture(scope="session")
def environments() -> None:
    """All environments, built where the user's own runs find them again."""
    print(run_all("env", "all").stdout)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make packages in a folder that is the only place where pip and uv look for any."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    def make(name: str, version: str, python: str = "py3", requires: str | None = None) -> None:
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(folder / f"{name}-{version}-{python}-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", f"__version__ = {version!r}\n")
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            metadata += f"Requires-Dist: {requires}\n" if requires else ""
            wheel.writestr(f"{info}/METADATA", metadata)
            tags = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {python}-none-any\n"
            wheel.writestr(f"{info}/WHEEL", tags)
            wheel.writestr(f"{info}/RECORD", "")

    return make
