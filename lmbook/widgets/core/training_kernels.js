// What a training step needs beside the kernels' products: training.wat in WebAssembly, where there is any.
import { TRAINING_KERNELS } from './training_binary.js';

/** @import { Kernels } from './kernels.js' */
/** @import { Products } from './kernels_plain.js' */

/**
 * The two products, and what WebAssembly alone has, for multiples of four numbers; see training.wat.
 * @typedef {object} TrainingProducts
 * @property {Products['products']} products
 * @property {Products['combine']} combine
 * @property {(x: number, fours: number, top: number, scale: number) => number} [powers]
 * @property {(h: number, s: number, g: number, u: number, fours: number) => void} [gates]
 */

/**
 * The products of `kernels`, over its memory, as fast as a training step can have them.
 * @param {Kernels} kernels
 * @returns {TrainingProducts}
 */
export function trainingProducts({ simd, memory, run }) {
  if (!simd) return run;
  const module = new WebAssembly.Module(Uint8Array.from(atob(TRAINING_KERNELS), (char) => char.charCodeAt(0)));
  const { exports } = new WebAssembly.Instance(module, { env: { memory: /** @type {any} */ (memory) } });
  const { combinePairs, powers, gates } = /** @type {any} */ (exports);
  return {
    products: run.products,
    powers,
    gates,
    combine(out, outStep, y, yStep, yNext, rows, w, wStep, terms, columns) {
      const whole = columns & -16;
      if (whole) combinePairs(out, outStep, y, yStep, yNext, rows, w, wStep, terms, whole);
      if (whole === columns) return;
      run.combine(out + 4 * whole, outStep, y, yStep, yNext, rows, w + 4 * whole, wStep, terms, columns - whole);
    },
  };
}
