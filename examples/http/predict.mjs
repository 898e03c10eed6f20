// The faces in a photo, by JavaScript: node, or a page that `mien serve --allow-origin` knows.
//
//     node examples/http/predict.mjs http://127.0.0.1:8000 photo.jpg
import { readFile } from "node:fs/promises";

const [server, photo] = process.argv.slice(2);
const body = await readFile(photo);
const response = await fetch(`${server}/v1/predict`, { method: "POST", body, headers: { "Content-Type": "image/jpeg" } });
const answer = await response.json();
if (!response.ok) throw new Error(answer.detail);
for (const { emotion, confidence } of answer.faces) console.log(emotion, confidence);
