// YuNet (Wu et al. 2023, doi:10.1007/s11633-023-1423-y), a network that finds faces; see mien/predict/yunet.py.

import { distinct } from "./boxes.js";

const STRIDES = [8, 16, 32]; // pixels between the cells of its three grids
const PARTS = ["cls", "obj", "bbox", "kps"];
const SAME = 0.3; // overlap (intersection over union) from which on two finds are one face

/** What finds faces with an open session: `detect(pictures, least)` gives those of each picture of one size. */
export function yunet(ort, session) {
  return async (pictures, least) => {
    const [width, height] = [pictures[0].width, pictures[0].height].map((side) => Math.ceil(side / 32) * 32);
    const input = new ort.Tensor("float32", planes(pictures, width, height), [pictures.length, 3, height, width]);
    const outputs = await session.run({ input });
    const faces = pictures.map((_, i) => facesOf(outputs, i, pictures.length, width, least));
    for (const tensor of Object.values(outputs)) tensor.dispose();
    return faces;
  };
}

/** Blue, green, red; 0 to 255; right and below zeros. */
function planes(pictures, width, height) {
  const pixels = new Float32Array(pictures.length * 3 * width * height);
  pictures.forEach((picture, n) => {
    const { data, bands } = picture;
    for (let plane = 0; plane < 3; plane++) {
      const start = (3 * n + plane) * width * height;
      let from = bands === 3 ? 2 - plane : 0;
      for (let y = 0; y < picture.height; y++) {
        for (let x = 0, to = start + y * width; x < picture.width; x++, from += bands) pixels[to++] = data[from];
      }
    }
  });
  return pixels;
}

/** The faces of picture `n` of `count`: box [left, top, right, bottom], landmarks [[x, y], ...], score. */
function facesOf(outputs, n, count, width, least) {
  const found = [];
  for (const stride of STRIDES) {
    const across = width / stride;
    const [classes, objects, boxes, points] = PARTS.map((part) => {
      const { data } = outputs[`${part}_${stride}`];
      return data.subarray((n * data.length) / count, ((n + 1) * data.length) / count);
    });
    for (let cell = 0; cell < classes.length; cell++) {
      const score = Math.fround(Math.sqrt(Math.fround(classes[cell] * objects[cell])));
      if (!(score >= least)) continue;
      found.push(faceAt(cell % across, Math.floor(cell / across), stride, score, boxes.subarray(4 * cell), points.subarray(10 * cell)));
    }
  }
  const whole = found.map(({ box, size }) => {
    const [left, top, w, h] = [box[0], box[1], ...size].map(Math.trunc); // as OpenCV compares them
    return [left, top, left + w, top + h];
  });
  return distinct(whole, found.map(({ score }) => score), SAME).map((i) => {
    const { box, landmarks, score } = found[i];
    return { box, landmarks, score };
  });
}

/** A face, in float32 as numpy computes it. */
function faceAt(column, row, stride, score, box, points) {
  const f = Math.fround;
  const cell = [column, row];
  const size = [0, 1].map((i) => f(f(Math.exp(box[2 + i])) * stride));
  const start = [0, 1].map((i) => f(f(f(cell[i] + box[i]) * stride) - f(size[i] / 2)));
  const landmarks = [0, 1, 2, 3, 4].map((k) => [0, 1].map((i) => f(f(cell[i] + points[2 * k + i]) * stride)));
  return { box: [start[0], start[1], start[0] + size[0], start[1] + size[1]], size, landmarks, score };
}
