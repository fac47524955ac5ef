"""A run on a Dask cluster: a matrix for each kind of machine, one run at a time for each worker."""

from __future__ import annotations

import collections
import contextlib
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from rosetta.environments import here
from rosetta.errors import UserError
from rosetta.options import Options
from rosetta.progress import Display
from rosetta.project import Project
from rosetta.registry import Cell
from rosetta.results import schema
from rosetta.results.records import Record
from rosetta.runs import cell as cells
from rosetta.runs import travel, words
from rosetta.runs.cell import Done
from rosetta.runs.locking import alone
from rosetta.runs.matrix import BAD_INPUT, FAILED, INTERRUPTED, OK, Matrix, show_states
from rosetta.runs.pool import START, Pool, Reply, Worker
from rosetta.runs.states import select, setting_on

# How long a run waits for a worker to come when it has lost the last that could go on.
WAIT_SECONDS = 30.0
# A run whose worker is lost gets one more try: it may have been the run itself that killed it.
MOST_LOSSES = 2


@dataclass(eq=False)
class Task:
    """A cell of one machine's matrix, and what has come out of its repeats so far."""

    matrix: Matrix
    cell: Cell
    done: list[Done] = field(default_factory=list)
    workers: set[str] = field(default_factory=set)
    losses: int = 0
    # By place: environments and interpreters are those of a host.
    refused: dict[Any, Done] = field(default_factory=dict)
    over: bool = False


def run(project: Project, options: Options, console: Console | None = None) -> int:
    """Execute on the workers what has changed since it was last recorded; return the exit code.

    The codes are those of a run on this machine. Raises UserError for bad input, and where the
    cluster is of no use any more; what was finished until then is recorded.
    """
    display = Display(console)
    select(project, options)
    with alone(project), _cluster(project, options, display) as cluster:
        try:
            return cluster.go()
        except KeyboardInterrupt:
            display.line(
                "Interrupted. What was finished is recorded; the next run goes on from there."
            )
            cluster.pool.close()
            cluster.report()
            return INTERRUPTED
        except UserError:
            cluster.report()
            raise


def show_cells(project: Project, options: Options, console: Console | None = None) -> None:
    """Print for each kind of machine on the cluster what would run on its workers."""
    display = Display(console)
    with _cluster(project, options, display) as cluster:
        cluster.describe()
        for matrix in cluster.matrices.values():
            show_states(display, list(matrix.states.values()), options.profile)


@contextlib.contextmanager
def _cluster(project: Project, options: Options, display: Display) -> Iterator[Cluster]:
    name, package = travel.pack(project)
    assert options.scheduler is not None
    pool = Pool(options.scheduler, name, package, display.line)
    try:
        yield Cluster(project, options, display, pool)
    finally:
        pool.close()


