// Under each table a button that saves it as CSV (RFC 4180). Without scripts the page lacks the buttons, and nothing else.
"use strict";

const LINE_END = "\r\n";

function words(cell) {
  return cell.textContent.replace(/\u00a0/g, " ").trim();
}

// What a cell says, as data: 1,234 as 1234, 16.5 % as 0.165, with a hyphen for the true minus sign.
function value(text) {
  const plain = text.replace(/^\u2212/, "-");
  if (/^-?\d{1,3}(,\d{3})+$/.test(plain)) return plain.replaceAll(",", "");
  const share = /^(-?\d+(?:\.\d+)?) ?%$/.exec(plain);
  return share ? String(Number((share[1] / 100).toFixed(6))) : plain;
}

// Both ends of an interval such as `0.81 to 0.88`, or null.
function ends(text) {
  const found = /^([-+\u2212]?[\d.]+(?: %)?) to ([-+\u2212]?[\d.]+(?: %)?)$/.exec(text);
  return found && found.slice(1);
}

function quoted(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// A column of intervals becomes two of numbers, called after the column before it.
function csv(table) {
  const [head, ...body] = Array.from(table.rows, (row) => Array.from(row.cells, words));
  if (!table.tHead) return [head, ...body].map((row) => row.map(value)).map(line).join("");
  const intervals = head.map((_, column) => column > 0 && body.every((row) => ends(row[column])));
  const names = head.flatMap((name, i) => (intervals[i] ? [`${head[i - 1]} low`, `${head[i - 1]} high`] : [name]));
  const rows = body.map((row) => row.flatMap((cell, i) => (intervals[i] ? ends(cell).map(value) : [value(cell)])));
  return [names, ...rows].map(line).join("");
}

function line(cells) {
  return cells.map(quoted).join(",") + LINE_END;
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
