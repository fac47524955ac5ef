"""The proof of the training: kept losses, distances from them, and what a run insists on."""

import json
from pathlib import Path

import numpy as np
import pytest

import common
from common import check, expected, probe, reference, tasks, training
from common.check import CheckFailed, Results


def kept(task, profile="quick"):
    return [
        np.array(entry["losses"])
        for entry in training.entries()
        if (entry["task"], entry["profile"]) == (task, profile)
    ]


def test_the_kept_losses_are_of_every_task_that_trains():
    assert kept("imdb_gru") and kept("cifar10_cnn")
    for losses in kept("imdb_gru") + kept("cifar10_cnn"):
        assert losses.shape[1] == training.STEPS and np.isfinite(losses).all()
    assert all(len(losses) > 1 for losses in kept("cifar10_cnn"))


@pytest.mark.parametrize("wanted", kept("imdb_gru"))
def test_a_gru_that_follows_the_reference_passes_and_one_that_does_not_fails(wanted):
    losses = wanted[0]
    assert max(training.distances(losses, wanted).values()) == 0
    for mistake in (
        np.concatenate([losses[:1], losses[2:], losses[-1:]]),  # a batch left out
        np.concatenate([losses[:1], losses[:-1]]),  # a batch trained twice
        losses * (1 + 1e-4),
        np.where(np.arange(len(losses)) == 50, np.nan, losses),
        np.where(np.arange(len(losses)) > 150, losses * 1.5, losses),
    ):
        assert not max(training.distances(mistake, wanted).values()) <= 1


def test_the_first_thing_that_parts_is_named():
    wanted = kept("imdb_gru")[0]
    losses = wanted[0] * np.where(np.arange(training.STEPS) == 6, 1.01, 1)
    distances = training.distances(losses, wanted)
    assert max(distances, key=distances.get) == "step 7"


@pytest.mark.parametrize("wanted", kept("cifar10_cnn"))
def test_each_set_of_masks_stays_well_within_the_band_of_the_others(wanted):
    for number in range(len(wanted)):
        others = np.delete(wanted, number, axis=0)
        if len(others) > 1:
            assert max(training.distances(wanted[number], others).values()) < 0.7


@pytest.mark.parametrize("wanted", kept("cifar10_cnn"))
@pytest.mark.parametrize(
    "mistake",
    [
        lambda losses: np.concatenate([losses[50:], losses[-50:]]),  # trained before
        lambda losses: np.full_like(losses, np.log(10)),  # learns nothing
        lambda losses: losses + 0.1,
        lambda losses: np.where(np.arange(len(losses)) == 3, np.nan, losses),
    ],
)
def test_a_curve_outside_the_band_is_found(wanted, mistake):
    assert not max(training.distances(mistake(wanted[0]), wanted).values()) <= 1


def test_the_last_bias_shows_a_batch_left_out_or_trained_twice():
    entries = [entry for entry in training.entries() if "last_bias" in entry]
    few = [np.array(entry["last_bias"]) for entry in entries if entry["profile"] == "smoke"]
    assert few
    for wanted in few:
        for change in wanted:
            assert training.bias_distance(change, wanted, 4) < 0.5
        assert training.bias_distance(2 * wanted[0], wanted, 4) > 1
        assert training.bias_distance(0.5 * wanted[0], wanted, 4) > 1


def test_a_dialect_finds_the_losses_of_its_own_form():
    uncorrected = reference.full_dialect("imdb_gru", {"adam_epsilon": "uncorrected"})
    one = training.key_of("imdb_gru", "quick", 0, uncorrected, "x")
    assert one["dialect"] == {"adam_epsilon": "uncorrected"}
    base = reference.full_dialect("imdb_gru")
    assert training.key_of("imdb_gru", "quick", 0, base, "x")["dialect"] == {}


def test_of_unknown_data_the_first_steps_are_computed_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("ROSETTA_DATA", str(tmp_path))
    calls = []

    def compute(task, profile, seed, dialect, steps, masks):
        calls.append((steps, masks))
        return {"losses": np.ones((1, steps))}

    monkeypatch.setattr(training, "compute_training", compute)
    for _ in range(2):
        found = training.of_reference("imdb_gru", "quick", 5, {}, "unknown")
        assert found["losses"].shape == (1, training.STEPS_ON_THE_SPOT)
    assert calls == [(training.STEPS_ON_THE_SPOT, training.MASKS_ON_THE_SPOT)]


