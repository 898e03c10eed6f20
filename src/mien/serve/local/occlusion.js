// Where on a face the answer comes from: a gray patch moves over it; see mien/explain/occlusion.py.

import { rounded } from "./predictor.js";

const PATCHES = 4; // side by side, they span a face
const FAINTEST = 0.02; // fall of probability that is drawn at full strength, at least
const FOR = [213, 94, 0], AGAINST = [0, 114, 178];

/** What the network saw of a face, and a map to lay over it, as PNG in base64. */
export async function explain(network, { data, width: side }, emotion, labels) {
  const drops = await occlusion(network, data, side, network.classes.indexOf(emotion), labels);
  const largest = Math.max(...drops.map(Math.abs), FAINTEST);
  const face = [...data].flatMap((gray) => [gray, gray, gray, 255]);
  const map = [...drops].flatMap((drop) => [...(drop > 0 ? FOR : AGAINST), (215 * Math.abs(drop)) / largest]);
  return {
    method: "occlusion",
    face: await png(face, side),
    map: await png(map, side),
    largest_fall: Number(rounded(Math.max(...drops), 4)),
    largest_rise: Number(rounded(-Math.min(...drops), 4)),
  };
}

/** How much the class's probability falls where the patch is centred, interpolated in between: side x side numbers. */
async function occlusion(network, face, side, target, labels) {
  const half = side / PATCHES / 2;
  const centres = Array.from({ length: Math.floor(side / half) + 1 }, (_, i) => i * half);
  const distance = centres.map((centre) => Array.from({ length: side }, (_, i) => Math.abs(i + 0.5 - centre) / half));
  const mean = Math.round(face.reduce((sum, gray) => sum + gray, 0) / face.length);
  const copies = distance.flatMap((down) => distance.map((across) => face.map((gray, i) => (down[Math.floor(i / side)] < 1 && across[i % side] < 1 ? mean : gray))));
  const [whole, ...hidden] = (await network.probabilities([face, ...copies], { labels })).map((answer) => answer[target]);
  const weight = (line, i) => Math.max(1 - line[i], 0);
  return Float32Array.from({ length: side * side }, (_, i) => {
    let drop = 0;
    distance.forEach((down, row) => {
      const share = weight(down, Math.floor(i / side));
      if (share) distance.forEach((across, column) => (drop += share * weight(across, i % side) * (whole - hidden[row * centres.length + column])));
    });
    return drop;
  });
}

async function png(data, side) {
  const canvas = new OffscreenCanvas(side, side);
  canvas.getContext("2d").putImageData(new ImageData(Uint8ClampedArray.from(data), side, side), 0, 0);
  const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
  return btoa(String.fromCharCode(...bytes));
}
