import assert from 'node:assert/strict';
import { shannonBounds } from '../../lmbook/widgets/shannon.js';

Deno.test('bounds of an even chance between two guesses are one bit', () => {
  const { upper, lower, standardError } = shannonBounds([1, 2, 1, 2]);
  assert.deepEqual([upper, lower, standardError], [1, 1, 0]); // lower: 2 · (1/2 − 0) · log2 2
});

Deno.test('bounds worked by hand', () => {
  const { upper, lower, standardError, q } = shannonBounds([...Array(8).fill(1), 2, 2, 2, 2, 3, 3, 27, 5]);
  assert.deepEqual([...q.slice(1, 6), q[27]], [1 / 2, 1 / 4, 1 / 8, 0, 1 / 16, 1 / 16]);
  assert.equal(upper, 1 / 2 + 2 / 4 + 3 / 8 + 2 * (4 / 16));
  const terms = [2 * (1 / 8) * 1, 3 * (1 / 8) * Math.log2(3), 4 * (-1 / 16) * 2, 5 * (1 / 16) * Math.log2(5)];
  const last = 26 * (-1 / 16) * Math.log2(26) + 27 * (1 / 16) * Math.log2(27);
  assert.ok(Math.abs(lower - terms.reduce((a, b) => a + b, last)) < 1e-12);
  const variance = 1 / 2 + 4 / 4 + 9 / 8 + 2 * (16 / 16) - upper ** 2;
  assert.ok(Math.abs(standardError - Math.sqrt(variance / 16)) < 1e-12);
});

Deno.test('no guess, no error', () => {
  assert.equal(shannonBounds([]).standardError, 0);
});

Deno.test('what is no number of guesses is refused', () => {
  for (const odd of [NaN, 0, 28, 1.5]) {
    assert.throws(() => shannonBounds([1, odd]), { message: new RegExp(`from 1 to 27, got ${odd}$`) });
  }
});
