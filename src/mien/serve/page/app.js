// The page: tabs, options, and the engine that all views ask.

import { cameraView } from "./camera.js";
import { alertLine, byId, showIntro } from "./dom.js";
import { useClasses } from "./faces.js";
import { photosView } from "./photos.js";
import { videoView } from "./video.js";

byId("unstarted").remove();
const source = document.querySelector("meta[name=mien-engine]").content;
let models = [];
let engine, nowReady;

const app = {
  ready: new Promise((resolve) => (nowReady = resolve)), // who is quick may click before the engine and its models are known
  get engine() {
    return engine;
  },
  options: () => ({ model: byId("model").value, prior: byId("prior").value, min_confidence: byId("least").value / 100 }),
  /** Open files, chosen, dropped or pasted: photos and videos each in their tab. */
  take(files) {
    const movies = files.filter(({ type }) => type.startsWith("video/"));
    const photos = files.filter(({ type }) => !type.startsWith("video/"));
    if (movies.length) open("video"), views.video.add(movies.slice(0, 1));
    if (photos.length) open("photos"), views.photos.add(photos);
  },
  classes: () => chosen()?.classes ?? [],
  failed(error) {
    if (error.constructor.name === "TokenNeeded") askToken();
    else alertLine(error.message);
  },
};
const views = { photos: photosView(app), camera: cameraView(app), video: videoView(app) };
const tabs = [...document.querySelectorAll("[role=tab]")];
let current = "photos";

const chosen = () => models.find(({ name }) => name === byId("model").value);

function open(name) {
  views[current].hide();
  current = name;
  for (const tab of tabs) {
    const on = tab.getAttribute("aria-controls") === name;
    tab.setAttribute("aria-selected", on);
    tab.tabIndex = on ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !on;
  }
  showIntro(true);
  views[name].show();
}

function wireTabs() {
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => open(tab.getAttribute("aria-controls")));
    tab.addEventListener("keydown", ({ key }) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: -1 }[key];
      if (to === undefined) return;
      const next = tabs.at(to % tabs.length);
      next.focus();
      next.click();
    });
  });
}

/** Files may be dropped or pasted anywhere. */
function wireFiles() {
  const take = (files) => {
    if (files.length) app.take(files);
    else alertLine("That was no file. Save the picture first, then drop it here or choose it.");
  };
  let depth = 0;
  const over = (on) => document.body.classList.toggle("over", on);
  addEventListener("dragenter", () => over(++depth > 0));
  addEventListener("dragleave", () => over(--depth > 0));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(Boolean((depth = 0)));
    take([...event.dataTransfer.files]);
  });
  addEventListener("paste", ({ clipboardData, target }) => target.matches?.("input") || take([...(clipboardData?.files ?? [])]));
}

function wireOptions() {
  let waiting;
  byId("options").addEventListener("submit", (event) => event.preventDefault());
  byId("least").addEventListener("input", () => (byId("least-shown").textContent = `${byId("least").value}\u00a0%`));
  byId("options").addEventListener("change", () => {
    modelChosen();
    clearTimeout(waiting);
    waiting = setTimeout(() => Object.values(views).forEach((view) => view.optionsChanged()), 50);
  });
}

function modelChosen() {
  const model = chosen();
  if (!model) return;
  useClasses(model.classes);
  byId("prior").options[1].disabled = !model.priors.includes("uniform");
  if (!model.priors.includes("uniform")) byId("prior").value = "natural";
  const { measured } = model;
  byId("measured").textContent = measured
    ? `On ${measured.n.toLocaleString("en")} faces that chose its settings (${measured.part}), ${model.name} agrees with ${measured.labels} on ${(100 * measured.accuracy).toFixed(0)} of 100; expect slightly less.`
    : "How often this model is right was not measured here.";
}

async function load() {
  try {
    const answer = await engine.models();
    models = answer.models;
    byId("model").replaceChildren(...models.map(({ name }) => new Option(name, name, false, name === answer.default)));
    modelChosen();
    alertLine();
  } catch (error) {
    app.failed(error);
  }
}

function askToken() {
  const dialog = byId("token-dialog");
  if (!dialog.open) dialog.showModal();
}

/** Count what this page asks of other places than its own: nothing, and whoever doubts it can see. */
function countOutside() {
  let outside = 0;
  const count = (urls) => {
    outside += urls.filter((url) => /^(https?|wss?):/.test(url) && new URL(url).origin !== location.origin).length;
    byId("outside-count").textContent = outside;
    byId("outside").classList.toggle("some", outside > 0);
  };
  new PerformanceObserver((list) => count(list.getEntries().map(({ name }) => name))).observe({ type: "resource", buffered: true });
  document.addEventListener("securitypolicyviolation", ({ blockedURI }) => count([blockedURI]));
}

countOutside();
wireTabs();
wireFiles();
wireOptions();
byId("token-form").addEventListener("submit", () => {
  engine.setToken(byId("token").value);
  byId("token").value = "";
  load().then(() => Object.values(views).forEach((view) => view.optionsChanged()));
});
engine = await (await import(source)).connect();
for (const place of document.querySelectorAll(".where")) place.textContent = engine.where;
byId("leaves").textContent = engine.leaves;
await load();
nowReady();
document.body.dataset.ready = "";
