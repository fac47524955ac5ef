"""Take out what ONNX prints each time that Caffe2's importer asks its optimiser for a pass.

It says that the optimiser has moved; in a notebook the lines stand among the results.
"""

import importlib.util
import pathlib
import re

onnx = pathlib.Path(importlib.util.find_spec("onnx").origin).parent
for file in [onnx / "optimizer.py", *onnx.glob("optimizer/*.py")]:
    if file.exists():
        text = file.read_text(encoding="utf-8")
        quiet = re.sub(r"^ *print\([^()]*has been moved[^()]*\)\n", "", text, flags=re.MULTILINE)
        file.unlink()  # it may be the same file as that in the installer's cache
        file.write_text(quiet, encoding="utf-8")
