"""The site: what its pages hold, what a build refuses, and that a second one has nothing to do."""

import itertools
import json
import re
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import site_project
from small_project import ROOT

from rosetta import cli, registry
from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.registry import Framework
from rosetta.site import charts, differences, facts, families, notebooks, phrases, render
from rosetta.site.build import MARKER, build
from rosetta.site.notebooks import Cell, Notebook
from rosetta.site.source import parts_of

PAGES = ("index", "cifar10_cnn", "imdb_gru", "resnet50_features")
PAGES += ("translate", "phrases", "layers", "results", "results-machine-2", "facts")
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return site_project.make(tmp_path_factory.mktemp("site") / "project")


@pytest.fixture(scope="module")
def site(project: Project) -> Path:
    said: list[str] = []
    build(project, project.root / "site", said.append)
    return project.root / "site"


class Links(HTMLParser):
    """Collects where a page leads and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self.targets += [named[name] for name in ("href", "src") if named.get(name)]
        if tag in ("script", "img", "link"):
            self.loads += [named[name] for name in ("href", "src") if named.get(name)]


# --- the pages ----------------------------------------------------------------------------------


def test_every_page_is_there(site: Path) -> None:
    assert {file.stem for file in site.glob("*.html")} == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path, page: str) -> None:
    links = Links((site / f"{page}.html").read_text())
    for target in links.loads:
        assert not re.match(r"(https?:)?//", target), target
    for target in links.targets:
        if not re.match(r"https?:|data:|#", target):
            assert (site / unquote(target.split("#")[0])).is_file(), target


@pytest.mark.parametrize("page", PAGES)
def test_no_page_is_heavy(site: Path, page: str) -> None:
    file = site / f"{page}.html"
    loads = {site / each for each in Links(file.read_text()).loads if not each.startswith("data:")}
    assert file.stat().st_size + sum(each.stat().st_size for each in loads) < 3 * MEGABYTE


def test_no_page_says_where_it_was_built(site: Path, project: Project) -> None:
    for file in site.glob("*.html"):
        assert str(project.root) not in file.read_text()
        assert str(ROOT) not in file.read_text()


def test_outputs_are_those_of_the_run_and_pictures_are_files(site: Path) -> None:
    text = (site / "cifar10_cnn.html").read_text()
    assert "PyTorch with 2 threads" in text
    assert 'data-run="quick run on machine-' in text
    picture = re.search(r'<img src="(images/\w+\.png)" width="300" height="120" alt="loss"', text)
    assert picture and (site / picture[1]).is_file()


def _copy(project: Project, tmp_path: Path) -> Project:
    other = Project(tmp_path / "project")
    shutil.copytree(project.root, other.root, symlinks=True, ignore=shutil.ignore_patterns("site"))
    return other


def test_outputs_of_other_code_are_not_shown(project: Project, tmp_path: Path) -> None:
    other = _copy(project, tmp_path)
    (file,) = other.results.glob("machine-1/quick/cifar10_cnn/flax.ipynb")
    notebook = json.loads(file.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code[-1]["source"] = "something_else()"
    file.write_text(json.dumps(notebook))
    build(other, other.root / "site", lambda line: None)
    text = (other.root / "site" / "cifar10_cnn.html").read_text()
    assert "JAX (Flax NNX) with 2 threads" not in text
    assert "PyTorch with 2 threads" in text


def test_the_first_page_says_what_stands_in(project: Project, tmp_path: Path) -> None:
    other = _copy(project, tmp_path)
    for file in other.results.glob("machine-1/quick/cifar10_cnn/*.json"):
        text = file.read_text().replace('"weights": "initial"', '"weights": "random"')
        if file.stem == "flax":
            text = text.replace('"data": "real"', '"data": "synthetic"')
        file.write_text(text)
    build(other, other.root / "site", lambda line: None)
    first = (other.root / "site" / "index.html").read_text()
    assert '<th scope="col">VGG-style CNN on CIFAR-10, random weights</th>' in first
    assert first.count("synthetic data") == 1  # beside the speed of the row


def test_a_link_out_of_the_results_is_refused(project: Project, tmp_path: Path) -> None:
    other = _copy(project, tmp_path)
    cells = other.results / "machine-1/quick/cifar10_cnn"
    for file in (cells / "pytorch.ipynb", cells / "keras-jax.json"):
        text = file.read_text()
        file.unlink()
        file.symlink_to(tmp_path / f"letter{file.suffix}")
        (tmp_path / f"letter{file.suffix}").write_text(text)
    said: list[str] = []
    build(other, other.root / "site", said.append)
    for name in ("pytorch.ipynb", "keras-jax.json"):
        assert not (other.root / "site/results/machine-1/quick/cifar10_cnn" / name).exists()
        assert f"cifar10_cnn/{name} is a link that leads out of results/" in "".join(said)
    assert str(tmp_path) not in "".join(said)
    assert "keras-jax.json" not in (other.root / "site/results.html").read_text()


@pytest.mark.parametrize("text", ["\udcff", "{", "[]", '{"cells": 5}', "[" * 100000])
def test_a_row_whose_notebook_is_none_is_left_out_and_named(
    project: Project, tmp_path: Path, text: str
) -> None:
    other = _copy(project, tmp_path)
    notebooks = (other.root / "notebooks").resolve()
    (other.root / "notebooks").unlink()
    shutil.copytree(notebooks, other.root / "notebooks")
    file = other.notebooks / "cifar10_cnn" / "flax.ipynb"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    said: list[str] = []
    build(other, other.root / "site", said.append)
    (line,) = [line for line in said if "flax.ipynb" in line]
    assert line.startswith("notebooks/cifar10_cnn/flax.ipynb is no notebook (")
    assert line.endswith("): flax is left out")


def of_format(major: object, minor: object) -> str:
    """A notebook of a version of the format that may be none, with an output of no known type."""
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": "", "execution_count": 1}
    cells = [{**cell, "outputs": [{"output_type": "odd"}]}]
    content = {"metadata": {}, "cells": cells, "worksheets": []}
    return json.dumps({**content, "nbformat": major, "nbformat_minor": minor})


@pytest.mark.parametrize(
    ("major", "minor"), [(3, 0), (4, 99), (4, None), (4, -1), (4, 5.0), (7, 1), ("4", 5), ([], 5)]
)
def test_a_notebook_of_another_format_is_called_that(
    tmp_path: Path, major: object, minor: object
) -> None:
    file = tmp_path / "a.ipynb"
    file.write_text(of_format(major, minor))
    with pytest.raises(notebooks.NoNotebook):
        notebooks._read(file)


@pytest.mark.parametrize("text", ["\udcff", "{", "[]", '{"cells": 5}', "[" * 100000])
def test_an_executed_notebook_that_is_none_is_named(
    project: Project, tmp_path: Path, text: str
) -> None:
    other = _copy(project, tmp_path)
    file = other.results / "machine-1/quick/cifar10_cnn/flax.ipynb"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    said: list[str] = []
    build(other, other.root / "site", said.append)
    (line,) = [line for line in said if "flax.ipynb" in line]
    assert line.startswith("results/machine-1/quick/cifar10_cnn/flax.ipynb is no notebook")


def test_failures_stand_in_the_results_with_their_reason(site: Path) -> None:
    assert "it ran out of memory" in (site / "results.html").read_text()


def test_moved_weights_lead_to_the_notebooks_that_took_them(site: Path) -> None:
    page = (site / "results.html").read_text()
    assert '<a href="cifar10_cnn.html#pytorch,flax/weights">0, 1e-07</a>' in page
    assert '<a href="cifar10_cnn.html#pytorch/weights">0, 1e-07</a>' in page
    assert '<td class="number">failed: no | such [layer]</td>' in page  # its notebook is gone


def test_records_and_executed_notebooks_are_copied(site: Path) -> None:
    for machine in ("machine-1", "machine-2"):
        assert (site / f"results/{machine}/quick/cifar10_cnn/pytorch.json").is_file()
        assert (site / f"results/{machine}/quick/cifar10_cnn/pytorch.ipynb").is_file()


def test_a_project_without_results_has_a_whole_site(tmp_path: Path) -> None:
    for name in ("frameworks", "notebooks", "common"):
        (tmp_path / name).symlink_to(ROOT / name)
    build(Project(tmp_path), tmp_path / "site", lambda line: None)
    assert {file.stem for file in (tmp_path / "site").glob("*.html")} == {*PAGES} - {
        "results-machine-2"
    }
    assert "Nothing has been run yet" in (tmp_path / "site" / "results.html").read_text()


# --- the build ----------------------------------------------------------------------------------


def test_a_build_is_quick_and_the_next_one_has_nothing_to_do(
    project: Project, tmp_path: Path
) -> None:
    began = time.process_time()
    build(project, tmp_path / "site", lambda line: None)
    assert time.process_time() - began < 15
    began, said = time.process_time(), []
    build(project, tmp_path / "site", said.append)
    assert time.process_time() - began < 2
    assert said == ["index.html: nothing has changed"]


def test_each_machine_has_a_page_that_leads_to_the_others(site: Path) -> None:
    first, second = (
        (site / f"{name}.html").read_text() for name in ("results", "results-machine-2")
    )
    assert 'data-machine="machine-1"' in first and 'data-machine="machine-2"' not in first
    assert 'data-machine="machine-2"' in second and 'data-machine="machine-1"' not in second
    for text in (first, second):
        for page in ("results.html", "results-machine-2.html"):
            assert f'data-page="{page}"' in text
    assert '<a href="results.html">' in second.partition("<noscript>")[2]


def test_a_change_of_a_record_builds_anew(tmp_path: Path) -> None:
    project = site_project.make(tmp_path / "project")
    build(project, tmp_path / "site", lambda line: None)
    (file,) = project.results.glob("machine-2/quick/cifar10_cnn/pytorch.json")
    file.write_text(file.read_text().replace('"accuracy": 0.75', '"accuracy": 0.5125'))
    build(project, tmp_path / "site", lambda line: None)
    assert "51.25 %" in (tmp_path / "site" / "results-machine-2.html").read_text()


def test_a_folder_with_other_files_is_left_alone(project: Project, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="holds other files"):
        build(project, tmp_path, lambda line: None)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_a_build_that_fails_leaves_the_old_site(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / MARKER).write_text("of before\n")
    monkeypatch.setattr(render.Images, "write", lambda self, folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(project, folder, lambda line: None)
    assert (folder / MARKER).read_text() == "of before\n"
    assert [file.name for file in tmp_path.iterdir()] == ["site"]


def test_the_command_builds_where_it_is_told(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSETTA_ROOT", str(project.root))
    assert cli.main(["site", "--output", str(tmp_path / "pages")]) == 0
    assert (tmp_path / "pages" / "index.html").is_file()


# --- the phrase book ----------------------------------------------------------------------------


def a_notebook(name: str, code: str) -> Notebook:
    cell = Cell("code", code, render.code(code))
    return Notebook("cifar10_cnn", Framework(name, name.title(), name), "", None, {"model": [cell]})


def a_book(tmp_path: Path, rule: str, code: str, rule_of_row: str | None = None) -> phrases.Book:
    file = tmp_path / "phrases.toml"
    head = 'id = "sum"\ngroup = "G"\ntitle = "Sum"\ntask = "cifar10_cnn"\nsection = "model"\n'
    file.write_text(f"[[phrase]]\n{head}{rule}\n")
    own = tmp_path / "frameworks" / "frame.site.toml"
    own.parent.mkdir()
    if rule_of_row is not None:
        own.write_text(f"[phrases]\nsum = {{{rule_of_row}}}\n")
    notebook = a_notebook("frame", code)
    told = families.load(Project(tmp_path), [notebook.framework])
    return phrases.load(file, [notebook], told)


CODE = "class A:\n    def add(self, a, b):\n        return (\n            a + b\n        )\n"


@pytest.mark.parametrize(
    ("rule", "phrase"),
    [
        ("pattern = 'a \\+ b'", "a + b"),
        ("pattern = 'return \\((?:\\n.*)+?\\)'", "return (\n    a + b\n)"),
        ('define = "add"', "def add(self, a, b):\n    return (\n        a + b\n    )"),
    ],
)
def test_a_phrase_is_cut_from_the_notebook(tmp_path: Path, rule: str, phrase: str) -> None:
    (concept,) = a_book(tmp_path, rule, CODE).concepts
    assert concept.phrases["frame"].code == phrase


def test_a_rule_of_the_row_takes_the_place_of_the_shared_one(tmp_path: Path) -> None:
    own = "pattern = ['class', 'def']"
    (concept,) = a_book(tmp_path, "pattern = 'none'", CODE, own).concepts
    assert concept.phrases["frame"].code == "class A:\ndef add(self, a, b):"


@pytest.mark.parametrize("pattern", ["a", "nowhere"])
def test_a_phrase_that_is_not_in_just_one_place_stops_the_build(
    tmp_path: Path, pattern: str
) -> None:
    with pytest.raises(
        UserError,
        match=r"frame\.site\.toml: phrases\.sum \(frame\): \d+ matches.*/frame\.ipynb.*site'",
    ):
        a_book(tmp_path, "pattern = 'a b'", CODE, f"pattern = '{pattern}'")


def test_a_new_notebook_need_not_fit_the_rules(tmp_path: Path) -> None:
    book = a_book(tmp_path, "pattern = 'nowhere'", CODE)
    assert book.concepts[0].phrases["frame"].reason == phrases.UNTOLD
    assert book.warnings == ["frameworks/frame.site.toml: no phrase for sum"]


def test_what_a_framework_lacks_has_its_reason(tmp_path: Path) -> None:
    (concept,) = a_book(tmp_path, "", CODE, 'absent = "it adds by itself"').concepts
    assert concept.phrases["frame"] == phrases.Phrase(None, "it adds by itself")


def test_the_book_has_its_concepts(site: Path) -> None:
    text = (site / "phrases.html").read_text()
    assert text.count('<article class="concept"') >= 25
    assert phrases.UNTOLD not in text


# --- differences, facts, charts, cells ----------------------------------------------------------


def test_every_difference_has_several_forms() -> None:
    project = Project(ROOT)
    told = families.load(project, registry.load(project).values())
    table = differences.load(ROOT / "rosetta/site/differences.toml", told)
    assert len(table.differences) >= 20
    assert all(len(difference.forms) >= 2 for difference in table.differences)


def test_a_fact_of_unknown_name_names_its_file() -> None:
    told = {"state": "living", "sources": ["https://example.org"], "checked": "2026-11"}
    row = Framework("new", "New", facts={**told, "licences": "MIT"})
    with pytest.raises(UserError, match=r"frameworks/new.toml: unknown fact 'licences'.*licence"):
        facts.table({"new": row})
    with pytest.raises(UserError, match=r"new.toml: 'javascript:.*' among the facts is no address"):
        facts.table({"new": Framework("new", "New", facts={**told, "homepage": "javascript:x()"})})
    with pytest.raises(UserError, match=r"facts.sources is missing"):
        facts.table({"new": Framework("new", "New", facts={**told, "sources": []})})


def test_curves_bear_gaps_and_one_step() -> None:
    losses = [[None, 2.0, None, 1.0], [1.0], [None]]
    curves = [charts.Curve(str(i), str(i), each, "c0 d0") for i, each in enumerate(losses)]
    chart = charts.losses(curves)
    assert all("nan" not in line.path for line in chart.lines)
    assert [line.end is None for line in chart.lines] == [False, False, True]


def test_thirty_rows_can_be_told_apart_and_families_share_a_colour() -> None:
    titles = {f"keras-{i}": f"Keras ({i})" for i in range(5)}
    titles |= {f"row{i}": f"Row{i}" for i in range(25)}
    styles = charts.styles(titles)
    assert len(set(styles.values())) == 30
    assert len({styles[f"keras-{i}"].split()[0] for i in range(5)}) == 1
    sheet = (ROOT / "rosetta/site/static/style.css").read_text()
    for name in {name for each in styles.values() for name in each.split()} - {"d0"}:
        assert re.search(rf"\.{name} {{ stroke", sheet), name


def test_labels_beside_thirty_curves_do_not_overlap() -> None:
    curves = [charts.Curve(str(i), f"Row {i}", [2.0, 1.0 + i / 1e4], "c0 d0") for i in range(30)]
    chart = charts.losses(curves)
    heights = sorted(line.label for line in chart.lines)
    assert all(b - a >= charts.LABEL - 1e-6 for a, b in itertools.pairwise(heights))
    assert heights[0] >= 0 and heights[-1] <= chart.height


def test_highlighted_code_keeps_every_line() -> None:
    source = 'def f(x):\n    """Two\n\n    lines."""\n    return x  # <&>\n'
    text = re.sub(r"<[^>]*>", "", render.code(source))
    for mark, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        text = text.replace(mark, sign)
    assert text.rstrip("\n") == source.rstrip("\n")


def test_a_cell_is_cut_where_it_binds_names() -> None:
    cell = "import a\nx, (y, z) = f()\nprint(x)\n\n# Why.\n@a.b\nclass C: pass\ndef g(): k = 1"
    assert parts_of(cell) == {1: ["x", "y", "z"], 4: ["C"], 7: ["g"]}
    assert parts_of("%matplotlib inline\nx = 1") == {1: ["x"]}
    assert parts_of("no python") == {}
