"""The page of GRUs and batch normalisations: what it says of a layer is what the layer does."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import site_project
from small_project import ROOT

from common import layers as numpy_layers
from rosetta import registry
from rosetta.environments import build, variables
from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.site import build as site
from rosetta.site import families, layers

PROJECT = Project(ROOT)
ROWS = registry.load(PROJECT)
TOLD = families.load(PROJECT, ROWS.values())
HERE = Path(__file__).parent / "layers"
# Of float32 in the last state; relative, in what a batch normalisation gives and keeps.
LIMIT = 1e-5
# How far another statement must be, in limits: a hundredth of a tanh, a tenth of a per mille.
APART = {"gru": 1000, "batch_norm": 10}


def told_without_source(family: str) -> dict[str, list[dict]]:
    """What a family says of its own accord, which is what must be tested."""
    return {
        kind: [entry for entry in entries if "source" not in entry]
        for kind, entries in TOLD[family].layers.items()
    }


def rows() -> Iterator[str]:
    for name, framework in ROWS.items():
        if framework.notebook and any(told_without_source(framework.notebook).values()):
            yield name


def results_of(row: str, said: dict[str, list[dict]]) -> dict:
    """Return what tests/layers/compare.py finds in the environment of a row."""
    framework = ROWS[row]
    python = build.ensure(PROJECT, framework, "cpu", print)
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # the arrays are tiny
    done = subprocess.run(
        [str(python), str(HERE / "compare.py"), framework.notebook or ""],
        input=json.dumps(said),
        env={
            **variables.resolve(framework.variables, "cpu", threads),
            **threads,
            "PATH": "",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-1500:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.notebooks
@pytest.mark.parametrize("row", list(rows()))
def test_each_layer_does_what_is_said_and_nothing_else(row: str) -> None:
    said = told_without_source(ROWS[row].notebook or "")
    results = results_of(row, said)
    for kind, entries in said.items():
        names = {layer: entry["arrays"] for entry in entries for layer in entry["layers"]}
        assert set(results[kind]) == set(names)  # all are tested, and all that is tested is said
        for layer, found in results[kind].items():
            assert found["names"] == sorted(names[layer]), layer
            assert found["error"] < LIMIT, (layer, found)
            assert len(found["others"]) >= 4
            for words, error in found["others"].items():
                assert error > APART[kind] * LIMIT, (layer, words, error)


@pytest.mark.parametrize("family", [name for name in TOLD if TOLD[name].layers])
def test_what_is_not_installed_names_its_source(family: str) -> None:
    if any(told_without_source(family).values()):
        assert (HERE / f"of_{family.replace('-', '_')}.py").is_file()
        assert any(row.notebook == family for row in ROWS.values())


# --- where no map exists --------------------------------------------------------------------------

UNITS = 4


def weights() -> dict[str, np.ndarray]:
    random = np.random.RandomState(0)
    shapes = {"weight_ih": (3 * UNITS, 3), "weight_hh": (3 * UNITS, UNITS)}
    shapes |= {"bias_ih": (3 * UNITS,), "bias_hh": (3 * UNITS,)}
    return {f"gru.{name}_l0": random.uniform(-1, 1, shape) for name, shape in shapes.items()}


def last(arrays: dict[str, np.ndarray], reset: str, steps: int = 5) -> np.ndarray:
    x = np.random.RandomState(1).uniform(-1, 1, (2, steps, 3))
    return numpy_layers.gru(arrays, x, reset)[0]


def without_the_state_s_bias(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same GRU that resets before the product: there the two biases only add up."""
    total = arrays["gru.bias_ih_l0"] + arrays["gru.bias_hh_l0"]
    return {**arrays, "gru.bias_ih_l0": total, "gru.bias_hh_l0": np.zeros(3 * UNITS)}


def test_the_forms_are_one_for_a_diagonal_kernel_and_in_the_first_step_alone() -> None:
    arrays = without_the_state_s_bias(weights())
    assert np.allclose(last(arrays, "before"), last(weights(), "before"))
    assert np.array_equal(last(arrays, "before", 1), last(arrays, "after", 1))
    assert np.abs(last(arrays, "before", 2) - last(arrays, "after", 2)).max() > 1e-2
    arrays["gru.weight_hh_l0"][2 * UNITS :] *= np.eye(UNITS)
    assert np.allclose(last(arrays, "before"), last(arrays, "after"))


