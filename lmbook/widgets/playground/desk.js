// A model at work: it reads a prompt, says what may come next, chooses a token, searches. What takes time is a generator,
// which yields how far it is. A small model has its desk in the page, SmolLM2 in a worker; both are asked in one way.
import { softmax } from '../core/filters.js';
import { followInParts, sharedStart, withinContext } from '../core/session.js';
import { inSlices } from '../core/slices.js';
import { chooseToken, readPrompt, shapeLogits } from './settings.js';
import { judgeText, searchSteps, spell } from './text.js';

/** @import { Numbers } from '../core/filters.js' */
/** @import { Model, Rounding } from '../core/models.js' */
/** @import { PretrainedModel } from '../core/pretrained.js' */
/** @import { TokenizerKind } from '../core/tokenizers.js' */
/** @import { CallOptions, WorkerClient } from '../kit/worker.js' */
/** @import { Automaton } from '../core/toy_language.js' */
/** @import { Settings, Text } from './settings.js' */
/** @import { Judgement, SearchResult, Spelled, Written } from './text.js' */

/** @typedef {Model | PretrainedModel} DeskModel */
/** @typedef {{ tokenizer: { kind: TokenizerKind }, contextLength: number, vocabSize: number, rounding: Rounding | null }}
 *   AboutModel */
/** @typedef {{ from: number, count: number, find: string }} Wanted which lines of the distribution: from a place on, or
 *   the tokens that contain a text */
/** @typedef {{ id: number, label: string, place: number, before: number, after: number }} TableLine place from 1 */
/**
 * A distribution before and after the filters.
 * @typedef {object} Table
 * @property {TableLine[]} lines likeliest first
 * @property {Wanted} wanted
 * @property {number} found how many tokens contain what is looked for
 * @property {number} left how many have a probability after the filters
 * @property {number} total
 * @property {number} scale the largest probability of all
 * @property {[before: number, after: number]} rest of the tokens without a line
 * @property {string} chosen the token that was taken here, "" if none was
 */
/** @typedef {{ prompt: string, tokens: Spelled[], judgement: Judgement | null }} Page a text as it is shown */
/** @typedef {Page & { table: Table, rate: number }} Look */
/** @typedef {0 | 1} SideNumber of two texts that are compared; each has its own session */
/**
 * @typedef {{ promptIds: number[], ids: number[], cursor: number, settings: Settings, wanted: Wanted, side: SideNumber }}
 *   LookQuestion
 */

export const SHORT = 10; // lines of the distribution at first
const LEAST_MEASURED = 5; // tokens, before their speed is told

export class Desk {
  /**
   * @param {DeskModel} net
   * @param {Automaton | null} [judge] the exact language of the same words
   */
  constructor(net, judge = null) {
    this.net = net;
    this.judge = judge;
    this.sessions = [net.session([]), net.session([])];
    this.speed = { tokens: 0, time: 0 };
    /** @type {string[] | null} of all tokens, once one was looked for */
    this.labels = null;
  }

  /** @returns {AboutModel} */
  get about() {
    const { tokenizer: { kind }, contextLength, vocabSize, rounding } = this.net;
    return { tokenizer: { kind }, contextLength, vocabSize, rounding };
  }

  /** @param {string} text */
  read(text) {
    return readPrompt(this.net, text);
  }

  /**
   * The logits after `text`, as much of it as the context holds; yields the share of it that is read.
   * @param {number[]} text
   * @param {SideNumber} [side]
   * @returns {Generator<number, Numbers, void>}
   */
  *reach(text, side = 0) {
    const { speed, net } = this;
    const session = this.sessions[side];
    const ids = withinContext(text, net.contextLength);
    const same = sharedStart(session.ids, ids);
    const isNext = same === session.ids.length && ids.length === same + 1;
    const start = performance.now();
    const { logits } = yield* followInParts(session, ids);
    if (isNext) this.speed = { tokens: speed.tokens + 1, time: speed.time + performance.now() - start };
    return logits;
  }

  /** Tokens per second; 0 until there are enough to measure. */
  get rate() {
    const { tokens, time } = this.speed;
    return tokens > LEAST_MEASURED && time > 0 ? (1000 * tokens) / time : 0;
  }

  /**
   * What a view draws: the text, and the distribution at the cursor.
   * @param {LookQuestion} question
   * @returns {Generator<number, Look, void>}
   */
  *look({ promptIds, ids, cursor, settings, wanted, side }) {
    const text = { ids: [...promptIds, ...ids.slice(0, cursor)], promptLength: promptIds.length };
    const logits = yield* this.reach(text.ids, side);
    const chosen = cursor < ids.length ? this.net.tokenizer.label(ids[cursor]) : '';
    const table = { ...this.table([logits, shapeLogits(logits, settings, text)], wanted), chosen };
    return { ...this.spelled(promptIds, ids), table, rate: this.rate };
  }

  /**
   * @param {number[]} promptIds
   * @param {number[]} ids
   * @returns {Page}
   */
  spelled(promptIds, ids) {
    const judgement = this.judge && judgeText(this.judge, promptIds, ids);
    return { ...spell(this.net.tokenizer, promptIds, ids), judgement };
  }

  /**
   * @param {Text} text so far
   * @param {Settings} settings
   * @param {SideNumber} [side]
   * @returns {Generator<number, Written, void>}
   */
  *choose(text, settings, side = 0) {
    const logits = yield* this.reach(text.ids, side);
    const { id, drawn } = chooseToken(logits, settings, text);
    return { id, p: softmax(logits)[id], drawn };
  }

