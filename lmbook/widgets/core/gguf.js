// A GGUF file: settings and tensors by name. Nothing in it is executed, and no count in it may lead beyond its end, so
// that a damaged or hostile file is refused after at most one walk through its header.
//
//   "GGUF", version, number of tensors, number of settings
//   settings   name, type, value
//   tensors    name, sizes (the last axis first), type, place
//   data       each tensor from a multiple of the alignment on
//
// Source: the GGUF specification, in the repository of ggml.

/** @typedef {number | bigint | string | boolean | unknown[]} Setting */
/** @typedef {{ kind: 'f32' | 'q4' | 'q8', shape: number[], at: number, size: number }} TensorEntry rows first; bytes */
/** @typedef {{ settings: Map<string, Setting>, tensors: Map<string, TensorEntry> }} GgufHeader */

/** Of a file that can't be used; the message is a sentence for the reader. */
export class FileProblem extends Error {
  /** @override */
  name = 'FileProblem';
}

const [STRING, ARRAY, MOST_NESTED] = [8, 9, 4];
const MOST = 2 ** 20; // things in a list, and values in all lists together; SmolLM2 has 150,000

/** @type {Record<number, [size: number, read: (view: DataView, at: number) => Setting]>} */
const NUMBERS = {
  0: [1, (view, at) => view.getUint8(at)],
  1: [1, (view, at) => view.getInt8(at)],
  2: [2, (view, at) => view.getUint16(at, true)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [4, (view, at) => view.getUint32(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getFloat32(at, true)],
  7: [1, (view, at) => view.getUint8(at) !== 0],
  10: [8, (view, at) => view.getBigUint64(at, true)],
  11: [8, (view, at) => view.getBigInt64(at, true)],
  12: [8, (view, at) => view.getFloat64(at, true)],
};

/** @type {Record<number, { kind: TensorEntry['kind'], block: number, bytes: number }>} */
const TENSOR_TYPES = {
  0: { kind: 'f32', block: 1, bytes: 4 },
  3: { kind: 'q4', block: 32, bytes: 20 }, // Q4_1
  8: { kind: 'q8', block: 32, bytes: 34 }, // Q8_0
};

class HeaderWalk {
  /** @param {DataView} view */
  constructor(view) {
    this.view = view;
    this.place = 8; // after the magic and the version
    this.values = 0; // in all lists so far
    this.text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  }

  get left() {
    return this.view.byteLength - this.place;
  }

  /** @param {number} size */
  skip(size) {
    if (size > this.left) throw this.cutShort();
    this.place += size;
    return this.place - size;
  }

  cutShort() {
    return new FileProblem(`the file is damaged or cut short at ${this.view.byteLength.toLocaleString('en')} bytes`);
  }

  number() {
    return this.view.getUint32(this.skip(4), true);
  }

  /**
   * A number of things that take at least `size` bytes each.
   * @param {number} size
   */
  count(size) {
    const count = Number(this.view.getBigUint64(this.skip(8), true));
    if (count * size > this.left) {
      throw new FileProblem(
        `the file is damaged or cut short: a count of ${count} at byte ${this.place - 8} leads beyond its end`,
      );
    }
    if (count > MOST) throw new FileProblem(`the file is damaged: a count of ${count} at byte ${this.place - 8}`);
    return count;
  }

  string() {
    const length = this.count(1);
    const bytes = new Uint8Array(this.view.buffer, this.view.byteOffset + this.skip(length), length);
    try {
      return this.text.decode(bytes);
    } catch {
      throw new FileProblem(`the file is damaged: the text before byte ${this.place} isn’t UTF-8`);
    }
  }

  /**
   * @param {number} type
   * @param {number} [depth]
   * @returns {Setting}
   */
  value(type, depth = 0) {
    if (type === STRING) return this.string();
    if (type in NUMBERS) return NUMBERS[type][1](this.view, this.skip(NUMBERS[type][0]));
    if (type !== ARRAY || depth === MOST_NESTED) {
      throw new FileProblem(`the file is damaged: byte ${this.place} follows a value of the unknown type ${type}`);
    }
    const item = this.number();
    const count = this.count(NUMBERS[item]?.[0] ?? 8);
    if ((this.values += count) > MOST) throw new FileProblem('the file is damaged: its lists have no end');
    return Array.from({ length: count }, () => this.value(item, depth + 1));
  }

  /** @returns {TensorEntry} whose place counts from the beginning of the data */
  tensor() {
    const axes = this.number();
    if (axes > 4) throw new FileProblem(`the file is damaged: a tensor of ${axes} axes before byte ${this.place}`);
    const shape = Array.from({ length: axes }, () => Number(this.view.getBigUint64(this.skip(8), true))).reverse();
    const type = this.number();
    const at = Number(this.view.getBigUint64(this.skip(8), true));
    const known = TENSOR_TYPES[type];
    if (!known) throw new FileProblem(`the file has a tensor of the type ${type}; this page reads F32, Q4_1 and Q8_0`);
    const { kind, block, bytes } = known;
    const columns = shape.at(-1) ?? 0;
    if (columns % block !== 0) throw new FileProblem(`the file has blocks of ${block} in rows of ${columns} numbers`);
    return { kind, shape, at, size: (shape.reduce((all, size) => all * size, 1) / block) * bytes };
  }
}

/**
 * What stands in a file's header, with each tensor's place in `view`.
 * @param {DataView} view of the whole file
 * @returns {GgufHeader}
 * @throws {FileProblem} if it is no GGUF file, damaged or cut short
 */
export function readGguf(view) {
  const begins = new TextDecoder('latin1').decode(
    new Uint8Array(view.buffer, view.byteOffset, Math.min(4, view.byteLength)),
  );
  if (begins !== 'GGUF') {
    throw new FileProblem(`this is no GGUF file: it begins with ${JSON.stringify(begins)}, not with "GGUF"`);
  }
  const walk = new HeaderWalk(view);
  if (view.byteLength < 24) throw walk.cutShort();
  const version = view.getUint32(4, true);
  if (version !== 2 && version !== 3) {
    throw new FileProblem(`the file is GGUF of version ${version}; this page reads 2 and 3`);
  }
  const numTensors = walk.count(24); // what an entry takes at least
  const numSettings = walk.count(13);
  /** @type {GgufHeader['settings']} */
  const settings = new Map();
  for (let n = 0; n < numSettings; n++) add(settings, 'setting', walk.string(), () => walk.value(walk.number()));
  /** @type {GgufHeader['tensors']} */
  const tensors = new Map();
  for (let n = 0; n < numTensors; n++) add(tensors, 'tensor', walk.string(), () => walk.tensor());
  placeTensors(tensors, walk, settings.get('general.alignment') ?? 32);
  return { settings, tensors };
}

/**
 * @template T
 * @param {Map<string, T>} map
 * @param {string} what
 * @param {string} name
 * @param {() => T} read
 */
function add(map, what, name, read) {
  if (map.has(name)) throw new FileProblem(`the file is damaged: it has the ${what} ${JSON.stringify(name)} twice`);
  map.set(name, read());
}

/**
 * Turns places in the data into places in the file; the tensors must follow one another, as llama.cpp requires too.
 * @param {Map<string, TensorEntry>} tensors
 * @param {HeaderWalk} walk
 * @param {Setting} alignment
 */
function placeTensors(tensors, walk, alignment) {
  if (typeof alignment !== 'number' || !(alignment >= 1 && alignment <= 65_536 && Number.isInteger(alignment))) {
    throw new FileProblem(`the file is damaged: an alignment of ${String(alignment)}`);
  }
  /** @param {number} at */
  const align = (at) => Math.ceil(at / alignment) * alignment;
  const data = align(walk.place);
  let next = 0;
  for (const [name, tensor] of tensors) {
    if (tensor.at !== next) {
      throw new FileProblem(`the file is damaged: the tensor ${JSON.stringify(name)} doesn’t follow the one before`);
    }
    next = align(next + tensor.size);
    tensor.at += data;
    if (!(tensor.at + tensor.size <= walk.view.byteLength)) throw walk.cutShort();
  }
}
