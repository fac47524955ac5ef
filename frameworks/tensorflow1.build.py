"""Keep TensorFlow 1's notices out of what is read.

TensorFlow 1.15 announces, at half of its calls, what TensorFlow 2 will call them, and its types
bring warnings of a NumPy that came later. A module of this environment, run at each start of the
interpreter, lets errors alone pass.
"""

import pathlib
import sysconfig

# Runs when the interpreter starts, so it imports as little as it can.
SETTINGS = '''"""Settings for TensorFlow 1 in this environment."""

import logging
import warnings

logging.getLogger("tensorflow").addFilter(lambda record: record.levelno >= logging.ERROR)
warnings.filterwarnings("ignore", category=FutureWarning, module="tensor(flow|board)")
'''

packages = pathlib.Path(sysconfig.get_path("purelib"))
(packages / "tensorflow1_settings.py").write_text(SETTINGS)
(packages / "tensorflow1_settings.pth").write_text("import tensorflow1_settings\n")
