// Faces cut out of pictures as FER-2013's faces are cut; see mien/predict/faces.py.
//
// Points are complex numbers as [x, y]. A face's place is `turn` and `origin`: origin + turn p is the point in the picture
// of the point p in the face, which is a share of its side.

const POSITIONS = [[0.31, 0.38], [0.69, 0.38], [0.5, 0.59], [0.344, 0.758], [0.656, 0.758]];
const ALIGNING = [0, 1, 3, 4]; // the eyes and the corners of the mouth
const IN_BOX = [[0.28, 0.38], [0.72, 0.38], [0.5, 0.59], [0.325, 0.745], [0.675, 0.745]];
const LONGEST_SIDE = 384; // pixels of a cut-out face, whatever the photo's
const STEPS = 8; // of a pixel, to which landmarks are rounded: their last bits differ between machines

export { ALIGNING, POSITIONS };

/** Round half to even, as Python does. */
export function round(value) {
  const below = Math.floor(value), rest = value - below;
  return below + (rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? 1 : 0);
}

export const times = ([a, b], [c, d]) => [a * c - b * d, a * d + b * c];
export const plus = ([a, b], [c, d]) => [a + c, b + d];
export const length = ([a, b]) => Math.hypot(a, b);

export function meanPoint(points) {
  const [x, y] = points.reduce(plus, [0, 0]);
  return [x / points.length, y / points.length];
}

/** The turn and origin that fit eyes and mouth best in the sense of least squares. */
export function alignment(landmarks) {
  const there = ALIGNING.map((i) => POSITIONS[i]), here = ALIGNING.map((i) => landmarks[i]);
  const middleThere = meanPoint(there), middleHere = meanPoint(here);
  let turn = [0, 0], norm = 0;
  there.forEach(([x, y], i) => {
    const [ax, ay] = [x - middleThere[0], y - middleThere[1]];
    const [hx, hy] = [here[i][0] - middleHere[0], here[i][1] - middleHere[1]];
    turn = plus(turn, times([ax, -ay], [hx, hy]));
    norm += ax * ax + ay * ay;
  });
  turn = [turn[0] / norm, turn[1] / norm];
  const [x, y] = times(turn, middleThere);
  return { turn, origin: [middleHere[0] - x, middleHere[1] - y] };
}

/** By how many degrees clockwise a face is turned, from -180 to 180. */
export function roll({ landmarks }) {
  const { turn } = alignment(landmarks);
  return (Math.atan2(turn[1], turn[0]) * 180) / Math.PI;
}

/** Where the five points of an upright face usually lie in its box [left, top, width, height]. */
export const usualLandmarks = ([left, top, width, height]) => IN_BOX.map(([x, y]) => [left + x * width, top + y * height]);

/** The face with these landmarks as an upright square of a multiple of `size` pixels. */
export function cutOut(picture, landmarks, size) {
  const { turn, origin } = alignment(landmarks.map((point) => point.map((value) => round(value * STEPS) / STEPS)));
  const side = length(turn);
  const shrink = Math.max(1, Math.trunc(side / LONGEST_SIDE));
  return turnedSquare(picture, origin, turn, size * Math.ceil(side / shrink / size), shrink);
}

/** The square from `origin` to origin + turn (1 + i), upright, `pixels` wide; before, the picture is made `shrink` times smaller. */
export function turnedSquare(picture, origin, turn, pixels, shrink) {
  const corners = [[0, 0], [1, 0], [0, 1], [1, 1]].map((corner) => plus(origin, times(turn, corner)));
  const xs = corners.map(([x]) => x), ys = corners.map(([, y]) => y);
  const left = Math.floor(Math.min(...xs)) - 1, top = Math.floor(Math.min(...ys)) - 1;
  const right = Math.ceil(Math.max(...xs)) + 1, bottom = Math.ceil(Math.max(...ys)) + 1;
  const { region, start } = regionOf(picture, left, top, right, bottom, shrink);
  const [a, d] = turn.map((part) => part / shrink / pixels);
  const [c, f] = [(origin[0] - start[0]) / shrink, (origin[1] - start[1]) / shrink];
  return region.affine(pixels, [a, -d, c, d, a, f]);
}

/** A part of a picture, `shrink` times smaller, and its corner; mirrored beyond the picture. */
function regionOf(picture, left, top, right, bottom, shrink) {
  const inside = [Math.max(left, 0), Math.max(top, 0), Math.min(right, picture.width), Math.min(bottom, picture.height)];
  const region = picture.crop(...inside).reduce(shrink);
  const [before, above] = [(inside[0] - left) / shrink, (inside[1] - top) / shrink].map(Math.ceil);
  const [behind, below] = [(right - inside[2]) / shrink, (bottom - inside[3]) / shrink].map(Math.ceil);
  const start = [inside[0] - shrink * before, inside[1] - shrink * above];
  return { region: region.crop(-before, -above, region.width + behind, region.height + below), start };
}

/** The gray square, `size` pixels wide, that the network gets of a picture. */
export function square(picture, size) {
  const gray = picture.gray();
  const side = Math.min(gray.width, gray.height);
  const left = Math.floor((gray.width - side) / 2), top = Math.floor((gray.height - side) / 2);
  return gray.crop(left, top, left + side, top + side).resize(size, size);
}
