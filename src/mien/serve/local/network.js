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

/** A network and what travels with its weights: classes, size of its faces, and of each head temperature and prior. */
export class Network {
  /** sources: the label sources by which it can answer. */
  constructor(ort, session, header, sources = []) {
    Object.assign(this, { ort, session, sources, classes: header.classes, size: header.preprocess.size });
    const { labels = "", temperature = 1, prior = [], others = [] } = header;
    this.heads = [{ labels, temperature, prior, output: "logits" }, ...others.map((head) => ({ ...head, output: `${head.labels}_logits` }))];
  }

  #head(labels) {
    if (labels && !this.sources.includes(labels)) {
      const has = this.sources.join(" and ") || "a label source that its file does not name";
      throw new Error(`The model answers by ${has}; ask for no other.`);
    }
    return this.heads.find((head) => head.labels === labels) ?? this.heads[0];
  }

  /** Class probabilities, an array of K a face, of gray squares (Uint8Array of size x size each). */
  async probabilities(squares, { prior = "natural", labels = "" } = {}) {
    const head = this.#head(labels);
    if (prior === "uniform" && !head.prior.length) {
      throw new Error("The model does not tell how frequent each class was in training; it has no uniform prior.");
    }
    if (!squares.length) return [];
    const pixels = new Float32Array(squares.length * this.size ** 2);
    squares.forEach((square, n) => square.forEach((gray, i) => (pixels[n * square.length + i] = gray / 255)));
    const faces = new this.ort.Tensor("float32", pixels, [squares.length, 1, this.size, this.size]);
    const outputs = await this.session.run({ faces }, [head.output]);
    const k = this.classes.length;
    const answers = squares.map((_, n) => {
      const logits = [...outputs[head.output].data.subarray(n * k, (n + 1) * k)].map((logit) => logit / head.temperature);
      return softmax(prior === "uniform" ? logits.map((logit, i) => logit - Math.log(head.prior[i])) : logits);
    });
    outputs[head.output].dispose();
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
