import assert from 'node:assert/strict';
import { cosines, neighbours, products } from '../../lmbook/widgets/core/vectors.js';

const TABLE = Float64Array.of(3, 0, 0, 2, 5, 5, -1, 0, 0, 0); // five vectors of two numbers, the last of length 0

Deno.test('inner products and cosines by hand', () => {
  assert.deepEqual([...products(TABLE, [1, 2])], [3, 4, 15, -1, 0]);
  const alike = [...cosines(TABLE, 2, 0)].map((x) => Number(x.toFixed(6)));
  assert.deepEqual(alike, [1, 0, 0.707107, -1, 0]);
  assert.deepEqual([...cosines(TABLE, 2, 4)], [0, 0, 0, 0, 0]);
});

Deno.test('neighbours: the word itself is left out, of equals the first comes first', () => {
  assert.deepEqual(neighbours(cosines(TABLE, 2, 0), 0, 4), [2, 1, 4, 3]);
  assert.deepEqual(neighbours(Float64Array.of(0.5, 1, 1, 1), 2, 2), [1, 3]);
  assert.deepEqual(neighbours(Float64Array.of(0.5, 1), 1, 9), [0]);
});
