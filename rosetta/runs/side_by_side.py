"""Executions side by side, each on cores of its own: for what is not timed."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace

import psutil

from rosetta import processes
from rosetta.environments import processor
from rosetta.project import Project
from rosetta.runs import execution

MEMORY = 4 * 2**30  # bytes that one kernel may need, with room to spare
MOST = 8  # by default


def default() -> int:
    """Return how many kernels this machine can take at once: by its cores and free memory."""
    free = int(psutil.virtual_memory().available)
    return max(1, min(processor.cores(), free // MEMORY, MOST))


def shares(count: int) -> list[tuple[int, ...]]:
    """Return the cores that this process may use in `count` parts; () where none can be chosen."""
    if count == 1 or not hasattr(os, "sched_getaffinity"):
        return [()] * count
    cores = sorted(os.sched_getaffinity(0))
    return [tuple(cores[n::count]) or (cores[n % len(cores)],) for n in range(count)]


def execute(
    project: Project, jobs: Mapping[str, execution.Job], count: int
) -> Iterator[tuple[str, execution.Outcome]]:
    """Execute jobs, `count` at once; yield (name, outcome) as they end.

    Leaves no process behind when it is interrupted.
    """
    free: queue.SimpleQueue[tuple[int, ...]] = queue.SimpleQueue()
    for share in shares(min(count, len(jobs) or 1)):
        free.put(share)

    def one(job: execution.Job) -> execution.Outcome:
        share = free.get()
        try:
            return execution.execute(project, replace(job, cores=share))
        finally:
            free.put(share)

    with ThreadPoolExecutor(count) as pool:
        futures = {pool.submit(one, job): name for name, job in jobs.items()}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.kill_marked(processes.mark(project))
            raise
