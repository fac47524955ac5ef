"""What the site says of one framework stands with its row, and leaves with it."""

import re
import shutil
from pathlib import Path

import pytest
import site_project

from rosetta import registry
from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.site import differences, families, phrases
from rosetta.site.pages import Site

ROOT = Path(__file__).parent.parent
CENTRAL = ROOT / "rosetta" / "site"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project whose frameworks/ are a copy, to take something away from."""
    made = site_project.make(tmp_path / "project")
    made.frameworks.unlink()
    shutil.copytree(ROOT / "frameworks", made.frameworks)
    return made


def test_a_row_that_goes_takes_its_phrases_and_forms_along(project: Project) -> None:
    whole = Site(project)
    assert "pytorch" in whole.book.columns
    for file in project.frameworks.glob("pytorch.*"):
        file.unlink()
    site = Site(project)
    assert set(site.book.columns) == set(whole.book.columns) - {"pytorch"}
    assert all("pytorch" not in concept.phrases for concept in site.book.concepts)
    table = site._pages()["translate"]["table"]
    forms = [form for difference in table.differences for form in difference.forms]
    assert forms
    assert all(form.families and "pytorch" not in form.families for form in forms)


def test_a_file_that_a_row_left_behind_is_named(project: Project) -> None:
    (project.frameworks / "pytorch.toml").unlink()
    with pytest.raises(UserError, match=r"^frameworks/pytorch\.site\.toml: no row has .*: remove"):
        Site(project)


def test_a_row_without_a_file_of_its_own_has_a_warning(project: Project) -> None:
    (project.frameworks / "pytorch.site.toml").unlink()
    site = Site(project)
    assert [each for each in site.warnings if "pytorch" in each] == site.book.warnings
    assert site.book.warnings[0].startswith("frameworks/pytorch.site.toml: no phrase for ")


def test_a_page_begins_with_the_most_familiar_rows(project: Project) -> None:
    for name, number in (("pytorch", 9), ("cntk", 1), ("flax", 2)):
        file = project.frameworks / f"{name}.toml"
        lines = [line for line in file.read_text().split("\n") if not line.startswith("familiar")]
        file.write_text("\n".join([f"familiar = {number}", *lines]))
    assert Site(project).pair()[0] == "cntk"


def test_who_gets_the_gradient_of_ties_is_said_as_the_check_proves_it() -> None:
    project = Project(ROOT)
    for name, family in families.load(project, registry.load(project).values()).items():
        file = project.notebooks / "cifar10_cnn" / f"{name}.ipynb"
        if file.exists():
            said = family.differences["pooling-ties"].text
            assert ("each of them" in said) == ("pool_ties" in file.read_text()), name


def test_nothing_central_names_a_row() -> None:
    project = Project(ROOT)
    rows = registry.load(project)
    told = families.load(project, rows.values())
    names = {*rows, *told, *(row.title for row in rows.values())}
    names |= {family.title for family in told.values()}
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(names)))})(?![\w-])", re.I)
    found = {
        f"{file.name}: {match[0]}"
        for file in CENTRAL.rglob("*")
        if file.suffix in (".toml", ".py", ".js", ".jinja")
        for match in pattern.finditer(file.read_text(encoding="utf-8"))
    }
    assert found == set()


def a_family(tmp_path: Path, text: str) -> dict[str, families.Family]:
    (tmp_path / "frameworks").mkdir()
    (tmp_path / "frameworks" / "frame.site.toml").write_text(text)
    row = registry.Framework("frame", "Frame", "frame")
    return families.load(Project(tmp_path), [row])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("titel = 'A'", "unknown key 'titel': did you mean 'title'?"),
        ("phrases.relu = {patern = 'a'}", "unknown key 'patern': did you mean 'pattern'?"),
        ("phrases = [", "not valid TOML"),
        ("phrases = 'relu'", "phrases must be a table"),
        ("phrases.relu = 'a'", "phrases.relu must be a table"),
        ("phrases.relu = {pattern = 1}", "phrases.relu.pattern must be a string or a list"),
        ("differences.flatten = 1", "differences.flatten must be a string"),
        ("phrases.rellu = {pattern = 'a'}", "unknown phrase 'rellu': did you mean 'relu'?"),
        ("differences.flaten = 'a'", "unknown difference 'flaten': did you mean 'flatten'?"),
    ],
)
def test_a_wrong_file_is_named_with_its_fix(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        told = a_family(tmp_path, text)
        phrases.load(CENTRAL / "phrases.toml", [], told)
        differences.load(CENTRAL / "differences.toml", told)
    assert str(error.value).startswith(f"frameworks/frame.site.toml: {message}")


def test_a_family_without_a_row_needs_a_title(tmp_path: Path) -> None:
    file = tmp_path / "frameworks" / "gone.site.toml"
    file.parent.mkdir()
    file.write_text("title = 'Gone'\n")
    assert families.load(Project(tmp_path), [])["gone"].title == "Gone"


def test_families_that_say_the_same_share_a_form(tmp_path: Path) -> None:
    texts = {"a": "yes", "b": "no", "c": "yes"}
    told = {
        name: families.Family(name, name, True, {}, {"one": families.Form(text, text)})
        for name, text in texts.items()
    }
    file = tmp_path / "differences.toml"
    file.write_text(
        "[[difference]]\nid = 'one'\ngroup = 'G'\ntitle = 'T'\n"
        "tasks = []\nstep = 'model'\nadvice = ''\n"
    )
    (difference,) = differences.load(file, told).differences
    assert difference.forms == [
        differences.Form("yes", ("a", "c"), "yes"),
        differences.Form("no", ("b",), "no"),
    ]
