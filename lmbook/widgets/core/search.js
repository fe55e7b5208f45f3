// Continue a prompt token by token, or search for the best continuation: lmbook.greedy_decode and beam_search.
//
// The functions with a * yield after each step, so that a view can draw the step, wait, or stop. Their models have
// `session(ids)` with `logits`, `push` and `clone`, as those of models.js.
// Log-probabilities are in nats.
import { bestToken } from './filters.js';

/** @import { Numbers } from './filters.js' */
/** @import { Session } from './session.js' */

/** @typedef {{ contextLength: number, session: (ids: number[]) => Session }} SearchModel */
/** @typedef {{ ids: number[], logProb: number }} Found prompt included; logProb is that of the continuation */
/** @typedef {Found & { session: Session | null }} Beam */
/** @typedef {{ parent: number, token: number, logProb: number, fate: 'kept' | 'ended' | 'dropped' }} Candidate */
/** @typedef {Found & { rank: number }} Finished */
/** @typedef {{ length: number, beams: Found[], candidates: Candidate[], best: Finished | null }} SearchStep */

const LARGE = 1000; // tokens, more than a view shows

/** @param {Numbers} logits */
export function logSoftmax(logits) {
  const top = logits[bestToken(logits)];
  if (!Number.isFinite(top)) throw new RangeError(`the best logit must be finite, got ${top}`);
  let total = 0;
  for (let id = 0; id < logits.length; id++) total += Math.exp(logits[id] - top);
  const norm = top + Math.log(total);
  if (!Number.isFinite(norm)) throw new RangeError(`logits must be numbers, got ${logits.find(Number.isNaN)}`);
  const logProbs = Float64Array.from(logits);
  for (let id = 0; id < logProbs.length; id++) logProbs[id] -= norm;
  return logProbs;
}

/**
 * Appends tokens to `ids` until there are `maxLength` new ones or `eos` was written. `choose(logits, ids)` decides:
 * the best token by default; filters and a draw make other decoders. Yields {token, logProb, logits, ids} each step;
 * logProb is that of the model itself, whatever filters did.
 * @param {SearchModel} model
 * @param {number[]} ids
 * @param {number} maxLength
 * @param {{ choose?: (logits: Numbers, ids: number[]) => number, eos?: number | null }} [options]
 * @returns {Generator<{ token: number, logProb: number, logits: Numbers, ids: number[] }, void, void>}
 */
export function* decodeSteps(model, ids, maxLength, { choose = bestToken, eos = null } = {}) {
  checkRoom(model, ids, maxLength);
  const session = model.session(ids);
  for (let n = 0; n < maxLength; n++) {
    const logits = session.logits;
    const logProbs = logSoftmax(logits);
    const token = choose(logits, session.ids);
    session.push(token);
    yield { token, logProb: logProbs[token], logits, ids: [...session.ids] };
    if (token === eos) return;
  }
}

/**
 * The prompt and its greedy continuation, up to and with `eos`.
 * @param {SearchModel} model
 * @param {number[]} ids
 * @param {number} maxLength
 * @param {{ eos?: number | null }} [options]
 */
export function greedyDecode(model, ids, maxLength, { eos = null } = {}) {
  let all = [...ids];
  for (const step of decodeSteps(model, ids, maxLength, { eos })) all = step.ids;
  return all;
}

/**
 * The best continuation that beam search finds: {ids, logProb}, prompt included. `onStep` sees each step of beamSteps.
 * @param {SearchModel} model
 * @param {number[]} ids
 * @param {number} numBeams
 * @param {number} maxLength
 * @param {{ lengthPenalty?: number, eos?: number | null, onStep?: ((step: SearchStep) => void) | null }} [options]
 * @returns {Found}
 */
export function beamSearch(model, ids, numBeams, maxLength, { lengthPenalty = 0, eos = null, onStep = null } = {}) {
  const steps = beamSteps(model, ids, numBeams, maxLength, { lengthPenalty, eos });
  for (;;) {
    const { value, done } = steps.next();
    if (done) return value;
    onStep?.(value);
  }
}

/**
 * Beam search, step by step. A step is {length, beams, candidates, best}:
 *   beams       the prefixes that were kept, [{ids, logProb}]; at most numBeams, in the order of their ids
 *   candidates  what they were chosen from: the children of the beams before (see childrenOf), best first,
 *               [{parent, token, logProb, fate}]; parent is the place among the beams before, logProb that of the whole
 *               continuation, fate 'kept', 'ended' (with eos, among the best) or 'dropped'
 *   best        the best finished continuation so far, {ids, logProb, rank}, or null
 * Continuations of n tokens are compared by rank = log P / n ** lengthPenalty. Returns {ids, logProb}.
 * @param {SearchModel} model
 * @param {number[]} ids
 * @param {number} numBeams
 * @param {number} maxLength
 * @param {{ lengthPenalty?: number, eos?: number | null }} [options]
 * @returns {Generator<SearchStep, Found, void>}
 */
export function* beamSteps(model, ids, numBeams, maxLength, { lengthPenalty = 0, eos = null } = {}) {
  const [best] = yield* bestSteps(model, ids, numBeams, maxLength, { lengthPenalty, eos });
  return best;
}

