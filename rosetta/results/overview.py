"""The records as the report shows them: by machine, profile, task and row, and which are stale."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from rosetta import registry
from rosetta.project import Project
from rosetta.registry import Cell, Framework
from rosetta.results import columns, conditions, keys
from rosetta.results.groups import Group
from rosetta.results.records import BrokenRecordError, Record

PROFILES = ("full", "quick", "smoke")


class Overview:
    """Records beside what the repository holds now."""

    def __init__(
        self, project: Project, found: Sequence[Record], broken: Sequence[BrokenRecordError]
    ) -> None:
        self.project, self.records, self.broken = project, found, broken
        self.frameworks = registry.load(project)
        self.keys = keys.Keys(project)
        self._stale: dict[int, str | None] = {}
        matrix = registry.cells(project, self.frameworks.values())
        self.cells = {(cell.task, cell.framework.name): cell for cell in matrix}

    @cached_property
    def tasks(self) -> list[str]:
        """The tasks that have a notebook or a record, in their order."""
        seen = {record["task"] for record in self.records} | {task for task, _ in self.cells}
        return [task for task in registry.TASKS if task in seen]

    @cached_property
    def rows(self) -> list[str]:
        """The names of all rows, those with records only too."""
        with_notebook = {name for _, name in self.cells}
        return sorted(with_notebook | {name for _, name in self.by_cell})

    def machine_names(self) -> list[str]:
        return list(self._groups)

    def groups(self, machine: str | None = None, profile: str | None = None) -> list[Group]:
        """Return the records by machine, profile and task, in the order of the report."""
        found = self._groups.values() if machine is None else [self._groups.get(machine, [])]
        return [
            group for mine in found for group in mine if profile is None or group.profile == profile
        ]

    @cached_property
    def _groups(self) -> dict[str, list[Group]]:
        """The groups of every machine."""
        made: dict[tuple[str, str, str], list[Record]] = {}
        for record in self.records:
            place = (record["machine"]["name"], record["profile"], record["task"])
            made.setdefault(place, []).append(record)
        groups = [Group(*place, found) for place, found in made.items()]
        order = {name: index for index, name in enumerate((*PROFILES, *registry.TASKS))}
        groups.sort(key=lambda group: (group.machine, order[group.profile], order[group.task]))
        by_machine = itertools.groupby(groups, lambda group: group.machine)
        return {name: list(mine) for name, mine in by_machine}

    @cached_property
    def by_cell(self) -> dict[tuple[str, str], list[Record]]:
        """The records of every cell of the matrix, of all machines and profiles."""
        made: dict[tuple[str, str], list[Record]] = {}
        for record in self.records:
            made.setdefault((record["task"], record["framework"]), []).append(record)
        return made

    @cached_property
    def at_a_glance(self) -> tuple[str, str] | None:
        """The machine and the profile with the most records that are ok, smoke runs left out.

        Those of the present code count before stale ones; of two that have as many, quick ones and
        the newest.
        """
        sizes: dict[tuple[str, str], tuple[int, int]] = {}
        newest: dict[tuple[str, str], str] = {}
        for group in self.groups():
            if group.profile != "smoke" and group.ok:
                fresh, ok = sizes.get((group.machine, group.profile), (0, 0))
                fresh += sum(not self.stale(each) for each in group.ok)
                sizes[group.machine, group.profile] = fresh, ok + len(group.ok)
                started = max(str(each["started"]) for each in group.ok)
                place = group.machine, group.profile
                newest[place] = max(started, newest.get(place, ""))
        most = [each for each in sizes if sizes[each] == max(sizes.values())]
        return max(most, key=lambda each: (each[1] == "quick", newest[each]), default=None)

    @cached_property
    def plotted(self) -> list[str]:
        """The machines whose plots results.md shows: that of README.md, and the newest one.

        The pages of the site show those of all, and draw them there.
        """
        newest = max(self.records, key=lambda each: str(each["started"]), default=None)
        names = {newest["machine"]["name"]} if newest else set()
        return sorted(names | set((self.at_a_glance or ())[:1]))

    def title(self, name: str) -> str:
        framework: Framework | None = self.frameworks.get(name)
        return framework.title if framework else name

    def stale(self, record: Record) -> str | None:
        """Return what has changed since a record was made, in words; None where nothing has."""
        if record["status"] != "ok":
            return None
        if id(record) not in self._stale:
            cell: Cell | None = self.cells.get((record["task"], record["framework"]))
            self._stale[id(record)] = self.keys.why_stale(record, cell)
        return self._stale[id(record)]

    def busy(self, record: Record) -> str | None:
        """Return in words that others used the machine while a record was made, if they did."""
        return conditions.busy(record, self._fastest[record["machine"]["name"]])

    @cached_property
    def _fastest(self) -> dict[str, float | None]:
        """The best matrix product of every machine."""
        machines: dict[str, list[Mapping[str, Any]]] = {}
        for record in self.records:
            machines.setdefault(record["machine"]["name"], []).append(record["machine"])
        return {name: conditions.fastest(found) for name, found in machines.items()}

    def ordered(self, found: Iterable[Record]) -> list[Record]:
        """Return records fastest first, those without figures last."""
        return sorted(found, key=lambda each: (-(columns.speed(each) or 0.0), each["framework"]))
