// Which way up a picture is to be seen by its own remarks, as mien/pictures.py reads them: from EXIF, or else from XMP.
//
// Every browser heeds a JPEG's EXIF, none heeds XMP; of a PNG's and a WebP's EXIF one browser heeds what another does not.
// So those are taken out, and the picture is turned here. `mien page` puts this file into mien/ too.

const TAG = 0x0112;
const XMP = /tiff:Orientation(?:="|>)([0-9])/;
const XMP_HEAD = "http://ns.adobe.com/xap/1.0/\0";
const LONGEST = 2 ** 20; // bytes of remarks that were compressed; and of a JPEG's start, which holds its remarks
const ASCII = new TextDecoder("latin1");

/** What carries a picture of that orientation, 1 to 8 as EXIF counts them, onto a canvas: the canvas' transform. */
const TRANSFORMS = {
  2: (w) => [-1, 0, 0, 1, w, 0], 3: (w, h) => [-1, 0, 0, -1, w, h], 4: (w, h) => [1, 0, 0, -1, 0, h], 5: () => [0, 1, 1, 0, 0, 0],
  6: (w, h) => [0, 1, -1, 0, h, 0], 7: (w, h) => [0, -1, -1, 0, h, w], 8: (w) => [0, -1, 1, 0, 0, w],
};

/** The chunks of a PNG or RIFF file: [name, start, length] of each. */
export function* chunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const png = bytes[0] === 0x89;
  for (let at = png ? 8 : 12; at + 8 <= bytes.length; ) {
    const length = png ? view.getUint32(at) : view.getUint32(at + 4, true);
    const name = ASCII.decode(bytes.subarray(png ? at + 4 : at, png ? at + 8 : at + 4));
    yield [name, at + 8, length];
    at += png ? length + 12 : length + 8 + (length & 1);
  }
}

/** The orientation that is left to us: 1 where there is none, or where the browser sees to it. Takes it out of `bytes`. */
export async function takeOrientation(bytes) {
  try {
    const { exif, xmp } = await remarks(bytes);
    const entry = exif && orientationIn(exif);
    if (!entry) return inRange(XMP.exec(xmp ?? "")?.[1]);
    if (bytes[0] === 0xff) return 1;
    entry.view.setUint16(entry.at, 1, entry.little);
    return inRange(entry.value);
  } catch {
    return 1; // damaged remarks do not spoil a picture
  }
}

/** The picture in a file as <img> shows it upright: the file itself, or a copy where browsers do not all heed its remarks. */
export async function upright(file) {
  const jpeg = file.type === "image/jpeg";
  try {
    const bytes = new Uint8Array(await (jpeg ? file.slice(0, LONGEST) : file).arrayBuffer());
    const turn = TRANSFORMS[await takeOrientation(bytes)];
    if (!turn) return file;
    const bitmap = await createImageBitmap(jpeg ? file : new Blob([bytes]));
    const [width, height] = [bitmap.width, bitmap.height];
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = turn(1, 1)[0] ? [width, height] : [height, width];
    const context = canvas.getContext("2d");
    context.setTransform(...turn(width, height));
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    return (await new Promise((resolve) => canvas.toBlob(resolve, "image/webp", 0.9))) ?? file;
  } catch {
    return file; // whether it is a picture is told with the answer
  }
}

const inRange = (value) => (value >= 1 && value <= 8 ? Number(value) : 1);

/** {exif, xmp}: EXIF's bytes and XMP's text, where a JPEG, PNG or WebP has them. */
async function remarks(bytes) {
  const found = {};
  if (bytes[0] === 0xff) {
    for (const part of jpegParts(bytes)) {
      const start = ASCII.decode(part.subarray(0, XMP_HEAD.length));
      if (start.startsWith("Exif\0\0")) found.exif ??= part;
      else if (start === XMP_HEAD) found.xmp ??= ASCII.decode(part);
    }
  } else if (bytes[0] === 0x89 || bytes[0] === 0x52) {
    for (const [name, start, length] of chunks(bytes)) {
      const chunk = bytes.subarray(start, start + length);
      if (name === "eXIf" || name === "EXIF") found.exif ??= chunk;
      else if (name === "XMP ") found.xmp ??= ASCII.decode(chunk);
      else if (["tEXt", "zTXt", "iTXt"].includes(name)) await addText(found, name, chunk);
    }
    found.exif ??= found.profile;
  }
  return found;
}

/** The APP1 parts of a JPEG, which hold its remarks. */
function* jpegParts(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker === 0xda || marker === 0xd9) return;
    const length = marker === 0xff ? -1 : view.getUint16(at + 2); // 0xff: a byte that fills
    if (marker === 0xe1) yield bytes.subarray(at + 4, at + 2 + length);
    at += 2 + length;
  }
}

/** XMP and EXIF that stand in a PNG's text. */
async function addText(found, name, chunk) {
  const end = chunk.indexOf(0);
  const key = ASCII.decode(chunk.subarray(0, end));
  if (key !== "XML:com.adobe.xmp" && key !== "Raw profile type exif") return;
  let start = end + 1, packed = name === "zTXt";
  if (name === "zTXt") start++;
  if (name === "iTXt") {
    packed = chunk[start] === 1;
    start = chunk.indexOf(0, chunk.indexOf(0, start + 2) + 1) + 1; // past the language and the keyword in it
  }
  const data = chunk.subarray(start);
  const text = packed ? await inflated(data) : ASCII.decode(data);
  if (key === "XML:com.adobe.xmp") found.xmp ??= text;
  else found.profile ??= Uint8Array.from(text.split("\n").slice(3).join("").match(/../g), (pair) => parseInt(pair, 16));
}

async function inflated(data) {
  const reader = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  let text = "";
  for (let part = await reader.read(); !part.done && text.length < LONGEST; part = await reader.read()) text += ASCII.decode(part.value);
  reader.cancel();
  return text;
}

/** Where EXIF tells the orientation: {value, view, at, little}; undefined where it does not. */
function orientationIn(exif) {
  const start = ASCII.decode(exif.subarray(0, 6)) === "Exif\0\0" ? 6 : 0;
  const view = new DataView(exif.buffer, exif.byteOffset + start, exif.length - start);
  const little = view.getUint16(0) === 0x4949;
  const directory = view.getUint32(4, little);
  for (let i = 0; i < view.getUint16(directory, little); i++) {
    const at = directory + 2 + 12 * i;
    if (view.getUint16(at, little) === TAG) return { value: view.getUint16(at + 8, little), view, at: at + 8, little };
  }
}
