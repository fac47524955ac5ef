"""What a notebook hands over is judged before it is written: what proves nothing has failed."""

import json
import math

import pytest
from small_project import TASK, a_record, passed_checks

from common import check
from rosetta.project import Project
from rosetta.registry import TASKS
from rosetta.results import proof, records
from rosetta.runs import outcomes
from rosetta.runs.execution import Outcome

LIMIT = check.LIMITS["logits"]


def emitted(**changed: object) -> dict:
    """What a good notebook hands over, with some of it changed."""
    names = ("task", "profile", "device", "data", "weights", "versions", "checks", "dialect")
    more = ("metrics", "unit", "flops_per_example", "check_losses", "losses")
    record = a_record(task=changed.get("task", TASK))
    return {**{name: record[name] for name in (*names, *more)}, "notes": None, **changed}


def judged(value: dict) -> dict:
    """The record that becomes of it."""
    record = a_record(task=TASK, checks={}, metrics={}, losses=[], versions={}, dialect={})
    for name in ("unit", "flops_per_example", "check_losses"):
        del record[name]
    outcomes.fill(record, Outcome("ok", None, None, value, 2.0, 1.0))
    return record


def checks_with(**logits: object) -> dict:
    return {**passed_checks(), "logits": {"error": LIMIT / 2, "limit": LIMIT, **logits}}


