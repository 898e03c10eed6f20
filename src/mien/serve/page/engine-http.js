// The engine that asks the server this page came from.
//
// An engine is what `connect()` gives:
//   models()                               -> {models: [{name, classes: [{name, colour}], ...}], default}
//   predict(blob, name, options, signal)   -> {line, prediction}: the line as `mien predict --json` prints it, and parsed
//   explain(blob, name, options, signal)   -> a prediction whose faces have an `explanation`
//   frame(canvas, name, options, signal)   -> the same for the frame of a camera; what the frame before showed may be used
//   where, leaves                          -> the computer that answers, and what leaves this one, in words
//   needsToken, setToken(token)            -> only where a server may ask for one
// options: {model, prior, min_confidence}. Failures are Errors whose message is a sentence for people.

import { pause } from "./dom.js";

const TRIES = 20;

export class TokenNeeded extends Error {}

export async function connect() {
  let token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  if (token) history.replaceState(null, "", location.pathname + location.search);

  async function ask(path, body, signal) {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
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

  const here = /^(localhost|127\.|\[::1\])/.test(location.hostname);
  return {
    where: here ? "this computer" : location.hostname,
    leaves: here
      ? "Nothing: pictures go to the Mien that runs here, which neither keeps them nor passes them on."
      : `Pictures go to ${location.hostname}, where Mien runs, and nowhere else; it neither keeps them nor passes them on.`,
    setToken: (given) => (token = given),
    models: async () => (await ask("v1/models")).json(),
    predict,
    frame: async (canvas, name, options, signal) => predict(await jpeg(canvas), name, options, signal),
    explain: async (blob, name, options, signal) => JSON.parse(await line("explain", blob, name, options, signal)),
  };
}

const jpeg = (canvas) => new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
