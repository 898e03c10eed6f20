// Mien in a browser, with no server: faces in pictures, and the expressions they show.
//
//     import { Mien } from "./mien/mien.js";
//     const mien = await Mien.load("/models");
//     const { faces } = await mien.predict(image);
//
// The folder of models is one that `mien page OUT` writes, OUT/models. Pictures stay in this browser.

export class Mien {
  #worker;
  #waiting = new Map();
  #last = 0;
  #list;

  /** Load the detector and the default model. models: the address of their folder. */
  static async load(models = new URL("../models/", import.meta.url)) {
    const mien = new Mien();
    const folder = new URL(`${String(models).replace(/\/$/, "")}/`, globalThis.document?.baseURI ?? import.meta.url);
    mien.#list = await mien.#ask("load", [folder.href]);
    return mien;
  }

  constructor() {
    this.#worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.#worker.addEventListener("message", ({ data: { id, answer, error } }) => {
      const { resolve, reject } = this.#waiting.get(id) ?? {};
      this.#waiting.delete(id);
      if (error === undefined) resolve?.(answer);
      else reject?.(new Error(error));
    });
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      for (const { reject } of this.#waiting.values()) reject(new Error("This browser could not start the model. Update it, or use mien serve."));
      this.#waiting.clear();
    });
  }

  /** Names, classes, sizes and measured figures of the models; `default` answers where none is named. */
  get models() {
    return this.#list.models;
  }

  get default() {
    return this.#list.default;
  }

  /** Threads that WebAssembly uses: more than one in a page that is cross-origin isolated. */
  get threads() {
    return this.#list.threads;
  }

  /**
   * The faces in a picture and the expression on each, as `mien predict --json` tells them.
   *
   * image: a Blob or File, an <img>, <canvas> or <video>, an ImageBitmap or ImageData. A Blob's pixels are those that
   * Python sees; an element's those that the browser shows. options: model, labels ("votes", "fer2013"), prior ("natural", "uniform"), crop
   * ("detect", "none"), min_confidence, min_face, max_faces, upright, tta; see `mien predict --help`. A Blob that is no
   * picture gives an `error` and no faces.
   */
  async predict(image, options = {}) {
    return JSON.parse(await this.line(image, image?.name ?? "image 1", options));
  }

  /** The same as the line that `mien predict --json` prints. */
  async line(image, name, options = {}, signal) {
    return this.#ask("line", [await sent(image), name, options], signal);
  }

  /** The same with an `explanation` for each face, the twelve largest at most: PNG in base64 of the face and a map. */
  async explain(image, options = {}, name = image?.name ?? "image 1", signal) {
    return this.#ask("explain", [await sent(image), name, options], signal);
  }

  /** End the worker; what waits is refused. */
  close() {
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(new Error("closed"));
    this.#waiting.clear();
  }

  #ask(call, given, signal) {
    signal?.throwIfAborted();
    const id = ++this.#last;
    const settled = new AbortController();
    const answer = new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      const aborted = () => {
        this.#waiting.delete(id);
        this.#worker.postMessage({ abort: id });
        reject(signal.reason);
      };
      signal?.addEventListener("abort", aborted, { signal: settled.signal });
      this.#worker.postMessage({ id, call, given }, given.filter((each) => each instanceof ImageBitmap));
    });
    return answer.finally(() => settled.abort()); // or a long video's signal would hold every answer
  }
}

/** A picture as it can be sent to the worker. */
async function sent(image) {
  if (image instanceof Blob || image instanceof ImageData) return image;
  return createImageBitmap(image, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
}
