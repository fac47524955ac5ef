"""A site, and readers of it by day, in the dark and on a phone.

What needs Chromium is imported late: without it, the test modules say so and are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import site_project

if TYPE_CHECKING:
    from site_browser import Reader, playwright

from rosetta.site.build import build

SCREEN, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 800}


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = site_project.make(tmp_path_factory.mktemp("browser") / "project")
    build(project, project.root / "site", lambda line: None)
    return project.root / "site"


@pytest.fixture(scope="package")
def browser() -> Iterator[playwright.Browser]:
    from site_browser import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture
def reader(readers: Callable[..., Reader]) -> Iterator[Reader]:
    yield from _reading(readers("by day", viewport=SCREEN))


@pytest.fixture
def on_a_phone(readers: Callable[..., Reader]) -> Iterator[Reader]:
    yield from _reading(readers("on a phone", viewport=PHONE, has_touch=True))


@pytest.fixture
def in_the_dark(readers: Callable[..., Reader]) -> Iterator[Reader]:
    yield from _reading(readers("in the dark", viewport=SCREEN, color_scheme="dark"))


@pytest.fixture(scope="package")
def readers(site: Path, browser: playwright.Browser) -> Callable[..., Reader]:
    """Three readers for all tests: a window for each test would cost as much as most tests."""
    from site_browser import Reader

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
