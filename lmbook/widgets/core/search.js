// Continuing a prompt token by token, and looking for the best continuation: lmbook.greedy_decode and beam_search.
//
// The functions with a * stop after each step (`yield`) and go on when asked for the next, so that a view can draw a
// step, wait, or leave. Their models have `session(ids)` with `logits`, `push` and `clone`, as those of models.js.
// Log-probabilities are in nats.
import { bestToken } from './filters.js';

export function logSoftmax(logits) {
  const top = logits[bestToken(logits)];
  if (!Number.isFinite(top)) throw new RangeError(`the best logit must be finite, got ${top}`);
  let total = 0;
  for (let id = 0; id < logits.length; id++) total += Math.exp(logits[id] - top);
  const norm = top + Math.log(total);
  return Float64Array.from(logits, (logit) => logit - norm);
}

// Appends tokens to `ids` until there are `maxLength` new ones or `eos` was written. `choose(logits, ids)` decides:
// the best token by default; filters and a draw make other decoders. Yields {token, logProb, logits, ids} each step;
// logProb is that of the model itself, whatever filters did.
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

// The prompt and its greedy continuation, up to and with `eos`.
export function greedyDecode(model, ids, maxLength, { eos = null } = {}) {
  let all = [...ids];
  for (const step of decodeSteps(model, ids, maxLength, { eos })) all = step.ids;
  return all;
}

// The best continuation that beam search meets: {ids, logProb}, prompt included. `onStep` sees each step of beamSteps.
export function beamSearch(model, ids, numBeams, maxLength, { lengthPenalty = 0, eos = null, onStep = null } = {}) {
  const steps = beamSteps(model, ids, numBeams, maxLength, { lengthPenalty, eos });
  for (;;) {
    const { value, done } = steps.next();
    if (done) return value;
    onStep?.(value);
  }
}

// Beam search, step by step. A step is {length, beams, candidates, best}:
//   beams       the prefixes that were kept, [{ids, logProb}]; at most numBeams, in the order of their ids
//   candidates  what they were chosen from: the children of the beams before, best first,
//               [{parent, token, logProb, fate}]; parent is the place among the beams before, logProb that of the whole
//               continuation, fate 'kept', 'ended' (with eos, among the best) or 'dropped'
//   best        the best finished continuation so far, {ids, logProb, rank}, or null
// Continuations of n tokens are compared by rank = log P / n ** lengthPenalty. Returns {ids, logProb}.
export function* beamSteps(model, ids, numBeams, maxLength, { lengthPenalty = 0, eos = null } = {}) {
  if (!(numBeams >= 1)) throw new RangeError(`num_beams must be at least 1, got ${numBeams}`);
  if (!(lengthPenalty >= 0 && lengthPenalty < Infinity)) {
    throw new RangeError(`length_penalty must be at least 0 and finite, got ${lengthPenalty}`);
  }
  checkRoom(model, ids, maxLength);
  let beams = [{ ids: [...ids], logProb: 0, session: maxLength ? model.session(ids) : null }];
  let best = null;
  for (let length = 1; length <= maxLength; length++) {
    const candidates = childrenOf(beams).sort(byLogProb);
    const isEnd = ({ token }) => token === eos;
    // What ends while among the best is finished, and leaves its place to the next.
    const ended = candidates.slice(0, numBeams).filter(isEnd);
    const kept = candidates.filter((child) => !isEnd(child)).slice(0, numBeams);
    if (ended.length) {
      const [{ parent, logProb }] = ended;
      const rank = logProb / length ** lengthPenalty;
      if (!best || rank > best.rank) best = { ids: [...beams[parent].ids, eos], logProb, rank };
    }
    for (const child of candidates) child.fate = 'dropped';
    for (const child of ended) child.fate = 'ended';
    for (const child of kept) child.fate = 'kept';
    const hopes = kept.length ? kept[0].logProb / maxLength ** lengthPenalty : -Infinity;
    const isLast = length === maxLength || (best && hopes <= best.rank);
    beams = grow(beams, kept, isLast);
    yield { length, beams: beams.map(({ ids, logProb }) => ({ ids, logProb })), candidates, best };
    if (best && hopes <= best.rank) return { ids: best.ids, logProb: best.logProb };
  }
  const [{ ids: found, logProb }] = [...beams].sort(byLogProb);
  return { ids: found, logProb };
}

// Best first; of equals (sort is stable) the one that came first, whose ids are lower.
const byLogProb = (a, b) => b.logProb - a.logProb;

// Every beam with every token that is possible after it.
function childrenOf(beams) {
  return beams.flatMap(({ logProb, session }, parent) => {
    const children = [];
    logSoftmax(session.logits).forEach((more, token) => {
      if (more > -Infinity) children.push({ parent, token, logProb: logProb + more });
    });
    return children;
  });
}

// The next beams, in the order of their ids. The last child of a beam takes its session over, the others a copy.
function grow(beams, kept, isLast) {
  const inOrder = [...kept].sort((a, b) => a.parent - b.parent || a.token - b.token);
  return inOrder.map(({ parent, token, logProb }, i) => {
    const ids = [...beams[parent].ids, token];
    if (isLast) return { ids, logProb };
    const { session } = beams[parent];
    const own = inOrder[i + 1]?.parent === parent ? session.clone() : session;
    return { ids, logProb, session: own.push(token) };
  });
}

function checkRoom(model, ids, maxLength) {
  const length = ids.length + maxLength;
  if (length > model.contextLength) {
    throw new RangeError(`prompt plus max_length is ${length} tokens long, the model reads ${model.contextLength}`);
  }
}
