"""One run of a task in a notebook: settings, data, check, clock, and the record at the end."""

import platform
import time

import numpy as np

from . import data, show, timing, weights
from .check import Check
from .data import Batches
from .tasks import PROFILES, TASKS

MIME_TYPE = "application/vnd.rosetta.record+json"
DEVICES = ("cpu", "gpu")


def _one_of(value, known, what):
    if value not in known:
        raise ValueError("unknown %s %r: choose %s" % (what, value, ", ".join(known)))
    return value


def _median(values):
    return float(np.median(values)) if len(values) else None


class Run(object):
    """A run of one task on one device with one seed.

    task: "cifar10_cnn", "imdb_gru" or "resnet50_features"; device: "cpu" or "gpu"; profile:
    "smoke", "quick" or "full". The task's hyper-parameters are attributes: batch_size,
    learning_rate, momentum, dropout, beta1, beta2, epsilon. Raises ValueError for a name that is
    not known.
    """

    def __init__(self, task, device="cpu", profile="quick", seed=0):
        # Everything up to here is what the process needed to start and to import the framework.
        self.import_seconds = timing.process_seconds()
        self.task = TASKS[_one_of(task, TASKS, "task")]
        self.device = _one_of(device, DEVICES, "device")
        self.profile = _one_of(profile, PROFILES, "profile")
        self.seed = seed
        self.batch_size = self.task.batch_size
        for name, value in self.task.hyper_parameters.items():
            setattr(self, name, value)
        self.work = self.task.profiles[profile]
        self.batches = Batches(self.batch_size, seed, self.work.steps)
        self.stretches, self.losses, self.metrics = [], [], {}
        self._check, self._pending = None, []

    def data(self, layout="channels_first"):
        """Return (x_train, y_train, x_test, y_test), or the pictures alone for resnet50_features.

        cifar10_cnn: x float32 [N, 3, 32, 32] in [0, 1], channels last [N, 32, 32, 3]; imdb_gru: x
        int32 [N, 150]; resnet50_features: float32 [N, 3, 224, 224], normalised. y int64 [N]. Of the
        training set as much as the profile sees.
        """
        name, work = self.task.dataset, self.work
        x_test, y_test = data.load(name, "test", work.test_examples, self.seed)
        if self.task.name == "resnet50_features":
            return data.resnet50_pictures(x_test, layout)
        seen = work.steps and work.steps * work.epochs * self.batch_size
        x_train, y_train = data.load(name, "train", seen, self.seed)
        if name == "cifar10":
            x_train, x_test = (data.cifar10_pictures(x, layout) for x in (x_train, x_test))
        return tuple(np.array(array) for array in (x_train, y_train, x_test, y_test))

    def initial_weights(self):
        """Return what training starts from, or the published weights for resnet50_features."""
        return weights.initial_weights(self.task.name, self.seed)

    def check(self, layout="channels_first", dialect=None):
        """Return the Check of this notebook: inputs in its layout, expectations in its dialect."""
        self._check = Check(self.task.name, layout, dialect)
        return self._check

    def epochs(self, synchronize=None):
        """Yield the number of each epoch; when its steps are done, stop the clock and print a line.

        synchronize: called before each reading of the clock, for devices that work ahead of Python.
        """
        timing.reset_peak_memory()
        for epoch in range(self.work.epochs):
            self._pending, before = [], (self.batches.seconds, self.batches.examples)
            began = time.perf_counter()
            yield epoch
            if synchronize is not None:
                synchronize()
            seconds = time.perf_counter() - began
            self._finish_epoch(
                epoch, seconds, self.batches.seconds - before[0], self.batches.examples - before[1]
            )

    def _finish_epoch(self, epoch, seconds, preparing, examples):
        losses = [float(loss) for loss in self._pending]
        self.losses.extend(losses)
        self.stretches.append(
            {"seconds": seconds, "steps": len(losses), "examples": examples, "preparing": preparing}
        )
        note = "  (compilation and warm-up in it)" if epoch == 0 else ""
        values = (
            epoch + 1,
            self.work.epochs,
            np.mean(losses),
            seconds,
            examples / seconds,
            self.task.unit,
            note,
        )
        print("epoch %2d/%d  loss %.4f  %7.2f s  %7.1f %s/s%s" % values)

    def step(self, loss):
        """Keep the loss of a training step: a number, or whatever float() turns into one later."""
        self._pending.append(loss)

    def plot(self):
        """Show the loss of every step."""
        show.losses(self.losses)

    def evaluate(self, predict, x, y=None):
        """Time `predict` on one batch and over all of x; with labels y [N], return the accuracy.

        predict: takes x [N, ...], returns [N, classes] (or features [N, 2048]). Raises ValueError
        when a row is missing.
        """
        if not self.stretches:
            timing.reset_peak_memory()
        predict(x[: self.batch_size])  # the first call may compile
        calls = 1 if self.profile == "smoke" else 3
        forward = timing.median_seconds(lambda: predict(x[: self.batch_size]), calls)
        began = time.perf_counter()
        output = predict(x)
        seconds = time.perf_counter() - began
        if len(output) != len(x):
            raise ValueError(
                "%d rows predicted of %d: is the last part batch dropped?" % (len(output), len(x))
            )
        speed = len(x) / seconds
        self.metrics.update(
            forward_milliseconds=1000 * forward,
            forward_batch=min(self.batch_size, len(x)),
            forward_examples_per_second=speed,
            test_examples=len(x),
        )
        if y is None:
            self.metrics["seconds_per_1000_examples"] = 1000 / speed
            print("%.1f %s/s, %.1f s per 1,000" % (speed, self.task.unit, 1000 / speed))
            return None
        accuracy = float(np.mean(np.argmax(output, axis=1) == y))
        self.metrics["accuracy"] = accuracy
        values = (100 * accuracy, len(x), self.task.unit, speed, self.task.unit)
        print("accuracy %.2f %% of %d test %s, at %.1f %s/s" % values)
        return accuracy

    def _training_metrics(self):
        if not self.stretches:
            return {}
        steady = self.stretches[1:] or self.stretches
        seconds = sum(stretch["seconds"] for stretch in self.stretches)
        return {
            "train_seconds": seconds,
            "first_epoch_seconds": self.stretches[0]["seconds"],
            "train_examples_per_second": _median(
                [part["examples"] / part["seconds"] for part in steady]
            ),
            "step_milliseconds": _median(
                [1000 * part["seconds"] / part["steps"] for part in steady]
            ),
            "batch_preparation_fraction": _median(
                [part["preparing"] / part["seconds"] for part in steady]
            ),
            "final_loss": float(np.mean(self.losses[-50:])),
        }

    def _passed_checks(self):
        missing = (
            [name for name in self._check.required() if name not in self._check.results]
            if self._check
            else "all"
        )
        if missing:
            raise RuntimeError("checks not made: %s" % missing)
        return self._check

    def record(self, versions, threads=None, accelerator_memory_bytes=None, notes=None):
        """Hand the numbers of this run to the runner, and show them.

        versions: {"torch": "2.13.0", ...}, the framework itself first; threads: how many the
        framework uses; accelerator_memory_bytes: peak memory of the accelerator; notes: a sentence
        for the tables. Raises RuntimeError when a check of the task was left out.
        """
        check, first = self._passed_checks(), next(iter(versions.values()))
        metrics = dict(self._training_metrics(), **self.metrics)
        metrics["import_seconds"] = self.import_seconds
        compilation = check.first_step_seconds
        if compilation is None:
            compilation = metrics["forward_milliseconds"] / 1000
        metrics["first_step_seconds"] = self.import_seconds + compilation
        metrics["peak_memory_bytes"] = timing.peak_memory_bytes()
        metrics["accelerator_memory_bytes"] = accelerator_memory_bytes
        found = dict(
            versions, python=platform.python_version(), numpy=np.__version__, framework=first
        )
        record = {
            "task": self.task.name,
            "profile": self.profile,
            "device": self.device,
            "seed": self.seed,
            "data": data.find(self.task.dataset)[1],
            "weights": weights.weights_kind(self.task.name),
            "versions": {name: str(version) for name, version in found.items()},
            "threads": threads,
            "batch_size": self.batch_size,
            "unit": self.task.unit,
            "flops_per_example": self.task.flops_per_example,
            "inference_flops_per_example": self.task.inference_flops_per_example,
            "checks": check.results,
            "check_losses": check.step_losses,
            "dialect": check.dialect,
            "dialect_losses": check.dialect_losses,
            "metrics": metrics,
            "epochs": self.stretches,
            "losses": self.losses,
            "notes": notes,
        }
        show.record(record, MIME_TYPE)
