"""How busy the machine was with other work while a notebook ran."""

from __future__ import annotations

import os
import time

import psutil

# What a processor does for programs, or for other machines on the same hardware ("steal").
BUSY = ("user", "nice", "system", "irq", "softirq", "steal")


class Load:
    """The work of a machine since this was made."""

    def __init__(self) -> None:
        self._began, self._busy, self._own = time.monotonic(), _busy(), _own()

    def others(self) -> float:
        """Return how many cores, on average, were busy with what this process did not start.

        Of its children count those that have ended, and been waited for.
        """
        seconds = time.monotonic() - self._began
        others = (_busy() - self._busy) - (_own() - self._own)
        return max(0.0, others / seconds) if seconds > 0 else 0.0


def _busy() -> float:
    times = psutil.cpu_times()
    return sum(float(getattr(times, name, 0.0)) for name in BUSY)


def _own() -> float:
    found = os.times()
    return found.user + found.system + found.children_user + found.children_system
