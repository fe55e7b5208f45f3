// The behaviour of a playground: model, prompt, settings, and writing. Only one task runs at a time.
import { loadInSteps, roundingNote } from '../core/models.js';
import { loadTrained } from '../core/trained_model.js';
import { inSlices, pause } from '../core/slices.js';
import { SMOLLM2 } from '../core/smollm2.js';
import { plural } from '../kit/kit.js';
import { deskHere, SHORT } from './desk.js';
import { cutPrompt, MAX_PROMPT, MAX_WRITTEN, plainSettings, unitOf } from './settings.js';
import { Writing } from './text.js';

/** @import { Header, Model } from '../core/models.js' */
/** @import { PackedTrained } from '../core/trained_model.js' */
/** @import { Controls } from './controls.js' */
/** @import { AskedDesk, Look, LookQuestion, Wanted } from './desk.js' */
/** @import { Playing, Settings } from './settings.js' */

/** @typedef {{ name: string, prompts: string[], note: string }} About */
/** @typedef {{ headers: (Header | PackedTrained)[], weights: DataView, about: About[] }} Carried what came from Python */
/** @typedef {Look & LookQuestion & { shares: number[] }} Seen with the probability of each written token */
/** @typedef {'idle' | 'loading' | 'running' | 'stopped' | 'done' | 'failed'} PlayerState */

export const OWN = 'Your own text';
const REAL = SMOLLM2.name;
// Milliseconds between two tokens of Play.
const PACE = { words: 130, word: 130, char: 40, byte: 25, bpe: 90, pretrained: 0 };
/** @type {About} */
const ABOUT_REAL = {
  name: REAL,
  prompts: ['The capital of France is', 'Once upon a time', 'The three primary colours are'],
  note: 'A transformer of 134,515,008 weights that has read two trillion tokens of the web.',
};

export class Player {
  /**
   * @param {Carried} carried
   * @param {Partial<Playing>} kept what was stored when the reader left the page
   * @param {Controls} view
   * @param {() => void} keep is called after each change
   */
  constructor({ headers, weights, about }, kept, view, keep) {
    this.headers = headers;
    this.weights = weights;
    const abouts = [...about, ABOUT_REAL];
    this.about = new Map(abouts.map((entry) => [entry.name, entry]));
    this.names = headers.map(({ name }) => name);
    this.view = view;
    this.keep = keep;
    /** @type {Map<string, AskedDesk>} by name, once the model is loaded */
    this.desks = new Map();
    this.prompts = new Map([
      [OWN, ''],
      ...abouts.map(({ name, prompts }) => /** @type {const} */ ([name, prompts[0]])),
    ]);
    /** @type {Map<string, number[]>} by name, what a link wrote with a model that isn't loaded yet */
    this.links = new Map();
    /** @type {Settings} */
    this.settings = { ...plainSettings(), ...kept.settings };
    this.current = this.names.find((name) => name === kept.model) ?? this.names[0];
    /** @type {Writing | null} null while the prompt can't be read */
    this.writing = null;
    /** @type {Seen | null} as it was drawn last */
    this.seen = null;
    /** @type {Wanted} */
    this.wanted = { from: 0, count: SHORT, find: '' };
    /** @type {AbortController | null} of what is running: play, search or loading */
    this.busy = null;
    /** @type {PlayerState} of the last task */
    this.ended = 'idle';
    /** @type {{ stop: AbortController, done: Promise<void> } | null} what is to be drawn next */
    this.looking = null;
    this.isStale = false; // whether it must be asked for again
    /** @type {Set<string>} the models that are being loaded */
    this.loading = new Set();
  }

  get prompt() {
    return this.prompts.get(this.current) ?? '';
  }

  get desk() {
    return this.desks.get(this.current);
  }

  /** What the view draws. */
  get state() {
    const { writing, settings, prompt, seen, desk } = this;
    const isBusy = this.busy !== null;
    return { writing, settings, prompt, isBusy, seen, vocabSize: desk?.about.vocabSize ?? 100 };
  }

