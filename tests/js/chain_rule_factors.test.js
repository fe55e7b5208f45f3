import assert from 'node:assert/strict';
import { runningLogs, widestGap } from '../../lmbook/widgets/chain_rule_factors.js';

/** @type {(pairs: [number, number][]) => { p: number, q: number }[]} */
const factors = (pairs) => pairs.map(([p, q]) => ({ p, q }));

Deno.test('the widest gap is where the ratio of p and q is largest', () => {
  assert.equal(widestGap(factors([[0.5, 0.5], [0.2, 0.4], [0.1, 0.9], [0.3, 0.2]])), 2);
  assert.equal(widestGap(factors([[0.5, 0.5], [0.9, 0.1], [0.4, 0.2]])), 1);
  assert.equal(widestGap(factors([[0.5, 0.1], [0, 0.3], [0, 0.9]])), 1); // the first of the infinite ones
});

Deno.test('at the first word only what is impossible counts', () => {
  assert.equal(widestGap(factors([[0.9, 0.1], [0.4, 0.2]])), 1);
  assert.equal(widestGap(factors([[0, 0.1], [0.4, 0.2]])), 0);
});

Deno.test('there may be no gap', () => {
  assert.equal(widestGap(factors([[0.9, 0.1], [0.21, 0.2]])), -1);
  assert.equal(widestGap([]), -1);
});

Deno.test('NaN is no probability, words that both never say are no gap', () => {
  for (const place of [0, 1]) {
    for (const pair of /** @type {[number, number][]} */ ([[NaN, 0.5], [0.5, NaN]])) {
      const pairs = /** @type {[number, number][]} */ ([[0.5, 0.5], [0.2, 0.4]]).with(place, pair);
      const message = `P of word ${place + 1} must be at least 0, got ${pair[0]} and ${pair[1]}`;
      assert.throws(() => widestGap(factors(pairs)), { name: 'RangeError', message });
    }
  }
  assert.equal(widestGap(factors([[0, 0], [0.2, 0.4], [0, 0]])), 1);
});

Deno.test('running logs stay at minus infinity', () => {
  const logs = runningLogs(factors([[0.5, 0.25], [0, 0.5], [0.25, 0.5]]));
  assert.deepEqual(logs.map(({ exact }) => exact), [Math.log(0.5), -Infinity, -Infinity]);
  logs.forEach(({ ngram }, i) => assert.ok(Math.abs(ngram - Math.log([1 / 4, 1 / 8, 1 / 16][i])) < 1e-12));
});
