"""What README.md says of the records: the results at a glance, and how long the first hour is."""

from __future__ import annotations

from rosetta.project import Project
from rosetta.results import columns, records, times
from rosetta.results.groups import Group
from rosetta.results.markdown import plain
from rosetta.results.overview import Overview

BEGIN = "<!-- results at a glance, made by `python run_all.py report` -->"
END = "<!-- end of the results at a glance -->"
HOUR_BEGIN = "<!-- the first hour, made by `python run_all.py report` -->"
HOUR_END = "<!-- end of the first hour -->"
NO_RECORDS = "\nNo records are kept here yet: `python run_all.py` makes yours.\n\n"


def update(project: Project, overview: Overview) -> bool:
    """Put what the records say between its marks in README.md, where it has them."""
    readme = project.root / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    new = text
    parts = {(BEGIN, END): table(overview), (HOUR_BEGIN, HOUR_END): first_hour(overview)}
    for (begin, end), part in parts.items():
        before, mark, rest = new.partition(begin)
        _, end_mark, after = rest.partition(end)
        if mark and end_mark:
            new = f"{before}{mark}\n{part}{end_mark}{after}"
    if new == text:
        return False
    records.write_text(project, readme, new)
    return True


def table(overview: Overview) -> str:
    """Return the table of README.md: the speed of every row where most of them ran.

    Beside it the accuracy that the whole specification reached, wherever it was trained.
    """
    if not overview.at_a_glance:
        return NO_RECORDS
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
    for name in (each for each in overview.rows if each in overview.frameworks):
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


def first_hour(overview: Overview) -> str:
    """Return what README.md says of how long the first two commands take."""
    if not overview.at_a_glance:
        return NO_RECORDS
    tasks = {group.task: group for group in overview.groups(*overview.at_a_glance)}
    took = {
        (each["framework"], task): float(each["run"]["seconds"])
        for task, group in tasks.items()
        for each in group.ok
        if "run" in each
    }
    if not took:
        return "\nNo record says how long it took.\n\n"
    name, task = min(took, key=lambda each: (_familiar(overview, each[0]), each))
    title = columns.machine_title(tasks[min(tasks)].records[0]["machine"])
    return (
        f"\nOn {plain(title)}, once its environment and data are there:\n\n"
        f"- `python run_all.py --framework {name} --task {task}` takes about "
        f"{times.words(took[name, task])}: one network is proven to be the reference's, trained "
        "and measured, and results.md has its row;\n"
        f"- `python run_all.py` takes about {times.words(sum(took.values()))} for "
        f"{len(took)} notebooks, and results.md has them side by side.\n\n"
    )


def _familiar(overview: Overview, name: str) -> int:
    framework = overview.frameworks.get(name)
    return framework.familiar or len(overview.rows) if framework else len(overview.rows)
