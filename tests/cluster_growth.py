"""How a run grows with its matrix and its workers; on an idle machine, takes an hour:

    PYTHONPATH=. .venv/bin/python tests/cluster_growth.py

Not a test: nothing is right or wrong here. It generates matrices of trivial cells, runs them on a
Dask cluster of this machine, and writes the table and the curve of docs/cluster.md. What is
measured is what the runner and Dask cost. With "at once" the workers answer without executing
anything; with "kernel" they execute a notebook that trains nothing, as any other run does.
"""

import io
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import psutil
from dask_cluster import cluster_of
from rich.console import Console
from small_project import TASK, a_record, fill, options

from rosetta.project import Project
from rosetta.results import report
from rosetta.runs import cluster, machine, pool, words

ROOT = Path(__file__).parent.parent
PAGE, CURVE = ROOT / "docs" / "cluster.md", ROOT / "docs" / "cluster_growth.svg"
BEGIN, END = "<!-- growth, made by `tests/cluster_growth.py` -->", "<!-- end of the growth -->"
WORKERS = (1, 2, 4)
SIZES = {"at once": (10, 100, 1_000, 10_000), "kernel": (10, 100)}

# Takes the place of rosetta/runs/worker.py in a worker that answers at once.
AT_ONCE = """
import json
RECORD, DESCRIPTION = json.loads({record!r}), json.loads({description!r})
def perform(package, name, question):
    if question["ask"] == "describe":
        return {{"answer.json": json.dumps(DESCRIPTION).encode()}}
    chosen = question["options"]
    found = {{**RECORD, "framework": chosen["frameworks"][0]}}
    measured = b'{{"matmul_gflops": null, "replaced": []}}'
    return {{"answer.json": measured, "record.json": json.dumps(found).encode()}}
"""


def generate(project: Project, cells: int) -> None:
    """Fill a project with as many rows, which share one notebook."""
    for folder in (project.frameworks, project.notebooks, project.common):
        folder.mkdir(parents=True)
    fill(project, {"row-00000": "ok_record"})
    text = (project.frameworks / "row-00000.toml").read_text()
    for number in range(1, cells):
        (project.frameworks / f"row-{number:05d}.toml").write_text(text)


def answer_at_once(project: Project) -> None:
    """Let the workers answer without executing anything: a record of constant size and content."""
    here = machine.describe("cpu")
    data = {TASK: {"data": "real", "weights": "initial", "reason": None}}
    data[TASK] |= {"data_source": None, "weights_source": None}
    place = {"host": "host", "folder": "folder", "here": {"prefix": "", "python": "3"}}
    place["here"] |= {"modules": [], "packages": {"numpy": "2.0"}}
    description = {**place, "device": "cpu", "machine": here, "data": data}
    record = a_record(machine=here, losses=[2.0] * 200)
    source = AT_ONCE.format(record=json.dumps(record), description=json.dumps(description))
    file = project.root / "at_once.py"
    file.write_text(source)
    pool.worker_side.__file__ = str(file)
    # The same record comes back for all rows.
    cluster._is_of_this_checkout = lambda record, task: True


def clock_the_tables() -> list[float]:
    """Return a list that fills with the seconds that results.md takes, without its plots.

    They are apart since no reader has a table of 10,000 rows, and no plot of as many bars.
    """
    seconds: list[float] = []
    update = report.update

    def clocked(project: Project) -> object:
        began = time.monotonic()
        found = update(project)
        seconds.append(time.monotonic() - began)
        return found

    report.update = clocked
    report.Report.draw = lambda self: False
    return seconds


