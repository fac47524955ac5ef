// Side by side: aligns the cells of the chosen notebooks, step by step.
// The address remembers the choice: #row,row/section, and may lead to a line of each: /3,7
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
  const [rows, step, lines = ""] = decodeURIComponent(location.hash.slice(1)).split("/");
  const known = [...new Set(rows.split(","))].filter((row) => notebooks.has(row)).slice(0, 4);
  return { rows: known.length ? known : standard(), step, lines: lines.split(",").map(Number) };
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
  const { rows, step, lines } = read();
  point(rows, step, lines);
  if (rows.join() !== chosen.join() || step) choose(rows);
  if (step) (page.querySelector(".l.target") ?? document.getElementById("step-" + step))?.scrollIntoView();
}

// Marks the lines that an address leads to, counted over all the code of a section.
function point(rows, step, lines) {
  for (const line of document.querySelectorAll("#store .l.target")) line.classList.remove("target");
  rows.forEach((row, index) => {
    const section = notebooks.get(row).querySelector(`[data-step="${CSS.escape(step ?? "")}"]`);
    section?.querySelectorAll(".l")[lines[index] - 1]?.classList.add("target");
  });
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
// A column is a list of items: prose, parts of code cells (each begins where a name is bound), outputs.
// Items of several columns stand in one row if they say the same, bind the same name, or have the
// same place; what stands between such rows in each column shares a row too.

function drawStep(section) {
  const name = section.id.slice("step-".length);
  const columns = chosen.map((row) =>
    [...notebooks.get(row).querySelector(`[data-step="${name}"]`).children]);
  const shared = keysOfAll(columns.map((cells) => cells.filter((cell) => cell.dataset.kind === "code")));
  const items = columns.map((cells) => itemsOf(cells, shared));
  const open = columns.map(() => false); // whether a cell goes on below
  section.querySelector(".rows").replaceChildren(...align(items).map((row) => drawRow(row, open)));
  section.hidden = columns.every((cells) => !cells.length);
}

function keysOfAll(columns) {
  const [first, ...others] = columns.map((cells) => new Set(cells.map((cell) => cell.dataset.key)));
  return new Set([...first].filter((key) => others.every((keys) => keys.has(key))));
}

function itemsOf(cells, shared) {
  return cells.flatMap((cell, index) => {
    if (cell.dataset.kind === "prose") return [{ kind: "prose", cell, key: cell.dataset.key, first: !index }];
    const outputs = cell.querySelector(":scope > .outputs");
    const after = cells.slice(0, index).filter((each) => each.querySelector(".outputs")).length;
    return [
      ...partsOf(cell, shared.has(cell.dataset.key)),
      ...(outputs ? [{ kind: "outputs", cell: outputs, key: outputs.dataset.key, place: after }] : []),
    ];
  });
}

// The parts of a code cell: one where all columns have the whole cell, else one for what each name
// is bound by; what binds nothing belongs to the part before it.
function partsOf(cell, whole) {
  const lines = [...cell.querySelectorAll(".source .l")];
  const named = lines.flatMap((line, index) =>
    (line.dataset.part ? [{ at: index, names: line.dataset.part.split(" ") }] : []));
  if (whole || !named.length || named[0].at > 0) named.unshift({ at: 0, names: [] });
  const all = whole ? [{ at: 0, names: named.flatMap((part) => part.names) }] : named;
  return all.map(({ at, names }, index) => ({
    kind: "code", cell, key: whole ? cell.dataset.key : null, names,
    from: at, to: all[index + 1]?.at ?? lines.length, first: !index, last: index === all.length - 1,
  }));
}

// How much two items belong together: functions before all, then prose and outputs.
function weight(a, b) {
  if (a.kind !== b.kind) return 0;
  if (a.kind === "outputs") return a.place === b.place ? 1 : 0;
  if (a.kind === "prose") return a.key === b.key ? 3 : Number(a.first && b.first) * 2;
  if (a.key || b.key) return a.key === b.key ? 100 * (a.names.length + 1) : 0;
  const common = a.names.filter((name) => b.names.includes(name)).length;
  return common && 100 + common;
}

// Returns rows with, for each column, a list of items. Columns are added one by one, each along the
// heaviest chain of items that belong to rows in the same order.
function align(columns) {
  let rows = columns[0].map((item) => [[item]]);
  for (let index = 1; index < columns.length; index += 1) {
    const merged = [];
    let [row, item] = [0, 0];
    const skip = (toRow, toItem) => {
      while (row < toRow) merged.push([...rows[row++], []]);
      while (item < toItem) merged.push([...Array(index).fill([]), [columns[index][item++]]]);
    };
    for (const [atRow, atItem] of chain(rows, columns[index])) {
      skip(atRow, atItem);
      merged.push([...rows[row++], [columns[index][item++]]]);
    }
    skip(rows.length, columns[index].length);
    rows = merged;
  }
  return gathered(rows);
}

function chain(rows, items) {
  const worth = (row, item) => Math.max(0, ...row.flat().map((each) => weight(each, item)));
  const best = Array.from({ length: rows.length + 1 }, () => Array(items.length + 1).fill(0));
  for (let r = rows.length - 1; r >= 0; r -= 1) {
    for (let i = items.length - 1; i >= 0; i -= 1) {
      const both = worth(rows[r], items[i]);
      best[r][i] = Math.max(best[r + 1][i], best[r][i + 1], both && both + best[r + 1][i + 1]);
    }
  }
  const pairs = [];
  for (let r = 0, i = 0; r < rows.length && i < items.length;) {
    const both = worth(rows[r], items[i]); // of several that are worth the same, the first
    if (both && best[r][i] === both + best[r + 1][i + 1]) pairs.push([r++, i++]);
    else if (best[r][i] === best[r + 1][i]) r += 1;
    else i += 1;
  }
  return pairs;
}

// Puts what columns have alone between two rows that they share into one row.
function gathered(rows) {
  const result = [];
  let open = null;
  for (const row of rows) {
    if (row.filter((items) => items.length).length > 1) {
      result.push(row);
      open = null;
    } else if (open) row.forEach((items, index) => open[index].push(...items));
    else result.push((open = row.map((items) => [...items])));
  }
  return result;
}

// --- drawing ---------------------------------------------------------------------------------

function drawRow(row, open) {
  const flat = row.flat();
  if (flat.length === row.length && row.length > 1 && row.every((items) => items.length) &&
      flat.every((item) => item.key && item.key === flat[0].key)) {
    return wide(flat[0].kind === "outputs" ? flat[0].cell : flat[0].cell.firstElementChild);
  }
  const element = Object.assign(document.createElement("div"), { className: "row" });
  element.append(...row.map((items, index) => {
    if (items.length) open[index] = items.at(-1).last === false;
    return drawColumn(items, index, open[index]);
  }));
  // A cell that goes on in every column that has any goes on without a gap.
  const goesOn = row.every(([item]) => !item || (item.kind === "code" && !item.first));
  element.classList.toggle("goes-on", goesOn);
  return marked(element);
}

function drawColumn(items, index, open) {
  const element = Object.assign(document.createElement("div"), { className: "column" });
  element.dataset.column = index;
  if (!items.length && open) element.innerHTML = '<div class="source"></div>'; // its cell goes on
  for (let i = 0; i < items.length; i += 1) {
    const item = items[i];
    if (item.kind !== "code") {
      element.append((item.kind === "prose" ? item.cell.firstElementChild : item.cell).cloneNode(true));
      continue;
    }
    let last = item; // parts of one cell that follow one another stay in one piece
    while (items[i + 1]?.cell === item.cell) last = items[i += 1];
    element.append(drawPart(item, last));
  }
  return element;
}

function drawPart(first, last) {
  const source = first.cell.firstElementChild.cloneNode(true);
  const lines = [...source.querySelectorAll(".l")];
  if (first.first) source.querySelector("button.copy").dataset.text ??= source.querySelector("code").textContent;
  else source.querySelector(".tools").remove();
  source.classList.toggle("first", first.first);
  source.classList.toggle("last", last.last);
  let end = last.to;
  while (end > first.from && !lines[end - 1].textContent.trim()) end -= 1;
  lines.forEach((line, index) => { if (index < first.from || index >= end) line.remove(); });
  return source;
}

function wide(element) {
  const row = Object.assign(document.createElement("div"), { className: "row same" });
  row.append(element.cloneNode(true));
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
