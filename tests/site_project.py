"""A project with this repository's own notebooks and made-up results, and the site built of it."""

import base64
import copy
import json
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from small_project import ROOT, a_record

from rosetta import registry
from rosetta.project import Project
from rosetta.results import records, transplants

ROWS = ("pytorch", "flax", "keras-jax")


def make(root: Path) -> Project:
    """Return a project of real notebooks, with records of two machines and one failure."""
    root.mkdir()
    for name in ("frameworks", "notebooks", "common"):
        (root / name).symlink_to(ROOT / name)
    project = Project(root.resolve())
    frameworks = registry.load(project)
    for number, row in enumerate(ROWS):
        add_run(project, frameworks[row], number)
    add_run(project, frameworks["pytorch"], 5, machine="machine-2")
    failed = a_record(**of(frameworks["cntk"]), status="failed", reason="it ran out of memory")
    records.write(project, failed)
    add_matrix(project)
    return project


def add_matrix(project: Project) -> None:
    """Weights of two rows in both of them, and in one that failed; one of them is gone since."""
    moved = {"weights": "0" * 64, "accuracy": 0.5, "losses": [2.0], "reference": [2.0]}
    pairs = {
        name: transplants.Pair(**moved, differ=0, logits=1e-7) for name in ("pytorch", "removed")
    }
    about = {"key": "0" * 64, "started": "2026-01-02T00:00:00Z", "examples": 10000, "dialect": {}}
    targets = {name: transplants.Target(**about, pairs=pairs) for name in ("flax", "pytorch")}
    targets["removed"] = transplants.Target(**about, failure="no | such [layer]")
    matrix = transplants.Matrix(1, "cifar10_cnn", "machine-1", "real", {}, targets)
    transplants.write(project, matrix)


def of(framework: registry.Framework) -> dict[str, str]:
    """What a record says of the row that it is of."""
    return {"framework": framework.name, "notebook": framework.notebook or ""}


def add_run(
    project: Project, framework: registry.Framework, number: int, machine: str = "machine-1"
) -> None:
    """Give a row a record and an executed notebook of cifar10_cnn."""
    record = a_record(**of(framework))
    record["machine"] = {**record["machine"], "name": machine}
    speed = {"train_examples_per_second": 400.0 - 50 * number}
    record["metrics"] = {**record["metrics"], **speed}
    record["losses"] = [2.3 * math.exp(-step / (50 + 9 * number)) for step in range(200)]
    file = records.write(project, record)
    source = project.notebooks / "cifar10_cnn" / f"{framework.notebook}.ipynb"
    notebook = json.loads(source.read_text())
    file.with_suffix(".ipynb").write_text(json.dumps(executed(notebook, framework.title)))


def executed(notebook: dict, title: str) -> dict:
    """Return a notebook with outputs of every kind."""
    notebook = copy.deepcopy(notebook)
    made = {
        "setup": [stream(f"{title} with 2 threads\n")],
        "data": [result({"text/plain": "((256, 3, 32, 32), (256,))"})],
        "check": [stream("logits  error 1e-07  limit 1e-05  ok\n")],
        "train": [
            stream(f"epoch 1/1 of {title}\n"),
            result({"image/png": png(), "text/plain": "loss"}),
        ],
        "record": [result({"text/html": "<table><tr><td>accuracy</td><td>0.75</td></tr></table>"})],
    }
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = made.get(cell["metadata"]["tags"][0], [])
    return notebook


def stream(text: str) -> dict:
    return {"output_type": "stream", "name": "stdout", "text": text}


def result(data: dict[str, str]) -> dict:
    return {"output_type": "display_data", "metadata": {}, "data": data}


def png(width: int = 300, height: int = 120) -> str:
    """Return a grey picture, as base64."""
    rows = b"".join(b"\0" + b"\x99" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + _chunks(parts)).decode()


def _chunks(parts: Sequence[tuple[bytes, bytes]]) -> bytes:
    return b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
