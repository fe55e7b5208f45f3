// The settings of a playground, the distribution that they leave, and the draw of a token from it.
import {
  bestToken,
  frequencyPenalty,
  minP,
  noRepeatNgram,
  presencePenalty,
  repetitionPenalty,
  softmax,
  temperature,
  topK,
  topNSigma,
  topP,
  typical,
} from '../core/filters.js';
import { sampleFrom, seededRandom } from '../core/random.js';

/** @import { Numbers } from '../core/filters.js' */
/** @import { Tokenizer, TokenizerKind } from '../core/tokenizers.js' */

/** @typedef {'greedy' | 'sample' | 'beam'} Strategy */
/** @typedef {'repetition' | 'frequency' | 'presence' | 'noRepeat'} PenaltyKey */
/** @typedef {PenaltyKey | 'temperature' | 'k' | 'p' | 'minP' | 'typical' | 'sigma'} FilterKey */
/** @typedef {FilterKey | 'beams' | 'length'} DialKey */
/** @typedef {'all' | 'written'} Scope what penalties count: the prompt as well, or only what is written */
/**
 * `order` is that of the filters, `stop` has stop strings as they were typed (see stopStrings).
 * @typedef {{ strategy: Strategy, seed: number, order: FilterKey[], scope: Scope, stop: string }
 *   & Record<DialKey, number>} Settings
 */
/** @typedef {{ ids: number[], promptLength: number }} Text */
/** @typedef {{ tokenizer: Tokenizer, contextLength: number, kind: string }} PromptReader */

export const MAX_PROMPT = 2000; // characters
export const MAX_WRITTEN = 400; // tokens
export const SIDES = ['A', 'B']; // of a comparison
export const MAX_STOP = 60; // characters of the field for stop strings

/**
 * @typedef {object} Dial
 * @property {DialKey} key
 * @property {string} name
 * @property {Strategy | 'penalty'} of penalties serve sampling and greedy decoding
 * @property {number} from
 * @property {number | null} to
 * @property {number} step
 * @property {number} off
 * @property {number} digits
 */

/**
 * The sliders; the value `off` changes nothing. First the filters in the order in which the transformers library applies
 * them, then the settings of beam search. The highest k is the size of the vocabulary, which filters nothing; it is
 * stored as 0.
 * @type {Dial[]}
 */
export const DIALS = [
  { key: 'repetition', name: 'Repetition penalty', of: 'penalty', from: 1, to: 3, step: 0.1, off: 1, digits: 1 },
  { key: 'frequency', name: 'Frequency penalty', of: 'penalty', from: 0, to: 2, step: 0.1, off: 0, digits: 1 },
  { key: 'presence', name: 'Presence penalty', of: 'penalty', from: 0, to: 2, step: 0.1, off: 0, digits: 1 },
  { key: 'noRepeat', name: 'No n-gram twice', of: 'penalty', from: 0, to: 6, step: 1, off: 0, digits: 0 },
  { key: 'temperature', name: 'Temperature', of: 'sample', from: 0, to: 2, step: 0.05, off: 1, digits: 2 },
  { key: 'k', name: 'Top-k', of: 'sample', from: 1, to: null, step: 1, off: 0, digits: 0 },
  { key: 'p', name: 'Top-p', of: 'sample', from: 0.05, to: 1, step: 0.05, off: 1, digits: 2 },
  { key: 'minP', name: 'Min-p', of: 'sample', from: 0, to: 0.5, step: 0.01, off: 0, digits: 2 },
  { key: 'typical', name: 'Typical', of: 'sample', from: 0.05, to: 1, step: 0.05, off: 1, digits: 2 },
  { key: 'sigma', name: 'Top-nσ', of: 'sample', from: 0.1, to: 5, step: 0.1, off: 5, digits: 1 },
  { key: 'beams', name: 'Beams', of: 'beam', from: 1, to: 8, step: 1, off: 4, digits: 0 },
  { key: 'length', name: 'Tokens ahead', of: 'beam', from: 1, to: 40, step: 1, off: 12, digits: 0 },
];
/** @type {[Strategy, string][]} */
export const STRATEGIES = [['greedy', 'Greedy'], ['sample', 'Sampling'], ['beam', 'Beam search']];
/** @type {Dial[]} */
const FILTER_DIALS = DIALS.filter(({ of }) => of !== 'beam');
/** @type {Record<FilterKey, (logits: Numbers, value: number, ids: number[], ignored: number) => Float64Array>} */
const SHAPES = {
  repetition: (logits, value, ids, ignored) => repetitionPenalty(logits, ids, value, ignored),
  frequency: (logits, value, ids, ignored) => frequencyPenalty(logits, ids, value, ignored),
  presence: (logits, value, ids, ignored) => presencePenalty(logits, ids, value, ignored),
  noRepeat: (logits, value, ids, ignored) => noRepeatNgram(logits, ids, value, ignored),
  temperature,
  k: topK,
  p: topP,
  minP,
  typical,
  sigma: topNSigma,
};

