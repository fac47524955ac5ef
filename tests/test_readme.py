"""README.md is true: its snippets are those of the notebooks, its links lead somewhere."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "notebooks" / "README.md"]


def code(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("framework", ["PyTorch", "TensorFlow"])
def test_the_step_shown_side_by_side_is_that_of_the_notebook(framework):
    table = re.search(r"<table>.*?</table>", PAGES[0].read_text(), flags=re.DOTALL)[0]
    titles = re.findall(r"<th>(.*?)</th>", table)
    snippets = re.findall(r"```python\n(.*?)\n```", table, flags=re.DOTALL)
    snippet = dict(zip(titles, snippets, strict=True))[framework]
    assert "def train_step" in snippet
    assert snippet in code(ROOT / "notebooks" / "cifar10_cnn" / f"{framework.lower()}.ipynb")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    for link in links:
        assert link.startswith("http") or (page.parent / link).exists(), link
