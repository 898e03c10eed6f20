// How much of a face there is to judge by, from 0 to 1; see mien/predict/quality.py.

import { alignment, length } from "./faces.js";

const SCORES = [0.4, 0.95];
const SIDES = [8, 40];
const EDGES = [0.04, 0.14];

const share = (value, [low, high]) => Math.min(1, Math.max(0, (value - low) / (high - low)));

/** The product of three shares: the detector's score, size, and sharpness of the gray square that was cut out. */
export function quality(face, { data, width: side }, scale) {
  let across = 0, down = 0, sum = 0, squares = 0;
  for (let i = 0; i < data.length; i++) {
    if (i % side) across += Math.abs(data[i] - data[i - 1]);
    if (i >= side) down += Math.abs(data[i] - data[i - side]);
    sum += data[i];
    squares += data[i] ** 2;
  }
  const steps = (across + down) / (2 * side * (side - 1));
  const deviation = Math.sqrt(squares / data.length - (sum / data.length) ** 2);
  return share(face.score, SCORES) * share(scale * length(alignment(face.landmarks).turn), SIDES) * share(steps / Math.max(deviation, 1), EDGES);
}
