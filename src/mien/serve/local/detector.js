// Finding the faces in a picture, whichever way it or they are turned; see mien/predict/detector.py, whose steps, names
// and constants these are.

import { area, distinct, inside, intersection } from "./boxes.js";
import { ALIGNING, POSITIONS, alignment, length, meanPoint, plus, roll, round, times, turnedSquare } from "./faces.js";

export const MIN_FACE = 96;
const LARGE_LOOK = 1_228_800, SMALL_LOOK = 320;
const TILE = 2048, SHARED = 160;
const LARGEST_IN_TILES = 320;
const LEAST_PIXELS = 48;
const MOST_ENLARGED = 2, LEAST_ENLARGED = 1.2;
const SAME = 0.3;
const SMALLEST = 8;

const SURE = 0.92, LIKELY = 0.75, CANDIDATE = 0.4, FAINT = 0.25;
const TILTED = 15, STEEP = 25;
const CONFIRMED = 0.66, CONFIRMED_FAINT = 0.78, REFUTED = 0.2;
const CONFIRMED_TURNED = 0.75, MARGIN = 0.06;
const AHEAD_BY = 0.03;
const HOPELESS = 0.55;
const UPRIGHT = [0, 45, 315], TURNED = [90, 135, 180, 225, 270];
const MOST_CANDIDATES = 12;
const CLOSE = 160, ROOM = 1.8, QUICK = 128;
const ALIKE = 25;

const byBox = (one, other) => one.box.map((edge, i) => edge - other.box[i]).find((gap) => gap) ?? 0;
const sum = (values) => values.reduce((total, value) => total + value, 0);

/** Finds faces; detect: see yunet.js. */
export class Detector {
  constructor(detect) {
    this.detect = detect;
  }

  /** The faces of a picture, from left to right, and by how many degrees clockwise it lies; turned: where that is known. */
  async find(image, minFace = MIN_FACE, turned = null) {
    if (turned) {
      const { faces } = await this.find(image.turned(360 - turned), minFace, 0);
      return { faces: faces.map((face) => turnedBack(face, image, turned)).sort(byBox), turned };
    }
    const faces = await this.#judged(await this.#candidates(image, minFace), image, turned === null);
    if (turned === null) {
      const turns = faces.map((face) => [Math.max(0, face.score - LIKELY), (roll(face) * Math.PI) / 180]);
      const [x, y] = [Math.cos, Math.sin].map((part) => sum(turns.map(([length, angle]) => length * part(angle))));
      const angle = quarter((Math.atan2(y, x) * 180) / Math.PI);
      if (angle) return this.find(image, minFace, angle);
    }
    return { faces: faces.sort(byBox), turned: 0 };
  }

  /** The faces of a camera's next frame that a small look finds for certain, from left to right. */
  async lookAgain(image) {
    const factor = SMALL_LOOK / image.longest;
    const faces = await this.#seenIn(scaled(image, image, factor), image, factor, LIKELY);
    return faces.filter((face) => Math.abs(roll(face)) < TILTED).sort(byBox);
  }

