// Faces from answer to answer: who is who, answers steadied in time, and boxes that move between answers.

const ALIKE = 0.25; // least overlap of boxes grown to twice their side
const PATIENCE = 1000; // ms that a face may go unseen and still be the same, more where answers are slow
const AHEAD = 300; // ms that a box moves on by itself

export class Tracker {
  constructor(smooth = 300) {
    this.smooth = smooth;
    this.clear();
  }

  clear() {
    this.tracks = [];
    this.patience = PATIENCE;
    this.last = undefined;
  }

  /** The faces of a frame taken at `time` in ms, steadied; largest first. */
  follow(faces, time, least) {
    if (this.last !== undefined) this.patience = Math.max(PATIENCE, 2.5 * (time - this.last));
    this.last = time;
    const pairs = faces.flatMap((face, i) => this.tracks.map((track) => [overlap(face.box, track.box), i, track]));
    pairs.sort((a, b) => b[0] - a[0]);
    const partner = new Map();
    const taken = new Set();
    for (const [alike, i, track] of pairs) {
      if (alike < ALIKE || partner.has(i) || taken.has(track)) continue;
      partner.set(i, track);
      taken.add(track);
    }
    const seen = faces.map((face, i) => this.#seen(face, partner.get(i), time, least));
    const unseen = this.tracks.filter((track) => !taken.has(track) && time - track.time < this.patience);
    this.tracks = [...seen, ...unseen];
    seen.sort((a, b) => b.box[2] * b.box[3] - a.box[2] * a.box[3]);
    return seen;
  }

  #seen(face, before, time, least) {
    if (!before) return { ...face, time, speed: [0, 0, 0, 0], shown: [...face.box] };
    const passed = Math.max(1, time - before.time);
    const share = 1 - Math.exp(-passed / this.smooth);
    const mix = (old, now) => old + share * (now - old);
    const probabilities = Object.fromEntries(
      Object.entries(face.probabilities).map(([name, value]) => [name, mix(before.probabilities[name] ?? value, value)]),
    );
    const [emotion, confidence] = Object.entries(probabilities).reduce((best, each) => (each[1] > best[1] ? each : best));
    const speed = face.box.map((value, i) => 0.5 * before.speed[i] + (0.5 * (value - before.box[i])) / passed);
    return { ...face, probabilities, emotion, confidence, uncertain: confidence < least, time, speed, shown: before.shown };
  }

  /** The faces as they are to be drawn `now`, `passed` ms after the last drawing. */
  at(now, passed, still) {
    const share = 1 - Math.exp(-passed / 60);
    return this.tracks
      .filter((track) => now - track.time < this.patience)
      .map((track) => {
        const ahead = Math.min(AHEAD, now - track.time);
        const target = track.box.map((value, i) => value + (still || i > 1 ? 0 : track.speed[i] * ahead));
        track.shown = still ? target : track.shown.map((value, i) => value + share * (target[i] - value));
        return { ...track, box: track.shown };
      });
  }
}

/** Intersection over union of two boxes grown to twice their side. */
function overlap([x1, y1, w1, h1], [x2, y2, w2, h2]) {
  const along = (a, s, b, t) => Math.max(0, Math.min(a + 1.5 * s, b + 1.5 * t) - Math.max(a - s / 2, b - t / 2));
  const common = along(x1, w1, x2, w2) * along(y1, h1, y2, h2);
  return common / Math.max(4 * (w1 * h1 + w2 * h2) - common, 1e-9);
}
