"""What common/porting.py offers for a reader's own model, and the examples of docs/porting.md."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_project import ROOT

from common import layers, porting
from rosetta import registry
from rosetta.environments import build, variables
from rosetta.project import Project
from rosetta.results import keys

PAGE = (ROOT / "docs" / "porting.md").read_text(encoding="utf-8")
EXAMPLES = [("gluon_lstm", "gluon", "pytorch_lstm", "pytorch")] + [
    ("chainer_cnn", "chainer", "keras_cnn", row)
    for row in ("keras-jax", "keras-pytorch", "keras-tensorflow")
]
ARRAYS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(1, np.int64)}


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_a_file_gives_back_what_was_saved(tmp_path: Path, ending: str) -> None:
    path = str(tmp_path / f"weights.{ending}")
    porting.save(path, {**ARRAYS, "turned": ARRAYS["b"].T})
    found = porting.load(path)
    assert set(found) == {"a", "b", "turned"}
    np.testing.assert_array_equal(found["turned"], ARRAYS["b"].T)


def test_nothing_pickled_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", array=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        porting.load(str(tmp_path / "bad.npz"))


def test_another_ending_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"weights\.h5: name the file"):
        porting.save(str(tmp_path / "weights.h5"), ARRAYS)


def test_a_python_without_safetensors_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"name the file \.npz"):
        porting.save(str(tmp_path / "weights.safetensors"), ARRAYS)


# --- layouts --------------------------------------------------------------------------------------


def test_axes_are_moved_by_name() -> None:
    kernel = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    np.testing.assert_array_equal(
        porting.axes(kernel, "oihw", "hwio"), kernel.transpose(2, 3, 1, 0)
    )


@given(st.permutations("nchw"), st.permutations("nchw"))
def test_axes_moved_there_and_back_are_the_same(one: list[str], other: list[str]) -> None:
    source, target = "".join(one), "".join(other)
    array = np.arange(120).reshape(2, 3, 4, 5)
    back = porting.axes(porting.axes(array, source, target), target, source)
    np.testing.assert_array_equal(back, array)


def test_a_dense_kernel_fits_activations_that_are_flattened_otherwise() -> None:
    random = np.random.default_rng(0)
    x, kernel = random.normal(size=(2, 3, 4, 5)), random.normal(size=(7, 60))
    moved = porting.flattened(kernel, (3, 4, 5), "chw", "hwc")
    flat = porting.axes(x, "nchw", "nhwc").reshape(2, -1)
    np.testing.assert_allclose(flat @ moved.T, x.reshape(2, -1) @ kernel.T)


@pytest.mark.parametrize("axis", [0, 1])
def test_gates_are_put_into_another_order(axis: int) -> None:
    array = np.repeat([[1.0], [2.0], [3.0]], 4, axis=0) * np.ones((12, 5))
    array = array if axis == 0 else array.T
    moved = porting.gates(array, "rzn", "zrn", axis)
    assert np.moveaxis(moved, axis, 0)[::4, 0].tolist() == [2.0, 1.0, 3.0]
    np.testing.assert_array_equal(porting.gates(moved, "zrn", "rzn", axis), array)


def test_a_flipped_kernel_makes_a_convolution_of_a_correlation() -> None:
    random = np.random.default_rng(0)
    x, kernel = random.normal(size=(1, 1, 5, 5)), random.normal(size=(1, 1, 3, 3))
    correlated, _ = layers.convolution(x, porting.flipped(kernel))
    convolved = sum(
        kernel[0, 0, i, j] * x[0, 0, 2 - i : 5 - i, 2 - j : 5 - j]
        for i in range(3)
        for j in range(3)
    )
    np.testing.assert_allclose(correlated[0, 0], convolved)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: porting.axes(np.zeros((2, 2)), "oi", "ox"), "the same letters"),
        (lambda: porting.axes(np.zeros((2, 2)), "oo", "oo"), "each once"),
        (lambda: porting.axes(np.zeros(2), "oi", "io"), "1 axes, but 'oi' names 2"),
        (lambda: porting.gates(np.zeros(7), "rzn", "zrn"), "7 rows are not 3 gates"),
        (lambda: porting.gates(np.zeros(6), "rzn", "rz"), "the same letters"),
        (lambda: porting.flattened(np.zeros((2, 5)), (3, 2, 1)), "5 inputs are not of shape"),
    ],
)
def test_what_does_not_fit_is_said(call, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        call()


# --- where two programs part ----------------------------------------------------------------------


def test_the_first_array_that_differs_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = {name: np.ones(3) for name in ("conv1", "norm1", "out")}
    assert porting.compare(wanted, wanted) == {"conv1": 0.0, "norm1": 0.0, "out": 0.0}
    wrong = {**wanted, "norm1": np.full(3, 1.1), "out": np.full(3, np.nan)}
    with pytest.raises(porting.DifferentError, match=r"norm1 is the first that differs: error 1"):
        porting.compare(wrong, wanted)
    assert capsys.readouterr().out.count("DIFFERS") == 2
    with pytest.raises(porting.DifferentError, match=r"out: shape \(2,\), wanted \(3,\)"):
        porting.compare({**wanted, "out": np.ones(2)}, wanted)
    with pytest.raises(porting.DifferentError, match="out is missing"):
        porting.compare({"conv1": np.ones(3), "norm1": np.ones(3)}, wanted)


def test_no_run_depends_on_it() -> None:
    rest = "'common.porting' in sys.modules or 'common.inference' in sys.modules"
    code = f"import sys, common; print({rest})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "False\n"
    assert keys.NOT_IN_RUNS == ("porting.py",) and keys.OF_INFERENCE == ("inference.py",)


# --- the examples ---------------------------------------------------------------------------------


@pytest.mark.notebooks
@pytest.mark.usefixtures("environments")
@pytest.mark.parametrize(("source", "old", "target", "new"), EXAMPLES)
def test_an_example_moves_its_model(
    tmp_path: Path, source: str, old: str, target: str, new: str
) -> None:
    done = example(source, old, tmp_path)
    assert done.returncode == 0, done.stderr
    done = example(target, new, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("  ok") == done.stdout.count("error") >= 3


@pytest.mark.notebooks
@pytest.mark.usefixtures("environments")
def test_a_mistake_in_an_example_is_named(tmp_path: Path) -> None:
    assert example("chainer_cnn", "chainer", tmp_path).returncode == 0
    code = (ROOT / "docs" / "porting" / "keras_cnn.py").read_text(encoding="utf-8")
    for old, new, layer in (
        ("epsilon=2e-5, ", "", "norm1"),
        ('"hwc")', '"chw")', "out"),
        ('layers.MaxPooling2D(2, padding="same"', "layers.MaxPooling2D(2", None),
    ):
        assert old in code
        (tmp_path / "wrong.py").write_text(code.replace(old, new))
        done = run(tmp_path / "wrong.py", "keras-jax", tmp_path)
        assert done.returncode != 0
        if layer:
            assert f"{layer} is the first that differs" in done.stderr


def test_the_page_shows_the_commands_that_are_run() -> None:
    shown = re.findall(r"^\.envs/(\S+)/bin/python docs/porting/(\w+)\.py moved", PAGE, re.MULTILINE)
    rows = registry.load(Project(ROOT))
    run_here = {(rows[old].environment, source) for source, old, _, _ in EXAMPLES}
    run_here |= {(rows[new].environment, target) for _, _, target, new in EXAMPLES}
    assert len(shown) == 4 and set(shown) <= run_here


def example(name: str, row: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return run(ROOT / "docs" / "porting" / f"{name}.py", row, folder)


def run(file: Path, row: str, folder: Path) -> subprocess.CompletedProcess[str]:
    project = Project(ROOT)
    framework = registry.load(project)[row]
    python = build.ensure(project, framework, "cpu", print)
    environment = {**os.environ, **variables.resolve(framework.variables, "cpu")}
    command = [str(python), str(file), str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)
