// e^x, more than twice as fast as Math.exp and right to 11 digits: a training step takes a million and a half of them.
//
// x = n · log 2 / 1024 + r with a whole number n = 1024 · e + j, so e^x = 2^e · 2^(j/1024) · e^r: two tables, and since
// |r| ≤ 0.00034, e^r is 1 + r + r²/2.

/** @import { Place } from './gradients.js' */
/** @import { TrainingProducts } from './training_kernels.js' */

const CUTS = 1024;
const EXP_LIMIT = 700; // beyond it the result is 0 or infinite; float32 ends at 104 already
// Beside 1 a smaller power counts for nothing, and is 0 as in training.wat: processors are slow with numbers near 10⁻³⁸.
export const LEAST_POWER = -50;
const EXP_OFFSET = 2_000_000; // makes n + EXP_OFFSET positive, so that | 0 rounds down
const FRACTIONS = Float64Array.from({ length: CUTS }, (_, j) => 2 ** (j / CUTS));
const POWERS = Float64Array.from({ length: 2200 }, (_, i) => 2 ** (i - 1100));

/** @param {number} x */
export function quickExp(x) {
  if (x < -EXP_LIMIT) return 0;
  if (x > EXP_LIMIT) return Infinity;
  const n = ((x * (CUTS / Math.LN2) + (EXP_OFFSET + 0.5)) | 0) - EXP_OFFSET;
  const r = x - n * (Math.LN2 / CUTS);
  return POWERS[(n >> 10) + 1100] * FRACTIONS[n & (CUTS - 1)] * (1 + r * (1 + r * 0.5));
}

/**
 * Softmax of `length` numbers · scale, in place: e^(x · scale), divided by their sum. The largest is subtracted first,
 * so that nothing overflows. Returns log Σ e^(x · scale).
 * @param {TrainingProducts} run
 * @param {Place} place
 * @param {number} from
 * @param {number} length
 * @param {number} scale
 */
export function softmaxInPlace({ powers }, { at, view: x }, from, length, scale) {
  const end = from + length;
  let top = -Infinity;
  for (let i = from; i < end; i++) if (x[i] > top) top = x[i];
  const done = powers ? length & -4 : 0;
  let total = powers ? powers(at + 4 * from, done / 4, top, scale) : 0;
  for (let i = from + done; i < end; i++) {
    const z = (x[i] - top) * scale;
    const power = z < LEAST_POWER ? 0 : quickExp(z);
    x[i] = power;
    total += power;
  }
  const share = 1 / total;
  for (let i = from; i < end; i++) x[i] *= share;
  return top * scale + Math.log(total);
}
