// The models that name expressions: `.onnx` files of Mien; see mien/models/model.py.

/** The metadata of an ONNX file (field 14 of a protobuf message: pairs of key and value), as an object of strings. */
export function metadata(bytes) {
  const text = new TextDecoder();
  const fields = function* (start, end) {
    let at = start;
    const varint = () => {
      let value = 0;
      for (let scale = 1; ; scale *= 128) {
        const byte = bytes[at++];
        value += (byte & 127) * scale;
        if (byte < 128) return value;
      }
    };
    while (at < end) {
      const key = varint();
      if (key % 8 === 0) varint();
      else if (key % 8 === 2) {
        const length = varint();
        yield [key >> 3, at, at + length];
        at += length;
      } else throw new Error(`unexpected wire type ${key % 8}`);
    }
  };
  const found = {};
  for (const [field, start, end] of fields(0, bytes.length)) {
    if (field !== 14) continue;
    const [key, value] = [...fields(start, end)].map(([, from, to]) => text.decode(bytes.subarray(from, to)));
    found[key] = value;
  }
  return found;
}

/** A network and what travels with its weights: classes, size of its faces, temperature, prior. */
export class Network {
  constructor(ort, session, header) {
    Object.assign(this, { ort, session, classes: header.classes, size: header.preprocess.size });
    this.temperature = header.temperature ?? 1;
    this.prior = header.prior ?? [];
  }

  /** Class probabilities, an array of K a face, of gray squares (Uint8Array of size x size each). */
  async probabilities(squares, prior = "natural") {
    if (!squares.length) return [];
    if (prior === "uniform" && !this.prior.length) {
      throw new Error("the model does not tell how frequent each class was in training; leave out the uniform prior");
    }
    const pixels = new Float32Array(squares.length * this.size ** 2);
    squares.forEach((square, n) => square.forEach((gray, i) => (pixels[n * square.length + i] = gray / 255)));
    const faces = new this.ort.Tensor("float32", pixels, [squares.length, 1, this.size, this.size]);
    const outputs = await this.session.run({ faces }, ["logits"]);
    const k = this.classes.length;
    const answers = squares.map((_, n) => {
      const logits = [...outputs.logits.data.subarray(n * k, (n + 1) * k)].map((logit) => logit / this.temperature);
      return softmax(prior === "uniform" ? logits.map((logit, i) => logit - Math.log(this.prior[i])) : logits);
    });
    outputs.logits.dispose();
    return answers;
  }
}

/** Probabilities of logits, in float32 as Python gives them. */
function softmax(logits) {
  const most = Math.max(...logits);
  const exponentials = logits.map((logit) => Math.exp(logit - most));
  const sum = exponentials.reduce((total, each) => total + each, 0);
  return exponentials.map((each) => Math.fround(each / sum));
}
