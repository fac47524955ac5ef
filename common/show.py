"""What a notebook shows to a human: the plot of the losses and the small table of the record."""

import base64
import glob
import io
import json
import logging
import os

import numpy as np


def _moving_average(values, width):
    total = np.cumsum(np.insert(np.asarray(values, np.float64), 0, 0.0))
    return (total[width:] - total[:-width]) / width


def losses(values):
    """Show a plot of the loss of every step, with its moving average once there are enough."""
    from IPython.display import display

    # The first import on a machine builds a font cache and says so: noise in a notebook.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 2.4), dpi=80)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(1, 1, 1)
    axes.plot(
        np.arange(1, len(values) + 1), values, color="#9ecae1", linewidth=0.8, label="each step"
    )
    width = max(len(values) // 20, 1)
    if width > 1:
        smooth = _moving_average(values, width)
        axes.plot(
            np.arange(width, len(values) + 1),
            smooth,
            color="#08519c",
            label="mean of %d steps" % width,
        )
    axes.set_xlabel("training step")
    axes.set_ylabel("loss")
    axes.legend(frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", bbox_inches="tight")
    encoded = base64.b64encode(picture.getvalue()).decode("ascii")
    display(
        {"image/png": encoded, "text/plain": "loss of %d training steps" % len(values)}, raw=True
    )


def _rows(found):
    metrics, unit = found["metrics"], found["unit"]
    labels = [
        ("accuracy", "accuracy", "%.4f"),
        ("train_seconds", "training, seconds", "%.1f"),
        ("train_examples_per_second", "training, %s/s" % unit, "%.1f"),
        ("step_milliseconds", "training step, ms", "%.1f"),
        ("forward_examples_per_second", "inference, %s/s" % unit, "%.1f"),
        ("forward_milliseconds", "forward pass of a batch, ms", "%.1f"),
        ("first_step_seconds", "import and first step, seconds", "%.1f"),
    ]
    rows = [
        (label, form % metrics[name])
        for name, label, form in labels
        if metrics.get(name) is not None
    ]
    if metrics["peak_memory_bytes"]:
        rows.append(("peak memory, GiB", "%.2f" % (metrics["peak_memory_bytes"] / 2.0**30)))
    return rows + [("data", found["data"]), ("weights", found["weights"])]


def record(found, mime_type):
    """Show the record: JSON of our own media type for the runner, a small table for a human."""
    from IPython.display import display

    rows = _rows(found)
    cells = "".join("<tr><td>%s</td><td>%s</td></tr>" % row for row in rows)
    plain = "\n".join("%-32s %s" % row for row in rows)
    display(
        {mime_type: found, "text/html": "<table>%s</table>" % cells, "text/plain": plain}, raw=True
    )


def accuracy_of_full(task, profile):
    """Say what accuracy the whole training reaches, by the records of profile full, if any."""
    if profile == "full":
        return
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = []
    for path in glob.glob(os.path.join(root, "results", "*", "full", task, "*.json")):
        try:
            with io.open(path, encoding="utf-8") as file:
                record = json.load(file)
            if record["status"] == "ok" and record["data"] == "real":
                found.append(100 * float(record["metrics"]["accuracy"]))
        except (OSError, ValueError, LookupError, TypeError):
            continue  # the report says which records are broken
    if found:
        print(
            "the whole training, profile full, reaches %.1f to %.1f %%" % (min(found), max(found))
        )
