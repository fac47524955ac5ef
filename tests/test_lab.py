"""JupyterLab on the notebooks: which kernels it finds, and where it writes."""

import json
import os
from pathlib import Path

import pytest

from rosetta import cli
from rosetta.environments import kernels
from rosetta.project import Project
from rosetta.registry import Framework

# Stands in for JupyterLab: writes what a real Jupyter finds where it is started.
LAB = """
import json, os, pathlib, sys
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core import paths
found = KernelSpecManager(ensure_native_kernel=False).get_all_specs()
places = [paths.jupyter_config_dir(), paths.jupyter_data_dir(), paths.jupyter_runtime_dir()]
said = {"kernels": found, "places": [*places, os.environ["IPYTHONDIR"]], "arguments": sys.argv[1:]}
pathlib.Path("said.json").write_text(json.dumps(said))
sys.exit(7)
"""


@pytest.fixture
def said(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "jupyterlab").mkdir()
    (tmp_path / "jupyterlab" / "__init__.py").touch()
    (tmp_path / "jupyterlab" / "__main__.py").write_text(LAB)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return project.root / "said.json"


def test_it_offers_the_chosen_rows_and_writes_into_the_project_alone(
    project: Project, said: Path
) -> None:
    kernels.lab(project, [Framework("gone", "Gone")], "cpu")
    rows = [Framework("a", "A", environment="a"), Framework("b", "B", environment="a")]
    assert kernels.lab(project, rows, "cpu", ["--no-browser"]) == 7
    found = json.loads(said.read_text())
    mine = {name for name in found["kernels"] if name.startswith("rosetta-")}
    assert mine == {"rosetta-a", "rosetta-b"}
    spec = found["kernels"]["rosetta-b"]["spec"]
    assert spec["display_name"] == "Rosetta: B"
    assert spec["argv"][0] == str(project.environments / "a" / "bin" / "python")
    assert all(Path(place).is_relative_to(project.root) for place in found["places"])
    assert f"--ServerApp.root_dir={project.notebooks}" in found["arguments"]
    assert "--no-browser" in found["arguments"]


def test_without_an_environment_it_says_how_to_get_one(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROSETTA_ROOT", str(project.root))
    row = 'title = "A"\nnotebook = "a"\npython = "3.11"\n[packages]\ncpu = ["numpy"]\n'
    (project.frameworks / "a.toml").write_text(row)
    assert cli.main(["lab"]) == 2
    assert "name rows, as in 'lab pytorch'" in capsys.readouterr().err
