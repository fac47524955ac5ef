"""What is saved of an executed notebook is fit to publish, and the same for the same run."""

import json
import sys
import tempfile
from pathlib import Path

import nbformat
from small_project import FIXTURES, fill

from rosetta.project import Project
from rosetta.results import publish
from rosetta.runs import execution
from rosetta.runs.execution import Job


def cell(source: str, *outputs: dict, **metadata: object) -> dict:
    return {
        "cell_type": "code",
        "id": "a",
        "execution_count": 7,
        "metadata": metadata,
        "source": source,
        "outputs": list(outputs),
    }


def notebook(*cells: dict) -> dict:
    metadata = {"kernelspec": {"name": "other", "display_name": "Other"}, "papermill": {"a": 1}}
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def stream(text: str, name: str = "stdout") -> dict:
    return {"output_type": "stream", "name": name, "text": text}


def test_paths_become_relative_to_what_a_reader_knows(project: Project) -> None:
    clean = publish.cleaner(project, ["/opt/some/python"])
    root, home = project.root, Path.home()
    assert clean(f"in {root}/notebooks/a.ipynb:3") == "in notebooks/a.ipynb:3"
    assert clean(f"cwd='{root}'") == "cwd='.'"
    assert clean(f"{root}.old and {root}2") != ".old and 2"
    assert clean(f"{root}/.envs/pytorch/lib/x.py") == ".envs/pytorch/lib/x.py"
    assert clean(f"at {home}/.cache/x") == "at ~/.cache/x"
    assert clean("/opt/some/python/lib/x.py") == "environment/lib/x.py"
    assert clean(f"{tempfile.gettempdir()}/ipykernel_12/34.py:1: Warning") == "cell:1: Warning"
    assert clean("a / b, 1/2, and/or, https://x.org/opt") == "a / b, 1/2, and/or, https://x.org/opt"


def test_times_ids_and_pieces_of_streams_do_not_depend_on_the_run(project: Project) -> None:
    executed = notebook(
        cell("x", tags=["papermill-error-cell-tag"]),
        cell(
            "y",
            stream("a"),
            stream("b\n"),
            stream("w\n", "stderr"),
            stream("10 %\r50 %\rdone\n"),
            tags=["train"],
            papermill={"duration": 1.5},
            execution={"iopub.status.busy": "2026"},
        ),
        {**cell("z", tags=["injected-parameters"]), "id": "f00"},
    )
    normal = publish.normalise(executed, publish.cleaner(project))
    train, injected = normal["cells"]
    assert train["metadata"] == {"tags": ["train"]}
    assert [output["text"] for output in train["outputs"]] == ["ab\n", "w\n", "done\n"]
    assert injected["id"] == "injected-parameters"
    assert normal["metadata"]["kernelspec"] == {"name": "python3", "display_name": "Python 3"}
    assert "papermill" not in json.dumps(normal)
    assert publish.normalise(normal, str) == normal


def test_pictures_are_left_as_they_are_and_the_record_is_left_out(project: Project) -> None:
    picture = f"{project.root}/AAAA"  # base64 may spell anything
    data = {"image/png": picture, "text/plain": picture, publish.MEDIA_TYPE: {"task": "a"}}
    output = {"output_type": "display_data", "metadata": {}, "data": data}
    executed = notebook(cell("x", output))
    assert publish.emitted_record(executed) == {"task": "a"}
    normal = publish.normalise(executed, publish.cleaner(project))
    assert normal["cells"][0]["outputs"][0]["data"] == {"image/png": picture, "text/plain": "AAAA"}


def test_an_execution_says_nothing_about_this_machine(project: Project) -> None:
    fill(project, {"row": "private_output"})
    job = Job(
        notebook=project.notebooks / "cifar10_cnn" / "row.ipynb",
        interpreter=Path(sys.executable),
        prefix=Path(sys.prefix),
        parameters={"device": "cpu", "profile": "smoke", "seed": 0},
        here=True,
    )
    first, second = (execution.execute(project, job).notebook for _ in range(2))
    assert first == second
    text = publish.dumps(first)
    for private in (str(project.root), str(Path.home()), sys.prefix):
        assert private not in text
    outputs = first["cells"][3]["outputs"]
    assert [output["name"] for output in outputs] == ["stdout", "stderr"]
    assert outputs[0]["text"].splitlines()[0] == "in notebooks/cifar10_cnn"
    assert outputs[1]["text"].startswith("cell:10: UserWarning: careful")


def test_outputs_go_back_into_the_source_without_the_injected_cell() -> None:
    source = json.loads((FIXTURES / "ok_record.ipynb").read_text())
    parameters, *rest = source["cells"][1:]
    injected = cell("device = 1", tags=["injected-parameters"])
    executed = notebook(
        parameters, injected, *({**each, "outputs": [stream("s")]} for each in rest)
    )
    saved = publish.with_outputs(source, executed, "row")
    assert [each["id"] for each in saved["cells"]] == [each["id"] for each in source["cells"]]
    assert [each.get("execution_count") for each in saved["cells"]] == [None, 1, 2, 3]
    assert saved["cells"][3]["outputs"][0]["text"] == "s"
    assert saved["metadata"]["rosetta"]["framework"] == "row"
    nbformat.validate(nbformat.reads(publish.dumps(saved), as_version=4))
    source["cells"][2]["source"] = "changed"
    assert publish.with_outputs(source, executed, "row") is None
