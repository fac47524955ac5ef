// From one framework to another: shows what differs between the two. The address: #row,row
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const [from, to] = ["from", "to"].map((id) => document.getElementById(id));

function read() {
  const rows = decodeURIComponent(location.hash.slice(1)).split(",").filter((row) => row in data.titles);
  return [0, 1].map((index) => rows[index] ?? data.pair.find((row) => row !== rows[0]) ?? data.pair[index]);
}

// The row of another backend reads the same notebook, so it has the same forms.
function formOf(difference, row) {
  return [...difference.querySelectorAll(".forms li")]
    .find((form) => form.dataset.families.split(" ").includes(data.families[row]));
}

function show() {
  const rows = read();
  [from.value, to.value] = rows;
  let shown = 0;
  for (const difference of document.querySelectorAll(".difference")) {
    const forms = rows.map((row) => formOf(difference, row));
    difference.hidden = !forms[0] || !forms[1] || forms[0].dataset.like === forms[1].dataset.like;
    shown += !difference.hidden;
    for (const form of difference.querySelectorAll(".forms li")) form.hidden = !forms.includes(form);
    if (!difference.hidden) draw(difference, forms, rows);
  }
  finish(rows, shown);
}

// Puts the code of both sides under their forms, with links to where it stands in the notebooks.
function draw(difference, forms, rows) {
  const samples = rows.map((row) => document.querySelector(
    `#samples > [data-shown="${difference.dataset.shown}"][data-family="${data.families[row]}"]`));
  const places = samples.map((sample) => sample?.querySelector("a.where").dataset);
  forms.forEach((form, side) => {
    form.style.order = side;
    form.querySelector(".who").textContent = data.titles[rows[side]];
    form.querySelector(".sample")?.remove();
    if (!samples[side]) return;
    const { task, step } = places[side];
    const shared = places.map((place) => (place?.task === task && place.step === step ? place.line : ""));
    form.append(samples[side].cloneNode(true));
    form.querySelector("a.where").href = address(task, rows, step, shared);
  });
}

// The address of both rows side by side, at a step and the lines of each of them.
function address(task, rows, step = "", lines = []) {
  const there = [...new Set(rows)].filter((row) => data.presets[task].includes(row));
  const at = there.map((row) => lines[rows.indexOf(row)] ?? "").join(",");
  return `${task}.html#${there.join(",")}${step ? `/${step}` : ""}${lines.length ? `/${at}` : ""}`;
}

function finish(rows, shown) {
  document.getElementById("main").classList.add("ready");
  document.getElementById("count").textContent = summary(rows, shown);
  for (const group of document.querySelectorAll(".group")) {
    group.hidden = !group.querySelector(".difference:not([hidden])");
  }
  for (const link of document.querySelectorAll("#links a")) link.href = address(link.dataset.task, rows);
}

function summary(rows, shown) {
  const [first, second] = rows.map((row) => data.titles[row]);
  const unknown = rows.filter((row) => !document.querySelector(`.forms li[data-families~="${data.families[row]}"]`));
  if (unknown.length) {
    const titles = [...new Set(unknown)].map((row) => data.titles[row]).join(" and ");
    return `What differs in ${titles} is not described yet. Side by side, the notebooks show it.`;
  }
  if (data.families[rows[0]] === data.families[rows[1]]) {
    return `${first} and ${second} run the same notebook, which says what their backends do apart.`;
  }
  return shown ? `${shown} differences between ${first} and ${second}.`
    : `No difference is described between ${first} and ${second}.`;
}

function choose(rows) {
  location.hash = "#" + rows.join(",");
}

document.getElementById("picker").addEventListener("change", () => choose([from.value, to.value]));
document.getElementById("picker").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("swap").addEventListener("click", () => choose([to.value, from.value]));
addEventListener("hashchange", show);
show();
