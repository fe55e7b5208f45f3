// The model that a widget runs in the page, and the line that says so.
import { loadModels, roundingNote } from '../core/models.js';
import { quiet } from './kit.js';

/** @import { Rounding } from '../core/models.js' */
/** @import { WidgetModel } from './kit.js' */

/**
 * The transformer and the exact language that a widget carries, both over the words `vocab`.
 * @param {WidgetModel} model
 */
export function readPair(model) {
  const [net, language] = loadModels(model.get('headers'), model.get('weights'));
  if (net.kind !== 'transformer' || language.kind !== 'automaton') {
    throw new TypeError(`this widget shows a transformer and its exact language, not ${net.kind} and ${language.kind}`);
  }
  return { net, exact: language.automaton, vocab: wordsOf(language.tokenizer.tokens) };
}

/** @param {string[] | number[][]} tokens */
export function wordsOf(tokens) {
  return tokens.map((token) => {
    if (typeof token !== 'string') throw new TypeError('this widget shows words, and its tokens are bytes');
    return token;
  });
}

/**
 * The last line of such a widget.
 * @param {{ rounding: Rounding | null }} net
 * @param {string} [before]
 */
export function runsHere({ rounding }, before = '') {
  return quiet([`${before}The model runs in this page.`, rounding ? roundingNote(rounding) : ''].join(' ').trim());
}
