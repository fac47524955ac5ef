"""Load weights that other rows have trained into this notebook's network: runs in its kernel.

The last cell of the notebook that is executed runs this file. Readable to Python 3.6, as `common/`
is.
"""

import hashlib
import itertools
from typing import Any

import numpy as np
from IPython.display import display

from common import check as checks
from common import data, expected, reference
from common.run import MIME_TYPE


def transplant(run: Any, check: Any, notebook: Any, files: Any, layers: bool) -> None:
    """Predict the test set, and take training steps, with the weights of each source.

    notebook: its functions and data by name; files: {source: canonical weights, .npz}. Records of
    each source accuracy, losses and, if asked, the errors of the layers; keeps SOURCE/logits
    [N, classes] in the file that a run keeps its weights in.
    """
    found, outputs = {}, {}  # type: Any, Any
    trains = "train_step" in notebook  # not where a framework only runs what others have trained
    # One model for all, so that what compiles does it once.
    model = _model(run, notebook, getattr(run, "dropout", None))
    for source, file in files.items():
        with np.load(file, allow_pickle=False) as stored:
            weights = {name: stored[name] for name in stored.files}
        model = notebook["load_weights"](model, weights)
        logits = np.asarray(notebook["predict"](model, run._x_test), np.float32)
        outputs[source + "/logits"] = logits
        found[source] = {
            "accuracy": float(np.mean(np.argmax(logits, axis=1) == run._y_test)),
            "losses": _steps(run, notebook, weights) if trains else [],
            "reference": _reference_steps(run, check, weights) if trains else [],
            "layers": _layers(run, check, notebook, model, weights) if layers else {},
        }
        print("%-18s accuracy %.2f %%" % (source, 100 * found[source]["accuracy"]))
    np.savez(run.path("weights.npz"), **outputs)
    record = {"dialect": dict(check.dialect), "examples": len(run._y_test), "sources": found}
    display({MIME_TYPE: record, "text/plain": "recorded"}, raw=True)  # type: ignore


def _model(run: Any, notebook: Any, dropout: Any) -> Any:
    """Return a model with these rates of dropout, where the task has any."""
    has_dropout = "dropout" in run.task.hyper_parameters
    return notebook["create_model"](dropout) if has_dropout else notebook["create_model"]()


def _steps(run: Any, notebook: Any, weights: Any) -> Any:
    """Return the losses of the first training steps from here, without dropout."""
    model = notebook["load_weights"](_model(run, notebook, (0, 0, 0)), weights)
    optimizer = notebook["create_optimizer"](model)
    batches = run.batches(notebook["x_train"], notebook["y_train"], 0)
    first = itertools.islice(batches, expected.STEPS)
    return [float(notebook["train_step"](model, optimizer, x, y)) for x, y in first]


def _reference_steps(run: Any, check: Any, weights: Any) -> Any:
    """Return the losses of the same steps in float64, as the dialect of this row takes them."""
    task = run.task.name

    def compute() -> Any:
        x, y = data.load(run.task.dataset, "train", None, run.seed)
        batches = []
        for pictures, labels in itertools.islice(run.batches(x, y, 0), expected.STEPS):
            if run.task.dataset == "cifar10":
                pictures = data.cifar10_pictures(pictures, "channels_first").astype(np.float64)
            batches.append((pictures, labels))
        losses, _ = reference.train(task, expected.in_float64(weights), batches, check.dialect)
        return {"losses": np.array(losses)}

    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(np.ascontiguousarray(weights[name]).data)
    key = (task, "transplant", digest.hexdigest(), run._digest, sorted(check.dialect.items()))
    return [float(loss) for loss in expected.kept(key, compute)["losses"]]


def _layers(run: Any, check: Any, notebook: Any, model: Any, weights: Any) -> Any:
    """Return {layer: [error, error on what the layer before it gave]}, relative."""
    x, task = run._x_test[: expected.LAYER_EXAMPLES], run.task.name
    found = {name: np.array(a) for name, a in notebook["activations"](model, x).items()}
    before = run._reference_inputs(x)
    before = before if before.dtype == np.int32 else before.astype(np.float64)
    start = expected.in_float64(reference.held_weights(task, weights, check.dialect))
    wanted, errors = reference.activations(task, start, before, check.dialect), {}
    for name in reference.LAYERS[task]:
        output = found[name].astype(np.float64)
        output = np.maximum(output, 0) if name in reference.RECTIFIED else output
        alone = reference.layer(task, start, name, before, check.dialect)
        errors[name] = [
            checks.relative_error(output, wanted[name]),
            checks.relative_error(output, alone),
        ]
        before = output
    return errors
