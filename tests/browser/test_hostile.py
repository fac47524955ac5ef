"""A record and an executed notebook of somebody else's machine that bring HTML and scripts."""

import json
from pathlib import Path

import pytest
import site_project
from site_browser import PAGES, playwright

from rosetta.site.build import build

SCRIPT = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="window.hacked = 1">'
    '<script>window.hacked = 1</script><rect width="9" height="9"/></svg>'
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of whose records and notebooks every text that may be free is HTML with a script."""
    project = site_project.make(tmp_path_factory.mktemp("hostile") / "project")
    for file in project.results.glob("*/*/*/*.json"):
        record = json.loads(file.read_text())
        differs = {SCRIPT: {"found": SCRIPT, "locked": SCRIPT}}
        record["environment"] = {"python": SCRIPT, "here": True, "differs": differs}
        record["versions"] = {SCRIPT: SCRIPT}
        record["dialect"] = {SCRIPT: SCRIPT}
        for name, value in record["machine"].items():
            if isinstance(value, str) and name != "name":
                record["machine"][name] = SCRIPT
        record["reason"] = SCRIPT if record["status"] != "ok" else None
        record["notes"] = SCRIPT
        file.write_text(json.dumps(record))
    for file in project.results.glob("*/*/*/*.ipynb"):
        notebook = json.loads(file.read_text())
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"] = [
                    site_project.stream(SCRIPT),
                    site_project.result({"text/html": SCRIPT}),
                    site_project.result({"image/svg+xml": DRAWING, "text/plain": SCRIPT}),
                    {"output_type": "error", "ename": "E", "evalue": "", "traceback": [SCRIPT]},
                ]
        file.write_text(json.dumps(notebook))
    said: list[str] = []
    build(project, project.root / "site", said.append)
    assert not [line for line in said if "not a valid record" in line]  # all of it is shown
    return project.root / "site"


@pytest.fixture
def page(browser: playwright.Browser) -> playwright.Page:
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_of_it_runs_in_a_page(hostile: Path, page: playwright.Page, name: str) -> None:
    refused: list[str] = []
    page.on("console", lambda each: refused.append(each.text))
    page.goto((hostile / f"{name}.html").as_uri())
    page.wait_for_timeout(100)
    assert page.evaluate("window.hacked") is None
    assert refused == []  # nor was anything left for the policy to refuse
    scripts = page.locator("script:not([type='application/json'])")
    sources = scripts.evaluate_all("all => all.map(each => each.getAttribute('src'))")
    assert sources and all(source.startswith("static/") for source in sources)


def test_its_text_and_its_drawings_are_shown(hostile: Path, page: playwright.Page) -> None:
    page.goto((hostile / "cifar10_cnn.html").as_uri())
    assert "window.hacked = 1" in page.locator("pre.out").first.text_content()
    drawing = page.locator("#columns img[src$='.svg']").first
    drawing.scroll_into_view_if_needed()
    page.wait_for_function("each => each.naturalWidth === 9", arg=drawing.element_handle())
    page.goto((hostile / drawing.get_attribute("src")).as_uri())
    assert page.evaluate("window.hacked") is None


def test_the_policy_refuses_what_is_not_the_sites_own(
    hostile: Path, page: playwright.Page, tmp_path: Path
) -> None:
    page.goto((hostile / "index.html").as_uri())
    page.evaluate("""() => {
      const inline = document.createElement("script");
      inline.textContent = "window.hacked = 1";
      const other = document.createElement("script");
      other.src = "data:text/javascript,window.hacked = 1";
      const image = document.createElement("img");
      image.setAttribute("onerror", "window.hacked = 1");
      image.src = "data:,";
      document.body.append(inline, other, image);
    }""")
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
