"""README.md is true: its snippets are those of the notebooks, its links lead somewhere."""

import json
import re
from pathlib import Path

import pytest

from rosetta import registry
from rosetta.site import facts, families, layers

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / name
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "notebooks/README.md",
        "frameworks/README.md",
        "docs/porting.md",
    )
]


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


def test_the_keys_of_a_row_are_those_that_the_code_knows():
    rows, site = PAGES[3].read_text(encoding="utf-8").split("`NAME.site.toml`")
    told = [
        set(re.findall(r"^\| `([\w.]+)` \|", text, flags=re.MULTILINE)) for text in (rows, site)
    ]
    tables = {
        "packages": registry.PACKAGE_KEYS,
        "facts": (*facts.COLUMNS, *facts.OTHERS),
        "variables.NAME": registry.VARIABLE_KEYS,
    }
    nested = {f"{table}.{key}" for table, keys in tables.items() for key in keys}
    plain = registry.KEYS.keys() - {"packages", "facts", "variables"}
    assert told[0] == plain | nested | {"variables.NAME"}
    tables = {
        "phrases.ID": families.RULE_KEYS,
        "differences.ID": families.FORM_KEYS,
        "gru": layers.Gru.__struct_fields__,
        "batch_norm": layers.BatchNorm.__struct_fields__,
    }
    nested = {f"{table}.{key}" for table, keys in tables.items() for key in keys}
    assert told[1] == {"title", *tables} | nested
