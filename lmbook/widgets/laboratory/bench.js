// The page's side of a run: it sends work to the worker, remembers what comes back, and says in which state it is.
import { Curve } from '../core/curve.js';
import { openWorker } from '../kit/worker.js';

/** @import { Settings } from '../core/laboratory_settings.js' */
/** @import { Level } from '../core/training_text.js' */
/** @import { Described, Update } from '../core/training_session.js' */
/** @import { WorkerClient } from '../kit/worker.js' */
/** @import { Packed } from '../kit/handover.js' */
/** @import { Drawing } from './chart.js' */
/** @import { Looked } from './panels.js' */

/** @typedef {'idle' | 'loading' | 'running' | 'stopped' | 'done' | 'failed'} State */

const MAX_KEPT = 4; // runs beside the present one

export class Bench {
  /** @type {State} */
  state = 'idle';
  problem = '';
  /** @type {WorkerClient | null} */
  worker = null;
  /** @type {AbortController | null} of the work that goes on */
  working = null;
  /** @type {string | null} which text the worker has */
  taken = null;
  /** @type {Described | null} */
  described = null;
  /** @type {Settings | null} of the present run, once it has begun */
  settings = null;
  isLost = false; // whether the present run ended in an error, and can't go on
  /** @type {Drawing | null} */
  run = null;
  /** @type {Drawing[]} */
  kept = [];
  /** @type {Looked | null} */
  looked = null;
  /** @type {{ step: number, text: string } | null} */
  sample = null;
  /** @type {Partial<Update>} the newest numbers */
  newest = {};
  goal = 0;

  /**
   * @param {() => void} onchange
   * @param {(settings: Settings) => string} nameOf
   */
  constructor(onchange, nameOf) {
    this.onchange = onchange;
    this.nameOf = nameOf;
  }

  get canGoOn() {
    return this.settings !== null && !this.isLost && !this.isBusy;
  }

  get isFull() {
    return this.kept.length >= MAX_KEPT;
  }

  get isBusy() {
    return this.working !== null;
  }

  /** @returns {Level[]} */
  get levels() {
    return this.described?.levels ?? [];
  }

  get floor() {
    return this.described?.floor ?? null;
  }

  /** @param {State} state */
  enter(state, problem = '') {
    this.state = state;
    this.problem = problem;
    this.onchange();
  }

  /**
   * Work that Stop ends and that ends in a state; whatever goes wrong is said.
   * @param {(worker: WorkerClient, signal: AbortSignal) => Promise<State>} work
   */
  async act(work) {
    if (this.working) return;
    const working = this.working = new AbortController();
    let [state, problem] = [/** @type {State} */ ('failed'), ''];
    try {
      this.worker ??= await openWorker('laboratory');
      state = await work(this.worker, working.signal);
    } catch (error) {
      if (working.signal.aborted) state = this.settings ? 'stopped' : 'idle';
      else problem = error instanceof Error ? error.message : String(error);
    }
    if (state === 'stopped') await this.catchUp();
    if (this.worker?.closed) this.forget();
    this.working = null;
    this.enter(state, problem);
  }

  /** A stopped worker has taken a step or two that nobody has heard of. */
  async catchUp() {
    try {
      this.hear(await this.worker?.call('news'));
    } catch {
      this.settings = null; // the run never began
    }
  }

  /** The worker is gone, and with it the text and the run. */
  forget() {
    this.worker = this.taken = this.settings = null;
  }

  /**
   * A run from its first weights to its end; `source()` is what it reads, `key` says whether it is still the same.
   * @param {Settings} settings
   * @param {string} key
   * @param {() => object} source
   */
  train(settings, key, source) {
    return this.act(async (worker, signal) => {
      await this.take(worker, key, source, signal);
      await worker.call('begin', settings); // of a moment; Stop waits for it
      await this.start(worker, settings);
      return this.follow(worker, {}, signal);
    });
  }

