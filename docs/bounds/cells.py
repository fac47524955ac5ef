"""The functions of a notebook, for the profiles beside this file. Readable to Python 3.6."""

import json
import os
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
READ = ("setup", "parameters", "model", "weights", "loss")


def names(task, notebook):
    """Return the names that the cells of a notebook define, up to its training step."""
    file = os.path.join(ROOT, "notebooks", task, notebook + ".ipynb")
    with open(file, encoding="utf-8") as opened:
        cells = json.load(opened)["cells"]
    found = {}
    sys.stdout = sys.stderr  # what the cells print is no result
    for cell in cells:
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] == "code" and set(READ) & set(tags):
            exec("".join(cell["source"]), found)
    sys.stdout = sys.__stdout__
    return found


def seconds(function, times=7):
    """Return the median time of a call, after two that may compile."""
    function(), function()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        function()
        found.append(time.perf_counter() - began)
    return sorted(found)[times // 2]


def tell(rows):
    """Hand over a list of [what, kind, value]; kind: "share", "count" or "gflops"."""
    print(json.dumps(rows))
