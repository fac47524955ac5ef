"""Execute one notebook through papermill, alone: python -m rosetta.runs.driver JOB.json.

The job says what to execute, with which interpreter and parameters; the result, a JSON file too,
says how it went. Whatever kills this process is the concern of the one that started it.
"""

from __future__ import annotations

import ast
import json
import logging
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import execute_notebook

from rosetta.environments.start_kernel import die_with

KERNEL = "rosetta"
START_SECONDS = 120
# For the last outputs of a cell to arrive, on a machine whose cores are all busy.
OUTPUT_SECONDS = 60
# Asked of the kernel itself without executing a cell: it leaves no name and no output behind.
PREFIXES = {"prefix": "__import__('sys').prefix", "base": "__import__('sys').base_prefix"}


class CannotStartError(Exception):
    """The kernel did not start, or it is not the Python it should be."""


class Client(PapermillNotebookClient):  # type: ignore[misc]
    """papermill's client that starts a kernel twice if it must, and checks whose Python it is."""

    prefix: str
    popen: subprocess.Popen[bytes] | None = None
    prefixes: list[str]

    def execute(self, **kwargs: Any) -> Any:
        self.reset_execution_trackers()
        try:
            self._start()
            self._check_prefix()
            self.papermill_execute_cells()
        except DeadKernelError:
            raise DeadKernelError(_ending(self.popen)) from None
        finally:
            if self.km is not None:
                self._cleanup_kernel()
        return self.nb

    def _start(self) -> None:
        """Start the kernel; kernels that start at one moment may fight over ports, so try twice."""
        for last in (False, True):
            try:
                self.km = self.create_kernel_manager()
                # Holds the key to the kernel: among the job files, which go, not in /tmp.
                folder = Path(os.environ["JUPYTER_RUNTIME_DIR"])
                folder.mkdir(parents=True, exist_ok=True)
                self.km.connection_file = str(folder / f"connection-{uuid.uuid4().hex}.json")
                self.start_new_kernel()
                self.popen = getattr(self.km.provisioner, "process", None)
                self.start_new_kernel_client()
                return
            except Exception as error:
                self.km = None
                if last:
                    raise CannotStartError(
                        _first_line(str(error)) or type(error).__name__
                    ) from None

    def _check_prefix(self) -> None:
        """Make sure that the kernel is the environment's Python and not another on the PATH."""
        asked = self.kc.execute("", silent=True, store_history=False, user_expressions=PREFIXES)
        found = self.wait_for_reply(asked)["content"]["user_expressions"]
        values = {key: found[key]["data"]["text/plain"] for key in PREFIXES}
        type(self).prefixes = [ast.literal_eval(value) for value in values.values()]
        if Path(self.prefixes[0]).resolve() != Path(self.prefix).resolve():
            raise CannotStartError(
                f"its Python is that of {self.prefixes[0]}, not of {self.prefix}"
            )


class Engine(NBClientEngine):  # type: ignore[misc]
    """papermill's engine with the client above."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **kwargs: Any) -> None:
        Client(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=START_SECONDS,
            iopub_timeout=OUTPUT_SECONDS,
            # All that a run has to say is in its outputs: no need to wait for a tidy exit.
            shutdown_kernel="immediate",
        ).execute()


def execute(job: dict[str, Any]) -> dict[str, Any]:
    """Execute the notebook of a job; return {"status", "kind", "reason", "prefixes", "died"}."""
    Client.prefix, Client.prefixes = job["prefix"], []
    papermill_engines.register(KERNEL, Engine)
    kind, reason, died = "", None, False
    try:
        _check_parameters(job)
        execute_notebook(
            _literally(job["notebook"]),
            _literally(job["output"]),
            parameters=job["parameters"],
            engine_name=KERNEL,
            kernel_name=KERNEL,
            language="python",
            progress_bar=False,
            cwd=job["cwd"],
        )
    except PapermillExecutionError as error:
        kind, reason = "cell", f"{error.ename}: {_first_line(error.evalue)}".rstrip(": ")
    except DeadKernelError as error:
        kind, reason, died = "cell", f"the kernel died ({error})", True
    except CellTimeoutError:
        kind, reason = "cell", f"the outputs of a cell did not arrive in {OUTPUT_SECONDS} s"
    except CannotStartError as error:
        kind, reason = "start", f"the kernel could not start: {error}"
    except Exception as error:
        kind, reason = "notebook", f"{type(error).__name__}: {_first_line(str(error))}"
    status = "failed" if reason else "ok"
    return {
        "status": status,
        "kind": kind,
        "reason": reason,
        "prefixes": Client.prefixes,
        "died": died,
    }


def _check_parameters(job: dict[str, Any]) -> None:
    """Raise ValueError for a parameter that the notebook does not have: papermill only warns."""
    cells = json.loads(Path(job["notebook"]).read_text(encoding="utf-8"))["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    if not tagged:
        raise ValueError("no cell is tagged 'parameters'")
    known = {
        node.id
        for node in ast.walk(ast.parse("".join(tagged[0]["source"])))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    for name in job["parameters"]:
        if name not in known:
            raise ValueError(f"the notebook has no parameter '{name}'")


def _literally(path: str) -> str:
    """Return a path that papermill, which formats it with the parameters, gives back as it is."""
    return path.replace("{", "{{").replace("}", "}}")


def _ending(process: subprocess.Popen[bytes] | None) -> str:
    """Say in words how the kernel's process ended."""
    code = process.wait(timeout=10) if process else None
    if code is None:
        return "nobody knows how"
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"killed by signal {-code}, {name}" + ("; out of memory?" if name == "SIGKILL" else "")


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def main() -> None:
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    die_with(job["parent"])
    if job["cores"]:
        os.sched_setaffinity(0, job["cores"])  # the kernel inherits it
    result = Path(job["result"])
    result.write_text(json.dumps(execute(job)), encoding="utf-8")


if __name__ == "__main__":
    main()
