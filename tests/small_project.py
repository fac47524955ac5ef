"""Projects of a few tiny notebooks, run by the interpreter of the tests themselves."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from common import check, weights
from rosetta.options import Options
from rosetta.project import Project
from rosetta.registry import TASKS

ROOT = Path(__file__).parent.parent
FIXTURES = Path(__file__).parent / "fixtures"
TASK = "cifar10_cnn"
HERE = Path(sys.executable)
# What a small project's notebooks know of the checks: the real names and limits.
CHECK = f"""\
LIMITS = {dict(check.LIMITS)}


def required(task):
    return { ({task: list(check.required(task)) for task in TASKS}) }[task]
"""
WEIGHTS = f"SPECS = { {TASK: dict(weights.SPECS[TASK])} }"


def fill(project: Project, notebooks: Mapping[str, str], task: str = TASK) -> Project:
    """Give a project rows with notebooks, {row: name of the fixture}, and data that are there."""
    (project.notebooks / task).mkdir(parents=True, exist_ok=True)
    for row, fixture in notebooks.items():
        add_row(project, row)
        shutil.copy(FIXTURES / f"{fixture}.ipynb", project.notebooks / task / f"{row}.ipynb")
    for name in ("cifar10", "imdb", "resnet50"):
        (project.data / name).mkdir(parents=True, exist_ok=True)
        (project.data / name / "dataset.json").write_text('{"data": "real"}')
    project.common.mkdir(exist_ok=True)
    for name, text in {"__init__": "", "tasks": "", "check": CHECK, "weights": WEIGHTS}.items():
        (project.common / f"{name}.py").write_text(text)
    return project


def add_cell(project: Project, row: str, source: str, task: str = TASK) -> None:
    """Put a code cell into a row's notebook, behind the parameters."""
    file = project.notebooks / task / f"{row}.ipynb"
    notebook = json.loads(file.read_text())
    cell = {"cell_type": "code", "execution_count": None, "id": f"added-{len(notebook['cells'])}"}
    cell |= {"metadata": {"tags": ["setup"]}, "outputs": [], "source": source}
    notebook["cells"].insert(2, cell)
    file.write_text(json.dumps(notebook))


def fill_with(project: Project, row: str, source: str, task: str = TASK) -> None:
    """Give a project a row whose notebook runs `source` before it records that all is well."""
    fill(project, {row: "ok_record"}, task)
    file = project.notebooks / task / f"{row}.ipynb"
    notebook = json.loads(file.read_text())
    cell = {**notebook["cells"][-1], "id": "more", "source": source.splitlines(keepends=True)}
    notebook["cells"].insert(-1, {**cell, "metadata": {"tags": ["train"]}})
    file.write_text(json.dumps(notebook))


def add_row(project: Project, name: str, **more: str) -> None:
    lines = [
        f'title = "Row {name}"',
        f'notebook = "{name}"',
        f'python = "{sys.version_info[0]}.{sys.version_info[1]}"',
        *(f"{key} = {value}" for key, value in more.items()),
        '[packages]\ncpu = ["numpy"]',
    ]
    (project.frameworks / f"{name}.toml").write_text("\n".join(lines) + "\n")


def options(**more: object) -> Options:
    """Options for a run with this interpreter, as short as it goes."""
    return Options(**{"profile": "smoke", "device": "cpu", "python": HERE, **more})


def command(*arguments: str) -> list[str]:
    """The command line of a run in a process of its own."""
    base = ["run", "--profile", "smoke", "--device", "cpu", "--python", str(HERE)]
    code = "import sys; from rosetta.cli import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", code, *base, *arguments]


def surroundings(project: Project) -> dict[str, str]:
    return {**os.environ, "ROSETTA_ROOT": str(project.root), "PYTHONPATH": str(ROOT)}


def heed_ctrl_c() -> None:
    """Undo what a shell does that starts the tests in the background: SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    """Start a run in a process of its own."""
    return subprocess.Popen(
        command(*arguments),
        cwd=project.root,
        env=surroundings(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=heed_ctrl_c,
    )


def record_of(project: Project, row: str, task: str = TASK) -> dict:
    """The record of a row, from its file."""
    (file,) = project.results.glob(f"*/*/{task}/{row}.json")
    return json.loads(file.read_text())


def living(project: Project) -> list[str]:
    """What still runs of the processes that a run in this project has started."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = process.environ().get("ROSETTA_DATA") == str(project.data)
            if inside and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def passed_checks(task: str = TASK) -> dict:
    """The checks of a task, each passed with an error of a fiftieth of its limit."""
    limits = {name: check.LIMITS[name] for name in check.required(task)}
    return {name: {"error": limit / 50, "limit": limit} for name, limit in limits.items()}


def a_record(**changed: object) -> dict:
    """A record as a run on another machine would have left it."""
    return {
        "schema": 1,
        "task": TASK,
        "framework": "row",
        "notebook": "row",
        "status": "ok",
        "reason": None,
        "profile": "quick",
        "device": "cpu",
        "data": "real",
        "weights": "initial",
        "started": "2026-11-20T12:00:00Z",
        "key": "0",
        "key_parts": {},
        "parameters": {"device": "cpu", "profile": "quick", "seed": 0},
        "machine": {
            "name": "machine-1",
            "processor": "Processor 1",
            "cores": 2,
            "threads": 2,
            "memory_bytes": 2**33,
            "accelerator": None,
            "driver": None,
            "system": "System 1",
            "matmul_gflops": 200.0,
            "accelerator_gflops": None,
        },
        "environment": {"here": False, "python": "3.11", "packages": {}, "differs": {}},
        "repeats": 1,
        "versions": {"row": "1.2.3", "framework": "1.2.3", "python": "3.11.7", "numpy": "2.0"},
        "checks": passed_checks(changed.get("task", TASK)),
        "dialect": {},
        "metrics": {
            "accuracy": 0.75,
            "train_examples_per_second": 400.0,
            "step_milliseconds": 160.0,
            "forward_examples_per_second": 1500.0,
            "forward_milliseconds": 42.0,
            "first_step_seconds": 4.0,
            "peak_memory_bytes": 2**30,
        },
        "run": {"seconds": 30.0, "cell_seconds": 28.0},
        "unit": "pictures",
        "flops_per_example": 3.7e8,
        "check_losses": [2.5, 2.25],
        "losses": [2.25, 2.0, 1.75],
        **changed,
    }