ODD = {
    "notes that are a number": {"notes": 5},
    "a limit of inf": {"checks": checks_with(limit="inf")},
    "a limit of 0": {"checks": checks_with(limit=0)},
    "a limit of its own": {"checks": checks_with(error=0.9, limit=1.0)},
    "a limit that is smaller": {"checks": checks_with(error=0.0, limit=LIMIT / 10)},
    "an error of true": {"checks": checks_with(error=True)},
    "an error of false": {"checks": checks_with(error=False)},
    "an error as text": {"checks": checks_with(error="small")},
    "an error below 0": {"checks": checks_with(error=-1.0)},
    "an error of -inf": {"checks": checks_with(error="-inf")},
    "an error that is no number": {"checks": checks_with(error="nan")},
    "an error as a list": {"checks": checks_with(error=[1e-7])},
    "an error of null": {"checks": checks_with(error=None)},
    "an error of many digits": {"checks": checks_with(error=10**400)},
    "an error over its limit": {"checks": checks_with(error=2 * LIMIT)},
    "an error without a limit": {"checks": {**passed_checks(), "logits": {"error": 0.0}}},
    "a check that is a number": {"checks": {**passed_checks(), "logits": 1e-7}},
    "checks as a list": {"checks": [1, 2]},
    "checks as text": {"checks": "passed"},
    "no check": {"checks": {}},
    "a check too few": {"checks": {"logits": passed_checks()["logits"]}},
    "a check that nobody knows": {
        "checks": {**passed_checks(), "mine": {"error": 0.0, "limit": 1.0}}
    },
    "accuracy as text": {"metrics": {"accuracy": "high"}},
    "accuracy in percent": {"metrics": {"accuracy": 75.0}},
    "a speed below 0": {"metrics": {"train_examples_per_second": -5.0}},
    "a speed of many digits": {"metrics": {"train_examples_per_second": 10**400}},
    "a speed of true": {"metrics": {"train_examples_per_second": True}},
    "a metric that is a list": {"metrics": {"accuracy": [0.5]}},
    "metrics as a list": {"metrics": [0.5]},
    "losses of text": {"losses": ["a"]},
    "losses of lists": {"losses": [[1.0]]},
    "losses as text": {"losses": "falling"},
    "losses that are null": {"losses": None},
    "losses of many digits": {"losses": [10**400]},
    "no unit": {"unit": None},
    "a unit that is a number": {"unit": 1},
    "a unit with HTML": {"unit": "<script>alert(1)</script>"},
    "versions that are numbers": {"versions": {"torch": 2}},
    "versions as text": {"versions": "2.0"},
    "a dialect of lists": {"dialect": {"adam_epsilon": ["x"]}},
    "a dialect as text": {"dialect": "mine"},
    "data that are neither": {"data": "made up"},
    "weights that are neither": {"weights": 7},
    "epochs as text": {"epochs": "ten"},
    "flops as text": {"flops_per_example": "many"},
    "notes of a megabyte": {"notes": "x" * 1_000_000},
    "many megabytes of losses": {"losses": [1.25] * 900_000},
    "a field that nobody knows": {"more": {"of": "it"}},
    "another task": {"task": "imdb_gru"},
    "a task that is a list": {"task": [TASK]},
    "a profile that is a number": {"profile": 3},
    "another device": {"device": "gpu"},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_value_is_a_failure_in_words(project: Project, odd: dict) -> None:
    record = judged({**emitted(), **odd})
    assert record["status"] == "failed"
    assert 10 < len(record["reason"]) < 200
    assert record["metrics"] == record["checks"] == {}
    file = records.write(project, record)
    assert records.read(project, file) == json.loads(records.dumps(record))


def test_what_is_wrong_with_a_value_is_said() -> None:
    reasons = {
        "notes that are a number": "the notebook's record: notes: Expected 'str | null', got 'int'",
        "a limit of its own": f"check logits: its limit is not that of common/check.py, {LIMIT:g}",
        "an error of true": "check logits: its error is no number of 0 or more",
        "an error over its limit": f"check logits: error {2 * LIMIT:.3g} is over the limit",
        "a check that nobody knows": "the notebook's record holds an unknown check 'mine'",
        "no unit": "the notebook's record has no 'unit'",
        "accuracy in percent": "metrics.accuracy is 75, not from 0 to 1",
    }
    for name, reason in reasons.items():
        assert reason in judged({**emitted(), **ODD[name]})["reason"]


@pytest.mark.parametrize("task", TASKS)
def test_each_required_check_must_be_there(task: str) -> None:
    for name in check.required(task):
        record = a_record(task=task)
        fewer = passed_checks(task)
        del fewer[name]
        outcomes.fill(record, Outcome("ok", None, None, emitted(task=task, checks=fewer), 2.0, 1.0))
        assert record["status"] == "failed"
        assert name in record["reason"]


def test_a_row_that_only_infers_owes_no_check_of_a_training() -> None:
    checks = {
        name: found for name, found in passed_checks("imdb_gru").items()
        if name in proof.required("imdb_gru", False)
    }  # fmt: skip
    for trains, status in ((True, "failed"), (False, "ok")):
        record = a_record(task="imdb_gru", trains=trains)
        made = Outcome("ok", None, None, emitted(task="imdb_gru", checks=checks), 2.0, 1.0)
        outcomes.fill(record, made)
        assert record["status"] == status, record["reason"]
        assert proof.missing({**record, "checks": {}}) is not None
    del checks["trained"]
    record = a_record(task="imdb_gru", trains=False)
    outcomes.fill(record, Outcome("ok", None, None, emitted(task="imdb_gru", checks=checks), 2, 1))
    assert "lacks the checks trained" in record["reason"]


def test_what_is_good_is_kept_and_the_runners_own_words_stay(project: Project) -> None:
    forged = {"key": "forged", "machine": {}, "last_try": {}, "repeats": 1000, "environment": {}}
    record = judged(emitted(**forged, losses=[2.0, "nan", 1.0], notes="A note."))
    assert (record["status"], record["reason"]) == ("ok", None)
    assert record["key"] == "0" and record["repeats"] == 1 and "last_try" not in record
    assert record["machine"]["name"] == "machine-1"
    assert math.isnan(record["losses"][1]) and list(record)[-1] == "losses"
    read = records.read(project, records.write(project, record))
    assert read["losses"] == [2.0, None, 1.0]
    assert read["notes"] == "A note."
