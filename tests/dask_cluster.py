"""Dask clusters of real processes: each worker has a folder of its own and so stands for a host."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil

from rosetta.project import Project

START_SECONDS = 90.0  # on a machine whose cores are all busy


def wait_until(true: Callable[[], object], seconds: float = START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.05)


def started_by(processes: Iterable[psutil.Process]) -> list[str]:
    """The command lines of what processes have started, as far as it has not ended yet."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            for each in process.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    found.append(" ".join(each.cmdline()))
    return found


class Cluster:
    """A scheduler and its workers."""

    def __init__(self, folder: Path, project: Project) -> None:
        self.folder, self.project = folder, project
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()

    def start_scheduler(self) -> None:
        words = ["scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"]
        self.scheduler = self._start("scheduler", words, {})
        wait_until(self._answers)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def start_worker(
        self, name: str, *words: str, resource: str = "rosetta=1", **variables: str
    ) -> subprocess.Popen[bytes]:
        """Start a worker that takes `name` for its host's folder, and wait until it is there."""
        work = self.folder / name
        variables = {"ROSETTA_WORK": str(work), "ROSETTA_DATA": str(self.project.data), **variables}
        resources = ["--resources", resource] if resource else []
        known = ["worker", self.address, "--nthreads", "2", "--no-dashboard", "--memory-limit", "0"]
        known += ["--local-directory", str(self.folder), *resources, *(words or ["--no-nanny"])]
        return self._start(name, known, variables)

    def wait_for_workers(self, count: int) -> None:
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=START_SECONDS)

    def _start(
        self, name: str, words: list[str], variables: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *words],
                cwd=self.folder,
                env={**os.environ, **variables},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def wait_for_a_kernel(self) -> dict[str, psutil.Process]:
        """Wait until the endless notebook is in its loop; return what executes it."""

        def loops() -> bool:
            return any("sleep" in each for each in started_by(self.answering().values()))

        wait_until(loops)
        return self.answering()

    def answering(self) -> dict[str, psutil.Process]:
        """The processes that execute a cell now, by the name of their worker's folder."""
        found = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words, lives = process.cmdline(), process.status() != psutil.STATUS_ZOMBIE
                if lives and "answer" in words and words[-1].startswith(str(self.folder)):
                    found[Path(words[-1]).parents[1].name] = process
        return found

    def stop(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def cluster_of(folder: Path, project: Project, *names: str) -> Iterator[Cluster]:
    """A cluster with a worker for each name, stopped in the end."""
    folder.mkdir(exist_ok=True)
    cluster = Cluster(folder.resolve(), project)
    try:
        for name in names:
            cluster.start_worker(name)
        if names:
            cluster.wait_for_workers(len(names))
        yield cluster
    finally:
        cluster.stop()
