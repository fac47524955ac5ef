"""Measure what bounds the rows that stay far below the matrix product: python docs/bounds.py.

Writes docs/bounds.md. What docs/bounds/ holds profiles a row in its own environment. With nothing
else running, please.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from rosetta import registry
from rosetta.environments import build, variables
from rosetta.project import Project
from rosetta.runs import machine

ROOT = Path(__file__).parent.parent
PROJECT = Project(ROOT.resolve())
# By row: the file in docs/bounds/ that profiles it, and the page's words on it.
PROFILES = {
    "flax": ("flax_cnn.py", "JAX's convolutions, as the CNN has them"),
    "pytorch": ("pytorch_gru.py", "A training step of PyTorch's GRU"),
    "keras-pytorch": ("keras_pytorch_gru.py", "The same step of Keras on PyTorch"),
    "cntk": ("cntk_resnet50.py", "CNTK's ResNet-50"),
    "chainer": ("chainer_resnet50.py", "Chainer's ResNet-50"),
}


def main() -> None:
    product = machine.matmul_gflops()
    rows = registry.load(PROJECT)
    lines = []
    for name, (file, words) in PROFILES.items():
        print(name)
        lines += ["", f"## {words}", "", "| | |", "|---|---:|"]
        for what, kind, value in profile(rows[name], file):
            lines.append(f"| {what} | {said(kind, value, product)} |")
    write_page(product, lines)


def profile(row: registry.Framework, file: str) -> list[tuple[str, str, float]]:
    """Return what the profile of a row found: what, kind, value."""
    python = build.ensure(PROJECT, row, "cpu", print)
    done = subprocess.run(
        [str(python), str(ROOT / "docs" / "bounds" / file)],
        env={
            **os.environ,
            **variables.resolve(row.variables, "cpu"),
            "PYTHONPATH": str(ROOT),
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout.splitlines()[-1]))


def said(kind: str, value: float, product: float) -> str:
    """Return a figure for the page; a rate is a fraction of the matrix product."""
    if kind == "count":
        return f"{value:,.0f}"
    if kind == "gflops":
        return f"{value / product:.2f} of the matrix product"
    return f"{100 * value:.0f} %"


def write_page(product: float, lines: list[str]) -> None:
    found = machine.describe("cpu")
    head = f"""# What bounds the slow rows

<!-- Made by `python docs/bounds.py`. Edits are lost. -->

Some rows stay far below the matrix product of their machine, whatever setting was tried (the
variants in [results.md](../results.md)). Here is where their time goes, on
{found["processor"]}, {found["cores"]} cores, whose float32 product of 4096 x 4096
gives {product:.0f} GFLOP/s. The profiles are in [bounds/](bounds).
"""
    page = head + "\n".join(lines) + "\n"
    (ROOT / "docs" / "bounds.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
