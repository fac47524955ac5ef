"""Take two training steps of a notebook on pictures with an area of one colour; print the losses.

`python ties.py NOTEBOOK PARAMETERS`, the latter as JSON, in the environment of its row: readable to
Python 3.6.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np

from common import weights

notebook, parameters = sys.argv[1], json.loads(sys.argv[2])
cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
code = dict.fromkeys(("setup", "parameters", "model", "weights", "loss", "check"), "")
for cell in cells:
    if cell["cell_type"] == "code" and cell["metadata"]["tags"][0] in code:
        source = "".join(cell["source"])
        code[cell["metadata"]["tags"][0]] += source + "\n"
        if 'profile = "' in source:  # where papermill puts what the row sets
            code["parameters"] += "".join(
                f"{name} = {value!r}\n" for name, value in parameters.items()
            )
names = {"__name__": "ties"}
for tag in ("setup", "parameters", "model", "weights", "loss"):
    exec(compile(code[tag], tag, "exec"), names)

random = np.random.RandomState(0)
x = random.uniform(size=(64, 3, 32, 32)).astype(np.float32)
x[:, :, :, 12:] = 1  # white
y = random.randint(0, 10, 64).astype(np.int64)
# A word, or what Keras 2 was set to.
said = re.search(r"run\.check\(layout=(.*)\)", code["check"])
if said and eval(said.group(1), names) == "channels_last":
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
model = names["load_weights"](
    names["create_model"]((0, 0, 0)), weights.check_weights("cifar10_cnn")
)
optimizer = names["create_optimizer"](model)
losses = [float(names["train_step"](model, optimizer, x, y)) for _ in range(2)]
print(json.dumps(losses))
