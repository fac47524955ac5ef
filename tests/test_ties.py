"""Which numbers of a pooling window are given its gradient where several are the largest."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from small_project import ROOT

from common import expected, layers, reference, weights
from rosetta import registry
from rosetta.environments import build, variables
from rosetta.project import Project
from rosetta.site import families

PROJECT = Project(ROOT)
TASK = "cifar10_cnn"
ROWS = {
    cell.framework.name: cell
    for cell in registry.cells(PROJECT, registry.load(PROJECT).values(), [TASK])
}
TO_EACH = ("keras2-theano", "lasagne")


def one_of_each_window(x):
    """The pooling of common/layers.py, with the first of the largest numbers alone marked."""
    n, c, height, width = x.shape
    blocks = x.reshape(n, c, height // 2, 2, width // 2, 2).transpose(0, 1, 2, 4, 3, 5)
    flat = blocks.reshape(n, c, height // 2, width // 2, 4)
    first = np.arange(4) == flat.argmax(axis=-1)[..., None]
    return flat.max(axis=-1), first.reshape(blocks.shape).transpose(0, 1, 2, 4, 3, 5)


def losses_of_reference() -> list[float]:
    """What the reference makes of the pictures of ties.py."""
    random = np.random.RandomState(0)
    x = random.uniform(size=(64, 3, 32, 32)).astype(np.float32)
    x[:, :, :, 12:] = 1
    y = random.randint(0, 10, 64)
    start = expected.in_float64(weights.check_weights(TASK))
    dialect = reference.full_dialect(TASK)
    return reference.train(TASK, start, [(x.astype(np.float64), y)] * 2, dialect)[0]


@pytest.fixture(scope="module")
def forms() -> dict[str, np.ndarray]:
    found = {"each": np.array(losses_of_reference())}
    with pytest.MonkeyPatch.context() as patch:
        for module in (layers, reference):
            if hasattr(module, "max_pool"):
                patch.setattr(module, "max_pool", one_of_each_window)
        found["one"] = np.array(losses_of_reference())
    return found


def test_the_two_forms_can_be_told_apart(forms: dict[str, np.ndarray]) -> None:
    apart = abs(forms["one"] / forms["each"] - 1)
    assert apart[0] == 0 and apart[1] > 0.05


@pytest.mark.notebooks
@pytest.mark.parametrize("row", ROWS)
def test_a_row_shares_out_the_gradient_as_it_is_said(
    row: str, forms: dict[str, np.ndarray], tmp_path: Path
) -> None:
    cell = ROWS[row]
    python = build.ensure(PROJECT, cell.framework, "cpu", print)
    done = subprocess.run(
        [python, Path(__file__).with_name("ties.py"), cell.notebook,
         json.dumps(dict(cell.framework.parameters))],
        env={**variables.resolve(cell.framework.variables, "cpu"), "PYTHONPATH": str(ROOT),
             "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-1500:]
    losses = np.array(json.loads(done.stdout.splitlines()[-1]))
    errors = {name: abs(losses / wanted - 1).max() for name, wanted in forms.items()}
    said, other = ("each", "one") if row in TO_EACH else ("one", "each")
    assert 1000 * errors[said] < errors[other], errors


@pytest.mark.parametrize("row", ROWS)
def test_it_is_said(row: str) -> None:
    told = families.load(PROJECT, registry.load(PROJECT).values())
    text = told[ROWS[row].framework.notebook or ""].differences["pooling-ties"].text
    assert ("each" in text) == (row in TO_EACH or row.startswith("keras2-"))