@pytest.mark.parametrize(("reset", "reached"), [("before", True), ("after", False)])
def test_only_before_the_product_a_reset_gate_reaches_other_units(
    reset: str, reached: bool
) -> None:
    arrays = without_the_state_s_bias(weights())
    before = last(arrays, reset, steps=2)
    arrays["gru.bias_ih_l0"][0] += 1  # of the reset gate of the first unit
    changed = last(arrays, reset, steps=2) != before
    assert changed[:, 0].all()
    assert changed[:, 1:].any() == reached


def test_a_gate_that_weighs_the_other_state_is_its_negation() -> None:
    a = np.linspace(-5, 5)
    assert np.allclose(numpy_layers.sigmoid(-a), 1 - numpy_layers.sigmoid(a))


# --- what follows, and what may be said -----------------------------------------------------------


def a_gru(**changed: object) -> layers.Gru:
    said = {"layers": ["A"], "arrays": ["a"], "reset": "after", "update": "old", "biases": "both"}
    gates = {"axes": "out, in", "gates": ["reset", "update", "new"]}
    return msgspec.convert(said | gates | changed, layers.Gru)


@pytest.mark.parametrize(
    ("changed", "there", "back"),
    [
        ({}, "yes, as they are", "yes, the same"),
        ({"gates": None}, "yes, as they are", "yes, the same"),
        ({"gates": ["update", "reset", "new"]}, "yes: the gates in another order", "yes, the same"),
        ({"update": "new"}, "yes: kernels and biases of the update gate negated", "yes, the same"),
        ({"biases": "input"}, "yes: a second bias of zeros", "only where c of n is zero;"),
        ({"biases": "new"}, "yes: zeros for the state's biases of r and z", "yes, and c of r"),
    ],
)
def test_what_moving_takes_follows_from_the_form(
    changed: dict[str, object], there: str, back: str
) -> None:
    layer = a_gru(**changed)
    assert layer.maps and layer.there == there and layer.back.startswith(back)
    assert not a_gru(reset="before").maps


GRU = "layers=['A']\narrays=['a']\nreset='after'\nupdate='old'\nbiases='both'\naxes='out, in'\n"
NORM = "layers=['A']\narrays=['a']\nweighs='old'\nepsilon=1e-5\nvariance='biased'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"[[gru]]\n{GRU.replace('after', 'afer')}", "gru 1: Invalid enum value 'afer' - at"),
        (f"[[gru]]\n{GRU}gate=[]", "gru 1: Object contains unknown field `gate`"),
        (f"[[gru]]\n{GRU}gates=['new', 'new', 'new']", "gru 1: gates must name each of reset,"),
        (f"[[gru]]\n{GRU}source='javascript:x()'", "gru 1: Expected `str` matching regex"),
        (f"[[batch_norm]]\n{NORM}", "batch_norm 1: momentum or time_constant: one of the two"),
        ("gru = 1", "gru must be a list"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "frameworks").mkdir()
    (tmp_path / "frameworks" / "frame.site.toml").write_text(text)
    row = registry.Framework("frame", "Frame", "frame")
    with pytest.raises(UserError) as error:
        layers.load(families.load(Project(tmp_path), [row]))
    assert str(error.value).startswith(f"frameworks/frame.site.toml: {message}")


def test_numbers_are_written_as_in_code() -> None:
    said = {"layers": ["A"], "arrays": ["a"], "weighs": "old", "variance": "biased"}
    norm = msgspec.convert(said | {"epsilon": 1.001e-5, "momentum": 0.99}, layers.BatchNorm)
    assert (norm.small, norm.weight) == ("1.001e-5", "0.99")
    timed = msgspec.convert(said | {"epsilon": 1e-3, "time_constant": 5000}, layers.BatchNorm)
    assert timed.small == "1e-3" and timed.weight.startswith("exp(−k / 5,000)")


def test_the_page_has_every_layer_with_how_it_is_known(tmp_path: Path) -> None:
    project = site_project.make(tmp_path / "project")
    site.build(project, tmp_path / "site", lambda line: None)
    text = (tmp_path / "site" / "layers.html").read_text()
    table = layers.load(TOLD)
    known = [layer for _, layer in (*table.gru, *table.batch_norm)]
    assert text.count("<td>tested</td>") == sum(layer.source is None for layer in known)
    assert text.count(">its own pages</a></td>") == sum(layer.source is not None for layer in known)
    for layer in known:
        for name in (*layer.layers, *layer.arrays):
            assert f"<code>{name}</code>" in text
    assert text.count("<td>no map exists</td>") == 2 * sum(not each.maps for _, each in table.gru)
