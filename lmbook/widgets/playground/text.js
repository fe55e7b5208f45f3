// The text that a model of the playground is writing, and the search that writes several tokens of it at once.
import { softmax } from '../core/filters.js';
import { beamSteps, decodeSteps } from '../core/search.js';
import { MAX_WRITTEN } from './settings.js';

/** @import { Model } from '../core/models.js' */
/** @import { SearchModel } from '../core/search.js' */
/** @import { Session } from '../core/session.js' */
/** @typedef {{ id: number, p: number }} Written p as the model itself gave it */
/** @typedef {{ text: string, label: string, p: number }} Spelled */

/**
 * The ids of the prompt, then the written tokens. `cursor` is the place whose distribution is shown: that of a written
 * token, or the one after the last.
 */
export class Writing {
  /**
   * @param {Model} net
   * @param {number[]} promptIds
   */
  constructor(net, promptIds) {
    this.net = net;
    this.promptIds = promptIds;
    /** @type {Written[]} */
    this.tokens = [];
    this.cursor = 0;
    /** @type {Written[][]} */
    this.past = [];
    /** @type {Session} */
    this.session = net.session([]);
    this.speed = { tokens: 0, time: 0 };
  }

  ids(length = this.cursor) {
    return [...this.promptIds, ...this.tokens.slice(0, length).map(({ id }) => id)];
  }

  logits() {
    const [ids, start] = [this.ids(), performance.now()];
    const isNext = ids.length === this.session.ids.length + 1;
    const { logits } = this.session.follow(ids);
    if (isNext) this.speed = { tokens: this.speed.tokens + 1, time: this.speed.time + performance.now() - start };
    return logits;
  }

  get room() {
    return Math.min(this.net.contextLength - this.ids().length, MAX_WRITTEN - this.cursor);
  }

  /** Tokens per second; 0 until there are enough to measure. */
  get rate() {
    const { tokens, time } = this.speed;
    return tokens > 5 && time > 0 ? (1000 * tokens) / time : 0;
  }

  /**
   * Writes `ids` at the cursor, replacing what follows.
   * @param {number[]} ids
   */
  write(ids) {
    this.past.push(this.tokens);
    this.tokens = this.tokens.slice(0, this.cursor);
    for (const id of ids) {
      this.tokens.push({ id, p: softmax(this.logits())[id] });
      this.cursor += 1;
    }
  }

  undo() {
    this.tokens = this.past.pop() ?? this.tokens;
    this.cursor = this.tokens.length;
  }

  /** Mean −log P of the written tokens, in nats. */
  surprise() {
    return this.tokens.reduce((sum, { p }) => sum - Math.log(p), 0) / this.tokens.length;
  }

  /**
   * The prompt and each token as text. A token's text may depend on those before it, as for a byte of a character.
   * @returns {{ prompt: string, tokens: Spelled[] }}
   */
  spelled() {
    const { tokenizer } = this.net;
    const prompt = tokenizer.decode(this.promptIds);
    let before = prompt;
    const tokens = this.tokens.map(({ id, p }, i) => {
      const whole = tokenizer.decode(this.ids(i + 1));
      const text = whole.slice(before.length);
      before = whole;
      return { text, label: tokenizer.label(id), p };
    });
    return { prompt, tokens };
  }
}

/**
 * Searches for the likeliest `length` tokens after `prompt`, also greedily: yields how many tokens beam search has,
 * returns {ids, logProb, greedy}, log-probabilities in nats.
 * @param {SearchModel} net
 * @param {number[]} prompt
 * @param {number} beams
 * @param {number} length
 * @returns {Generator<number, { ids: number[], logProb: number, greedy: number }, void>}
 */
export function* searchSteps(net, prompt, beams, length) {
  let greedy = 0;
  for (const { logProb } of decodeSteps(net, prompt, length)) {
    greedy += logProb;
    yield 0;
  }
  const steps = beamSteps(net, prompt, beams, length);
  for (;;) {
    const { value, done } = steps.next();
    if (done) return { ids: value.ids.slice(prompt.length), logProb: value.logProb, greedy };
    yield value.length;
  }
}
