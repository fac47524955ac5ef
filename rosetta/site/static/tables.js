// Tables that are sorted by the heading that is pressed: numbers by size, the largest first.
"use strict";

function valueOf(row, index) {
  const cell = row.cells[index];
  return cell.dataset.sort ?? cell.textContent.trim().toLowerCase();
}

// Numbers stand before words, so that a dash is last whichever way a column is sorted.
function compare(a, b, direction) {
  const [x, y] = [Number(a), Number(b)];
  const [noX, noY] = [a === "" || Number.isNaN(x), b === "" || Number.isNaN(y)];
  if (noX !== noY) return noX ? 1 : -1;
  return direction * (noX ? a.localeCompare(b) : x - y);
}

function sort(table, index) {
  const heading = table.tHead.rows[0].cells[index];
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const numeric = rows.some((row) => valueOf(row, index) && !Number.isNaN(Number(valueOf(row, index))));
  const before = heading.getAttribute("aria-sort");
  const ascending = before ? before === "descending" : !numeric;
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  rows.sort((a, b) => compare(valueOf(a, index), valueOf(b, index), ascending ? 1 : -1));
  body.append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  table.tHead.addEventListener("click", (event) => {
    const heading = event.target.closest("button")?.parentElement;
    if (heading) sort(table, heading.cellIndex);
  });
}
