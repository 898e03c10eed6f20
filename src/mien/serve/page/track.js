// Faces from answer to answer: who is who, answers steadied in time, and boxes that move between answers; as
// mien/predict/video/tracks.py does it.

const ALIKE = 0.25; // least overlap of boxes grown to twice their side
const PATIENCE = 1000; // ms, and ...
const MISSES = 3; // ... looks in a row that a face may go unseen and still be the same
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
    this.count = 0;
  }

  /** The faces of a frame taken at `time` in ms, in their order, steadied, each with its number. */
  follow(faces, time, least) {
    if (this.last !== undefined) this.patience = Math.max(PATIENCE, 2.5 * (time - this.last));
    this.last = time;
    const pairs = faces.flatMap((face, i) => this.tracks.map((track, j) => [overlap(face.box, track.box), i, track, j]));
    pairs.sort((a, b) => b[0] - a[0] || b[1] - a[1] || b[3] - a[3]);
    const partner = new Map();
    const taken = new Set();
    for (const [alike, i, track] of pairs) {
      if (alike < ALIKE || partner.has(i) || taken.has(track)) continue;
      partner.set(i, track);
      taken.add(track);
    }
    const seen = faces.map((face, i) => this.#seen(face, partner.get(i), time, least));
    const missed = this.tracks.filter((track) => !taken.has(track));
    for (const track of missed) track.misses++;
    this.tracks = [...seen, ...missed.filter((track) => track.misses <= MISSES || time - track.time <= PATIENCE)];
    return seen;
  }

  #seen(face, before, time, least) {
    const doubtful = (confidence) => Math.min(confidence, face.quality ?? 1) < least;
    if (!before) {
      const uncertain = doubtful(face.confidence);
      return { ...face, uncertain, track: ++this.count, misses: 0, time, speed: [0, 0, 0, 0], shown: [...face.box] };
    }
    const passed = Math.max(1, time - before.time);
    const share = 1 - Math.exp(-passed / this.smooth);
    const mix = (old, now) => old + share * (now - old);
    const probabilities = Object.fromEntries(
      Object.entries(face.probabilities).map(([name, value]) => [name, mix(before.probabilities[name] ?? value, value)]),
    );
    const [emotion, confidence] = Object.entries(probabilities).reduce((best, each) => (each[1] > best[1] ? each : best));
    const speed = face.box.map((value, i) => 0.5 * before.speed[i] + (0.5 * (value - before.box[i])) / passed);
    const { track, shown } = before;
    return { ...face, probabilities, emotion, confidence, uncertain: doubtful(confidence), track, misses: 0, time, speed, shown };
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

/** The largest of some faces, which stands for all where there is room for one. */
export const largest = (faces) => faces.reduce((best, face) => (best && area(best) >= area(face) ? best : face), undefined);
const area = ({ box }) => box[2] * box[3];

/** Intersection over union of two boxes grown to twice their side. */
function overlap([x1, y1, w1, h1], [x2, y2, w2, h2]) {
  const along = (a, s, b, t) => Math.max(0, Math.min(a + 1.5 * s, b + 1.5 * t) - Math.max(a - s / 2, b - t / 2));
  const common = along(x1, w1, x2, w2) * along(y1, h1, y2, h2);
  return common / Math.max(4 * (w1 * h1 + w2 * h2) - common, 1e-9);
}
