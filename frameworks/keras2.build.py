"""Take out the line that Keras 2 writes at each import: which backend it uses.

It is written to the stream for errors, where nothing is wrong: in a notebook it stands as one. The
fork for MXNet has warnings of one kind shown, whatever Python was told: that goes too. Each file is
replaced and not written into: it may be one with that in the installer's cache.
"""

import importlib.util
import os
import pathlib
import re

NOTICE = r"sys\.stderr\.write\(f?'Using .*\)|warnings\.simplefilter\('always', DeprecationWarning\)"

# The folder alone: importing keras would import the backend.
keras = pathlib.Path(importlib.util.find_spec("keras").origin).parent
for file in [keras / "__init__.py", *sorted((keras / "backend").glob("*.py"))]:
    text = file.read_text(encoding="utf-8")
    quiet = re.sub(NOTICE, "pass", text)
    if quiet != text:
        part = file.with_name(file.name + ".part")
        part.write_text(quiet, encoding="utf-8")
        os.replace(str(part), str(file))
