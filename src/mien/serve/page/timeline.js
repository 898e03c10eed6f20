// A picture over time: at each moment the classes' probabilities, one upon the other.

import { clock, percent } from "./dom.js";
import { colourOf } from "./faces.js";

export class Timeline {
  /** points: {time, face} with time in seconds; face null where none was seen. gap: seconds after which a line breaks. */
  constructor(canvas, { gap = 1.5 } = {}) {
    this.canvas = canvas;
    this.gap = gap;
    this.points = [];
    this.range = [-60, 0];
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  clear() {
    this.points = [];
    this.draw();
  }

  add(time, face) {
    const point = { time, face: face && { emotion: face.emotion, probabilities: face.probabilities } };
    let at = this.points.length;
    while (at > 0 && this.points[at - 1].time > time) at--;
    this.points.splice(at, 0, point);
  }

  /** Forget what lies before `time`. */
  forget(time) {
    let some = 0;
    while (some < this.points.length && this.points[some].time < time) some++;
    this.points.splice(0, some);
  }

  /** Draw from `start` to `end` seconds; `ticks` [[time, text]]; `now` is marked if given. */
  draw(range = this.range, ticks = this.ticks ?? [], now = this.now) {
    Object.assign(this, { range, ticks, now });
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const floor = height - 24;
    const x = (time) => 12 + ((time - range[0]) / (range[1] - range[0])) * (width - 24);
    const pixel = (range[1] - range[0]) / (width - 24);
    for (const run of this.#runs(pixel)) this.#area(context, run, x, floor);
    const style = getComputedStyle(canvas);
    context.fillStyle = context.strokeStyle = style.getPropertyValue("--quiet");
    context.font = `12px ${style.fontFamily}`;
    context.textBaseline = "middle";
    let free = width;
    for (const [time, text] of [...ticks].reverse()) {
      const long = context.measureText(text).width;
      const left = Math.min(width - 12 - long, Math.max(12, x(time) - long / 2));
      if (left + long + 12 > free) continue;
      context.fillText(text, left, height - 11);
      free = left;
    }
    context.fillRect(12, floor, width - 24, 1);
    if (now != null) {
      context.fillStyle = style.getPropertyValue("--ink");
      context.fillRect(x(now) - 1, 6, 2, floor - 6);
    }
  }

  /** Moments in a row at which a face was seen, `apart` seconds or more from one to the next. */
  *#runs(apart) {
    let run = [], last;
    for (const point of this.points) {
      if (run.length && (!point.face || point.time - last > this.gap)) {
        yield run;
        run = [];
      }
      if (point.face && !(point.time - run.at(-1)?.time < apart)) run.push(point);
      last = point.time;
    }
    if (run.length) yield run;
  }

  #area(context, run, x, floor) {
    const top = 12;
    const names = Object.keys(run[0].face.probabilities);
    const below = run.map(() => 0);
    const last = run.length === 1 ? [{ ...run[0], time: run[0].time + this.gap / 6 }] : [];
    const points = [...run, ...last];
    for (const name of names) {
      context.beginPath();
      const upper = points.map((point, i) => (below[i] ?? below[0]) + (point.face.probabilities[name] ?? 0));
      points.forEach((point, i) => context.lineTo(x(point.time), floor - (floor - top) * upper[i]));
      for (let i = points.length - 1; i >= 0; i--) context.lineTo(x(points[i].time), floor - (floor - top) * (below[i] ?? below[0]));
      context.fillStyle = colourOf(name);
      context.fill();
      upper.forEach((value, i) => (below[i] = value));
    }
  }

  /** What the picture shows, in words. */
  words() {
    const seen = this.points.filter((point) => point.face);
    if (!seen.length) return "No face was seen yet.";
    const times = new Map();
    for (const { face } of seen) times.set(face.emotion, (times.get(face.emotion) ?? 0) + 1);
    const shares = [...times].sort((a, b) => b[1] - a[1]).slice(0, 3);
    const told = shares.map(([name, n]) => `${name} ${percent(n / seen.length)}`).join(", ");
    return `For ${clock(seen.at(-1).time - seen[0].time)} minutes the largest face showed: ${told} of the time.`;
  }
}
