"""For everybody: readable to all, quick, in the dark, on paper, on a phone, without scripts."""

from pathlib import Path

import pytest
from site_browser import PAGES, PHONE, Reader, expect, playwright

axe = pytest.importorskip("axe_playwright_python.base", reason="the axe package is not installed")

# Where the page stands, seconds after it was asked for, and how far its parts moved.
MEASURE = """() => new Promise((resolve) => {
  let moved = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) moved += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  const { domComplete } = performance.getEntriesByType("navigation")[0];
  setTimeout(() => resolve({ seconds: domComplete / 1000, moved }), 200);
})"""

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


@pytest.mark.slow
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
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE


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
