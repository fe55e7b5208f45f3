// What a chain of filters makes of a model's logits, and words drawn from what it leaves.
import { frequencyPenalty, minP, noRepeatNgram, presencePenalty, repetitionPenalty } from './core/filters.js';
import { softmax, temperature, topK, topP, typical } from './core/filters.js';
import { sampleFrom, seededRandom } from './core/random.js';

/** @import { Numbers } from './core/filters.js' */

export const TOLD = 12; // drawn words that are listed

/** @typedef {{ key: string, on: boolean, value: number }} Step a filter of the chain */

/** @type {Record<string, (logits: Numbers, value: number) => Float64Array>} */
const FILTERS = { temperature, top_k: topK, top_p: topP, min_p: minP, typical };
/** @type {Record<string, (logits: Numbers, ids: number[], value: number) => Float64Array>} */
const LOOKING_BACK = {
  repetition_penalty: repetitionPenalty,
  frequency_penalty: frequencyPenalty,
  presence_penalty: presencePenalty,
  no_repeat_ngram: noRepeatNgram,
};

/**
 * @param {string} key
 * @param {Numbers} logits
 * @param {number[]} ids
 * @param {number} value
 */
function applyFilter(key, logits, ids, value) {
  return key in FILTERS ? FILTERS[key](logits, value) : LOOKING_BACK[key](logits, ids, value);
}

/**
 * What a chain makes of logits: first the model's own, then one stage for each filter that is on.
 * @param {Numbers} logits
 * @param {number[]} ids
 * @param {Step[]} chain
 */
export function stagesOf(logits, ids, chain) {
  /** @type {{ key: string, logits: Float64Array }[]} */
  const stages = [{ key: '', logits: Float64Array.from(logits) }];
  for (const { key, on, value } of chain) {
    if (on) stages.push({ key, logits: applyFilter(key, stages[stages.length - 1].logits, ids, value) });
  }
  return stages;
}

/**
 * How many words are left in a distribution, how much probability the impossible ones have, its entropy in nats.
 * @param {Float64Array} probs
 * @param {boolean[]} isPossible
 */
export function summary(probs, isPossible) {
  const count = probs.reduce((sum, p) => sum + Number(p > 0), 0);
  const impossible = probs.reduce((sum, p, w) => sum + (isPossible[w] ? 0 : p), 0);
  const entropy = probs.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
  return { count, impossible, entropy };
}

/**
 * How often each word comes in `draws` draws from `probs`, and the last few. The same seed draws the same words.
 * @param {Float64Array} probs
 * @param {number} draws
 * @param {number} seed
 */
export function drawWords(probs, draws, seed) {
  const counts = new Float64Array(probs.length);
  /** @type {number[]} */
  const last = [];
  const kept = [...probs.keys()].filter((w) => probs[w] > 0);
  const shares = kept.map((w) => probs[w]);
  const random = seededRandom(seed);
  for (let i = 0; i < draws; i++) {
    const word = kept[sampleFrom(shares, random())];
    counts[word] += 1;
    if (i >= draws - TOLD) last.push(word);
  }
  return { counts, last };
}

/** @typedef {{ key: string, dist: Float64Array } & ReturnType<typeof summary>} Stage what a filter leaves, and its summary */

/**
 * The stages from one filter to the next, as distributions.
 * @param {Numbers} logits
 * @param {number[]} ids
 * @param {Step[]} chain
 * @param {boolean[]} isPossible
 * @returns {Stage[]}
 */
export function distributionsOf(logits, ids, chain, isPossible) {
  return stagesOf(logits, ids, chain).map(({ key, logits }) => {
    const dist = softmax(logits);
    return { key, dist, ...summary(dist, isPossible) };
  });
}

/**
 * Which two stages are shown: before and after the filter `key`, or before the first and after the last of all.
 * @param {Stage[]} stages
 * @param {string} key
 */
export function beforeAndAfter(stages, key) {
  const at = stages.findIndex((stage) => stage.key === key);
  return at > 0 ? [at - 1, at] : [0, stages.length - 1];
}
