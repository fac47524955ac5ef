"""Copies with what they need: what is cut out of a notebook, and that it runs on its own."""

import ast
import itertools
import json
import re
import subprocess
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from common.tasks import TASKS
from rosetta import registry
from rosetta.environments import build
from rosetta.project import Project
from rosetta.site import notebooks
from rosetta.site.portable import Portable

ROOT = Path(__file__).resolve().parents[1]
PROJECT = Project(ROOT)
CELLS = {
    f"{cell.task}-{cell.framework.name}": cell
    for cell in registry.cells(PROJECT, registry.load(PROJECT).values())
}
COPIED = ("model", "weights", "loss")
SETUP = "import os\nimport frame\n\nframe.precision = 32  # full\nprint(frame.__version__)"
PARAMETERS = 'device = "cpu"  # or "gpu"\nbackend = None'
RUN = textwrap.dedent("""\
    import common

    run = common.Run("cifar10_cnn", device=device)
    batch_size, learning_rate = run.batch_size, run.learning_rate
    place = frame.place(device)
    frame.seed(0);  # for dropout""")


def cut(
    *code: str,
    parameters: Mapping[str, Any] | None = None,
    variables: Mapping[str, str] | None = None,
    lines: tuple[int, int] | None = None,
) -> str | None:
    """Return the last of the cells, or some of its lines, with what it needs."""
    cells = [SETUP, PARAMETERS, RUN, *code]
    portable = Portable("cifar10_cnn", cells, variables or {}, parameters or {})
    return portable.cut(len(cells) - 1, *(lines or ()))


# --- what is cut --------------------------------------------------------------------------------


def test_values_of_the_specification_become_literals() -> None:
    assert cut("def f():\n    return batch_size") == (
        "batch_size = 64  # from the task's specification\n\n\ndef f():\n    return batch_size"
    )
    assert cut("rates = run.dropout") == (
        "rates = (0.25, 0.25, 0.5)  # from the task's specification"
    )


def test_what_earlier_cells_define_comes_along_with_its_own_needs() -> None:
    copied = cut("def to_device(x):\n    return place(x)", "def f(x):\n    return to_device(x)")
    assert copied is not None
    assert [line for line in copied.split("\n") if line] == [
        "import frame",
        "frame.precision = 32  # full",
        'device = "cpu"  # or "gpu"',
        "place = frame.place(device)",
        "frame.seed(0)  # for dropout",
        "def to_device(x):",
        "    return place(x)",
        "def f(x):",
        "    return to_device(x)",
    ]


def test_a_row_has_its_own_parameters_and_variables() -> None:
    copied = cut(
        "def f():\n    return backend",
        "x = f(frame)",
        parameters={"backend": "jax"},
        variables={"FRAME_BACKEND": "jax", "MALLOC_TRIM": "1"},
    )
    assert copied is not None and '\nbackend = "jax"\n' in copied
    assert copied.startswith(
        'import os\n\nos.environ.setdefault("FRAME_BACKEND", "jax")\n\nimport frame\n'
    )
    assert "MALLOC" not in copied


@pytest.mark.parametrize("code", ["run.data()", "common.TASKS", "x = nowhere", "check(1)"])
def test_what_leans_on_ours_or_on_nothing_known_is_not_cut(code: str) -> None:
    assert cut(code) is None
    assert cut(f"def f():\n    return {code.split(' = ')[-1]}", "y = f()") is None


def test_some_lines_are_cut_with_the_statements_they_touch() -> None:
    code = "def f():\n    return 1\n\n\ndef g():\n    return f()\n\n\ndef h():\n    return 3"
    assert cut(code, lines=(5, 5)) == "def f():\n    return 1\n\n\ndef g():\n    return f()"


def test_names_of_inner_scopes_are_not_looked_for() -> None:
    code = "def f(a, *b, c=1, **d):\n    e = [g for g in b]\n    return lambda h: (a, e, h, d)"
    assert cut(code) == code


# --- that it runs -------------------------------------------------------------------------------

# What a user does with the copies of a notebook, all in one file.
USE = """
model = create_model({rates})
weights = export_weights(model)
assert set(weights) == set(export_weights(load_weights(model, weights)))
"""
TRAIN = """
import numpy as np

optimizer = create_optimizer(model)
loss = train_step(model, optimizer, np.zeros({shape}, np.{type}), np.zeros(64, np.int64))
assert np.isfinite(float(loss))
"""
SHAPES = {"cifar10_cnn": ("(64, 3, 32, 32)", "float32"), "imdb_gru": ("(64, 150)", "int32")}
# An isolated Python finds nothing beside a program, and the environment's way to common/ is shut.
ALONE = """
import sys

sys.modules["common"] = sys.modules["rosetta"] = None
sys.path.insert(0, {folder!r})
import {name}
"""


