// A field for words of a language: what they mean, and the line below that says what is wrong with them.
import { nearestWord, splitWords } from '../core/words.js';
import { dropDown, h, newId } from './kit.js';

const HINTS = 6; // words that a half-typed one may become, of which so many are told

/**
 * What a text is in a vocabulary. `ids` go up to the first unknown word; `pending` are the known words that a half-typed
 * last word may still become; `problem` says in a sentence what is wrong.
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
 * What a half-typed word may become, as a line; "" where nothing is half-typed.
 * @param {string[]} pending
 */
export function hintOf(pending) {
  return pending.length ? `… ${pending.slice(0, HINTS).join(', ')}` : '';
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
 * The same for words, with the line below it: `tell` writes there, `show` into the field.
 * @param {number} maxlength characters
 * @param {(text: string) => void} oninput
 */
export function wordsInput(maxlength, oninput) {
  const message = h('p', { class: 'lmw-message', id: newId('message') });
  const input = textInput(maxlength, oninput, { autocapitalize: 'none', 'aria-describedby': message.id });
  /**
   * @param {string} text
   * @param {boolean} isWrong
   */
  function tell(text, isWrong) {
    message.textContent = text;
    message.classList.toggle('lmw-wrong', isWrong);
  }
  /** @param {string} text */
  function show(text) {
    if (input.value !== text) input.value = text;
  }
  return { input, message, tell, show };
}

/**
 * Texts to pick from; what the reader writes is "your own".
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
