import assert from 'node:assert/strict';
import { readModels } from '../../lmbook/widgets/core/toy_models.js';

/** @type {(numbers: ArrayBufferView) => DataView} */
const asBytes = ({ buffer, byteOffset, byteLength }) => new DataView(buffer, byteOffset, byteLength);
/** @type {(vocab: string[], ids: number[]) => { get: (name: string) => any }} a language of two words, each as likely */
const traits = (vocab, ids) => {
  const state = new Map(Object.entries({
    vocab,
    row_starts: asBytes(Uint32Array.of(0, 2, 4)),
    row_words: asBytes(Uint8Array.of(0, 1, 0, 1)),
    row_next: asBytes(Uint16Array.of(0, 0, 1, 1)),
    row_log_probs: asBytes(new Float64Array(4).fill(Math.log(0.5))),
    ids: asBytes(Uint8Array.from(ids)),
    row_length: 4,
  }));
  return { get: (name) => state.get(name) };
};

Deno.test('the exact language and the counts of its text', () => {
  const { vocab, exact, ngrams, stop } = readModels(traits(['a', '.'], [0, 1, 0, 1, 0, 0, 0, 1]), 3);
  assert.deepEqual([vocab, stop, ngrams.maxOrder], [['a', '.'], 1, 3]);
  assert.deepEqual([...exact.dist([1])], [0.5, 0.5]);
  assert.equal(exact.vocabSize, 2);
  assert.deepEqual([[0], [0, 1], [1, 0], [0, 0], [0, 1, 0]].map((gram) => ngrams.count(gram)), [5, 3, 1, 2, 1]);
});

Deno.test('n-grams read a full stop before the first word, where there is one', () => {
  const { ngrams, ngramDist } = readModels(traits(['a', '.'], [0, 1, 0, 1, 0, 0, 0, 1]), 3);
  assert.deepEqual(ngramDist([], 3), ngrams.dist([1], 3));
  assert.deepEqual(ngramDist([0], 3), ngrams.dist([1, 0], 3));
  assert.notDeepEqual(ngrams.dist([1, 0], 3), ngrams.dist([0], 3));
  const first = readModels(traits(['.', 'a'], [0, 1, 0, 1, 0, 0, 0, 1]), 2);
  assert.equal(first.stop, 0);
  assert.deepEqual(first.ngramDist([], 2), first.ngrams.dist([0], 2));
  const without = readModels(traits(['a', 'b'], [0, 1, 0, 1, 0, 0, 0, 1]), 2);
  assert.equal(without.stop, -1);
  assert.deepEqual(without.ngramDist([], 2), without.ngrams.dist([], 2));
  assert.deepEqual(without.ngramDist([0], 2), without.ngrams.dist([0], 2));
});
