"""common/ as notebooks use it: data and batches, weights, the run and its record."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import common
from common import check, data, expected, inference, reference, run, tasks, training, weights


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    """Small data sets of the right shapes, said to be synthetic."""
    random = np.random.RandomState(0)
    for dataset, shape, top, kind in [
        ("cifar10", (3, 32, 32), 256, np.uint8),
        ("imdb", (150,), 30000, np.int32),
    ]:
        folder = tmp_path / "synthetic" / dataset
        folder.mkdir(parents=True)
        for part, count in [("train", 300), ("test", 110)]:
            np.save(folder / f"x_{part}.npy", random.randint(0, top, (count, *shape)).astype(kind))
            np.save(folder / f"y_{part}.npy", random.randint(0, 2, count).astype(np.int64))
        (folder / "dataset.json").write_text(json.dumps({"data": "synthetic"}))
    monkeypatch.setenv("ROSETTA_DATA", str(tmp_path))
    return tmp_path


def test_channels_last_is_the_same_picture_and_not_a_transposed_one():
    picture = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    last = data.to_layout(picture, "channels_last")
    assert last.shape == (2, 4, 5, 3)
    assert all(last[n, h, w, c] == picture[n, c, h, w] for n, c, h, w in np.ndindex(2, 3, 4, 5))


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="channels_first or channels_last"):
        data.to_layout(np.zeros((1, 3, 2, 2)), "NHWC")


def test_resnet_pictures_are_enlarged_and_normalised():
    small = np.zeros((1, 3, 32, 32), np.uint8)
    small[0, 1, 2, 5] = 255
    large = data.resnet50_pictures(small, "channels_first")
    assert large.shape == (1, 3, 224, 224)
    np.testing.assert_allclose(large[0, 1, 14:21, 35:42], (1 - 0.456) / 0.224, rtol=1e-6)
    np.testing.assert_allclose(large[0, 0], -0.485 / 0.229, rtol=1e-6)


def test_an_epoch_holds_every_example_once_and_a_part_batch():
    batches = data.Batches(64, seed=0)
    x = np.arange(150)
    parts = [part for part, _ in batches(x, x, epoch=0)]
    assert [len(part) for part in parts] == [64, 64, 22]
    assert sorted(np.concatenate(parts)) == list(x)
    assert batches.examples == 150 and batches.seconds > 0


def test_the_order_depends_on_seed_and_epoch_alone():
    orders = [data.Batches(64, seed).order(500, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert tuple(data.Batches(32, 0).order(500, 0)) == tuple(orders[0])


def test_short_epochs_go_on_where_the_last_one_stopped():
    batches = data.Batches(10, seed=3, steps=4)
    orders = [batches.order(100, epoch) for epoch in range(5)]
    assert all(len(order) == 40 for order in orders)
    whole = np.concatenate(orders)
    assert sorted(whole[:100]) == list(range(100))
    assert sorted(whole[100:200]) == list(range(100))


def test_missing_data_names_the_fix(tmp_path, monkeypatch):
    monkeypatch.setenv("ROSETTA_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"run_all.py data"):
        common.Run("cifar10_cnn").data()


def test_a_part_of_a_data_set_that_lies_by_label_is_drawn_from_all_of_it(data_folder):
    for part in ("train", "test"):
        path = data_folder / "synthetic" / "imdb" / f"y_{part}.npy"
        np.save(path, np.sort(np.load(path)))
    this = common.Run("imdb_gru", profile="smoke")
    y_train, y_test = this.data()[1], this._y_test
    assert len(y_train) == 256 and len(y_test) == 100
    assert 0.3 < y_train.mean() < 0.7 and 0.3 < y_test.mean() < 0.7
    x, y = data.load("imdb", "test", 100, seed=0)
    whole_x, whole_y = data.load("imdb", "test")
    assert any(
        (x[0] == row).all() and y[0] == label for row, label in zip(whole_x, whole_y, strict=True)
    )


def test_initial_weights_have_glorot_kernels_and_zero_biases():
    start = weights.initial_weights("cifar10_cnn", seed=0)
    limit = np.sqrt(6 / ((50 + 3) * 9))
    assert 0.95 * limit < np.abs(start["conv1.weight"]).max() <= limit
    assert all(not array.any() for name, array in start.items() if name.endswith("bias"))
    assert all(array.dtype == np.float32 for array in start.values())
    gates = weights.initial_weights("imdb_gru", seed=0)["gru.weight_hh_l0"].reshape(3, 100, 100)
    limit = np.sqrt(6 / (100 + 100))
    assert all(0.99 * limit < np.abs(gate).max() <= limit for gate in gates)
    other = weights.initial_weights("cifar10_cnn", seed=1)
    assert not np.array_equal(start["fc2.weight"], other["fc2.weight"])


@pytest.mark.parametrize("task", tasks.TASKS)
def test_check_weights_leave_nothing_at_zero_and_nothing_alike(task):
    for name, array in weights.check_weights(task).items():
        assert array.shape == weights.SPECS[task][name]
        assert len(np.unique(array)) > array.size // 3 or array.size > 1e5, name
    assert all(array.any() for array in weights.check_weights(task).values())


def test_published_weights_are_read_in_canonical_order(data_folder):
    assert weights.weights_kind("resnet50_features") == "random"
    (data_folder / "resnet50").mkdir()
    np.save(data_folder / "resnet50" / "weights.npy", np.arange(23_561_152, dtype=np.float32))
    (data_folder / "resnet50" / "dataset.json").write_text(json.dumps({"data": "real"}))
    assert weights.weights_kind("resnet50_features") == "pretrained"
    published = weights.initial_weights("resnet50_features")
    assert published["conv1.weight"][0, 0, 0, 1] == 1
    assert published["bn1.weight"][0] == 64 * 3 * 7 * 7
    assert published["layer4.2.bn3.running_var"][-1] == np.float32(23_561_151)


def test_check_examples_hold_a_part_batch_and_do_not_read_alike_transposed():
    x, batches = expected.examples("cifar10_cnn")
    assert len(x) % 64 and len(batches) == expected.STEPS
    assert not np.allclose(x, x.swapaxes(2, 3))
    assert all(len(np.unique(y)) > 5 for _, y in batches)
    words = expected.examples("imdb_gru")[0]
    assert words.min() == 0 and (words == 1).any() and words.max() < 30000


def passing(task, missing=()):
    """A check whose results are all there and good, so that what comes after it can be tried."""
    made = check.Check.__new__(check.Check)
    made.task, made.dialect, made.dialect_losses = task, reference.full_dialect(task), None
    made.layout, made.batches, made.proven_model = "channels_last", [None], None
    made.results = check.Results()
    made._before = weights.initial_weights(task)
    for name in check.required(task):
        if name not in missing:
            made.results.errors[name] = {"error": 0.0, "limit": check.LIMITS[name]}
    made.step_losses, made.first_step_seconds = [1.0], 0.5
    return made


def checked_run(task="cifar10_cnn", missing=()):
    this = common.Run(task, profile="smoke")
    this._check = passing(task, missing)
    this.results = this._check.results
    return this


def predict(x):
    return np.stack([x.reshape(len(x), -1).mean(axis=1), np.zeros(len(x))], axis=1)


@pytest.fixture
def easy_reference(monkeypatch):
    """A reference that finds the classes of `predict`, and losses of 2.5."""
    monkeypatch.setattr(
        reference, "logits", lambda task, weights, x, dialect: np.tile([1.0, 0.0], (len(x), 1))
    )
    monkeypatch.setattr(training, "of_reference", lambda *key: {"losses": np.full((2, 4), 2.5)})


def train(this):
    x_train, y_train = this.data(layout="channels_last")
    for epoch in this.epochs():
        for x, y in this.batches(x_train, y_train, epoch):
            assert x.dtype == np.float32 and x.shape == (64, 32, 32, 3) and len(y) == 64
            this.step(np.float32(2.5))
    start = this.initial_weights()
    this.trained(None, lambda model: start, lambda model, x: np.tile([1.0, 0.0], (len(x), 1)))


def test_a_run_records_what_it_measured(data_folder, easy_reference, monkeypatch, tmp_path):
    shown = []
    monkeypatch.setenv("ROSETTA_FILES", str(tmp_path))
    monkeypatch.setattr("IPython.display.display", lambda found, raw: shown.append(found))
    this = checked_run()
    train(this)
    this.evaluate(predict)
    this.plot()
    this.saved(this.trained_weights)
    this.record(versions={"numpy": np.__version__}, threads=2)
    assert "image/png" in shown[0]
    record = shown[1][run.MIME_TYPE]
    assert record["data"] == "synthetic" and record["weights"] == "initial"
    assert record["losses"] == [2.5] * 4 and record["epochs"][0]["steps"] == 2
    metrics = record["metrics"]
    assert metrics["train_examples_per_second"] == pytest.approx(
        128 / record["epochs"][1]["seconds"]
    )
    assert metrics["test_examples"] == 100 and 0 <= metrics["accuracy"] <= 1
    assert metrics["reference_accuracy"] == metrics["accuracy"]
    assert metrics["predictions_that_differ"] == 0
    assert metrics["peak_memory_bytes"] > 2**20 and metrics["first_step_seconds"] > 0.5
    assert len(record["trained_weights_sha256"]) == 64
    json.dumps(record)  # nothing of NumPy's is left in it
    with np.load(tmp_path / "weights.npz") as kept:
        assert {name: kept[name].shape for name in kept} == weights.SPECS["cifar10_cnn"]


def test_a_run_without_its_checks_is_refused(data_folder):
    this = common.Run("cifar10_cnn", profile="smoke")
    with pytest.raises(RuntimeError, match="checks not made"):
        this.record(versions={"numpy": "1"})
    with pytest.raises(RuntimeError, match=r"checks not made: losses, saved"):
        checked_run(missing=("losses", "saved")).record(versions={"numpy": "1"})


@pytest.mark.parametrize("steps", [0, 2])
def test_a_step_for_each_batch_and_no_more(data_folder, steps):
    this = checked_run()
    x_train, y_train = this.data()
    with pytest.raises(check.CheckFailed, match=r"\d losses of 2 batches"):
        for epoch in this.epochs():
            for _ in this.batches(x_train, y_train, epoch):
                for _ in range(steps):
                    this.step(2.5)


def test_losses_that_are_not_the_reference_s_stop_the_training(data_folder, monkeypatch):
    monkeypatch.setattr(training, "of_reference", lambda *key: {"losses": np.full((2, 4), 3.5)})
    this = checked_run(missing=("training",))
    with pytest.raises(check.CheckFailed, match=r"training: .*worst: mean of steps 1 to 4"):
        train(this)


def test_other_initial_weights_show_in_the_trained_ones(data_folder, easy_reference):
    this = checked_run(missing=("training", "start"))
    this.data(), this._check.same_names_and_shapes(this.initial_weights())
    this._reference, this._distances = {"losses": np.zeros((1, 1))}, {"step 1": 0.0}
    other = weights.initial_weights("cifar10_cnn", seed=1)
    with pytest.raises(check.CheckFailed, match="start"):
        this.trained(None, lambda model: other, lambda model, x: predict(x))


def test_an_export_of_other_weights_than_those_that_predict_is_found(data_folder, easy_reference):
    this = checked_run(missing=("training", "start", "trained"))
    this.data()
    this._reference, this._distances = {"losses": np.zeros((1, 1))}, {"step 1": 0.0}
    start = this.initial_weights()
    with pytest.raises(check.CheckFailed, match="trained"):
        this.trained(None, lambda model: start, lambda model, x: np.ones((len(x), 2)))


def test_classes_that_the_reference_does_not_find_are_refused(data_folder, easy_reference):
    this = checked_run(missing=("predictions",))
    train(this)
    with pytest.raises(check.CheckFailed, match=r"predictions: .*100 of 100 differ"):
        this.evaluate(lambda x: -predict(x) - 1)


def test_a_file_that_gives_other_weights_back_is_refused(data_folder, easy_reference):
    this = checked_run(missing=("saved",))
    train(this)
    other = dict(this.trained_weights)
    other["fc2.bias"] = other["fc2.bias"] + 1
    with pytest.raises(check.CheckFailed, match=r"saved: .*worst: fc2.bias"):
        this.saved(other)


def test_a_dropped_part_batch_is_refused_in_the_evaluation(data_folder):
    this = common.Run("cifar10_cnn", profile="smoke")
    this.data()
    with pytest.raises(ValueError, match="64 rows predicted of 100"):
        this.evaluate(lambda x: predict(x)[: len(x) // 64 * 64 or None])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "cifar"}, "unknown task 'cifar': choose cifar10_cnn"),
        ({"task": "imdb_gru", "device": "tpu"}, "unknown device 'tpu': choose cpu, gpu"),
        ({"task": "imdb_gru", "profile": "fast"}, "choose smoke, quick, full"),
    ],
)
def test_unknown_names_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        common.Run(**arguments)


def test_what_the_reference_computed_is_kept_and_used_again(tmp_path, monkeypatch):
    monkeypatch.setenv("ROSETTA_DATA", str(tmp_path))
    calls = []
    for _ in range(2):
        found = expected.kept(("task", 1), lambda: calls.append(1) or {"a": np.ones(2)})
        np.testing.assert_array_equal(found["a"], np.ones(2))
    expected.kept(("task", 2), lambda: calls.append(1) or {"a": np.ones(2)})
    assert len(calls) == 2


OLD_AND_NEW = [("3.6", "numpy==1.16.6"), ("3.13", "numpy>=2.2")]

PROBE = """
import hashlib, sys
import numpy as np
from common import expected, porting, reference, run, weights
digest = hashlib.sha256()
for task in ("cifar10_cnn", "imdb_gru"):
    for drawn in (weights.initial_weights(task), weights.check_weights(task)):
        for array in drawn.values():
            digest.update(array.tobytes())
    x, batches = expected.examples(task)
    digest.update(x.tobytes())
