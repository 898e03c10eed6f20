// Pillow's integer arithmetic on pictures, bit for bit: luma, crop, reduce, resize, affine, autocontrast.
//
// A browser's canvas scales pictures in its own way, and each browser in another; a network must be given what it was
// trained on. So no canvas ever scales a picture that is looked at.

const PRECISION = 22; // bits of the weights of a resize
const RED = 19595, GREEN = 38470, BLUE = 7471; // ITU-R 601 luma in units of 2^-16

/** A picture of `bands` interleaved bytes a pixel: 1 for gray, 3 for red, green and blue. */
export class Pixels {
  constructor(width, height, bands, data = new Uint8Array(width * height * bands)) {
    Object.assign(this, { width, height, bands, data });
  }

  get longest() {
    return Math.max(this.width, this.height);
  }

  /** Gray: luma of colours. */
  gray() {
    if (this.bands === 1) return this;
    const { data } = this;
    const out = new Pixels(this.width, this.height, 1);
    for (let i = 0, p = 0; i < out.data.length; i++, p += 3) {
      out.data[i] = (data[p] * RED + data[p + 1] * GREEN + data[p + 2] * BLUE + 0x8000) >> 16;
    }
    return out;
  }

  /** As many bands as asked for; gray is repeated. */
  withBands(bands) {
    if (bands === this.bands) return this;
    if (bands === 1) return this.gray();
    const out = new Pixels(this.width, this.height, bands);
    this.data.forEach((value, i) => out.data.fill(value, i * bands, (i + 1) * bands));
    return out;
  }

  /** The part between edges that lie in the picture; beyond them it is mirrored, as often as need be. */
  crop(left, top, right, bottom) {
    const { bands, data } = this;
    const out = new Pixels(right - left, bottom - top, bands);
    const columns = Int32Array.from({ length: out.width }, (_, x) => bands * mirrored(left + x, this.width));
    const inside = left >= 0 && right <= this.width;
    for (let y = 0, to = 0; y < out.height; y++) {
      const row = mirrored(top + y, this.height) * this.width * bands;
      if (inside) {
        out.data.set(data.subarray(row + left * bands, row + right * bands), to);
        to += out.width * bands;
        continue;
      }
      for (const column of columns) for (let b = 0; b < bands; b++) out.data[to++] = data[row + column + b];
    }
    return out;
  }

  /** Left for right. */
  mirror() {
    return this.#rearranged(this.width, this.height, (x, y) => [this.width - 1 - x, y]);
  }

  /** Turned clockwise by 0, 90, 180 or 270 degrees. */
  turned(degrees) {
    const [w, h] = [this.width - 1, this.height - 1];
    if (degrees === 90) return this.#rearranged(this.height, this.width, (x, y) => [y, h - x]);
    if (degrees === 180) return this.#rearranged(this.width, this.height, (x, y) => [w - x, h - y]);
    if (degrees === 270) return this.#rearranged(this.height, this.width, (x, y) => [w - y, x]);
    return this;
  }

