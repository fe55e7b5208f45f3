// The settings of a playground, the distribution that they leave, and the link that stores them.
import { bestToken, minP, softmax, temperature, topK, topP, typical } from '../core/filters.js';
import { sampleFrom, seededRandom } from '../core/random.js';

/** @import { Numbers } from '../core/filters.js' */
/** @import { Tokenizer, TokenizerKind } from '../core/tokenizers.js' */

/** @typedef {'greedy' | 'sample' | 'beam'} Strategy */
/** @typedef {'temperature' | 'k' | 'p' | 'minP' | 'typical' | 'beams' | 'length'} DialKey */
/** @typedef {{ strategy: Strategy, seed: number } & Record<DialKey, number>} Settings */
/** @typedef {{ model: string, prompt: string, ids: number[], settings: Settings }} Playing `ids` continue the prompt */
/** @typedef {{ tokenizer: Tokenizer, contextLength: number, kind: string }} PromptReader */

export const MAX_PROMPT = 2000; // characters
export const MAX_WRITTEN = 400; // tokens
const MARK = '#play:';

/**
 * @typedef {object} Dial
 * @property {DialKey} key
 * @property {string} name
 * @property {Strategy} of
 * @property {number} from
 * @property {number | null} to
 * @property {number} step
 * @property {number} off
 * @property {number} digits
 */

/**
 * The sliders; the value `off` changes nothing. First the filters of sampling, in the order in which they are applied,
 * then the settings of beam search. The highest k is the size of the vocabulary, which filters nothing; it is stored
 * as 0.
 * @type {Dial[]}
 */
export const DIALS = [
  { key: 'temperature', name: 'Temperature', of: 'sample', from: 0, to: 2, step: 0.05, off: 1, digits: 2 },
  { key: 'k', name: 'Top-k', of: 'sample', from: 1, to: null, step: 1, off: 0, digits: 0 },
  { key: 'p', name: 'Top-p', of: 'sample', from: 0.05, to: 1, step: 0.05, off: 1, digits: 2 },
  { key: 'minP', name: 'Min-p', of: 'sample', from: 0, to: 0.5, step: 0.01, off: 0, digits: 2 },
  { key: 'typical', name: 'Typical', of: 'sample', from: 0.05, to: 1, step: 0.05, off: 1, digits: 2 },
  { key: 'beams', name: 'Beams', of: 'beam', from: 1, to: 8, step: 1, off: 4, digits: 0 },
  { key: 'length', name: 'Tokens ahead', of: 'beam', from: 1, to: 40, step: 1, off: 12, digits: 0 },
];
/** @type {[Strategy, string][]} */
export const STRATEGIES = [['greedy', 'Greedy'], ['sample', 'Sampling'], ['beam', 'Beam search']];

/** @returns {Settings} */
export function plainSettings() {
  const dials = Object.fromEntries(DIALS.map(({ key, off }) => [key, off]));
  return { strategy: 'sample', seed: 1, .../** @type {Record<DialKey, number>} */ (dials) };
}

/**
 * V logits after the filters.
 * @param {Numbers} logits
 * @param {Settings} settings
 */
export function shapeLogits(logits, settings) {
  if (settings.strategy === 'greedy') return temperature(logits, 0);
  if (settings.strategy === 'beam') return Float64Array.from(logits);
  let left = temperature(logits, settings.temperature);
  if (settings.k > 0) left = topK(left, settings.k);
  if (settings.p < 1) left = topP(left, settings.p);
  if (settings.minP > 0) left = minP(left, settings.minP);
  if (settings.typical < 1) left = typical(left, settings.typical);
  return left;
}

/**
 * The next token, written at `place`. The same seed draws the same number at the same place, whatever was undone.
 * @param {Numbers} logits
 * @param {Settings} settings
 * @param {number} place
 */
export function chooseToken(logits, settings, place) {
  if (settings.strategy === 'greedy') return bestToken(logits);
  const draw = seededRandom(Math.imul(settings.seed, 0x9e3779b1) + Math.imul(place + 1, 0x85ebca6b));
  draw(); // the first numbers of neighbouring seeds are similar
  return sampleFrom(softmax(shapeLogits(logits, settings)), draw());
}