  /**
   * The same, but from the weights of a file, and stopped there. Returns the settings that the file names, or `settings`
   * if it can't be opened.
   * @param {Uint8Array} bytes
   * @param {Settings} settings
   * @param {string} key
   * @param {() => object} source
   */
  async open(bytes, settings, key, source) {
    let found = settings;
    await this.act(async (worker, signal) => {
      await this.take(worker, key, source, signal);
      const info = await worker.call('info', bytes, { signal });
      const named = { ...settings, ...info?.settings };
      named.parts = { ...settings.parts, ...info?.settings?.parts };
      await worker.call('open', { settings: named, bytes });
      found = named;
      await this.start(worker, found);
      return this.follow(worker, { count: 0 }, signal);
    });
    return found;
  }

  /** @param {number} [count] steps; all that are left without it */
  goOn(count) {
    return this.act((worker, signal) => this.follow(worker, { count }, signal));
  }

  /**
   * @param {WorkerClient} worker
   * @param {string} key
   * @param {() => object} source
   * @param {AbortSignal} signal
   */
  async take(worker, key, source, signal) {
    this.enter('loading');
    if (this.taken === key) return;
    this.taken = null;
    const described = await worker.call('take', source(), { signal }); // until then the run before can go on
    Object.assign(this, { described, taken: key, settings: null, run: null, kept: [] });
  }

  /**
   * @param {WorkerClient} worker
   * @param {Settings} settings
   */
  async start(worker, settings) {
    [this.settings, this.isLost] = [settings, false];
    this.goal = settings.steps;
    this.run = { name: this.nameOf(settings), seen: new Curve(), unseen: new Curve(), steps: 0 };
    this.newest = {};
    this.sample = null;
    this.looked = await worker.call('look', this.described?.sentences[0]);
  }

  /** @param {string} sentence */
  async look(sentence) {
    if (!this.worker || !this.described || this.working) return;
    this.looked = await this.worker.call('look', sentence);
    this.onchange();
  }

  /**
   * @param {WorkerClient} worker
   * @param {{ count?: number }} steps
   * @param {AbortSignal} signal
   */
  async follow(worker, steps, signal) {
    if (steps.count === undefined && (this.newest.steps ?? 0) >= this.goal) this.goal += this.settings?.steps ?? 0;
    this.enter('running');
    const onProgress = (/** @type {Update} */ update) => {
      this.hear(update);
      this.onchange();
    };
    try {
      return /** @type {State} */ (await worker.call('train', steps, { signal, onProgress }));
    } catch (error) {
      this.isLost = !signal.aborted;
      throw error;
    }
  }

  /** @param {Update} update */
  hear(update) {
    if (!this.run) return;
    const { steps, losses, unseen, expected, sample } = update;
    for (const [step, loss] of losses) this.run.seen.add(step, loss);
    if (unseen !== undefined) this.run.unseen.add(steps, unseen);
    this.run.steps = steps;
    this.newest = { ...this.newest, ...update };
    if (expected && this.looked) this.looked = { ...this.looked, expected };
    if (sample) this.sample = { step: steps, text: sample };
  }

  /** Whoever works is told; a step that has begun is still taken. */
  stop() {
    this.working?.abort();
    this.onchange();
  }

  get isStopping() {
    return Boolean(this.working?.signal.aborted);
  }

  /** The present run stays in the picture while others come, as long as there is room. */
  keep() {
    if (!this.run || this.kept.includes(this.run) || this.isFull) return;
    this.kept = [...this.kept, this.run];
    this.onchange();
  }

  /** @param {Drawing} run */
  drop(run) {
    this.kept = this.kept.filter((one) => one !== run);
    this.onchange();
  }

  /** @returns {Promise<Uint8Array<ArrayBuffer>>} the run's weights as a file */
  save() {
    if (!this.worker) throw new TypeError('there is no run to save');
    return this.worker.call('save');
  }

  /**
   * @param {string} name
   * @returns {Promise<Packed>} the run's model for a playground
   */
  pack(name) {
    if (!this.worker) throw new TypeError('there is no run to take along');
    return this.worker.call('pack', name);
  }

  close() {
    this.working?.abort();
    this.worker?.close();
  }
}
