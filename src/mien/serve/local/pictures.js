// Any picture as people see it: upright, opaque, red, green and blue; see mien/pictures.py.
//
// The browser decodes, to the same bytes as Pillow (libjpeg-turbo, libpng and libwebp are in both), and nothing else of
// it is used.

import { chunks, takeOrientation } from "./orientation.js";
import { Pixels } from "./pixels.js";

const MOST_PIXELS = 110_000_000;
const LARGE = 2 ** 25;
const ARCHIVE = "an archive; unpack it, and give the folder";
const VIDEO = "a video; give its path, with the suffix of its kind, such as .mp4";
const KINDS = {
  "8BPS": "a Photoshop file; save it as JPEG or PNG", "%PDF": "a PDF; save its pages as JPEG or PNG", "PK\x03\x04": ARCHIVE,
  "\x1f\x8b": ARCHIVE, BZh: ARCHIVE, "\xfd7zXZ": ARCHIVE, "7z\xbc\xaf": ARCHIVE, "Rar!": ARCHIVE, "\x1aE\xdf\xa3": VIDEO,
  "FLV\x01": VIDEO, "\0\0\x01\xba": VIDEO,
};
const READ = ["\xff\xd8\xff", "\x89PNG\r\n\x1a\n", "GIF87a", "GIF89a", "BM"]; // what the browser is asked to decode, and WebP
const NOT_HERE = { "II*\0": "TIFF", "MM\0*": "TIFF", P1: "PNM", P2: "PNM", P3: "PNM", P4: "PNM", P5: "PNM", P6: "PNM" };

/** A picture that could not be read, in a sentence for people. */
export class PictureError extends Error {}

/** {picture, scale, animated} of an encoded picture; scale: original pixels along one of the picture's. */
export async function readPicture(blob, name) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const kind = kindOf(bytes);
  const orientation = await takeOrientation(bytes);
  let bitmap;
  try {
    if (kind.why) throw new Error(kind.why);
    bitmap = await createImageBitmap(new Blob([bytes], { type: kind.type }), {
      imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none",
    });
  } catch {
    throw new PictureError(`${name}: not a readable image (${kind.why ?? "damaged, or of an unknown format"})`);
  }
  if (bitmap.width * bitmap.height > MOST_PIXELS) {
    bitmap.close();
    throw new PictureError(`${name}: more pixels than a photo has; scale it down first`);
  }
  try {
    return { ...takeBitmap(bitmap, orientation), animated: isAnimated(bytes, kind.type) };
  } catch {
    throw new PictureError(`${name}: too large for this browser; scale it down first`);
  }
}

/** {picture, scale} of a decoded picture, which is closed; orientation: as EXIF counts them. */
export function takeBitmap(bitmap, orientation = 1) {
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const data = context.getImageData(0, 0, width, height);
  canvas.width = canvas.height = 0; // its memory is free now, and not when garbage is next collected
  return takeImageData(data, orientation);
}

/** The same of red, green, blue and alpha. */
export function takeImageData({ width, height, data }, orientation = 1) {
  const picture = turnedAs(new Pixels(width, height, 3, onWhite(data)), orientation);
  return width * height > LARGE ? { picture: picture.reduce(2), scale: 2 } : { picture, scale: 1 };
}

/** Red, green and blue of a picture laid on white, as Pillow's alpha_composite computes it. */
function onWhite(data) {
  const out = new Uint8Array((data.length / 4) * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    const alpha = data[from + 3];
    for (let band = 0; band < 3; band++, to++) {
      const value = data[from + band];
      if (alpha === 255) out[to] = value;
      else if (alpha === 0) out[to] = 255;
      else {
        const mixed = value * alpha * 128 + 255 * (255 - alpha) * 128 + (0x80 << 7);
        out[to] = ((mixed >> 8) + mixed) >> 15;
      }
    }
  }
  return out;
}

/** {type} of a file that the browser is to decode, or {why} it is none. */
function kindOf(bytes) {
  const head = String.fromCharCode(...bytes.subarray(0, 12));
  if (!head) return { why: "it is empty" };
  if (READ.some((start) => head.startsWith(start))) return { type: "" };
  if (head.startsWith("RIFF") && head.slice(8) === "WEBP") return { type: "image/webp" };
  if (head.slice(4, 8) === "ftyp" && ["heic", "heix", "mif1", "msf1", "hevc"].includes(head.slice(8))) {
    return { why: "HEIC; save it as JPEG or PNG" };
  }
  if (head.slice(4) === "ftypavif") return { why: "AVIF; save it as JPEG or PNG" };
  for (const [start, why] of Object.entries(KINDS)) if (head.startsWith(start)) return { why };
  if (head.slice(4, 8) === "ftyp" || (head.startsWith("RIFF") && head.slice(8) === "AVI ")) return { why: VIDEO };
  for (const [start, kind] of Object.entries(NOT_HERE)) {
    if (head.startsWith(start)) return { why: `${kind}, which browsers do not decode; save it as JPEG or PNG` };
  }
  return { why: "damaged, or of an unknown format" };
}

/** Whether a file holds more frames than its first. */
function isAnimated(bytes, type) {
  if (type === "image/webp") return [...chunks(bytes)].filter(([name]) => name === "ANMF").length > 1;
  if (bytes[0] === 0x89) {
    const control = [...chunks(bytes)].find(([name]) => name === "acTL");
    return Boolean(control) && new DataView(bytes.buffer, bytes.byteOffset).getUint32(control[1]) > 1;
  }
  return bytes[0] === 0x47 && gifFrames(bytes) > 1;
}

/** How many frames a GIF has, two for more. */
function gifFrames(bytes) {
  const table = (flags) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  let at = 13 + table(bytes[10]);
  const skipBlocks = () => {
    while (bytes[at]) at += bytes[at] + 1;
    at++;
  };
  let frames = 0;
  while (at < bytes.length && frames < 2) {
    const kind = bytes[at++];
    if (kind === 0x21) at++, skipBlocks();
    else if (kind === 0x2c) {
      frames++;
      at += 9 + table(bytes[at + 8]) + 1;
      skipBlocks();
    } else break;
  }
  return frames;
}

function turnedAs(picture, orientation) {
  const turned = picture.turned({ 3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270 }[orientation] ?? 0);
  return [2, 4, 5, 7].includes(orientation) ? turned.mirror() : turned;
}
