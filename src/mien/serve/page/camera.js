// The camera: one frame on its way at a time; what the camera gives meanwhile is let go.

import { alertLine, announce, byId, el, percent, showIntro } from "./dom.js";
import { drawBoxes, facePanel } from "./faces.js";
import { Timeline } from "./timeline.js";
import { Tracker, largest } from "./track.js";

const SIDES = [640, 512, 416, 320]; // pixels, a frame's longer side: smaller where answers are slow
const ENOUGH = 10; // answers a second
const MINUTE = 60;
const REDRAW = 0.1; // seconds between two pictures of the timeline: it moves by about a pixel
const TICKS = [-60, -45, -30, -15, 0].map((time) => [time, time ? `${-time} s ago` : "now"]);
const REASONS = {
  NotAllowedError: "The browser may not use the camera. Allow it in the address bar, then try again.",
  NotFoundError: "There is no camera. Plug one in, then try again.",
  NotReadableError: "The camera is in use by another program. Close that, then try again.",
  OverconstrainedError: "That camera is gone. Choose another one.",
  AbortError: "The camera did not start. Try again.",
};

export function cameraView(app) {
  const [view, stage, which] = ["camera-view", "camera-stage", "camera-which"].map(byId);
  const canvas = document.createElement("canvas");
  const tracker = new Tracker();
  const timeline = new Timeline(byId("camera-time"));
  const panel = facePanel(byId("camera-face"), "The face in the picture shows here, as soon as there is one.");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let stream, size, abort, spoken;
  let side = 0; // index into SIDES
  let answered = [];
  let drawn = 0; // when the timeline was
  let fresh = false; // whether the camera gave a frame since the last look
  let arrived = () => {}; // called when it does, and when the page is seen again or the camera stopped
  timeline.draw([-MINUTE, 0], TICKS);

  async function start() {
    stop();
    byId("camera-start").disabled = true;
    showIntro(false); // now, as the click's own effect, and not when the camera gets going
    try {
      if (!navigator.mediaDevices) throw new Error("A browser gives the camera to https pages and to localhost only. Open this page there.");
      const wanted = which.value ? { deviceId: { exact: which.value } } : { facingMode: "user" };
      stream = await navigator.mediaDevices.getUserMedia({ video: { ...wanted, width: { ideal: 1280 }, height: { ideal: 720 } } });
      view.srcObject = stream;
      await view.play();
    } catch (error) {
      stop(REASONS[error.name] ?? error.message);
      showIntro(true);
      return;
    }
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => stop("The camera stopped. Is it still plugged in?"));
    stage.classList.toggle("mirrored", track.getSettings().facingMode !== "environment");
    byId("camera-cover").hidden = true;
    byId("camera-stop").disabled = false;
    byId("camera-stop").focus();
    timeline.clear();
    answered = [];
    abort = new AbortController();
    abort.signal.addEventListener("abort", () => arrived());
    document.addEventListener("visibilitychange", () => arrived(), { signal: abort.signal });
    list();
    animate(performance.now(), abort.signal);
    watch(abort.signal);
    look(abort.signal);
  }

  function stop(words) {
    abort?.abort();
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = view.srcObject = null;
    tracker.clear();
    panel(null);
    drawBoxes(byId("camera-boxes"), [], [1, 1]);
    byId("camera-cover").hidden = false;
    byId("camera-start").disabled = false;
    byId("camera-stop").disabled = true;
    byId("camera-rate").textContent = "";
    if (words) byId("camera-words").textContent = words;
    if (words) announce(words);
  }

  async function list() {
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
    const chosen = stream?.getVideoTracks()[0].getSettings().deviceId;
    which.replaceChildren(...cameras.map(({ deviceId, label }, i) => el("option", { value: deviceId, selected: deviceId === chosen }, label || `Camera ${i + 1}`)));
    byId("camera-choice").hidden = cameras.length < 2;
  }

  /** Ask frame after frame, as fast as answers come. */
  async function look(signal) {
    await app.ready;
    while (!signal.aborted) {
      await frame(signal);
      if (signal.aborted) return;
      const time = performance.now();
      try {
        grab();
        const prediction = await app.engine.live(canvas, "camera", app.options(), signal);
        if (signal.aborted) return;
        alertLine();
        take(prediction, time);
      } catch (error) {
        if (error.name === "AbortError") return;
        app.failed(error);
        stop(error.message);
        return;
      }
    }
  }

  /** A frame that was not looked at yet; none while the page is not seen. */
  function frame(signal) {
    return new Promise((resolve) => {
      arrived = () => {
        if (signal.aborted || (!document.hidden && (fresh || !view.requestVideoFrameCallback))) resolve();
      };
      arrived();
    });
  }

  /** Take note of each frame that the camera gives, so that none is waited for that is there. */
  function watch(signal) {
    view.requestVideoFrameCallback?.(() => {
      if (signal.aborted) return;
      fresh = true;
      arrived();
      watch(signal);
    });
  }

  function grab() {
    fresh = false;
    size = [view.videoWidth, view.videoHeight];
    const scale = Math.min(1, SIDES[side] / Math.max(...size));
    const [width, height] = size.map((length) => Math.round(scale * length));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    stage.style.setProperty("--ratio", width / height);
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(view, 0, 0, width, height);
  }

  function take(prediction, time) {
    const scale = size[0] / canvas.width;
    const faces = prediction.faces.map((face) => ({ ...face, box: face.box.map((value) => scale * value) }));
    const main = largest(tracker.follow(faces, time, app.options().min_confidence));
    panel(main);
    const now = performance.now();
    timeline.add(time / 1000, main ?? null);
    timeline.forget(now / 1000 - MINUTE - 1);
    speak(main, now);
    answered.push(now);
    if (answered.length > 30) answered.shift();
    const rate = answered.length > 1 ? (1000 * (answered.length - 1)) / (now - answered[0]) : 0;
    if (answered.length > ENOUGH && rate < ENOUGH && side < SIDES.length - 1) {
      side++;
      answered = [now];
    }
    if (!rate) return;
    byId("camera-rate").textContent = `${rate.toFixed(0)} answers a second`;
    byId("camera-rate").dataset.rate = rate.toFixed(2);
  }

  /** Screen readers hear of a change, at most every five seconds. */
  function speak(face, now) {
    if (spoken && now - spoken.now < 5000) return;
    const words = face ? face.emotion : "no face";
    if (spoken?.words !== words) announce(face ? `${words} ${percent(face.confidence)}` : words);
    spoken = { words, now };
    byId("camera-time").setAttribute("aria-label", timeline.words());
  }

  /** Between answers boxes go on and time passes. */
  function animate(before, signal) {
    requestAnimationFrame((now) => {
      if (signal.aborted) return;
      if (size) drawBoxes(byId("camera-boxes"), tracker.at(now, now - before, still.matches), size, stage.classList.contains("mirrored"));
      const seconds = performance.now() / 1000;
      if (seconds - drawn >= REDRAW) {
        drawn = seconds;
        timeline.draw([seconds - MINUTE, seconds], TICKS.map(([time, text]) => [seconds + time, text]));
      }
      animate(now, signal);
    });
  }

  byId("camera-start").addEventListener("click", start);
  byId("camera-stop").addEventListener("click", () => {
    stop();
    byId("camera-start").focus();
  });
  which.addEventListener("change", start);
  return { add: () => {}, show: () => timeline.draw(), hide: () => stream && stop(), optionsChanged: () => tracker.clear() };
}
