// The behaviour of a playground: model, prompt, settings, and writing, of one text or of two that are compared. Only one
// task runs at a time.
import { loadInSteps, loadModel, roundingNote } from '../core/models.js';
import { loadTrained } from '../core/trained_model.js';
import { inSlices, pause } from '../core/slices.js';
import { SMOLLM2 } from '../core/smollm2.js';
import { formatLog, plural } from '../kit/kit.js';
import { deskHere, SHORT } from './desk.js';
import {
  completedStop,
  cutPrompt,
  isOffered,
  MAX_PROMPT,
  MAX_WRITTEN,
  plainSettings,
  SIDES,
  stopStrings,
} from './settings.js';
import { Writing } from './text.js';

/** @import { Header, Model } from '../core/models.js' */
/** @import { PackedTrained } from '../core/trained_model.js' */
/** @import { Controls } from './controls.js' */
/** @import { AskedDesk, Look, LookQuestion, SideNumber, Wanted } from './desk.js' */
/** @import { Playing } from './link.js' */
/** @import { FilterKey, Settings } from './settings.js' */
/** @import { Listed } from './text.js' */

/** @typedef {{ name: string, prompts: string[], note: string }} About */
/** @typedef {{ headers: (Header | PackedTrained)[], judges: Header[], weights: DataView, about: About[] }} Carried what came from Python */
/** @typedef {Omit<Look, 'table'> & LookQuestion & { table: Look['table'] | null, shares: number[] }} Seen with the
 *   probability of each written token; without a table if the other side's is shown */
/** @typedef {{ at: number, all: Listed[], texts: string[] }} Listing what a search found, and where it began */
/**
 * One of two texts with its settings.
 * @typedef {object} Side
 * @property {Settings} settings
 * @property {Writing | null} writing null while the prompt can't be read
 * @property {Seen | null} seen as it was drawn last
 * @property {Listing | null} listing
 */
/** @typedef {'idle' | 'loading' | 'running' | 'stopped' | 'done' | 'failed'} PlayerState */
/** @typedef {{ prompt?: string, ids?: number[], other?: { ids: number[] } | null }} Start `ids` continue the prompt */

export const OWN = 'Your own text';
const REAL = SMOLLM2.name;
const FULL =
  `${MAX_WRITTEN} tokens are written, which is as far as a playground goes. Undo, start again, or write from an earlier token.`;
// Milliseconds between two tokens of Play.
const PACE = { words: 130, word: 130, char: 40, byte: 25, bpe: 90, pretrained: 0 };
/** @type {About} */
const ABOUT_REAL = {
  name: REAL,
  prompts: ['The capital of France is', 'Once upon a time', 'The three primary colours are'],
  note: 'A transformer of 134,515,008 weights that has read two trillion tokens of the web.',
};

/** @param {Partial<Settings>} [settings] @returns {Side} */
const newSide = (settings) => ({
  settings: { ...plainSettings(), ...settings },
  writing: null,
  seen: null,
  listing: null,
});

export class Player {
  /**
   * @param {Carried} carried
   * @param {Partial<Playing>} kept what was stored when the reader left the page
   * @param {Controls} view
   * @param {() => void} keep is called after each change
   */
  constructor({ headers, judges, weights, about }, kept, view, keep) {
    this.headers = headers;
    this.judges = judges;
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
    /** @type {Map<string, number[][]>} by name, what a link wrote on each side with a model that isn't loaded yet */
    this.links = new Map();
    this.sides = [newSide(kept.settings), newSide(kept.other?.settings)];
    this.isPaired = Boolean(kept.other);
    /** @type {SideNumber} whose distribution and settings are shown */
    this.active = 0;
    this.acts = 0; // that have written something
    this.current = this.names.find((name) => name === kept.model) ?? this.names[0];
    /** @type {Wanted} */
    this.wanted = { from: 0, count: SHORT, find: '' };
    /** @type {AbortController | null} of what is running: play, search or loading */
    this.busy = null;
    /** @type {PlayerState} of the last task */
    this.ended = 'idle';
    /** @type {{ stop: AbortController, done: Promise<void> } | null} what is to be drawn next */
    this.looking = null;
    this.isStale = false; // whether it must be asked for again
    /** @type {object | null} what the reader has chosen, while it isn't written yet */
    this.taking = null;
    /** @type {Set<string>} the models that are being loaded */
    this.loading = new Set();
  }

  get prompt() {
    return this.prompts.get(this.current) ?? '';
  }

  get desk() {
    return this.desks.get(this.current);
  }

  get side() {
    return this.sides[this.active];
  }

  /** @returns {SideNumber[]} the sides in sight */
  get shown() {
    return this.isPaired ? [0, 1] : [0];
  }

