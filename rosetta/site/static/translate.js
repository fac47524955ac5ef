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
    difference.hidden = !forms[0] || !forms[1] || forms[0] === forms[1];
    shown += !difference.hidden;
    for (const form of difference.querySelectorAll(".forms li")) {
      const side = forms.indexOf(form);
      form.hidden = side < 0;
      form.style.order = side;
      if (side >= 0) form.querySelector(".who").textContent = data.titles[rows[side]];
    }
  }
  finish(rows, shown);
}

function finish(rows, shown) {
  document.getElementById("main").classList.add("ready");
  const [first, second] = rows.map((row) => data.titles[row]);
  document.getElementById("count").textContent = shown
    ? `${shown} differences between ${first} and ${second}.`
    : `No difference is known between ${first} and ${second}.`;
  for (const group of document.querySelectorAll(".group")) {
    group.hidden = !group.querySelector(".difference:not([hidden])");
  }
  for (const link of document.querySelectorAll("a[data-task]")) {
    const { task, step } = link.dataset;
    const there = [...new Set(rows)].filter((row) => data.presets[task].includes(row));
    link.href = `${task}.html#${there.join(",")}${step ? "/" + step : ""}`;
  }
}

function choose(rows) {
  location.hash = "#" + rows.join(",");
}

document.getElementById("picker").addEventListener("change", () => choose([from.value, to.value]));
document.getElementById("picker").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("swap").addEventListener("click", () => choose([to.value, from.value]));
addEventListener("hashchange", show);
show();
