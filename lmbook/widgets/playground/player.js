// The behaviour of a playground: its model, its prompt, its settings, and one text or two that are compared. shelf.js has the
// models, editor.js what a reader does to a text, runner.js what runs for a while, sight.js what is asked and drawn.
import { roundingNote } from '../core/models.js';
import { SMOLLM2 } from '../core/smollm2.js';
import { Editor } from './editor.js';
import { Runner } from './runner.js';
import { cutPrompt, isOffered, MAX_PROMPT, plainSettings } from './settings.js';
import { Shelf } from './shelf.js';
import { Sight } from './sight.js';
import { Writing } from './text.js';

/** @import { Controls } from './controls.js' */
/** @import { AskedDesk, SideNumber, Wanted } from './desk.js' */
/** @import { Playing } from './link.js' */
/** @import { PlayerState } from './runner.js' */
/** @import { FilterKey, Settings } from './settings.js' */
/** @import { Carried } from './shelf.js' */
/** @import { Seen } from './sight.js' */
/** @import { Listed } from './text.js' */

/** @typedef {{ at: number, all: Listed[], texts: string[] }} Listing what a search found, and where it began */
/**
 * One of two texts with its settings.
 * @typedef {object} Side
 * @property {Settings} settings
 * @property {Writing | null} writing null while the prompt can't be read
 * @property {Seen | null} seen as it was drawn last
 * @property {Listing | null} listing
 */
/** @typedef {{ prompt?: string, ids?: number[], other?: { ids: number[] } | null }} Start `ids` continue the prompt */

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
  constructor(carried, kept, view, keep) {
    this.shelf = new Shelf(carried, kept.model);
    this.sight = new Sight(this);
    this.runner = new Runner(this);
    this.editor = new Editor(this);
    this.view = view;
    this.keep = keep;
    this.sides = [newSide(kept.settings), newSide(kept.other?.settings)];
    this.isPaired = Boolean(kept.other);
    /** @type {SideNumber} whose distribution and settings are shown */
    this.active = 0;
    this.acts = 0; // that have written something
  }

  get current() {
    return this.shelf.current;
  }

  get prompt() {
    return this.shelf.prompt;
  }

  get desk() {
    return this.shelf.desk;
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
    const common = { texts, active, isPaired, prompt, isBusy: this.runner.busy !== null || this.sight.isReading };
    return { ...common, settings, seen, listing, vocabSize: desk?.about.vocabSize ?? 100 };
  }

  /**
   * What is stored and put into a link.
   * @returns {Playing}
   */
  get playing() {
    const [own, other] = this.sides.map(({ settings, writing }, n) => {
      const ids = writing ? writing.tokens.map(({ id }) => id) : this.shelf.links.get(this.current)?.[n] ?? [];
      return { settings, ids };
    });
    return { model: this.current, prompt: this.prompt, ...own, other: this.isPaired ? other : null };
  }

  // ---- Which model, which prompt ---------------------------------------------------------------------------------

  /**
   * @param {string} name
   * @param {Start} [start]
   */
  async useModel(name, { prompt = this.shelf.prompts.get(name) ?? '', ids, other } = {}) {
    const { shelf, sight } = this;
    const [own = [], others = []] = shelf.links.get(name) ?? [];
    this.stop();
    shelf.current = name;
    this.forgetTexts();
    this.runner.ended = 'idle';
    sight.wanted = { ...sight.wanted, from: 0, find: '' };
    this.showModel();
    if (shelf.isPacked) await this.load(name);
    if (this.current !== name) return; // the reader has chosen another
    this.showModel();
    await this.setPrompt(prompt, [ids ?? own, other?.ids ?? others]);
  }

  /** @param {string} name */
  async load(name) {
    const { shelf, view } = this;
    view.say('Loading …');
    shelf.loading.add(name);
    await this.runner.run((signal) =>
      shelf.load(name, {
        signal,
        onProgress: (/** @type {number} */ share) => {
          view.say('Counting its text …');
          view.progress(share);
        },
      })
    );
    shelf.loading.delete(name);
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
    this.shelf.desks.set(name, desk);
    if (this.current === name) await this.useModel(name);
  }

  showModel() {
    const { note = '', prompts = [] } = this.shelf.about.get(this.current) ?? {};
    const rounding = this.desk?.about.rounding;
    const words = [note, rounding ? roundingNote(rounding) : ''].filter(Boolean).join(' ');
    this.view.drawModel(this.current, words, prompts);
    this.showState();
  }

  /**
   * A new prompt; `ids` continue it on each side as far as they are in the vocabulary.
   * @param {string} words
   * @param {number[][]} [ids]
   */
  async setPrompt(words, ids = []) {
    this.stop();
    this.runner.ended = 'idle';
    const prompt = cutPrompt(words);
    this.shelf.prompts.set(this.current, prompt);
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
    const { desk, current, shelf, sight: { onProgress } } = this;
    this.forgetTexts();
    if (!desk) {
      shelf.links.set(current, ids);
      return shelf.missing;
    }
    shelf.links.delete(current);
    const read = await desk.ask('read', [prompt], { signal });
    signal.throwIfAborted();
    if (read.problem) return read.problem;
    for (const n of this.shown) {
      const writing = new Writing(read.ids);
      const added = (ids[n] ?? []).filter((id) => id < desk.about.vocabSize);
      if (added.length) {
        const shares = await desk.ask('probabilities', [read.ids, added, n], { signal, onProgress });
        writing.write(added.map((id, i) => ({ id, p: shares[i] })), ++this.acts);
      }
      signal.throwIfAborted();
      this.sides[n].writing = writing;
    }
    return read.note;
  }

  // ---- What the reader sees --------------------------------------------------------------------------------------

  /** @type {Sight['look']} */
  look(start) {
    return this.sight.look(start);
  }

  /** @param {unknown} error */
  fail(error) {
    if (!(error instanceof Error)) throw error;
    if (error.name === 'AbortError') return;
    this.runner.ended = 'failed';
    this.view.say(error.message, true);
  }

  showState() {
    const { runner, sight, shelf } = this;
    const isRunning = runner.busy !== null || sight.looking !== null;
    const state = shelf.loading.has(this.current) ? 'loading' : isRunning ? 'running' : runner.ended;
    this.view.drawState(state, this.current, this.side.seen?.rate ?? 0);
  }

  showButtons() {
    this.view.drawButtons(this.state);
  }

  /**
   * SmolLM2 is being loaded, or that has ended.
   * @param {PlayerState} state
   */
  showLoading(state) {
    this.shelf.loading[state === 'loading' ? 'add' : 'delete'](SMOLLM2.name);
    if (this.current === SMOLLM2.name) this.runner.ended = state === 'done' ? 'idle' : state;
    this.showState();
  }

  // ---- Settings --------------------------------------------------------------------------------------------------

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
    this.showButtons();
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
    this.showButtons();
    this.view.drawDials(this.state);
    this.want({ from: 0 });
  }

  /** @param {Partial<Wanted>} wanted other lines of the distribution */
  want(wanted) {
    this.sight.wanted = { ...this.sight.wanted, ...wanted };
    this.look();
  }

  stop() {
    this.editor.taking = null;
    this.runner.stop();
  }
}