def measure(how: str, cells: int, workers: int) -> dict[str, float]:
    """Run one matrix; return seconds and peak memory (MiB) of the client and the scheduler."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project((Path(folder) / "project").resolve())
        generate(project, cells)
        if how == "at once":
            answer_at_once(project)
        names = [f"host-{number}" for number in range(workers)]
        with cluster_of(Path(folder) / "cluster", project, *names) as on:
            # The tables show no smoke run.
            asked = options(scheduler=on.address, profile="quick")
            machine.MatrixProduct.is_due = lambda self: False
            if how == "kernel":  # the first question makes the copies of the checkout
                cluster.show_cells(project, asked, Console(file=io.StringIO()))
            tables = clock_the_tables()
            began = time.monotonic()
            code = cluster.run(project, asked, Console(file=io.StringIO()))
            seconds = time.monotonic() - began - sum(tables)
            assert code == 0, f"exit code {code}"
            assert len(list(project.results.glob("*/*/*/*.json"))) == cells
            scheduler = psutil.Process(on.scheduler.pid).memory_info().rss
        return {
            "seconds": seconds,
            "tables": sum(tables),
            "client": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
            "scheduler": scheduler / 2**20,
        }


def measure_all(sizes: dict[str, Sequence[int]]) -> Iterator[dict[str, object]]:
    for how, numbers in sizes.items():
        for cells in numbers:
            for workers in WORKERS:
                command = [sys.executable, __file__, "--one", how, str(cells), str(workers)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found = {"how": how, "cells": cells, "workers": workers, **json.loads(done.stdout)}
                click.echo(json.dumps(found), err=True)
                yield found


def table(found: Sequence[dict[str, object]]) -> str:
    titles = "a cell is answered | cells | workers | seconds | ms per cell | results.md | client"
    lines = [f"| {titles} | scheduler |", "|---|---:|---:|---:|---:|---:|---:|---:|"]
    for each in found:
        per_cell = 1000 * each["seconds"] / each["cells"]
        lines.append(
            f"| {'at once' if each['how'] == 'at once' else 'by a kernel'} | {each['cells']:,} "
            f"| {each['workers']} | {each['seconds']:,.1f} | {per_cell:,.0f} "
            f"| {each['tables']:,.1f} s "
            f"| {each['client']:,.0f} MiB | {each['scheduler']:,.0f} MiB |"
        )
    return "\n".join(lines)


def bound(found: Sequence[dict[str, object]]) -> str:
    """Say how many workers one client can keep busy, from the fastest run of the largest matrix."""
    at_once = [each for each in found if each["how"] == "at once"]
    largest = max(at_once, key=lambda each: (each["cells"], -each["seconds"]))
    rate = largest["cells"] / largest["seconds"]
    return (
        f"In the matrix of {largest['cells']:,} cells one client takes {rate:,.0f} replies a "
        f"second: it keeps {60 * rate:,.0f} workers busy whose runs take a minute each."
    )


def draw(found: Sequence[dict[str, object]]) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "rosetta"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for how, style in (("at once", "-o"), ("kernel", "--s")):
        for workers in WORKERS:
            mine = [e for e in found if e["how"] == how and e["workers"] == workers]
            per_cell = [1000 * each["seconds"] / each["cells"] for each in mine]
            label = f"{how}, {workers} worker{'s' if workers > 1 else ''}"
            axes.loglog([each["cells"] for each in mine], per_cell, style, label=label)
    axes.set_xlabel("cells of the matrix")
    axes.set_ylabel("milliseconds per cell")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(CURVE, metadata={"Date": None})


@click.command()
@click.option("--one", nargs=3, type=(str, int, int), hidden=True)
@click.option(
    "--largest", default=10_000, metavar="N", help="Leave out larger ones. Default: 10000."
)
def main(one: tuple[str, int, int] | None, largest: int) -> None:
    """Measure all sizes; write the table into docs/cluster.md and draw docs/cluster_growth.svg."""
    if one:
        click.echo(json.dumps(measure(*one)))
        return
    # A kernel takes seconds: a hundredth of as many cells.
    most = {"at once": largest, "kernel": largest / 100}
    sizes = {how: [each for each in SIZES[how] if each <= most[how]] for how in SIZES}
    found = list(measure_all(sizes))
    here = words.describe_machine(machine.describe("cpu")).rpartition(" (")[0]
    text = f"Measured on {here}, all processes on it, Python {platform.python_version()}.\n\n"
    text += table(found) + "\n\n" + bound(found)
    draw(found)
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.partition(BEGIN)[0], page.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    os.environ.pop("ROSETTA_DATA", None)
    main()
