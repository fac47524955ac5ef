"""Measure how the tables and pages grow with the records: python docs/growth.py [NUMBER...].

Writes docs/growth.md and docs/growth.svg. The records are copies of the committed ones, as other
machines would have left them, in a project of their own that is removed at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count, cycle
from pathlib import Path
from statistics import median

from rosetta.project import Project
from rosetta.results import records, report
from rosetta.site import build

ROOT = Path(__file__).parent.parent
NUMBERS = (100, 1000, 5000, 10000)
COPIED = ("common", "frameworks", "notebooks", "README.md", "pyproject.toml")
COLUMNS = {
    "report, first": "s",
    "report, again": "s",
    "recording a cell": "ms",
    "site": "s",
    "largest page": "MB",
}


def main() -> None:
    numbers = [int(each) for each in sys.argv[1:]] or NUMBERS
    found = {number: measure(number) for number in numbers}
    for number, row in found.items():
        print(number, row)
    write_page(found)
    write_plot(found)


def measure(number: int) -> dict[str, float]:
    """Return the figures of COLUMNS for a project with this many records."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder).resolve())
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, project.root / name)
        fill(project, number)
        site = project.root / "site"
        row = {
            "report, first": seconds(lambda: report.write(project)),
            "report, again": seconds(lambda: report.write(project)),
            "recording a cell": 1000
            * median(seconds(lambda: record_one(project)) for _ in range(25)),
            "site": seconds(lambda: build.build(project, site, lambda line: None)),
        }
        pages = site.glob("*.html")
        return {**row, "largest page": max(page.stat().st_size for page in pages) / 1e6}


def fill(project: Project, number: int) -> None:
    """Write copies of the committed records, machine after machine, until there are enough."""
    originals = [json.loads(file.read_text()) for file in sorted(ROOT.glob("results/*/*/*/*.json"))]
    machines = count(1)
    for index, record in zip(range(number), cycle(originals), strict=False):
        if index % len(originals) == 0:
            name = f"machine-{next(machines)}"
        record["machine"]["name"] = name
        place = records.path(project, name, record["profile"], record["task"], record["framework"])
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(records.dumps(record))


def record_one(project: Project) -> None:
    """Do what a run does when a cell has ended."""
    record = records.read(project, next((project.results / "machine-1").glob("quick/*/*.json")))
    assert record is not None
    records.write(project, records.after(record, record))


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def write_page(found: dict[int, dict[str, float]]) -> None:
    heads = [f"{name}, {unit}" for name, unit in COLUMNS.items()]
    lines = [
        "# How it grows",
        "",
        "<!-- Made by `python docs/growth.py`. Edits are lost. -->",
        "",
        "How long the tables and pages take, and how large the largest page is, with more and",
        f"more records. Measured on {os.cpu_count()} cores. *First* draws the plots, too.",
        "",
        "![Growth with the number of records](growth.svg)",
        "",
        f"| records | {' | '.join(heads)} |",
        f"|---:|{'---:|' * len(heads)}",
    ]
    for number, row in found.items():
        values = [f"{row[name]:.1f}" for name in COLUMNS]
        lines.append(f"| {number:,} | {' | '.join(values)} |")
    (ROOT / "docs" / "growth.md").write_text("\n".join(lines) + "\n")


def write_plot(found: dict[int, dict[str, float]]) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "growth"  # names inside do not depend on the run

    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for name, unit in COLUMNS.items():
        values = [row[name] for row in found.values()]
        axes.plot(list(found), values, marker="o", label=f"{name}, {unit}")
    axes.set(xlabel="records", ylabel="", xscale="log", yscale="log")
    axes.legend(fontsize=8)
    figure.savefig(ROOT / "docs" / "growth.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