@dataclass
class Cluster:
    """The matrices of a run, one for each kind of machine, and the workers that execute them."""

    project: Project
    options: Options
    display: Display
    pool: Pool
    matrices: dict[str, Matrix] = field(default_factory=dict)
    pending: dict[str, collections.deque[Task]] = field(default_factory=dict)
    count: int = 0
    total: int = 0
    served: float = field(default_factory=time.monotonic)

    def go(self) -> int:
        """Do it all; return the exit code."""
        began = time.monotonic()
        self._greet()
        while self.pool.waiting or any(self.pending.values()):
            self._dispatch()
            self._give_up_what_nobody_can_do()
            reply = self.pool.reply()
            if reply is not None:
                self._take(reply)
            self._greet()
        self._check_that_someone_was_there()
        return self._conclude(time.monotonic() - began)

    def describe(self) -> None:
        """Ask all workers what they are, and plan what each kind of machine has to run."""
        self._greet()
        with self.display.busy("Workers"):
            while self.pool.waiting:
                reply = self.pool.reply()
                if reply is not None:
                    self._take(reply)
        self._check_that_someone_was_there()
        for kind in self.matrices:
            workers = [each.address for each in self.pool.workers.values() if each.kind == kind]
            self.display.line(f"{kind}: {len(workers)} workers, {', '.join(workers)}")

    def _check_that_someone_was_there(self) -> None:
        if not self.matrices:
            faults = [f"{each.address}: {each.fault}" for each in self.pool.workers.values()]
            raise UserError(f"no worker is of use: {'; '.join(faults) or 'all were lost'}")

    def _greet(self) -> None:
        """Ask the workers that have come what they are."""
        for worker in self.pool.refresh():
            question = {"ask": "describe", "options": self._options({})}
            self.pool.ask(worker, question, None, leased=False)

    def _options(self, changed: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of this run for a worker, as JSON has them."""
        chosen = {**asdict(self.options), "scheduler": None, "repeats": 1, **changed}
        return {
            name: str(value) if isinstance(value, Path) else value for name, value in chosen.items()
        }

    # --- who does what ------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Give every idle worker the next run of its kind of machine, least loaded ones first."""
        for worker in sorted(self.pool.workers.values(), key=lambda each: each.load):
            if worker.busy or worker.fault or worker.kind not in self.pending:
                continue
            tasks = self.pending[worker.kind]
            task = next((each for each in tasks if worker.place not in each.refused), None)
            if task:
                tasks.remove(task)
                self._assign(worker, task)

    def _assign(self, worker: Worker, task: Task) -> None:
        setting = task.matrix.setting
        chosen = {
            "tasks": [task.cell.task],
            "frameworks": [task.cell.framework.name],
            "profile": setting.profile,
            "device": setting.device,
            "timeout": setting.timeout,
        }
        question = {
            "ask": "execute",
            "options": self._options(chosen),
            "measure": setting.profile != "smoke" and worker.product.is_due(),
        }
        self.pool.ask(worker, question, task, leased=True)
        self.display.line(f"{task.cell.task} {task.cell.framework.name} on {worker.address} ...")

    def _give_up_what_nobody_can_do(self) -> None:
        """End tasks that all hosts have refused; raise UserError where no worker is left at all."""
        stuck = []
        for kind, tasks in self.pending.items():
            of_use = [each for each in self.pool.workers.values() if not each.fault]
            places = {each.place for each in of_use if each.kind in (None, kind)}
            for task in [each for each in tasks if each.refused]:
                if places and places <= set(task.refused):
                    self._finish(task, next(iter(task.refused.values())))
            if tasks and not places:
                stuck.append(kind)
        if not stuck or self.pool.waiting:  # others first: nothing that goes on is given up
            self.served = time.monotonic()
        elif self._nobody_may_come() or time.monotonic() - self.served > WAIT_SECONDS:
            raise UserError(self._nobody_is_left(stuck[0]))

    def _nobody_may_come(self) -> bool:
        """Say whether all workers are there and of no use; a lost one may come again."""
        workers = self.pool.workers.values()
        return bool(workers) and all(each.fault for each in workers)

    def _nobody_is_left(self, kind: str) -> str:
        workers = self.pool.workers.values()
        faults = "; ".join(f"{each.address}: {each.fault}" for each in workers if each.fault)
        fix = faults or f"start one with '{START.format(address=self.pool.address)}'"
        left = len(set(self.pending[kind]))
        return (
            f"no worker is left for {left} notebooks on {kind}: {fix}. What was finished is "
            "recorded; the same command goes on from there"
        )

    # --- what comes back ----------------------------------------------------------------------

    def _take(self, reply: Reply) -> None:
        worker, task = reply.worker, reply.about
        if reply.fault:
            self._set_aside(worker, reply.fault, task)
        elif reply.lost and task is not None:
            self._lost(worker, task)
        elif not reply.lost:
            answer = json.loads(reply.files["answer.json"])
            if task is None:
                worker.description = answer
                self._plan(answer)
            else:
                self._take_run(worker, task, reply.files, answer)

    def _plan(self, description: Mapping[str, Any]) -> None:
        """Plan the matrix of a kind of machine, when the first worker of that kind is known."""
        kind = description["machine"]["name"]
        if kind in self.matrices:
            return
        selected = select(self.project, self.options)
        asked = None
        if self.options.python is not None:
            asked = here.Here(
                self.project, self.options.python, description["device"], description["here"]
            )
        setting = setting_on(self.options, description["device"], description["machine"], asked)
        matrix = Matrix(self.project, self.options, setting, selected, self.display)
        todo = matrix.judge(selected, description["data"])
        matrix.announce(todo, [])
        self.matrices[kind] = matrix
        tasks = [Task(matrix, each.cell) for each in todo]
        self.pending[kind] = collections.deque(
            task for task in tasks for _ in range(setting.repeats)
        )
        self.total += len(tasks)

    def _take_run(
        self, worker: Worker, task: Task, files: Mapping[str, bytes], answer: Mapping[str, Any]
    ) -> None:
        if task.over:
            return
        record = schema.read(files["record.json"])
        if record["status"] == "unavailable":
            task.refused[worker.place] = Done(record)
            self.pending[str(worker.kind)].appendleft(task)
            return
        if not _is_of_this_checkout(record, task):
            folder = worker.description["folder"] if worker.description else "its folder"
            fault = (
                f"it ran another version of this checkout: remove {folder}/checkouts there "
                "(or leave the files here alone while they run)"
            )
            self._set_aside(worker, fault, task)
            return
        if answer["matmul_gflops"] is not None:
            warning = worker.product.note(answer["matmul_gflops"], task.matrix.fastest_before())
            if warning:
                self.display.line(f"  {worker.address}: {warning}", style="yellow")
        record["machine"].update(worker.product.rates)
        notebook = json.loads(files["executed.json"]) if "executed.json" in files else None
        done = Done(record, notebook, self._weights(files), tuple(answer["replaced"]))
        task.matrix.say_what_was_replaced(done)
        task.done.append(done)
        task.workers.add(worker.address)
        repeats = task.matrix.setting.repeats
        if len(task.done) == repeats or cells.failed(task.done):
            self._finish(task, cells.combine(task.done, repeats))

    def _weights(self, files: Mapping[str, bytes]) -> Path | None:
        """Return the file with the trained weights of a run, for the matrix to move."""
        if "weights.npz" not in files:
            return None
        file = self.project.state / "jobs" / f"{uuid.uuid4().hex[:12]}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(files["weights.npz"])
        return file

    def _finish(self, task: Task, done: Done) -> None:
        task.over = True
        tasks = self.pending[task.matrix.setting.machine["name"]]
        while task in tasks:  # repeats of what has failed
            tasks.remove(task)
        self.pool.withdraw(lambda about: about is not task)
        if len(task.workers) > 1:
            done = replace(done, record={**done.record, "workers": len(task.workers)})
        state = task.matrix.finish(task.cell, done)
        self.count += 1
        title = f"[{self.count}/{self.total}] {task.cell.task} {task.cell.framework.name}"
        self.display.line(f"{title}: {words.summary(state)}", words.STYLES.get(state.state))

    def _set_aside(self, worker: Worker, fault: str, task: Task | None) -> None:
        """Ask no more of a worker whose host is at fault; others do what it was to do."""
        worker.fault = fault
        self.display.line(f"{worker.address} is set aside: {fault}", style="yellow")
        if task is not None and not task.over:
            self.pending[str(worker.kind)].appendleft(task)

    def _lost(self, worker: Worker, task: Task) -> None:
        if task.over:
            return
        task.losses += 1
        name = f"{task.cell.task} {task.cell.framework.name}"
        if task.losses < MOST_LOSSES:
            self.display.line(f"{worker.address} was lost while it ran {name}: once more")
            self.pending[str(worker.kind)].appendleft(task)
            return
        reason = (
            f"its worker was lost {task.losses} times while it ran: killed, or out of memory? "
            "Give the workers more, or see their logs"
        )
        known = (worker.description or {}).get("data", {}).get(task.cell.task)
        self._finish(task, cells.lost(task.matrix.look, task.cell, known, reason))

    def report(self) -> list[str]:
        """Write the tables; return what is wrong with broken records."""
        why = [why for matrix in self.matrices.values() for why in matrix.report()]
        return list(dict.fromkeys(why))

    def _conclude(self, seconds: float) -> int:
        broken = self.report()
        for matrix in self.matrices.values():
            if self.options.save_outputs:
                matrix.save_outputs()
            self.display.console.print(words.summary_table(list(matrix.states.values())))
        for why in broken:
            self.display.line(f"Left alone: {why}", style="red")
        tables = " and ".join({matrix.tables for matrix in self.matrices.values()})
        if self.total:
            self.display.line(f"Wall time: {seconds:.0f} s. Tables: {tables}")
        else:
            self.display.line("Nothing to do. --force runs it all again.")
        codes = {matrix.exit_code() for matrix in self.matrices.values()}
        return BAD_INPUT if broken else FAILED if FAILED in codes else OK


def _is_of_this_checkout(record: Record, task: Task) -> bool:
    """Say whether a record was made from the very files that this checkout holds."""
    here, there = task.matrix.look.key_parts(task.cell, record), record["key_parts"]
    # What data there were, the worker knows better.
    return all(there.get(name) == here[name] for name in here if name != "data")