  /**
   * The probability of each of `added`, as they follow `ids`.
   * @param {number[]} ids
   * @param {number[]} added
   * @param {SideNumber} [side]
   */
  *probabilities(ids, added, side = 0) {
    const found = [];
    for (const [n, id] of added.entries()) {
      const logits = yield* this.reach([...ids, ...added.slice(0, n)], side);
      found.push(softmax(logits)[id]);
    }
    return found;
  }

  /**
   * Yields how many of `length` tokens are found; of a text beyond the context only the end is read.
   * @param {number[]} ids
   * @param {number} beams
   * @param {number} length
   * @param {SideNumber} [side]
   * @returns {Generator<number, SearchResult, void>}
   */
  *search(ids, beams, length, side = 0) {
    const { net: { contextLength } } = this;
    const room = Math.min(length, contextLength - 1);
    const end = withinContext(ids, contextLength, room);
    for (const _ of this.reach(end, side)) yield 0;
    const session = this.sessions[side];
    return yield* searchSteps({ contextLength, session: () => session.clone() }, end, beams, room);
  }

  /**
   * @param {Numbers[]} logits before and after the filters
   * @param {Wanted} wanted
   */
  table(logits, wanted) {
    const [before, after] = logits.map(softmax);
    const sorted = Float64Array.from(before).sort();
    const some = wanted.find ? this.idsWith(wanted.find) : null;
    const ids = bestOf(before, sorted, some, wanted.from + wanted.count).slice(wanted.from);
    const lines = ids.map((id) => ({
      id,
      label: this.net.tokenizer.label(id),
      place: placeOf(before[id], sorted),
      before: before[id],
      after: after[id],
    }));
    let [left, scale] = [0, sorted[sorted.length - 1]];
    for (let id = 0; id < after.length; id++) {
      if (after[id] > 0) left++;
      scale = Math.max(scale, after[id]);
    }
    /** @type {[number, number]} */
    const rest = [othersOf(before, ids), othersOf(after, ids)];
    const total = before.length;
    return { lines, wanted, found: some?.length ?? total, left, total, scale, rest };
  }

  /**
   * The tokens that contain a text, whatever the case of its letters.
   * @param {string} text
   */
  idsWith(text) {
    const { net: { tokenizer, vocabSize } } = this;
    this.labels ??= Array.from({ length: vocabSize }, (_, id) => tokenizer.label(id).toLowerCase());
    const part = text.toLowerCase().replaceAll(' ', '␣');
    return this.labels.flatMap((label, id) => (label.includes(part) ? [id] : []));
  }
}

/**
 * The `count` likeliest tokens (of `some`, if not all), of equals the lowest id first. Only these are sorted by a function:
 * sorting plain numbers is fast.
 * @param {Float64Array} probs
 * @param {Float64Array} sorted the same, smallest first
 * @param {number[] | null} some
 * @param {number} count
 */
function bestOf(probs, sorted, some, count) {
  const least = sorted[Math.max(sorted.length - count, 0)];
  /** @type {number[]} */
  const ids = some ?? [];
  if (!some) { for (let id = 0; id < probs.length; id++) if (probs[id] >= least) ids.push(id); }
  return ids.sort((a, b) => probs[b] - probs[a] || a - b).slice(0, count);
}

/**
 * The place of a probability among all, 1 if none is larger.
 * @param {number} p
 * @param {Float64Array} sorted smallest first
 */
function placeOf(p, sorted) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] > p) high = middle;
    else low = middle + 1;
  }
  return sorted.length - low + 1;
}

/**
 * What the tokens outside `ids` have together.
 * @param {Float64Array} probs
 * @param {number[]} ids
 */
function othersOf(probs, ids) {
  const isOwn = new Uint8Array(probs.length);
  for (const id of ids) isOwn[id] = 1;
  let sum = 0;
  for (let id = 0; id < probs.length; id++) if (!isOwn[id]) sum += probs[id];
  return sum;
}

// ---- How a player asks ----------------------------------------------------------------------------------------------

/** @typedef {'read' | 'look' | 'spelled' | 'choose' | 'probabilities' | 'search'} DeskMethod */
/**
 * @template {DeskMethod} M
 * @typedef {ReturnType<Desk[M]> extends Generator<any, infer R, any> ? R : ReturnType<Desk[M]>} Answer
 */
/**
 * @typedef {object} AskedDesk
 * @property {AboutModel} about
 * @property {<M extends DeskMethod>(method: M, args: Parameters<Desk[M]>, options?: CallOptions) => Promise<Answer<M>>} ask
 */

/**
 * The work of a method, begun; one that takes no time is done.
 * @param {Desk} desk
 * @param {DeskMethod} method
 * @param {any[]} args
 * @returns {Generator<number, any, void>}
 */
export function* work(desk, method, args) {
  const begun = /** @type {any} */ (desk)[method](...args);
  return typeof begun.next === 'function' ? yield* begun : begun;
}

/**
 * A desk in the page. All but a search is done at once, without a pause.
 * @param {DeskModel} net
 * @param {Automaton | null} [judge]
 * @returns {AskedDesk}
 */
export function deskHere(net, judge = null) {
  const desk = new Desk(net, judge);
  return {
    about: desk.about,
    async ask(method, args, { onProgress, signal } = {}) {
      const steps = work(desk, method, args);
      if (method === 'search') return await inSlices(steps, { onProgress, signal });
      for (;;) {
        const { value, done } = steps.next();
        if (done) return value;
      }
    },
  };
}

/**
 * The desk of a worker.
 * @param {WorkerClient} worker
 * @param {AboutModel} about
 * @returns {AskedDesk}
 */
export function deskInWorker(worker, about) {
  return { about, ask: (method, args, options) => worker.call('ask', { method, args }, options) };
}
