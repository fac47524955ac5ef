// The phrase book: search, and the columns to show. The address: #notebook,notebook?words
"use strict";

const query = document.getElementById("query");
const boxes = [...document.querySelectorAll("#chips input")];
const concepts = [...document.querySelectorAll(".concept")].map((element) => ({
  element,
  text: `${element.dataset.words} ${element.textContent}`.toLowerCase(),
}));

function search() {
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const { element, text } of concepts) {
    element.hidden = !words.every((word) => text.includes(word));
    shown += !element.hidden;
  }
  for (const group of document.querySelectorAll(".group")) {
    group.hidden = !group.querySelector(".concept:not([hidden])");
  }
  document.getElementById("count").textContent = `${shown} of ${concepts.length} concepts.`;
}

function columns() {
  const names = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  for (const phrase of document.querySelectorAll(".phrase")) {
    phrase.hidden = !names.has(phrase.dataset.column);
  }
}

function remember() {
  const some = boxes.some((box) => !box.checked);
  const names = some ? boxes.filter((box) => box.checked).map((box) => box.value).join(",") : "";
  const wanted = query.value ? "?" + encodeURIComponent(query.value) : "";
  history.replaceState(null, "", "#" + names + wanted);
}

function read() {
  const [names, wanted] = location.hash.slice(1).split("?");
  const chosen = names.split(",").filter((name) => boxes.some((box) => box.value === name));
  for (const box of boxes) box.checked = !chosen.length || chosen.includes(box.value);
  if (wanted !== undefined) query.value = decodeURIComponent(wanted);
  columns();
  search();
}

query.addEventListener("input", () => { search(); remember(); });
for (const box of boxes) box.addEventListener("change", () => { columns(); remember(); });
document.getElementById("picker").addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", read);
read();
