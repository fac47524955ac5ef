"""Trained weights in other rows, with a framework made of the reference, right and wrong."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_project import HERE, ROOT, a_record, add_row

from common.weights import SPECS, initial_weights
from rosetta import cli
from rosetta.data import convert
from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.results import records, report, transplants
from rosetta.runs import machine
from rosetta.transplant import notebook, runner, sources

CNN, GRU = "cifar10_cnn", "imdb_gru"
CELLS = {
    "setup": "import numpy as np\nfrom common import reference",
    "parameters": 'device = "cpu"\nprofile = "quick"\nseed = 0',
    "parameters ": 'import common\nrun = common.Run("TASK", device, profile, seed)',
    "data": "x_train, y_train = run.data(LAYOUT)",
    "model": """\
class Model:
    pass


def create_model(*dropout):
    return Model()


def predict(model, x):
    return reference.logits("TASK", model.weights, np.asarray(x, INPUT))""",
    "weights": """\
def load_weights(model, weights):
    model.weights = {name: np.array(array, np.float64) for name, array in weights.items()}
    MISTAKE
    return model""",
    "loss": """\
def create_optimizer(model):
    return reference.optimizer("TASK", model.weights)


def train_step(model, optimizer, x, y):
    x = np.asarray(x, INPUT)
    loss, gradients = reference.loss_and_gradients("TASK", model.weights, x, y)
    optimizer(gradients)
    return loss""",
    "check": "check = run.check(LAYOUT)\nraise RuntimeError('the check is not made again')",
    "inside": """\
def activations(model, x):
    return reference.activations("TASK", model.weights, np.asarray(x, INPUT))