// ---- The prompt -------------------------------------------------------------------------------------------------

/**
 * The beginning of a text, as long as a prompt may be, without half a character at its end.
 * @param {string} text
 */
export function cutPrompt(text) {
  return text.slice(0, MAX_PROMPT).replace(/[\ud800-\udbff]$/, '');
}

/** @type {Record<TokenizerKind, string>} */
const UNITS = { words: 'word', word: 'word', char: 'character', byte: 'byte', bpe: 'token', pretrained: 'token' };

/**
 * "1 word", "2 characters".
 * @param {{ tokenizer: { kind: TokenizerKind } }} model
 * @param {number} count
 */
export function unitOf(model, count) {
  return `${count.toLocaleString('en')} ${UNITS[model.tokenizer.kind]}${count === 1 ? '' : 's'}`;
}

/**
 * A prompt as a model reads it: {ids, problem, note}. With a problem there is no prediction.
 * @param {PromptReader} model
 * @param {string} text
 */
export function readPrompt(model, text) {
  const { tokenizer, contextLength } = model;
  const { ids, problem, unknown } = tokenizer.encode(tokenizer.kind === 'word' ? text.trimEnd() : text);
  if (problem) return { ids, problem, note: '' };
  if (ids.length > contextLength) {
    const [has, most] = [unitOf(model, ids.length), contextLength.toLocaleString('en')];
    return { ids, problem: `The prompt has ${has}; this model reads at most ${most}: leave some out.`, note: '' };
  }
  if (!ids.length && (model.kind === 'transformer' || model.kind === 'trained')) {
    const one = UNITS[tokenizer.kind];
    return {
      ids,
      problem: `The prompt is empty. This model predicts from what stands there: write a ${one}.`,
      note: '',
    };
  }
  if (!ids.length) {
    return { ids, problem: '', note: 'The prompt is empty: these are the shares in the text as a whole.' };
  }
  const note = unknown === null
    ? ''
    : `“${unknown.trim().slice(0, 40)}” isn’t among its words: read as ${tokenizer.tokens[0]}.`;
  return { ids, problem: '', note };
}

// ---- The link ---------------------------------------------------------------------------------------------------

/**
 * {model, prompt, ids, settings} as a URL fragment; settings that are off are left out.
 * @param {Playing} playing
 */
export function writeLink({ model, prompt, ids, settings }) {
  const fields = new URLSearchParams({ model, prompt, seed: String(settings.seed), strategy: settings.strategy });
  for (const { key, off } of DIALS) if (settings[key] !== off) fields.set(key, String(settings[key]));
  if (ids.length) fields.set('ids', ids.map((id) => id.toString(36)).join('.'));
  return MARK + fields;
}

/**
 * The same from a fragment, or null if it isn't such a link. Links are untrusted: every value is checked.
 * @param {string} fragment
 * @returns {Playing | null}
 */
export function readLink(fragment) {
  if (!fragment.startsWith(MARK)) return null;
  const fields = new URLSearchParams(fragment.slice(MARK.length, MARK.length + 20 * MAX_PROMPT));
  const settings = plainSettings();
  const strategy = fields.get('strategy');
  settings.strategy = STRATEGIES.find(([name]) => name === strategy)?.[0] ?? settings.strategy;
  /** @type {(key: DialKey | 'seed', from: number, to: number) => void} */
  const number = (key, from, to) => {
    const value = Number(fields.get(key) ?? NaN);
    if (Number.isFinite(value)) settings[key] = Math.min(Math.max(value, from), to);
  };
  for (const { key, from, to, off } of DIALS) number(key, Math.min(from, off), to ?? 2 ** 16);
  number('seed', 0, 2 ** 31);
  for (const key of /** @type {const} */ (['k', 'beams', 'length', 'seed'])) settings[key] = Math.round(settings[key]);
  const written = (fields.get('ids') ?? '').split('.').slice(0, MAX_WRITTEN);
  const ids = written.filter((text) => /^[0-9a-z]{1,4}$/.test(text)).map((text) => parseInt(text, 36));
  return { model: fields.get('model') ?? '', prompt: cutPrompt(fields.get('prompt') ?? ''), ids, settings };
}