  /**
   * What is stored and put into a link.
   * @returns {Playing}
   */
  get playing() {
    const ids = this.writing ? this.writing.tokens.map(({ id }) => id) : this.links.get(this.current) ?? [];
    return { model: this.current, prompt: this.prompt, ids, settings: this.settings };
  }

  // ---- Which model, which prompt ---------------------------------------------------------------------------------

  /**
   * @param {string} name
   * @param {{ prompt?: string, ids?: number[] }} [start] `ids` continue the prompt
   */
  async useModel(name, { prompt = this.prompts.get(name) ?? '', ids = this.links.get(name) ?? [] } = {}) {
    this.stop();
    this.current = name;
    this.writing = null;
    this.ended = 'idle';
    this.wanted = { ...this.wanted, from: 0, find: '' };
    this.showModel();
    if (this.names.includes(name) && !this.desks.has(name)) await this.load(name);
    if (this.current !== name) return; // the reader has chosen another
    this.showModel();
    await this.setPrompt(prompt, ids);
  }

  /**
   * A model that the reader has made or loaded.
   * @param {string} name
   * @param {AskedDesk} desk
   * @returns {Promise<void>}
   */
  async useLoaded(name, desk) {
    this.desks.set(name, desk);
    if (this.current === name) await this.useModel(name);
  }

  showModel() {
    const { note = '', prompts = [] } = this.about.get(this.current) ?? {};
    const rounding = this.desk?.about.rounding;
    const words = [note, rounding ? roundingNote(rounding) : ''].filter(Boolean).join(' ');
    this.view.drawModel(this.current, words, prompts);
    this.showState();
  }

  /** @param {string} name */
  async load(name) {
    const header = this.headers[this.names.indexOf(name)];
    this.view.say('Loading …');
    this.loading.add(name);
    await this.run(async (signal) => {
      /** @param {number} share */
      const onProgress = (share) => {
        this.view.say('Counting its text …');
        this.view.progress(share);
      };
      const net = header.kind === 'trained'
        ? loadTrained(header, this.weights)
        : await inSlices(loadInSteps(header, this.weights), { onProgress, signal });
      this.desks.set(name, deskHere(net));
    });
    this.loading.delete(name);
  }

  /**
   * A new prompt; `ids` continue it as far as they are in the vocabulary and fit the context.
   * @param {string} words
   * @param {number[]} [ids]
   */
  async setPrompt(words, ids = []) {
    this.stop();
    this.ended = 'idle';
    const prompt = cutPrompt(words);
    this.prompts.set(this.current, prompt);
    this.view.drawPrompt(prompt);
    const [all, taken] = [words.length, MAX_PROMPT].map((n) => n.toLocaleString('en'));
    const cut = words.length > MAX_PROMPT ? `Of ${all} characters the first ${taken} were taken. ` : '';
    await this.look(async (signal) => {
      const said = await this.startWriting(prompt, ids, signal);
      signal.throwIfAborted();
      this.view.say(cut + said, this.writing === null);
    });
  }

  /**
   * Starts a text with `prompt`, if the model can read it; returns the note about it.
   * @param {string} prompt
   * @param {number[]} ids
   * @param {AbortSignal} signal
   */
  async startWriting(prompt, ids, signal) {
    const { desk, current } = this;
    this.writing = null;
    if (!desk) {
      this.links.set(current, ids);
      return current === OWN ? 'Count a text first.' : current === REAL ? 'Load it first.' : 'Not loaded.';
    }
    this.links.delete(current);
    const read = await desk.ask('read', [prompt], { signal });
    signal.throwIfAborted();
    if (read.problem) return read.problem;
    const writing = new Writing(read.ids, desk.about.contextLength);
    const added = ids.filter((id) => id < desk.about.vocabSize).slice(0, writing.room);
    if (added.length) {
      const shares = await desk.ask('probabilities', [read.ids, added], { signal });
      writing.write(added.map((id, i) => ({ id, p: shares[i] })));
    }
    signal.throwIfAborted();
    this.writing = writing;
    return read.note;
  }

