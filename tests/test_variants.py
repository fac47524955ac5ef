"""Notebooks measured beside their variants, with tiny notebooks and real kernels."""

import sys
from pathlib import Path

import pytest
from small_project import HERE, TASK, fill

from rosetta import cli, registry
from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.results import report, variants
from rosetta.variants import files, runner

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow

FASTER = """\
title = "twice as fast"
refused = "costs a compiler"
[variables]
TRIED = "1"
[[replace]]
old = '"train_examples_per_second": 100.0'
new = '"train_examples_per_second": 200.0 if __import__("os").environ.get("TRIED") else 0.0'
"""
WRONG = """\
title = "a check that does not hold"
[[replace]]
old = 'task = Path'
new = "raise ValueError('logits: over the limit')\\ntask = Path"
"""


@pytest.fixture
def tried(project: Project) -> Project:
    fill(project, {"row": "ok_record", "other": "ok_record"})
    add(project, "faster", FASTER)
    return project


def add(project: Project, name: str, text: str, task: str = TASK) -> Path:
    file = project.root / files.FOLDER / task / "row" / f"{name}.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def measure(project: Project, **more: object) -> int:
    asked = {"rounds": 2, "profile": "smoke", "device": "cpu", "python": HERE, **more}
    return runner.run(project, runner.Asked(**asked))


def rounds_of(project: Project) -> variants.Rounds:
    (file,) = project.results.glob(f"*/{variants.FOLDER}/{TASK}.row.json")
    found = variants.read(project, file)
    assert found is not None
    return found


