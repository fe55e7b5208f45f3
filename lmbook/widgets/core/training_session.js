// What the laboratory does away from the page, in steps: a generator yields between two pieces of work of a few
// milliseconds, so that whoever drives it can report and stop. workers/laboratory_worker.js drives it.
import { infoOf, Run } from './laboratory.js';
import { exactFloor, ngramLevels } from './training_text.js';

/** @import { Settings } from './laboratory_settings.js' */
/** @import { Level, TrainingText } from './training_text.js' */
/** @import { TransformerConfig } from './transformer.js' */

const REPORT_EVERY = 100; // milliseconds
const MEASURED_FOR = 50; // milliseconds of training, before which no speed is told
const LOOKS = 20; // at the unseen text in a run
const SAMPLES = 5; // in a run
const MEAN_OF = 10; // steps, whose loss is shown

/**
 * What a page is told while a run goes on; what isn't new is left out.
 * @typedef {object} Update
 * @property {number} steps
 * @property {[step: number, loss: number][]} losses of the steps since the last update
 * @property {number} [loss] the mean of the last steps
 * @property {number} [gradientLength]
 * @property {number} [tokensPerSecond]
 * @property {number} [unseen] the loss on the unseen text
 * @property {Float64Array[]} [expected] after each beginning of the sentence
 * @property {string} [sample]
 */

/** @typedef {{ floor: number | null, levels: Level[], tokens: string[], sentences: string[], leftOut: number }} Described */

export class TrainingSession {
  /** @type {TrainingText | null} */
  text = null;
  /** @type {TransformerConfig | null} */
  given = null;
  /** @type {Run | null} */
  run = null;
  /** @type {number[]} */
  sentence = [];
  /** @type {[step: number, loss: number][]} */
  losses = [];
  /** @type {number[]} */
  recent = [];
  /** @type {number | null} */
  floor = null;
  /** @type {number | null} */
  unseen = null;
  goal = 0;

  /**
   * Takes a text, and says what the runs on it can be compared with.
   * @param {TrainingText} text
   * @param {TransformerConfig | null} [given]
   * @returns {Generator<number, Described, void>}
   */
  *take(text, given = null) {
    const levels = yield* ngramLevels(text);
    Object.assign(this, { text, given, run: null, floor: exactFloor(text) });
    this.look(text.sentences[0]);
    return {
      floor: this.floor,
      levels,
      tokens: text.tokenizer.tokens.map((_, id) => text.tokenizer.label(id)),
      sentences: text.sentences,
      leftOut: text.leftOut,
    };
  }

  /**
   * A run from its first weights.
   * @param {Settings} settings
   */
  begin(settings) {
    this.run = new Run(settings, this.demand(this.text, 'a text'), this.given);
    Object.assign(this, { losses: [], recent: [], unseen: null, goal: settings.steps });
  }

  /**
   * The sentence whose predictions are shown from now on: its ids.
   * @param {string} sentence
   */
  look(sentence) {
    const { tokenizer } = this.demand(this.text, 'a text');
    const { ids, problem } = tokenizer.encode(sentence);
    if (problem) throw new RangeError(problem);
    if (ids.length < 2 || ids.length > 40) throw new RangeError(`2 to 40 tokens can be looked at, not ${ids.length}`);
    this.sentence = ids;
    return { ids, exact: this.exactly(), expected: this.run?.expectations(ids) ?? null };
  }

  /** What the language itself expects in the sentence; null where it isn't known. */
  exactly() {
    const { exact } = this.demand(this.text, 'a text');
    return exact && this.sentence.slice(0, -1).map((_, t) => exact.dist(this.sentence.slice(0, t + 1)));
  }

