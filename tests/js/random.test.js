import assert from 'node:assert/strict';
import { sampleFrom, seededRandom } from '../../lmbook/widgets/core/random.js';

Deno.test('seeded draws repeat and are uniform', () => {
  const draw = (/** @type {number} */ seed, /** @type {number} */ length) => Array.from({ length }, seededRandom(seed));
  const many = draw(2026, 5000);
  assert.deepEqual(draw(2026, 5), many.slice(0, 5));
  assert.notDeepEqual(draw(2027, 5), many.slice(0, 5));
  assert.ok(many.every((u) => u >= 0 && u < 1));
  for (let tenth = 0; tenth < 10; tenth++) {
    const share = many.filter((u) => Math.floor(10 * u) === tenth).length / 5000;
    assert.ok(Math.abs(share - 0.1) < 0.0212, `${share} of the draws in tenth ${tenth}`); // five standard errors
  }
});

Deno.test('the first numbers are those of mulberry32', () => {
  const draw = seededRandom(1); // computed with C's 32-bit arithmetic
  assert.deepEqual([draw(), draw(), draw()], [2693262067, 11749833, 2265367787].map((n) => n / 2 ** 32));
});

Deno.test('sampling inverts the cumulative distribution', () => {
  const probs = [0, 0.25, 0.5, 0, 0.25, 0];
  const draws = [0, 0.2499, 0.25, 0.7499, 0.75, 0.9999, 1];
  assert.deepEqual(draws.map((u) => sampleFrom(probs, u)), [1, 1, 2, 2, 4, 4, 4]);
});

Deno.test('what is no distribution is refused', () => {
  assert.throws(() => sampleFrom([NaN, 0.5], 0.9), {
    name: 'RangeError',
    message: 'probabilities must sum to 1, got NaN',
  });
  assert.throws(() => sampleFrom([0, 0], 0.5), { name: 'RangeError', message: 'probabilities must sum to 1, got 0' });
});
