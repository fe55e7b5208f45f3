// What the chain-rule explorer computes: the factors of a sentence, where exact and n-gram differ, and why.
import { editDistance } from './core/words.js';
import { formatProb, plural } from './kit/kit.js';

/** @import { ToyModels } from './core/toy_models.js' */
/** @typedef {{ p: number, q: number }} Pair exact and n-gram P(word | words before) */
/** @typedef {Pair & { word: number, defined: boolean }} Factor defined: the exact language allows the words before */
/** @typedef {{ place: number, other: number, probability: number, distance: number }} Decider */
/** @typedef {{ exact: number, ngram: number }} Logs nats */

const FEW = 50; // of fewer occurrences a share may be off by a tenth or more
const CLOSE = 0.1; // factors within 10 % of each other count as equal

/**
 * One entry a word.
 * @param {ToyModels} models
 * @param {number[]} ids
 * @param {number} order
 * @returns {Factor[]}
 */
export function factorise(models, ids, order) {
  return ids.map((word, t) => {
    const before = ids.slice(0, t);
    const { exact } = models;
    return {
      word,
      p: exact.dist(before)[word],
      q: models.ngramDist(before, order)[word],
      defined: exact.isPossible(before),
    };
  });
}

/**
 * log P in nats up to and including each word; −∞ from the first impossible one on.
 * @param {Pair[]} factors
 * @returns {Logs[]}
 */
export function runningLogs(factors) {
  let [exact, ngram] = [0, 0];
  return factors.map(({ p, q }) => {
    exact += Math.log(p);
    ngram += Math.log(q);
    return { exact, ngram };
  });
}

/**
 * The place where exact and n-gram differ by the largest ratio; −1 if they differ by no more than 10 % everywhere. At
 * the first word they differ because the n-gram reads a full stop there: that place counts only if its word is
 * impossible.
 * @param {Pair[]} factors
 */
export function widestGap(factors) {
  let [widest, place] = [CLOSE, -1];
  factors.forEach(({ p, q }, t) => {
    if (!(p >= 0 && q >= 0)) throw new RangeError(`P of word ${t + 1} must be at least 0, got ${p} and ${q}`);
    const counts = (t > 0 || p === 0) && p !== q;
    const gap = counts ? Math.abs(Math.log(p) - Math.log(q)) : 0;
    if (gap > widest) [widest, place] = [gap, t];
  });
  return place;
}

/**
 * Looks for one earlier word that decides and that the n-gram doesn't read: with another word in its place the exact
 * probability would be twice as high, or half as high, in the direction of the n-gram's. Of several the one nearest in
 * spelling is named: “gull” for “gulls”.
 * @param {Pick<ToyModels, 'vocab' | 'exact'>} models
 * @param {number[]} ids
 * @param {number} t
 * @param {number} order
 * @param {number} q
 */
export function decidingWord({ vocab, exact }, ids, t, order, q) {
  const word = ids[t];
  const p = exact.dist(ids.slice(0, t))[word];
  /** @param {number} r */
  const onOtherSide = (r) => (q > p ? r > 2 * p : r < p / 2);
  /** @type {Decider | null} */
  let best = null;
  for (let j = 0; j < t - (order - 1); j++) {
    for (let other = 0; other < vocab.length; other++) {
      if (other === ids[j]) continue;
      const prefix = [...ids.slice(0, j), other, ...ids.slice(j + 1, t)];
      if (!exact.isPossible(prefix)) continue;
      const r = exact.dist(prefix)[word];
      if (!onOtherSide(r)) continue;
      const distance = editDistance(vocab[ids[j]], vocab[other]);
      if (!best || distance < best.distance || (distance === best.distance && j > best.place)) {
        best = { place: j, other, probability: r, distance };
      }
    }
  }
  return best;
}

/**
 * Why exact and n-gram differ at word t, in sentences.
 * @param {ToyModels} models
 * @param {number[]} ids
 * @param {number} t
 * @param {number} order
 */
export function explain(models, ids, t, order) {
  const { vocab, exact, stop } = models;
  const before = ids.slice(0, t);
  const word = vocab[ids[t]];
  const p = exact.dist(before)[ids[t]];
  const q = models.ngramDist(before, order)[ids[t]];
  const name = `${order}-gram`;
  if (!exact.isPossible(before)) {
    return `“${word}”: the words before it have probability 0 already. After them every word counts as equally likely, by convention.`;
  }
  const says = p === 0 ? 'the exact language never says it here (P = 0)' : `the exact probability is ${formatProb(p)}`;
  const opening = `“${word}”: ${says}, the ${name} gives ${formatProb(q)}.`;
  if (Math.abs(Math.log(p) - Math.log(q)) <= CLOSE) return `${opening} They agree within 10 %.`;
  if (t === 0 && order > 1) {
    return `${opening} A text begins here; the ${name} reads a full stop, and gives what follows one inside a text.`;
  }
  const read = [...(stop < 0 ? [] : [stop]), ...before].slice(order > 1 ? 1 - order : Infinity);
  const sight = read.length
    ? `reads only “${read.map((id) => vocab[id]).join(' ')}” before it`
    : 'reads no word before it';
  const decides = decidingWord(models, ids, t, order, q);
  if (decides) return `${opening} ${tellDecider(decides, vocab, ids, t)} The ${name} ${sight} and can’t know.`;
  if (!read.length) return `${opening} It ${sight}: it knows only how often a word occurs.`;
  return `${opening} It ${sight}, ${tellCounts(models, read, ids[t])}`;
}

/**
 * @param {Decider} decider
 * @param {string[]} vocab
 * @param {number[]} ids
 * @param {number} t
 */
function tellDecider({ place, other, probability }, vocab, ids, t) {
  const far = t - place === 1 ? 'the word before' : `${t - place} words back`;
  return `What decides is “${vocab[ids[place]]}”, ${far}: were it “${vocab[other]}”, the exact probability would be ${
    formatProb(probability)
  }.`;
}

/**
 * What the n-gram has seen of the context `read` and of `word` after it.
 * @param {Pick<ToyModels, 'vocab' | 'ngrams'>} models
 * @param {number[]} read
 * @param {number} word
 */
function tellCounts({ vocab, ngrams }, read, word) {
  const seen = ngrams.count(read);
  const after = ngrams.count([...read, word]);
  if (seen === 0) return 'which its training text never has: it goes by shorter contexts.';
  const followed = `which its training text has ${plural(seen, 'time')}`;
  if (after === 0) {
    return `${followed}, never followed by “${vocab[word]}”: this is smoothing’s share for what it hasn’t seen.`;
  }
  const verdict = seen < FEW ? 'too few to tell exactly' : 'it averages over all texts that end so';
  return `${followed}, followed by “${vocab[word]}” ${plural(after, 'time')}: ${verdict}.`;
}
