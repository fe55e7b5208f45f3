// Counts an n-gram model of a reader's own text in the page, in steps.
import { NGramCounts } from '../core/ngram.js';
import { ngramModel } from '../core/models.js';
import { cutPieces } from '../core/pieces.js';
import { loadTokenizer } from '../core/tokenizers.js';

export const MAX_TOKENS = 1_000_000; // of a text: more would take too much memory on a phone
export const MAX_TYPES = 1024; // of the vocabulary
const UNKNOWN = '<unk>';
const CHUNK = 20_000; // characters that are cut at a time
const STRIDE = 5_000; // tokens between two yields

/** @import { NGramModel } from '../core/models.js' */
/** @typedef {'word' | 'char'} Unit */

/**
 * @typedef {object} Learnt
 * @property {NGramModel} model
 * @property {number} numTokens
 * @property {number} numTypes
 * @property {number} unread how many of the tokens are not in the vocabulary
 * @property {boolean} isCut whether there were more than MAX_TOKENS
 */

/**
 * The tokens of `text`, a chunk at a time. A chunk ends at the end of a word, if one is near.
 * @param {string} text
 * @param {Unit} unit
 */
function* cutChunks(text, unit) {
  for (let begin = 0; begin < text.length;) {
    let end = begin + CHUNK;
    const wordEnd = text.slice(end, end + 1000).search(/\S(?=\s)/);
    if (unit === 'word' && wordEnd >= 0) end += wordEnd + 1;
    else if (/[\ud800-\udbff]/.test(text[end - 1] ?? '')) end += 1; // don't split a character
    const chunk = text.slice(begin, end);
    yield { tokens: unit === 'word' ? cutPieces(chunk) : [...chunk], share: end / text.length };
    begin = end;
  }
}

/**
 * The most frequent types, at most `limit`; of equals those that came first. Instead of sorting a million types, the
 * number of types of each count gives the threshold. Yields the share that is done.
 * @param {Map<string, number>} counts
 * @param {number} limit
 * @returns {Generator<number, string[], void>}
 */
function* mostFrequent(counts, limit) {
  /** @type {Map<number, number>} */
  const withCount = new Map();
  let n = 0;
  for (const count of counts.values()) {
    withCount.set(count, (withCount.get(count) ?? 0) + 1);
    if (++n % STRIDE === 0) yield 0.4;
  }
  let [line, room] = [Infinity, limit];
  for (const [count, types] of [...withCount].sort(([a], [b]) => b - a)) {
    line = count;
    if (room < types) break;
    room -= types;
  }
  const chosen = [];
  for (const [type, count] of counts) {
    if (count > line || (count === line && room-- > 0)) chosen.push(type);
    if (++n % STRIDE === 0) yield 0.4;
  }
  return chosen;
}

/**
 * Counts `text`. Yields the share that is done.
 * @param {string} text
 * @param {{ unit: Unit, order: number, name: string }} options
 * @returns {Generator<number, Learnt, void>}
 */
export function* learnText(text, { unit, order, name }) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  const tokens = [];
  let isCut = false;
  for (const chunk of cutChunks(text, unit)) {
    for (const token of chunk.tokens) {
      isCut = tokens.length === MAX_TOKENS;
      if (isCut) break;
      tokens.push(token);
      counts.set(token, (counts.get(token) ?? 0) + 1);
    }
    if (isCut) break;
    yield 0.4 * Math.min(chunk.share, 1);
  }
  if (tokens.length < 2) {
    throw new RangeError(`A text of at least 2 ${unit}s is needed; this one has ${tokens.length}.`);
  }
  const kept = yield* mostFrequent(counts, unit === 'word' ? MAX_TYPES - 1 : MAX_TYPES);
  const vocab = unit === 'word' ? [UNKNOWN, ...kept.filter((token) => token !== UNKNOWN)] : kept;
  const index = new Map(vocab.map((token, id) => [token, id]));
  const ids = new Uint16Array(tokens.length);
  let [length, unread] = [0, 0];
  for (let t = 0; t < tokens.length; t++) {
    const id = index.get(tokens[t]);
    if (id === undefined) unread += 1;
    if (id !== undefined || unit === 'word') ids[length++] = id ?? 0; // unknown characters are left out
    if (t % STRIDE === 0) yield 0.4 + (0.1 * t) / tokens.length;
  }
  const grams = new NGramCounts(vocab.length, order);
  for (const share of grams.readInSteps(ids.subarray(0, length), length, STRIDE)) yield 0.5 + 0.5 * share;
  const tokenizer = loadTokenizer({ kind: unit, tokens: vocab });
  const kind = /** @type {const} */ ('ngram');
  const model = Object.assign(ngramModel(grams, order), { kind, name, rounding: null, tokenizer });
  return { model, numTokens: tokens.length, numTypes: counts.size, unread, isCut };
}
