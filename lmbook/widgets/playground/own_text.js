// A reader's own text becomes an n-gram model, in the page, bit by bit.
import { NGramCounts } from '../core/ngram.js';
import { ngramModel } from '../core/models.js';
import { cutPieces } from '../core/pieces.js';
import { loadTokenizer } from '../core/tokenizers.js';

export const MAX_TOKENS = 1_000_000; // of a text: more would take memory that a phone doesn't have
export const MAX_TYPES = 1024; // of the vocabulary
const UNKNOWN = '<unk>';
const CHUNK = 20_000; // characters that are cut at a time
const STRIDE = 5_000; // tokens between two yields

// The tokens of `text`, a chunk at a time. A chunk ends where a word does, if one ends there at all.
function* cutChunks(text, unit) {
  for (let begin = 0; begin < text.length;) {
    let end = begin + CHUNK;
    const wordEnd = text.slice(end, end + 1000).search(/\S(?=\s)/);
    if (unit === 'word' && wordEnd >= 0) end += wordEnd + 1;
    else if (/[\ud800-\udbff]/.test(text[end - 1] ?? '')) end += 1; // not through the middle of a character
    const chunk = text.slice(begin, end);
    yield { tokens: unit === 'word' ? cutPieces(chunk) : [...chunk], share: end / text.length };
    begin = end;
  }
}

// The most frequent types, at most `limit`, those that came first where counts are equal. A million types aren't
// sorted: how many there are of each count says where the line is.
function* mostFrequent(counts, limit) {
  const withCount = new Map();
  let n = 0;
  for (const count of counts.values()) {
    withCount.set(count, (withCount.get(count) ?? 0) + 1);
    if (++n % STRIDE === 0) yield 0.4;
  }
  let [line, room] = [Infinity, limit];
  for (const count of [...withCount.keys()].sort((a, b) => b - a)) {
    line = count;
    if (room < withCount.get(count)) break;
    room -= withCount.get(count);
  }
  const chosen = [];
  for (const [type, count] of counts) {
    if (count > line || (count === line && room-- > 0)) chosen.push(type);
    if (++n % STRIDE === 0) yield 0.4;
  }
  return chosen;
}

// Counts `text` and returns {model, numTokens, numTypes, unread, isCut}: `unread` of the tokens are none of the
// vocabulary, `isCut` if there were more than MAX_TOKENS. Yields the share that is done.
export function* learnText(text, { unit, order, name }) {
  const [counts, tokens] = [new Map(), []];
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
    if (id !== undefined || unit === 'word') ids[length++] = id ?? 0; // characters that can't be read are left out
    if (t % STRIDE === 0) yield 0.4 + (0.1 * t) / tokens.length;
  }
  const grams = new NGramCounts(vocab.length, order);
  for (const share of grams.readInSteps(ids.subarray(0, length), length, STRIDE)) yield 0.5 + 0.5 * share;
  const tokenizer = loadTokenizer({ kind: unit, tokens: vocab });
  const model = Object.assign(ngramModel(grams, order), { kind: 'ngram', name, rounding: null, tokenizer });
  return { model, numTokens: tokens.length, numTypes: counts.size, unread, isCut };
}
