"""results.md comes from the records alone: no cell is silently empty, no two writings differ."""

import re
import sys
import time

import pytest
from small_project import a_record, fill

from rosetta import registry
from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.results import glance, headline, keys, records, report
from rosetta.results import vectors as vectors_of


def text_of(project: Project) -> str:
    report.write(project)
    return project.results_md.read_text()


def row_of(text: str, title: str) -> dict[str, str]:
    """The figures of a row by their heading, from the last table that has it."""
    lines = text.splitlines()
    index = max(i for i, line in enumerate(lines) if line.startswith(f"| {title} | "))
    heading = max(i for i in range(index) if lines[i].startswith("|---")) - 1
    names, values = ([part.strip() for part in lines[i].split("|")[1:-1]] for i in (heading, index))
    return dict(zip(names, values, strict=True))


def without_start(text: str) -> str:
    return re.sub(r"The same start(.|\n)*?\n\n\|(.+\n)+", "", text)


def test_without_records_it_says_so(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    assert "| Row row | not run yet |" in text_of(project)


def test_the_figures_of_a_record(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    records.write(project, a_record())
    text = text_of(project)
    row = row_of(without_start(text), "Row row")
    assert row["version"] == "row 1.2.3, Python 3.11"
    assert row["accuracy"] == "75.00 %"
    assert row["training pictures/s"] == "400"
    assert row["of the matrix product"] == "0.74"  # 400 pictures/s of 0.37 GFLOP at 200 GFLOP/s
    assert row["forward pictures/s"] == "1,500"
    assert row["peak memory, GiB"] == "1.00"
    assert row["worst check"] == "0.02 (roundtrip)"
    assert row["dialect"] == "base"
    assert "stale, changed since: the notebook" in text
    assert "[ok, stale](results/machine-1/quick/cifar10_cnn/row.json), quick" in text
    assert "NumPy's float32 matrix product: 200 GFLOP/s" in text


def test_a_row_that_failed_or_cannot_run_says_why(project: Project) -> None:
    fill(project, {"bad": "ok_record", "none": "ok_record", "later": "ok_record"})
    nothing = {"metrics": {}, "checks": {}, "losses": []}
    records.write(
        project, a_record(framework="bad", status="failed", reason="E: a | b_c", **nothing)
    )
    records.write(
        project,
        a_record(framework="none", status="unavailable", reason="needs Python 3.6", **nothing),
    )
    text = text_of(project)
    assert set(list(row_of(text, "Row bad").values())[2:]) == {"—"}
    assert "- **Row bad**: failed: E: a \\| b_c\n" in text
    assert "- **Row none**: unavailable: needs Python 3.6\n" in text
    assert "Not run on this machine with this profile: Row later." in text


def test_what_qualifies_a_figure_stands_beside_it(project: Project) -> None:
    fill(project, {"row": "ok_record", "other": "ok_record"})
    environment = {
        "here": True,
        "variables": {"THREADS": "2"},
        "python": "3.12.1",
        "packages": {"torch": "2.9.0"},
        "differs": {"torch": {"found": "2.9.0", "locked": "2.13.0"}},
    }
    record = a_record(data="synthetic", weights="random", environment=environment, repeats=3)
    record["spread"] = {"train_examples_per_second": [380.0, 410.0]}
    record["metrics"]["peak_memory_bytes"] = None
    records.write(project, record)
    text = text_of(project)
    row = row_of(without_start(text), "Row row")
    assert row["status"] == "ok, synthetic data, random weights, stale, other versions"
    assert row["training pictures/s"] == "400 (380–410)"
    assert "**On synthetic data**" in text
    assert "- **Row row**: torch 2.9.0 where the lock has 2.13.0\n" in text
    assert "- **Row row**: run with THREADS=2\n" in text
    assert "- **Row row**: run in a Python 3.12.1 of the user's own (--here)\n" in text
    assert "- **Row row**: medians of 3 runs, least and most in brackets\n" in text
    assert "- **Row row**: not measured: peak memory, GiB\n" in text


def test_a_dialect_is_named_with_its_distance(project: Project) -> None:
    fill(project, {"row": "ok_record"}, task="imdb_gru")
    dialect = {"adam_epsilon": "uncorrected", "gru_biases": "separate", "gru_reset": "after"}
    record = a_record(task="imdb_gru", unit="reviews", dialect=dialect, dialect_losses=3.1e-5)
    records.write(project, record)
    text = text_of(project)
    assert row_of(without_start(text), "Row row")["dialect"] == "adam_epsilon uncorrected"
    assert "the losses of the check part from the base form's by 3e-05" in text


def test_the_first_losses_of_all_rows_are_compared(project: Project) -> None:
    fill(project, {"row": "ok_record", "other": "ok_record"})
    records.write(project, a_record())
    records.write(project, a_record(framework="other", check_losses=[2.50001, 2.0]))
    text = text_of(project)
    assert "on the first batch of the check the rows differ by at most 4e-06 of it; " in text
    assert "each row draws dropout masks of its own" in text
    assert "| Row other | 2.50001 |" in text  # dropout: the first loss of training says nothing


def test_a_gpu_is_compared_with_its_own_matrix_product(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    machine = {
        **a_record()["machine"],
        "name": "machine-2",
        "accelerator": "GPU 2",
        "driver": "570",
        "cuda": "12.8",
        "accelerator_gflops": {"float32": 50000.0, "tf32": 400000.0},
    }
    record = a_record(machine=machine, device="gpu")
    record["metrics"]["train_examples_per_second"] = 20000.0
    records.write(project, record)
    records.write(project, a_record())
    text = text_of(project)
    gpu = text[text.index("## GPU 2, Processor 1, 2 cores") :]
    assert row_of(without_start(gpu), "Row row")["of the matrix product"] == "0.15"
    assert "the accelerator's tf32 matrix product: 400,000 GFLOP/s" in gpu
    assert text.index("## Processor 1, 2 cores") < text.index("## GPU 2")


def test_what_vectors_leave_of_the_matrix_product_is_said(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    said = "- With vectors of 16 numbers, 50 and 100 channels cost as much as 64 and 112: "
    machine = a_record()["machine"]
    for vectors, there in (("avx512f", True), ("avx2", False), (None, False)):
        records.write(project, a_record(machine={**machine, "vectors": vectors}))
        assert (said in text_of(project)) == there
    # By hand: the forward pass, each layer's outputs in whole vectors of 16.
    useful = [27 * 50 * 1024, 450 * 50 * 1024, 450 * 100 * 256, 900 * 100 * 256, 6400 * 512, 5120]
    done = [27 * 64 * 1024, 450 * 64 * 1024, 450 * 112 * 256, 900 * 112 * 256, 6400 * 512, 8192]
    assert vectors_of.share(16) == pytest.approx(sum(useful) / sum(done))


def test_of_two_machines_with_as_many_rows_the_newest_is_shown(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    (project.root / "README.md").write_text(f"{glance.BEGIN}\n{glance.END}\n")
    for name, started in (("a-1", "2026-01-02T00:00:00Z"), ("b-1", "2026-01-03T00:00:00Z")):
        machine = {**a_record()["machine"], "name": name, "processor": name}
        records.write(project, a_record(machine=machine, started=started))
    report.write(project)
    assert "On b-1, 2 cores." in (project.root / "README.md").read_text()


def test_inference_is_compared_by_its_own_flops(project: Project) -> None:
    fill(project, {"row": "ok_record"}, task="resnet50_features")
    metrics = {"forward_examples_per_second": 10.0, "seconds_per_1000_examples": 100.0}
    record = a_record(task="resnet50_features", metrics=metrics, losses=[], check_losses=None)
    record.update(flops_per_example=None, inference_flops_per_example=8e9)
    records.write(project, record)
    row = row_of(text_of(project), "Row row")
    assert (row["seconds per 1,000"], row["of the matrix product"]) == ("100", "0.40")
    assert "accuracy" not in row


def test_a_row_that_only_infers_has_no_speed_beside_those_that_train(project: Project) -> None:
    fill(project, {"row": "ok_record", "other": "ok_record"}, task="imdb_gru")
    metrics = {"forward_examples_per_second": 4000.0, "accuracy": 0.8}
    infers = a_record(task="imdb_gru", framework="other", metrics=metrics, trains=False, losses=[])
    for record in (a_record(task="imdb_gru"), infers):
        records.write(project, record)
    row = row_of(without_start(text_of(project)), "Row other")
    assert row["status"].startswith("ok, inference alone") and "4,000" in row.values()
    assert row["training pictures/s"] == row["of the matrix product"] == "—"
    for profile in ("quick", "full"):
        records.write(project, {**infers, "profile": profile})
    headline = text_of(project).split("## ")[1]
    assert "| Row other |" in headline or "inference alone" in headline


def test_a_broken_record_is_named_after_all_others_are_written(project: Project) -> None:
    fill(project, {"row": "ok_record", "other": "ok_record"})
    records.write(project, a_record())
    file = records.write(project, a_record(framework="other"))
    file.write_text("{")
    with pytest.raises(UserError, match=r"quick/cifar10_cnn/other.json is not a valid record"):
        report.write(project)
    text = project.results_md.read_text()
    assert "75.00 %" in text
    assert "**Left out**: results/machine-1/quick/cifar10_cnn/other.json" in text


def test_a_record_without_its_row_is_shown(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    records.write(project, a_record(framework="removed"))
    text = text_of(project)
    assert "stale, its row or its notebook is gone" in text


def test_plots_are_drawn_once_and_alike(project: Project) -> None:
    fill(project, {"row": "ok_record", "other": "ok_record"})
    records.write(project, a_record())
    records.write(project, a_record(framework="other", losses=[2.0, None, 1.0] * 200))
    assert report.write(project) is True
    folder = project.results / "machine-1" / "quick"
    drawn = {file.name: file.read_bytes() for file in folder.glob("*.svg")}
    assert set(drawn) == {"cifar10_cnn-losses.svg", "cifar10_cnn-speeds.svg"}
    assert all(
        f"results/machine-1/quick/{name}" in project.results_md.read_text() for name in drawn
    )
    start = time.perf_counter()
    assert report.write(project) is False
    assert time.perf_counter() - start < 1.0
    records.write(project, a_record(started="2026-11-21T12:00:00Z"))
    assert report.write(project) is True
    for file in folder.glob("*.svg"):
        file.unlink()
    records.write(project, a_record())
    report.write(project)
    assert {file.name: file.read_bytes() for file in folder.glob("*.svg")} == drawn
    assert all(b"<dc:date>" not in content for content in drawn.values())


def test_nothing_to_draw_needs_no_matplotlib(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(project, {"row": "ok_record"})
    records.write(project, a_record())
    report.write(project)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert report.write(project) is False


def test_the_readme_shows_the_results_at_a_glance_between_its_marks(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    readme = project.root / "README.md"
    readme.write_text(f"Before.\n\n{glance.BEGIN}\nold\n{glance.END}\n\nAfter.\n")
    records.write(project, a_record())
    records.write(project, a_record(profile="full", metrics={"accuracy": 0.7712}))
    assert report.write(project)
    text = readme.read_text()
    assert "| cifar10_cnn | accuracy, whole training | pictures/s |" in text
    assert "| Row row | 77.12 % (stale) | 400 |" in text
    assert "old" not in text
    assert text.startswith("Before.") and text.endswith("After.\n")
    assert not report.write(project) and readme.read_text() == text


def test_a_row_stands_in_the_tables_of_its_own_tasks(project: Project) -> None:
    fill(project, {"row": "ok_record", "other": "ok_record"})
    (project.notebooks / "imdb_gru").mkdir()
    one = project.notebooks / "cifar10_cnn" / "row.ipynb"
    (project.notebooks / "imdb_gru" / "row.ipynb").write_bytes(one.read_bytes())
    for task in ("cifar10_cnn", "imdb_gru"):
        records.write(project, a_record(task=task))
    (project.root / "README.md").write_text(f"{glance.BEGIN}\n{glance.END}\n")
    report.write(project)
    cnn, gru = (project.root / "README.md").read_text().split("| imdb_gru |")
    assert "| Row other |" in cnn and "| Row row |" in cnn
    assert "| Row other |" not in gru and "| Row row |" in gru


def test_a_busy_machine_and_jumping_epochs_are_marked(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    speeds = [(9.0, 100), (1.0, 100), (1.5, 100)]  # the first epoch, which compiles, does not count
    epochs = [{"seconds": seconds, "examples": count} for seconds, count in speeds]
    run = {"seconds": 30.0, "cell_seconds": 28.0, "other_cores": 0.8}
    records.write(project, a_record(epochs=epochs, run=run))
    text = text_of(project)
    assert row_of(without_start(text), "Row row")["status"] == "ok, stale, busy machine, unsteady"
    assert "made on a busy machine: 0.8 of its cores had other work" in text
    assert "its epochs ran at 66.7 to 100 pictures/s" in text
    records.write(project, a_record(epochs=epochs[:2], run={**run, "other_cores": 0.1}))
    assert row_of(without_start(text_of(project)), "Row row")["status"] == "ok, stale"


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ({"matmul_gflops": 150.0}, "150"),  # the whole run was slow
        ({"matmul_gflops": 200.0, "matmul_last_gflops": 130.0}, "130"),  # this row alone was
        ({"matmul_gflops": 170.0, "matmul_last_gflops": 165.0}, None),
        ({"matmul_gflops": None, "matmul_last_gflops": None}, None),
    ],
)
def test_a_machine_slower_than_it_has_been_is_a_busy_one(
    project: Project, rates: dict[str, float | None], said: str | None
) -> None:
    fill(project, {"row": "ok_record", "other": "ok_record"})
    readme = project.root / "README.md"
    readme.write_text(f"{glance.BEGIN}\n{glance.END}\n")
    records.write(project, a_record(framework="other"))
    records.write(project, a_record(machine={**a_record()["machine"], **rates}))
    text = text_of(project)
    mark = ", busy machine" if said else ""
    assert row_of(without_start(text), "Row row")["status"] == "ok, stale" + mark
    assert row_of(without_start(text), "Row other")["status"] == "ok, stale"
    remark = f"its matrix product gave {said} GFLOP/s, where it has given 200"
    assert (remark in text) == bool(said)
    assert "*Busy machine*: others used a part of it" in readme.read_text()
    assert ("(busy machine)" in readme.read_text()) == bool(said)


def test_the_readme_shows_the_machine_that_ran_the_present_code(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(project, {"row": "ok_record", "other": "ok_record"})
    for row in ("row", "other"):
        records.write(project, a_record(framework=row))
    newer = {**a_record()["machine"], "name": "machine-2", "processor": "Processor 2"}
    records.write(project, a_record(machine=newer))
    monkeypatch.setattr(
        keys.Keys,
        "why_stale",
        lambda _, record, cell: None if record["machine"] == newer else "changed since",
    )
    readme = project.root / "README.md"
    readme.write_text(f"{glance.BEGIN}\n{glance.END}\n")
    report.write(project)
    assert "On Processor 2" in readme.read_text()


def test_a_headline_has_the_whole_training_and_what_others_have_published(project: Project) -> None:
    fill(project, {"pytorch": "ok_record", "row": "ok_record"})
    for row in ("pytorch", "row"):
        records.write(project, a_record(framework=row))
    metrics = {"accuracy": 0.7712, "train_seconds": 1234.0}
    records.write(project, a_record(framework="pytorch", profile="full", metrics=metrics))
    text = text_of(project)
    assert "| Row pytorch | 77.12 % (stale) | 1,234 | 400 | 78 % |" in text
    assert "| Row row | — | — | 400 | — |" in text
    assert headline.published()["accuracy"]["source"] in text


def test_others_speeds_stand_beside_those_of_resnet50(project: Project) -> None:
    fill(project, {"row": "ok_record"}, task="resnet50_features")
    metrics = {"forward_examples_per_second": 25.0}
    records.write(project, a_record(task="resnet50_features", metrics=metrics))
    text = text_of(project)
    assert (
        "| resnet50_features | pictures/s | per core |" in text
        and "| Row row | 25.0 | 12.5 |" in text
    )
    assert "Published, pictures/s per core of [" in text


def test_the_readme_says_how_long_the_first_hour_is(project: Project) -> None:
    fill(project, {"row": "ok_record", "other": "ok_record"})
    readme = project.root / "README.md"
    readme.write_text(f"{glance.HOUR_BEGIN}\nold\n{glance.HOUR_END}\n")
    other = {"seconds": 3000.0, "cell_seconds": 2990.0}
    records.write(project, a_record(framework="other", run=other))
    records.write(project, a_record(run={"seconds": 90.0, "cell_seconds": 80.0}))
    report.write(project)
    text = readme.read_text()
    assert "`python run_all.py --framework other --task cifar10_cnn` takes about 50 minutes" in text
    assert "`python run_all.py` takes about 52 minutes for 2 notebooks" in text
    assert "old" not in text


def test_the_readme_says_which_retired_frameworks_run_today(project: Project) -> None:
    fill(project, {"old": "ok_record", "new": "ok_record"})
    facts = '\n[facts]\nlast_release = "2.7"\nstate = "{}"\n'
    for name, state in (("old", "retired since 2019"), ("new", "living")):
        with (project.frameworks / f"{name}.toml").open("a") as file:
            file.write(facts.format(state))
    lost = 'title = "Lost"\n' + facts.format("retired") + 'unavailable = "needs a compiler"\n'
    (project.frameworks / "lost.toml").write_text(lost)
    (project.frameworks / "known.toml").write_text('title = "Known"\n' + facts.format("retired"))
    readme = project.root / "README.md"
    readme.write_text(f"{glance.RETIRED_BEGIN}\n{glance.RETIRED_END}\n")
    cost = {"build_seconds": 61, "bytes": 620_000_000}
    record = a_record(framework="old", started="2026-03-01T00:00:00Z")
    records.write(project, {**record, "environment": {**record["environment"], **cost}})
    later = a_record(framework="old", started="2026-04-01T00:00:00Z", profile="full")
    records.write(project, later)
    report.write(project)
    table = [line for line in readme.read_text().splitlines() if line.startswith("| ")]
    python = registry.load(project)["old"].python
    assert table[1:] == [
        "| Lost | 2.7 | — | — | — | — | needs a compiler |",
        f"| Row old | 2.7 | {python} | 0.6 GB | 61 s | 2026-04-01 | `python run_all.py env old` |",
    ]


def test_a_row_that_is_gone_leaves_the_readme(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    readme = project.root / "README.md"
    readme.write_text(f"{glance.BEGIN}\n{glance.END}\n")
    records.write(project, a_record())
    records.write(project, a_record(framework="gone"))
    report.write(project)
    assert "| Row row |" in readme.read_text() and "gone" not in readme.read_text()


def test_the_readme_says_what_stands_in(project: Project) -> None:
    fill(project, {"row": "ok_record", "other": "ok_record"})
    readme = project.root / "README.md"
    readme.write_text(f"{glance.BEGIN}\n{glance.END}\n")
    records.write(project, a_record(data="synthetic", weights="random"))
    report.write(project)
    assert "| cifar10_cnn | pictures/s, synthetic data, random weights |" in readme.read_text()
    records.write(project, a_record(framework="other", weights="random"))
    report.write(project)
    text = readme.read_text()
    assert "| cifar10_cnn | pictures/s, random weights |" in text
    assert "| Row row | 400 (synthetic data) |" in text and "| Row other | 400 |" in text


def test_the_readme_shows_no_smoke_run(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    readme = project.root / "README.md"
    readme.write_text(f"{glance.BEGIN}\n{glance.END}\n")
    records.write(project, a_record(profile="smoke"))
    report.write(project)
    assert "No records are kept here yet" in readme.read_text()


def test_a_readme_without_marks_is_left_alone(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    readme = project.root / "README.md"
    readme.write_text("Mine.\n")
    records.write(project, a_record())
    report.write(project)
    assert readme.read_text() == "Mine.\n"
