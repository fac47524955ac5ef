"""The registry: what a row may say, and what is said of one that is wrong."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosetta import registry
from rosetta.environments import variables
from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.results import keys

ROW = 'title = "Alpha"\nnotebook = "alpha"\npython = "3.11"\n[packages]\ncpu = ["alpha==1.0"]\n'
REPOSITORY = Project(Path(__file__).parent.parent)


KEY_NAMES = st.sampled_from(
    ["cpu", "gpu", "cuda", "gigabytes", "value", "processor", "A", "A=B", "a b", "ROSETTA_DATA", ""]
)


def toml(value: object) -> str:
    """A value as TOML spells it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        escaped = "".join(
            letter if letter.isascii() and letter.isalnum() else f"\\U{ord(letter):08x}"
            for letter in value
            if not 0xD800 <= ord(letter) < 0xE000
        )
        return f'"{escaped}"'
    return str(value).lower() if isinstance(value, bool | float) else str(value)


def write(project: Project, name: str, text: str) -> None:
    (project.frameworks / f"{name}.toml").write_text(text, encoding="utf-8")


def test_reads_a_row(project: Project) -> None:
    text = 'gpu = ["alpha[cuda]==1.0"]\ncuda = "13.0"\ngigabytes = {cpu = 0.5}\n'
    write(project, "alpha", ROW + text + '[variables]\nA = "1"\n[parameters]\nbackend = "x"\n')
    row = registry.load(project)["alpha"]
    assert row.title == "Alpha" and row.environment == "alpha" and row.cuda == "13.0"
    assert row.packages == {"cpu": ("alpha==1.0",), "gpu": ("alpha[cuda]==1.0",)}
    assert row.gigabytes == {"cpu": 0.5}
    assert row.variables == {**registry.EVERY_ROW, "A": "1"} and row.parameters == {"backend": "x"}


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
        (ROW + '[variables.A]\nvalue = "5"\ndevice = "tpu"\n', 'A.device must be "cpu" or "gpu"'),
        (ROW + '[variables.A]\nvalu = "5"\n', "unknown key 'variables.A.valu': did you mean"),
        (ROW + '[variables]\nROSETTA_DATA = "x"\n', "not a name that a row's variable may have"),
        (ROW + '[variables]\n"A=B" = "x"\n', "not a name that a row's variable may have"),
        (ROW + '[variables]\nA = "\\u0000"\n', "variables.A must not hold a null character"),
        ("x = " + "[" * 100_000, "not valid TOML"),
        ("x = " + "1" * 6_000, "not valid TOML"),
        ('build = "../x"\n' + ROW, "build must be the name of a file in frameworks/"),
        ('build = "/etc/passwd"\n' + ROW, "build must be the name of a file in frameworks/"),
        (ROW.replace('"alpha"', '"../../x"'), "notebook must be a name without path and .ipynb"),
        (ROW.replace('"Alpha"', '"a\\nb"'), "title must be one line"),
        (ROW + "gigabytes = 3\n", "packages.gigabytes must be a table"),
        (ROW + 'gigabytes = {cpu = "many"}\n', "packages.gigabytes.cpu must be a number above 0"),
        (ROW + "gigabytes = {cpu = nan}\n", "packages.gigabytes.cpu must be a number above 0"),
        (ROW + "gigabytes = {cpu = true}\n", "packages.gigabytes.cpu must be a number above 0"),
        (ROW + "gigabytes = {tpu = 1}\n", "unknown key 'packages.gigabytes.tpu'"),
        (ROW.replace("alpha==1.0", "-r /etc/passwd"), "is not a package with its version"),
        (ROW.replace("alpha==1.0", "a @ file:///etc"), "is not a package with its version"),
        (ROW.replace("alpha==1.0", "a\\n--index-url x"), "is not a package with its version"),
        ('modules = ["../x"]\n' + ROW, "modules: '../x' is no module's name"),
        (ROW + "[parameters]\nday = 2026-01-01\n", "parameters.day must be a string, a number"),
        (ROW + '[parameters]\n"a b" = 1\n', "parameters: 'a b' is no name in Python"),
        ("familiar = true\n" + ROW, "familiar must be a whole number"),
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


