// The text that a model of the playground is writing, and the search that writes several tokens of it at once.
import { beamSteps, decodeSteps, logSoftmax } from '../core/search.js';
import { MAX_WRITTEN } from './settings.js';

/** @import { SearchModel } from '../core/search.js' */
/** @import { Codec } from '../core/tokenizers.js' */
/** @typedef {{ id: number, p: number }} Written p as the model itself gave it */
/** @typedef {{ text: string, label: string }} Spelled */
/** @typedef {{ written: Written[], logProb: number, greedy: number }} Found log-probabilities in nats */

/**
 * The ids of the prompt, then the written tokens. `cursor` is the place whose distribution is shown: that of a written
 * token, or the one after the last.
 */
export class Writing {
  /**
   * @param {number[]} promptIds
   * @param {number} contextLength
   */
  constructor(promptIds, contextLength) {
    this.promptIds = promptIds;
    this.contextLength = contextLength;
    /** @type {Written[]} */
    this.tokens = [];
    this.cursor = 0;
    /** @type {Written[][]} */
    this.past = [];
  }

  ids(length = this.cursor) {
    return [...this.promptIds, ...this.tokens.slice(0, length).map(({ id }) => id)];
  }

  get room() {
    return Math.min(this.contextLength - this.promptIds.length, MAX_WRITTEN) - this.cursor;
  }

  /**
   * Writes at the cursor, replacing what follows.
   * @param {Written[]} written
   */
  write(written) {
    this.past.push(this.tokens);
    this.tokens = [...this.tokens.slice(0, this.cursor), ...written];
    this.cursor = this.tokens.length;
  }

  undo() {
    this.tokens = this.past.pop() ?? this.tokens;
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
 * Searches for the likeliest `length` tokens after `prompt`, also greedily: yields how many tokens beam search has.
 * @param {SearchModel} net
 * @param {number[]} prompt
 * @param {number} beams
 * @param {number} length
 * @returns {Generator<number, Found, void>}
 */
export function* searchSteps(net, prompt, beams, length) {
  let greedy = 0;
  for (const { logProb } of decodeSteps(net, prompt, length)) {
    greedy += logProb;
    yield 0;
  }
  const steps = beamSteps(net, prompt, beams, length);
  let step = steps.next();
  for (; !step.done; step = steps.next()) yield step.value.length;
  const { ids, logProb } = step.value;
  /** @type {Written[]} */
  const written = [];
  const session = net.session(prompt);
  for (const id of ids.slice(prompt.length)) {
    written.push({ id, p: Math.exp(logSoftmax(session.logits)[id]) });
    session.push(id);
    yield length;
  }
  return { written, logProb, greedy };
}
