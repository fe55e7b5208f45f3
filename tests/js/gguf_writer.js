// A GGUF file written byte by byte, for the tests of its reader.

/** Bytes of a GGUF file, one after another. */
export class Writer {
  /** @type {number[]} */
  bytes = [];

  /** @param {number} value @param {number} size */
  number(value, size) {
    for (let i = 0; i < size; i++) this.bytes.push(Math.floor(value / 2 ** (8 * i)) % 256);
    return this;
  }

  /** @param {string} text */
  string(text) {
    const utf8 = new TextEncoder().encode(text);
    this.number(utf8.length, 8).bytes.push(...utf8);
    return this;
  }

  /** @param {string} name @param {number} type */
  setting(name, type) {
    return this.string(name).number(type, 4);
  }

  /** @param {string} name @param {number[]} shape @param {number} type @param {number} at */
  tensor(name, shape, type, at) {
    this.string(name).number(shape.length, 4);
    for (const size of shape) this.number(size, 8);
    return this.number(type, 4).number(at, 8);
  }

  /** @param {number} [size] */
  view(size = this.bytes.length) {
    const bytes = new Uint8Array(size);
    bytes.set(this.bytes);
    return new DataView(bytes.buffer);
  }
}

/** @param {number} tensors @param {number} settings */
export const begin = (tensors, settings, version = 3) =>
  new Writer().number(0x46554747, 4).number(version, 4).number(tensors, 8).number(settings, 8);