  // ---- What the reader sees --------------------------------------------------------------------------------------

  /**
   * Draws what is there now. With `start` another text begins: whatever was on its way is given up. Otherwise that is
   * drawn first, and then what is there by then.
   * @param {((signal: AbortSignal) => Promise<void>) | null} [start]
   * @returns {Promise<void>}
   */
  look(start = null) {
    if (!start && this.looking) {
      this.isStale = true;
      return this.looking.done;
    }
    this.looking?.stop.abort();
    const mine = this.looking = { stop: new AbortController(), done: Promise.resolve() };
    this.showState();
    return mine.done = this.drawSoon(mine.stop.signal, start).catch((error) => this.fail(error)).then(() => {
      if (this.looking === mine) this.looking = null;
      this.showState();
    });
  }

  /**
   * @param {AbortSignal} signal
   * @param {((signal: AbortSignal) => Promise<void>) | null} start
   */
  async drawSoon(signal, start) {
    await start?.(signal);
    do {
      signal.throwIfAborted();
      this.isStale = false;
      this.seen = await this.ask(signal);
      signal.throwIfAborted();
      this.view.draw(this.state);
    } while (this.isStale);
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<Seen | null>}
   */
  async ask(signal) {
    const { writing, desk, settings, wanted } = this;
    if (!writing || !desk) return null;
    const { promptIds, cursor, tokens } = writing;
    const question = { promptIds, ids: tokens.map(({ id }) => id), cursor, settings, wanted };
    const onProgress = (/** @type {number} */ share) => this.view.progress(share);
    const look = await desk.ask('look', [question], { signal, onProgress });
    return { ...question, ...look, shares: tokens.map(({ p }) => p) };
  }

  /** @param {unknown} error */
  fail(error) {
    if (!(error instanceof Error)) throw error;
    if (error.name === 'AbortError') return;
    this.ended = 'failed';
    this.view.say(error.message, true);
  }

  showState() {
    const isRunning = this.busy !== null || this.looking !== null;
    const state = this.loading.has(this.current) ? 'loading' : isRunning ? 'running' : this.ended;
    this.view.drawState(state, this.current, this.seen?.rate ?? 0);
  }

  /**
   * SmolLM2 is being loaded, or that has ended.
   * @param {PlayerState} state
   */
  showLoading(state) {
    this.loading[state === 'loading' ? 'add' : 'delete'](REAL);
    if (this.current === REAL) this.ended = state === 'done' ? 'idle' : state;
    this.showState();
  }

  // ---- What the reader does to a text ----------------------------------------------------------------------------

  /**
   * One setting, or all of `others` but the seed.
   * @template {keyof Settings} K
   * @param {K} key
   * @param {Settings[K]} value
   * @param {Settings} [others]
   */
  turn(key, value, others = this.settings) {
    if (key === 'strategy') this.stop();
    this.settings = { ...others, seed: this.settings.seed, [key]: value };
    this.view.drawButtons(this.state);
    this.view.drawDials(this.state);
    this.look();
    this.keep();
  }

  rest() {
    this.turn('strategy', this.settings.strategy, plainSettings());
  }

  dice() {
    this.turn('seed', (this.settings.seed % 9999) + 1);
  }

  /** @param {Partial<Wanted>} wanted other lines of the distribution */
  want(wanted) {
    this.wanted = { ...this.wanted, ...wanted };
    this.look();
  }

  /** @param {number} place */
  lookAt(place) {
    this.stop();
    if (!this.writing) return;
    this.writing.cursor = place === this.writing.cursor ? this.writing.tokens.length : place;
    this.look();
  }

  /**
   * Undo, start again: changes of the text that need no model.
   * @param {(writing: Writing) => void} act
   */
  change(act) {
    this.stop();
    if (!this.writing) return;
    this.view.say('');
    act(this.writing);
    this.look();
    this.keep();
  }

  /** @param {number} id */
  async take(id) {
    this.stop();
    const { writing, desk } = this;
    if (!writing || !desk) return;
    if (writing.room < 1) return this.sayFull(writing);
    this.view.say('');
    await this.look(async (signal) => {
      const [p] = await desk.ask('probabilities', [writing.ids(), [id]], { signal });
      writing.write([{ id, p }]);
    });
    this.keep();
  }

