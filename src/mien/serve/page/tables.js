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
    return faces.map(({ box, emotion, confidence, uncertain, quality, probabilities }) => [
      ...start,
      "",
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

/** A prediction's line with the number and time of its frame. */
export function frameLine(line, number, seconds) {
  const time = seconds.toFixed(3).replace(/(\.\d+?)0+$/, "$1");
  return line.replace('"frame": null, "faces": ', `"frame": ${number}, "time": ${time}, "faces": `);
}
