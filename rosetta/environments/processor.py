"""The processor as this process may use it: cores, threads, what /proc/cpuinfo says it can."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

import psutil


def cores() -> int:
    """Return the physical cores that this process may use."""
    return min(psutil.cpu_count(logical=False) or threads(), threads())


@cache
def threads() -> int:
    """Return the hardware threads that this process may use: affinity and container quota count."""
    affinity = getattr(os, "sched_getaffinity", None)
    found = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota, _, period = read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        found = min(found, max(1, math.ceil(int(quota) / int(period))))
    return found


def has(words: str) -> bool:
    """Say whether a processor is as `words` say: its vendor and its instruction sets.

    All must stand in /proc/cpuinfo, as in "AuthenticAMD avx2"; a word after a "!" must not, as in
    "!GenuineIntel". Where there is no such file, it says nothing of the processor.
    """
    found = set(read("/proc/cpuinfo").split())
    return all((word.lstrip("!") in found) != word.startswith("!") for word in words.split())


def read(path: str) -> str:
    """Return the text of one of the system's files, nothing where there is none."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""
