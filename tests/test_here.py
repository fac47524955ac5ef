"""What a Python holds for a row, asked of the interpreter itself."""

import sys
from pathlib import Path

from rosetta.environments import here


def test_the_libraries_of_cuda_are_found_by_their_packages(tmp_path: Path, monkeypatch) -> None:
    package = tmp_path / "nvidia_cudnn_cu13-9.19.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Name: nvidia-cudnn-cu13\nVersion: 9.19.0\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    python = here.Python(Path(sys.executable), Path(sys.prefix), "3.11", {}).with_libraries()
    assert python.describe()["libraries"] == {"nvidia-cudnn-cu13": "9.19.0"}
