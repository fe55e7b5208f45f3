// Filters of a model's logits: the pure functions of lmbook.filters, with the same numbers.
//
// A filter takes V logits and returns a new Float64Array. It either rescales all of them (temperature, penalties) or
// sets those of the tokens that it removes to −Infinity; softmax then shares their probability among the rest. A filter
// never removes the last token, −Infinity stays −Infinity, and of equals the lowest id wins.
// Filters that depend on earlier tokens also take the ids so far; `ignored`, Python's prompt_ignore_length, leaves so
// many out at the beginning of them. With 49,152 tokens a loop takes a tenth of the time of
// Float64Array.from with a function.

/** @typedef {Float64Array | Float32Array | number[]} Numbers */

/** @param {Numbers} logits */
export function softmax(logits) {
  let top = -Infinity;
  for (let id = 0; id < logits.length; id++) top = Math.max(top, logits[id]);
  const probs = new Float64Array(logits.length);
  let total = 0;
  for (let id = 0; id < probs.length; id++) total += probs[id] = Math.exp(logits[id] - top);
  for (let id = 0; id < probs.length; id++) probs[id] /= total;
  return probs;
}

/**
 * Divide by tau: below 1 favours likely tokens, above 1 unlikely ones; 0 keeps only the best token.
 * @param {Numbers} logits
 * @param {number} tau
 */
export function temperature(logits, tau) {
  demand(tau >= 0 && tau < Infinity, 'temperature', tau, 'at least 0 and finite');
  if (tau >= 1e-30) {
    const scaled = Float64Array.from(logits);
    for (let id = 0; id < scaled.length; id++) scaled[id] /= tau;
    return scaled;
  }
  const best = bestToken(logits);
  return keepTokens(logits, (id) => id === best);
}

/**
 * Keep the k best tokens, exactly k.
 * @param {Numbers} logits
 * @param {number} k
 */
export function topK(logits, k) {
  demand(k >= 1, 'k', k, 'at least 1');
  return keepBest(logits, Math.trunc(k));
}

/**
 * Keep the nucleus: of the tokens from best to worst, the fewest whose probability reaches p.
 * @param {Numbers} logits
 * @param {number} p
 */
export function topP(logits, p) {
  demand(p > 0 && p <= 1, 'p', p, 'above 0 and at most 1');
  if (p === 1) return Float64Array.from(logits);
  const sorted = softmax(logits).sort();
  let [count, mass] = [0, 0];
  while (count < sorted.length && mass < p) mass += sorted[sorted.length - ++count];
  return keepBest(logits, count);
}

/**
 * Keep the tokens that have at least p times the probability of the best one.
 * @param {Numbers} logits
 * @param {number} p
 */
export function minP(logits, p) {
  demand(p >= 0 && p <= 1, 'min_p', p, 'at least 0 and at most 1');
  if (p === 0) return Float64Array.from(logits);
  const least = logits[bestToken(logits)] + Math.log(p);
  return keepTokens(logits, (id) => logits[id] >= least);
}

/**
 * Keep the tokens whose logit is at most n standard deviations below the best one, those of the possible tokens.
 * @param {Numbers} logits
 * @param {number} n
 */
export function topNSigma(logits, n) {
  demand(n >= 0 && n < Infinity, 'top-n-sigma n', n, 'at least 0 and finite');
  const best = logits[bestToken(logits)];
  let [count, sum, squares] = [0, 0, 0];
  for (let id = 0; id < logits.length; id++) {
    if (logits[id] === -Infinity) continue;
    count++;
    sum += best - logits[id];
  }
  const mean = sum / count;
  for (let id = 0; id < logits.length; id++) {
    if (logits[id] > -Infinity) squares += (best - logits[id] - mean) ** 2;
  }
  const least = best - n * Math.sqrt(squares / count);
  return keepTokens(logits, (id) => logits[id] === best || logits[id] >= least);
}

/**
 * Keep the tokens whose surprise, −log P, is nearest to its mean, the entropy: the fewest that reach probability p.
 * Equally distant tokens stay or go together. The best token may be removed if it is too predictable.
 * @param {Numbers} logits
 * @param {number} p
 */
export function typical(logits, p) {
  demand(p > 0 && p <= 1, 'typical p', p, 'above 0 and at most 1');
  if (p === 1) return Float64Array.from(logits);
  const probs = softmax(logits);
  const entropy = probs.reduce((sum, q) => sum - (q > 0 ? q * Math.log(q) : 0), 0);
  const distance = probs.map((q) => Math.abs(-Math.log(q) - entropy));
  const places = distance.slice().sort();
  const massWithin = (/** @type {number} */ limit) => {
    let mass = 0;
    for (let id = 0; id < probs.length; id++) if (distance[id] <= limit) mass += probs[id];
    return mass;
  };
  let [low, high] = [0, places.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (massWithin(places[middle]) < p) low = middle + 1;
    else high = middle;
  }
  return keepTokens(logits, (id) => distance[id] <= places[low]);
}

