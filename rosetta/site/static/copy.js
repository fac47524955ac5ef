// Copy buttons: each copies the code of its cell or phrase, as it stands in the notebook, or what
// data-text says.
"use strict";

const said = document.getElementById("said");

function say(text) {
  said.textContent = "";
  requestAnimationFrame(() => { said.textContent = text; });
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Some browsers keep the clipboard from pages that were opened from the file system.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

async function copyFrom(button, text) {
  await copyText(text);
  say("Copied");
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = button.dataset.words; }, 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  button.dataset.words ||= button.textContent;
  const text = button.dataset.text ?? button.closest(".cell, .source, .phrase").querySelector("code").textContent;
  copyFrom(button, text.replace(/\n$/, ""));
});
