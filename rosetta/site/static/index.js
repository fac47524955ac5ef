// The two rows chosen on the first page go into the links below them.
"use strict";

const [from, to] = ["from", "to"].map((id) => document.getElementById(id));

function aim() {
  const rows = [...new Set([from.value, to.value])].join(",");
  for (const link of document.querySelectorAll("[data-pair-link]")) {
    link.href = `${link.dataset.pairLink}.html#${rows}`;
  }
}

document.getElementById("start").addEventListener("change", aim);
document.getElementById("start").addEventListener("submit", (event) => event.preventDefault());
aim();
