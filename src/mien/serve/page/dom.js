// Small helpers for elements, numbers and files.

/** An element: `el("p", {class: "quiet"}, "text", child)`; properties that are functions are listeners. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

export const byId = (id) => document.getElementById(id);

/** A probability in words, never "100 %" for what is less. */
export function percent(share) {
  if (share > 0.995 && share < 1) return ">99\u00a0%";
  if (share > 0 && share < 0.005) return "<1\u00a0%";
  return `${Math.round(100 * share)}\u00a0%`;
}

/** "1 face", "2 faces". */
export const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

/** Seconds as 1:05. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Tell screen readers, once. */
export function announce(text) {
  byId("live").textContent = text;
}

/** Show a line above everything else; none to hide it. */
export function alertLine(text = "") {
  byId("alert").textContent = text;
  byId("alert").hidden = !text;
}

/** Show what the page is about, or leave it to screen readers. */
export function showIntro(shown) {
  byId("intro").classList.toggle("hidden", !shown);
}

/** Save text as a file. */
export function save(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
