// The text that a model of the playground is writing, and the search that writes several tokens of it at once.
import { bestSteps, decodeSteps, logSoftmax } from '../core/search.js';
import { MAX_WRITTEN } from './settings.js';

/** @import { SearchModel } from '../core/search.js' */
/** @import { Codec } from '../core/tokenizers.js' */
/** @import { Automaton } from '../core/toy_language.js' */
/**
 * @typedef {{ id: number, p: number, drawn?: number }} Written p as the model itself gave it, `drawn` after the filters,
 *   if it was drawn
 */
/** @typedef {{ text: string, label: string }} Spelled */
/** @typedef {{ ids: number[], logProb: number }} Listed a continuation that a search found */
/** @typedef {{ written: Written[], all: Listed[], greedy: number }} SearchResult log-probabilities in nats; best first */
/** @typedef {{ logProbs: number[], first: number }} Judgement log P of each written token in the exact language; the place
 *   of the first impossible one in the whole text, −1 if there is none. After it nothing is measured: NaN. */

/**
 * The ids of the prompt, then the written tokens. `cursor` is the place whose distribution is shown: that of a written
 * token, or the one after the last.
 */
export class Writing {
  /**
   * @param {number[]} promptIds
   */
  constructor(promptIds) {
    this.promptIds = promptIds;
    /** @type {Written[]} */
    this.tokens = [];
    this.cursor = 0;
    /** @type {{ tokens: Written[], act: number }[]} */
    this.past = [];
  }

  /** A second one that begins with the same text. */
  copy() {
    const twin = new Writing(this.promptIds);
    twin.tokens = [...this.tokens];
    twin.cursor = twin.tokens.length;
    return twin;
  }

  ids(length = this.cursor) {
    return [...this.promptIds, ...this.tokens.slice(0, length).map(({ id }) => id)];
  }

  get room() {
    return MAX_WRITTEN - this.cursor;
  }

  /** The act that wrote last, 0 if nothing was written. */
  get lastAct() {
    return this.past[this.past.length - 1]?.act ?? 0;
  }

  /**
   * Writes at the cursor, replacing what follows. What one act writes is undone at once.
   * @param {Written[]} written
   * @param {number} [act] a number above those of earlier acts, or the same as the last
   */
  write(written, act = this.lastAct + 1) {
    if (act !== this.lastAct) this.past.push({ tokens: this.tokens, act });
    this.tokens = [...this.tokens.slice(0, this.cursor), ...written];
    this.cursor = this.tokens.length;
  }

  undo() {
    this.tokens = this.past.pop()?.tokens ?? this.tokens;
    this.cursor = this.tokens.length;
  }
}

/**
 * The prompt and each token as text. A token's text may depend on those before it, as for a byte of a character.
 * @param {Codec} tokenizer
 * @param {number[]} promptIds
 * @param {number[]} ids
 * @returns {{ prompt: string, tokens: Spelled[] }}
 */
export function spell(tokenizer, promptIds, ids) {
  const prompt = tokenizer.decode(promptIds);
  let before = prompt;
  const tokens = ids.map((id, i) => {
    const whole = tokenizer.decode([...promptIds, ...ids.slice(0, i + 1)]);
    const text = whole.slice(before.length);
    before = whole;
    return { text, label: tokenizer.label(id) };
  });
  return { prompt, tokens };
}

/**
 * What the exact language says of a text.
 * @param {Automaton} automaton
 * @param {number[]} promptIds
 * @param {number[]} ids
 * @returns {Judgement}
 */
export function judgeText(automaton, promptIds, ids) {
  let [state, first] = [0, -1];
  const logProbs = [...promptIds, ...ids].map((id, place) => {
    if (first >= 0) return NaN;
    const logProb = automaton.logProb(state, id);
    if (logProb === -Infinity) first = place;
    state = automaton.step(state, id);
    return logProb;
  });
  return { logProbs: logProbs.slice(promptIds.length), first };
}

/**
 * Searches for the likeliest `length` tokens after `prompt`, also greedily: yields how many tokens beam search has.
 * @param {SearchModel} net
 * @param {number[]} prompt
 * @param {number} beams
 * @param {number} length
 * @returns {Generator<number, SearchResult, void>}
 */
export function* searchSteps(net, prompt, beams, length) {
  let greedy = 0;
  for (const { logProb } of decodeSteps(net, prompt, length)) {
    greedy += logProb;
    yield 0;
  }
  const steps = bestSteps(net, prompt, beams, length, { count: beams });
  let step = steps.next();
  for (; !step.done; step = steps.next()) yield step.value.length;
  const all = step.value.map(({ ids, logProb }) => ({ ids: ids.slice(prompt.length), logProb }));
  /** @type {Written[]} */
  const written = [];
  const session = net.session(prompt);
  for (const id of all[0].ids) {
    written.push({ id, p: Math.exp(logSoftmax(session.logits)[id]) });
    session.push(id);
    yield length;
  }
  return { written, all, greedy };
}
