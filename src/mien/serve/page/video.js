// A video: decoded here, its frames sent one after the other, nothing kept of it but the answers.

import { alertLine, announce, byId, clock, count, save, showIntro } from "./dom.js";
import { drawBoxes, facePanel } from "./faces.js";
import { csvText, frameOf, jsonLine } from "./tables.js";
import { Timeline } from "./timeline.js";
import { Tracker, largest } from "./track.js";

const STEP = 0.2; // seconds between two looks
const LONGEST = 1280; // pixels of a frame's side

export function videoView(app) {
  const view = byId("video-view");
  const panel = facePanel(byId("video-face"), "The largest face shows here.");
  const timeline = new Timeline(byId("video-time"), { gap: 2.5 * STEP });
  let file, url, abort, size, length;
  let looks = [];

  async function add([chosen]) {
    if (!chosen) return;
    abort?.abort();
    file = chosen;
    looks = [];
    size = null;
    timeline.clear();
    panel(null);
    byId("video-drop").hidden = true;
    showIntro(false);
    byId("video-work").hidden = false;
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(file);
    view.src = url;
    abort = new AbortController();
    await run(abort.signal);
  }

  async function run(signal) {
    const reader = Object.assign(document.createElement("video"), { muted: true, playsInline: true, preload: "auto", src: url });
    const scale = (side) => Math.min(1, LONGEST / side);
    busy(true);
    try {
      await once(reader, "loadeddata", signal);
      length = await duration(reader, signal);
      const shrink = scale(Math.max(reader.videoWidth, reader.videoHeight));
      size = [reader.videoWidth, reader.videoHeight].map((side) => Math.round(side * shrink));
      byId("video-stage").style.setProperty("--ratio", size[0] / size[1]);
      const canvas = Object.assign(document.createElement("canvas"), { width: size[0], height: size[1] });
      const tracker = new Tracker(500);
      let waiting = Promise.resolve();
      for (let number = 0; number * STEP < length && !signal.aborted; number++) {
        const time = number * STEP;
        const blob = await frameAt(reader, time, canvas, signal);
        await waiting;
        waiting = app.engine.predict(blob, file.name, app.options(), signal).then((answer) => take(answer, number, time, tracker));
        waiting.catch(() => {});
      }
      await waiting;
      end(`${file.name}: ${count(looks.length, "frame")} looked at`);
    } catch (error) {
      if (signal.aborted) return end(`${file.name}: stopped after ${count(looks.length, "frame")}`);
      app.failed(error);
      end(error.message);
    } finally {
      reader.removeAttribute("src");
      reader.load();
    }
  }

  function take({ prediction }, number, time, tracker) {
    alertLine();
    const faces = tracker.follow(prediction.faces, 1000 * time, app.options().min_confidence);
    looks.push(frameOf(prediction, number, time, faces));
    timeline.add(time, largest(faces) ?? null);
    byId("video-state").textContent = `${file.name}: ${clock(time)} of ${clock(length)}`;
    draw();
    if (view.paused) showAt(view.currentTime);
  }

  function busy(on) {
    byId("video-stop").hidden = !on;
    for (const id of ["video-json", "video-csv"]) byId(id).disabled = on;
    if (on) byId("video-state").textContent = `${file.name}: opening`;
  }

  function end(words) {
    busy(false);
    for (const id of ["video-json", "video-csv"]) byId(id).disabled = !looks.length;
    byId("video-state").textContent = words;
    byId("video-time").setAttribute("aria-label", timeline.words());
    announce(`${words}. ${timeline.words()}`);
  }

  function draw() {
    if (!length) return;
    const step = Math.max(1, Math.ceil(length / 6));
    const ticks = Array.from({ length: Math.floor(length / step) + 1 }, (_, i) => [i * step, clock(i * step)]);
    timeline.draw([0, length], ticks, view.currentTime);
  }

  /** The faces that were seen nearest to `time`. */
  function showAt(time) {
    const near = looks[Math.min(looks.length - 1, Math.round(time / STEP))];
    const faces = near && Math.abs(near.time - time) <= 2 * STEP ? near.faces : [];
    if (size) drawBoxes(byId("video-boxes"), faces, size);
    panel(largest(faces));
    draw();
  }

  function follow() {
    showAt(view.currentTime);
    if (!view.paused && !view.ended) requestAnimationFrame(follow);
  }

  for (const name of ["play", "seeked", "pause"]) view.addEventListener(name, follow);
  byId("video-time").addEventListener("click", ({ offsetX, target }) => {
    view.currentTime = Math.max(0, Math.min(length, ((offsetX - 12) / (target.clientWidth - 24)) * length));
  });
  for (const id of ["video-choose", "video-other"]) {
    byId(id).addEventListener("change", ({ target }) => {
      add([...target.files]);
      target.value = "";
    });
  }
  byId("video-stop").addEventListener("click", () => abort.abort());
  byId("video-json").addEventListener("click", () => save("mien.jsonl", looks.map(jsonLine).join(""), "application/x-ndjson"));
  byId("video-csv").addEventListener("click", () => {
    save("mien.csv", csvText(looks, app.classes().map(({ name }) => name)), "text/csv");
  });

  return {
    add,
    show: () => (draw(), showIntro(!file)),
    hide: () => view.pause(),
    optionsChanged: () => file && add([file]),
  };
}

function once(target, name, signal) {
  return new Promise((resolve, reject) => {
    const failed = () => reject(new Error("This browser cannot decode that video. Save it as MP4 (H.264) or WebM, or use mien predict."));
    target.addEventListener(name, resolve, { once: true });
    target.addEventListener("error", failed, { once: true });
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** A video's length in seconds; recordings of browsers do not say it, so their end is looked for. */
async function duration(video, signal) {
  if (video.duration === Infinity) {
    video.currentTime = 1e9;
    await once(video, "seeked", signal);
    return video.currentTime;
  }
  return video.duration;
}

async function frameAt(video, time, canvas, signal) {
  if (Math.abs(video.currentTime - time) > 1e-4 || time > 0) {
    video.currentTime = time;
    await once(video, "seeked", signal);
  }
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
}
