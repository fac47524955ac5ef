"""The site in front of a reader: Debian's Chromium, driven by Playwright, opens it as files."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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

PAGES = ("index", "cifar10_cnn", "imdb_gru", "translate", "phrases", "layers", "results", "facts")
PHONE = 390  # pixels across
# What screens are wide.
WIDTHS = (1300, 1600, 1920)


@contextmanager
def chromium() -> Iterator[playwright.Browser]:
    # Chromium has no sandbox for the root user, as whom containers run.
    options = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


class Reader:
    """A page of the site in front of a reader, and what went wrong in it."""

    def __init__(self, site: Path, page: playwright.Page) -> None:
        self.site, self.page, self.wrong = site, page, []
        self.size = page.viewport_size
        page.on("console", lambda each: each.type == "error" and self.wrong.append(each.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("requestfailed", lambda request: self.wrong.append(request.url))
        page.on("request", self._must_be_a_file)

    def _must_be_a_file(self, request: playwright.Request) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.wrong.append(request.url)

    def _size(self, width: int | None) -> dict[str, int]:
        return {**self.size, "width": width or self.size["width"]}

    def open(self, name: str, choice: str = "", width: int | None = None) -> playwright.Page:
        if self.page.viewport_size != self._size(width):
            self.page.set_viewport_size(self._size(width))
        self.page.goto("about:blank")  # or a new choice alone would not load the page anew
        self.page.goto((self.site / f"{name}.html").as_uri() + (f"#{choice}" if choice else ""))
        return self.page


def expect_columns(page: playwright.Page, *titles: str) -> None:
    heads = [re.compile(rf"^{re.escape(title)} (outputs:|not run yet)") for title in titles]
    expect(page.locator("#titles label")).to_have_text(heads)


def expect_address(page: playwright.Page, end: str) -> None:
    expect(page).to_have_url(re.compile(re.escape(end) + "$"))


def texts_of(page: playwright.Page, selector: str) -> list[str]:
    return page.locator(selector).all_text_contents()
