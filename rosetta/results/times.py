"""How long a run takes, about: from records of this machine, or of another one and its speed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

from rosetta.registry import Cell
from rosetta.results.records import Record


class Times:
    """How long the cells of the matrix take on a machine, at one profile and device.

    `rate` measures the matrix product of the machine in GFLOP/s; it is called at most once, where
    only other machines have a record.
    """

    def __init__(
        self,
        found: Iterable[Record],
        machine: str,
        profile: str,
        device: str,
        rate: Callable[[], float | None],
    ) -> None:
        self.machine, self._measure = machine, rate
        self._records: dict[tuple[str, str], list[Record]] = {}
        for record in found:
            known = record["status"] == "ok" and "run" in record
            if known and (record["profile"], record.get("device", "cpu")) == (profile, device):
                place = (record["task"], record["framework"])
                self._records.setdefault(place, []).append(record)

    def seconds(self, cell: Cell) -> float | None:
        """Return the seconds of one execution of a cell; None where no record tells."""
        records = self._records.get((cell.task, cell.framework.name), [])
        for record in records:
            if record["machine"]["name"] == self.machine:
                return float(record["run"]["seconds"])
        scaled = [
            record["run"]["seconds"] * rate / self._rate
            for record in records
            if (rate := record["machine"].get("matmul_gflops")) and self._rate
        ]
        return sorted(scaled)[len(scaled) // 2] if scaled else None

    @cached_property
    def _rate(self) -> float | None:
        rates = [
            record["machine"].get("matmul_gflops") or 0.0
            for records in self._records.values()
            for record in records
            if record["machine"]["name"] == self.machine
        ]
        return max(rates, default=0.0) or self._measure()


def words(seconds: float) -> str:
    """Return a duration as one says it: "40 seconds", "12 minutes", "3.5 hours"."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} second{'' if round(seconds) <= 1 else 's'}"
    if seconds < 5400:
        minutes = round(seconds / 60)
        return f"{minutes} minute{'' if minutes == 1 else 's'}"
    return f"{seconds / 3600:.1f} hours"
