// e^x, more than twice as fast as Math.exp and right to 11 digits: a training step takes a million and a half of them.
//
// x = n · log 2 / 1024 + r with a whole number n = 1024 · e + j, so e^x = 2^e · 2^(j/1024) · e^r: two tables, and since
// |r| ≤ 0.00034, e^r is 1 + r + r²/2.
const CUTS = 1024;
const LIMIT = 700; // beyond it the result is 0 or infinite; float32 ends at 104 already
const OFFSET = 2_000_000; // makes n + OFFSET positive, so that | 0 rounds down
const FRACTIONS = Float64Array.from({ length: CUTS }, (_, j) => 2 ** (j / CUTS));
const POWERS = Float64Array.from({ length: 2200 }, (_, i) => 2 ** (i - 1100));

/** @param {number} x */
export function quickExp(x) {
  if (x < -LIMIT) return 0;
  if (x > LIMIT) return Infinity;
  const n = ((x * (CUTS / Math.LN2) + (OFFSET + 0.5)) | 0) - OFFSET;
  const r = x - n * (Math.LN2 / CUTS);
  return POWERS[(n >> 10) + 1100] * FRACTIONS[n & (CUTS - 1)] * (1 + r * (1 + r * 0.5));
}

/**
 * Softmax of x · scale, in place: e^(x · scale), divided by their sum. The largest is subtracted first, so that nothing
 * overflows. Returns log Σ e^(x · scale).
 * @param {Float32Array} x
 * @param {number} at
 * @param {number} length
 * @param {number} scale
 */
export function softmaxInPlace(x, at, length, scale) {
  const end = at + length;
  let top = -Infinity;
  for (let i = at; i < end; i++) if (x[i] > top) top = x[i];
  let total = 0;
  for (let i = at; i < end; i++) {
    const power = quickExp((x[i] - top) * scale);
    x[i] = power;
    total += power;
  }
  const share = 1 / total;
  for (let i = at; i < end; i++) x[i] *= share;
  return top * scale + Math.log(total);
}
