"""Two notebooks side by side: chosen, aligned, marked, copied."""

import ast
import itertools
import json
from pathlib import Path

import pytest
from site_browser import (
    PHONE,
    WIDTHS,
    Reader,
    expect,
    expect_address,
    expect_columns,
    texts_of,
)

pytestmark = pytest.mark.slow

TASKS = ("cifar10_cnn", "imdb_gru", "resnet50_features")
# The heights of the functions and classes of every column, by section and name.
HEIGHTS = """() => [...document.querySelectorAll(".step")].flatMap((step) => {
  const columns = chosen.map(() => new Map());
  for (const line of step.querySelectorAll(".column .l")) {
    const name = line.textContent.match(/^(?:def|class) (\\w+)/)?.[1];
    const { column } = line.closest(".column").dataset;
    if (name) columns[column].set(name, line.getBoundingClientRect().top);
  }
  return [...columns[0]].filter(([name]) => columns[1].has(name))
    .map(([name, top]) => [step.id, name, Math.abs(top - columns[1].get(name))]);
})"""
# The buttons over a character of code, as what they cover; and how many there are.
COVERED = """() => {
  const buttons = [...document.querySelectorAll("button.copy")];
  const boxes = buttons.filter((each) => each.checkVisibility())
    .map((each) => each.getBoundingClientRect());
  const covered = [];
  for (const code of document.querySelectorAll("pre code")) {
    if (!code.checkVisibility()) continue;
    const texts = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      if (!texts.currentNode.textContent.trim()) continue;
      const range = document.createRange();
      range.selectNodeContents(texts.currentNode);
      for (const text of range.getClientRects()) {
        if (boxes.some((box) => box.left < text.right && text.left < box.right &&
                                box.top < text.bottom && text.top < box.bottom)) {
          covered.push(texts.currentNode.textContent);
        }
      }
    }
  }
  return { buttons: boxes.length, covered };
}"""


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
    own = texts_of(page, "#step-train .l.own")
    assert any("block_until_ready" in line for line in own)
    assert not any("for x, y in run.batches" in line for line in own)


def test_a_cell_is_copied_as_it_stands_in_the_notebook(reader: Reader, site: Path) -> None:
    page = reader.open("cifar10_cnn", "pytorch,flax/weights")
    source = page.locator("#step-weights .column[data-column='0'] .source").first
    source.hover()
    source.get_by_role("button", name="Copy", exact=True).click()
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
    page.locator("#step-model .column[data-column='0'] button.copy").first.focus()
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


# --- alignment ----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("task", TASKS)
def test_what_both_columns_define_stands_side_by_side(
    reader: Reader, task: str, width: int
) -> None:
    page = reader.open(task, width=width)
    rows = page.eval_on_selector_all("#store > article", "all => all.map(each => each.dataset.row)")
    seen, apart = set(), []
    for pair in itertools.combinations(rows, 2):
        page.evaluate("pair => choose(pair)", pair)
        for step, name, pixels in page.evaluate(HEIGHTS):
            seen.add(name)
            if pixels > 60:
                apart.append((*pair, step, name, pixels))
    assert apart == []
    assert seen >= {"create_model", "predict", "load_weights", "export_weights"}


def test_a_third_column_stands_beside_the_one_it_shares_a_function_with(reader: Reader) -> None:
    page = reader.open("cifar10_cnn", "cntk,pytorch,flax")
    for name in ("create_model", "predict"):  # of all three; CNN is of the last two
        lines = page.locator("#step-model .l").filter(has_text=f"def {name}(")
        heights = [each["y"] for each in (lines.nth(i).bounding_box() for i in range(3))]
        assert max(heights) - min(heights) < 60  # a decorator may stand above one of them
    classes = page.locator("#step-model .l").filter(has_text="class CNN(")
    expect(classes).to_have_count(2)
    assert classes.nth(0).bounding_box()["y"] == classes.nth(1).bounding_box()["y"]


def test_a_line_that_binds_the_same_names_stands_beside_its_equal(reader: Reader) -> None:
    page = reader.open(
        "cifar10_cnn", "pytorch,keras-jax"
    )  # whose next line binds one of them again
    lines = page.locator("#step-data .l").filter(has_text="x_train, y_train = run.data")
    expect(lines).to_have_count(2)
    assert lines.nth(0).bounding_box()["y"] == lines.nth(1).bounding_box()["y"]
    expect(page.locator("#step-data .l.own").filter(has_text="run.data")).to_have_count(0)


@pytest.mark.parametrize("task", TASKS)
def test_alignment_loses_no_line_and_changes_no_order(reader: Reader, task: str) -> None:
    page = reader.open(task, "tensorflow,flax,keras-jax,mxnet")
    for index, row in enumerate(("tensorflow", "flax", "keras-jax", "mxnet")):
        shown = texts_of(page, f".row.same .l, .column[data-column='{index}'] .l")
        stored = texts_of(page, f"#store > [data-row='{row}'] .l")
        assert [line for line in shown if line.strip()] == [line for line in stored if line.strip()]


# --- copies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [*WIDTHS, PHONE])
@pytest.mark.parametrize(
    ("name", "choice"),
    [("phrases", ""), ("cifar10_cnn", "tensorflow,flax,keras-jax,mxnet"), ("imdb_gru", "")],
)
def test_no_button_stands_over_code(reader: Reader, name: str, choice: str, width: int) -> None:
    found = reader.open(name, choice, width).evaluate(COVERED)
    assert found["covered"] == [] and found["buttons"] > 10


def test_a_cell_is_copied_with_what_it_needs(reader: Reader) -> None:
    page = reader.open("imdb_gru", "pytorch,flax/loss")
    cell = page.locator("#step-loss .column[data-column='0'] .source").first
    cell.get_by_role("button", name="Copy with what it needs").click()
    page.get_by_text("Copied").first.wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "learning_rate = 0.001  # from the task's specification\n" in copied
    assert copied.startswith("import torch\n") and "def train_step(" in copied
    assert "common" not in copied
    ast.parse(copied)


def test_a_phrase_is_copied_with_what_it_needs(reader: Reader) -> None:
    page = reader.open("phrases")
    phrase = page.locator("#dropout .phrase[data-column='pytorch']")
    phrase.get_by_role("button", name="Copy with what it needs").click()
    page.get_by_text("Copied").first.wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("import torch") and "class CNN(nn.Module):" in copied