  /**
   * Trains to the end of the run, or for `count` steps.
   * @param {(update: Update) => void} report
   * @param {number} [count]
   * @returns {Generator<number, 'done' | 'stopped', void>}
   */
  *train(report, count = Infinity) {
    const run = this.demand(this.run, 'a run');
    const { settings } = run;
    if (count === Infinity && run.steps >= this.goal) this.goal += settings.steps;
    const end = Math.min(run.steps + count, count === Infinity ? this.goal : Infinity);
    const every = Math.max(1, Math.round(settings.steps / LOOKS));
    if (this.unseen === null) report(yield* this.examine(run, true));
    let [reported, spent, taken] = [performance.now(), 0, 0];
    while (run.steps < end) {
      const began = performance.now();
      this.note(run.step());
      spent += performance.now() - began;
      taken += run.tokensPerStep;
      yield run.steps / end;
      const [now, looks] = [performance.now(), run.steps % every === 0 || run.steps === end];
      if (now - reported < REPORT_EVERY && !looks) continue;
      report({ ...this.news(run), ...(spent < MEASURED_FOR ? {} : { tokensPerSecond: taken / (spent / 1000) }) });
      if (looks) report(yield* this.examine(run, run.steps % (every * (LOOKS / SAMPLES)) === 0 || run.steps === end));
      reported = performance.now();
    }
    return run.steps >= this.goal ? 'done' : 'stopped';
  }

  /** @param {number} loss of the step that was taken */
  note(loss) {
    const { steps } = this.demand(this.run, 'a run');
    if (!Number.isFinite(loss)) {
      throw new RangeError(
        `At step ${steps} the loss is ${loss}: the weights have grown beyond all numbers. A lower rate keeps them.`,
      );
    }
    this.losses.push([steps, loss]);
    this.recent.push(loss);
    if (this.recent.length > MEAN_OF) this.recent.shift();
  }

  /** @param {Run} run */
  news({ steps, gradientLength }) {
    const { losses, recent } = this;
    this.losses = [];
    const loss = recent.length ? recent.reduce((sum, value) => sum + value, 0) / recent.length : undefined;
    return { steps, losses, loss, gradientLength };
  }

  /**
   * The unseen text, the sentence, and perhaps a sample.
   * @param {Run} run
   * @param {boolean} writes
   * @returns {Generator<number, Update, void>}
   */
  *examine(run, writes) {
    const { tokenizer } = run.text;
    const unseen = this.unseen = yield* run.unseenLoss();
    const expected = run.expectations(this.sentence);
    const length = tokenizer.kind === 'words' ? 30 : 80;
    const ids = writes ? yield* run.write(this.sentence.slice(0, 1), length, 1) : null;
    return { ...this.news(run), unseen, expected, ...(ids ? { sample: tokenizer.decode(ids) } : {}) };
  }

  /** Where the run stands, for a page that has just stopped it. */
  latest() {
    return this.news(this.demand(this.run, 'a run'));
  }

  /** The run's weights as a file. */
  save() {
    const { floor, unseen } = this;
    return this.demand(this.run, 'a run').save({ loss: unseen, floor });
  }

  /**
   * The run's model for a playground, with texts to begin from.
   * @param {string} name
   */
  pack(name) {
    const run = this.demand(this.run, 'a run');
    const prompts = run.text.sentences.map((text) => text.split(/(?<=\s)/).slice(0, 3).join('').trim());
    return { ...run.pack(name), prompts, steps: run.steps };
  }

  /**
   * A run that begins with the weights of a file.
   * @param {Settings} settings
   * @param {Uint8Array} bytes
   */
  open(settings, bytes) {
    const text = this.demand(this.text, 'a text');
    const tokens = infoOf(bytes)?.tokenizer.tokens;
    if (tokens && String(tokens) !== String(text.tokenizer.tokens)) {
      throw new RangeError('this model reads other tokens than the text has: choose the text that it was trained on');
    }
    const run = new Run(settings, text, this.given);
    run.open(bytes);
    Object.assign(this, { run, losses: [], recent: [], unseen: null, goal: settings.steps });
  }

  /**
   * @template T
   * @param {T | null} thing
   * @param {string} name
   */
  demand(thing, name) {
    if (thing === null) throw new TypeError(`there is no ${name.replace(/^a /, '')} yet`);
    return thing;
  }
}