def copies_of(cell: registry.Cell) -> dict[str, list[str]]:
    """Return the copies of the cells of a notebook, by section."""
    content = json.loads(cell.notebook.read_text(encoding="utf-8"))
    portable = notebooks.portable_of(cell, content)
    code = [each for each in content["cells"] if each["cell_type"] == "code"]
    found: dict[str, list[str]] = {section: [] for section in COPIED}
    for number, each in enumerate(code):
        section = each["metadata"]["tags"][0]
        if section in COPIED:
            found[section].append(portable.cut(number) or "")
    return found


def source_of(cell: registry.Cell) -> str:
    content = json.loads(cell.notebook.read_text(encoding="utf-8"))
    code = [each for each in content["cells"] if each["cell_type"] == "code"]
    return "\n".join("".join(each["source"]) for each in code)


def use_of(cell: registry.Cell, copies: Mapping[str, list[str]]) -> str:
    """Return a program that makes a model of the copies and, where they train, trains it a step."""
    rates = TASKS[cell.task].hyper_parameters.get("dropout", "")
    program = "\n".join([*itertools.chain(*copies.values()), USE.format(rates=rates)])
    if not copies["loss"]:
        return program
    shape, kind = SHAPES[cell.task]
    (layout,) = re.findall(r"run\.data\((?:layout=)?(.*)\)", source_of(cell))
    if layout:
        shape = f'(64, 32, 32, 3) if {layout} == "channels_last" else {shape}'
    return program + TRAIN.format(shape=shape, type=kind)


def run_alone(row: registry.Framework, program: str, folder: Path, name: str) -> None:
    """Run a program in a row's environment with nothing of ours in reach."""
    (folder / f"{name}.py").write_text(program, encoding="utf-8")
    python = build.ensure(PROJECT, row, "cpu", print)
    done = subprocess.run(
        [str(python), "-I", "-c", ALONE.format(folder=str(folder), name=name)],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{program}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("name", CELLS)
def test_cells_of_model_weights_and_step_can_be_copied(name: str) -> None:
    for section, copies in copies_of(CELLS[name]).items():
        assert copies or section == "loss", section
        for copied in copies:
            ast.parse(copied)
            assert copied and not re.search(r"\b(common|run|check)\b\.", copied)


@pytest.mark.notebooks
@pytest.mark.timeout(5000)
@pytest.mark.parametrize("name", CELLS)
def test_copies_run_with_the_framework_and_numpy_alone(name: str, tmp_path: Path) -> None:
    cell = CELLS[name]
    copies = copies_of(cell)
    for section, number in [(s, n) for s in COPIED for n in range(len(copies[s]))]:
        program = copies[section][number]
        (tmp_path / f"{section}{number}.py").write_text(program, encoding="utf-8")
        print(f"{name}: {section}, cell {number + 1}, {len(program.splitlines())} lines")
    alone = "\n".join(f"import {file.stem}" for file in sorted(tmp_path.glob("*.py")))
    run_alone(cell.framework, alone, tmp_path, "each")
    run_alone(cell.framework, use_of(cell, copies), tmp_path, "use")


@pytest.mark.notebooks
@pytest.mark.timeout(5000)
@pytest.mark.parametrize(("old", "new"), [("pytorch", "tensorflow"), ("chainer", "pytorch")])
def test_the_example_of_the_readme_moves_a_model(old: str, new: str, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(# in the environment of the old.*?)```", text, re.DOTALL)
    before, after = example.split("# in that of the new one\n")
    programs = {
        old: f"import numpy as np\nold_model = create_model((0, 0, 0))\n{before}",
        new: f"import numpy as np\n{after}moved = export_weights(model)\n"
        'for name, array in np.load("weights.npz").items():\n'
        "    assert np.array_equal(moved[name], array), name\n",
    }
    for row, program in programs.items():
        cell = CELLS[f"cifar10_cnn-{row}"]
        copies = copies_of(cell)
        code = "\n".join([*copies["model"], *copies["weights"], program])
        run_alone(cell.framework, code, tmp_path, f"of_{row}")
