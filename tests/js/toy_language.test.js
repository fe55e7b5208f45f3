import assert from 'node:assert/strict';
import { Automaton } from '../../lmbook/widgets/core/toy_language.js';

// Two words a and b. State 0: a (3/4) leads to 0, b (1/4) to 1; state 1: b leads to 0; state 2 is dead: both words.
const language = new Automaton({
  vocabSize: 3,
  rowStarts: Uint32Array.of(0, 2, 3, 6),
  words: Uint8Array.of(1, 2, 2, 0, 1, 2),
  next: Uint16Array.of(0, 1, 0, 2, 2, 2),
  logProbs: Float64Array.of(Math.log(0.75), Math.log(0.25), 0, ...Array(3).fill(-Math.log(3))),
});

/** @type {(got: Iterable<number>, want: number[]) => void} */
const near = (got, want) => [...got].forEach((p, i) => assert.ok(Math.abs(p - want[i]) < 1e-12, `${p} at ${i}`));

Deno.test('words lead from state to state, what is impossible to the dead one', () => {
  assert.deepEqual([[], [1], [2], [2, 2], [1, 1, 2]].map((prefix) => language.state(prefix)), [0, 0, 1, 0, 1]);
  assert.deepEqual([[0], [2, 1], [0, 1], [2, 1, 2]].map((prefix) => language.state(prefix)), [2, 2, 2, 2]);
  assert.deepEqual([[], [2], [2, 2], [2, 1], [0]].map((p) => language.isPossible(p)), [true, true, true, false, false]);
  assert.deepEqual([language.step(0, 2), language.step(1, 2), language.step(1, 1)], [1, 0, 2]);
});

Deno.test('the place of a word among those of a state', () => {
  assert.deepEqual([[0, 1], [0, 2], [1, 2], [2, 0]].map(([s, w]) => language.entry(s, w)), [0, 1, 2, 3]);
  assert.deepEqual([[0, 0], [1, 0], [1, 1]].map(([s, w]) => language.entry(s, w)), [-1, -1, -1]);
});

Deno.test('probabilities', () => {
  assert.deepEqual([language.logProb(0, 1), language.logProb(1, 2)], [Math.log(0.75), 0]);
  assert.deepEqual([language.logProb(0, 0), language.logProb(1, 1)], [-Infinity, -Infinity]);
  near(language.dist([]), [0, 0.75, 0.25]);
  near(language.dist([1, 2]), [0, 0, 1]);
  near(language.dist([0]), [1 / 3, 1 / 3, 1 / 3]);
});