/** @returns {Settings} */
export function plainSettings() {
  const dials = Object.fromEntries(DIALS.map(({ key, off }) => [key, off]));
  return {
    strategy: 'sample',
    seed: 1,
    order: orderFrom(''),
    scope: 'all',
    stop: '',
    .../** @type {Record<DialKey, number>} */ (dials),
  };
}

/**
 * The order of the filters from names with dots between them. What is strange or named twice is left out, and what isn't
 * named follows in the usual order.
 * @param {string} text
 */
export function orderFrom(text) {
  const known = /** @type {FilterKey[]} */ (FILTER_DIALS.map(({ key }) => key));
  const named = text.split('.').flatMap((name) => known.filter((key) => key === name));
  return [...new Set([...named, ...known])];
}

/**
 * Whether a strategy has a use for a filter or setting: greedy decoding has it for penalties alone, because no other
 * filter moves the best token.
 * @param {DialKey} key
 * @param {Strategy} strategy
 */
export function isOffered(key, strategy) {
  const of = DIALS.find((dial) => dial.key === key)?.of;
  return of === strategy || (of === 'penalty' && strategy !== 'beam');
}

/**
 * The filters that act, in their order.
 * @param {Settings} settings
 */
export function activeFilters(settings) {
  const isOn = (/** @type {Dial} */ { key, off }) => settings[key] !== off && isOffered(key, settings.strategy);
  const on = FILTER_DIALS.filter(isOn).map(({ key }) => key);
  return settings.order.filter((key) => on.includes(key));
}

/**
 * V logits after the filters.
 * @param {Numbers} logits
 * @param {Settings} settings
 * @param {Text} text so far
 */
export function shapeLogits(logits, settings, { ids, promptLength }) {
  const ignored = settings.scope === 'written' ? promptLength : 0;
  /** @type {Float64Array} */
  let left = Float64Array.from(logits);
  for (const key of activeFilters(settings)) left = SHAPES[key](left, settings[key], ids, ignored);
  return settings.strategy === 'greedy' ? temperature(left, 0) : left;
}

/**
 * The number in [0, 1) that decides the token at `place`. It depends on the seed and the place alone, whatever was undone
 * and whatever the settings are: that is what "the same luck" means.
 * @param {number} seed
 * @param {number} place
 */
export function luckAt(seed, place) {
  const draw = seededRandom(Math.imul(seed, 0x9e3779b1) + Math.imul(place + 1, 0x85ebca6b));
  draw(); // the first numbers of neighbouring seeds are similar
  return draw();
}

/**
 * The next token, and its probability among what the filters left.
 * @param {Numbers} logits
 * @param {Settings} settings
 * @param {Text} text so far
 */
export function chooseToken(logits, settings, text) {
  const left = shapeLogits(logits, settings, text);
  if (settings.strategy === 'greedy') return { id: bestToken(left), drawn: 1 };
  const probs = softmax(left);
  const id = sampleFrom(probs, luckAt(settings.seed, text.ids.length));
  return { id, drawn: probs[id] };
}

// ---- Stop strings -----------------------------------------------------------------------------------------------

/**
 * "\\n|the end" → ["\n", "the end"]: strings with | between them, \\n for a line break.
 * @param {string} typed
 */
export function stopStrings(typed) {
  return typed.slice(0, MAX_STOP).split('|').map((text) => text.replaceAll('\\n', '\n')).filter(Boolean);
}

/**
 * The stop string that the last of `texts` completes, or null. It may begin within an earlier one.
 * @param {string[]} texts of the written tokens
 * @param {string[]} stops
 */
export function completedStop(texts, stops) {
  const whole = texts.join('');
  const before = whole.length - (texts[texts.length - 1] ?? '').length;
  return stops.find((stop) => whole.lastIndexOf(stop) + stop.length > before && whole.includes(stop)) ?? null;
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
