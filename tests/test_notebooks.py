"""The anatomy of every notebook: same sections, same names, nothing typed again, real outputs."""

import ast
import json
import re
from pathlib import Path

import pytest

from common.tasks import TASKS
from rosetta import registry
from rosetta.project import Project
from rosetta.results import keys, proof

ROOT = Path(__file__).resolve().parents[1]
# Those that only run what others have trained.
OF_INFERENCE = {
    cell.notebook
    for cell in registry.cells(Project(ROOT), registry.load(Project(ROOT)).values())
    if not cell.trains
}
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*/*.ipynb"))
HEADINGS = {
    "setup": "## Setup",
    "parameters": "## Parameters",
    "data": "## Data",
    "model": "## Model",
    "weights": "## Weights",
    "loss": "## Training step",
    "check": "## Check",
    "inside": "## Inside",
    "train": "## Train",
    "evaluate": "## Evaluate",
    "save": "## Save",
    "record": "## Record",
}
ALWAYS = {"create_model", "predict", "load_weights", "export_weights", "activations"}
TRAINING = {"create_optimizer", "train_step"}
ASSIGNED = {"model", "restored"}
# What common/ brings; typed in a notebook, they would be a second specification.
HYPER_PARAMETERS = {0.01, 0.9, 0.999, 0.001, 1e-8, 0.25, 0.5}
MOST_LINES, MOST_COLUMNS, MOST_CODE_LINES = 25, 100, 260

# What the project writes into a title from the records stands behind this mark.
GENERATED = "<!-- from the records -->"

Notebook = dict


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def path(request):
    return request.param


@pytest.fixture
def notebook(path) -> Notebook:
    return json.loads(path.read_text(encoding="utf-8"))


def source(cell):
    return "".join(cell["source"])


def steps_of(path):
    """The sections of a notebook, in order."""
    steps = TASKS[path.parent.name].steps
    return [step for step in steps if path not in OF_INFERENCE or step not in ("loss", "train")]


def code_cells(notebook, *tags):
    return [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and (not tags or cell["metadata"]["tags"][0] in tags)
    ]


def python(cell):
    """The cell's Python, without lines of IPython's own."""
    return re.sub(r"^(%|!).*$", "", source(cell), flags=re.MULTILINE)


def tree(notebook, *tags):
    return ast.parse("\n".join(python(cell) for cell in code_cells(notebook, *tags)))


def numbers(notebook, *tags):
    return {
        node.value
        for node in ast.walk(tree(notebook, *tags))
        if isinstance(node, ast.Constant) and type(node.value) in (int, float)
    }


def test_there_are_notebooks_of_every_task():
    assert {path.parent.name for path in NOTEBOOKS} == set(TASKS)


def test_the_sections_are_those_of_the_task_in_their_order(path, notebook):
    prose = [source(cell) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    assert re.match(r"# \S.*: \S", prose[0])
    assert sum(text.count("\n# ") + text.startswith("# ") for text in prose) == 1
    found = [line for text in prose for line in text.splitlines() if line.startswith("## ")]
    assert found == [HEADINGS[step] for step in steps_of(path)]


def test_each_code_cell_is_tagged_with_the_section_it_stands_in(notebook):
    heading = None
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            heading = next(
                (line for line in source(cell).splitlines() if line.startswith("## ")), heading
            )
        else:
            (tag,) = cell["metadata"]["tags"]
            assert HEADINGS[tag] == heading


def test_every_section_has_a_few_cells_of_code(path, notebook):
    for step in steps_of(path):
        assert 1 <= len(code_cells(notebook, step)) <= 4, step


def test_the_names_are_the_same_everywhere(path, notebook):
    defined = {node.name for node in ast.walk(tree(notebook)) if isinstance(node, ast.FunctionDef)}
    assigned = {
        node.id
        for node in ast.walk(tree(notebook))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    training = "loss" in steps_of(path)
    wanted = ALWAYS | (TRAINING if training else set())
    assert wanted <= defined | assigned
    assert assigned >= ASSIGNED


def test_cells_are_short(notebook):
    cells = [source(cell).splitlines() for cell in code_cells(notebook)]
    assert max(len([line for line in lines if line.strip()]) for lines in cells) <= MOST_LINES
    assert max(len(line) for lines in cells for line in lines) <= MOST_COLUMNS
    assert sum(len(lines) for lines in cells) <= MOST_CODE_LINES


def test_what_a_reader_copies_leans_on_nothing_of_ours(notebook):
    names = {
        node.id
        for node in ast.walk(tree(notebook, "model", "weights", "loss"))
        if isinstance(node, ast.Name)
    }
    assert not names & {"common", "run", "check"}


def test_no_hyper_parameter_is_typed_in(path, notebook):
    task = TASKS[path.parent.name]
    steps = [step for step in task.steps if step != "model"]
    assert not numbers(notebook) & HYPER_PARAMETERS
    assert task.batch_size not in numbers(notebook, *steps)


def test_the_parameters_are_literals_and_papermill_finds_them(notebook):
    statements = ast.parse(python(code_cells(notebook, "parameters")[0])).body
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in statements}
    assert {"device": "cpu", "profile": "quick", "seed": 0}.items() <= values.items()


def calls(notebook, *tags):
    """The methods that are called in these sections, as "run.trained"."""
    return {
        f"{node.func.value.id}.{node.func.attr}"
        for node in ast.walk(tree(notebook, *tags))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
    }


def test_every_check_is_made_where_it_belongs(path, notebook):
    task = TASKS[path.parent.name]
    wanted = {"check": {"run.check", "check.roundtrip", "check.logits"}}
    wanted.update({"inside": {"check.activations"}, "evaluate": {"run.evaluate"}})
    wanted.update({"save": {"run.saved", "run.path"}, "record": {"run.record"}})
    if path in OF_INFERENCE:
        wanted["evaluate"] |= {"run.trained_by_reference", "run.trained"}
    elif "loss" in task.steps:
        wanted["check"] |= {"check.losses", "check.updated"}
        wanted["train"] = {"run.epochs", "run.step", "run.trained", "run.batches", "run.plot"}
    if "dropout" in task.hyper_parameters:
        wanted["check"].add("check.dropout")
    for step, names in wanted.items():
        assert names <= calls(notebook, step), step


def test_a_takeaway_of_three_lines_ends_it(notebook):
    last = notebook["cells"][-1]
    assert last["cell_type"] == "markdown"
    lines = source(last).splitlines()
    assert lines[0] == "> **Takeaway**" and len(lines) == 4
    assert all(line.startswith("> - ") and len(line) > 30 for line in lines[1:])


def test_no_timing_and_no_accuracy_is_typed(notebook):
    prose = [source(cell) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    measured = (
        r"\b\d[\d.,]*\s*(?:pictures|reviews|images|examples)?/s\b|\btried\b.*:.*\d{2,}|\d\s*%"
    )
    for text in prose:
        typed = " ".join(text.split(GENERATED)[0].split())  # a figure may stand in the next line
        assert not re.search(measured, typed, flags=re.IGNORECASE), text


def test_no_plumbing_stands_in_what_is_read(notebook):
    tuned = r"environ(?:\[|\.setdefault\()\W*(?:MKL|MXNET|OMP|OPENBLAS|TF|MALLOC)_"
    plumbing = rf"os\.dup|devnull|filterwarnings|setLevel|{tuned}"
    for cell in code_cells(notebook):
        assert not re.search(plumbing, source(cell)), source(cell)


def test_it_reads_well_in_every_cell_id_and_metadata(notebook):
    assert notebook["nbformat"] == 4
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)


def test_it_names_the_kernel_of_the_row_whose_outputs_it_shows(notebook):
    row = registry.load(Project(ROOT))[notebook["metadata"]["rosetta"]["framework"]]
    assert notebook["metadata"]["kernelspec"] == registry.kernel(row)


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell["outputs"]]


def test_the_outputs_are_those_of_this_source(path, notebook):
    row = notebook["metadata"].get("rosetta", {}).get("framework", path.stem)
    mend = f"--framework {row} --task {path.parent.name} --save-outputs"
    mended_by = f"{path.relative_to(ROOT)} has outputs of other code: python run_all.py {mend}"
    made_of = notebook["metadata"].get("rosetta", {}).get("source")
    assert outputs(notebook) and made_of == keys.digest(keys.code_of(notebook)), mended_by


def test_the_outputs_are_fit_to_publish(notebook):
    for output in outputs(notebook):
        text = json.dumps(output)
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr", text[:500]
        assert not re.search(r"/(root|home|Users|tmp|opt|work)/", text), text[:500]
        assert not re.search(r"warning", text, flags=re.IGNORECASE), text[:500]


def test_the_outputs_show_every_check_passed(path, notebook):
    text = "".join(
        "".join(output.get("text", ""))
        for cell in code_cells(notebook)
        for output in cell["outputs"]
    )
    for name in proof.required(path.parent.name, path not in OF_INFERENCE):
        assert re.search(rf"^{name} .* ok\b", text, flags=re.MULTILINE), name


def test_every_notebook_belongs_to_a_row_and_every_row_has_one():
    project = Project(ROOT)
    rows = registry.load(project).values()
    used = {cell.notebook for cell in registry.cells(project, rows)}
    assert used == set(NOTEBOOKS)
    for row in rows:
        if row.notebook:
            assert any(path.stem == row.notebook for path in NOTEBOOKS), row.name
