// Both models of a toy-language widget: the exact one, and the n-grams of a text drawn from it.
import { unpack } from './bytes.js';
import { NGramCounts } from './ngram.js';
import { Automaton } from './toy_language.js';

/** @typedef {ReturnType<typeof readModels>} ToyModels */

/**
 * From the traits of an lmbook LanguageWidget: the exact language, and n-grams counted here.
 * @param {{ get: (name: string) => any }} model
 * @param {number} maxOrder
 */
export function readModels(model, maxOrder) {
  /** @type {string[]} */
  const vocab = model.get('vocab');
  const exact = new Automaton({
    vocabSize: vocab.length,
    rowStarts: unpack(model.get('row_starts'), Uint32Array),
    words: unpack(model.get('row_words'), Uint8Array),
    next: unpack(model.get('row_next'), Uint16Array),
    logProbs: unpack(model.get('row_log_probs'), Float64Array),
  });
  const ids = unpack(model.get('ids'), Uint8Array);
  const ngrams = new NGramCounts(vocab.length, maxOrder).read(ids, model.get('row_length'));
  const stop = vocab.indexOf('.');
  /**
   * An n-gram reads a full stop before the first word: in its text every sentence but the first follows one.
   * @param {number[]} prefix
   * @param {number} order
   */
  const ngramDist = (prefix, order) => ngrams.dist(stop < 0 ? prefix : [stop, ...prefix], order);
  return { vocab, exact, ngrams, ngramDist, stop };
}
