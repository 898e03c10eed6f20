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
  let lines = []; // of JSON, one a frame that was looked at: the shortest form to keep them in

  async function add([chosen]) {
    if (!chosen) return;
    abort?.abort();
    file = chosen;
    lines = [];
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
      await app.ready;
      length = await duration(reader, signal);
      const shrink = scale(Math.max(reader.videoWidth, reader.videoHeight));
      size = [reader.videoWidth, reader.videoHeight].map((side) => Math.round(side * shrink));
      byId("video-stage").style.setProperty("--ratio", size[0] / size[1]);
      const canvas = Object.assign(document.createElement("canvas"), { width: size[0], height: size[1] });
      const context = canvas.getContext("2d", { willReadFrequently: true });
      const tracker = new Tracker(500);
      let waiting = Promise.resolve();
      for (let number = 0; number * STEP < length && !signal.aborted; number++) {
        const time = number * STEP;
        await seek(reader, time, signal); // while the answer before is on its way
        await waiting;
        context.drawImage(reader, 0, 0, ...size);
        waiting = app.engine.frame(canvas, file.name, app.options(), signal).then((prediction) => take(prediction, number, time, tracker));
        waiting.catch(() => {});
      }
      await waiting;
      end(`${file.name}: ${count(lines.length, "frame")} looked at`);
    } catch (error) {
      if (signal !== abort.signal) return; // another video is looked at by now
      if (signal.aborted) return end(`${file.name}: stopped after ${count(lines.length, "frame")}`);
      app.failed(error);
      end(error.message);
    } finally {
      reader.removeAttribute("src");
      reader.load();
    }
  }

  function take(prediction, number, time, tracker) {
    alertLine();
    const faces = tracker.follow(prediction.faces, 1000 * time, app.options().min_confidence);
    lines.push(jsonLine(frameOf(prediction, number, time, faces)));
    timeline.add(time, largest(faces) ?? null);
    byId("video-state").textContent = `${file.name}: ${clock(time)} of ${clock(length)}`;
    if (view.paused) showAt(view.currentTime);
    else draw();
  }

  function busy(on) {
    byId("video-stop").hidden = !on;
    for (const id of ["video-json", "video-csv"]) byId(id).disabled = on;
    if (on) byId("video-state").textContent = `${file.name}: opening`;
  }

  function end(words) {
    busy(false);
    for (const id of ["video-json", "video-csv"]) byId(id).disabled = !lines.length;
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
    const line = lines[Math.min(lines.length - 1, Math.round(time / STEP))];
    const near = line && JSON.parse(line);
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
  byId("video-json").addEventListener("click", () => save("mien.jsonl", lines.join(""), "application/x-ndjson"));
  byId("video-csv").addEventListener("click", () => {
    save("mien.csv", csvText(lines.map((line) => JSON.parse(line)), app.classes().map(({ name }) => name)), "text/csv");
  });

  return {
    add,
    show: () => (draw(), showIntro(!file)),
    hide: () => view.pause(),
    optionsChanged: () => file && add([file]),
  };
}

/** Wait for an event; none of the listeners stays. */
function once(target, name, signal) {
  const settled = new AbortController();
  const waiting = new Promise((resolve, reject) => {
    const failed = () => reject(new Error("This browser cannot decode that video. Save it as MP4 (H.264) or WebM, or use mien predict."));
    target.addEventListener(name, resolve, { signal: settled.signal });
    target.addEventListener("error", failed, { signal: settled.signal });
    signal.addEventListener("abort", () => reject(signal.reason), { signal: settled.signal });
  });
  return waiting.finally(() => settled.abort());
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

async function seek(video, time, signal) {
  if (Math.abs(video.currentTime - time) <= 1e-4 && time === 0) return;
  video.currentTime = time;
  await once(video, "seeked", signal);
}