@pytest.mark.parametrize("kind", ["folder", "fifo", "bytes", "link to nothing", "link to outside"])
def test_a_row_that_is_no_file_of_its_own_is_named(
    project: Project, tmp_path: Path, kind: str
) -> None:
    file = project.frameworks / "alpha.toml"
    if kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "bytes":
        file.write_bytes(b"\xff\xff")
    else:
        file.symlink_to(tmp_path / "outside.toml")
        if kind == "link to outside":
            (tmp_path / "outside.toml").write_text(ROW)
    with pytest.raises(UserError, match=r"^frameworks/alpha\.toml"):
        registry.load(project)


def test_no_file_outside_is_run(project: Project, tmp_path: Path) -> None:
    write(project, "alpha", 'build = "alpha.build.py"\n' + ROW)
    (tmp_path / "outside").touch()
    (project.frameworks / "alpha.build.py").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match=r"^frameworks/alpha\.build\.py is a link to elsewhere"):
        registry.load(project)
    write(project, "alpha", ROW)
    notebook = project.notebooks / "imdb_gru" / "alpha.ipynb"
    notebook.parent.mkdir()
    notebook.symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match=r"^notebooks/imdb_gru/alpha\.ipynb is a link to elsewh"):
        registry.cells(project, registry.load(project).values())


VALUES = st.recursive(
    st.one_of(
        st.booleans(), st.integers(), st.floats(), st.dates(),
        st.text("aZ9 é\n\"'{}=/.-~@[;\0😀", max_size=9),
        st.sampled_from(["../x", "/etc/passwd", "a\nb", "{cores}", "{x}", "3.11", "-r x", "\0"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY_NAMES, inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from([*registry.KEYS, "x"]), VALUES, max_size=6))
@settings(max_examples=300, deadline=None)
def test_whatever_a_row_says_it_is_a_row_or_one_line_about_it(said: dict) -> None:
    """And what passes can be handed on: to a key, to a kernel, to the installer, as a path."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        project.frameworks.mkdir()
        valid = {"title": "A", "python": "3.11", "packages": {"cpu": ["a==1"]}, "notebook": "a"}
        row = {**valid, **said}
        write(project, "alpha", "".join(f"{key} = {toml(value)}\n" for key, value in row.items()))
        try:
            found = registry.load(project)["alpha"]
        except UserError as error:
            assert str(error).startswith("frameworks/alpha.toml")
            return
        keys.Keys(project).environment(found, "cpu")
        keys.digest(dict(found.parameters))
        for name, value in variables.resolve(found.variables, "cpu").items():
            assert name.isidentifier() and isinstance(value, str) and "\0" not in value
        assert "/" not in (found.notebook or "") and not (found.notebook or "").startswith(".")
        for each in (each for packages in found.packages.values() for each in packages):
            assert each[0].isalnum() and "/" not in each.partition(";")[0] and "\n" not in each


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_whatever_bytes_a_row_is_of_it_is_named(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        project.frameworks.mkdir()
        (project.frameworks / "alpha.toml").write_bytes(content)
        with pytest.raises(UserError, match=r"^frameworks/alpha\.toml"):
            registry.load(project)


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


def test_nothing_in_the_repository_names_the_host_of_a_package_index() -> None:
    """Which one that is, pip knows: its default, and what its configuration says."""
    pip = [sys.executable, "-m", "pip"]
    said = [
        subprocess.run([*pip, *words], capture_output=True, text=True, check=True).stdout
        for words in (["install", "--help"], ["config", "list"])
    ]
    found = re.findall(r"default\s+(https?://[^\s)]+)", said[0])
    found += re.findall(r"(?m)^\S*index-url=.*", said[1])
    urls = re.findall(r"https?://[^\s'\")]+", " ".join(found))
    hosts = {urlsplit(url).hostname or "" for url in urls}
    assert hosts
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY.root, capture_output=True, text=True, check=True
    ).stdout
    files = [REPOSITORY.root / name for name in names.split("\0") if name]
    naming = [
        f"{file.relative_to(REPOSITORY.root)}: {host}"
        for file in files
        for host in hosts
        if file.is_file() and re.search(rb"\b" + re.escape(host.encode()), file.read_bytes())
    ]
    assert not naming
