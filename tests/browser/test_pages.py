"""The pages beside the notebooks: what they lead to, search, sort and show."""

import itertools
import re

import pytest
from real_project import ROOT
from site_browser import WIDTHS, Reader, expect, expect_address, expect_columns

from rosetta import registry
from rosetta.project import Project


def test_the_first_page_leads_to_the_chosen_pair(reader: Reader) -> None:
    page = reader.open("index")
    page.get_by_label("I know").select_option("cntk")
    page.get_by_label("and read or write").select_option("flax")
    page.get_by_role("link", name="GRU on IMDB reviews").first.click()
    expect_address(page, "imdb_gru.html#cntk,flax")
    expect_columns(page, "CNTK", "JAX (Flax NNX)")


def test_translate_leaves_out_what_only_words_make_different(reader: Reader) -> None:
    page = reader.open("translate", "pytorch,keras-jax")
    expect(page.locator("#gate-order")).to_be_visible()
    expect(page.locator("#reset-gate")).to_be_hidden()  # after the product, in other words
    page.locator("#to").select_option("cntk")
    expect(page.locator("#reset-gate")).to_be_visible()


@pytest.mark.parametrize("pair", ["pytorch,keras-jax", "chainer,flax", "mxnet,cntk"])
def test_every_difference_has_the_code_of_both_sides(reader: Reader, pair: str) -> None:
    page = reader.open("translate", pair)
    shown = page.locator(".difference:visible")
    assert shown.count() > 10
    for index in range(shown.count()):
        code = shown.nth(index).locator(".forms li:visible .sample code")
        expect(code).to_have_count(2)
        assert all(text.strip() for text in code.all_text_contents())


def test_code_of_a_difference_leads_to_its_line_in_both_notebooks(reader: Reader) -> None:
    page = reader.open("translate", "pytorch,keras-jax")
    sample = page.locator("#gate-order li:visible").nth(0).locator(".sample")
    first = sample.locator(".l").first.text_content()
    sample.locator("a.where").click()
    expect(page).to_have_url(re.compile(r"imdb_gru.html#pytorch,keras-jax/weights/\d+,\d+$"))
    expect_columns(page, "PyTorch", "Keras (JAX)")
    target = page.locator(".column[data-column='0'] .l.target")
    assert target.text_content() == first
    expect(target).to_be_in_viewport()
    expect(page.locator(".column[data-column='1'] .l.target")).to_have_text(re.compile("^def load"))


def test_translate_shows_what_differs_and_nothing_else(reader: Reader) -> None:
    page = reader.open("translate", "pytorch,keras-jax")
    forms = page.locator("#gate-order li:visible .form")
    expect(forms).to_have_text(["reset, update, new", "update, reset, new"])
    expect(page.locator("#batch-norm-momentum")).to_be_visible()
    page.get_by_role("button", name="Swap").click()
    expect_address(page, "#keras-jax,pytorch")
    expect(page.locator("#from")).to_have_value("keras-jax")
    page.locator("#to").select_option("keras-tensorflow")
    expect(page.locator(".difference:visible")).to_have_count(0)  # one notebook, two backends
    expect(page.locator("#count")).to_contain_text("run the same notebook")


def test_the_phrase_book_is_searched(reader: Reader) -> None:
    page = reader.open("phrases")
    page.get_by_label("Search concepts and code").fill("momentum sgd")
    expect(page.locator(".concept:visible h3").first).to_have_text(re.compile("^SGD with momentum"))
    expect(page.locator(".phrase:visible[data-column='chainer']")).not_to_have_count(0)
    page.get_by_role("checkbox", name="Chainer").uncheck()
    expect(page.locator(".phrase:visible[data-column='chainer']")).to_have_count(0)
    page.reload()
    expect(page.get_by_label("Search concepts and code")).to_have_value("momentum sgd")
    expect(page.get_by_role("checkbox", name="Chainer")).not_to_be_checked()


