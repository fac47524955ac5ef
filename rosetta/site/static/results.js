// The results of a machine: filters by task and profile, remembered by the address, which another
// machine's page is given too; curves on and off.
"use strict";

const machine = document.getElementById("machine");
const own = machine.value;
const filters = ["task", "profile"].map((id) => document.getElementById(id));

function filter() {
  const [task, profile] = filters.map((select) => select.value);
  for (const result of document.querySelectorAll(".result")) {
    const { dataset } = result;
    result.hidden = (task && dataset.task !== task) || (profile && dataset.profile !== profile);
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
  const address = "#" + new URLSearchParams(chosen);
  if (machine.value !== own) {
    location.assign(machine.selectedOptions[0].dataset.page + address);
    machine.value = own; // as it is when the reader comes back
    return;
  }
  history.replaceState(null, "", address);
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
