// The engine that asks the server this page came from.
//
// An engine is what `connect()` gives:
//   models()                               -> {models: [{name, classes: [{name, colour}], ...}], default}
//   predict(blob, name, options, signal)   -> {line, prediction}: the line as `mien predict --json` prints it, and parsed
//   explain(blob, name, options, signal)   -> a prediction whose faces have an `explanation`
//   frame(canvas, name, options, signal)   -> the prediction for a frame of a video
//   live(canvas, name, options, signal)    -> the same for a camera's; what the frames before showed may be used
//   where, leaves                          -> the computer that answers, and what leaves this one, in words
//   needsToken, setToken(token)            -> only where a server may ask for one
// options: {model, prior, min_confidence}. Failures are Errors whose message is a sentence for people.

import { pause } from "./dom.js";

const TRIES = 20;
const SMALL = 320; // pixels, the longer side of a frame in which known faces are looked for again
const LEAST = 48; // pixels of a face there: as many as the network sees
const BETWEEN = 1000; // ms, and as many times as long as it takes, between two full looks at a camera's frames
const TIMES = 5;

export class TokenNeeded extends Error {}

export async function connect() {
  let token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  if (token) history.replaceState(null, "", location.pathname + location.search);

  async function ask(path, body, signal, type) {
    const headers = { ...(token && { Authorization: `Bearer ${token}` }), ...(type && { "Content-Type": type }) };
    for (let left = TRIES; ; left--) {
      let response;
      try {
        response = await fetch(path, { method: body ? "POST" : "GET", body, headers, signal, cache: "no-store" });
      } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new Error("The server does not answer. Is mien serve still running?");
      }
      if (response.ok) return response;
      if (response.status === 503 && left > 0) {
        await pause(1000 * (Number(response.headers.get("Retry-After")) || 1) * (0.5 + Math.random()));
        continue;
      }
      const problem = await response.json().catch(() => ({ detail: response.statusText }));
      if (response.status === 401) throw new TokenNeeded(problem.detail);
      throw new Error(problem.detail);
    }
  }

  async function line(route, blob, name, options, signal) {
    const form = new FormData();
    form.append("file", blob, name);
    const query = new URLSearchParams(options);
    return (await ask(`v1/${route}?${query}`, form, signal)).text();
  }

  async function predict(blob, name, options, signal) {
    const text = await line("predict", blob, name, options, signal);
    return { line: text, prediction: JSON.parse(text) };
  }

  async function frame(canvas, name, options, signal) {
    const answer = await ask(`v1/predict?${new URLSearchParams(options)}`, jpeg(canvas), signal, "image/jpeg");
    return { ...(await answer.json()), source: name };
  }

  const small = document.createElement("canvas");
  let known = { faces: 0, next: 0 };

  /** A camera's frame: small where that shows as many faces as the last full one, not long ago. */
  async function live(canvas, name, options, signal) {
    const start = performance.now(), factor = SMALL / Math.max(canvas.width, canvas.height);
    if (known.faces && start < known.next && factor < 1) {
      Object.assign(small, { width: Math.round(factor * canvas.width), height: Math.round(factor * canvas.height) });
      small.getContext("2d").drawImage(canvas, 0, 0, small.width, small.height);
      const { faces, ...rest } = await frame(small, name, options, signal);
      if (faces.length >= known.faces) return { ...rest, faces: faces.map((face) => ({ ...face, box: face.box.map((value) => value / factor) })) };
    }
    const found = await frame(canvas, name, options, signal);
    const end = performance.now();
    const seen = found.faces.every(({ box }) => factor * Math.min(box[2], box[3]) >= LEAST);
    known = { faces: seen ? found.faces.length : 0, next: end + Math.max(BETWEEN, TIMES * (end - start)) };
    return found;
  }

  const here = /^(localhost|127\.|\[::1\])/.test(location.hostname);
  return {
    where: here ? "this computer" : location.hostname,
    leaves: here
      ? "Nothing: pictures go to the Mien that runs here, which neither keeps them nor passes them on."
      : `Pictures go to ${location.hostname}, where Mien runs, and nowhere else; it neither keeps them nor passes them on.`,
    setToken: (given) => (token = given),
    models: async () => (await ask("v1/models")).json(),
    predict,
    frame,
    live,
    explain: async (blob, name, options, signal) => JSON.parse(await line("explain", blob, name, options, signal)),
  };
}

/** A canvas as the bytes of a JPEG, at once: toBlob waits for idle moments, of which a page that moves has few. */
const jpeg = (canvas) => Uint8Array.from(atob(canvas.toDataURL("image/jpeg", 0.9).split(",")[1]), (char) => char.charCodeAt(0));
