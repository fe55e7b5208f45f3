// Byte-pair merges of a text, and how a unigram model scores its tokens. The numbers are those of TokenMerges in Python.
import { unpack } from './core/bytes.js';
import { cutPieces, mergePair } from './core/pieces.js';

/** @import { WidgetModel } from './kit/kit.js' */

// ---- The merges ---------------------------------------------------------------------------------------------------------

/** @typedef {{ bytes: Uint32Array, merged: Uint32Array }} Counts of a text: of each byte, and of each merge */

/**
 * `pairs` (M × 2); `rank` of a pair, whose key is left · 65536 + right; `spelled`, the bytes of every token.
 * @typedef {{ pairs: Uint16Array, size: number, rank: Map<number, number>, spelled: number[][] }} MergeList
 */

/** @typedef {MergeList & { train: Counts, held: Counts }} Merges */

/** @typedef {{ tokens: number, perplexity: number, bitsPerByte: number }} Score */

/**
 * The traits of the widget.
 * @param {Pick<WidgetModel, 'get'>} model
 * @returns {Merges}
 */
export function readMerges(model) {
  const pairs = unpack(model.get('merges'), Uint16Array);
  const counts = (/** @type {'train' | 'held'} */ name) => ({
    bytes: unpack(model.get(`${name}_bytes`), Uint32Array),
    merged: unpack(model.get(`${name}_merged`), Uint32Array),
  });
  const size = pairs.length / 2;
  const rank = new Map();
  /** @type {number[][]} */
  const spelled = Array.from({ length: 256 }, (_, b) => [b]);
  for (let m = 0; m < size; m++) {
    rank.set(pairs[2 * m] * 65536 + pairs[2 * m + 1], m);
    spelled.push([...spelled[pairs[2 * m]], ...spelled[pairs[2 * m + 1]]]);
  }
  return { pairs, size, rank, spelled, train: counts('train'), held: counts('held') };
}

/**
 * The ids of `text` after the first `limit` merges, and the merges that were done, smallest first.
 * @param {MergeList} merges
 * @param {string} text
 * @param {number} limit
 */
export function mergeText(merges, text, limit) {
  /** @type {number[]} */
  const ids = [];
  /** @type {Set<number>} */
  const done = new Set();
  for (const piece of cutPieces(text)) {
    let tokens = [...new TextEncoder().encode(piece)];
    for (;;) {
      let best = limit;
      for (let t = 1; t < tokens.length; t++) {
        best = Math.min(best, merges.rank.get(tokens[t - 1] * 65536 + tokens[t]) ?? limit);
      }
      if (best >= limit) break;
      done.add(best);
      tokens = mergePair(tokens, merges.pairs[2 * best], merges.pairs[2 * best + 1], 256 + best);
    }
    ids.push(...tokens);
  }
  return { ids, done: [...done].sort((a, b) => a - b) };
}

// ---- The unigram model, with one added to each count ---------------------------------------------------------------------

/**
 * Counts of all tokens of a text after `limit` merges.
 * @param {MergeList} merges
 * @param {Counts} counts
 * @param {number} limit
 */
export function tokenCounts(merges, { bytes, merged }, limit) {
  const counts = new Float64Array(256 + limit);
  counts.set(bytes);
  for (let m = 0; m < limit; m++) {
    counts[256 + m] = merged[m];
    counts[merges.pairs[2 * m]] -= merged[m];
    counts[merges.pairs[2 * m + 1]] -= merged[m];
  }
  return counts;
}

/**
 * @param {Merges} merges
 * @param {number[]} ids
 * @param {number} numBytes
 * @param {number} limit
 * @returns {Score}
 */
export function scoreIds(merges, ids, numBytes, limit) {
  const counts = tokenCounts(merges, merges.train, limit);
  const total = counts.reduce((sum, c) => sum + c, 0) + counts.length;
  const bits = ids.reduce((sum, id) => sum + Math.log2(total / (counts[id] + 1)), 0);
  return { tokens: ids.length, perplexity: 2 ** (bits / ids.length), bitsPerByte: bits / numBytes };
}

/**
 * The held-out text after 0 … M merges. A merge changes three counts, so each step only updates their terms of the sum
 * of c′ log(c + 1).
 * @param {Merges} merges
 */
export function scoreHeldOut(merges) {
  const { pairs, size, train, held } = merges;
  const [c, d] = [train, held].map(({ bytes }) => {
    const counts = new Float64Array(256 + size);
    counts.set(bytes);
    return counts;
  });
  let [total, tokens, sum] = [0, 0, 0];
  for (let b = 0; b < 256; b++) {
    total += c[b];
    tokens += d[b];
    sum += d[b] * Math.log2(c[b] + 1);
  }
  const numBytes = tokens;
  const both = [{ counts: c, merged: train.merged }, { counts: d, merged: held.merged }];
  /** @type {Score[]} */
  const scores = [];
  for (let m = 0; m <= size; m++) {
    const bits = tokens * Math.log2(total + 256 + m) - sum;
    scores.push({ tokens, perplexity: 2 ** (bits / tokens), bitsPerByte: bits / numBytes });
    if (m === size) break;
    const changed = new Set([pairs[2 * m], pairs[2 * m + 1], 256 + m]);
    for (const id of changed) sum -= d[id] * Math.log2(c[id] + 1);
    for (const { counts, merged } of both) {
      const times = merged[m];
      counts[pairs[2 * m]] -= times;
      counts[pairs[2 * m + 1]] -= times;
      counts[256 + m] += times;
    }
    for (const id of changed) sum += d[id] * Math.log2(c[id] + 1);
    total -= train.merged[m];
    tokens -= held.merged[m];
  }
  return { scores, numBytes };
}
