import assert from 'node:assert/strict';
import { choiceOrder } from '../../lmbook/widgets/core/choices.js';

const sorted = (/** @type {number[]} */ order) => order.toSorted((a, b) => a - b);

Deno.test('every choice is shown once, in the same order to the same reader', () => {
  for (let seed = 0; seed < 100; seed++) {
    for (const count of [2, 3, 4, 8]) {
      const order = choiceOrder('tokens-quiz-1', count, seed);
      assert.deepEqual(sorted(order), Array.from({ length: count }, (_, i) => i));
      assert.deepEqual(order, choiceOrder('tokens-quiz-1', count, seed));
    }
  }
});

Deno.test('without a seed the choices stay in their own order', () => {
  assert.deepEqual(choiceOrder('tokens-quiz-1', 4, null), [0, 1, 2, 3]);
});

Deno.test('all orders of three are about equally frequent, over readers and over questions', () => {
  const many = 6000;
  const readers = Array.from({ length: many }, (_, seed) => choiceOrder('causal-quiz-3', 3, seed));
  const questions = Array.from({ length: many }, (_, i) => choiceOrder(`masked-quiz-${i}`, 3, 1234));
  for (const orders of [readers, questions]) {
    /** @type {Record<string, number>} */
    const counts = {};
    for (const order of orders) counts[String(order)] = (counts[String(order)] ?? 0) + 1;
    assert.equal(Object.keys(counts).length, 6);
    for (const count of Object.values(counts)) assert.ok(Math.abs(count - many / 6) < 130, JSON.stringify(counts)); // 4.5σ
  }
});
