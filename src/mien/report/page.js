// Under each table a button that saves it as CSV (RFC 4180). Without scripts the page lacks the buttons, and nothing else.
"use strict";

const LINE_END = "\r\n";

function text(cell) {
  const words = cell.textContent.replace(/\u00a0/g, " ").trim();
  return /^-?\d{1,3}(,\d{3})+$/.test(words) ? words.replaceAll(",", "") : words;
}

function quoted(value) {
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

function csv(table) {
  const lines = Array.from(table.rows, (row) => Array.from(row.cells, (cell) => quoted(text(cell))).join(","));
  return lines.join(LINE_END) + LINE_END;
}

function fileName(table) {
  const page = document.querySelector("h1").textContent;
  return `${page} ${table.dataset.name}`.replace(/[^\p{L}\p{N}]+/gu, "-") + ".csv";
}

function save(table) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" }));
  link.download = fileName(table);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000); // some browsers read it only after the click is over
}

for (const table of document.querySelectorAll("table[data-name]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "save";
  button.textContent = "Save as CSV";
  button.setAttribute("aria-label", `Save the table “${table.dataset.name}” as CSV`);
  button.addEventListener("click", () => save(table));
  table.parentElement.after(button);
}