  /** What the view draws. */
  get state() {
    const { sides, active, isPaired, prompt, desk, side: { settings, seen, listing } } = this;
    const texts = this.shown.map((n) => sides[n]);
    const common = { texts, active, isPaired, prompt, isBusy: this.busy !== null };
    return { ...common, settings, seen, listing, vocabSize: desk?.about.vocabSize ?? 100 };
  }

  /**
   * What is stored and put into a link.
   * @returns {Playing}
   */
  get playing() {
    const [own, other] = this.sides.map(({ settings, writing }, n) => {
      const ids = writing ? writing.tokens.map(({ id }) => id) : this.links.get(this.current)?.[n] ?? [];
      return { settings, ids };
    });
    return { model: this.current, prompt: this.prompt, ...own, other: this.isPaired ? other : null };
  }

  // ---- Which model, which prompt ---------------------------------------------------------------------------------

  /**
   * @param {string} name
   * @param {Start} [start]
   */
  async useModel(name, { prompt = this.prompts.get(name) ?? '', ids, other } = {}) {
    const [own = [], others = []] = this.links.get(name) ?? [];
    this.stop();
    this.current = name;
    this.forgetTexts();
    this.ended = 'idle';
    this.wanted = { ...this.wanted, from: 0, find: '' };
    this.showModel();
    if (this.names.includes(name) && !this.desks.has(name)) await this.load(name);
    if (this.current !== name) return; // the reader has chosen another
    this.showModel();
    await this.setPrompt(prompt, [ids ?? own, other?.ids ?? others]);
  }

  forgetTexts() {
    for (const side of this.sides) Object.assign(side, { writing: null, seen: null, listing: null });
  }

