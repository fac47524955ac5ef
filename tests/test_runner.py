"""A run from plan to report, with real kernels and tiny notebooks."""

import io
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import venv
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from small_project import (
    HERE,
    TASK,
    add_cell,
    add_row,
    fill,
    fill_with,
    living,
    options,
    record_of,
    start,
)

from rosetta import registry
from rosetta.data import datasets
from rosetta.environments import build
from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.results import glance, private, records, report
from rosetta.runs import execution, machine, outcomes, runner


def run(project: Project, **chosen: object) -> tuple[int, str]:
    """Run in this process; return the exit code and what was said."""
    said = io.StringIO()
    code = runner.run(project, options(**chosen), Console(file=said, width=200))
    return code, said.getvalue()


def states(project: Project, **chosen: object) -> dict[str, tuple[str, str | None]]:
    found = runner.list_cells(project, options(**chosen))
    return {each.cell.framework.name: (each.state, each.why) for each in found}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Options for runs that the tables show, without the seconds that the matrix product takes."""
    monkeypatch.setattr(machine.MatrixProduct, "is_due", lambda self: False)
    return {"profile": "quick"}


def test_a_failure_stops_no_other_row_and_a_second_run_repeats_only_it(
    project: Project, quick: dict
) -> None:
    fill(project, {"a": "exception", "b": "ok_record"})
    assert states(project, **quick)["b"] == ("never run", None)
    code, said = run(project, **quick)
    assert code == runner.FAILED
    assert "2 notebooks, 2 to run" in said
    assert said.index("will run cifar10_cnn: a, b") < said.index("[1/2]")
    assert "[2/2] cifar10_cnn b: ok, accuracy 50.0 %, training 100 pictures/s" in said
    assert record_of(project, "a")["reason"] == (
        "ValueError: no weights in notebooks/cifar10_cnn (in check)"
    )
    record = record_of(project, "b")
    assert record["status"] == "ok"
    assert record["run"]["seconds"] > record["run"]["cell_seconds"]
    assert record["environment"]["here"] is True
    assert record["environment"]["variables"] == registry.EVERY_ROW
    assert "ValueError: no weights" in project.results_md.read_text()
    assert states(project, **quick)["b"] == ("ok", None)
    code, said = run(project, **quick)
    assert code == runner.FAILED
    assert "2 notebooks, 1 to run, 1 up to date" in said


def test_nothing_to_do_and_what_undoes_that(project: Project) -> None:
    fill(project, {"a": "ok_record"})
    assert run(project)[0] == runner.OK
    before = record_of(project, "a")
    code, said = run(project)
    assert (code, "Nothing to do" in said) == (runner.OK, True)
    assert record_of(project, "a") == before
    (project.common / "tasks.py").write_text("x = 1\n")
    assert states(project)["a"] == ("stale", "changed since: common/")
    assert "1 to run" in run(project)[1]
    assert "Nothing to do" in run(project)[1]


def test_force_runs_what_has_not_changed(project: Project) -> None:
    fill(project, {"a": "faster_each_time"})
    run(project)
    assert "1 to run" in run(project, force=True)[1]
    assert record_of(project, "a")["metrics"]["train_examples_per_second"] == 200


@pytest.mark.slow
def test_the_weights_that_a_run_saves_are_kept_beside_its_record(
    project: Project, tmp_path: Path
) -> None:
    fill(project, {"a": "ok_record"})
    saves = "import os\nopen(os.path.join(os.environ['ROSETTA_FILES'], 'weights.npz'), 'w').write"
    add_cell(project, "a", f"{saves}('first')")
    assert run(project, repeats=2)[0] == runner.OK
    (record,) = project.results.glob("*/*/*/a.json")
    weights = record.with_suffix(".npz")
    assert weights.read_text() == "first"
    add_cell(project, "a", f"{saves}('second')\nraise ValueError")
    assert run(project)[0] == runner.FAILED
    assert weights.read_text() == "first"  # those of a run that was ok
    fill(project, {"a": "ok_record"})
    secret = tmp_path / "secret"
    secret.write_text("of no concern to a run")
    link = f"os.symlink({str(secret)!r}, os.path.join(os.environ['ROSETTA_FILES'], 'weights.npz'))"
    add_cell(project, "a", f"import os\n{link}")
    assert run(project)[0] == runner.OK
    assert not weights.exists()  # not those of an earlier run beside the record of this one
    assert secret.exists() and not list((project.state / "jobs").iterdir())


@pytest.mark.slow
def test_repeats_give_medians_and_their_spread(project: Project) -> None:
    fill(project, {"a": "faster_each_time"})
    assert run(project, repeats=2)[0] == runner.OK
    record = record_of(project, "a")
    assert record["repeats"] == 2
    assert record["metrics"]["train_examples_per_second"] == 150
    assert record["spread"]["train_examples_per_second"] == [100, 200]
    assert record["checks"]["logits"]["error"] == pytest.approx(2e-7)
    assert "Nothing to do" in run(project)[1]


@pytest.mark.parametrize(
    ("fixture", "reason"),
    [
        ("other_task", "the notebook recorded the task 'imdb_gru', not 'cifar10_cnn'"),
        ("no_check", "the notebook's record holds no check"),
        ("over_limit", "check logits: error 0.001 is over the limit 1e-05"),
    ],
)
def test_a_record_that_proves_nothing_is_a_failure(
    project: Project, fixture: str, reason: str
) -> None:
    fill(project, {"a": fixture})
    assert run(project)[0] == runner.FAILED
    assert record_of(project, "a")["reason"] == reason


@pytest.mark.slow
def test_odd_values_stop_no_other_row_and_no_table(project: Project, quick: dict) -> None:
    odd = {
        "a": "record['notes'] = 5",
        "b": "record['checks']['logits'] = {'error': 0.9, 'limit': 1.0}",
        "c": "record['losses'] = ['a']; record['metrics']['accuracy'] = 10**400",
        "d": "for _ in range(150): record['notes'] = [record['notes']]",
    }
    for row, source in odd.items():
        fill_with(project, row, source)
    fill(project, {"e": "ok_record"})
    assert run(project, **quick)[0] == runner.FAILED
    reasons = {row: record_of(project, row)["reason"] for row in (*odd, "e")}
    assert "notes: Expected" in reasons["a"] and "its limit is not that" in reasons["b"]
    assert "losses" in reasons["c"] or "metrics" in reasons["c"]
    assert "too deeply nested" in reasons["d"] and reasons["e"] is None
    # The tests may run side by side.
    assert re.search(r"\| Row e \| ok(, busy machine)? \|", project.results_md.read_text())
    assert run(project, **quick, frameworks=("e",))[0] == runner.OK


@pytest.mark.slow
def test_a_fault_of_the_runner_in_one_row_stops_no_other(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(project, {"a": "ok_record", "b": "ok_record"})
    fill_with(project, "a", "record['notes'] = 'fault'")
    whole = outcomes.fill

    def faulty(record: dict, outcome: execution.Outcome) -> None:
        if outcome.emitted["notes"] == "fault":
            raise ZeroDivisionError("division by zero")
        whole(record, outcome)

    monkeypatch.setattr(outcomes, "fill", faulty)
    assert run(project)[0] == runner.FAILED
    reason = record_of(project, "a")["reason"]
    assert reason.startswith("a fault of the runner, ZeroDivisionError: see .rosetta/logs/")
    assert "division by zero" in (project.root / reason.partition("see ")[2]).read_text()
    assert record_of(project, "b")["status"] == "ok"


@pytest.mark.slow
def test_a_failure_replaces_no_figures_and_the_next_run_clears_it(
    project: Project, quick: dict
) -> None:
    fill(project, {"a": "faster_each_time"})
    chosen = {**quick, "repeats": 2}
    assert run(project, **chosen)[0] == runner.OK
    before = record_of(project, "a")
    (executed,) = project.results.glob("*/*/*/a.ipynb")
    notebook = executed.read_text()
    (project.root / "count").write_text("this is no number")
    code, said = run(project, **chosen, force=True)
    assert code == runner.FAILED and "failed: ValueError: invalid literal for int()" in said
    after = record_of(project, "a")
    last = after.pop("last_try")
    assert after == before and executed.read_text() == notebook
    assert last["status"] == "failed" and last["reason"].startswith("ValueError: invalid literal")
    log = project.state / "logs" / "cifar10_cnn-a.ipynb"
    assert "this is no number" in log.read_text()
    why = f"last try failed: {last['reason']}"
    assert states(project, **quick)["a"] == ("failed", why)
    text = project.results_md.read_text()
    assert "ok, last try failed" in text and "last try failed: ValueError: invalid literal" in text
    assert "150" in text  # the figures stand
    (project.root / "count").write_text("10")
    code, said = run(project, **chosen)
    assert (code, "1 to run" in said) == (runner.OK, True)
    assert "last_try" not in record_of(project, "a")
    assert "last try failed" not in project.results_md.read_text()


@pytest.mark.slow
def test_what_a_failure_replaces_is_a_failure(project: Project) -> None:
    fill(project, {"a": "exception"})
    run(project)
    fill(project, {"a": "no_record"})
    run(project)
    assert record_of(project, "a")["reason"] == "the notebook recorded nothing"
    assert "last_try" not in record_of(project, "a")


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [
        "print('x' * 3_000_000)",
        "for _ in range(20): print('y' * 1_000_000)",
        "for number in range(200_000): print('line', number)",
    ],
    ids=["one line", "long lines", "many lines"],
)
def test_however_much_a_notebook_prints(project: Project, source: str) -> None:
    fill_with(project, "a", source)
    began = time.monotonic()
    assert run(project)[0] == runner.OK
    assert time.monotonic() - began < 60
    (executed,) = project.results.glob("*/*/*/a.ipynb")
    assert executed.stat().st_size < 400_000
    assert re.search(r"[\d,]+ characters are left out here", executed.read_text())


@pytest.mark.slow
def test_secrets_and_names_reach_no_file_and_no_reason(
    project: Project, quick: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOO_TOKEN", "s3cr3t-value")
    monkeypatch.setenv("LOGNAME", "adalovelace")
    everything = (
        'f\'{os.environ["FOO_TOKEN"]} of {os.environ["LOGNAME"]} at {socket.gethostname()}\''
    )
    show = f"import os, socket, sys; text = {everything}; print(text); record['notes'] = text\n"
    fill_with(
        project, "a", show + "print(text, file=sys.stderr); display({'text/html': text}, raw=True)"
    )
    fill_with(project, "b", show + "raise ValueError(text)")
    _, said = run(project, **quick, save_outputs=True)
    reason = record_of(project, "b")["reason"]
    assert reason.startswith("ValueError: (value of FOO_TOKEN) of user at ")
    assert "replaced in what the notebook left: the name of the " in said
    assert "the value of FOO_TOKEN" in said
    names = ["s3cr3t", "adalovelace"]
    if (host := socket.gethostname()).lower() not in private.COMMON_NAMES:
        names.append(rf"\b{re.escape(host)}\b")
    files = [*project.results.rglob("*"), *project.notebooks.rglob("*"), project.results_md]
    for file in files:
        for name in names:
            assert not file.is_file() or not re.search(name, file.read_text()), file


def test_a_loss_that_is_no_number_is_null(project: Project) -> None:
    fill(project, {"a": "not_a_number"})
    assert run(project)[0] == runner.OK
    assert record_of(project, "a")["losses"] == [2.0, None, 1.0]


@pytest.mark.slow
def test_a_broken_record_is_left_alone_and_the_others_run(project: Project) -> None:
    fill(project, {"a": "ok_record", "b": "ok_record"})
    assert run(project, frameworks=("a",))[0] == runner.OK
    (file,) = project.results.glob("*/*/*/a.json")
    file.write_text("{")
    code, said = run(project)
    assert code == runner.BAD_INPUT
    assert re.search(r"Left alone: results/\S+/a.json is not a valid record", said)
    assert file.read_text() == "{"
    assert record_of(project, "b")["status"] == "ok"
    assert states(project)["a"][0] == "broken"


@pytest.mark.slow
def test_a_smoke_run_leaves_the_tables_alone_and_is_listed(project: Project, quick: dict) -> None:
    fill(project, {"a": "ok_record"})
    readme = project.root / "README.md"
    readme.write_text(f"{glance.BEGIN}\n{glance.END}\n")
    run(project, **quick)
    before = project.results_md.read_bytes(), readme.read_bytes()
    fill(project, {"b": "exception"})
    _, said = run(project)
    assert "Tables: python run_all.py list --profile smoke" in said
    assert (project.results_md.read_bytes(), readme.read_bytes()) == before
    report.write(project)
    assert "smoke" not in project.results_md.read_text() + readme.read_text()
    said = io.StringIO()
    runner.show_cells(project, options(), Console(file=said, width=200))
    assert "cifar10_cnn a: ok, accuracy 50.0 %, training 100 pictures/s" in said.getvalue()
    assert "cifar10_cnn b: failed: ValueError: no weights" in said.getvalue()
    runner.show_cells(project, options(profile=None), Console(file=said, width=200))
    assert "Smoke runs: 1 ok, 1 failed; see" in said.getvalue()


def test_a_row_whose_modules_are_missing_is_unavailable(project: Project) -> None:
    fill(project, {"a": "ok_record"})
    add_row(project, "a", modules='["no_such_framework", "json"]')
    code, _ = run(project)
    assert code == runner.OK
    record = record_of(project, "a")
    assert record["status"] == "unavailable"
    assert record["reason"] == "no_such_framework cannot be imported in this Python (--here)"


def test_what_cannot_run_now_keeps_the_figures_of_when_it_could(project: Project) -> None:
    fill(project, {"a": "ok_record"})
    run(project)
    add_row(project, "a", modules='["no_such_framework"]')
    assert states(project)["a"][0] == "unavailable"
    code, said = run(project)
    assert (code, "no_such_framework" in said) == (runner.OK, True)
    assert record_of(project, "a")["status"] == "ok"


def test_versions_other_than_the_locked_ones_are_marked(project: Project, quick: dict) -> None:
    fill(project, {"a": "ok_record"})
    (project.frameworks / "a.lock").write_text("numpy==1.0.0\n")
    run(project, **quick)
    differs = record_of(project, "a")["environment"]["differs"]
    assert differs["numpy"]["locked"] == "1.0.0"
    assert "other versions" in project.results_md.read_text()


def test_a_python_without_ipykernel_is_an_error(project: Project, tmp_path: Path) -> None:
    fill(project, {"a": "ok_record"})
    venv.create(tmp_path / "bare")
    with pytest.raises(
        UserError, match=r"has no ipykernel and no matplotlib and no numpy, .* -m pip inst"
    ):
        run(project, python=tmp_path / "bare" / "bin" / "python")
    with pytest.raises(UserError, match="--python sh is not a Python that works"):
        run(project, python=Path("/bin/sh"))


def test_bad_input_is_said_before_anything_is_done(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(project, {"pytorch": "ok_record"})
    with pytest.raises(UserError, match="did you mean 'pytorch'"):
        run(project, frameworks=("pytroch",))
    with pytest.raises(UserError, match="nothing to run: no notebook for pytorch in imdb_gru"):
        run(project, tasks=("imdb_gru",))
    monkeypatch.setattr(machine, "accelerator", lambda: None)
    with pytest.raises(UserError, match="--device gpu"):
        run(project, device="gpu")
    assert not project.results.exists()


@pytest.mark.slow
def test_the_outputs_of_the_row_without_parameters_are_saved(project: Project) -> None:
    fill(project, {"a": "private_output", "b": "private_output"})
    (project.notebooks / TASK / "b.ipynb").unlink()
    add_row(project, "b")
    file = project.frameworks / "b.toml"
    file.write_text(file.read_text().replace('notebook = "b"', 'notebook = "a"'))
    file = project.frameworks / "0.toml"  # sorts before the others
    file.write_text(file.with_name("b.toml").read_text() + "\n[parameters]\nseed = 1\n")
    source = json.loads((project.notebooks / TASK / "a.ipynb").read_text())
    run(project, frameworks=("0", "b"), save_outputs=True)
    assert json.loads((project.notebooks / TASK / "a.ipynb").read_text()) == source
    said = run(project, frameworks=("a",))[1]
    assert "\x1b" not in said  # no bar in a log
    assert "Nothing to do" in run(project, save_outputs=True)[1]  # saves what there is already
    saved = json.loads((project.notebooks / TASK / "a.ipynb").read_text())
    assert saved["metadata"]["rosetta"]["framework"] == "a"
    assert [each["id"] for each in saved["cells"]] == [each["id"] for each in source["cells"]]
    assert saved["cells"][2]["outputs"][0]["text"][0] == "in notebooks/cifar10_cnn\n"
    assert states(project)["a"] == ("ok", None)
    next(project.results.glob("*/*/*/a.ipynb")).write_text("[]")
    assert "a.ipynb is no notebook: its outputs are not saved" in run(project, save_outputs=True)[1]
    assert json.loads((project.notebooks / TASK / "a.ipynb").read_text()) == saved


def test_a_row_runs_in_its_own_environment(project: Project) -> None:
    """In a venv that borrows this one's packages, so that nothing is downloaded."""
    fill(project, {"a": "ok_record"})
    framework = registry.load(project)["a"]
    folder = build.folder(project, framework, "cpu")
    venv.create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "borrowed.pth").write_text("\n".join([*borrowed, str(project.root)]))
    stamp = build._stamp(project, framework, "cpu")
    (folder / build.STAMP).write_text(json.dumps(stamp))
    assert run(project, python=None)[0] == runner.OK
    assert record_of(project, "a")["environment"]["here"] is False


