// From pictures to expressions, and the lines that `mien predict --json` prints; see mien/predict/predictor.py.

import { Detector, MIN_FACE } from "./detector.js";
import { cutOut, round, square } from "./faces.js";
import { explain } from "./occlusion.js";
import { PictureError, readPicture, takeBitmap, takeImageData } from "./pictures.js";
import { quality } from "./quality.js";

const MOST_EXPLAINED = 12; // faces of a picture
const BETWEEN = 1000; // ms, and as many times as long as it takes, between two full looks at a camera's frames
const TIMES = 5;

export class Predictor {
  /** detect: see yunet.js; network(name): a promise of that Network. */
  constructor(detect, network) {
    this.detector = new Detector(detect);
    this.network = network;
    this.live = { faces: 0, next: 0 };
  }

  /** The line of JSON for a Blob, ImageBitmap or ImageData. */
  async line(source, name, options) {
    try {
      const { faces, cuts, ...rest } = await this.#named(source, name, options);
      return toLine({ source: name, faces, ...rest });
    } catch (error) {
      if (!(error instanceof PictureError)) throw error;
      return toLine({ source: name, faces: [], error: error.message });
    }
  }

  /** A prediction whose faces, the twelve largest at most, have an `explanation`. */
  async explain(source, name, options) {
    const most = Math.min(options.max_faces || MOST_EXPLAINED, MOST_EXPLAINED);
    const { faces, ...rest } = await this.#named(source, name, { ...options, max_faces: most });
    const network = await this.network(options.model);
    const prediction = JSON.parse(toLine({ source: name, faces, ...rest }));
    for (const [i, face] of prediction.faces.entries()) face.explanation = await explain(network, faces[i].square, faces[i].emotion, options.labels);
    return prediction;
  }

  async #named(source, name, options) {
    const network = await this.network(options.model);
    const { picture, scale, animated } = await take(source, name);
    const { cuts, turned } = await this.#cuts(picture, scale, network.size, options);
    const answers = await network.probabilities(cuts.map((cut) => cut.square.data), options);
    if (options.tta) {
      const mirrored = await network.probabilities(cuts.map((cut) => cut.square.mirror().data), options);
      answers.forEach((answer, n) => answer.forEach((value, k) => (answer[k] = Math.fround(0.5 * Math.fround(value + mirrored[n][k])))));
    }
    const faces = cuts.map((cut, n) => face(cut, network.classes, answers[n], options.min_confidence ?? 0));
    return { faces: largest(faces, options.max_faces), turned, animated };
  }

  async #cuts(picture, scale, size, options) {
    if (options.crop === "none") {
      const box = [0, 0, scale * picture.width, scale * picture.height];
      return { cuts: [{ box, square: square(picture, size) }], turned: 0 };
    }
    const { faces, turned } = options.live ? await this.#follow(picture) : await this.#find(picture, scale, options);
    const cuts = faces.map((found) => {
      const gray = square(cutOut(picture, found.landmarks, size), size);
      const landmarks = found.landmarks.map((point) => point.map((value) => value * scale));
      return { box: boxOf(found, picture, scale), square: gray, landmarks, score: found.score, quality: quality(found, gray, scale) };
    });
    return { cuts, turned };
  }

  #find(picture, scale, { min_face = MIN_FACE, upright = false }) {
    return this.detector.find(picture, min_face / scale, upright ? 0 : null);
  }

  /** The faces of a camera's frame: by a small look where that shows as many as the last full one, not long ago. */
  async #follow(picture) {
    const start = performance.now();
    if (this.live.faces && start < this.live.next) {
      const faces = await this.detector.lookAgain(picture);
      if (faces.length >= this.live.faces) return { faces, turned: 0 };
    }
    const found = await this.detector.find(picture, MIN_FACE, 0);
    const end = performance.now();
    this.live = { faces: found.faces.length, next: end + Math.max(BETWEEN, TIMES * (end - start)) };
    return found;
  }
}

async function take(source, name) {
  if (source instanceof Blob) return readPicture(source, name);
  return { ...(source instanceof ImageData ? takeImageData(source) : takeBitmap(source)), animated: false };
}

/** A face's box [left, top, width, height] in original pixels, as far as it lies in the picture. */
function boxOf({ box }, { width, height }, scale) {
  const [left, top] = [Math.max(box[0], 0), Math.max(box[1], 0)];
  const [right, bottom] = [Math.min(box[2], width), Math.min(box[3], height)];
  return [left, top, right - left, bottom - top].map((value) => round(scale * value));
}

function face(cut, classes, answer, least) {
  const best = answer.indexOf(Math.max(...answer));
  const uncertain = Math.min(answer[best], cut.quality ?? 1) < least;
  return { ...cut, emotion: classes[best], confidence: answer[best], probabilities: classes.map((name, k) => [name, answer[k]]), uncertain };
}

/** The largest faces, still from left to right; all where `most` is 0. */
function largest(faces, most) {
  if (!most) return faces;
  const size = ({ box }) => box[2] * box[3];
  const chosen = new Set([...faces].sort((a, b) => size(b) - size(a)).slice(0, most));
  return faces.filter((each) => chosen.has(each));
}

/** A prediction as Python's json.dumps writes it. */
function toLine({ source, faces, error, turned, animated }) {
  const fields = [
    `"source": ${text(source)}`, '"frame": null', `"faces": [${faces.map(faceText).join(", ")}]`,
    error && `"error": ${text(error)}`, turned && `"turned": ${turned}`, animated && '"animated": true',
  ];
  return `{${fields.filter(Boolean).join(", ")}}\n`;
}

function faceText({ box, emotion, confidence, probabilities, uncertain, landmarks, score, quality: share }) {
  const points = landmarks?.map(([x, y]) => `[${rounded(x, 1)}, ${rounded(y, 1)}]`).join(", ");
  const fields = [
    `"box": [${box.join(", ")}]`, `"emotion": ${text(emotion)}`, `"confidence": ${rounded(confidence, 4)}`,
    `"probabilities": {${probabilities.map(([name, value]) => `${text(name)}: ${rounded(value, 4)}`).join(", ")}}`,
    uncertain && '"uncertain": true', points && `"landmarks": [${points}]`,
    score !== undefined && `"score": ${rounded(score, 4)}`, share !== undefined && `"quality": ${rounded(share, 4)}`,
  ];
  return `{${fields.filter(Boolean).join(", ")}}`;
}

/** A string in JSON, ASCII alone. */
const text = (words) => JSON.stringify(words).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** A number as Python prints it when rounded to some decimals: halves to the even digit, whole numbers with `.0`. */
export function rounded(value, decimals) {
  const exact = value.toFixed(decimals + 60 > 100 ? 100 : decimals + 60); // no float of this size has more digits that count
  const cut = exact.length - 60;
  const digits = /^50*$/.test(exact.slice(cut)) && "02468".includes(exact[cut - 1]) ? exact.slice(0, cut) : value.toFixed(decimals);
  const shown = digits.replace(/(\.\d+?)0+$/, "$1");
  return /^-?0\.0$/.test(shown) ? (value < 0 || Object.is(value, -0) ? "-0.0" : "0.0") : shown;
}
