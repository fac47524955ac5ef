"""The registry: what a row may say, and what is said of one that is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosetta import registry
from rosetta.errors import UserError
from rosetta.project import Project

ROW = 'title = "Alpha"\nnotebook = "alpha"\npython = "3.11"\n[packages]\ncpu = ["alpha==1.0"]\n'
REPOSITORY = Project(Path(__file__).parent.parent)


def write(project: Project, name: str, text: str) -> None:
    (project.frameworks / f"{name}.toml").write_text(text, encoding="utf-8")


def test_reads_a_row(project: Project) -> None:
    text = 'gpu = ["alpha[cuda]==1.0"]\ncuda = "13.0"\ngigabytes = {cpu = 0.5}\n'
    write(project, "alpha", ROW + text + '[variables]\nA = "1"\n[parameters]\nbackend = "x"\n')
    row = registry.load(project)["alpha"]
    assert row.title == "Alpha" and row.environment == "alpha" and row.cuda == "13.0"
    assert row.packages == {"cpu": ("alpha==1.0",), "gpu": ("alpha[cuda]==1.0",)}
    assert row.gigabytes == {"cpu": 0.5}
    assert row.variables == {"A": "1"} and row.parameters == {"backend": "x"}


def test_rows_are_sorted_and_may_be_facts_only(project: Project) -> None:
    write(project, "beta", ROW)
    write(project, "alpha", 'title = "Alpha"\n[facts]\nstate = "retired"\n')
    rows = registry.load(project)
    assert list(rows) == ["alpha", "beta"]
    assert rows["alpha"].notebook is None and rows["alpha"].facts == {"state": "retired"}


def test_shares_an_environment(project: Project) -> None:
    write(project, "alpha", ROW)
    write(project, "gamma", 'title = "G"\nnotebook = "gamma"\nenvironment = "alpha"\n')
    row = registry.load(project)["gamma"]
    assert row.environment == "alpha" and row.python == "3.11"
    assert row.packages == {"cpu": ("alpha==1.0",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = ", "not valid TOML"),
        ("notebok = 1\n" + ROW, "unknown key 'notebok': did you mean 'notebook'?"),
        (ROW + "cp = []\n", "unknown key 'packages.cp': did you mean 'packages.cpu'?"),
        (ROW.replace('"Alpha"', "3"), "title must be a string"),
        (ROW.replace('["alpha==1.0"]', '"alpha"'), "packages.cpu must be a list of strings"),
        (ROW.replace('["alpha==1.0"]', "[1]"), "packages.cpu must be a list of strings"),
        (ROW.replace('title = "Alpha"\n', ""), "title is missing"),
        (ROW.replace('python = "3.11"\n', ""), "python is missing"),
        (ROW.replace("3.11", "311"), "python must be a version"),
        (ROW.replace("cpu", "gpu"), "packages.cpu is missing"),
        (ROW + "[variables]\nA = 1\n", "variables.A must be a string"),
        ('familiar = "1"\n' + ROW, "familiar must be a whole number"),
        (ROW + '[variables]\nA = "{core}"\n', "variables.A: {core} means nothing, only {cores}"),
        (ROW + "[variables.A]\nvalue = 5\n", "variables.A.value must be a string"),
        (ROW + '[variables.A]\nprocessor = "avx2"\n', "variables.A.value is missing"),
        (ROW + '[variables.A]\nvalu = "5"\n', "unknown key 'variables.A.valu': did you mean"),
        (ROW + '[variables]\nROSETTA_DATA = "x"\n', "not a name that a row's variable may have"),
        (ROW + '[variables]\n"A=B" = "x"\n', "not a name that a row's variable may have"),
        (ROW + '[variables]\nA = "\\u0000"\n', "variables.A must not hold a null character"),
        ('title = "A"\nenvironment = "bta"\n', "unknown environment 'bta': did you mean 'beta'?"),
        ('environment = "beta"\n' + ROW, "python belongs to the row 'beta'"),
        ('build = "no.build.py"\n' + ROW, "there is no frameworks/no.build.py"),
    ],
)
def test_names_the_file_and_the_fault(project: Project, text: str, message: str) -> None:
    write(project, "beta", ROW)
    write(project, "alpha", text)
    with pytest.raises(UserError, match=r"^frameworks/alpha\.toml: ") as error:
        registry.load(project)
    assert message in str(error.value)


def test_an_empty_registry_is_an_error(project: Project) -> None:
    with pytest.raises(UserError, match="holds no row"):
        registry.load(project)


def test_cells_are_the_notebooks_that_exist(project: Project) -> None:
    write(project, "alpha", ROW)
    write(project, "facts", 'title = "Facts"\n')
    notebook = project.notebooks / "imdb_gru" / "alpha.ipynb"
    notebook.parent.mkdir()
    notebook.touch()
    found = registry.cells(project, registry.load(project).values())
    assert [(cell.task, cell.framework.name, cell.notebook) for cell in found] == [
        ("imdb_gru", "alpha", notebook)
    ]


def test_selects_in_the_order_of_the_known() -> None:
    assert registry.select(["c", "a", "c"], "abc", "letter") == ["a", "c"]
    assert registry.select([], "abc", "letter") == ["a", "b", "c"]


KNOWN = (*registry.TASKS, "pytorch", "tensorflow", "keras-jax", "cntk")


@given(st.sampled_from(KNOWN), st.data())
def test_a_slip_of_one_letter_gets_the_right_name(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from("aeinrst-_"))
    slip = data.draw(st.sampled_from([name[:place] + letter + name[place:], name.upper()]))
    if slip not in KNOWN:
        with pytest.raises(UserError, match=f"did you mean '{name}'"):
            registry.select([slip], KNOWN, "name")


@pytest.mark.parametrize(("begun", "name"), [("resnet", "resnet50_features"), ("imdb", "imdb_gru")])
def test_a_beginning_gets_the_whole_name(begun: str, name: str) -> None:
    assert registry.unknown(begun, KNOWN, "task").endswith(f"did you mean '{name}'?")


def test_what_is_like_nothing_gets_the_list() -> None:
    assert registry.unknown("cuda", ["auto", "cpu", "gpu"], "device") == (
        "unknown device 'cuda': there is auto, cpu, gpu"
    )


def test_every_row_of_the_repository_that_runs_has_a_lock() -> None:
    for cell in registry.cells(REPOSITORY, registry.load(REPOSITORY).values()):
        lock = REPOSITORY.frameworks / f"{cell.framework.environment}.lock"
        assert lock.is_file(), f"python run_all.py lock {cell.framework.environment}"
        assert "/" not in lock.read_text(encoding="utf-8")
