"""Move trained weights from every row into every other one, and compare what comes out."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from common.check import LIMITS
from rosetta import registry
from rosetta.data import datasets
from rosetta.errors import Unavailable, UserError
from rosetta.files import whole, write_json
from rosetta.options import Options
from rosetta.progress import Display
from rosetta.project import Project
from rosetta.registry import Cell
from rosetta.results import keys, report, transplants
from rosetta.results.transplants import Matrix, Pair, Target
from rosetta.runs import cell, execution, side_by_side
from rosetta.runs.locking import alone
from rosetta.runs.states import Look, Setting, make_setting
from rosetta.transplant import notebook, sources
from rosetta.transplant.sources import Source

TASKS = ("cifar10_cnn", "imdb_gru")  # those that train
# The whole test set is compared, whatever the weights were trained with.
PROFILE = "full"


@dataclass(frozen=True)
class Asked:
    """What is moved where; empty: all."""

    tasks: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    profile: str | None = None  # of the runs that trained the weights; None: the fullest
    device: str = "auto"
    force: bool = False
    layers: bool = False
    python: Path | None = None  # this interpreter for every row
    jobs: int | None = None  # targets at once; None: as many as the machine can take


def run(project: Project, asked: Asked, console: Console | None = None) -> int:
    """Move weights, and return the exit code: 0 all well, 1 a target failed or is not the same.

    Raises UserError where no trained weights are there, before anything is done.
    """
    display = Display(console)
    idle = [task for task in asked.tasks if task not in TASKS]
    if idle:
        raise UserError(f"{idle[0]} trains no weights: choose {' or '.join(TASKS)}")
    frameworks = registry.load(project)
    rows = [name for name, row in frameworks.items() if row.notebook]
    origins = registry.select(asked.origins, rows, "framework")
    targets = registry.select(asked.targets, rows, "framework")
    options = Options(profile=PROFILE, device=asked.device, python=asked.python)
    setting = make_setting(project, options, [frameworks[name] for name in rows])
    with alone(project):
        moves = [
            Move(project, asked, setting, display, task, origins, targets)
            for task in asked.tasks or TASKS
        ]
        if not any(move.sources for move in moves):
            why = next((reason for move in moves for reason in move.missing.values()), "")
            raise UserError(f"there are no trained weights to move ({why}): python run_all.py")
        good = [move.go() for move in moves if move.sources]
    report.write(project)
    return 0 if all(good) else 1


class Move:
    """The weights of one task, from their sources to their targets."""

    def __init__(
        self,
        project: Project,
        asked: Asked,
        setting: Setting,
        display: Display,
        task: str,
        origins: Sequence[str],
        targets: Sequence[str],
    ) -> None:
        self.project, self.asked, self.setting = project, asked, setting
        self.display, self.task, self.origins = display, task, origins
        self.machine = str(setting.machine["name"])
        found = sources.find(project, self.machine, task, origins, asked.profile)
        self.sources, self.missing = found
        # What a source makes of its own weights is what a target is compared with.
        names = list(dict.fromkeys([*targets, *self.sources]))
        rows = registry.load(project)
        cells = registry.cells(project, [rows[name] for name in names], [task])
        self.cells = {each.framework.name: each for each in cells}
        self.wanted = {name: self._wanted(name, targets) for name in self.cells}
        self.look = Look(project, setting)
        self.folder = project.state / transplants.FOLDER / self.machine / task

    def _wanted(self, name: str, targets: Sequence[str]) -> dict[str, Source]:
        if name in targets:
            return self.sources
        return {name: self.sources[name]}

    def go(self) -> bool:
        """Execute what is not up to date, compare, write the matrix; return whether all is well."""
        line = self.display.line
        line(f"{self.task}: weights of {', '.join(self.sources)}")
        for name, reason in self.missing.items():
            self.display.log(f"not of {name}: {reason}")
        data = datasets.ensure(self.project, [self.task], None, self.display.log)[self.task]
        matrix = self._matrix(str(data["data"]))
        self._renew(matrix, {name: self._key(each, data) for name, each in self.cells.items()})
        todo = self._todo(matrix)
        if not todo:
            line("  nothing to do")
        frameworks = [self.cells[name].framework for name in todo]
        pythons = cell.pythons(self.project, self.setting, frameworks, self.display.log)
        failed = []
        with self.display.bar(len(todo)):
            for number, (name, outcome) in enumerate(self._execute(todo, pythons), start=1):
                target = matrix.targets[name]
                if isinstance(outcome, Unavailable):
                    target.failure = str(outcome)
                else:
                    target.failure = self._keep(name, todo[name], outcome, target)
                failed += [name] if target.failure else []
                title = f"[{number}/{len(todo)}] {self.task} to {name}"
                style = "red" if target.failure else None
                self.display.done(f"{title}: {target.failure or 'ok'}", style)
                self._compare(matrix)
                transplants.write(self.project, matrix)
        self._compare(matrix)
        self._forget(matrix)
        transplants.write(self.project, matrix)
        for words in transplants.worst(matrix):
            line(f"  {words}")
        wrong = [self._say_what_differs(matrix), self._say_layers(matrix)]
        return not failed and not any(wrong)

    def _matrix(self, data: str) -> Matrix:
        file = transplants.path(self.project, self.machine, self.task)
        found = transplants.read(self.project, file)
        if found is None or found.data != data:
            found = Matrix(transplants.SCHEMA, self.task, self.machine, data, {})
        found.profiles |= {name: source.profile for name, source in self.sources.items()}
        return found

    def _key(self, target: Cell, data: Mapping[str, Any]) -> str:
        """Return the hash of what the outputs of a target depend on, besides the weights."""
        parts = self.look.key_parts(target, data)
        return keys.digest([parts, notebook.KERNEL.read_text(encoding="utf-8")])

    def _renew(self, matrix: Matrix, key: Mapping[str, str]) -> None:
        """Begin anew with the targets that have changed, and with what was compared with them."""
        for name in self.cells:
            target = matrix.targets.get(name)
            if target is None or target.key != key[name]:
                matrix.targets[name] = _empty(key[name])
                matrix.targets[name].files = self.look.keys.of_files(self.cells[name])
                self._file(name).unlink(missing_ok=True)
                for each in matrix.targets.values():
                    if name in each.pairs:
                        each.pairs[name].differ = each.pairs[name].logits = None

    def _todo(self, matrix: Matrix) -> dict[str, dict[str, Source]]:
        """Return {target: the sources whose weights it has not seen as both are now}.

        A source whose weights are moved anywhere is moved to its own row, too, unless its outputs
        are there: they are what the others are compared with.
        """
        outputs = {name: self._outputs(name) for name in self.cells}
        todo = {name: self._unseen(matrix, name, outputs[name]) for name in self.cells}
        for moved in list(todo.values()):
            for source in moved:
                if source not in outputs[source]:
                    todo[source][source] = self.sources[source]
        return {name: moved for name, moved in todo.items() if moved}

    def _unseen(self, matrix: Matrix, name: str, outputs: Collection[str]) -> dict[str, Source]:
        known = {} if self.asked.force else matrix.targets[name].pairs
        return {
            each: source
            for each, source in self.wanted[name].items()
            if each not in known
            or known[each].weights != source.sha256
            or (known[each].differ is None and each not in outputs)
            or (self.asked.layers and not known[each].layers)
        }

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.npz"

    def _outputs(self, name: str) -> dict[str, NDArray[np.float32]]:
        """Return {source: logits [N, classes]} that a target has made."""
        try:
            with np.load(self._file(name), allow_pickle=False) as stored:
                return {each.rpartition("/")[0]: stored[each] for each in stored.files}
        except (OSError, ValueError, KeyError):
            return {}

    def _execute(
        self, todo: Mapping[str, Mapping[str, Source]], pythons: cell.Pythons
    ) -> Iterator[tuple[str, execution.Outcome | Unavailable]]:
        """Load weights into targets, several at once; yield what became of each as it ends."""
        jobs = {}
        for name, moved in todo.items():
            python = pythons[name]
            if isinstance(python, Unavailable):
                yield name, python
                continue
            each = self.cells[name]
            derived = notebook.derive(notebook.load(each.notebook), moved, self.asked.layers)
            file = self.folder / f"{name}.ipynb"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, derived)
            log = self.project.logs / f"{self.task}-{name}-transplant.log"
            job = cell.job(self.look, each, python)
            jobs[name] = dataclasses.replace(job, notebook=file, log=log)
        count = min(self.asked.jobs or side_by_side.default(), max(1, len(jobs)))
        if self.setting.device != "cpu":
            count = 1  # of which there is one for all
        if jobs:
            names = ", ".join(jobs)
            self.display.log(f"to {names}" + (f"; {count} at once" if count > 1 else ""))
        again = {}
        for name, outcome in side_by_side.execute(self.project, jobs, count):
            if count > 1 and outcome.status != "ok":  # CNTK dies where it has one core
                again[name] = jobs[name]
            else:
                yield name, outcome
        if again:
            self.display.log(f"failed beside others, now alone: {', '.join(again)}")
            yield from side_by_side.execute(self.project, again, 1)

    def _keep(
        self, name: str, moved: Mapping[str, Source], outcome: execution.Outcome, target: Target
    ) -> str | None:
        """Keep what a target made of the weights; return what is wrong with it, if anything is."""
        if outcome.status != "ok" or outcome.emitted is None or outcome.weights is None:
            return outcome.reason or "the kernel handed nothing over"
        kept = self._outputs(name)
        try:
            with np.load(outcome.weights, allow_pickle=False) as stored:
                kept |= {each: np.asarray(stored[f"{each}/logits"]) for each in moved}
            found = outcome.emitted["sources"]
            for each, source in moved.items():
                fields = {**found[each], "weights": source.sha256}
                target.pairs[each] = msgspec.convert(fields, Pair)
            target.dialect = dict(outcome.emitted["dialect"])
            target.examples = int(outcome.emitted["examples"])
        except (ValueError, LookupError, TypeError) as error:
            return f"what the kernel handed over cannot be read: {error}"
        finally:
            outcome.weights.unlink(missing_ok=True)
        arrays: dict[str, Any] = {f"{each}/logits": array for each, array in kept.items()}
        with whole(self._file(name)) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
        return None

    def _compare(self, matrix: Matrix) -> None:
        """Compare what each target makes of some weights with what their own row makes of them."""
        outputs = {name: self._outputs(name) for name in matrix.targets}
        for name, target in matrix.targets.items():
            for source, pair in target.pairs.items():
                own = outputs.get(source, {}).get(source)
                found = outputs[name].get(source)
                if own is None or found is None or own.shape != found.shape:
                    continue
                if matrix.targets[source].pairs[source].weights != pair.weights:
                    continue  # what this target was given has been trained anew
                pair.differ = int(np.sum(own.argmax(axis=1) != found.argmax(axis=1)))
                distance = np.linalg.norm(found - own) / np.linalg.norm(own)
                pair.logits = float(distance)

    def _forget(self, matrix: Matrix) -> None:
        """Leave out rows that are gone."""
        rows = registry.load(self.project)
        for name in [each for each in matrix.targets if each not in rows]:
            del matrix.targets[name]
            self._file(name).unlink(missing_ok=True)

    def _say_what_differs(self, matrix: Matrix) -> bool:
        """Name the pairs that are not the same network; return whether there is one."""
        wrong = False
        hint = "" if self.asked.layers else "; --layers names the first layer"
        for name in self.wanted:
            for source in self.wanted[name]:
                pair = matrix.targets[name].pairs.get(source) if name in matrix.targets else None
                if pair and pair.logits is not None and not pair.logits <= LIMITS["logits"]:
                    self.display.line(
                        f"  {source} to {name}: the logits differ by {pair.logits:.1e}, and "
                        f"{pair.differ:,} predictions{hint}",
                        style="red",
                    )
                    wrong = True
        return wrong

    def _say_layers(self, matrix: Matrix) -> bool:
        """Name the first layer that differs of each pair; return whether there is one."""
        limit, wrong = LIMITS["activations"], False
        for name in self.wanted if self.asked.layers else ():
            for source in self.wanted[name]:
                pair = matrix.targets[name].pairs.get(source) if name in matrix.targets else None
                layers = pair.layers if pair else {}
                first = next((each for each, errors in layers.items() if errors[1] > limit), None)
                if first:
                    self.display.line(
                        f"  {source} to {name}: the first layer that differs: {first} "
                        f"(error {layers[first][1]:.1e} on what the one before it gave)",
                        style="red",
                    )
                    wrong = True
        return wrong


def _empty(key: str) -> Target:
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Target(key=key, started=started, examples=0, dialect={})
