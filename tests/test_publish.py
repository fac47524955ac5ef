"""What is saved of an executed notebook is fit to publish, and the same for the same run."""

import json
import re
import sys
import time
from pathlib import Path

import nbformat
import pytest
from small_project import FIXTURES, fill

from rosetta.project import Project
from rosetta.registry import Framework
from rosetta.results import publish
from rosetta.results.private import Cleaner
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
    normal = publish.normalise(executed, Cleaner(project))
    train, injected = normal["cells"]
    assert train["metadata"] == {"tags": ["train"]}
    assert [output["text"] for output in train["outputs"]] == ["ab\n", "w\n", "done\n"]
    assert injected["id"] == "injected-parameters"
    assert normal["metadata"]["kernelspec"] == {"name": "python3", "display_name": "Python 3"}
    assert "papermill" not in json.dumps(normal)
    assert publish.normalise(normal, Cleaner(project)) == normal


def test_pictures_are_left_as_they_are_and_the_record_is_left_out(project: Project) -> None:
    picture = f"{project.root}/AAAA"  # base64 may spell anything
    data = {"image/png": picture, "text/plain": picture, publish.MEDIA_TYPE: {"task": "a"}}
    output = {"output_type": "display_data", "metadata": {}, "data": data}
    executed = notebook(cell("x", output))
    assert publish.emitted_record(executed) == {"task": "a"}
    normal = publish.normalise(executed, Cleaner(project))
    assert normal["cells"][0]["outputs"][0]["data"] == {"image/png": picture, "text/plain": "AAAA"}


@pytest.mark.slow
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
    row = Framework("row", "Row")
    saved = publish.with_outputs(source, executed, row)
    assert [each["id"] for each in saved["cells"]] == [each["id"] for each in source["cells"]]
    assert [each.get("execution_count") for each in saved["cells"]] == [None, 1, 2, 3]
    assert saved["cells"][3]["outputs"][0]["text"] == "s"
    assert saved["metadata"]["rosetta"]["framework"] == "row"
    assert saved["metadata"]["kernelspec"]["name"] == "rosetta-row"
    nbformat.validate(nbformat.reads(publish.dumps(saved), as_version=4))
    source["cells"][2]["source"] = "changed"
    assert publish.with_outputs(source, executed, row) is None


def test_a_long_output_keeps_its_beginning_and_its_end(project: Project) -> None:
    lines = "".join(f"line {number}\n" for number in range(1_000_000))
    kept = publish.normalise(notebook(cell("x", stream(lines))), Cleaner(project))
    text = kept["cells"][0]["outputs"][0]["text"]
    assert text.startswith("line 0\nline 1\n") and text.endswith("line 999999\n")
    assert re.search(r"\n\[[\d,]+ characters are left out here\]\n", text)
    assert len(text) < 1.01 * publish.TEXT_LIMIT


def test_many_pieces_of_a_stream_are_joined_in_no_time(project: Project) -> None:
    pieces = [stream("a line of text\n") for _ in range(300_000)]
    began = time.process_time()
    kept = publish.normalise(notebook(cell("x", *pieces)), Cleaner(project))
    assert time.process_time() - began < 5
    assert len(kept["cells"][0]["outputs"]) == 1


def test_what_cannot_be_cut_is_kept_whole_or_left_out_and_said(project: Project) -> None:
    def shown(**data: object) -> dict:
        return {"output_type": "display_data", "metadata": {}, "data": data}

    deep: object = 1
    for _ in range(200):
        deep = [deep]
    large = "A" * (publish.PICTURE_LIMIT + 1)
    outputs = [
        shown(**{"image/png": "AAAA", "text/plain": "a plot"}),
        shown(**{"image/png": large, "text/plain": "a plot"}),
        shown(**{"text/html": large}),
        shown(**{"application/json": deep}),
        shown(**{"text/plain": 5}),
    ]
    kept = publish.normalise(notebook(cell("x", *outputs)), Cleaner(project))
    small, png, page, value, number = (each["data"] for each in kept["cells"][0]["outputs"])
    assert small == {"image/png": "AAAA", "text/plain": "a plot"}
    out = f"is left out: it has {len(large):,} characters]"
    assert png == {"text/plain": f"a plot\n[image/png {out}"}
    assert page == {"text/plain": f"[text/html {out}"}
    assert value == {"text/plain": "[application/json is left out: it is too deeply nested]"}
    assert number == {"text/plain": "5"}


def test_a_notebook_has_a_limit_too(project: Project) -> None:
    picture = {"image/png": "A" * (publish.PICTURE_LIMIT - 1)}
    output = {"output_type": "display_data", "metadata": {}, "data": picture}
    texts = [stream("x" * 90_000, name) for name in ("stdout", "stderr") * 200]
    cells = [cell("x", output), cell("y", output), cell("z", output, output, *texts)]
    kept = publish.normalise(notebook(*cells), Cleaner(project))
    text = publish.dumps(kept)
    assert len(text) < 1.05 * publish.NOTEBOOK_LIMIT
    assert "image/png is left out" in text and "characters are left out here" in text
    assert "more outputs are left out" in text


def test_metadata_and_errors_of_outputs_are_cleaned_too(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOO_TOKEN", "s3cr3t-value")
    outputs = [
        {"output_type": "display_data", "metadata": {"a": "s3cr3t-value"}, "data": {}},
        {
            "output_type": "error",
            "ename": "s3cr3t-value",
            "evalue": "s3cr3t-value",
            "traceback": ["s3cr3t-value"],
        },
        stream("s3cr3t-"),
        stream("value"),
    ]
    clean = Cleaner(project)
    assert "s3cr3t" not in publish.dumps(publish.normalise(notebook(cell("x", *outputs)), clean))
    assert clean.replaced == {"the value of FOO_TOKEN"}
