// The results: filters by machine, task and profile, remembered by the address; curves on and off.
"use strict";

const filters = ["machine", "task", "profile"].map((id) => document.getElementById(id));

function filter() {
  const [machine, task, profile] = filters.map((select) => select.value);
  for (const section of document.querySelectorAll(".machine")) {
    let shown = 0;
    for (const result of section.querySelectorAll(".result")) {
      const { dataset } = result;
      result.hidden = (task && dataset.task !== task) || (profile && dataset.profile !== profile);
      shown += !result.hidden;
    }
    section.hidden = !shown || (machine && section.dataset.machine !== machine);
  }
}

function read() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  for (const select of filters) select.value = wanted.get(select.id) ?? "";
  for (const select of filters) if (select.selectedIndex < 0) select.value = "";
  filter();
}

document.getElementById("picker").addEventListener("change", () => {
  const chosen = filters.filter((select) => select.value).map((select) => [select.id, select.value]);
  history.replaceState(null, "", "#" + new URLSearchParams(chosen));
  filter();
});

for (const figure of document.querySelectorAll("figure.chart")) {
  figure.querySelector(".legend").addEventListener("change", ({ target }) => {
    for (const each of figure.querySelectorAll(`[data-row="${target.value}"]`)) {
      each.classList.toggle("off", !target.checked);
    }
  });
}

addEventListener("hashchange", read);
read();
