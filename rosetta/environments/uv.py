"""uv, the installer: where it is, what it knows of pip's settings, what it says of an error."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading

from rosetta.errors import UserError

REASON_LENGTH = 300  # letters of a message that goes into a record
# pip's settings and the variables by which uv reads the same.
UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
}


def pip_settings() -> dict[str, str]:
    """Return what pip was told here (its files and PIP_* variables), by the name of the option."""
    settings = {}
    for key, value in re.findall(r"^([\w.:-]+)=(['\"].*)$", _pip_files(), re.MULTILINE):
        settings[key.rpartition(".")[2]] = str(ast.literal_eval(value))
    for key, value in os.environ.items():
        if key.startswith("PIP_") and value:
            settings[key[4:].lower().replace("_", "-")] = value
    return settings


@functools.cache
def _pip_files() -> str:
    if not importlib.util.find_spec("pip"):
        return ""
    command = [sys.executable, "-m", "pip", "config", "list"]
    return subprocess.run(command, capture_output=True, text=True).stdout


def settings() -> dict[str, str]:
    """Return the environment for uv: what pip was told holds for it too, unless it was told so."""
    environment = dict(os.environ)
    for option, value in pip_settings().items():
        variable = UV_VARIABLES.get(option)
        if variable:
            # pip separates several places by spaces, uv those of find-links by commas.
            several = ",".join(value.split()) if option == "find-links" else " ".join(value.split())
            environment.setdefault(variable, several)
    if "UV_INDEX" in environment:
        # As pip does it; uv would take a package from the first index that has it in any version.
        environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return environment


_finding_uv = threading.Lock()


def executable() -> str:
    """Return the path of uv: from its PyPI package, or (in conda) from the PATH."""
    # It asks sysconfig, which before Python 3.13 answers None while another thread makes it ready.
    with _finding_uv, contextlib.suppress(ImportError, FileNotFoundError):
        import uv

        return uv.find_uv_bin()
    found = shutil.which("uv")
    if not found:
        raise UserError("uv is missing: install it with 'pip install uv'")
    return found


def reason(text: str) -> str:
    """Return in one line what went wrong: from uv's error on, or a script's last words."""
    lines = [line.strip(" ×╰─▶│├·\t\r") for line in text.splitlines()]
    lines = [line for line in lines if line]
    errors = [number for number, line in enumerate(lines) if line.startswith("error:")]
    said = " ".join(lines[errors[0] :] if errors else lines[-1:]).removeprefix("error: ")
    return said if len(said) <= REASON_LENGTH else said[:REASON_LENGTH] + "..."
