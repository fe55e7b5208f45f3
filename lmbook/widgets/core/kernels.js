// The products of a transformer, over one memory in which matrices and vectors lie: kernels.wat in WebAssembly, or
// kernels_plain.js where a browser or a policy has none. Both take the same addresses and steps, in bytes.
import { BLOCK, readRow, UNPACKED_BLOCK, X_BLOCK } from './blocks.js';
import { KERNELS } from './kernels_binary.js';
import { PlainMemory, plainProducts } from './kernels_plain.js';

/** @import { Products } from './kernels_plain.js' */

const PAGE = 65_536; // bytes; a WebAssembly memory grows by pages
const ALIGN = 64;

/**
 * A matrix in the memory, row by row: float32, or blocks of 32 weights as in blocks.js.
 * @typedef {{ kind: 'f32' | 'q4' | 'q8', at: number, rows: number, columns: number }} Matrix
 */

/** @type {WebAssembly.Module | null | undefined} */
let compiled; // null: there is no WebAssembly here, or none with SIMD

/** The module is 3 KB: compiled at once where it is needed first, which every browser allows up to 4 KB. */
function compile() {
  if (compiled !== undefined) return compiled;
  try {
    compiled = new WebAssembly.Module(Uint8Array.from(atob(KERNELS), (char) => char.charCodeAt(0)));
  } catch {
    compiled = null;
  }
  return compiled;
}

/** A memory of its own for each model, so that both go together. */
export class Kernels {
  /** @param {{ plain?: boolean }} [options] `plain`: without WebAssembly, for comparison */
  constructor({ plain = false } = {}) {
    const module = plain ? null : compile();
    this.simd = module !== null; // false: the same numbers, slower; a page should say so
    /** @type {{ readonly buffer: ArrayBufferLike, grow: (pages: number) => number }} */
    this.memory = module ? new WebAssembly.Memory({ initial: 1 }) : new PlainMemory();
    /** @type {Products} */
    this.run = module
      ? /** @type {any} */ (new WebAssembly.Instance(module, { env: { memory: /** @type {any} */ (this.memory) } })
        .exports)
      : plainProducts(this.memory);
    this.top = 0;
    this.integers = { at: 0, size: 0 }; // where x lies in integers while it is multiplied
    this.unpacked = { at: 0, size: 0 };
  }

  /**
   * The address of `size` bytes of zeros that are the caller's from now on. Views of the memory that were made before
   * are empty if it had to grow: take everything first.
   * @param {number} size
   */
  take(size) {
    const at = this.top;
    const end = Math.ceil((at + size) / ALIGN) * ALIGN;
    const missing = Math.ceil((end - this.memory.buffer.byteLength) / PAGE);
    if (missing > 0) {
      try {
        this.memory.grow(missing);
      } catch {
        throw new RangeError(`the browser has no ${Math.ceil(end / 1e6)} MB of memory for this model`);
      }
    }
    this.top = end;
    return at;
  }

  /**
   * @param {number} at
   * @param {number} length
   */
  floats(at, length) {
    return new Float32Array(this.memory.buffer, at, length);
  }

  /**
   * Takes what `multiply` needs for matrices of blocks with up to `columns` columns, and `tokens` at a time.
   * @param {number} columns
   * @param {number} tokens
   */
  prepareBlocks(columns, tokens) {
    const blocks = Math.ceil(columns / BLOCK);
    this.integers = { size: blocks * tokens * X_BLOCK, at: this.take(blocks * tokens * X_BLOCK) };
    this.unpacked = { size: blocks * UNPACKED_BLOCK, at: this.take(blocks * UNPACKED_BLOCK) };
  }

  /**
   * out[t] = the products of x[t] with the rows of the matrices, one after another; rows of out and x lie outStep and
   * xStep bytes apart.
   * @param {number} out
   * @param {number} outStep
   * @param {number} x
   * @param {number} xStep
   * @param {number} tokens
   * @param {Matrix[]} matrices of one width
   */
  multiply(out, outStep, x, xStep, tokens, matrices) {
    const { integers, unpacked, run } = this;
    const { columns } = matrices[0];
    const blocks = columns / BLOCK;
    if (matrices.some(({ kind }) => kind !== 'f32')) {
      if (blocks * tokens * X_BLOCK > integers.size || blocks * UNPACKED_BLOCK > unpacked.size) {
        throw new RangeError(`no room was prepared for ${tokens} tokens of ${columns} numbers`);
      }
      const step = blocks * X_BLOCK;
      for (let t = 0; t < tokens; t++) run.quantise(x + t * xStep, blocks, integers.at + t * step);
    }
    for (const { kind, at, rows } of matrices) {
      if (kind === 'f32') run.products(out, outStep, x, xStep, tokens, at, 4 * columns, rows, columns);
      else run.blockProducts(out, outStep, integers.at, tokens, at, kind === 'q4' ? 4 : 8, rows, blocks, unpacked.at);
      out += 4 * rows;
    }
  }

  /**
   * Row `row` of a matrix, written into `out` at `outAt`.
   * @param {Float32Array | Float64Array} out
   * @param {number} outAt
   * @param {Matrix} matrix
   * @param {number} row
   */
  copyRow(out, outAt, { kind, at, columns }, row) {
    if (kind === 'f32') out.set(this.floats(at + 4 * row * columns, columns), outAt);
    else readRow(out, outAt, new DataView(this.memory.buffer), at, kind, columns / BLOCK, row);
  }
}
