"""One run of a task in a notebook: settings, data, check, clock, and the record at the end."""

import hashlib
import os
import platform
import tempfile
import time

import numpy as np

from . import data, expected, reference, show, timing, training, weights
from .check import Check, CheckFailed, Results, relative_error, required
from .data import Batches
from .tasks import PROFILES, TASKS

MIME_TYPE = "application/vnd.rosetta.record+json"
DEVICES = ("cpu", "gpu")
# On how many test examples the trained network's logits are compared with the reference's.
COMPARED_EXAMPLES = 256


def _one_of(value, known, what):
    if value not in known:
        raise ValueError("unknown %s %r: choose %s" % (what, value, ", ".join(known)))
    return value


def _median(values):
    return float(np.median(values)) if len(values) else None


def _correlation(one, other):
    """Return the cosine between the kernels of two sets of weights."""
    kernels = [name for name in one if one[name].ndim > 1]
    one, other = (
        np.concatenate([np.asarray(each[name], np.float64).ravel() for name in kernels])
        for each in (one, other)
    )
    return one.dot(other) / (np.linalg.norm(one) * np.linalg.norm(other))


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
        self.results, self.trained_weights = Results(), None
        self._check, self._pending, self._digest = None, [], None
        self._reference, self._distances = None, None
        self._x_test, self._y_test, self._files = None, None, None

    def data(self, layout="channels_first"):
        """Return (x_train, y_train), or the test pictures alone for resnet50_features.

        cifar10_cnn: x float32 [N, 3, 32, 32] in [0, 1], channels last [N, 32, 32, 3]; imdb_gru: x
        int32 [N, 150]; resnet50_features: float32 [N, 3, 224, 224], normalised. y int64 [N]. Of the
        training set as much as the profile sees. The test set is kept for `evaluate`.
        """
        name, work = self.task.dataset, self.work
        x_test, self._y_test = data.load(name, "test", work.test_examples, self.seed)
        if self.task.name == "resnet50_features":
            self._x_test = data.resnet50_pictures(x_test, layout)
            return self._x_test
        seen = work.steps and work.steps * work.epochs * self.batch_size
        x_train, y_train = data.load(name, "train", seen, self.seed)
        self._digest = training.data_digest(x_train, y_train)
        if name == "cifar10":
            x_train, x_test = (data.cifar10_pictures(x, layout) for x in (x_train, x_test))
        self._x_test = np.array(x_test)
        return np.array(x_train), np.array(y_train)

    def initial_weights(self):
        """Return what training starts from, or the published weights for resnet50_features."""
        return weights.initial_weights(self.task.name, self.seed)

    def check(self, layout="channels_first", dialect=None):
        """Return the Check of this notebook: inputs in its layout, expectations in its dialect."""
        self._check = Check(self.task.name, layout, dialect, self.results)
        return self._check

    def epochs(self, synchronize=None):
        """Yield the number of each epoch; when its steps are done, stop the clock and print a line.

        synchronize: called before each reading of the clock, for devices that work ahead of Python.
        """
        self.results.stop()
        timing.reset_peak_memory()
        for epoch in range(self.work.epochs):
            self._pending = []
            before = self.batches.seconds, self.batches.examples, self.batches.count
            began = time.perf_counter()
            yield epoch
            if synchronize is not None:
                synchronize()
            seconds = time.perf_counter() - began
            if len(self._pending) != self.batches.count - before[2]:
                raise CheckFailed(
                    "training: %d losses of %d batches: a step for each, and each kept by run.step"
                    % (len(self._pending), self.batches.count - before[2])
                )
            self._finish_epoch(
                epoch, seconds, self.batches.seconds - before[0], self.batches.examples - before[1]
            )
            self._compare_losses()

    def _finish_epoch(self, epoch, seconds, preparing, examples):
        losses = [float(loss) for loss in self._pending]
        self.losses.extend(losses)
        self.stretches.append(
            {"seconds": seconds, "steps": len(losses), "examples": examples, "preparing": preparing}
        )
        note = "  (warm-up in it)" if epoch == 0 else ""
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

    def _compare_losses(self):
        """Compare the losses so far with the reference's, once there are as many as it has."""
        if self._distances or self._check is None:
            return
        self._reference = training.of_reference(
            self.task.name, self.profile, self.seed, self._check.dialect, self._digest
        )
        if len(self.losses) < self._reference["losses"].shape[1]:
            return
        self._distances = training.distances(self.losses, self._reference["losses"])
        if not max(self._distances.values()) <= 1:
            self._judge_training()

    def _judge_training(self):
        worst = max(self._distances, key=self._distances.get)
        self.results.judge("training", self._distances[worst], "worst: " + worst)
        self.results.stop()

    def step(self, loss):
        """Keep the loss of a training step: a number, or whatever float() turns into one later."""
        self._pending.append(loss)

    def plot(self):
        """Show the loss of every step."""
        show.losses(self.losses)

    def trained(self, model, export_weights, predict):
        """Compare the trained network with the reference of its own weights, and keep these.

        model: what was trained; the others are the notebook's functions. They are kept as canonical
        weights.npz in `path`. Raises CheckFailed when it is another model than the one whose
        dropout was proven, or computes something else than its weights say.
        """
        if "dropout" in required(self.task.name) and model is not self._check.proven_model:
            raise CheckFailed("trained: this is not the model whose dropout the check has seen")
        exported = export_weights(model)
        self._check.same_names_and_shapes(exported)
        arrays = {
            name: np.array(exported[name], np.float32) for name in weights.SPECS[self.task.name]
        }
        if self._reference is None or not self._distances:
            raise CheckFailed("training: fewer steps than the reference has losses of")
        start = self.initial_weights()
        if "last_bias" in self._reference:
            change = arrays[training.LAST_BIAS] - start[training.LAST_BIAS]
            self._distances["the change of " + training.LAST_BIAS] = training.bias_distance(
                change, self._reference["last_bias"], len(self.losses)
            )
        self._judge_training()
        if "start" in required(self.task.name):
            self.results.judge("start", 1 - _correlation(start, arrays))
        x = self._x_test[:COMPARED_EXAMPLES]
        wanted = reference.logits(
            self.task.name,
            expected.in_float64(arrays),
            self._reference_inputs(x).astype(x.dtype if x.dtype == np.int32 else np.float64),
            self._check.dialect,
        )
        self.results.judge("trained", relative_error(predict(model, x), wanted))
        self.results.stop()
        self.trained_weights = arrays
        np.savez(self.path("weights.npz"), **arrays)

    def _reference_inputs(self, x):
        """Return examples in the notebook's layout as the reference takes them."""
        if self._check.layout == "channels_last" and x.ndim == 4:
            return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        return x

    def path(self, name):
        """Return where a file of this run may be written: a folder of its own."""
        if self._files is None:
            self._files = os.environ.get("ROSETTA_FILES") or tempfile.mkdtemp(prefix="rosetta-")
        return os.path.join(self._files, name)

    def evaluate(self, predict):
        """Time `predict` on one batch and over the whole test set; return the accuracy, if any.

        predict: takes x [N, ...] in the notebook's layout, returns [N, classes], or features
        [N, 2048]. Raises ValueError when a row is missing, CheckFailed when the classes are not
        those that the reference finds with the trained weights.
        """
        x, y = self._x_test, self._y_test
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
        if self.task.classes is None:
            self.metrics["seconds_per_1000_examples"] = 1000 / speed
            print("%.1f %s/s, %.1f s per 1,000" % (speed, self.task.unit, 1000 / speed))
            return None
        classes = np.argmax(output, axis=1)
        accuracy = float(np.mean(classes == y))
        self.metrics["accuracy"] = accuracy
        values = (100 * accuracy, len(x), self.task.unit, speed, self.task.unit)
        print("accuracy %.2f %% of %d test %s, at %.1f %s/s" % values)
        self._compare_classes(classes)
        show.accuracy_of_full(self.task.name, self.profile)
        return accuracy

    def _compare_classes(self, classes):
        """Compare the classes found for the examples of `quick` with those of the reference."""
        if self.trained_weights is None:
            raise CheckFailed("predictions: run.trained has not been called")
        examples = self.task.profiles["quick"].test_examples
        chosen = np.arange(len(classes))
        if len(chosen) > examples:
            chosen = data.chosen(len(classes), examples, self.seed)
        x = self._reference_inputs(self._x_test[chosen])
        output = reference.logits(self.task.name, self.trained_weights, x, self._check.dialect)
        found = np.argmax(output, axis=1)
        self.metrics["reference_accuracy"] = float(np.mean(found == self._y_test[chosen]))
        differ = int(np.sum(found != classes[chosen]))
        self.metrics["predictions_that_differ"] = differ
        self.results.judge(
            "predictions", differ / float(len(chosen)), "%d of %d differ" % (differ, len(chosen))
        )
        self.results.stop()

    def saved(self, exported):
        """Compare the weights that came back from a saved model's file with those saved."""
        wanted = self.trained_weights
        self._check.saved(exported, self.initial_weights() if wanted is None else wanted)

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

    def _required(self):
        return required(self.task.name)

    def _passed_checks(self):
        self.results.stop()
        missing = [name for name in self._required() if name not in self.results.errors]
        if self._check is None or missing:
            raise RuntimeError("checks not made: %s" % (", ".join(missing) or "all"))
        return self._check

    def _weights_digest(self):
        """Return the SHA-256 of the trained weights, array after array in canonical order."""
        if self.trained_weights is None:
            return None
        digest = hashlib.sha256()
        for array in self.trained_weights.values():
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

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
            "checks": self.results.errors,
            "check_losses": check.step_losses,
            "dialect": check.dialect,
            "dialect_losses": check.dialect_losses,
            "metrics": metrics,
            "epochs": self.stretches,
            "trained_weights_sha256": self._weights_digest(),
            "losses": self.losses,
            "notes": notes,
        }
        show.record(record, MIME_TYPE)
