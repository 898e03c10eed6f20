// Runs a model of Mien from JavaScript, with onnxruntime-web: the same code works in a browser.
//
//     cd examples/onnx && npm install --ignore-scripts
//     node predict.mjs model.onnx face.pgm
//
// face.pgm is a face of 48 x 48 gray pixels in the simplest format there is (P5). It prints one JSON object:
// the probability of each class. docs/export.md has the contract that this relies on.
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web";

const SIDE = 48;

// The metadata of an ONNX file (field 14 of a protobuf message: pairs of key and value), as an object of strings.
function metadata(bytes) {
  const text = new TextDecoder();
  const fields = function* (start, end) {
    let at = start;
    const varint = () => {
      let value = 0;
      for (let scale = 1; ; scale *= 128) {
        const byte = bytes[at++];
        value += (byte & 127) * scale;
        if (byte < 128) return value;
      }
    };
    while (at < end) {
      const key = varint();
      if (key % 8 === 0) varint();
      else if (key % 8 === 2) {
        const length = varint();
        yield [key >> 3, at, at + length];
        at += length;
      } else throw new Error(`unexpected wire type ${key % 8}`);
    }
  };
  const found = {};
  for (const [field, start, end] of fields(0, bytes.length)) {
    if (field !== 14) continue;
    const [key, value] = [...fields(start, end)].map(([, from, to]) => text.decode(bytes.subarray(from, to)));
    found[key] = value;
  }
  return found;
}

// The gray pixels of a binary PGM file, as network input: float32 in [0, 1].
function readFace(bytes) {
  const head = /^P5\s+(\d+)\s+(\d+)\s+255\s/.exec(new TextDecoder("latin1").decode(bytes.subarray(0, 64)));
  if (!head || +head[1] !== SIDE || +head[2] !== SIDE) throw new Error(`not a PGM file of ${SIDE} x ${SIDE} pixels`);
  const pixels = bytes.subarray(head[0].length, head[0].length + SIDE * SIDE);
  return Float32Array.from(pixels, (gray) => gray / 255);
}

const [modelPath, facePath] = process.argv.slice(2);
const model = await readFile(modelPath);
const { classes } = JSON.parse(metadata(model).mien);

ort.env.logLevel = "error";
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(model);
const faces = new ort.Tensor("float32", readFace(await readFile(facePath)), [1, 1, SIDE, SIDE]);
const { probabilities } = await session.run({ faces });
console.log(JSON.stringify(Object.fromEntries(classes.map((name, k) => [name, probabilities.data[k]]))));