@pytest.mark.slow
def test_stand_ins_replace_nothing_but_real_data_replace_stand_ins(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, each in datasets.DATASETS.items():
        nowhere = replace(each, url=f"http://127.0.0.1:9/{each.file}")
        monkeypatch.setitem(datasets.DATASETS, name, nowhere)
    fill(project, {"a": "ok_record"})
    run(project)
    real = record_of(project, "a")
    (project.data / "cifar10" / "dataset.json").unlink()
    assert states(project)["a"] == ("ok", None)  # nothing says that the data would be others
    assert datasets.ensure(project, [TASK], None, print)[TASK]["data"] == "synthetic"
    assert states(project)["a"] == ("ok", None)
    assert "Nothing to do" in run(project)[1]
    assert record_of(project, "a") == real

    said = run(project, force=True)[1]
    assert f"{TASK} runs on synthetic data: CIFAR-10: 127.0.0.1 could not be reached" in said
    fill(project, {})
    (file,) = project.results.glob("*/*/*/a.json")  # the notebook says "real" whatever it had
    file.write_text(file.read_text().replace('"data": "real"', '"data": "synthetic"'))
    assert states(project)["a"] == ("stale", "changed since: the data")


@pytest.mark.slow
def test_where_the_data_came_from_is_recorded_and_counts(project: Project, quick: dict) -> None:
    fill(project, {"a": "ok_record"})
    facts = project.data / "cifar10" / "dataset.json"
    facts.write_text(json.dumps({"data": "real", "sha256": "ab" * 32}))
    run(project, **quick)
    source = {"kind": "mirror", "sha256": "ab" * 32}
    assert record_of(project, "a")["data_source"] == source
    text = project.results_md.read_text()
    assert re.search(r"\| Row a \| ok, from a mirror(, busy machine)? \| 1, Python", text)
    assert f"data from a mirror, not the published file, SHA-256 {'ab' * 32}" in text
    assert states(project, **quick)["a"] == ("ok", None)
    published = datasets.DATASETS["cifar10"].sha256
    facts.write_text(json.dumps({"data": "real", "sha256": published}))
    assert states(project, **quick)["a"] == ("stale", "changed since: the data")
    run(project, **quick)
    assert record_of(project, "a")["data_source"] == {"kind": "published", "sha256": published}
    text = project.results_md.read_text()
    assert "from a mirror" not in text and f"data as published, SHA-256 {published}" in text


def test_what_stands_in_is_said_of_what_runs_only(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that may be had by now are asked for; where they are not, nothing runs."""
    weights = datasets.DATASETS["resnet50"]
    nowhere = replace(weights, url="http://127.0.0.1:9/resnet50")
    monkeypatch.setitem(datasets.DATASETS, "resnet50", nowhere)
    fill(project, {"a": "ok_record"}, task="resnet50_features")
    (project.data / "resnet50" / "dataset.json").unlink()
    assert "resnet50_features runs on random weights" in run(project)[1]
    (file,) = project.results.glob("*/*/*/a.json")
    file.write_text(file.read_text().replace('"initial"', '"random"'))
    (project.state / "unreachable.json").unlink()  # as after an hour
    said = run(project)[1]
    assert "will run resnet50_features if its real data can be had: a" in said
    assert "random ones stand in" in said
    assert "runs on" not in said and "Nothing to do" in said


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_behind_and_the_next_run_goes_on(project: Project) -> None:
    fill(project, {"a": "ok_record", "b": "endless_loop", "c": "ok_record"})
    process = start(project, "--profile", "quick")
    for line in process.stdout:
        if line.startswith("[2/3]"):
            break
    while not any("sleep" in each for each in living(project)):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == runner.INTERRUPTED, said
    assert "Interrupted. What was finished is recorded" in said
    assert living(project) == []
    assert record_of(project, "a")["status"] == "ok"
    assert not list(project.results.glob("*/*/*/[bc].*"))
    assert re.search(r"\[ok(, busy machine)?\]", project.results_md.read_text())
    fill(project, {"b": "ok_record"})
    code, said = run(project, profile="quick")
    assert (code, "3 notebooks, 2 to run, 1 up to date" in said) == (runner.OK, True)


def test_two_runs_at_once_are_one_too_many(project: Project) -> None:
    fill(project, {"a": "endless_loop"})
    process = start(project)
    for line in process.stdout:
        if line.startswith("[1/1]"):
            break
    with pytest.raises(UserError, match="another run is going on in this repository"):
        run(project)
    process.send_signal(signal.SIGTERM)  # ends it as Ctrl-C does
    process.communicate(timeout=30)
    assert process.returncode == runner.INTERRUPTED
    assert living(project) == []


def test_a_terminal_shows_a_bar(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(project, {"a": "no_record"})
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=120)
    assert runner.run(project, options(), console) == runner.FAILED
    assert "\x1b[" in said.getvalue()
    assert "[1/1] cifar10_cnn a: failed: the notebook recorded nothing" in said.getvalue()


def test_list_shows_every_cell(project: Project) -> None:
    fill(project, {"a": "ok_record", "b": "ok_record"})
    fill(project, {"b": "ok_record"}, task="imdb_gru")
    said = io.StringIO()
    runner.show_cells(project, options(), Console(file=said, width=100))
    lines = [re.findall(r"[\w ]+", line) for line in said.getvalue().splitlines()]
    words = [[word.strip() for word in line if word.strip()] for line in lines]
    assert ["a", "never run", "no notebook"] in words
    assert ["b", "never run", "never run"] in words


def test_a_run_in_which_nothing_is_to_do_takes_no_time(project: Project) -> None:
    fill(project, {"a": "ok_record"})
    run(project)
    began = os.times().elapsed
    process = start(project)
    said, _ = process.communicate(timeout=30)
    assert "Nothing to do" in said
    assert os.times().elapsed - began < 6  # 2 s on idle cores is what the project promises


def test_the_driver_is_light() -> None:
    """What it need not import would be paid for with every notebook."""
    code = "import sys, rosetta.runs.driver; print([m for m in ('matplotlib', 'pandas', 'numpy', "
    code += "'IPython', 'rich') if m in sys.modules])"
    done = subprocess.run([HERE, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- killed at any moment -----------------------------------------------------------------------

KILLS = 5
ROWS = {"a": "ok_record", "b": "slow", "c": "ok_record"}


def check_what_is_on_disk(project: Project) -> None:
    """Whatever was going on: records, notebooks and tables are whole."""
    _, broken = records.read_all(project)
    assert broken == []
    for file in project.results.glob("*/*/*/*.ipynb"):
        assert json.loads(file.read_text())["nbformat"] == 4
    for file in project.results.glob("*/*/*.svg"):
        assert file.read_text().endswith("</svg>\n")
    if project.results_md.exists():
        text = project.results_md.read_text()
        assert text.startswith("# Results") and text.endswith("\n")
        assert "## The matrix" in text


def orphans(project: Project) -> set[int]:
    mark = str(project.data)
    found = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get("ROSETTA_DATA") == mark:
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


def wait_for_a_kernel(project: Project) -> None:
    deadline = time.monotonic() + 60
    while not orphans(project) and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.slow
def test_kill_at_any_moment(project: Project) -> None:
    """No record is lost, and the next run clears up and completes."""
    fill(project, ROWS)
    kernels_killed = 0
    for number in range(KILLS):
        before = orphans(project)
        process = start(project, "--force")
        moment = random.uniform(0.2, 4.0)
        began = time.monotonic()
        first = process.stdout.readline()  # said after the orphans of the last run are killed
        assert first.startswith("Machine"), first
        assert not before & orphans(project), f"orphans after the next start ({moment=})"
        time.sleep(max(0.0, moment - (time.monotonic() - began)))
        if number == KILLS - 1:  # so that one at least has a kernel, however slow the machine
            wait_for_a_kernel(project)
        kernels_killed += len(orphans(project))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        check_what_is_on_disk(project)
    process = start(project)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert all(record_of(project, row)["status"] == "ok" for row in ROWS)
    assert living(project) == []
    assert not list(project.root.glob("**/*.tmp"))
    assert not list((project.state / "jobs").glob("*"))
    check_what_is_on_disk(project)
    assert kernels_killed  # otherwise the test has shown nothing about them
