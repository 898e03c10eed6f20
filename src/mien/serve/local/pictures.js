// Any picture as people see it: upright, opaque, red, green and blue; see mien/pictures.py.
//
// The browser decodes, to the same bytes as Pillow (libjpeg-turbo, libpng and libwebp are in both), and nothing else of
// it is used.

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
  const { picture, scale } = takeBitmap(bitmap);
  return { picture: kind.type === "image/webp" ? turnedAs(picture, webpOrientation(bytes)) : picture, scale, animated: isAnimated(bytes, kind.type) };
}

/** {picture, scale} of a decoded picture, which is closed. */
export function takeBitmap(bitmap) {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return takeImageData(context.getImageData(0, 0, width, height));
}

/** The same of red, green, blue and alpha. */
export function takeImageData({ width, height, data }) {
  const picture = new Pixels(width, height, 3, onWhite(data));
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

/** The chunks of a PNG or RIFF file: [name, start, length] of each. */
function* chunks(bytes, type) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const png = bytes[0] === 0x89;
  for (let at = png ? 8 : 12; at + 8 <= bytes.length; ) {
    const length = png ? view.getUint32(at) : view.getUint32(at + 4, true);
    const name = String.fromCharCode(...bytes.subarray(png ? at + 4 : at, png ? at + 8 : at + 4));
    yield [name, at + 8, length];
    at += png ? length + 12 : length + 8 + (length & 1);
  }
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

/** The orientation in a WebP file's EXIF, which browsers do not heed; 1 where there is none. */
function webpOrientation(bytes) {
  const chunk = [...chunks(bytes)].find(([name]) => name === "EXIF");
  if (!chunk) return 1;
  let [, start, length] = chunk;
  if (String.fromCharCode(...bytes.subarray(start, start + 4)) === "Exif") start += 6;
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, Math.min(length, bytes.length - start));
  try {
    const little = view.getUint16(0) === 0x4949;
    const directory = view.getUint32(4, little);
    for (let i = 0; i < view.getUint16(directory, little); i++) {
      const entry = directory + 2 + 12 * i;
      if (view.getUint16(entry, little) === 0x0112) return view.getUint16(entry + 8, little);
    }
  } catch {} // damaged remarks do not spoil a picture
  return 1;
}

function turnedAs(picture, orientation) {
  const turned = picture.turned({ 3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270 }[orientation] ?? 0);
  return [2, 4, 5, 7].includes(orientation) ? turned.mirror() : turned;
}