/**
 * The same, and returns the `count` best that the beam finds, by falling rank; of equals the earlier first.
 * @param {SearchModel} model
 * @param {number[]} ids
 * @param {number} numBeams
 * @param {number} maxLength
 * @param {{ lengthPenalty?: number, eos?: number | null, count?: number }} [options]
 * @returns {Generator<SearchStep, Found[], void>}
 */
export function* bestSteps(model, ids, numBeams, maxLength, { lengthPenalty = 0, eos = null, count = 1 } = {}) {
  if (!(numBeams >= 1)) throw new RangeError(`num_beams must be at least 1, got ${numBeams}`);
  if (!(lengthPenalty >= 0 && lengthPenalty < Infinity)) {
    throw new RangeError(`length_penalty must be at least 0 and finite, got ${lengthPenalty}`);
  }
  if (!(count >= 1 && count <= numBeams)) throw new RangeError(`count must be from 1 to ${numBeams}, got ${count}`);
  checkRoom(model, ids, maxLength);
  /** @type {Beam[]} */
  let beams = [{ ids: [...ids], logProb: 0, session: maxLength ? model.session(ids) : null }];
  /** @type {Finished[]} */
  let finished = [];
  for (let length = 1; length <= maxLength; length++) {
    const candidates = childrenOf(beams, numBeams).sort(byLogProb);
    const isEnd = (/** @type {Candidate} */ { token }) => token === eos;
    // A prefix among the best that ends with eos is finished, and another takes its place.
    const ended = candidates.slice(0, numBeams).filter(isEnd);
    const kept = candidates.filter((child) => !isEnd(child)).slice(0, numBeams);
    const texts = ended.map(({ parent, token, logProb }) => ({ ids: [...beams[parent].ids, token], logProb }));
    finished = ranked(finished, texts, length ** lengthPenalty, count);
    for (const child of ended) child.fate = 'ended';
    for (const child of kept) child.fate = 'kept';
    const hopes = kept.length ? kept[0].logProb / maxLength ** lengthPenalty : -Infinity;
    const toBeat = finished.length === count ? finished[count - 1].rank : -Infinity;
    const isDecided = hopes <= toBeat;
    beams = grow(beams, kept, isDecided || length === maxLength);
    yield { length, beams: beams.map(({ ids, logProb }) => ({ ids, logProb })), candidates, best: finished[0] ?? null };
    if (isDecided) return finished.map(asFound);
  }
  const rest = [...beams].sort(byLogProb);
  return ranked(finished, rest, Math.max(maxLength, 1) ** lengthPenalty, count).map(asFound);
}

/**
 * The `count` best of those `finished` before and of `texts`, by falling rank; of equals the earlier first.
 * @param {Finished[]} finished
 * @param {Found[]} texts
 * @param {number} divisor
 * @param {number} count
 */
function ranked(finished, texts, divisor, count) {
  const more = texts.map(({ ids, logProb }) => ({ ids, logProb, rank: logProb / divisor }));
  return [...finished, ...more].sort((a, b) => b.rank - a.rank).slice(0, count);
}

/** @type {(one: Finished) => Found} */
const asFound = ({ ids, logProb }) => ({ ids, logProb });

/**
 * Best first; of equals (sort is stable) the one that came first, whose ids are lower.
 * @type {(a: { logProb: number }, b: { logProb: number }) => number}
 */
const byLogProb = (a, b) => b.logProb - a.logProb;

/**
 * Every beam with every token that is possible after it; of a large vocabulary only with its best 2 · numBeams: no others
 * can be among the best numBeams of all, even if each beam's best one ends the text.
 * @param {Beam[]} beams
 * @param {number} numBeams
 */
function childrenOf(beams, numBeams) {
  return beams.flatMap(({ logProb, session }, parent) => {
    /** @type {Candidate[]} */
    const children = [];
    if (!session) return children;
    const logProbs = logSoftmax(session.logits);
    const size = logProbs.length;
    const least = size > LARGE ? logProbs.toSorted()[Math.max(size - 2 * numBeams, 0)] : -Infinity;
    for (let token = 0; token < size; token++) {
      const more = logProbs[token];
      if (more > -Infinity && more >= least) {
        children.push({ parent, token, logProb: logProb + more, fate: 'dropped' });
      }
    }
    return children;
  });
}

/**
 * The next beams, in the order of their ids. The last child of a beam gets its session, the others a copy.
 * @param {Beam[]} beams
 * @param {Candidate[]} kept
 * @param {boolean} isLast
 * @returns {Beam[]}
 */
function grow(beams, kept, isLast) {
  const inOrder = [...kept].sort((a, b) => a.parent - b.parent || a.token - b.token);
  return inOrder.map(({ parent, token, logProb }, i) => {
    const ids = [...beams[parent].ids, token];
    const { session } = beams[parent];
    if (isLast || !session) return { ids, logProb, session: null };
    const own = inOrder[i + 1]?.parent === parent ? session.clone() : session;
    return { ids, logProb, session: own.push(token) };
  });
}

/**
 * @param {SearchModel} model
 * @param {number[]} ids
 * @param {number} maxLength
 */
function checkRoom(model, ids, maxLength) {
  const length = ids.length + maxLength;
  if (!(length <= model.contextLength)) {
    throw new RangeError(`prompt plus max_length is ${length} tokens long, the model reads ${model.contextLength}`);
  }
}
