// Photos: dropped, pasted or chosen; each becomes a card.

import { alertLine, announce, byId, count, el, percent, save, showIntro } from "./dom.js";
import { bars, doubtOf, drawBoxes, thumbnail } from "./faces.js";
import { upright } from "./orientation.js";
import { csvText, jsonLine } from "./tables.js";

const AT_ONCE = 2;

export function photosView(app) {
  const cards = [];
  let running = 0;

  const clear = () => {
    for (const card of cards.splice(0)) card.remove();
    refresh();
    byId("choose").focus();
  };

  function add(files) {
    for (const file of files) {
      cards.push(new Card(file, app));
      byId("cards").append(cards.at(-1).element);
    }
    refresh();
    next();
  }

  async function next() {
    const card = running < AT_ONCE && cards.find((each) => each.state === "new");
    if (!card) return;
    running++;
    const answered = card.ask();
    next();
    await answered;
    running--;
    refresh();
    next();
  }

  function refresh() {
    const done = cards.filter((card) => card.state === "done");
    const faces = done.reduce((sum, card) => sum + card.prediction.faces.length, 0);
    byId("drop").hidden = cards.length > 0;
    showIntro(!cards.length);
    byId("photo-bar").hidden = !cards.length;
    byId("photo-count").textContent = `${count(cards.length, "photo")}, ${count(faces, "face")}`;
    const waiting = cards.some(({ state }) => state === "new" || state === "asked");
    for (const id of ["photo-json", "photo-csv"]) byId(id).disabled = waiting;
  }

  for (const id of ["choose", "add"]) {
    byId(id).addEventListener("change", ({ target }) => {
      app.take([...target.files]);
      target.value = "";
    });
  }
  byId("example").addEventListener("click", async () => {
    const blob = await (await fetch("example.png")).blob();
    add([new File([blob], "example.png", { type: "image/png" })]);
  });
  byId("photo-clear").addEventListener("click", clear);
  byId("photo-json").addEventListener("click", () =>
    save("mien.jsonl", cards.map((card) => card.line).join(""), "application/x-ndjson"),
  );
  byId("photo-csv").addEventListener("click", () =>
    save("mien.csv", csvText(cards.map((card) => card.prediction), app.classes().map(({ name }) => name)), "text/csv"),
  );

  return {
    add,
    hide() {},
    show: refresh,
    optionsChanged() {
      for (const card of cards) card.again();
      refresh();
      next();
    },
  };
}

/** A photo and what was answered for it. */
class Card {
  constructor(file, app) {
    this.file = file;
    this.app = app;
    this.state = "new";
    this.image = el("img", { alt: `Photo: ${file.name}` });
    this.layer = el("div", { class: "boxes", "aria-hidden": "true" });
    this.picture = el("div", { class: "picture" }, this.image, this.layer);
    this.side = el("div", { class: "faces" }, el("h2", {}, file.name), el("p", { class: "quiet" }, "Looking for faces ..."));
    this.element = el("article", { class: "card waiting" }, this.picture, this.side);
    this.shown = this.show();
  }

  async show() {
    this.url = URL.createObjectURL(await upright(this.file));
    this.image.src = this.url;
    try {
      await this.image.decode();
      this.picture.style.setProperty("--ratio", this.image.naturalWidth / this.image.naturalHeight);
    } catch {
      this.image.hidden = true;
    }
  }

  remove() {
    this.abort?.abort();
    this.element.remove();
    this.shown.then(() => URL.revokeObjectURL(this.url));
  }

  again() {
    this.abort?.abort();
    this.state = "new";
    this.element.classList.add("waiting");
  }

  async ask() {
    this.state = "asked";
    const abort = (this.abort = new AbortController());
    try {
      await this.file.slice(0, 1).arrayBuffer().catch(() => {
        throw new Error(`${this.file.name} cannot be read. Is it a folder, or was it moved? Choose the pictures themselves.`);
      });
      await this.app.ready;
      const answer = await this.app.engine.predict(this.file, this.file.name, this.app.options(), abort.signal);
      await this.shown;
      if (abort.signal.aborted) return;
      Object.assign(this, answer);
      this.state = "done";
      alertLine();
      this.render();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.state = "failed";
      this.prediction = { source: this.file.name, frame: null, faces: [], error: error.message };
      this.line = jsonLine(this.prediction);
      this.app.failed(error);
      this.render();
    } finally {
      if (!abort.signal.aborted) this.element.classList.remove("waiting");
    }
  }

