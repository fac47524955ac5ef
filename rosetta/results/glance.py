"""What README.md says of the records: results at a glance, the first hour, the retired rows."""

from __future__ import annotations

from rosetta.project import Project
from rosetta.results import columns, headline, records, retired, times
from rosetta.results.markdown import plain
from rosetta.results.overview import Overview

BEGIN = "<!-- results at a glance, made by `python run_all.py report` -->"
END = "<!-- end of the results at a glance -->"
HOUR_BEGIN = "<!-- the first hour, made by `python run_all.py report` -->"
HOUR_END = "<!-- end of the first hour -->"
RETIRED_BEGIN = "<!-- the retired frameworks, made by `python run_all.py report` -->"
RETIRED_END = "<!-- end of the retired frameworks -->"
NO_RECORDS = "\nNo records are kept here yet: `python run_all.py` makes yours.\n\n"


def update(project: Project, overview: Overview) -> bool:
    """Put what the records say between its marks in README.md, where it has them."""
    readme = project.root / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    new = text
    parts = {
        (BEGIN, END): table(overview),
        (HOUR_BEGIN, HOUR_END): first_hour(overview),
        (RETIRED_BEGIN, RETIRED_END): retired.table(overview),
    }
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
    """Return the tables of README.md, of the machine where most rows ran the present code."""
    if not overview.at_a_glance:
        return NO_RECORDS
    machine, profile = overview.at_a_glance
    about = overview.groups(machine, profile)[0].records[0]["machine"]
    lines = [
        f"\nOn {plain(columns.machine_title(about))}. Speeds are of profile `{profile}`, in "
        "training where the task trains; accuracies of the whole training (profile `full`), on "
        "whatever machine it ran. *Busy machine*: others used a part of it while the row ran, so "
        "that it may be faster than this.\n"
    ]
    for each in headline.tables(overview):
        lines += [*each.lines, ""]
    return "\n".join(lines) + "\n"


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
