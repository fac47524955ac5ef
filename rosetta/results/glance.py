"""The results at a glance: the table of README.md."""

from __future__ import annotations

from rosetta.project import Project
from rosetta.results import columns, records
from rosetta.results.groups import Group
from rosetta.results.markdown import plain
from rosetta.results.overview import Overview

BEGIN = "<!-- results at a glance, made by `python run_all.py report` -->"
END = "<!-- end of the results at a glance -->"


def update(project: Project, overview: Overview) -> bool:
    """Put the results at a glance between their marks in README.md, where it has them."""
    readme = project.root / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    new = f"{before}{mark}\n{table(overview)}{end}{after}"
    if not (mark and end) or new == text:
        return False
    records.write_text(project, readme, new)
    return True


def table(overview: Overview) -> str:
    """Return the table of README.md: the speed of every row where most of them ran.

    Beside it the accuracy that the whole specification reached, wherever it was trained.
    """
    if not overview.at_a_glance:
        return "\nNo records are kept here yet: `python run_all.py` makes yours.\n\n"
    machine, profile = overview.at_a_glance
    tasks = {group.task: group for group in overview.groups(machine, profile)}
    title = columns.machine_title(tasks[min(tasks)].records[0]["machine"])
    heads = [
        ", ".join([f"{columns.unit(group)}/s", task, *group.stand_ins])
        for task, group in tasks.items()
    ]
    lines = [
        f"\nProfile `{profile}` on {plain(title)}:"
        " examples per second in training, of the ResNet-50 in inference; in brackets the "
        "accuracy after the whole training (profile `full`).\n",
        f"| | {' | '.join(heads)} |",
        f"|---|{'---:|' * len(heads)}",
    ]
    for name in overview.rows:
        cells = [_cell(overview, group, name) for group in tasks.values()]
        lines.append(f"| {plain(overview.title(name))} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n\n"


def _cell(overview: Overview, group: Group, name: str) -> str:
    record = next((each for each in group.records if each["framework"] == name), None)
    if record is None:
        return "not run"
    if record["status"] != "ok":
        return str(record["status"])
    full = [
        each["metrics"].get("accuracy")
        for each in overview.by_cell[group.task, name]
        if (each["profile"], each["status"]) == ("full", "ok") and each["data"] == "real"
    ]
    marks = [columns.percent(full[0])] if full and full[0] is not None else []
    marks += group.own_stand_ins(record)
    return columns.number(columns.speed(record)) + (f" ({', '.join(marks)})" if marks else "")
