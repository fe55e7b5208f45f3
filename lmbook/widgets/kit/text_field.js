// A field for words of a language, and the line below it that says what is wrong with them.
import { nearestWord, splitWords } from '../core/words.js';
import { dropDown, h, newId } from './kit.js';

const HINTS = 6; // words suggested for a half-typed one

/**
 * A text as words of a vocabulary. `ids` go up to the first unknown word; `pending` are the known words that begin with
 * a half-typed last word; `problem` is a sentence about what is wrong.
 * @typedef {{ ids: number[], pending: string[], problem: string }} Reading
 */

/**
 * @param {string} text
 * @param {string[]} vocab
 * @returns {Reading}
 */
export function readText(text, vocab) {
  const words = splitWords(text);
  const places = words.map((word) => vocab.indexOf(word));
  const bad = places.indexOf(-1);
  if (bad < 0) return { ids: places, pending: [], problem: '' };
  const ids = places.slice(0, bad);
  const unknown = words[bad].slice(0, 30);
  const halfTyped = bad === words.length - 1 && !/\s$/.test(text);
  const pending = halfTyped ? vocab.filter((word) => word.startsWith(unknown)) : [];
  const nearest = nearestWord(unknown, vocab);
  const hint = nearest ? ` Did you mean “${nearest}”?` : '';
  const problem = `“${unknown}” is not one of the ${vocab.length} words of this language.${hint}`;
  return { ids, pending, problem: pending.length ? '' : problem };
}

/**
 * The words that a half-typed one may become, as a line; "" where nothing is half-typed.
 * @param {string[]} pending
 */
export function hintOf(pending) {
  return pending.length ? `… ${pending.slice(0, HINTS).join(', ')}` : '';
}

/**
 * A line for what is to be said of a field; `tell` writes there.
 * @param {Record<string, unknown>} [attributes]
 */
export function messageLine(attributes = {}) {
  const node = h('p', { class: 'lmw-message', ...attributes });
  /**
   * @param {string} text
   * @param {boolean} [isWrong]
   */
  function tell(text, isWrong = false) {
    node.textContent = text;
    node.classList.toggle('lmw-wrong', isWrong);
  }
  return { node, tell };
}

/**
 * A field that no browser completes or corrects.
 * @param {number} maxlength characters
 * @param {(text: string) => void} oninput
 * @param {Record<string, unknown>} [attributes]
 */
export function textInput(maxlength, oninput, attributes = {}) {
  const input = h('input', {
    type: 'text',
    autocomplete: 'off',
    spellcheck: 'false',
    maxlength,
    oninput: () => oninput(input.value),
    ...attributes,
  });
  return input;
}

/**
 * The same for words, with the line below it: `tell` writes there, `show` writes into the field.
 * @param {number} maxlength characters
 * @param {(text: string) => void} oninput
 */
export function wordsInput(maxlength, oninput) {
  const { node: message, tell } = messageLine({ id: newId('message') });
  const input = textInput(maxlength, oninput, { autocapitalize: 'none', 'aria-describedby': message.id });
  /** @param {string} text */
  function show(text) {
    if (input.value !== text) input.value = text;
  }
  return { input, message, tell, show };
}

/**
 * Texts to pick from. "your own" is shown where the reader has written another.
 * @param {string[]} presets
 * @param {(text: string) => void} onpick
 */
export function presetPicker(presets, onpick) {
  /** @type {[string, string][]} */
  const options = presets.map((text) => [text, text]);
  const node = dropDown((text) => text && onpick(text), [['', 'your own'], ...options]);
  /** @param {string} text */
  const show = (text) => (node.value = presets.includes(text) ? text : '');
  return { node, show };
}