  render() {
    const { faces, error, animated } = this.prediction;
    const size = this.image.hidden ? extent(faces) : [this.image.naturalWidth, this.image.naturalHeight];
    drawBoxes(this.layer, faces, size);
    const words = error ? error.replace(`${this.file.name}: `, "") : faces.length ? "" : "No face was found in this picture.";
    const items = faces.map((face, i) => this.item(face, i, faces.length));
    const first = animated ? [el("p", { class: "quiet" }, "It moves: only its first picture was looked at.")] : [];
    const none = words ? [el("p", { class: error ? "alert" : "quiet" }, words)] : [];
    this.side.replaceChildren(el("h2", {}, this.file.name), ...none, ...first, ...items);
    const said = faces.map((face) => `${face.emotion} ${percent(face.confidence)}${doubtOf(face) && `, ${doubtOf(face)}`}`);
    announce(`${this.file.name}: ${words || `${count(faces.length, "face")}: ${said.join("; ")}`}`);
  }

  /** A face as a line that opens: its bars, and why. */
  item(face, i, faces) {
    const { list, update } = bars();
    update(face);
    const thumb = this.image.hidden ? el("span", { class: "thumb" }) : thumbnail(this.image, face);
    const answer = el("span", { class: "answer" }, face.emotion, el("small", {}, percent(face.confidence)));
    const doubt = doubtOf(face);
    const mark = doubt ? [el("br"), el("span", { class: "mark" }, doubt)] : [];
    const why = el("div", { "aria-live": "polite" });
    const ask = el("button", { type: "button", class: "button", click: () => this.explain(i, why, ask) }, "Why?");
    ask.setAttribute("aria-label", `Why ${face.emotion}?`);
    const choose = (on) => () => this.layer.children[i]?.classList.toggle("chosen", on);
    return el(
      "details",
      { class: "face", open: faces <= 2 || i === 0, mouseenter: choose(true), mouseleave: choose(false), focusin: choose(true), focusout: choose(false) },
      el("summary", {}, thumb, el("span", {}, answer, ...mark)),
      list,
      ask,
      why,
    );
  }

  async explain(i, place, button) {
    button.disabled = true;
    place.replaceChildren(el("p", { class: "quiet" }, "Hiding parts of the face, one after the other ..."));
    try {
      this.explained ??= {};
      const key = JSON.stringify(this.app.options());
      this.explained[key] ??= this.app.engine.explain(this.file, this.file.name, { ...this.app.options(), max_faces: 12 });
      const answer = await this.explained[key];
      const face = this.prediction.faces[i];
      const found = answer.faces.find((each) => each.box.join() === face.box.join());
      if (!found) throw new Error("Only the twelve largest faces of a picture are explained.");
      place.replaceChildren(whyFigure(found));
      button.hidden = true;
    } catch (error) {
      this.app.failed(error);
      place.replaceChildren(el("p", { class: "quiet" }, error.message));
      button.disabled = false;
    }
  }
}

/** What the network saw, and the map over it. */
function whyFigure({ emotion, explanation }) {
  const png = (data) => `data:image/png;base64,${data}`;
  const seen = () => el("img", { src: png(explanation.face), alt: "" });
  const map = el("img", { src: png(explanation.map), alt: `Map of what speaks for ${emotion}` });
  const key = (colour) => {
    const patch = el("span", { class: "key" });
    patch.style.background = colour;
    return patch;
  };
  const points = Math.round(100 * explanation.largest_fall);
  return el(
    "div",
    { class: "why" },
    el("figure", {}, el("div", { class: "pane" }, seen()), el("figcaption", {}, "What the model sees: 48 x 48 gray pixels")),
    el("figure", {}, el("div", { class: "pane" }, seen(), map), el("figcaption", {}, `What speaks for ${emotion}`)),
    el("p", {}, key("#d55e00"), ` Hiding this makes it less sure of ${emotion}, by up to ${points} points. `, key("#0072b2"), " Hiding this makes it surer."),
  );
}

/** A size that holds all faces, where the browser cannot show the picture. */
function extent(faces) {
  return [Math.max(1, ...faces.map(({ box }) => 1.1 * (box[0] + box[2]))), Math.max(1, ...faces.map(({ box }) => 1.1 * (box[1] + box[3])))];
}
