import assert from 'node:assert/strict';
import { TableModel } from '../../lmbook/widgets/core/models.js';
import { beamSearch, beamSteps, decodeSteps, greedyDecode, logSoftmax } from '../../lmbook/widgets/core/search.js';

/** @type {(probs: number[]) => TableModel} a model that always says the same */
const always = (probs) => new TableModel(probs.length, () => Float64Array.from(probs));
/** @type {(got: number, want: number) => void} */
const near = (got, want) => assert.ok(Math.abs(got - want) < 1e-12, `${got} instead of ${want}`);

Deno.test('what ends among the best leaves its place to the next', () => {
  // After 0: 1 with 0.6, the end 2 with 0.3, 0 with 0.1. Two beams: 2 ends, 1 and 0 go on.
  const table = [[0.1, 0.6, 0.3], [0.4, 0.35, 0.25]];
  const model = new TableModel(3, (ids) => Float64Array.from(table[ids[ids.length - 1]]));
  const steps = [...beamSteps(model, [0], 2, 3, { eos: 2 })];
  assert.deepEqual(steps[0].candidates.map(({ token, fate }) => [token, fate]), [[1, 'kept'], [2, 'ended'], [
    0,
    'kept',
  ]]);
  assert.deepEqual(steps[0].beams.map(({ ids }) => ids), [[0, 0], [0, 1]]);
  assert.deepEqual(steps[0].best?.ids, [0, 2]);
  assert.equal(steps.length, 2); // then no prefix (0.24 at most) can overtake the finished 0.3
  const found = beamSearch(model, [0], 2, 3, { eos: 2 });
  assert.deepEqual(found.ids, [0, 2]);
  near(found.logProb, Math.log(0.3));
});

Deno.test('a length penalty lets longer continuations win', () => {
  const model = always([0.1, 0.5, 0.4]);
  assert.deepEqual(beamSearch(model, [0], 2, 3, { eos: 2 }).ids, [0, 2]);
  assert.deepEqual(beamSearch(model, [0], 2, 3, { eos: 2, lengthPenalty: 2 }).ids, [0, 1, 1, 1]);
});

Deno.test('a continuation of no tokens', () => {
  assert.deepEqual(beamSearch(always([0.5, 0.5]), [1], 2, 0), { ids: [1], logProb: 0 });
  assert.deepEqual(greedyDecode(always([0.5, 0.5]), [1], 0), [1]);
});

Deno.test('a choice of one’s own, until the end', () => {
  const model = always([0.5, 0.25, 0.25]);
  const choose = (/** @type {unknown} */ _, /** @type {number[]} */ ids) => ids.length % 3;
  const steps = [...decodeSteps(model, [0], 5, { choose, eos: 0 })];
  assert.deepEqual(steps.map(({ token }) => token), [1, 2, 0]);
  steps.forEach(({ logProb }, i) => near(logProb, Math.log([0.25, 0.25, 0.5][i])));
  assert.deepEqual(steps.map(({ ids }) => ids.length), [2, 3, 4]);
});

Deno.test('greedy decoding stops at the end token, which it keeps', () => {
  const model = always([0.5, 0.25, 0.25]);
  assert.deepEqual(greedyDecode(model, [1], 3), [1, 0, 0, 0]);
  assert.deepEqual(greedyDecode(model, [1], 3, { eos: 0 }), [1, 0]);
});

Deno.test('log-probabilities of numbers that e cannot reach', () => {
  assert.deepEqual([...logSoftmax([1000, 1000, -Infinity])].map((x) => x === -Infinity ? x : Math.exp(x).toFixed(12)), [
    '0.500000000000',
    '0.500000000000',
    -Infinity,
  ]);
});

const model = always([0.5, 0.5]);
const short = Object.assign(always([0.5, 0.5]), { contextLength: 4 });
/** @type {[() => unknown, string][]} */
const REFUSED = [
  [() => beamSearch(model, [0], 0, 3), 'num_beams must be at least 1, got 0'],
  [() => beamSearch(model, [0], NaN, 3), 'num_beams must be at least 1, got NaN'],
  [() => beamSearch(model, [0], 1, 3, { lengthPenalty: -1 }), 'length_penalty must be at least 0 and finite, got -1'],
  [() => beamSearch(model, [0], 1, 3, { lengthPenalty: NaN }), 'length_penalty must be at least 0 and finite, got NaN'],
  [() => beamSearch(short, [0, 0], 1, 3), 'prompt plus max_length is 5 tokens long, the model reads 4'],
  [() => greedyDecode(short, [0, 0], 3), 'prompt plus max_length is 5 tokens long, the model reads 4'],
  [() => greedyDecode(short, [0], NaN), 'prompt plus max_length is NaN tokens long, the model reads 4'],
  [() => greedyDecode(always([NaN, 0.5]), [0], 3), 'the best logit must be finite, got NaN'],
  [() => greedyDecode(always([0.5, NaN]), [0], 3), 'logits must be numbers, got NaN'],
  [() => greedyDecode(always([0, 0]), [0], 3), 'the best logit must be finite, got -Infinity'],
];

for (const [call, message] of REFUSED) {
  Deno.test(message, () => assert.throws(call, { name: 'RangeError', message }));
}
