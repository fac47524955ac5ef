"""Take out what MXNet prints at each import of an ONNX file: that MXNet 1.10 will not have it.

There has been no MXNet 1.10, and in a notebook the lines stand among the results.
"""

import importlib.util
import pathlib
import re

mxnet = pathlib.Path(importlib.util.find_spec("mxnet").origin).parent
file = mxnet / "contrib" / "onnx" / "__init__.py"
text = file.read_text(encoding="utf-8")
quiet = re.sub(r"^ *print\((?:.|\n)*?'\)\n", "", text, flags=re.MULTILINE)
file.unlink()  # it may be the same file as that in the installer's cache, which must stay as it is
file.write_text(quiet, encoding="utf-8")
