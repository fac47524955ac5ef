"""The page of what bounds the slow rows: its profiles run in the rows' environments."""

import importlib.util

import pytest
from small_project import ROOT

from rosetta import registry
from rosetta.project import Project

FILE = ROOT / "docs" / "bounds.py"


@pytest.fixture
def bounds():
    spec = importlib.util.spec_from_file_location("bounds", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_figure_has_its_unit(bounds) -> None:
    assert bounds.said("count", 13256.4, 300.0) == "13,256"
    assert bounds.said("gflops", 30.0, 300.0) == "0.10 of the matrix product"
    assert bounds.said("share", 0.414, 300.0) == "41 %"


def test_each_profile_is_there_and_on_the_page(bounds) -> None:
    rows = registry.load(Project(ROOT))
    page = (ROOT / "docs" / "bounds.md").read_text(encoding="utf-8")
    for row, (file, words) in bounds.PROFILES.items():
        assert row in rows and (ROOT / "docs" / "bounds" / file).is_file()
        assert f"## {words}\n" in page


@pytest.mark.notebooks
@pytest.mark.parametrize("row", ["flax", "pytorch"])
def test_a_profile_finds_what_the_page_says(bounds, row) -> None:
    found = bounds.profile(registry.load(Project(ROOT))[row], bounds.PROFILES[row][0])
    assert all(kind in ("count", "gflops", "share") and value > 0 for _, kind, value in found)
    page = (ROOT / "docs" / "bounds.md").read_text(encoding="utf-8")
    assert all(f"| {what} | " in page for what, _, _ in found)
