// What can be asked of a real model about one prompt: its next token at a temperature and a nucleus, and what it writes at
// several temperatures with the same luck.
import { bestToken, softmax, temperature } from './filters.js';
import { seededRandom } from './random.js';
import { followInParts } from './session.js';

/** @import { PretrainedTokenizer } from './byte_level_bpe.js' */
/** @import { Numbers } from './filters.js' */
/** @import { PretrainedModel } from './pretrained.js' */
/** @import { Session } from './session.js' */

const TAIL = 50; // a token is of the tail if as many are likelier

/**
 * The next token: `before` (T = 1) and `after` (T, then p) are the probabilities of `ids`, the best tokens, and last the
 * sum of all others. `entropy` is at T, before the nucleus; `size` and `mass` are the nucleus's tokens and probability.
 * @typedef {{ ids: number[], before: Float64Array, after: Float64Array, entropy: number, size: number, mass: number }}
 *   Answer
 */

/** @typedef {{ tau: number, token: number, nats: number, rank: number }} Written rank 0 is the likeliest token */

/**
 * The text that the model reads, and its ids. `asChat`: the prompt is a user's message, and the assistant's turn begins.
 * @param {PretrainedTokenizer} tokenizer
 * @param {string} prompt
 * @param {boolean} asChat
 */
export function wrapPrompt(tokenizer, prompt, asChat) {
  const text = asChat ? tokenizer.chat([{ role: 'user', content: prompt }]) : prompt;
  const { ids, problem } = tokenizer.encode(text);
  return { text, ids, problem };
}

/**
 * @param {Numbers} logits
 * @param {number} tau
 * @param {number} p of the nucleus, which is taken after the temperature
 * @param {number} count of tokens that are named
 * @returns {Answer}
 */
export function askNextToken(logits, tau, p, count) {
  if (!(p > 0 && p <= 1)) throw new RangeError(`p must be above 0 and at most 1, got ${p}`);
  const plain = softmax(logits);
  const probs = softmax(temperature(logits, tau));
  const order = Uint32Array.from(logits, (_, id) => id).sort((
    a,
    b,
  ) => (logits[a] === logits[b] ? a - b : logits[b] - logits[a]));
  let [size, mass] = [0, 0];
  while (mass < p && probs[order[size]] > 0) mass += probs[order[size++]]; // behind the last is nothing above 0
  const ids = [...order.subarray(0, count)];
  const kept = ids.map((id, rank) => (rank < size ? probs[id] / mass : 0));
  return {
    ids,
    before: withRest(ids.map((id) => plain[id]), 1),
    after: withRest(kept, size > count ? 1 : 0),
    entropy: probs.reduce((sum, q) => sum - (q > 0 ? q * Math.log(q) : 0), 0),
    size,
    mass: Math.min(mass, 1),
  };
}

/**
 * @param {number[]} named
 * @param {number} total of all; 0: there are no others
 */
function withRest(named, total) {
  return Float64Array.of(...named, total && Math.max(total - named.reduce((sum, p) => sum + p, 0), 0));
}

/**
 * Continues `ids` at each temperature, one after another; yields each token. The luck is the same for all: Gumbel noise
 * times the temperature is added to the logits, and the best token is taken, which draws it with its probability at that
 * temperature; at 0 it is greedy decoding. `nats` and `rank` are those at T = 1. A text ends with `eos`.
 * @param {Session} session
 * @param {number[]} ids
 * @param {{ temperatures: number[], count: number, seed: number, eos: number }} options
 * @returns {Generator<Written, void, void>}
 */
export function* writeWithOneLuck(session, ids, { temperatures, count, seed, eos }) {
  for (const tau of temperatures) {
    const random = seededRandom(seed);
    const text = [...ids];
    for (let token = -1; text.length < ids.length + count && token !== eos;) {
      const { logits } = session.follow(text); // another question may have moved it since the last token
      token = drawWithNoise(logits, tau, random);
      text.push(token);
      yield { tau, token, ...standing(logits, token) };
    }
  }
}

/**
 * @param {Numbers} logits
 * @param {number} tau
 * @param {() => number} random
 */
