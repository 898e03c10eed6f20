// What can be saved: the bytes that `mien predict --json` and `mien predict --csv` would write.

const cell = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
const row = (values) => `${values.map(cell).join(",")}\n`;

/** A line a face; `columns` [[name, of(prediction)]] come after the source. */
export function csvText(predictions, classes, columns = []) {
  const names = ["source", ...columns.map(([name]) => name), "x", "y", "width", "height", "emotion", "confidence", "uncertain"];
  const rows = predictions.flatMap((prediction) =>
    prediction.faces.map((face) => [
      prediction.source,
      ...columns.map(([, of]) => of(prediction)),
      ...face.box,
      face.emotion,
      face.confidence.toFixed(4),
      Boolean(face.uncertain),
      ...Object.values(face.probabilities).map((share) => share.toFixed(4)),
    ]),
  );
  return [[...names, ...classes], ...rows].map(row).join("");
}

/** A prediction's line with the number and time of its frame. */
export function frameLine(line, number, seconds) {
  const time = seconds.toFixed(3).replace(/(\.\d+?)0+$/, "$1");
  return line.replace('"frame": null, "faces": ', `"frame": ${number}, "time": ${time}, "faces": `);
}
