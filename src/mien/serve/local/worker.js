// The worker: onnxruntime-web, the detector and the models, one question after the other.

import * as ort from "./ort.wasm.min.mjs";
import { Network, metadata } from "./network.js";
import { Predictor } from "./predictor.js";
import { yunet } from "./yunet.js";

const MOST_THREADS = 4;
const OPTIONS = { executionProviders: ["wasm"], enableMemPattern: false, logSeverityLevel: 3 }; // memory patterns grow with each new shape

const aborted = new Set();
let models; // address of their folder
let list; // what is told of them
let predictor;
const networks = new Map();

ort.env.logLevel = "error";
ort.env.wasm.wasmPaths = { mjs: new URL("./ort-wasm-simd-threaded.mjs", import.meta.url).href, wasm: new URL("./ort-wasm-simd-threaded.wasm", import.meta.url).href };
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;

async function file(name) {
  const response = await fetch(new URL(name, models)).catch(() => ({ ok: false, status: "no answer" }));
  if (!response.ok) throw new Error(`${name} could not be loaded (${response.status}). Load this page again.`);
  return new Uint8Array(await response.arrayBuffer());
}

/** The network of that name, loaded once: WebAssembly's memory never shrinks. */
function network(name) {
  if (!networks.has(name)) {
    const loaded = file(`${encodeURIComponent(name)}.onnx`).then(async (bytes) => {
      const session = await ort.InferenceSession.create(bytes, OPTIONS);
      return new Network(ort, session, JSON.parse(metadata(bytes).mien), list.models.find((each) => each.name === name)?.labels);
    });
    loaded.catch(() => networks.delete(name));
    networks.set(name, loaded);
  }
  return networks.get(name);
}

const calls = {
  /** Load the detector and the model that answers where none is named. */
  async load(folder) {
    models = folder;
    list = JSON.parse(new TextDecoder().decode(await file("models.json")));
    const first = network(list.default); // on its way while the detector starts
    const session = await ort.InferenceSession.create(await file("detector.onnx"), OPTIONS);
    predictor = new Predictor(yunet(ort, session), (name) => network(name || list.default));
    await first;
    return { ...list, threads: ort.env.wasm.numThreads };
  },
  line: (source, name, options) => predictor.line(source, name, options),
  explain: (source, name, options) => predictor.explain(source, name, options),
};

let before = Promise.resolve();
addEventListener("message", ({ data: { id, call, given, abort } }) => {
  if (abort) return aborted.add(abort);
  before = before.then(async () => {
    if (aborted.delete(id)) return;
    try {
      postMessage({ id, answer: await calls[call](...given) });
    } catch (error) {
      postMessage({ id, error: error.message });
    }
    aborted.delete(id);
  });
});