small = {k: v.astype(np.float64) for k, v in weights.check_weights("imdb_gru").items()}
part = [(x[:4], y[:4]) for x, y in expected.examples("imdb_gru")[1][:2]]
losses = reference.train("imdb_gru", small, part)[0]
kernel = weights.check_weights("cifar10_cnn")["fc1.weight"]
digest.update(porting.flattened(kernel, (100, 8, 8)).tobytes())
digest.update(porting.flipped(porting.gates(kernel, "abcd", "badc"), (0, 1)).tobytes())
print(digest.hexdigest(), "%.9f %.9f" % tuple(losses))
"""


def probe(python: Path) -> str:
    root = Path(__file__).parents[1]
    command = [str(python), "-c", PROBE]
    return subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=True, timeout=300
    ).stdout


@pytest.mark.notebooks
@pytest.mark.parametrize(("version", "numpy"), OLD_AND_NEW)
def test_old_and_new_pythons_compute_the_same(version, numpy, tmp_path):
    from rosetta.environments import interpreters
    from rosetta.errors import Unavailable

    try:
        python = interpreters.find_python(version)
    except Unavailable as missing:
        pytest.skip(str(missing))
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "-q", "--python", python, tmp_path / "env"], check=True)
    inside = tmp_path / "env" / "bin" / "python"
    subprocess.run([uv, "pip", "install", "-q", "--python", inside, numpy], check=True)
    assert probe(inside) == probe(Path(sys.executable))


# --- a run without training -----------------------------------------------------------------------


def test_a_run_without_training_proves_all_but_the_training():
    assert inference.required("imdb_gru") == [
        "roundtrip", "logits", "activations", "trained", "predictions", "saved",
    ]  # fmt: skip
    for task in ("cifar10_cnn", "resnet50_features"):
        with pytest.raises(ValueError, match=f"{task} is not trained by the reference"):
            inference.InferenceRun(task)


@pytest.mark.slow  # the check's expectations are computed anew
def test_a_run_without_training_is_given_what_the_reference_trains(data_folder):
    this = inference.InferenceRun("imdb_gru", profile="smoke")
    this.data()
    results, start = this.check().results, this.initial_weights()
    with pytest.raises(check.CheckFailed, match="trained_by_reference has not been called"):
        this.trained(start, lambda held: held, None)
    weights = this.trained_by_reference()
    for name, array in weights.items():
        assert array.dtype == np.float32 and array.shape == start[name].shape
    moved = abs(weights["fc.weight"] - start["fc.weight"]).max()  # four steps of Adam's
    assert 0 < moved < 5 * this.learning_rate

    def predict(held, x):
        return reference.logits("imdb_gru", held, x)

    for name in ("roundtrip", "logits", "activations", "saved"):
        results.judge(name, 0.0)
    with pytest.raises(RuntimeError, match="checks not made: trained, predictions"):
        this.record(versions={"framework": "1"})
    wrong = {**weights, "fc.bias": weights["fc.bias"] + 1}
    with pytest.raises(check.CheckFailed, match=r"trained: error .* worst: the output"):
        this.trained(weights, lambda held: held, lambda held, x: predict(wrong, x))
    with pytest.raises(check.CheckFailed, match=r"trained: error .* worst: fc.bias"):
        this.trained(wrong, lambda held: held, predict)
    this.trained(weights, lambda held: held, predict)
    with pytest.raises(check.CheckFailed, match="predictions: error"):
        this.evaluate(lambda x: -predict(weights, x))
    this.evaluate(lambda x: predict(weights, x))
    this.record(versions={"framework": "1"})