  /**
   * Everything as a link has it.
   * @param {string} name of the model
   * @param {Playing} link
   */
  async follow(name, link) {
    this.sides = [newSide(link.settings), newSide(link.other?.settings)];
    [this.isPaired, this.active] = [link.other !== null, 0];
    await this.useModel(name, link);
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
      this.desks.set(name, deskHere(net, this.judgeOf(net)));
    });
    this.loading.delete(name);
  }

  /**
   * The exact language of a model's words, if the page has it.
   * @param {Model | ReturnType<typeof loadTrained>} net
   */
  judgeOf(net) {
    if (net.kind === 'automaton') return net.automaton;
    const words = net.tokenizer.tokens.join(' ');
    for (const header of net.tokenizer.kind === 'words' ? this.judges : []) {
      const judge = loadModel(header, this.weights);
      if (judge.kind === 'automaton' && judge.tokenizer.tokens.join(' ') === words) return judge.automaton;
    }
    return null;
  }

  /**
   * A new prompt; `ids` continue it on each side as far as they are in the vocabulary.
   * @param {string} words
   * @param {number[][]} [ids]
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
      this.view.say(cut + said, this.side.writing === null);
    });
  }

  /**
   * Starts a text with `prompt`, if the model can read it; returns the note about it.
   * @param {string} prompt
   * @param {number[][]} ids
   * @param {AbortSignal} signal
   */
  async startWriting(prompt, ids, signal) {
    const { desk, current } = this;
    this.forgetTexts();
    if (!desk) {
      this.links.set(current, ids);
      return current === OWN ? 'Count a text first.' : current === REAL ? 'Load it first.' : 'Not loaded.';
    }
    this.links.delete(current);
    const read = await desk.ask('read', [prompt], { signal });
    signal.throwIfAborted();
    if (read.problem) return read.problem;
    for (const n of this.shown) {
      const writing = new Writing(read.ids);
      const added = (ids[n] ?? []).filter((id) => id < desk.about.vocabSize);
      if (added.length) {
        const shares = await desk.ask('probabilities', [read.ids, added, n], { signal });
        writing.write(added.map((id, i) => ({ id, p: shares[i] })), ++this.acts);
      }
      signal.throwIfAborted();
      this.sides[n].writing = writing;
    }
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
      const seen = [];
      for (const n of this.shown) seen.push(await this.ask(n, signal));
      signal.throwIfAborted();
      seen.forEach((one, n) => (this.sides[n].seen = one));
      this.view.draw(this.state);
    } while (this.isStale);
  }

  /**
   * @param {SideNumber} side
   * @param {AbortSignal} signal
   * @returns {Promise<Seen | null>}
   */
  async ask(side, signal) {
    const { desk, wanted } = this;
    const { writing, settings } = this.sides[side];
    if (!writing || !desk) return null;
    const { promptIds, cursor, tokens } = writing;
    const ids = tokens.map(({ id }) => id);
    const question = { promptIds, ids, cursor, settings, wanted, side };
    const shares = tokens.map(({ p }) => p);
    if (side !== this.active) {
      return { ...question, ...await desk.ask('spelled', [promptIds, ids], { signal }), table: null, rate: 0, shares };
    }
    const onProgress = (/** @type {number} */ share) => this.view.progress(share);
    return { ...question, ...await desk.ask('look', [question], { signal, onProgress }), shares };
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
    this.view.drawState(state, this.current, this.side.seen?.rate ?? 0);
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
   * One setting of the side in sight, or all of `others` but the seed.
   * @template {keyof Settings} K
   * @param {K} key
   * @param {Settings[K]} value
   * @param {Settings} [others]
   */
  turn(key, value, others = this.side.settings) {
    if (key === 'strategy') this.stop();
    this.side.settings = { ...others, seed: this.side.settings.seed, [key]: value };
    this.settingsChanged();
  }

  settingsChanged() {
    this.view.drawButtons(this.state);
    this.view.drawDials(this.state);
    this.look();
    this.keep();
  }

  rest() {
    this.turn('strategy', this.side.settings.strategy, plainSettings());
  }

  /**
   * Changes places with a neighbour.
   * @param {FilterKey} key
   * @param {-1 | 1} by
   */
  move(key, by) {
    const order = [...this.side.settings.order];
    const shown = order.filter((one) => isOffered(one, this.side.settings.strategy));
    const other = shown[shown.indexOf(key) + by];
    if (other === undefined) return;
    const [from, to] = [order.indexOf(key), order.indexOf(other)];
    order.splice(to, 0, ...order.splice(from, 1));
    this.turn('order', order);
  }

  /** Both sides draw with the same numbers. */
  dice() {
    const seed = (this.side.settings.seed % 9999) + 1;
    for (const side of this.sides) side.settings = { ...side.settings, seed };
    this.settingsChanged();
  }

  // ---- Two sides ---------------------------------------------------------------------------------------------------

  /** Begins a comparison with two texts that are the same so far, or keeps the side in sight alone. */
  pair() {
    this.stop();
    if (this.isPaired) this.sides.unshift(...this.sides.splice(this.active, 1));
    else {
      const { settings, writing } = this.sides[0];
      this.sides[1] = { settings: { ...settings }, writing: writing?.copy() ?? null, seen: null, listing: null };
    }
    this.isPaired = !this.isPaired;
    this.show(this.isPaired ? 1 : 0);
    this.keep();
  }

  /** @param {SideNumber} side whose distribution and settings are shown from now on */
  show(side) {
    this.active = side;
    this.wanted = { ...this.wanted, from: 0 };
    this.view.drawButtons(this.state);
    this.view.drawDials(this.state);
    this.look();
  }

  /** @param {Partial<Wanted>} wanted other lines of the distribution */
  want(wanted) {
    this.wanted = { ...this.wanted, ...wanted };
    this.look();
  }

  /**
   * @param {SideNumber} side
   * @param {number} place
   */
  lookAt(side, place) {
    this.stop();
    const { writing } = this.sides[side];
    if (!writing) return;
    const isSame = side === this.active && place === writing.cursor;
    writing.cursor = isSame ? writing.tokens.length : place;
    if (side === this.active) this.look();
    else this.show(side);
  }

  /**
   * Undo, start again: changes of the texts that need no model.
   * @param {(writing: Writing, act: number) => void} act
   */
  change(act) {
    this.stop();
    const writings = this.shown.flatMap((n) => this.sides[n].writing ?? []);
    if (!writings.length) return;
    this.view.say('');
    const last = Math.max(...writings.map(({ lastAct }) => lastAct));
    for (const writing of writings) act(writing, last);
    for (const n of this.shown) this.sides[n].listing = null;
    this.look();
    this.keep();
  }

  undo() {
    if (this.taking) return this.stop(); // that is the last act
    this.change((writing, last) => writing.lastAct === last && writing.undo());
  }

  again() {
    const act = ++this.acts;
    this.change((writing) => {
      writing.cursor = 0;
      writing.write([], act);
    });
  }

  /** @param {number} id */
  async take(id) {
    await this.takeAll([id]);
  }

  /** @param {number} place in the list of what a search found */
  async takeListed(place) {
    const { writing, listing } = this.side;
    if (!writing || !listing) return;
    writing.cursor = listing.at;
    await this.takeAll(listing.all[place].ids, listing);
  }

  /**
   * Writes at the cursor what the reader has chosen.
   * @param {number[]} added
   * @param {Listing | null} listing that stays in sight
   */
  async takeAll(added, listing = null) {
    this.stop();
    const { desk, side, active } = this;
    const { writing } = side;
    if (!writing || !desk) return;
    if (writing.room < added.length) return this.view.say(FULL, true);
    this.view.say('');
    const mine = this.taking = {};
    await this.look(async (signal) => {
      const shares = await desk.ask('probabilities', [writing.ids(), added, active], { signal });
      if (this.taking !== mine) return; // another act came first, and the probabilities are of another text
      this.taking = null;
      writing.write(added.map((id, i) => ({ id, p: shares[i] })), ++this.acts);
      side.listing = listing;
    });
    this.keep();
  }

  // ---- What runs for a while -------------------------------------------------------------------------------------

  /**
   * One more token on each of `sides`. Returns those that may go on: there was room, and no stop string was completed.
   * @param {SideNumber[]} sides
   * @param {number} act
   * @param {AbortSignal} signal
   * @returns {Promise<SideNumber[]>}
   */
  async writeOne(sides, act, signal) {
    const desk = /** @type {AskedDesk} */ (this.desk);
    const onProgress = (/** @type {number} */ share) => this.view.progress(share);
    /** @type {SideNumber[]} */
    const written = [];
    for (const n of sides) {
      const { writing, settings } = this.sides[n];
      if (!writing || writing.room < 1) continue;
      const text = { ids: writing.ids(), promptLength: writing.promptIds.length };
      const token = await desk.ask('choose', [text, settings, n], { signal, onProgress });
      signal.throwIfAborted();
      writing.write([token], act);
      this.sides[n].listing = null;
      written.push(n);
    }
    if (!written.length) {
      this.view.say(FULL, true);
      return [];
    }
    this.view.say('');
    await this.look();
    return written.filter((n) => !this.hasStopped(n));
  }

  /** @param {SideNumber} n */
  hasStopped(n) {
    const { settings, seen } = this.sides[n];
    const stop = completedStop(seen?.tokens.map(({ text }) => text) ?? [], stopStrings(settings.stop));
    if (stop === null) return false;
    const which = this.isPaired ? `${SIDES[n]}: ` : '';
    this.view.say(`${which}“${stop.replaceAll('\n', '↵')}” is written, so the text ends before it.`);
    return true;
  }

  async step() {
    if (!this.side.writing || !this.desk || this.busy && this.isStepping) return;
    const act = ++this.acts;
    const isSearch = (/** @type {SideNumber} */ n) => this.sides[n].settings.strategy === 'beam';
    const stepping = this.run(async (signal) => {
      const drawing = this.shown.filter((n) => !isSearch(n));
      if (drawing.length) await this.writeOne(drawing, act, signal);
      for (const n of this.shown.filter(isSearch)) await this.search(n, act, signal);
    });
    this.isStepping = !this.shown.some(isSearch);
    await stepping;
    this.keep();
  }

  /** Writes until it is stopped; a second call stops it. */
  play() {
    const { desk } = this;
    if (this.busy) {
      this.stop();
      this.ended = 'stopped';
      this.showState();
      this.view.say('Stopped.');
    } else if (this.side.writing && desk) {
      const act = ++this.acts;
      this.run(async (signal) => {
        let sides = this.shown;
        for (;;) {
          sides = await this.writeOne(sides, act, signal);
          if (!sides.length) return;
          await pause(PACE[desk.about.tokenizer.kind]);
          signal.throwIfAborted();
        }
      });
    }
  }

  /**
   * Searches for the likeliest continuations, and compares the best with greedy decoding.
   * @param {SideNumber} side
   * @param {number} act
   * @param {AbortSignal} signal
   */
  async search(side, act, signal) {
    const { writing, settings: { beams, length } } = this.sides[side];
    const desk = /** @type {AskedDesk} */ (this.desk);
    if (!writing) return;
    if (writing.room < length) return this.view.say(FULL, true);
    /** @param {number} done */
    const onProgress = (done) => {
      this.view.say(`Beam search: ${done} of ${plural(length, 'token')}`);
      this.view.progress(done / length);
    };
    const { cursor: at, promptIds } = writing;
    const asked = [writing.ids(), beams, length, side];
    const { written, all, greedy } = await desk.ask('search', /** @type {any} */ (asked), { onProgress, signal });
    const texts = [];
    for (const { ids } of all) texts.push((await desk.ask('spelled', [promptIds, ids], { signal })).tokens);
    writing.write(written, act);
    this.sides[side].listing = { at, all, texts: texts.map((tokens) => tokens.map(({ text }) => text).join('')) };
    await this.look();
    const [best, plainly] = [all[0].logProb, greedy].map((x) => formatLog(x, 2));
    const told = `${plural(beams, 'beam')}, ${plural(written.length, 'token')}`;
    this.view.say(`${told}: log P = ${best}. Greedy comes to ${plainly}.`);
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
    this.busy = this.taking = null;
    this.isStepping = false;
    this.view.drawButtons(this.state);
  }
}