raise RuntimeError('only the function is wanted')""",
    "train": "raise RuntimeError('nothing is trained')",
}
WORDS = {
    CNN: {"TASK": CNN, "LAYOUT": 'layout="channels_first"', "INPUT": "np.float64"},
    GRU: {"TASK": GRU, "LAYOUT": "", "INPUT": "np.int32"},
}
GATES = """\
for name in ("gru.weight_hh_l0", "gru.weight_ih_l0"):
        r, z, n = np.split(model.weights[name], 3)
        model.weights[name] = np.concatenate([z, r, n])"""
HEIGHT_AND_WIDTH = """\
for name in ("conv1.weight", "conv2.weight", "conv3.weight", "conv4.weight"):
        model.weights[name] = model.weights[name].swapaxes(2, 3)"""
FLATTEN_ORDER = """\
rows = model.weights["fc1.weight"].reshape(512, 8, 8, 100)
    model.weights["fc1.weight"] = rows.transpose(0, 3, 1, 2).reshape(512, 6400)"""
UNITS = {CNN: "pictures", GRU: "reviews"}
# The mistake in a mapping, and the layer that must be named.
MISTAKES = {
    "gates swapped": (GRU, GATES, "gru"),
    "a bias lost": (GRU, 'model.weights["fc.bias"] *= 0', "fc"),
    "height and width swapped": (CNN, HEIGHT_AND_WIDTH, "conv1"),
    "flatten order": (CNN, FLATTEN_ORDER, "fc1"),
    "a bias of a convolution lost": (CNN, 'model.weights["conv3.bias"] *= 0', "conv3"),
}


def a_notebook(task: str, mistake: str = "pass") -> dict:
    def filled(source: str) -> str:
        for word, text in {**WORDS[task], "MISTAKE": mistake}.items():
            source = source.replace(word, text)
        return source

    cells = [
        {
            "cell_type": "code",
            "execution_count": None,
            "metadata": {"tags": [tag.strip()]},
            "outputs": [],
            "source": filled(source),
        }
        for tag, source in CELLS.items()
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def add(project: Project, row: str, mistake: str = "pass", task: str = GRU) -> None:
    add_row(project, row)
    file = project.notebooks / task / f"{row}.ipynb"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(a_notebook(task, mistake)))


def train(project: Project, row: str, seed: int, task: str = GRU) -> Path:
    """Leave what a run of a row would have left: a record, and trained weights beside it."""
    about = {**a_record()["machine"], "name": machine.describe("cpu")["name"]}
    random = np.random.RandomState(seed)  # so that no bias is zero, as after training
    weights = {
        name: (array + 0.1 * random.normal(size=array.shape)).astype(np.float32)
        for name, array in initial_weights(task, seed).items()
    }
    digest = hashlib.sha256()
    for name in SPECS[task]:
        digest.update(np.ascontiguousarray(weights[name]).data)
    made = a_record(
        task=task, framework=row, notebook=row, machine=about, unit=UNITS[task],
        trained_weights_sha256=digest.hexdigest(),
    )  # fmt: skip
    records.write(project, made)
    file = records.path(project, about["name"], "quick", task, row).with_suffix(".npz")
    np.savez(file, **weights)
    return file


def prepare(project: Project, task: str, train_examples: int, test_examples: int) -> Project:
    """Give a project two rows with trained weights, and few examples to try them on."""
    project.common.rmdir()
    project.common.symlink_to(ROOT / "common")
    folder = project.data / {CNN: "cifar10", GRU: "imdb"}[task]
    folder.mkdir()
    if (ROOT / "data" / "reference").is_dir():
        (project.data / "reference").symlink_to(ROOT / "data" / "reference")
    random = np.random.RandomState(0)
    for part, count in (("train", train_examples), ("test", test_examples)):
        if task == CNN:
            x, classes = random.randint(0, 256, (count, 3, 32, 32)).astype(np.uint8), 10
        else:
            x, classes = random.randint(3, 30000, (count, 150)).astype(np.int32), 2
        convert.save(folder / f"x_{part}.npy", x)
        convert.save(folder / f"y_{part}.npy", random.randint(0, classes, count))
    (folder / "dataset.json").write_text('{"data": "real"}')
    for seed, row in enumerate(("one", "two")):
        add(project, row, task=task)
        train(project, row, seed, task)
    return project


@pytest.fixture
def rows(project: Project) -> Project:
    """Two rows that have trained a GRU."""
    return prepare(project, GRU, 400, 40)


def move(project: Project, *origins: str, **more: object) -> int:
    asked = {"origins": origins, "device": "cpu", "python": HERE, **more}
    return runner.run(project, runner.Asked(**asked))


def matrix_of(project: Project) -> transplants.Matrix:
    (file,) = project.results.glob("*/transplant/*.json")
    found = transplants.read(project, file)
    assert found is not None
    return found


@pytest.mark.slow
def test_weights_move_from_every_row_to_every_other(
    rows: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert move(rows) == 0
    matrix = matrix_of(rows)
    assert set(matrix.targets) == {"one", "two"}
    for target in matrix.targets.values():
        assert set(target.pairs) == {"one", "two"} and target.examples == 40
        for pair in target.pairs.values():
            assert (pair.differ, pair.logits) == (0, 0.0)
            assert pair.steps is not None and pair.steps < 1e-6 and len(pair.losses) == 5
    text = rows.results_md.read_text()
    assert "| from, to | Row one | Row two |" in text and "at most 0 of 40 predictions" in text
    for name in ("one", "two"):  # each cell leads to the notebook of its target
        assert re.search(rf"\| \[0, 0e\+00[^|]*\]\(notebooks/imdb_gru/{name}\.ipynb\) \|", text)
    capsys.readouterr()
    assert move(rows) == 0
    assert "nothing to do" in capsys.readouterr().out
    train(rows, "two", seed=5)  # whose weights are others now: no others are moved again
    assert move(rows) == 0
    assert "to one: ok" in capsys.readouterr().out
    assert move(rows, force=True) == 0
    assert ", stale (" not in rows.results_md.read_text()
    add(rows, "two", "model.weights['fc.bias'] += 0")
    report.write(rows)
    assert ", stale ([all figures]" in rows.results_md.read_text()


@pytest.mark.slow
def test_what_was_compared_is_not_moved_again_where_the_outputs_are_gone(
    rows: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert move(rows, jobs=2) == 0
    assert "to one, two; 2 at once" in capsys.readouterr().out
    shutil.rmtree(rows.state)  # as on another checkout, which has the matrix alone
    assert move(rows) == 0
    assert "nothing to do" in capsys.readouterr().out
    add(rows, "three")  # a new row needs what the others make of their own weights, and no more
    train(rows, "three", seed=3)
    assert move(rows) == 0
    matrix = matrix_of(rows)
    pairs = [pair for each in matrix.targets.values() for pair in each.pairs.values()]
    assert [pair.differ for pair in pairs] == [0] * 9
    made = {name: set(outputs(rows, name)) for name in ("one", "two", "three")}
    assert made == {
        "one": {"one", "three"}, "two": {"two", "three"}, "three": {"one", "two", "three"},
    }  # fmt: skip
    capsys.readouterr()
    add(rows, "one", "model.weights['fc.bias'] += 1")  # what the others were compared with
    assert move(rows) == 1
    said = capsys.readouterr().out
    assert all(f"{other} to one: the logits differ" in said for other in ("two", "three"))
    assert "one to two: the logits differ" in said
    assert "two to three" not in said


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="of one core there is one part")
def test_a_target_that_dies_on_a_part_of_the_cores_is_given_all(
    rows: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    cores = len(os.sched_getaffinity(0))
    dies = f"if len(os.sched_getaffinity(0)) < {cores}:\n        os.kill(os.getpid(), 8)"
    add(rows, "greedy", f"import os\n    {dies}")
    assert move(rows, "one", targets=("two", "greedy"), jobs=2) == 0
    said = capsys.readouterr().out
    assert "failed beside others, now alone: greedy" in said and "to greedy: ok" in said


def outputs(project: Project, target: str) -> list[str]:
    (file,) = project.state.glob(f"{transplants.FOLDER}/*/*/{target}.npz")
    with np.load(file) as stored:
        return [name.partition("/")[0] for name in stored.files]


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_mapping_shows_and_its_layer_is_named(
    project: Project, mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    task, code, layer = MISTAKES[mistake]
    prepare(project, task, 320, 10)
    add(project, "wrong", code, task)
    assert move(project, "one", targets=("wrong",), layers=True) == 1
    matrix, said = matrix_of(project), capsys.readouterr().out
    pair = matrix.targets["wrong"].pairs["one"]
    assert pair.logits is not None and pair.logits > 1e-3
    assert "one to wrong: the logits differ by" in said
    assert f"one to wrong: the first layer that differs: {layer} " in said
    assert matrix.targets["one"].pairs["one"].logits == 0.0


@pytest.mark.slow
def test_a_target_that_fails_stops_no_other(rows: Project) -> None:
    add(rows, "broken", 'raise ValueError("no such layer")')
    assert move(rows, "one") == 1
    matrix = matrix_of(rows)
    assert "no such layer" in str(matrix.targets["broken"].failure)
    assert matrix.targets["two"].pairs["one"].differ == 0
    assert "failed: ValueError: no such layer" in rows.results_md.read_text()


def test_without_trained_weights_one_line_says_what_to_do(project: Project) -> None:
    add(project, "one")
    with pytest.raises(UserError, match="no trained weights to move"):
        move(project)


def test_weights_that_are_not_those_of_the_record_are_not_moved(rows: Project) -> None:
    np.savez(train(rows, "one", seed=1), **{name: np.zeros(3) for name in SPECS[GRU]})
    name = machine.describe("cpu")["name"]
    found, missing = sources.find(rows, name, GRU, ["one", "two", "three"], None)
    assert set(found) == {"two"}
    assert "is not what its record says" in missing["one"]
    assert missing["three"] == "it has not trained here"


def test_a_task_that_trains_nothing_is_refused(
    rows: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSETTA_ROOT", str(rows.root))
    assert cli.main(["transplant", "--task", "resnet50_features"]) == 2
    assert "resnet50_features trains no weights" in capsys.readouterr().err


def test_what_is_executed_are_the_cells_up_to_the_training_step(rows: Project) -> None:
    made = notebook.derive(a_notebook(GRU), {}, layers=False)
    text = "\n".join("".join(cell["source"]) for cell in made["cells"])
    assert "raise RuntimeError" not in text
    assert all(f"def {name}" in text for name in ("load_weights", "train_step", "activations"))


@pytest.mark.parametrize("text", ['{"schema": "x"}', "[" * 100_000, "{}"])
def test_a_damaged_matrix_is_named(rows: Project, text: str) -> None:
    file = rows.results / "machine-1" / transplants.FOLDER / "imdb_gru.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(UserError, match=r"transplant/imdb_gru\.json is not a valid record"):
        report.write(rows)


def test_a_matrix_in_anothers_place_is_named(rows: Project) -> None:
    matrix = transplants.Matrix(1, GRU, "machine-1", "real", {})
    transplants.write(rows, matrix)
    file = transplants.path(rows, "machine-1", GRU)
    file.rename(file.with_name("cifar10_cnn.json"))
    with pytest.raises(UserError, match="it is of another task or machine"):
        report.write(rows)
