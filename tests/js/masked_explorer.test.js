import assert from 'node:assert/strict';
import { Automaton } from '../../lmbook/widgets/core/toy_language.js';
import { maskedPosterior } from '../../lmbook/widgets/masked_explorer.js';

/**
 * One state besides the dead one, from which words 0 and 1 lead back to it; word 2 is never said.
 * @param {[number, number]} probs
 */
const language = (probs) =>
  new Automaton({
    vocabSize: 3,
    rowStarts: Uint32Array.of(0, 2, 2),
    words: Uint8Array.of(0, 1),
    next: Uint16Array.of(0, 0),
    logProbs: Float64Array.from(probs, Math.log),
  });

/**
 * @param {[number, number]} probs
 * @param {number[]} ids
 */
function posteriorAtStart(probs, ids) {
  const [first, ...others] = maskedPosterior(language(probs), ids, [0]);
  assert.ok(others.every((one) => one === null)); // those words are visible
  return [...first ?? []];
}

Deno.test('a hidden word has its own chance where the words are independent', () => {
  const [a, b, c] = posteriorAtStart([0.25, 0.75], [0, 1]);
  assert.ok(Math.abs(a - 0.25) < 1e-15 && Math.abs(b - 0.75) < 1e-15);
  assert.equal(c, 0);
});

Deno.test('every word is equally likely in a sentence that is never said', () => {
  assert.deepEqual(posteriorAtStart([0.25, 0.75], [0, 2]), [1 / 3, 1 / 3, 1 / 3]);
});

Deno.test('a language with NaN gives NaN, not equal chances', () => {
  assert.ok(posteriorAtStart([NaN, NaN], [0, 1]).some(Number.isNaN));
});
