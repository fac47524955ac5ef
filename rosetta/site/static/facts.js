// Search in the table of facts.
"use strict";

const query = document.getElementById("query");
const rows = [...document.querySelectorAll("table.facts tbody tr")];

query.addEventListener("input", () => {
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  const shown = rows.filter((row) => !row.hidden).length;
  document.getElementById("count").textContent = `${shown} of ${rows.length} frameworks.`;
});
document.getElementById("picker").addEventListener("submit", (event) => event.preventDefault());
