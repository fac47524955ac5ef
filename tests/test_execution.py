"""Whatever happens to a notebook becomes an outcome in words, and leaves no process behind."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from small_project import FIXTURES, add_cell, fill, living

from rosetta.environments import kernels, processor
from rosetta.environments.variables import resolve
from rosetta.project import Project
from rosetta.results import publish
from rosetta.runs import execution, side_by_side
from rosetta.runs.execution import Job, Outcome

PARAMETERS = {"device": "cpu", "profile": "smoke", "seed": 0}


def run(project: Project, fixture: str | None, **changed: object) -> Outcome:
    """Execute a fixture, or the notebook that is there, with this interpreter."""
    if fixture:
        fill(project, {"row": fixture})
    settings = {
        "notebook": project.notebooks / "cifar10_cnn" / "row.ipynb",
        "interpreter": Path(sys.executable),
        "prefix": Path(sys.prefix),
        "parameters": PARAMETERS,
        "timeout": 60.0,
        "here": True,
    }
    return execution.execute(project, Job(**{**settings, **changed}))


def tags_of(notebook: dict) -> set[str]:
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return {tag for cell in cells for tag in cell["metadata"]["tags"]} - {publish.INJECTED}


def test_a_notebook_that_ends_well(project: Project) -> None:
    outcome = run(project, "ok_record")
    assert (outcome.status, outcome.reason) == ("ok", None)
    assert outcome.emitted["profile"] == "smoke"
    nbformat.validate(nbformat.from_dict(outcome.notebook))
    assert 0 < outcome.cell_seconds < outcome.seconds
    assert outcome.sections.keys() == tags_of(outcome.notebook)
    assert sum(outcome.sections.values()) == pytest.approx(outcome.cell_seconds, abs=0.01)
    # The runner's own cost, kernel start included; 4 s is what the project promises on idle cores.
    assert outcome.seconds - outcome.cell_seconds < 10


@pytest.mark.parametrize(
    ("fixture", "reason"),
    [
        ("no_record", "the notebook recorded nothing"),
        ("exception", "ValueError: no weights in notebooks/cifar10_cnn (in check)"),
        ("os_exit", "the kernel died (exit code 3) (in train)"),
        ("sigkill", "the kernel died (killed by signal 9, SIGKILL; out of memory?) (in train)"),
        ("unknown_parameter", "ValueError: the notebook has no parameter 'seed'"),
        ("no_parameters", "ValueError: no cell is tagged 'parameters'"),
    ],
)
def test_a_failure_has_its_reason_in_words(project: Project, fixture: str, reason: str) -> None:
    outcome = run(project, fixture)
    assert (outcome.status, outcome.reason) == ("failed", reason)
    assert outcome.emitted is None or fixture.endswith("parameters")


@pytest.mark.slow
def test_the_limit_of_time_ends_an_endless_notebook_and_its_children(project: Project) -> None:
    start = time.monotonic()
    outcome = run(project, "endless_loop", timeout=8.0)  # a busy machine starts a kernel in 5 s
    assert outcome.reason == "exceeded the limit of 8 s (in train)"
    assert time.monotonic() - start < 25
    assert living(project) == []
    assert outcome.notebook is not None  # as far as it came


def test_a_process_that_cuts_itself_loose_is_found(project: Project) -> None:
    assert run(project, "leaves_process").status == "ok"
    assert living(project) == []


def test_an_interpreter_that_is_not_there(project: Project) -> None:
    outcome = run(project, "ok_record", interpreter=Path("/nowhere/bin/python"))
    assert outcome.status == "failed"
    assert outcome.reason.startswith("the kernel could not start")
    assert "/nowhere" not in outcome.reason


@pytest.mark.slow
def test_a_kernel_that_ends_at_its_start(project: Project, tmp_path: Path) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\necho no module named ipykernel >&2\nexit 1\n")
    interpreter.chmod(0o755)
    outcome = run(project, "ok_record", interpreter=interpreter)
    assert outcome.reason.startswith("the kernel could not start")
    assert outcome.reason.endswith("no module named ipykernel")


def test_a_kernel_of_another_python_is_refused(project: Project, tmp_path: Path) -> None:
    outcome = run(project, "ok_record", prefix=tmp_path / "another")
    assert "the kernel could not start: its Python is that of" in outcome.reason


def test_what_the_caller_has_in_its_surroundings_does_not_reach_the_kernel(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere.py")
    before = os.environ.get("ROSETTA_RUN")
    assert run(project, "ok_record", variables={"VALUE": "a$b"}).status == "ok"
    assert not list((project.state / "jobs").iterdir())
    assert os.environ.get("ROSETTA_RUN") == before


def said(outcome: Outcome) -> str:
    """What the cells of a notebook printed."""
    outputs = [each for cell in outcome.notebook["cells"] for each in cell.get("outputs", [])]
    return "".join(each["text"] for each in outputs if each["output_type"] == "stream")


def test_what_a_framework_writes_to_file_descriptor_2_goes_to_the_log(
    project: Project, tmp_path: Path
) -> None:
    fill(project, {"row": "ok_record"})
    add_cell(project, "row", "import os, sys\nos.write(2, b'start-up')\nprint('shown')")
    outcome = run(project, None, log=tmp_path / "log.txt")
    assert (outcome.status, said(outcome)) == ("ok", "shown\n")
    assert "start-up" in (tmp_path / "log.txt").read_text()


def test_the_ipykernel_of_python_3_6_is_not_given_an_option_it_does_not_know(
    tmp_path: Path,
) -> None:
    (tmp_path / "ipykernel").mkdir()
    (tmp_path / "ipykernel" / "__init__.py").touch()
    application = "class IPKernelApp:\n    @staticmethod\n    def launch_instance(argv):\n"
    kernelapp = tmp_path / "ipykernel" / "kernelapp.py"
    for traits, options in (
        ("", []),
        ("    capture_fd_output = True\n", ["--IPKernelApp.capture_fd_output=False"]),
    ):
        kernelapp.write_text(f"{application}        print(argv)\n{traits}")
        command = [*kernels.command(Path(sys.executable))[:-1], "x.json"]
        done = subprocess.run(
            command, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)}
        )
        assert done.stdout == f"{['-f', 'x.json', *options]}\n", done.stderr


def test_the_variables_of_a_row_are_those_of_its_machine(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SET_BEFORE", "7")
    monkeypatch.delenv("THREADS", raising=False)
    fill(project, {"row": "ok_record"})
    names = ["THREADS", "SET_BEFORE", "ELSEWHERE"]
    add_cell(project, "row", f"import os\nprint([os.environ.get(each) for each in {names}])")
    elsewhere = {"value": "1", "processor": "no_such_processor"}
    outcome = run(
        project, None,
        variables={"THREADS": "{cores}", "SET_BEFORE": "{cores}", "ELSEWHERE": elsewhere},
    )  # fmt: skip
    assert said(outcome) == f"['{processor.cores()}', '7', None]\n"


def test_a_folder_with_braces_in_its_name(tmp_path: Path) -> None:
    root = tmp_path / "a {b} c"
    (root / "frameworks").mkdir(parents=True)
    assert run(Project(root), "ok_record").status == "ok"


def test_the_fixtures_are_notebooks() -> None:
    for file in FIXTURES.glob("*.ipynb"):
        nbformat.validate(nbformat.read(file, as_version=4))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="of one core there is one part")
def test_executions_side_by_side_have_cores_of_their_own(project: Project) -> None:
    fill(project, {"row": "ok_record"})
    add_cell(project, "row", "import os\nprint(sorted(os.sched_getaffinity(0)))")
    job = Job(
        notebook=project.notebooks / "cifar10_cnn" / "row.ipynb", interpreter=Path(sys.executable),
        prefix=Path(sys.prefix), parameters=PARAMETERS, here=True,
    )  # fmt: skip
    done = dict(side_by_side.execute(project, {"a": job, "b": job}, 2))
    printed = [
        output["text"]
        for outcome in done.values()
        for cell in outcome.notebook["cells"]
        for output in cell.get("outputs", [])
        if output.get("name") == "stdout"
    ]
    found = [set(json.loads("".join(text))) for text in printed]
    assert len(found) == 2 and not found[0] & found[1]
    assert found[0] | found[1] == os.sched_getaffinity(0)


def test_an_interrupt_ends_all_that_runs_side_by_side(project: Project) -> None:
    fill(project, {"row": "ok_record", "endless": "endless_loop"})
    jobs = {
        name: Job(
            notebook=project.notebooks / "cifar10_cnn" / f"{name}.ipynb",
            interpreter=Path(sys.executable), prefix=Path(sys.prefix), parameters=PARAMETERS,
            here=True,
        )
        for name in ("row", "endless")
    }  # fmt: skip
    running = side_by_side.execute(project, jobs, 2)
    assert next(running)[0] == "row"
    with pytest.raises(KeyboardInterrupt):
        running.throw(KeyboardInterrupt())
    assert living(project) == []


def test_the_cores_are_shared_out_and_each_part_has_one() -> None:
    cores = sorted(os.sched_getaffinity(0))
    assert side_by_side.shares(1) == [()]
    parts = side_by_side.shares(2 * len(cores))
    assert all(part and set(part) <= set(cores) for part in parts)
    assert {core for part in side_by_side.shares(len(cores)) for core in part} == set(cores)
    assert side_by_side.default() >= 1
    variables = {"A": "{cores}", "B": "1"}
    assert resolve(variables, "cpu", bound=1) == {"A": "1", "B": "1"}
