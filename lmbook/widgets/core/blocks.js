// Weights in blocks of 32, of 4 or 8 bits each: how a GGUF file has them, and how kernels.wat reads them.
//
// Q4_1: 32 integers q of 4 bits, with d and m (float16): the weights are d · q + m. Q8_0: 32 signed bytes, d · q. A file
// has block after block, row by row. Here four rows lie side by side, so that one instruction works on all of them: a
// group is four rows, and of each block of 32 columns it has their four d, for Q4_1 their four m, and then the integers
// as vectors of eight, two columns of each row: (r₀c₀ r₀c₁ r₁c₀ r₁c₁ r₂c₀ r₂c₁ r₃c₀ r₃c₁). With 8 bits, 16 such vectors
// of bytes; with 4 bits, 4 vectors of int16, each of which holds four vectors, the first in the lowest bits.
// The order changes, not one bit of the weights: the matrix takes the bytes that it took in the file.
import { readFloat16 } from './bytes.js';

export const BLOCK = 32; // columns
const GROUP = 4; // rows
export const X_BLOCK = 144; // bytes of a block of x in integers, and of unpacked weights: see kernels.wat
export const UNPACKED_BLOCK = 288;
const BYTES = { q4: 20, q8: 34 }; // of one row's block

/**
 * Whether a matrix can lie in blocks: the products take four rows at a time.
 * @param {number} rows
 * @param {number} columns
 */
export const fitsBlocks = (rows, columns) => rows % GROUP === 0 && columns % BLOCK === 0;

/**
 * Reorders a matrix of a file where it lies. `source(row)` is the row of the file that is to stand at `row`; it may be
 * another one of the same `span` rows.
 * @param {DataView} view
 * @param {number} at
 * @param {'q4' | 'q8'} kind
 * @param {number} rows
 * @param {number} blocks of a row
 * @param {{ span?: number, source?: (row: number) => number }} [order]
 */
export function repack(view, at, kind, rows, blocks, { span = GROUP, source = (row) => row } = {}) {
  const rowBytes = blocks * BYTES[kind];
  const arrange = kind === 'q4' ? arrange4 : arrange8;
  const bytes = new Uint8Array(view.buffer, view.byteOffset + at, rows * rowBytes);
  const file = new Uint8Array(span * rowBytes); // rows as the file has them
  for (let first = 0; first < rows; first += span) {
    file.set(bytes.subarray(first * rowBytes, (first + span) * rowBytes));
    for (let row = first; row < first + span; row += GROUP) {
      const group = bytes.subarray(row * rowBytes, (row + GROUP) * rowBytes);
      const starts = Array.from({ length: GROUP }, (_, r) => (source(row + r) - first) * rowBytes);
      arrange(group, file, starts, blocks);
    }
  }
}

/**
 * @param {Uint8Array} out
 * @param {Uint8Array} file
 * @param {number[]} starts of the four rows
 * @param {number} blocks
 */
function arrange4(out, file, starts, blocks) {
  for (let r = 0; r < GROUP; r++) {
    for (let b = 0; b < blocks; b++) {
      const from = starts[r] + b * BYTES.q4;
      const to = b * GROUP * BYTES.q4;
      for (let i = 0; i < 2; i++) {
        out[to + 2 * r + i] = file[from + i];
        out[to + 8 + 2 * r + i] = file[from + 2 + i];
      }
      // A byte of the file has column i in its lower half and column i + 16 in its upper half. Columns c, c + 2, c + 4,
      // c + 6 go into one int16.
      for (let half = 0; half < 2; half++) {
        for (let odd = 0; odd < 2; odd++) {
          const i = from + 4 + 8 * half + odd;
          const word = to + 16 + 16 * half + 4 * r + 2 * odd;
          out[word] = (file[i] & 15) | ((file[i + 2] & 15) << 4);
          out[word + 1] = (file[i + 4] & 15) | ((file[i + 6] & 15) << 4);
          out[word + 32] = (file[i] >> 4) | (file[i + 2] & 240);
          out[word + 33] = (file[i + 4] >> 4) | (file[i + 6] & 240);
        }
      }
    }
  }
}

/** @type {typeof arrange4} */
function arrange8(out, file, starts, blocks) {
  for (let r = 0; r < GROUP; r++) {
    for (let b = 0; b < blocks; b++) {
      const from = starts[r] + b * BYTES.q8;
      const to = b * GROUP * BYTES.q8;
      out[to + 2 * r] = file[from];
      out[to + 2 * r + 1] = file[from + 1];
      for (let c = 0; c < BLOCK; c += 2) {
        out[to + 8 + 4 * c + 2 * r] = file[from + 2 + c];
        out[to + 8 + 4 * c + 2 * r + 1] = file[from + 3 + c];
      }
    }
  }
}

/**
 * One row of a reordered matrix as numbers, each rounded to float32 as PyTorch has it.
 * @param {Float32Array | Float64Array} out
 * @param {number} outAt
 * @param {DataView} view
 * @param {number} at
 * @param {'q4' | 'q8'} kind
 * @param {number} blocks
 * @param {number} row
 */
export function readRow(out, outAt, view, at, kind, blocks, row) {
  const r = row % GROUP;
  const group = at + (row - r) * blocks * BYTES[kind];
  for (let b = 0; b < blocks; b++) {
    const from = group + b * GROUP * BYTES[kind];
    const [d] = readFloat16(view, from + 2 * r, 1);
    const [m] = kind === 'q4' ? readFloat16(view, from + 8 + 2 * r, 1) : [0];
    for (let c = 0; c < BLOCK; c++) {
      const q = kind === 'q4' ? nibble(view, from + 16, r, c) : view.getInt8(from + 8 + 8 * (c >> 1) + 2 * r + (c & 1));
      out[outAt + b * BLOCK + c] = Math.fround(Math.fround(d * q) + m);
    }
  }
}

/**
 * @param {DataView} view
 * @param {number} at
 * @param {number} r
 * @param {number} c
 */
function nibble(view, at, r, c) {
  return (view.getUint16(at + 16 * (c >> 3) + 4 * r + 2 * (c & 1), true) >> (4 * ((c >> 1) & 3))) & 15;
}
