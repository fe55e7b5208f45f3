// A text that grows token by token, and what a model says next: {ids, logits, dist(), push, truncate, follow, clone}.
//
// A decoder needs nothing else of a model. `logits` are computed when they are read, and are a new array each time.
// push, truncate and follow return the session itself.
import { softmax } from './filters.js';

/** @import { Numbers } from './filters.js' */

/**
 * @typedef {object} Session
 * @property {number[]} ids
 * @property {Numbers} logits
 * @property {() => Float64Array} dist
 * @property {(id: number) => Session} push
 * @property {(length: number) => Session} truncate
 * @property {(ids: number[]) => Session} follow
 * @property {() => Session} clone
 */

/**
 * What a transformer stores about the tokens that it has read, one array each: key and value of each layer, then the
 * vector from which logits are made. It never changes, so several texts share what they have in common.
 * @typedef {Float32Array[]} Memory
 */

/**
 * @typedef {object} CachingModel
 * @property {number[]} start ids that it reads before the first token of any text
 * @property {(ids: number[], memory: Memory) => void} read
 * @property {(ids: number[], past: number) => void} check
 * @property {(kept: Float32Array) => Float32Array} unembed
 */

/**
 * The end of a text that has outgrown a model's context: the whole text while it fits with `room` tokens more. The
 * beginning is dropped a quarter of the context at a time, because nothing that was computed for a text can be kept
 * when its first token goes.
 * @param {number[]} ids
 * @param {number} contextLength
 * @param {number} [room]
 */
export function withinContext(ids, contextLength, room = 0) {
  const beyond = ids.length + room - contextLength;
  if (beyond <= 0) return ids;
  const step = Math.max(Math.floor(contextLength / 4), 1);
  return ids.slice(Math.min(Math.ceil(beyond / step) * step, ids.length - 1));
}

const AT_ONCE = 32; // tokens that are read without a pause

/**
 * How many tokens two texts share at their beginning.
 * @param {number[]} one
 * @param {number[]} other
 */
export function sharedStart(one, other) {
  let same = 0;
  while (same < one.length && one[same] === other[same]) same++;
  return same;
}

/**
 * Makes `ids` the text of a session, in parts, so that a long one can be given up between two of them; what was read is
 * kept. Yields the share that is read.
 * @param {Session} session
 * @param {number[]} ids
 * @returns {Generator<number, Session, void>}
 */
export function* followInParts(session, ids) {
  for (let end = sharedStart(session.ids, ids) + AT_ONCE; end < ids.length; end += AT_ONCE) {
    session.follow(ids.slice(0, end));
    yield end / ids.length;
  }
  return session.follow(ids);
}

class GrowingText {
  /** @type {number[]} */
  ids = [];
  /** @type {Numbers | null} the logits, once they were read */
  row = null;

  /** P(next token | ids), V numbers that sum to 1. */
  dist() {
    return softmax(this.logits);
  }

  get logits() {
    return (this.row ??= this.computeLogits());
  }

  /** @returns {Numbers} */
  computeLogits() {
    throw new TypeError('a text without a model has no logits');
  }
}

/**
 * Of a transformer. Keys and values of earlier tokens don't change, so they are stored in `memory`, and only the new
 * token is computed.
 */
export class CachedSession extends GrowingText {
  /**
   * @param {CachingModel} model
   * @param {Memory} [memory]
   */
  constructor(model, memory = []) {
    super();
    this.model = model;
    this.memory = memory;
    if (memory.length === 0 && model.start.length) model.read(model.start, memory);
  }

  /** @param {number} id */
  push(id) {
    this.model.read([id], this.memory);
    this.ids.push(id);
    this.row = null;
    return this;
  }

  /** @param {number} length */
  truncate(length) {
    this.ids.length = Math.min(this.ids.length, Math.max(length, 0));
    this.memory.length = this.model.start.length + this.ids.length;
    this.row = null;
    return this;
  }

  /**
   * Makes `ids` the text. The beginning that both texts share isn't read again; if `ids` are wrong, nothing changes.
   * @param {number[]} ids
   */
  follow(ids) {
    const same = sharedStart(this.ids, ids);
    const added = ids.slice(same);
    this.model.check(added, this.model.start.length + same);
    if (same < this.ids.length) this.truncate(same);
    if (added.length === 0) return this;
    this.model.read(added, this.memory);
    this.ids.push(...added);
    this.row = null;
    return this;
  }

  clone() {
    const twin = new CachedSession(this.model, [...this.memory]);
    twin.ids = [...this.ids];
    return twin;
  }

  /** @override */
  computeLogits() {
    const { model, memory } = this;
    if (memory.length === 0) throw new RangeError('the model predicts from what stands there: it needs a token');
    return model.unembed(memory[memory.length - 1]);
  }
}

/** Of a model that looks its distribution up and needs no cache. */
export class TableSession extends GrowingText {
  /**
   * @param {{ check: (ids: number[]) => void, dist: (prefix: number[]) => Float64Array }} model
   * @param {number[]} ids
   */
  constructor(model, ids) {
    super();
    this.model = model;
    this.follow(ids);
  }

  /** @param {number} id */
  push(id) {
    return this.follow([...this.ids, id]);
  }

  /** @param {number} length */
  truncate(length) {
    return this.follow(this.ids.slice(0, Math.max(length, 0)));
  }

  /** @param {number[]} ids */
  follow(ids) {
    this.model.check(ids);
    this.ids = [...ids];
    this.row = null;
    return this;
  }

  clone() {
    return new TableSession(this.model, this.ids);
  }

  /**
   * Log-probabilities are logits: their softmax is the distribution.
   * @override
   */
  computeLogits() {
    return this.model.dist(this.ids).map(Math.log);
  }
}
