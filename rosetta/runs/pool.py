"""The workers of a Dask cluster: who is there, what they are asked, and what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import queue
import time
import uuid
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import distributed
from distributed.scheduler import KilledWorker

from rosetta.errors import UserError
from rosetta.runs import worker as worker_side
from rosetta.runs.machine import MatrixProduct

CONNECT_SECONDS = 10.0
# How often the scheduler is asked who is there.
REFRESH_SECONDS = 2.0
# What a worker may call the device that one run takes; see docs/cluster.md.
RESOURCES = ("rosetta", "GPU")
START = "dask worker {address} --nthreads 2 --memory-limit 0 --resources rosetta=1"
# Evaluated by a worker: names that every Python has, so that versions need not be the same.
PERFORM = "(exec(source, globals()), perform(package, name, question))[1]"
TASKS = ("executing", "ready", "constrained", "long-running")


class SchedulerLost(UserError):
    """The scheduler answers no more."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"the scheduler at {address} is lost: start it and its workers again, then the same "
            "command; what was finished is recorded, and it goes on from there"
        )


@dataclass
class Worker:
    """A process that leases its device to one run at a time."""

    address: str
    resource: str
    load: int = 0  # what it has to do, for other clients too, when it was last looked at
    description: Mapping[str, Any] | None = None  # what it said of itself
    fault: str | None = None  # why nothing more is asked of it
    product: MatrixProduct = field(default_factory=MatrixProduct)
    busy: bool = False

    @property
    def kind(self) -> str | None:
        """The name of its machine, once that is known."""
        return str(self.description["machine"]["name"]) if self.description else None

    @property
    def place(self) -> tuple[str, str] | None:
        """What it shares environments and data with: a folder on a host."""
        known = self.description
        return (str(known["host"]), str(known["folder"])) if known else None


@dataclass(frozen=True)
class Reply:
    """What became of a question: files by name, or what went wrong."""

    worker: Worker
    about: Any
    files: Mapping[str, bytes]
    fault: str | None = None
    lost: bool = False


@dataclass(frozen=True)
class _Asked:
    worker: Worker
    about: Any
    future: Any


class Pool:
    """The workers of a scheduler that declare a device, as one client sees and asks them."""

    def __init__(self, address: str, name: str, package: bytes, say: Callable[[str], None]) -> None:
        self.address = address
        self.client = _connect(address, say)
        self.name, self.workers = name, dict[str, Worker]()
        self.source = Path(worker_side.__file__).read_text(encoding="utf-8")
        self._asked: dict[str, _Asked] = {}
        self._events: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._refreshed = 0.0
        self._check_resources(self._information())
        # A task and not scattered data: it is made again where the worker that held it is lost.
        self._package = self.client.submit(bytes, package, key=f"rosetta-checkout-{name}")

    def refresh(self) -> list[Worker]:
        """Return the workers that have come. Those that have gone lose what they were asked."""
        if time.monotonic() - self._refreshed < REFRESH_SECONDS:
            return []
        found = self._information()
        for address in set(self.workers) - set(found):
            self.workers.pop(address)
            for key, asked in self._asked.items():
                if asked.worker.address == address:
                    self._events.put(key)
        fresh = []
        for address, each in found.items():
            resource = next((name for name in RESOURCES if each["resources"].get(name)), None)
            if resource and address not in self.workers:
                self.workers[address] = Worker(address, resource)
                fresh.append(self.workers[address])
            if resource:
                counts = each.get("metrics", {}).get("task_counts", {})
                self.workers[address].load = sum(counts.get(name, 0) for name in TASKS)
        self._refreshed = time.monotonic()
        return fresh

    def ask(self, worker: Worker, question: Mapping[str, Any], about: Any, leased: bool) -> None:
        """Ask a worker; the reply is told apart by what it is `about`.

        A leased question waits until the worker's device is free, whoever has it.
        """
        what = {
            "source": self.source,
            "package": self._package,
            "name": self.name,
            "question": json.loads(json.dumps(question)),
        }
        future = self.client.submit(
            eval,
            PERFORM,
            what,
            key=f"rosetta-{question['ask']}-{uuid.uuid4().hex}",
            workers=[worker.address],
            resources={worker.resource: 1} if leased else None,
        )
        self._asked[future.key] = _Asked(worker, about, future)
        future.add_done_callback(lambda done: self._events.put(done.key))
        worker.busy = worker.busy or leased

    @property
    def waiting(self) -> bool:
        """Whether a question has no reply yet."""
        return bool(self._asked)

    def reply(self) -> Reply | None:
        """Return the next reply, or None where none came for a while."""
        try:
            key = self._events.get(timeout=REFRESH_SECONDS)
        except queue.Empty:
            return None
        asked = self._asked.pop(key, None)
        if asked is None:  # that of a lost worker, which was told already
            return None
        asked.worker.busy = False
        lost = Reply(asked.worker, asked.about, {}, lost=True)
        if asked.worker.address not in self.workers:
            asked.future.cancel()
            return lost
        try:
            files = asked.future.result(timeout=CONNECT_SECONDS)
        except KilledWorker:
            return lost
        except (Exception, asyncio.CancelledError) as error:
            if asked.future.status == "error":
                fault = f"{type(error).__name__}: {error}"
                return Reply(asked.worker, asked.about, {}, fault)
            known = self._information()  # raises where it is the scheduler that is lost
            if isinstance(error, TimeoutError) and asked.worker.address in known:
                # Its machine is slow: it has the answer as long as the scheduler hears from it.
                self._asked[key], asked.worker.busy = asked, True
                self._events.put(key)
                return None
            asked.future.cancel()
            return lost
        blame = files.pop("fault", b"").decode("utf-8", "replace")
        return Reply(asked.worker, asked.about, files, blame or None)

    def withdraw(self, wanted: Callable[[Any], bool]) -> None:
        """Take back the questions whose subject is no longer wanted: their workers stop."""
        for key, asked in list(self._asked.items()):
            if not wanted(asked.about):
                del self._asked[key]
                asked.worker.busy = False
                asked.future.cancel()

    def close(self) -> None:
        """Take back all questions and leave the cluster."""
        with contextlib.suppress(Exception):
            self.withdraw(lambda about: False)
        with contextlib.suppress(Exception):
            self.client.close(timeout=2)

    def _information(self) -> dict[str, Any]:
        """Return what the scheduler knows of its workers, by address. Raises SchedulerLost."""
        if self.client.status == "running":
            with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError, RuntimeError):
                return dict(self.client.scheduler_info(n_workers=-1)["workers"])
        raise SchedulerLost(self.address)

    def _check_resources(self, found: Mapping[str, Any]) -> None:
        if any(each["resources"].get(name) for each in found.values() for name in RESOURCES):
            return
        self.close()
        start = START.format(address=self.address)
        what = (
            "no worker declares a device to lease"
            if found
            else f"the scheduler at {self.address} has no worker"
        )
        raise UserError(f"{what}: start one for each device with '{start}'")


def _connect(address: str, say: Callable[[str], None]) -> distributed.Client:
    for name in list(logging.root.manager.loggerDict):  # what is lost is said once, by us
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    where = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            client = distributed.Client(
                **where, timeout=CONNECT_SECONDS, set_as_default=False, name="rosetta"
            )
    except (OSError, TimeoutError, ValueError) as error:
        raise UserError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}): give its address, "
            "as in --scheduler tcp://HOST:8786, or start one with 'dask scheduler'"
        ) from None
    if any("Mismatched versions" in str(each.message) for each in caught):
        say("Python or Dask are not of the same version everywhere: if this fails, make them so.")
    return client
