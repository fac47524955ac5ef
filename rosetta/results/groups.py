"""The records that stand in one table: those of a task, made with one profile on one machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rosetta.results import records
from rosetta.results.records import Record


@dataclass(frozen=True)
class Group:
    """The records of one task, made with one profile on one machine."""

    machine: str
    profile: str
    task: str
    records: Sequence[Record]

    @property
    def folder(self) -> str:
        return f"results/{self.machine}/{self.profile}"

    @property
    def ok(self) -> list[Record]:
        return [record for record in self.records if record["status"] == "ok"]

    @property
    def stand_ins(self) -> list[str]:
        """What keeps data and weights of every record that is ok from being the published ones."""
        found = [records.origins(record) for record in self.ok]
        known = dict.fromkeys(words for each in found for words in each)
        return [words for words in known if all(words in each for each in found)]

    def own_stand_ins(self, record: Record) -> list[str]:
        """What does so in a record, but not in every other one."""
        return [each for each in records.origins(record) if each not in self.stand_ins]
