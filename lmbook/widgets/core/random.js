// Reproducible random numbers.

/**
 * A seeded generator of numbers in [0, 1): the same seed gives the same draws in every browser (mulberry32).
 * @param {number} seed
 */
export function seededRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * The number that u in [0, 1) draws from a distribution.
 * @param {ArrayLike<number>} probs
 * @param {number} u
 */
export function sampleFrom(probs, u) {
  let [total, last] = [0, 0];
  for (let w = 0; w < probs.length; w++) {
    if (probs[w] === 0) continue;
    total += probs[w];
    last = w;
    if (u < total) return w;
  }
  if (!(total > 0)) throw new RangeError(`probabilities must sum to 1, got ${total}`);
  return last; // the sum is just below u because of rounding
}

/**
 * A seeded generator of numbers from N(0, 1): two uniform numbers give a distance and an angle (Box and Muller 1958).
 * @param {number} seed
 */
export function seededNormal(seed) {
  const uniform = seededRandom(seed);
  return () => {
    const distance = Math.sqrt(-2 * Math.log(1 - uniform())); // 1 − u is never 0
    return distance * Math.cos(2 * Math.PI * uniform());
  };
}
