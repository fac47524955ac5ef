"""Draws side-by-side.webp, the figure of the README: two columns of the site, in Chromium.

    python docs/side_by_side.py [TASK [ROW,ROW [STEP]]]

Needs what `python run_all.py test` installs, and Chromium on the PATH.
"""

import base64
import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from rosetta.project import Project  # noqa: E402
from rosetta.site.build import build  # noqa: E402

WIDTH, HEIGHT, SCALE, QUALITY = 1180, 800, 1.5, 80


def main(task: str = "cifar10_cnn", rows: str = "pytorch,flax", step: str = "loss") -> None:
    """Write the figure: one step of a task in two rows, and what follows it."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        build(Project(HERE.parent), Path(folder) / "site", print)
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE
        )
        page.goto(f"{(Path(folder) / 'site' / f'{task}.html').as_uri()}#{rows}/{step}")
        (HERE / "side-by-side.webp").write_bytes(picture(page))
        browser.close()


def picture(page: Page) -> bytes:
    """Return what the page shows as WebP, a form that only Chromium's own protocol knows."""
    protocol = page.context.new_cdp_session(page)
    shot = protocol.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    return base64.b64decode(shot["data"])


if __name__ == "__main__":
    main(*sys.argv[1:])