  undo() {
    this.change((writing) => writing.undo());
  }

  again() {
    this.change((writing) => {
      writing.cursor = 0;
      writing.write([]);
    });
  }

  /** @param {Writing} writing */
  sayFull({ cursor, contextLength }) {
    const { about } = /** @type {AskedDesk} */ (this.desk);
    const limit = cursor >= MAX_WRITTEN
      ? `${MAX_WRITTEN} tokens are written, which is as far as a playground goes`
      : `The context is full: this model reads at most ${unitOf(about, contextLength)}`;
    this.view.say(`${limit}. Undo, start again, or shorten the prompt.`, true);
  }

  // ---- What runs for a while -------------------------------------------------------------------------------------

  /**
   * One more token. Returns whether there was room.
   * @param {Writing} writing
   * @param {AskedDesk} desk
   * @param {AbortSignal} signal
   */
  async writeOne(writing, desk, signal) {
    if (writing.room < 1) {
      this.sayFull(writing);
      return false;
    }
    const onProgress = (/** @type {number} */ share) => this.view.progress(share);
    const written = await desk.ask('choose', [writing.ids(), this.settings], { signal, onProgress });
    signal.throwIfAborted();
    writing.write([written]);
    this.view.say('');
    await this.look();
    return true;
  }

  async step() {
    const { writing, desk } = this;
    if (!writing || !desk || this.busy && this.isStepping) return;
    if (this.settings.strategy === 'beam') await this.run((signal) => this.search(writing, desk, signal));
    else {
      const stepping = this.run(async (signal) => void await this.writeOne(writing, desk, signal));
      this.isStepping = true;
      await stepping;
    }
    this.keep();
  }

  /** Writes until it is stopped; a second call stops it. */
  play() {
    const { writing, desk } = this;
    if (this.busy) {
      this.stop();
      this.ended = 'stopped';
      this.showState();
      this.view.say('Stopped.');
    } else if (writing && desk) {
      this.run(async (signal) => {
        while (await this.writeOne(writing, desk, signal)) {
          await pause(PACE[desk.about.tokenizer.kind]);
          signal.throwIfAborted();
        }
      });
    }
  }

  /**
   * Searches for the likeliest continuation, and compares it with greedy decoding.
   * @param {Writing} writing
   * @param {AskedDesk} desk
   * @param {AbortSignal} signal
   */
  async search(writing, desk, signal) {
    if (writing.room < 1) return this.sayFull(writing);
    const { beams } = this.settings;
    const length = Math.min(this.settings.length, writing.room);
    /** @param {number} done */
    const onProgress = (done) => {
      this.view.say(`Beam search: ${done} of ${plural(length, 'token')}`);
      this.view.progress(done / length);
    };
    const { written, logProb, greedy } = await desk.ask('search', [writing.ids(), beams, length], {
      onProgress,
      signal,
    });
    writing.write(written);
    await this.look();
    const [best, plainly] = [logProb, greedy].map((x) => `−${Math.abs(x).toFixed(2)}`);
    this.view.say(`${plural(beams, 'beam')}, ${plural(length, 'token')}: log P = ${best}. Greedy comes to ${plainly}.`);
  }

  /**
   * Runs `work` until it ends or is stopped, and shows errors.
   * @param {(signal: AbortSignal) => Promise<void>} work
   */
  async run(work) {
    this.stop();
    const mine = this.busy = new AbortController();
    this.ended = 'done';
    this.view.drawButtons(this.state);
    this.showState();
    try {
      await work(mine.signal);
    } catch (error) {
      this.fail(error);
    }
    if (this.busy === mine) this.busy = null;
    this.view.drawButtons(this.state);
    this.showState();
    this.keep();
  }

  stop() {
    this.busy?.abort();
    this.busy = null;
    this.isStepping = false;
    this.view.drawButtons(this.state);
  }
}