  #rearranged(width, height, from) {
    const out = new Pixels(width, height, this.bands);
    for (let y = 0, to = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [column, row] = from(x, y);
        const start = (row * this.width + column) * this.bands;
        for (let b = 0; b < this.bands; b++) out.data[to++] = this.data[start + b];
      }
    }
    return out;
  }

  /** `across` times narrower and `down` times lower, each pixel the mean of those it covers. */
  reduce(across, down = across) {
    if (across === 1 && down === 1) return this;
    const { width, height, bands, data } = this;
    const out = new Pixels(Math.ceil(width / across), Math.ceil(height / down), bands);
    for (let y = 0, to = 0; y < out.height; y++) {
      const bottom = Math.min(height, (y + 1) * down);
      for (let x = 0; x < out.width; x++) {
        const right = Math.min(width, (x + 1) * across);
        const count = (right - x * across) * (bottom - y * down);
        const multiplier = Math.floor(Math.fround(2 ** 32 / (256 * count)));
        for (let b = 0; b < bands; b++) {
          let sum = count >> 1;
          for (let row = y * down; row < bottom; row++) {
            const end = (row * width + right) * bands + b;
            for (let at = (row * width + x * across) * bands + b; at < end; at += bands) sum += data[at];
          }
          out.data[to++] = (sum * multiplier) / 2 ** 24;
        }
      }
    }
    return out;
  }

  /** Bilinear, averaging where it shrinks. */
  resize(width, height) {
    return resampled(this, width, height, this.width, this.height);
  }

  /** The same, after reducing by whole numbers to no less than the wanted size: faster, nearly the same. */
  resizeFast(width, height) {
    const across = Math.trunc(this.width / width) || 1;
    const down = Math.trunc(this.height / height) || 1;
    return resampled(this.reduce(across, down), width, height, this.width / across, this.height / down);
  }

  /** A square of `side` pixels whose pixel (x, y) is taken, bilinear, from a x + b y + c, d x + e y + f. */
  affine(side, [a, b, c, d, e, f]) {
    const { width, height, bands, data } = this;
    const out = new Pixels(side, side, bands);
    const row = width * bands;
    for (let y = 0, to = 0; y < side; y++) {
      for (let x = 0; x < side; x++, to += bands) {
        const across = a * (x + 0.5) + b * (y + 0.5) + c;
        const along = d * (x + 0.5) + e * (y + 0.5) + f;
        if (across < 0 || across >= width || along < 0 || along >= height) continue;
        const left = Math.floor(across - 0.5), upper = Math.floor(along - 0.5);
        const dx = across - 0.5 - left, dy = along - 0.5 - upper;
        const x0 = Math.max(left, 0) * bands, x1 = Math.min(left + 1, width - 1) * bands;
        const y0 = Math.max(upper, 0) * row, y1 = upper + 1 < height ? (upper + 1) * row : y0;
        for (let band = 0; band < bands; band++) {
          const first = data[y0 + x0 + band], second = data[y1 + x0 + band];
          const above = first + (data[y0 + x1 + band] - first) * dx;
          const below = second + (data[y1 + x1 + band] - second) * dx;
          out.data[to + band] = above + (below - above) * dy;
        }
      }
    }
    return out;
  }

  /** The gray of this picture stretched from black to white; of its pixels, `cutoff` per cent may fall off each end. */
  autocontrast(cutoff) {
    const gray = this.gray();
    const counts = new Array(256).fill(0);
    for (const value of gray.data) counts[value]++;
    const values = counts.map((_, value) => value);
    const most = Math.floor((gray.data.length * cutoff) / 100);
    for (const order of [values, values.toReversed()]) {
      let left = most;
      for (const value of order) {
        const cut = Math.min(left, counts[value]);
        counts[value] -= cut;
        left -= cut;
        if (left <= 0) break;
      }
    }
    const low = counts.findIndex((count) => count > 0), high = counts.findLastIndex((count) => count > 0);
    if (high <= low) return gray;
    const scale = 255 / (high - low), offset = -low * scale;
    const table = Uint8ClampedArray.from(values, (value) => Math.trunc(value * scale + offset));
    return new Pixels(gray.width, gray.height, 1, Uint8Array.from(gray.data, (value) => table[value]));
  }
}

/** Where in a line of `length` pixels lies what is seen at `at` when the line is mirrored at both ends. */
function mirrored(at, length) {
  if (at >= 0 && at < length) return at;
  const around = ((at % (2 * length)) + 2 * length) % (2 * length);
  return around < length ? around : 2 * length - 1 - around;
}

/** Bilinear resampling of the first `across` x `down` pixels, which need not be whole. */
function resampled(picture, width, height, across, down) {
  const narrow = width === picture.width && across === width ? picture : resizedAcross(picture, width, across);
  return height === picture.height && down === height ? narrow : resizedDown(narrow, height, down);
}

function resizedAcross({ width, height, bands, data }, wanted, length) {
  const out = new Pixels(wanted, height, bands);
  const weights = weightsOf(width, length, wanted);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < wanted; x++) {
      const { start, shares } = weights[x];
      for (let b = 0; b < bands; b++) {
        let sum = 1 << (PRECISION - 1);
        let at = (y * width + start) * bands + b;
        for (let i = 0; i < shares.length; i++, at += bands) sum += data[at] * shares[i];
        out.data[(y * wanted + x) * bands + b] = sum >> PRECISION;
      }
    }
  }
  return out;
}

function resizedDown({ width, height, bands, data }, wanted, length) {
  const out = new Pixels(width, wanted, bands);
  const row = width * bands;
  const sums = new Int32Array(row);
  weightsOf(height, length, wanted).forEach(({ start, shares }, y) => {
    sums.fill(1 << (PRECISION - 1));
    for (let i = 0; i < shares.length; i++) {
      const share = shares[i];
      for (let x = 0, at = (start + i) * row; x < row; x++, at++) sums[x] += data[at] * share;
    }
    for (let x = 0, to = y * row; x < row; x++) out.data[to + x] = sums[x] >> PRECISION;
  });
  return out;
}

/** For each of `wanted` pixels of a line the first of `length` pixels it is made of, and their shares in 2^-22. */
function weightsOf(whole, length, wanted) {
  const scale = Math.fround(length) / wanted;
  const support = Math.max(scale, 1);
  return Array.from({ length: wanted }, (_, at) => {
    const centre = (at + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(whole, Math.trunc(centre + support + 0.5));
    const near = Array.from({ length: end - start }, (_, i) => Math.max(0, 1 - Math.abs((start + i - centre + 0.5) * (1 / support))));
    const sum = near.reduce((total, share) => total + share, 0);
    return { start, shares: Int32Array.from(near, (share) => Math.trunc(0.5 + (share / sum) * 2 ** PRECISION)) };
  });
}
