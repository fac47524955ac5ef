// Side by side: aligns the cells of the chosen notebooks, step by step.
// The address remembers the choice: #row,row/section
"use strict";

const page = document.getElementById("columns");
const picker = document.getElementById("picker");
const titles = document.getElementById("titles");
const selects = picker ? [...picker.querySelectorAll("select")] : [];
const notebooks = new Map(
  [...document.querySelectorAll("#store > article")].map((each) => [each.dataset.row, each]),
);
const narrow = matchMedia("(max-width: 700px)");
let chosen = [];

// --- the choice ------------------------------------------------------------------------------

function read() {
  const [rows, step] = decodeURIComponent(location.hash.slice(1)).split("/");
  const known = [...new Set(rows.split(","))].filter((row) => notebooks.has(row)).slice(0, 4);
  return { rows: known.length ? known : standard(), step };
}

function standard() {
  const wanted = page.dataset.pair.split(",").filter((row) => notebooks.has(row));
  return [...new Set([...wanted, ...notebooks.keys()])].slice(0, 2);
}

function address(step) {
  return "#" + chosen.join(",") + (step ? "/" + step : "");
}

function choose(rows) {
  chosen = rows;
  selects.forEach((select, index) => { select.value = rows[index] ?? ""; });
  page.style.setProperty("--columns", rows.length);
  for (const link of document.querySelectorAll(".steps a")) link.href = address(link.dataset.step);
  drawTitles();
  for (const section of page.querySelectorAll(".step")) drawStep(section);
}

function follow() {
  const { rows, step } = read();
  if (rows.join() !== chosen.join()) choose(rows);
  if (step) document.getElementById("step-" + step)?.scrollIntoView();
}

// --- the heads of the columns; on a phone they are tabs --------------------------------------

function drawTitles() {
  titles.replaceChildren(...chosen.map((row, index) => {
    const data = notebooks.get(row).dataset;
    const label = document.createElement("label");
    const radio = Object.assign(document.createElement("input"), {
      type: "radio", name: "tab", value: index, checked: index === 0,
    });
    radio.addEventListener("change", () => { page.dataset.tab = index; });
    const run = document.createElement("small");
    run.textContent = data.run ? "outputs: " + data.run : "not run yet";
    label.append(radio, data.title, " ", run);
    return label;
  }));
  titles.style.setProperty("--columns", chosen.length);
  page.dataset.tab = 0;
}

// --- alignment -------------------------------------------------------------------------------

function drawStep(section) {
  const name = section.id.slice("step-".length);
  const columns = chosen.map((row) =>
    [...notebooks.get(row).querySelector(`[data-step="${name}"]`).children]);
  section.querySelector(".rows").replaceChildren(...align(columns).flatMap(drawRow));
  section.hidden = columns.every((cells) => !cells.length);
}

// Two cells are the same step if they say the same, bind a name in common, or are the first prose or
// the only code of the section.
function match(a, b) {
  if (a.dataset.kind !== b.dataset.kind) return false;
  if (a.dataset.key === b.dataset.key) return true;
  if (a.dataset.kind === "prose") return !a.previousElementSibling && !b.previousElementSibling;
  if (isOnly(a) && isOnly(b)) return true;
  const names = new Set(a.dataset.names.split(" ").filter(Boolean));
  return b.dataset.names.split(" ").some((name) => names.has(name));
}

function isOnly(cell) {
  return cell.parentElement.querySelectorAll(':scope > [data-kind="code"]').length === 1;
}

// Returns rows of cells, one list per column; cells that match stand in a row of their own.
function align(columns) {
  const rows = [];
  const next = columns.map(() => 0);
  for (let first = 0; first < columns[0].length; first += 1) {
    if (first < next[0]) continue;
    const at = columns.map((cells, index) =>
      index ? cells.findIndex((cell, i) => i >= next[index] && match(columns[0][first], cell)) : first);
    if (at.includes(-1)) continue;
    gap(rows, columns, next, at);
    rows.push(columns.map((cells, index) => [cells[at[index]]]));
    at.forEach((position, index) => { next[index] = position + 1; });
  }
  gap(rows, columns, next, columns.map((cells) => cells.length));
  return rows;
}

function gap(rows, columns, from, to) {
  const cells = columns.map((all, index) => all.slice(from[index], to[index]));
  if (cells.some((each) => each.length)) rows.push(cells);
}

