// How faces are shown: boxes over a picture, bars beside it.

import { el, percent } from "./dom.js";

const POOR = 0.5; // quality, where the server tells it

let colours = new Map();

/** Take the colours of a model's classes, which the server has from the same palette as every figure. */
export function useClasses(classes) {
  colours = new Map(classes.map(({ name, colour }) => [name, colour]));
}

export const colourOf = (name) => colours.get(name) ?? "#808080";

/** Black or white, whichever stands out more (WCAG's relative luminance). */
function ink(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part < 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) ? "#000" : "#fff";
}

/** What a face's label says. */
export const labelOf = (face) => `${face.emotion}${face.uncertain ? "?" : ""} ${percent(face.confidence)}`;

/** What is to be doubted about a face, in words; empty where nothing is. */
export function doubtOf(face) {
  if (face.quality < POOR) return "hard to see";
  return face.uncertain ? "unsure" : "";
}

/** Boxes over a picture of `size` [width, height]; one element a face, used again from call to call. */
export function drawBoxes(layer, faces, [width, height], mirrored = false) {
  while (layer.children.length > faces.length) layer.lastChild.remove();
  faces.forEach((face, i) => {
    const box = layer.children[i] ?? layer.appendChild(el("div", { class: "box" }, el("span")));
    const [x, y, w, h] = face.box;
    const left = mirrored ? width - x - w : x;
    const shares = { left: left / width, top: y / height, width: w / width, height: h / height };
    for (const [name, share] of Object.entries(shares)) box.style[name] = `${100 * share}%`;
    const colour = colourOf(face.emotion);
    box.style.setProperty("--colour", colour);
    box.style.setProperty("--on", ink(colour));
    box.classList.toggle("unsure", Boolean(doubtOf(face)));
    box.classList.toggle("low", y / height < 0.09);
    box.classList.toggle("right", left / width > 0.72);
    box.classList.toggle("small", w / width < 0.1);
    const label = labelOf(face);
    if (box.firstChild.textContent !== label) box.firstChild.textContent = label;
  });
}

/** A bar a class, in the model's order; `update(face)` moves them. */
export function bars() {
  const list = el("ul", { class: "bars" });
  function update(face) {
    const entries = Object.entries(face.probabilities);
    if (list.children.length !== entries.length || list.dataset.of !== entries.map(([name]) => name).join()) {
      list.replaceChildren(...entries.map(([name]) => el("li", {}, el("span", {}, name), el("i"), el("span"))));
      list.dataset.of = entries.map(([name]) => name).join();
    }
    entries.forEach(([name, share], i) => {
      const item = list.children[i];
      item.classList.toggle("first", name === face.emotion);
      item.children[1].style.setProperty("--colour", colourOf(name));
      item.children[1].style.setProperty("--share", share);
      item.children[2].textContent = percent(share);
    });
  }
  return { list, update };
}

/** A panel that shows one face, or what to do while there is none. */
export function facePanel(element, empty) {
  const { list, update } = bars();
  const answer = el("p", { class: "answer" });
  const none = el("p", { class: "quiet" }, empty);
  element.replaceChildren(none);
  return (face) => {
    if (!face) return element.firstChild === none || element.replaceChildren(none);
    const doubt = doubtOf(face);
    const mark = doubt ? [el("span", { class: "mark" }, doubt)] : [];
    answer.replaceChildren(face.emotion, el("small", {}, percent(face.confidence)), ...mark);
    update(face);
    if (element.firstChild !== answer) element.replaceChildren(answer, list);
  };
}

/** The square around a face, as a small picture. */
export function thumbnail(image, face) {
  const side = 1.25 * Math.max(face.box[2], face.box[3]);
  const [x, y] = [face.box[0] + face.box[2] / 2 - side / 2, face.box[1] + face.box[3] / 2 - side / 2];
  const canvas = el("canvas", { class: "thumb", width: 112, height: 112, "aria-hidden": "true" });
  canvas.getContext("2d").drawImage(image, x, y, side, side, 0, 0, 112, 112);
  return canvas;
}
