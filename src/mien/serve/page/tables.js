// What can be saved: the bytes that `mien predict --json` and `mien predict --csv` would write.

const cell = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
const row = (values) => `${values.map(cell).join(",")}\n`;

const COLUMNS = [
  "source", "frame", "time", "track", "x", "y", "width", "height", "emotion", "confidence", "uncertain", "quality",
];

/** A row a face, and one for each picture or frame without a face, its end saying what could not be read. */
export function csvText(predictions, classes) {
  const rows = predictions.flatMap(({ source, frame, time, faces, error }) => {
    const start = [source, frame ?? "", time?.toFixed(3) ?? ""];
    if (!faces.length) return [[...start, ...Array(COLUMNS.length - start.length + classes.length).fill(""), error ?? ""]];
    return faces.map(({ track, box, emotion, confidence, uncertain, quality, probabilities }) => [
      ...start,
      track ?? "",
      ...box,
      emotion,
      confidence.toFixed(4),
      Boolean(uncertain),
      quality?.toFixed(4) ?? "",
      ...Object.values(probabilities).map((share) => share.toFixed(4)),
      "",
    ]);
  });
  return [[...COLUMNS, ...classes, "error"], ...rows].map(row).join("");
}

/** What is kept of a frame: its number, its time in seconds, and its faces as a Tracker gives them. */
export function frameOf({ source, turned }, frame, seconds, faces) {
  const digits = (share) => Number(share.toFixed(4));
  const kept = faces.map(({ box, emotion, confidence, probabilities, uncertain, landmarks, score, quality, track }) => {
    const shares = Object.fromEntries(Object.entries(probabilities).map(([name, share]) => [name, digits(share)]));
    const doubt = uncertain ? { uncertain } : {};
    return { box, emotion, confidence: digits(confidence), probabilities: shares, ...doubt, landmarks, score, quality, track };
  });
  return { source, frame, time: Number(seconds.toFixed(3)), faces: kept, ...(turned ? { turned } : {}) };
}

const FRACTIONS = new Set(["time", "confidence", "probabilities", "landmarks", "score", "quality"]);

/** A line of JSON as Python writes it: spaces, ASCII alone, fractions with a point. */
export const jsonLine = (value) => `${json(value)}\n`;

function json(value, fraction = false) {
  if (typeof value === "number") return fraction && Number.isInteger(value) ? `${value}.0` : String(value);
  if (typeof value === "string") return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  if (Array.isArray(value)) return `[${value.map((each) => json(each, fraction)).join(", ")}]`;
  if (value === null || typeof value !== "object") return String(value);
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return `{${entries.map(([name, each]) => `${json(name)}: ${json(each, fraction || FRACTIONS.has(name))}`).join(", ")}}`;
}
