// kernels.wat in plain JavaScript: the same functions, for a browser or a policy without WebAssembly, and to read.
import { BLOCK, readRow, X_BLOCK } from './blocks.js';

/**
 * @typedef {object} Products addresses and steps in bytes; see kernels.wat
 * @property {(out: number, outStep: number, x: number, xStep: number, tokens: number, w: number, wStep: number,
 *   rows: number, columns: number) => void} products out[t, r] = Σ_c x[t, c] · w[r, c]
 * @property {(out: number, outStep: number, y: number, yStep: number, yNext: number, rows: number, w: number,
 *   wStep: number, terms: number, columns: number) => void} combine out[i, c] += Σ_k y[i, k] · w[k, c]
 * @property {(x: number, blocks: number, to: number) => void} quantise
 * @property {(out: number, outStep: number, x: number, tokens: number, w: number, bits: number, rows: number,
 *   blocks: number, unpacked: number) => void} blockProducts as products, with weights in blocks
 */

/** Grows like a WebAssembly.Memory. */
export class PlainMemory {
  buffer = new ArrayBuffer(65_536);

  /** @param {number} pages */
  grow(pages) {
    const grown = new Uint8Array(this.buffer.byteLength + 65_536 * pages);
    grown.set(new Uint8Array(this.buffer));
    this.buffer = grown.buffer;
    return pages;
  }
}

/**
 * @param {{ readonly buffer: ArrayBufferLike }} memory
 * @returns {Products}
 */
export function plainProducts(memory) {
  let floats = new Float32Array(memory.buffer);
  const look = () => (floats.buffer === memory.buffer ? floats : (floats = new Float32Array(memory.buffer)));
  return {
    products(out, outStep, x, xStep, tokens, w, wStep, rows, columns) {
      const f = look();
      for (let t = 0; t < tokens; t++) {
        const [to, from] = [(out + t * outStep) >> 2, (x + t * xStep) >> 2];
        for (let r = 0; r < rows; r++) f[to + r] = dot(f, (w + r * wStep) >> 2, f, from, columns);
      }
    },
    combine(out, outStep, y, yStep, yNext, rows, w, wStep, terms, columns) {
      const f = look();
      for (let i = 0; i < rows; i++) {
        const to = (out + i * outStep) >> 2;
        const sums = Float64Array.from({ length: columns }, (_, c) => f[to + c]);
        for (let k = 0; k < terms; k++) {
          const [factor, row] = [f[(y + i * yStep + k * yNext) >> 2], (w + k * wStep) >> 2];
          for (let c = 0; c < columns; c++) sums[c] += factor * f[row + c];
        }
        f.set(sums, to);
      }
    },
    quantise(x, blocks, to) { // without integers there is nothing to prepare: the numbers as they are
      const f = look();
      for (let b = 0; b < blocks; b++) {
        f.copyWithin((to + b * X_BLOCK) >> 2, (x >> 2) + b * BLOCK, (x >> 2) + (b + 1) * BLOCK);
      }
    },
    blockProducts(out, outStep, x, tokens, w, bits, rows, blocks) {
      const f = look();
      const view = new DataView(f.buffer);
      const weights = new Float32Array(blocks * BLOCK);
      for (let r = 0; r < rows; r++) {
        readRow(weights, 0, view, w, bits === 4 ? 'q4' : 'q8', blocks, r);
        for (let t = 0; t < tokens; t++) {
          let sum = 0;
          for (let b = 0; b < blocks; b++) {
            sum += dot(weights, b * BLOCK, f, (x + (t * blocks + b) * X_BLOCK) >> 2, BLOCK);
          }
          f[((out + t * outStep) >> 2) + r] = sum;
        }
      }
    },
  };
}

/**
 * @param {Float32Array} a
 * @param {number} aAt
 * @param {Float32Array} b
 * @param {number} bAt
 * @param {number} length
 */
function dot(a, aAt, b, bAt, length) {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[aAt + i] * b[bAt + i];
  return sum;
}
