// Weights in a file that others read too: safetensors. 8 bytes with the length of the header, the header as JSON (for
// each tensor its kind, shape and place, and metadata: texts), then the numbers, little-endian.
//
// Source: https://github.com/huggingface/safetensors, section "Format".
import { readFloat16 } from './bytes.js';

/** @typedef {{ name: string, shape: number[], value: Float32Array }} Tensor */
/** @typedef {{ tensors: Tensor[], metadata: Record<string, string> }} Stored */

const MAX_HEADER = 1_000_000; // bytes; that of a model with 4 layers has 3,000
const WIDTHS = /** @type {const} */ ({ F32: 4, F16: 2 });

/**
 * @param {Tensor[]} tensors
 * @param {Record<string, string>} [metadata]
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function writeSafetensors(tensors, metadata = {}) {
  /** @type {Record<string, unknown>} */
  const header = { __metadata__: metadata };
  let end = 0;
  for (const { name, shape, value } of tensors) {
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + 4 * value.length] };
    end += 4 * value.length;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = 8 + Math.ceil(text.length / 8) * 8; // filled up with spaces, so that numbers are aligned
  const bytes = new Uint8Array(start + end).fill(0x20, 0, start);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(start - 8), true);
  bytes.set(text, 8);
  let at = start;
  for (const { value } of tensors) {
    for (const number of value) {
      view.setFloat32(at, number, true);
      at += 4;
    }
  }
  return bytes;
}

/**
 * @param {Uint8Array} bytes
 * @returns {Stored}
 */
export function readSafetensors(bytes) {
  const { header, start } = readHeader(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { __metadata__: metadata = {}, ...entries } = header;
  const tensors = Object.entries(entries).map(([name, entry]) => {
    const { dtype, shape, data_offsets: [from, to] } = checkEntry(name, entry, bytes.length - start);
    const length = (to - from) / WIDTHS[dtype];
    if (dtype === 'F16') return { name, shape, value: readFloat16(view, start + from, length) };
    const value = new Float32Array(length);
    for (let i = 0; i < length; i++) value[i] = view.getFloat32(start + from + 4 * i, true);
    return { name, shape, value };
  });
  return { tensors, metadata };
}

/** @param {Uint8Array} bytes */
function readHeader(bytes) {
  const size = bytes.length < 8 ? -1 : Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  if (!(size >= 2 && size <= MAX_HEADER)) throw new TypeError('this is no safetensors file: it has no header');
  if (8 + size > bytes.length) {
    throw new TypeError(`the file is cut: its header has ${size} bytes, and ${bytes.length - 8} are there`);
  }
  let header;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, 8 + size)));
  } catch {
    header = null;
  }
  if (!isRecord(header)) throw new TypeError('this is no safetensors file: its header is no JSON object');
  return { header, start: 8 + size };
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
function isRecord(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * @param {string} name
 * @param {unknown} entry
 * @param {number} room bytes after the header
 * @returns {{ dtype: keyof typeof WIDTHS, shape: number[], data_offsets: [number, number] }}
 */
function checkEntry(name, entry, room) {
  const { dtype, shape, data_offsets: offsets } = isRecord(entry) ? entry : {};
  const isCount = (/** @type {unknown} */ n) => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0;
  const known = Array.isArray(shape) && shape.every(isCount) && Array.isArray(offsets) && offsets.length === 2 &&
    offsets.every(isCount);
  if (!known) throw new TypeError(`the file is damaged: its entry for ${name.slice(0, 60)} says no shape and place`);
  if (dtype !== 'F32' && dtype !== 'F16') {
    throw new TypeError(`${name.slice(0, 60)} is stored as ${dtype}, F32 and F16 can be read`);
  }
  const size = WIDTHS[/** @type {keyof typeof WIDTHS} */ (dtype)] * shape.reduce((product, n) => product * n, 1);
  if (offsets[1] - offsets[0] !== size) {
    throw new TypeError(
      `the file is damaged: ${name.slice(0, 60)} takes ${size} bytes, not ${offsets[1] - offsets[0]}`,
    );
  }
  if (offsets[1] > room) {
    throw new TypeError(`the file is cut: ${name.slice(0, 60)} ends at byte ${offsets[1]}, and ${room} are there`);
  }
  return /** @type {any} */ (entry);
}
