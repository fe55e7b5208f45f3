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
  [() => filters.topNSigma(X, -1), 'top-n-sigma n must be at least 0 and finite, got -1'],
  [() => filters.topNSigma(X, NaN), 'top-n-sigma n must be at least 0 and finite, got NaN'],
  [() => filters.logitBias([0, 1], [[0, NaN]]), 'a bias must be finite, got NaN'],
  [() => filters.logitBias([0, 1], [[2, 1]]), 'an id in bias must be from 0 to 1, got 2'],
  [() => filters.logitBias([0, 1], [[0.5, 1]]), 'an id in bias must be from 0 to 1, got 0.5'],
];

for (const [call, message] of REFUSED) {
  Deno.test(message, () => assert.throws(call, { name: 'RangeError', message }));
}

Deno.test('of equals the lowest id is the best', () => {
  assert.equal(filters.bestToken([1, 4, 4, 2]), 1);
  assert.deepEqual([[5], [5, 5]].map(filters.bestToken), [0, 0]);
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

const { log } = Math;
/** @type {(probs: number[]) => number[]} */
const logits = (probs) => probs.map(log);
/** @type {(numbers: Iterable<number>) => number[]} the places of numbers that are not −Infinity */
const kept = (numbers) => [...numbers].flatMap((x, id) => x > -Infinity ? [id] : []);
const GONE = -Infinity;

Deno.test('softmax', () => {
  assert.deepEqual([...filters.softmax([0, 0, GONE, 0, 0])], [0.25, 0.25, 0, 0.25, 0.25]);
  assert.deepEqual([...filters.softmax([1000, GONE, 1000])], [0.5, 0, 0.5]);
  const [a, b] = filters.softmax([-1000, -1000 + log(3)]);
  assert.ok(Math.abs(a - 0.25) < 1e-12 && Math.abs(b - 0.75) < 1e-12, `${a}, ${b}`);
});

Deno.test('temperature divides; at 0 the best token is left', () => {
  assert.deepEqual([...filters.temperature([2, -4, GONE], 2)], [1, -2, GONE]);
  assert.deepEqual([...filters.temperature([2, -4], 0.5)], [4, -8]);
  assert.deepEqual([...filters.temperature([0, 1], 1e-30)], [0, 1 / 1e-30]);
  assert.deepEqual([...filters.temperature([0, 3, 3], 1e-31)], [GONE, 3, GONE]);
  assert.deepEqual([...filters.temperature([0, 3, 3], 0)], [GONE, 3, GONE]);
});

Deno.test('the k best, exactly k', () => {
  assert.deepEqual([...filters.topK([1, 5, 3, 4], 2)], [GONE, 5, GONE, 4]);
  assert.deepEqual(kept(filters.topK([7, 7, 7, 7, 9], 3)), [0, 1, 4]);
  assert.deepEqual([...filters.topK([1, 2], 3)], [1, 2]);
  assert.deepEqual([...filters.topK([GONE, 1, GONE, 2], 3)], [GONE, 1, GONE, 2]);
  const many = Array.from({ length: 100 }, (_, id) => id % 2);
  assert.deepEqual(kept(filters.topK(many, 20)), Array.from({ length: 20 }, (_, i) => 2 * i + 1));
});

Deno.test('the nucleus is the fewest that reach p', () => {
  assert.deepEqual(kept(filters.topP([0, 0, 0, 0], 0.5)), [0, 1]); // two quarters are a half
  assert.deepEqual(kept(filters.topP([0, 0, 0, 0], 0.51)), [0, 1, 2]);
  assert.deepEqual([...filters.topP([1, 3, 2], 0.001)], [GONE, 3, GONE]);
  assert.deepEqual(kept(filters.topP(logits([0.1, 0.6, 0.3]), 0.8)), [1, 2]);
  assert.deepEqual([...filters.topP([0, -50], 1)], [0, -50]); // although the first has all, up to rounding
});

Deno.test('at least p times the best', () => {
  assert.deepEqual(kept(filters.minP(logits([0.1, 0.5, 0.24, 0.16]), 0.4)), [1, 2]);
  assert.deepEqual([...filters.minP([1, 0, 1], 1)], [1, GONE, 1]);
  assert.deepEqual([...filters.minP([1, -900, GONE], 0)], [1, -900, GONE]);
  assert.deepEqual([...filters.minP([Infinity, 0], 0)], [Infinity, 0]);
});

Deno.test('typical tokens where some are impossible', () => {
  // Entropy log 2 = 0.69; surprises 0.69 twice and infinite.
  assert.deepEqual([...filters.typical([5, GONE, 5], 0.5)], [5, GONE, 5]);
  assert.deepEqual([...filters.typical([0, -50], 1)], [0, -50]);
  // Entropy 1.03; surprises 0.69, 1.20, 1.61: distances 0.34, 0.17, 0.58.
  assert.deepEqual(kept(filters.typical(logits([0.5, 0.3, 0.2]), 0.2)), [1]);
  assert.deepEqual(kept(filters.typical(logits([0.5, 0.3, 0.2]), 0.4)), [0, 1]);
  assert.deepEqual(kept(filters.typical(logits([0.5, 0.3, 0.2]), 0.9)), [0, 1, 2]);
});

Deno.test('what was said before counts less', () => {
  assert.deepEqual([...filters.repetitionPenalty([4, -4, 4, -4, 0], [0, 1, 1, 4, 9, -1], 2)], [2, -8, 4, -4, 0]);
  assert.deepEqual([...filters.repetitionPenalty([4, -4], [0, 1], 0.5)], [8, -2]);
  assert.deepEqual([...filters.frequencyPenalty([1, 2, 3], [0, 2, 2, 3, -1], 0.5)], [0.5, 2, 2]);
  assert.deepEqual([...filters.frequencyPenalty([1, 2], [1], -0.5)], [1, 2.5]);
  assert.deepEqual([...filters.presencePenalty([1, 2, 3], [0, 2, 2, 3, -1], 0.5)], [0.5, 2, 2.5]);
});

Deno.test('no sequence of n twice', () => {
  const ones = [1, 1, 1, 1];
  assert.deepEqual(kept(filters.noRepeatNgram(ones, [0, 1, 0, 2, 0], 2)), [0, 3]); // 0 1 and 0 2 were there
  assert.deepEqual(kept(filters.noRepeatNgram(ones, [0, 1, 2, 3, 0, 1], 3)), [0, 1, 3]); // 0 1 2 was
  assert.deepEqual(kept(filters.noRepeatNgram(ones, [0, 1, 2, 3, 2, 1], 3)), [0, 1, 2, 3]);
  assert.deepEqual(kept(filters.noRepeatNgram(ones, [1, 1, 1], 2)), [0, 2, 3]);
  assert.deepEqual(kept(filters.noRepeatNgram(ones, [0, 2], 1)), [1, 3]);
  assert.deepEqual(kept(filters.noRepeatNgram(ones, [0, 2], 4)), [0, 1, 2, 3]); // a text too short for it
  assert.deepEqual([...filters.noRepeatNgram([5, 7], [0, 1], 1)], [5, 7]); // none would be left
  assert.deepEqual([...filters.noRepeatNgram([5, GONE], [0, 0], 1)], [5, GONE]);
});

Deno.test('limits that may be reached', () => {
  assert.deepEqual([...filters.topK([1, 2], 1)], [GONE, 2]);
  assert.throws(() => filters.typical([0], 1.1), { message: 'typical p must be above 0 and at most 1, got 1.1' });
  assert.throws(() => filters.repetitionPenalty([0], [], Infinity), {
    message: 'penalty must be above 0 and finite, got Infinity',
  });
});

Deno.test('tokens within n deviations of the best', () => {
  // Logits 0, 2, 4: their deviation is √(8/3) = 1.633; an impossible token doesn't count.
  assert.deepEqual(kept(filters.topNSigma([0, 2, 4, GONE], 1)), [2]);
  assert.deepEqual(kept(filters.topNSigma([0, 2, 4, GONE], 1.3)), [1, 2]);
  assert.deepEqual(kept(filters.topNSigma([0, 2, 4, GONE], 2.5)), [0, 1, 2]);
  assert.deepEqual(kept(filters.topNSigma([3, 3, 1], 0)), [0, 1]);
});

Deno.test('a bias is added, and forbids nothing that stands alone', () => {
  assert.deepEqual([...filters.logitBias([1, 2, GONE], [[0, 5], [2, 5]])], [6, 2, GONE]);
  assert.deepEqual([...filters.logitBias([1], [[7, -100]])], [1]);
});

Deno.test('penalties may leave the prompt out', () => {
  const ids = [0, 1, 0];
  assert.deepEqual([...filters.repetitionPenalty([4, 4, 4], ids, 2, 2)], [2, 4, 4]);
  assert.deepEqual([...filters.frequencyPenalty([4, 4, 4], ids, 1, 1)], [3, 3, 4]);
  assert.deepEqual([...filters.presencePenalty([4, 4, 4], ids, 1, 9)], [4, 4, 4]);
  assert.deepEqual(kept(filters.noRepeatNgram([4, 4, 4], ids, 2)), [0, 2]);
  assert.deepEqual(kept(filters.noRepeatNgram([4, 4, 4], ids, 2, 1)), [0, 1, 2]);
});