function same(elements) {
  const [first] = elements;
  return first && elements.every((each) => each && each.dataset.key === first.dataset.key);
}

function drawRow(columns) {
  if (columns.length > 1 && columns.every((cells) => cells.length === 1)) {
    const cells = columns.map(([cell]) => cell);
    if (same(cells)) return [wide(cells[0].firstElementChild), ...drawOutputs(cells)];
    const groups = cells[0].dataset.kind === "code" ? definitions(cells) : [];
    const sources = groups.length > 1 ? drawParts(cells, groups)
      : [marked(split(cells.map((cell) => [cell.firstElementChild])))];
    return [...sources, ...drawOutputs(cells)];
  }
  return [marked(split(columns.map((cells) => cells.flatMap((cell) => [...cell.children]))))];
}

// Cuts code cells before the functions that all of them define, in the same order, so that these
// stand beside one another; returns the first and the last line of every part in every cell.
function definitions(cells) {
  const lines = cells.map((cell) => [...cell.querySelectorAll(".source .l")]);
  const starts = lines.map(startsOf);
  const cuts = [lines.map(() => 0)];
  for (const name of starts[0].keys()) {
    const at = starts.map((each) => each.get(name) ?? -1);
    if (at.every((line, index) => line > cuts.at(-1)[index])) cuts.push(at);
  }
  cuts.push(lines.map((each) => each.length));
  return cuts.slice(1).map((end, part) => end.map((last, index) => [cuts[part][index], last]));
}

// The lines on which functions and classes begin, by name; decorators and comments belong to them.
function startsOf(lines) {
  const starts = new Map();
  lines.forEach((line, index) => {
    const name = line.textContent.match(/^(?:def|class) (\w+)/)?.[1];
    let first = index;
    while (first && /^[@#]/.test(lines[first - 1].textContent)) first -= 1;
    if (name) starts.set(name, first);
  });
  return starts;
}

function drawParts(cells, groups) {
  return groups.map((bounds, part) => {
    const row = split(cells.map((cell, index) => [drawPart(cell, bounds[index], part)]));
    row.classList.add("part");
    return marked(row);
  });
}

function drawPart(cell, [first, last], part) {
  const source = cell.firstElementChild.cloneNode(true);
  const lines = [...source.querySelectorAll(".l")];
  source.querySelector("button").dataset.text = source.querySelector("code").textContent;
  if (part) source.querySelector("button").remove();
  while (last > first && !lines[last - 1].textContent.trim()) last -= 1;
  lines.forEach((line, index) => { if (index < first || index >= last) line.remove(); });
  return source;
}

function drawOutputs(cells) {
  const outputs = cells.map((cell) => cell.querySelector(":scope > .outputs"));
  if (outputs.every((each) => !each)) return [];
  if (same(outputs)) return [wide(outputs[0])];
  return [split(outputs.map((each) => (each ? [each] : [])))];
}

function wide(element) {
  const row = Object.assign(document.createElement("div"), { className: "row same" });
  row.append(element.cloneNode(true));
  return row;
}

function split(columns) {
  const row = Object.assign(document.createElement("div"), { className: "row" });
  row.append(...columns.map((elements, index) => {
    const column = Object.assign(document.createElement("div"), { className: "column" });
    column.dataset.column = index;
    column.append(...elements.map((each) => each.cloneNode(true)));
    return column;
  }));
  return row;
}

// Marks the lines of code that not every column of a row has.
function marked(row) {
  const columns = [...row.children].map((column) => [...column.querySelectorAll(".source .l")]);
  if (columns.length < 2) return row;
  const texts = columns.map((lines) => new Set(lines.map((line) => line.textContent.trim())));
  for (const line of columns.flat()) {
    const text = line.textContent.trim();
    line.classList.toggle("own", Boolean(text) && !texts.every((each) => each.has(text)));
  }
  return row;
}

// --- start -----------------------------------------------------------------------------------

if (picker) {
  picker.addEventListener("change", () => {
    const rows = [...new Set(selects.map((select) => select.value).filter(Boolean))];
    location.hash = "#" + rows.join(",");
  });
  picker.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("share").addEventListener("click", (event) => {
    history.replaceState(null, "", address());
    event.target.dataset.words ||= event.target.textContent;
    copyFrom(event.target, location.href);
  });
  addEventListener("hashchange", follow);
  follow();
}