def test_a_notebook_and_its_variants_are_run_in_turn(
    tried: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    add(tried, "wrong", WRONG)
    assert measure(tried) == 0
    rounds = rounds_of(tried)
    assert list(rounds.measured) == ["faster", "notebook", "wrong"]
    assert rounds.measured["notebook"].speeds == [100.0, 100.0]
    assert rounds.measured["faster"].speeds == [200.0, 200.0]
    assert rounds.ratio("faster") == 2.0
    assert "logits: over the limit" in str(rounds.measured["wrong"].failure)
    said = [each for each in capsys.readouterr().out.splitlines() if not each.endswith("...")]
    order = [line.split("row: ")[1].split(":")[0] for line in said if "row: " in line]
    assert order == ["notebook", "faster", "wrong", "faster", "notebook"]
    text = tried.results_md.read_text()
    said = "faster in every round; not chosen: costs a compiler"
    assert f"| twice as fast | 200 (200 to 200) | 2.00 | 1.5 | {said} |" in text
    assert "failed: ValueError: logits: over the limit" in text
    assert not list(tried.results.glob("*/smoke"))  # records are made by runs alone


def test_rounds_that_were_made_are_kept_until_something_changes(
    tried: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measure(tried, rounds=1) == 0
    capsys.readouterr()
    assert measure(tried, rounds=2) == 0
    assert capsys.readouterr().out.count("pictures/s") == 2
    add(tried, "faster", FASTER.replace("200.0", "300.0"))
    assert measure(tried, rounds=2) == 0
    rounds = rounds_of(tried)
    assert rounds.measured["faster"].speeds == [300.0, 300.0]
    said = capsys.readouterr().out
    # Compared with the notebook of the same minutes, whose round stands for the others, too.
    assert said.count("row: notebook: 100 pictures/s") == 2 and "row: wrong" not in said
    assert rounds.ratio("faster") == 3.0
    assert rounds.measured["notebook"].speeds == [100.0, 100.0]
    add(tried, "faster", FASTER.replace("200.0", "300.0").replace("a compiler", "patience"))
    assert measure(tried, rounds=2) == 0
    assert "pictures/s" not in capsys.readouterr().out
    assert "not chosen: costs patience" in tried.results_md.read_text()


def test_figures_of_another_notebook_are_marked(tried: Project) -> None:
    assert measure(tried, rounds=1) == 0
    assert ", stale ([all figures]" not in tried.results_md.read_text()
    (cell,) = registry.cells(tried, [registry.load(tried)["row"]], [TASK])
    cell.notebook.write_text(
        cell.notebook.read_text().replace("task = Path", "later = 1; task = Path")
    )
    report.write(tried)
    assert ", stale ([all figures]" in tried.results_md.read_text()
    assert measure(tried, rounds=1) == 0
    assert ", stale ([all figures]" not in tried.results_md.read_text()


VERSIONS = """\
title = "with another package"
[versions]
packages = ["toolz==0.12.1"]
[[replace]]
old = '"train_examples_per_second": 100.0'
new = '"train_examples_per_second": 200.0 if __import__("toolz").__version__ == "0.12.1" else 0.0'
"""


def test_a_variant_of_other_versions_has_an_environment_of_its_own(
    tried: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    add(tried, "versions", VERSIONS)
    assert measure(tried, rounds=1) == 0  # with the Python of the tests, which is not asked
    assert "row.versions: it tries other versions" in capsys.readouterr().out
    assert rounds_of(tried).measured["versions"].speeds == []
    assert "| with another package | — | — | — | not measured |" in tried.results_md.read_text()
    assert measure(tried, rounds=1, python=None, force=True) == 0
    measured = rounds_of(tried).measured
    assert (measured["notebook"].speeds, measured["versions"].speeds) == ([100.0], [200.0])
    assert measured["versions"].python == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert {each.name for each in tried.environments.iterdir()} == {"row", "row.versions"}


def test_no_two_variants_of_a_name_have_other_versions(tried: Project) -> None:
    add(tried, "versions", VERSIONS)
    fill(tried, {"row": "ok_record"}, "imdb_gru")
    other = add(tried, "versions", VERSIONS.replace("0.12.1", "0.12.0"), "imdb_gru")
    with pytest.raises(UserError, match=f"{other.name}.*rename one of them"):
        measure(tried)


@pytest.mark.parametrize(
    ("speeds", "said"),
    [
        ([101.0, 140.0, 200.0], "faster in every round"),
        ([99.0, 140.0, 200.0], "faster in 2 of 3 rounds"),
        ([99.0, 110.0], "slower in every round"),
        ([], ""),
    ],
)
def test_what_does_not_differ_beyond_its_spread_is_said(speeds: list[float], said: str) -> None:
    measured = {
        variants.NOTEBOOK: variants.Measured("", "", speeds=[1.0]),  # in later rounds
        "other": variants.Measured("", "", speeds=speeds, beside=[100.0, 120.0, 150.0]),
    }
    rounds = variants.Rounds(1, TASK, "row", "machine", "quick", "pictures", "", measured=measured)
    assert rounds.verdict("other") == said
    assert not rounds.verdict(variants.NOTEBOOK)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("titel = 'x'", "titel"),
        ("title = 1", "title"),
        ("title = ", "variants/cifar10_cnn/row/faster.toml"),
        ("title = 'x'\n[[replace]]\nold = 'gone'\nnew = ''", "the notebook has no 'gone'"),
        ("title = 'x'\n[versions]\npackages = ['numpy']", r"versions.packages\[0\]"),
        ("title = 'x'\n[versions]\npackages = []", "versions.packages"),
        ("title = 'x'\n[versions]\npackages = ['a==1']\npython = '4'", "versions.python"),
    ],
)
def test_a_variant_that_is_none_is_one_line(tried: Project, text: str, why: str) -> None:
    add(tried, "faster", text)
    with pytest.raises(UserError, match=why):
        measure(tried)


def test_cells_without_variants_are_named(
    tried: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSETTA_ROOT", str(tried.root))
    assert cli.main(["variants", "--framework", "other"]) == 2
    assert "none of these cells has variants" in capsys.readouterr().err


def test_every_variant_fits_its_notebook() -> None:
    project = Project(ROOT)
    for cell in registry.cells(project, registry.load(project).values()):
        for name, variant in files.load(project, cell).items():
            notebook = files.apply(files.notebook_of(cell), variant, name)
            for each in notebook["cells"]:
                if each["cell_type"] == "code":
                    compile("".join(each["source"]), name, "exec")
