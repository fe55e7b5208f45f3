import assert from 'node:assert/strict';
import * as filters from '../../lmbook/widgets/core/filters.js';

const X = [0];

/** @type {[() => unknown, string][]} */
const REFUSED = [
  [() => filters.temperature(X, -0.5), 'temperature must be at least 0 and finite, got -0.5'],
  [() => filters.temperature(X, Infinity), 'temperature must be at least 0 and finite, got Infinity'],
  [() => filters.temperature(X, NaN), 'temperature must be at least 0 and finite, got NaN'],
  [() => filters.topK(X, 0), 'k must be at least 1, got 0'],
  [() => filters.topK(X, NaN), 'k must be at least 1, got NaN'],
  [() => filters.topP(X, 0), 'p must be above 0 and at most 1, got 0'],
  [() => filters.topP(X, 1.1), 'p must be above 0 and at most 1, got 1.1'],
  [() => filters.topP(X, NaN), 'p must be above 0 and at most 1, got NaN'],
  [() => filters.minP(X, -0.1), 'min_p must be at least 0 and at most 1, got -0.1'],
  [() => filters.minP(X, 2), 'min_p must be at least 0 and at most 1, got 2'],
  [() => filters.minP(X, NaN), 'min_p must be at least 0 and at most 1, got NaN'],
  [() => filters.typical(X, 0), 'typical p must be above 0 and at most 1, got 0'],
  [() => filters.typical(X, NaN), 'typical p must be above 0 and at most 1, got NaN'],
  [() => filters.repetitionPenalty(X, [], 0), 'penalty must be above 0 and finite, got 0'],
  [() => filters.repetitionPenalty(X, [], NaN), 'penalty must be above 0 and finite, got NaN'],
  [() => filters.frequencyPenalty(X, [], NaN), 'penalty must be finite, got NaN'],
  [() => filters.presencePenalty(X, [], Infinity), 'penalty must be finite, got Infinity'],
  [() => filters.noRepeatNgram(X, [], 0), 'n must be at least 1, got 0'],
  [() => filters.noRepeatNgram(X, [], NaN), 'n must be at least 1, got NaN'],
];

for (const [call, message] of REFUSED) {
  Deno.test(message, () => assert.throws(call, { name: 'RangeError', message }));
}

Deno.test('of equals the lowest id is the best', () => {
  assert.equal(filters.bestToken([1, 4, 4, 2]), 1);
  assert.deepEqual([...filters.topK([1, 4, 4, 2], 1)], [-Infinity, 4, -Infinity, -Infinity]);
});

Deno.test('the best token may be none of the typical ones', () => {
  const kept = (/** @type {number[]} */ probs, /** @type {number} */ p) =>
    [...filters.typical(probs.map(Math.log), p)].map(Number.isFinite);
  // Entropy 0.95, surprises 0.51, 1.61 and 1.61: the likeliest lies nearest.
  assert.deepEqual(kept([0.6, 0.2, 0.2], 0.5), [true, false, false]);
  // Entropy 3.02, surprises 0.92 and 4.42: the others lie nearer, and stay together.
  assert.deepEqual(kept([0.4, ...Array(50).fill(0.012)], 0.1), [false, ...Array(50).fill(true)]);
});