  /** What may be a face, the highest score first. */
  async #candidates(image, minFace) {
    const usual = Math.sqrt(LARGE_LOOK / (image.width * image.height));
    let wanted = Math.min(Math.max(usual, LEAST_PIXELS / minFace), MOST_ENLARGED);
    if (wanted > 1 && wanted < LEAST_ENLARGED) wanted = 1;
    const inTiles = image.longest * wanted > TILE;
    const large = inTiles ? Math.min(usual, wanted) : wanted;
    let picture = image, found = [];
    for (const factor of new Set([large, Math.min(large, SMALL_LOOK / image.longest)])) {
      picture = scaled(picture, image, factor);
      found.push(...(await this.#seenIn(picture, image, factor, factor >= 1 ? CANDIDATE : FAINT)));
    }
    found = withoutCopies(found);
    if (inTiles) {
      const likely = found.filter(({ score }) => score >= LIKELY);
      found.push(...withoutCopies((await this.#lookInTiles(image, wanted)).filter((face) => !covered(face, likely))));
    }
    return found.sort((one, other) => other.score - one.score);
  }

  /** The faces seen in a picture that is `image` made `factor` times as large, in pixels of `image`. */
  async #seenIn(picture, image, factor, least) {
    const [faces] = await this.detect([picture], least);
    return faces.map((face) => moved(face, [0, 0], factor)).filter((face) => isSound(face, image));
  }

  /** The small faces seen when the picture is made `factor` times as large, a part at a time. */
  async #lookInTiles(image, factor) {
    const found = [];
    for (const [top, bottom] of parts(image.height, factor)) {
      for (const [left, right] of parts(image.width, factor)) {
        const part = image.crop(left, top, right, bottom);
        const [faces] = await this.detect([scaled(part, part, factor)], FAINT);
        const small = faces.filter(({ box }) => Math.max(box[2] - box[0], box[3] - box[1]) < LARGEST_IN_TILES);
        found.push(...small.map((face) => moved(face, [left, top], factor)).filter((face) => isSound(face, image)));
      }
    }
    return found;
  }

  /** Those candidates, the highest score first, that are faces, looked at again where there is doubt. */
  async #judged(candidates, image, tellTurn) {
    const faces = [];
    let upright = !tellTurn || candidates.some((face) => face.score >= SURE && Math.abs(roll(face)) < TILTED);
    const most = Math.floor((MOST_CANDIDATES * (3 + Math.floor((image.width * image.height) / LARGE_LOOK))) / 3);
    let seconds = 0;
    for (const face of candidates) {
      const likely = face.score >= LIKELY;
      if (Math.abs(roll(face)) < TILTED && face.score >= (upright ? LIKELY : SURE)) faces.push(face);
      else if (seconds < most && (likely || !covered(face, faces))) {
        seconds++;
        const again = await this.#secondLook(face, image, !upright);
        upright ||= likely && again === face;
        if (again && ((likely && again === face) || !covered(again, faces))) faces.push(again);
      } else if (likely) faces.push(face);
    }
    return faces;
  }

  /** A candidate by itself: the same, the same the other way up, or null where it is no face. */
  async #secondLook(face, image, tellTurn) {
    const likely = face.score >= LIKELY, straight = Math.abs(roll(face)) < TILTED;
    if (likely && straight && tellTurn) {
      const [ahead, ...others] = await this.#seen([0, 90, 180, 270].map((angle) => close(image, face, angle, QUICK).picture));
      if (ahead.score > Math.max(CONFIRMED, ...others.map(({ score }) => score))) return face;
    }
    const angles = face.score < CANDIDATE ? [0] : [...UPRIGHT, ...(tellTurn ? TURNED : [])];
    const views = angles.map((angle) => close(image, face, angle));
    const first = await this.#seen(views.map(({ picture }) => picture));
    if (likely && straight && tellTurn) {
      const [ahead, ...others] = [0, 90, 180, 270].map((angle) => first[angles.indexOf(angle)].score);
      if (ahead > Math.max(LIKELY, Math.max(...others) + AHEAD_BY)) return face;
    }
    const bestOf = (indices) => indices.reduce((best, i) => (first[i].score > first[best].score ? i : best));
    const upright = bestOf(UPRIGHT.map((_, i) => i).slice(0, angles.length)), best = bestOf(angles.map((_, i) => i));
    let chosen = upright;
    if (!likely && first[best].score < HOPELESS) return null;
    const turned = TURNED.includes(angles[best]);
    if (turned && (await this.#meanScore(views[best].picture)) > (await this.#meanScore(views[upright].picture)) + MARGIN) chosen = best;
    if (angles[chosen] || !straight) {
      let other = place(views[chosen], first[chosen]);
      for (let i = 0; i < 2; i++) {
        const view = close(image, other, roll(other));
        other = place(view, (await this.#seen([view.picture]))[0]);
      }
      const steep = isSound(other, image) && Math.abs(roll(other)) >= STEEP;
      if (steep && (await this.#meanScore(close(image, other, roll(other)).picture)) >= CONFIRMED_TURNED) {
        return { ...other, score: Math.max(face.score, other.score) };
      }
    }
    const score = await this.#meanScore(close(image, face, roll(face)).picture);
    const confirmed = face.score >= CANDIDATE ? CONFIRMED : CONFIRMED_FAINT;
    return score >= (likely ? REFUTED : confirmed) ? face : null;
  }

  /** How much like a face a second look is: as it is and with full contrast, and both mirrored. */
  async #meanScore(picture) {
    const clear = picture.autocontrast(1).withBands(picture.bands);
    const faces = await this.#seen([picture, clear, picture.mirror(), clear.mirror()]);
    return sum(faces.map(({ score }) => score)) / faces.length;
  }

  /** The likeliest face around the middle of each second look; one with a score of 0 where there is none. */
  async #seen(pictures) {
    const side = pictures[0].width;
    const middle = [0.25, 0.25, 0.75, 0.75].map((edge) => side * edge);
    const nothing = { box: middle, landmarks: POSITIONS.map(([x, y]) => [side * x, side * y]), score: 0 };
    return (await this.detect(pictures, 0.05)).map((faces) => {
      const central = faces.filter(({ box }) => isIn(box, middle));
      return central.reduce((best, face) => (face.score > best.score ? face : best), central[0] ?? nothing);
    });
  }
}

function withoutCopies(faces) {
  return distinct(faces.map(({ box }) => box), faces.map(({ score }) => score), SAME).map((i) => faces[i]);
}

/** Where tiles begin and end that cover a side, all of one length, and share some pixels. */
function parts(whole, factor) {
  const shared = Math.ceil(SHARED / factor);
  const count = Math.max(1, Math.ceil((whole - shared) / (TILE / factor - shared)));
  const tile = Math.ceil((whole + (count - 1) * shared) / count);
  return Array.from({ length: count }, (_, i) => round((i * (whole - tile)) / Math.max(1, count - 1))).map((start) => [start, start + tile]);
}

/** Whether most of a box lies in another, or most of another in it. */
function covered({ box }, others) {
  return others.some((other) => intersection(box, other.box) > 0.5 * Math.min(area(box), area(other.box)));
}

/** `image` made `factor` times as large, out of a picture of all of it. */
function scaled(picture, image, factor) {
  const [width, height] = [image.width, image.height].map((each) => Math.max(1, round(each * factor)));
  return picture.resizeFast(width, height);
}

/** A face seen in a part, which begins at `start`, of a picture, after it was made `factor` times as large. */
function moved(face, start, factor) {
  const box = face.box.map((edge, i) => edge / factor + start[i % 2]);
  return { ...face, box, landmarks: face.landmarks.map(([x, y]) => [x / factor + start[0], y / factor + start[1]]) };
}

/** Whether the middle of a box is in an area. */
function isIn([left, top, right, bottom], place) {
  const [across, down] = [(left + right) / 2, (top + bottom) / 2];
  return inside([across, down, across, down], place);
}

/** A second look: the square from `origin` to origin + turn (1 + i), upright, `pixels` wide and high. */
function close(image, face, angle, pixels = CLOSE) {
  const [left, top, right, bottom] = face.box;
  const across = Math.min(Math.max((left + right) / 2, 0), image.width - 1);
  const down = Math.min(Math.max((top + bottom) / 2, 0), image.height - 1);
  const side = ROOM * Math.max(1, Math.sqrt((right - left) * (bottom - top)));
  const radians = (angle * Math.PI) / 180;
  const turn = [side * Math.cos(radians), side * Math.sin(radians)];
  const [x, y] = times(turn, [1, 1]);
  const origin = [across - x / 2, down - y / 2];
  const picture = turnedSquare(image, origin, turn, pixels, Math.max(1, Math.trunc(length(turn) / pixels)));
  return { picture, origin, turn };
}

/** A face seen in a second look, in pixels of the whole picture; its box stands upright around the same middle. */
function place({ picture, origin, turn }, face) {
  const step = turn.map((part) => part / picture.width);
  const [left, top, right, bottom] = face.box;
  const landmarks = face.landmarks.map((point) => plus(origin, times(step, point)));
  const middle = plus(origin, times(step, [(left + right) / 2, (top + bottom) / 2]));
  let [width, height] = [length(step) * (right - left), length(step) * (bottom - top)];
  if (Math.abs(step[1]) > Math.abs(step[0])) [width, height] = [height, width];
  const start = [middle[0] - width / 2, middle[1] - height / 2];
  return { box: [...start, start[0] + width, start[1] + height], landmarks, score: face.score };
}

/** The quarter turn by which a picture lies whose faces lie by `angle` degrees on average; 0 if between two. */
function quarter(angle) {
  const turns = round(angle / 90);
  return Math.abs(angle - 90 * turns) <= ALIKE ? 90 * (((turns % 4) + 4) % 4) : 0;
}

/** A face of the upright picture in pixels of `image`, which lies by `turned` degrees clockwise. */
function turnedBack(face, { width, height }, turned) {
  const corner = { 90: [width, 0], 180: [width, height], 270: [0, height] }[turned];
  const turn = { 90: [0, 1], 180: [-1, 0], 270: [0, -1] }[turned];
  const back = (point) => plus(corner, times(turn, point));
  const [one, other] = [back(face.box.slice(0, 2)), back(face.box.slice(2))];
  const box = [Math.min(one[0], other[0]), Math.min(one[1], other[1]), Math.max(one[0], other[0]), Math.max(one[1], other[1])];
  return { box, landmarks: face.landmarks.map(back), score: face.score };
}

/** Whether a face lies in the picture and has a size: otherwise there is nothing to cut out. */
function isSound({ landmarks }, image) {
  if (!landmarks.flat().every(Number.isFinite)) return false;
  const [across, down] = meanPoint(ALIGNING.map((i) => landmarks[i]));
  const side = length(alignment(landmarks).turn);
  return across >= 0 && across < image.width && down >= 0 && down < image.height && side >= SMALLEST && side <= 4 * image.longest;
}
