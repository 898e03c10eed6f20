// The engine that runs the models in this page, with no server: see engine-http.js for what an engine is.

import { Mien } from "./mien/mien.js";

export async function connect() {
  navigator.serviceWorker?.register("sw.js").catch(() => {}); // without it the page only needs a network each time
  let mien;
  const loaded = () => (mien ??= Mien.load().catch((error) => {
    mien = undefined;
    throw error;
  }));

  async function predict(image, name, options, signal) {
    const line = await (await loaded()).line(image, name, options, signal);
    return { line, prediction: JSON.parse(line) };
  }

  const frame = async (canvas, name, options, signal) => (await predict(await createImageBitmap(canvas), name, options, signal)).prediction;

  return {
    where: "this page",
    leaves: "Nothing: the models run in this page, and pictures stay in it. Once loaded, it needs no network.",
    async models() {
      const { models, default: first } = await loaded();
      return { models, default: first };
    },
    predict,
    frame,
    live: (canvas, name, options, signal) => frame(canvas, name, { ...options, live: true }, signal),
    explain: async (blob, name, options, signal) => (await loaded()).explain(blob, options, name, signal),
  };
}
