"""The site in a browser: Debian's Chromium, driven by Playwright, opens it from the file system."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import site_project

from rosetta.site.build import build

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
if CHROMIUM is None:
    pytest.skip(
        "no Chromium on the PATH: install the package 'chromium' to test the site in a browser",
        allow_module_level=True,
    )
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect  # waits: a page answers a new address after the click that set it
axe = pytest.importorskip("axe_playwright_python.base", reason="the axe package is not installed")

PAGES = ("index", "cifar10_cnn", "imdb_gru", "translate", "phrases", "results", "facts")
WIDE, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 800}
# Where the page stands, seconds after it was asked for, and how far its parts moved.
MEASURE = """() => new Promise((resolve) => {
  let moved = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) moved += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  const { domComplete } = performance.getEntriesByType("navigation")[0];
  setTimeout(() => resolve({ seconds: domComplete / 1000, moved }), 200);
})"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = site_project.make(tmp_path_factory.mktemp("browser") / "project")
    build(project, project.root / "site", lambda line: None)
    return project.root / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    # Chromium has no sandbox for the root user, as whom containers run.
    options = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield chromium
        chromium.close()


class Reader:
    """A page of the site in front of a reader, and what went wrong in it."""

    def __init__(self, site: Path, page: playwright.Page) -> None:
        self.site, self.page, self.wrong = site, page, []
        page.on("console", lambda each: each.type == "error" and self.wrong.append(each.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("requestfailed", lambda request: self.wrong.append(request.url))
        page.on("request", self._must_be_a_file)

    def _must_be_a_file(self, request: playwright.Request) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.wrong.append(request.url)

    def open(self, name: str, choice: str = "") -> playwright.Page:
        self.page.goto("about:blank")  # or a new choice alone would not load the page anew
        self.page.goto((self.site / f"{name}.html").as_uri() + (f"#{choice}" if choice else ""))
        return self.page


@pytest.fixture
def reader(readers: Callable[..., Reader]) -> Iterator[Reader]:
    yield from _reading(readers("by day", viewport=WIDE))


@pytest.fixture
def on_a_phone(readers: Callable[..., Reader]) -> Iterator[Reader]:
    yield from _reading(readers("on a phone", viewport=PHONE, has_touch=True))


@pytest.fixture
def in_the_dark(readers: Callable[..., Reader]) -> Iterator[Reader]:
    yield from _reading(readers("in the dark", viewport=WIDE, color_scheme="dark"))


@pytest.fixture(scope="module")
def readers(site: Path, browser: playwright.Browser) -> Callable[..., Reader]:
    """Three readers for all tests: a window for each test would cost as much as most tests."""
    known: dict[str, Reader] = {}

    def get(name: str, **options: object) -> Reader:
        if name not in known:
            context = browser.new_context(**options)
            context.grant_permissions(["clipboard-read", "clipboard-write"])
            known[name] = Reader(site, context.new_page())
        return known[name]

    return get


def _reading(reader: Reader) -> Iterator[Reader]:
    yield reader
    reader.page.goto("about:blank")  # what goes wrong late is said by then
    wrong, reader.wrong = reader.wrong, []
    assert wrong == []


def expect_columns(page: playwright.Page, *titles: str) -> None:
    heads = [re.compile(rf"^{re.escape(title)} (outputs:|not run yet)") for title in titles]
    expect(page.locator("#titles label")).to_have_text(heads)


def expect_address(page: playwright.Page, end: str) -> None:
    expect(page).to_have_url(re.compile(re.escape(end) + "$"))


def _texts(page: playwright.Page, selector: str) -> list[str]:
    return page.locator(selector).all_text_contents()


# --- side by side -------------------------------------------------------------------------------


def test_columns_are_chosen_and_the_address_remembers_them(reader: Reader) -> None:
    page = reader.open("cifar10_cnn")
    page.get_by_label("Column 1").select_option("flax")
    page.get_by_label("Column 2").select_option("pytorch")
    page.get_by_label("Column 3").select_option("keras-jax")
    expect_columns(page, "JAX (Flax NNX)", "PyTorch", "Keras (JAX)")
    expect_address(page, "#flax,pytorch,keras-jax")
    page.get_by_label("Column 2").select_option("")
    expect_columns(page, "JAX (Flax NNX)", "Keras (JAX)")


def test_a_shared_link_shows_the_same_columns_and_step(reader: Reader) -> None:
    page = reader.open("cifar10_cnn", "flax,pytorch/weights")
    expect_columns(page, "JAX (Flax NNX)", "PyTorch")
    page.wait_for_function("() => document.getElementById('step-weights')"
                           ".getBoundingClientRect().top < innerHeight / 4")  # fmt: skip
    columns = page.locator("#step-weights .row:not(.same) .column .source")
    assert "layer.kernel[...] = jnp.array(kernel)" in columns.nth(0).text_content()
    assert "model.load_state_dict" in columns.nth(1).text_content()


def test_what_all_columns_share_stands_once(reader: Reader) -> None:
    page = reader.open("cifar10_cnn", "pytorch,flax")
    evaluate = page.locator("#step-evaluate")
    assert evaluate.locator(".row.same .source").count() == 1
    assert evaluate.locator(".column").count() == 0


def test_lines_that_a_column_has_alone_are_marked(reader: Reader) -> None:
    page = reader.open("cifar10_cnn", "pytorch,flax")
    own = _texts(page, "#step-train .l.own")
    assert any("block_until_ready" in line for line in own)
    assert not any("for x, y in run.batches" in line for line in own)


def test_a_cell_is_copied_as_it_stands_in_the_notebook(reader: Reader, site: Path) -> None:
    page = reader.open("cifar10_cnn", "pytorch,flax/weights")
    source = page.locator("#step-weights .column[data-column='0'] .source").first
    source.hover()
    source.get_by_role("button", name="Copy").click()
    page.get_by_text("Copied").first.wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    notebook = json.loads((site.parent / "notebooks/cifar10_cnn/pytorch.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert copied in cells and copied.startswith("def load_weights")


def test_all_of_it_works_by_keyboard(reader: Reader) -> None:
    page = reader.open("cifar10_cnn", "pytorch,flax")
    page.get_by_label("Column 1").focus()
    page.keyboard.type("Chainer")
    expect_columns(page, "Chainer", "JAX (Flax NNX)")
    page.locator("#step-model button.copy").first.focus()
    page.keyboard.press("Enter")
    page.get_by_text("Copied").first.wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith("class CNN(chainer.Chain)")


def test_an_address_of_nothing_known_shows_the_usual_pair(reader: Reader) -> None:
    page = reader.open("imdb_gru", "nothing,known/nowhere")
    expect_columns(page, "PyTorch", "Keras (TensorFlow)")


def test_on_a_phone_the_columns_are_tabs(on_a_phone: Reader) -> None:
    page = on_a_phone.open("cifar10_cnn", "pytorch,flax")
    first, second = (page.locator(f"#step-model .column[data-column='{i}']").first for i in "01")
    expect(first).to_be_visible()
    expect(second).to_be_hidden()
    page.locator("#titles label").nth(1).click()
    expect(second).to_be_visible()
    expect(first).to_be_hidden()
    page.locator("#titles input").nth(1).focus()
    page.keyboard.press("ArrowLeft")
    expect(first).to_be_visible()
    expect(second).to_be_hidden()


# --- the other pages ----------------------------------------------------------------------------


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


# --- for everybody ------------------------------------------------------------------------------


# Only what is wrong is described: describing all that is right takes longer than finding out.
WHOLE = {"preload": False, "resultTypes": ["violations"]}
# In the dark and on a phone only colours and sizes differ.
LOOKS = {**WHOLE, "runOnly": ["color-contrast", "target-size"]}
AXE = {"reader": WHOLE, "in_the_dark": LOOKS, "on_a_phone": LOOKS}
# Removes what takes axe most of its time: elements that nobody sees, which it passes over one by
# one, and all but one of the tokens of code that look alike, by their classes and their parents'.
SPARE_AXE = """() => {
  const hidden = [...document.body.querySelectorAll("*:not(script, option)")].filter((each) =>
    each.parentElement.checkVisibility() && !each.checkVisibility());
  for (const each of hidden) each.remove();
  const seen = new Set();
  for (const token of document.querySelectorAll("code span:not(:has(*))")) {
    let look = "";
    for (let each = token; each; each = each.parentElement) look += `${each.className} < `;
    if (seen.has(look)) token.replaceWith(token.textContent);
    if (token.textContent.length > 1) seen.add(look);  // axe does not judge single characters
  }
}"""


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("light", AXE)
def test_axe_finds_nothing(name: str, light: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(light).open(name)
    page.evaluate(SPARE_AXE)
    page.evaluate(axe.AXE_SCRIPT)
    found = page.evaluate("options => axe.run(options)", AXE[light])["violations"]
    assert [(each["id"], [node["target"] for node in each["nodes"]][:4]) for each in found] == []


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_ready_at_once_and_nothing_moves(reader: Reader, name: str) -> None:
    measured = [reader.open(name).evaluate(MEASURE) for _ in range(3)]
    assert min(each["seconds"] for each in measured) < 1
    assert max(each["moved"] for each in measured) < 0.02


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_a_phone(on_a_phone: Reader, name: str) -> None:
    page = on_a_phone.open(name)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_dark_is_dark(in_the_dark: Reader) -> None:
    page = in_the_dark.open("index")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in colour[4:-1].split(",")) < 64


def test_without_scripts_the_notebooks_can_still_be_read(
    site: Path, browser: playwright.Browser
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "cifar10_cnn.html").as_uri())
    assert page.locator("#store article").first.is_visible()
    context.close()


def test_print_has_no_controls(reader: Reader) -> None:
    page = reader.open("cifar10_cnn", "pytorch,flax")
    page.emulate_media(media="print")
    expect(page.locator("#picker")).to_be_hidden()
    expect(page.locator("#step-model .source").first).to_be_visible()
    page.emulate_media(media="screen")