def test_a_table_is_sorted_and_filtered(reader: Reader) -> None:
    page = reader.open("results")
    table = page.locator("#machine-1-quick-cifar10_cnn table.sortable")
    heading = table.get_by_role("button", name="training pictures/s")
    heading.click()
    names = table.locator("tbody .name")
    expect(names).to_have_text(["PyTorch", "JAX (Flax NNX)", "Keras (JAX)", "CNTK"])
    heading.click()
    expect(names).to_have_text(["Keras (JAX)", "JAX (Flax NNX)", "PyTorch", "CNTK"])
    expect(heading.locator("..")).to_have_attribute("aria-sort", "ascending")
    page.locator("#profile").select_option("quick")
    page.get_by_role("combobox", name="Machine").select_option("machine-2")
    expect_address(page, "results-machine-2.html#profile=quick")
    expect(page.locator(".machine")).to_have_count(1)
    expect(page.locator("#machine-2-quick-cifar10_cnn")).to_be_visible()
    expect(page.locator("#profile")).to_have_value("quick")
    page.go_back()
    expect(page.get_by_role("combobox", name="Machine")).to_have_value("machine-1")


# The first cells of tables that are scrolled to their end, and how far they are from its edge.
FROZEN = """() => [...document.querySelectorAll(".scroll")].filter((each) => each.checkVisibility())
  .flatMap((region) => {
    region.scrollLeft = region.scrollWidth;
    const edge = region.getBoundingClientRect().left;
    return [...region.querySelectorAll("tr > :first-child")]
      .filter((cell) => cell.checkVisibility())
      .map((cell) => Math.abs(cell.getBoundingClientRect().left - edge));
  })"""


@pytest.mark.parametrize("width", [*WIDTHS, 700])
@pytest.mark.parametrize("name", ["index", "layers", "results", "facts"])
def test_a_wide_table_scrolls_under_its_first_column(reader: Reader, name: str, width: int) -> None:
    page = reader.open(name, width=width)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    distances = page.evaluate(FROZEN)
    assert distances and max(distances) < 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_pickers_have_the_rows_of_a_family_together(reader: Reader) -> None:
    page = reader.open("translate")
    group = page.locator("#from optgroup[label='Keras'] option")
    rows = registry.load(Project(ROOT)).values()
    titles = [row.title for row in rows if row.notebook and row.title.startswith("Keras")]
    assert len(titles) > 2
    expect(group).to_have_text(sorted(titles))


def test_every_curve_has_its_name_beside_it(reader: Reader) -> None:
    page = reader.open("results")
    chart = page.locator("#machine-1-quick-cifar10_cnn figure")
    expect(chart.locator("> svg .label text")).to_have_text(
        ["JAX (Flax NNX)", "Keras (JAX)", "PyTorch"]
    )
    boxes = [each.bounding_box() for each in chart.locator("> svg .label text").all()]
    heights = sorted((box["y"], box["height"]) for box in boxes)
    assert all(y + height <= after + 2 for (y, height), (after, _) in itertools.pairwise(heights))


def test_a_curve_is_taken_away_and_put_back(reader: Reader) -> None:
    page = reader.open("results")
    chart = page.locator("#machine-1-quick-cifar10_cnn figure")
    curve = chart.locator("> svg > path[data-row='flax']")
    expect(curve).to_be_visible()
    chart.get_by_label("JAX (Flax NNX)").uncheck()
    expect(curve).to_be_hidden()
    expect(chart.locator("> svg > path[data-row='pytorch']")).to_be_visible()
    chart.get_by_label("JAX (Flax NNX)").check()
    expect(curve).to_be_visible()


def test_the_facts_are_searched_and_sorted(reader: Reader) -> None:
    page = reader.open("facts")
    page.get_by_label("Search the table").fill("CNTK")
    rows = page.locator("table.facts tbody tr:visible")
    expect(rows.filter(has_not_text="CNTK")).to_have_count(0)
    expect(rows.locator("th")).to_contain_text(["CNTK"])
    page.get_by_role("button", name="first release").click()
    expect(page.locator("[aria-sort]")).to_have_count(1)