/**
 * Add a number to the logits of some tokens: −100 all but forbids a token. One token alone keeps its probability of 1.
 * @param {Numbers} logits
 * @param {Iterable<[id: number, bias: number]>} bias
 */
export function logitBias(logits, bias) {
  const biased = Float64Array.from(logits);
  for (const [id, value] of bias) {
    demand(Number.isFinite(value), 'a bias', value, 'finite');
    if (biased.length === 1) continue;
    demand(Number.isInteger(id) && id in biased, 'an id in bias', id, `from 0 to ${biased.length - 1}`);
    biased[id] += value;
  }
  return biased;
}

/**
 * Make tokens that occur in `ids` less likely: divide logits above 0 by `penalty`, multiply those below.
 * @param {Numbers} logits
 * @param {number[]} ids
 * @param {number} penalty
 * @param {number} [ignored]
 */
export function repetitionPenalty(logits, ids, penalty, ignored = 0) {
  demand(penalty > 0 && penalty < Infinity, 'penalty', penalty, 'above 0 and finite');
  const seen = new Set(ids.slice(ignored));
  return Float64Array.from(logits, (x, id) => (!seen.has(id) ? x : x < 0 ? x * penalty : x / penalty));
}

/**
 * Subtract `penalty` for each time that a token occurs in `ids`; a negative one favours repetition.
 * @param {Numbers} logits
 * @param {number[]} ids
 * @param {number} penalty
 * @param {number} [ignored]
 */
export function frequencyPenalty(logits, ids, penalty, ignored = 0) {
  demand(Number.isFinite(penalty), 'penalty', penalty, 'finite');
  const penalised = Float64Array.from(logits);
  for (const id of ids.slice(ignored)) if (id in penalised) penalised[id] -= penalty;
  return penalised;
}

/**
 * Subtract `penalty` once from each token that occurs in `ids`.
 * @param {Numbers} logits
 * @param {number[]} ids
 * @param {number} penalty
 * @param {number} [ignored]
 */
export function presencePenalty(logits, ids, penalty, ignored = 0) {
  return frequencyPenalty(logits, [...new Set(ids.slice(ignored))], penalty);
}

/**
 * Remove each token that would complete a sequence of n tokens which `all` already holds, unless none would be left.
 * A sequence with an id outside the vocabulary doesn't count.
 * @param {Numbers} logits
 * @param {number[]} all
 * @param {number} n
 * @param {number} [ignored]
 */
export function noRepeatNgram(logits, all, n, ignored = 0) {
  demand(n >= 1, 'n', n, 'at least 1');
  const ids = all.slice(ignored);
  const last = ids.length - n + 1; // where the n-gram that the next token completes would begin
  const banned = new Set();
  /** @param {number} id */
  const isKnown = (id) => id >= 0 && id < logits.length;
  if (!ids.slice(Math.max(last, 0)).every(isKnown)) return Float64Array.from(logits);
  for (let begin = 0; begin < last; begin++) {
    let same = 0;
    while (same < n - 1 && ids[begin + same] === ids[last + same]) same++;
    if (same === n - 1) banned.add(ids[begin + n - 1]);
  }
  const left = keepTokens(logits, (id) => !banned.has(id));
  return left.some((logit) => logit > -Infinity) ? left : Float64Array.from(logits);
}

/**
 * The id of the largest logit; of equals the lowest.
 * @param {Numbers} logits
 */
export function bestToken(logits) {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}

/**
 * Keep the `count` best tokens; of equals those with the lowest ids. Numbers alone are sorted fast.
 * @param {Numbers} logits
 * @param {number} count
 */
function keepBest(logits, count) {
  const least = Float64Array.from(logits).sort()[Math.max(logits.length - count, 0)];
  let room = count;
  for (let id = 0; id < logits.length; id++) if (logits[id] > least) room--;
  return keepTokens(logits, (id) => logits[id] > least || (logits[id] === least && room-- > 0));
}

/**
 * @param {Numbers} logits
 * @param {(id: number) => boolean} isKept
 */
function keepTokens(logits, isKept) {
  const kept = new Float64Array(logits.length);
  for (let id = 0; id < kept.length; id++) kept[id] = isKept(id) ? logits[id] : -Infinity;
  return kept;
}

/**
 * @param {boolean} ok
 * @param {string} name
 * @param {number} value
 * @param {string} limit
 */
function demand(ok, name, value, limit) {
  if (!ok) throw new RangeError(`${name} must be ${limit}, got ${value}`);
}