function drawWithNoise(logits, tau, random) {
  // −log(−log u); u is never 0
  return bestToken(Float64Array.from(logits, (logit) => logit - tau * Math.log(-Math.log(random() + 2 ** -33))));
}

/**
 * The surprise at a token in nats, and how many are likelier.
 * @param {Numbers} logits
 * @param {number} token
 */
function standing(logits, token) {
  const top = logits[bestToken(logits)];
  let [total, rank] = [0, 0];
  for (const logit of logits) {
    total += Math.exp(logit - top);
    if (logit > logits[token]) rank++;
  }
  return { nats: top + Math.log(total) - logits[token], rank };
}

// ---- Questions about one prompt, answered where the model is -----------------------------------------------------------

const ATTENDED = 40; // tokens whose attention is told: T² numbers for each of 270 heads

/** @typedef {{ prompt: string, asChat: boolean }} Question */
/** @typedef {{ tau: number, text: string, tokens: number, nats: number, tail: number, ended: boolean }} Line of one
 *   temperature: its text so far, the mean surprise, the share of tokens outside the 50 best */

export class PromptDesk {
  /** @param {PretrainedModel} model */
  constructor(model) {
    this.model = model;
    this.session = model.session();
  }

  /**
   * @param {Question} question
   * @param {number} [count] of tokens that are to follow
   */
  read({ prompt, asChat }, count = 0) {
    const { text, ids, problem } = wrapPrompt(this.model.tokenizer, prompt, asChat);
    if (problem) throw new RangeError(problem);
    if (!ids.length) throw new RangeError('The model predicts from what stands there: write something.');
    const { contextLength } = this.model;
    if (ids.length + count > contextLength) {
      const [has, most] = [ids.length, contextLength].map((n) => n.toLocaleString('en'));
      const more = count ? `, and ${count} are to follow` : '';
      throw new RangeError(`The prompt has ${has} tokens${more}; this model reads at most ${most}: leave some out.`);
    }
    return { text, ids };
  }

  /**
   * Yields the share of the prompt that is read.
   * @param {Question & { tau: number, p: number, count: number }} question
   */
  *next({ tau, p, count, ...question }) {
    const { text, ids } = this.read(question);
    const { logits } = yield* followInParts(this.session, ids);
    const answer = askNextToken(logits, tau, p, count);
    return { ...answer, text, length: ids.length, labels: answer.ids.map((id) => this.model.tokenizer.decode([id])) };
  }

  /**
   * Yields the share of the prompt that is read, as long as it is; then the lines as they grow.
   * @param {Question & { temperatures: number[], count: number, seed: number }} question
   * @returns {Generator<number | Line, void, void>}
   */
  *write({ temperatures, count, seed, ...question }) {
    const { tokenizer } = this.model;
    const { ids } = this.read(question, count);
    yield* followInParts(this.session, ids);
    const eos = tokenizer.eosTokenId;
    /** @type {Written[]} */
    let line = [];
    for (const step of writeWithOneLuck(this.session, ids, { temperatures, count, seed, eos })) {
      if (line[0]?.tau !== step.tau) line = [];
      line.push(step);
      const [tokens, ended] = [line.length, step.token === eos];
      const written = line.slice(0, ended ? -1 : tokens).map(({ token }) => token);
      const nats = line.reduce((sum, one) => sum + one.nats, 0) / tokens;
      const tail = line.filter(({ rank }) => rank >= TAIL).length / tokens;
      yield { tau: step.tau, text: tokenizer.decode(written), tokens, nats, tail, ended };
    }
  }

  /**
   * What every head attends to: of the first tokens, T × T shares row by row, head after head.
   * @param {Question} question
   */
  attention(question) {
    const { model } = this;
    const ids = this.read(question).ids.slice(0, ATTENDED);
    const T = ids.length;
    const shares = new Float32Array(model.L * model.H * T * T);
    model.attention(ids).flat().forEach((head, i) => shares.set(head, i * T * T));
    return { shares, layers: model.L, heads: model.H, words: ids.map((id) => model.tokenizer.decode([id])) };
  }
}