def test_other_data_has_another_digest():
    x, y = np.arange(6).reshape(2, 3), np.arange(2)
    assert training.data_digest(x, y) == training.data_digest(x.copy(), y)
    assert training.data_digest(x + 1, y) != training.data_digest(x, y)
    assert training.data_digest(x, y[::-1]) != training.data_digest(x, y)


def test_a_damaged_file_of_the_reference_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("ROSETTA_DATA", str(tmp_path))
    for damage in (b"", b"PK\x03\x04 cut off", b"no archive"):
        for file in tmp_path.glob("reference/*"):
            file.write_bytes(damage)
        found = expected.kept(("task",), lambda: {"a": np.arange(3)})
        np.testing.assert_array_equal(found["a"], np.arange(3))
    assert [file.suffix for file in tmp_path.glob("reference/*")] == [".npz"]


def test_a_folder_that_cannot_be_written_costs_no_more_than_the_computation(tmp_path, monkeypatch):
    (tmp_path / "reference").write_text("a file in the way")
    monkeypatch.setenv("ROSETTA_DATA", str(tmp_path))
    assert expected.kept(("task",), lambda: {"a": np.arange(3)})["a"].sum() == 3
    assert sorted(tmp_path.iterdir()) == [tmp_path / "reference"]


def test_a_disk_that_fills_keeps_no_part_of_a_file(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setenv("ROSETTA_DATA", str(tmp_path))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        found = expected.kept(("task",), lambda: {"a": np.ones(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert found["a"].sum() == 100_000
    assert list((tmp_path / "reference").iterdir()) == []


# --- what a test of dropout sees ------------------------------------------------------------------


def test_the_surprise_of_a_count_is_that_of_the_binomial_distribution():
    # 10 of 10 heads: 2 / 1024, both tails.
    surprise = probe.surprise(probe.Test("heads", 10, 10, 0.5))
    assert surprise == pytest.approx(-np.log10(2 / 1024))
    assert probe.surprise(probe.Test("heads", 5, 10, 0.5)) == 0
    assert probe.surprise(probe.Test("none", 0, 0, 0.5)) == np.inf
    assert probe.surprise(probe.Test("many", 5000, 10000, 0.25)) > 300


def test_the_probe_copies_what_is_lit_to_the_first_dense_layer():
    x, y = probe.batch(64)
    outputs = reference.activations("cifar10_cnn", probe.weights(), x)
    lit = outputs["conv4"][probe.LIT[0]]
    assert set(np.unique(lit)) == {0, 1} and (lit == lit[0]).all()
    np.testing.assert_allclose(outputs["fc2"], 0, atol=1e-3)
    assert list(y[list(probe.LIT)]) == list(probe.LABELS)


def test_masks_are_read_off_an_update_as_they_were():
    random, rates = np.random.RandomState(0), tasks.TASKS["cifar10_cnn"].hyper_parameters["dropout"]
    flat = random.uniform(size=(2, 100, 8, 8)) > 0.4
    hidden = random.uniform(size=(2, 512)) > 0.5
    made = probe.Masks(flat, hidden)
    update = probe.expected_gradient(probe.weights(), made, rates, 64)
    found = probe.masks(update)
    np.testing.assert_array_equal(found.flat, flat)
    np.testing.assert_array_equal(found.hidden, hidden)


def test_no_update_at_all_is_no_mask():
    found = probe.masks(np.zeros((512, 6400)))
    assert not found.flat.any() and not found.hidden.any()


# --- what a run insists on ------------------------------------------------------------------------


def test_a_failure_is_kept_until_the_layers_have_been_compared():
    results = Results()
    assert results.judge("logits", 0.5) is False
    results.judge("losses", float("nan"))
    with pytest.raises(CheckFailed, match=r"logits: error 5.0e-01 .*; here$"):
        results.stop("; here")
    results.stop()


def test_every_check_has_a_limit_and_every_task_its_checks():
    for task in tasks.TASKS:
        assert set(check.required(task)) <= set(check.LIMITS)
    assert "dropout" in check.required("cifar10_cnn")
    assert "dropout" not in check.required("imdb_gru")
    assert check.required("resnet50_features") == ["roundtrip", "logits", "activations", "saved"]


def test_the_kept_file_is_plain_json_of_numbers():
    for entry in json.loads(Path(training.FILE).read_text(encoding="utf-8")):
        assert entry["kind"] in ("real", "synthetic")
        assert np.asarray(entry["losses"]).dtype == np.float64


def test_training_another_model_than_the_proven_one_is_refused():
    run = common.Run("cifar10_cnn", profile="smoke")
    run._check = type("Check", (), {"proven_model": object()})()
    with pytest.raises(CheckFailed, match="not the model whose dropout"):
        run.trained(object(), None, None)
