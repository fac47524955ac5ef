"""The pages beside the notebooks: what they lead to, search, sort and show."""

import re

from site_browser import Reader, expect, expect_address, expect_columns


def test_the_first_page_leads_to_the_chosen_pair(reader: Reader) -> None:
    page = reader.open("index")
    page.get_by_label("I know").select_option("cntk")
    page.get_by_label("and read or write").select_option("flax")
    page.get_by_role("link", name="GRU on IMDB reviews").first.click()
    expect_address(page, "imdb_gru.html#cntk,flax")
    expect_columns(page, "CNTK", "JAX (Flax NNX)")


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
    page.get_by_role("combobox", name="Machine").select_option("machine-2")
    expect(page.locator(".machine:visible")).to_have_count(1)
    expect(table).to_be_hidden()


def test_a_curve_is_taken_away_and_put_back(reader: Reader) -> None:
    page = reader.open("results")
    chart = page.locator("#machine-1-quick-cifar10_cnn figure")
    curve = chart.locator("> svg [data-row='flax']")
    expect(curve).to_be_visible()
    chart.get_by_label("JAX (Flax NNX)").uncheck()
    expect(curve).to_be_hidden()
    expect(chart.locator("> svg [data-row='pytorch']")).to_be_visible()
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
