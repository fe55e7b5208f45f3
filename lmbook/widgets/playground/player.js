// The behaviour of a playground: model, prompt, settings, and writing. Only one task runs at a time.
import { loadInSteps, roundingNote } from '../core/models.js';
import { inSlices, pause } from '../core/slices.js';
import { plural } from '../kit/kit.js';
import { chooseToken, cutPrompt, MAX_PROMPT, MAX_WRITTEN, plainSettings, readPrompt, unitOf } from './settings.js';
import { searchSteps, Writing } from './text.js';

/** @import { Header, Model } from '../core/models.js' */
/** @import { Controls } from './controls.js' */
/** @import { Playing, Settings } from './settings.js' */

/** @typedef {{ name: string, prompts: string[], note: string }} About */
/** @typedef {{ headers: Header[], weights: DataView, about: About[] }} Carried what came from Python */

export const OWN = 'Your own text';
// Milliseconds between two tokens of Play.
const PACE = { words: 130, word: 130, char: 40, byte: 25, bpe: 90, pretrained: 90 };

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
    this.about = new Map(about.map((entry) => [entry.name, entry]));
    this.names = headers.map(({ name }) => name);
    this.view = view;
    this.keep = keep;
    /** @type {Map<string, Model>} by name, once they are loaded */
    this.nets = new Map();
    this.prompts = new Map([[OWN, ''], ...about.map(({ name, prompts }) => /** @type {const} */ ([name, prompts[0]]))]);
    /** @type {Settings} */
    this.settings = { ...plainSettings(), ...kept.settings };
    this.current = this.names.find((name) => name === kept.model) ?? this.names[0];
    /** @type {Writing | null} null while the prompt can't be read */
    this.writing = null;
    /** @type {AbortController | null} of what is running: play, search or loading */
    this.busy = null;
  }

  get prompt() {
    return this.prompts.get(this.current) ?? '';
  }

  /** What the view draws. */
  get state() {
    const { writing, settings, prompt } = this;
    return { writing, settings, prompt, isBusy: this.busy !== null };
  }

  /**
   * What is stored and put into a link.
   * @returns {Playing}
   */
  get playing() {
    const ids = this.writing ? this.writing.tokens.map(({ id }) => id) : [];
    return { model: this.current, prompt: this.prompt, ids, settings: this.settings };
  }

  // ---- Which model, which prompt ---------------------------------------------------------------------------------

  /**
   * @param {string} name
   * @param {{ prompt?: string, ids?: number[] }} [start] `ids` continue the prompt
   */
  async useModel(name, { prompt = this.prompts.get(name) ?? '', ids = [] } = {}) {
    this.stop();
    this.current = name;
    this.writing = null;
    this.showModel();
    if (name !== OWN && !this.nets.has(name)) await this.load(name);
    if (this.current !== name) return; // the reader has chosen another
    this.showModel();
    this.setPrompt(prompt, ids);
  }

  /** @param {Model} net counted in the reader's own text */
  useOwn(net) {
    this.nets.set(OWN, net);
    this.useModel(OWN);
  }

  showModel() {
    const { note = '', prompts = [] } = this.about.get(this.current) ?? {};
    const rounding = this.nets.get(this.current)?.rounding;
    const words = [note, rounding ? roundingNote(rounding) : ''].filter(Boolean).join(' ');
    this.view.drawModel(this.current, words, prompts, this.current === OWN);
  }

  /** @param {string} name */
  async load(name) {
    const header = this.headers[this.names.indexOf(name)];
    this.view.say('Loading …');
    await this.run(async (signal) => {
      /** @param {number} share */
      const onProgress = (share) => {
        this.view.say('Counting its text …');
        this.view.progress(share);
      };
      this.nets.set(name, await inSlices(loadInSteps(header, this.weights), { onProgress, signal }));
    });
  }

  /**
   * A new prompt; `ids` continue it as far as they are in the vocabulary and fit the context.
   * @param {string} words
   * @param {number[]} [ids]
   */
  setPrompt(words, ids = []) {
    this.stop();
    const prompt = cutPrompt(words);
    this.prompts.set(this.current, prompt);
    this.view.drawPrompt(prompt);
    const said = this.readPrompt(prompt, ids);
    const [all, taken] = [words.length, MAX_PROMPT].map((n) => n.toLocaleString('en'));
    const cut = words.length > MAX_PROMPT ? `Of ${all} characters the first ${taken} were taken. ` : '';
    this.view.say(cut + said, this.writing === null);
    this.view.draw(this.state);
  }

  /**
   * Starts a text with `prompt`, if the model can read it; returns the note about it.
   * @param {string} prompt
   * @param {number[]} ids
   */
  readPrompt(prompt, ids) {
    const net = this.nets.get(this.current);
    this.writing = null;
    if (!net) return this.current === OWN ? 'Count a text first.' : 'Not loaded.';
    const read = readPrompt(net, prompt);
    if (read.problem) return read.problem;
    this.writing = new Writing(net, read.ids);
    if (ids.length) this.writing.write(ids.filter((id) => id < net.vocabSize).slice(0, this.writing.room));
    return read.note;
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
    this.view.drawSettings(this.state);
    this.keep();
  }

  rest() {
    this.turn('strategy', this.settings.strategy, plainSettings());
  }

  dice() {
    this.turn('seed', (this.settings.seed % 9999) + 1);
  }

  /** @param {number} place */
  lookAt(place) {
    this.stop();
    if (!this.writing) return;
    this.writing.cursor = place === this.writing.cursor ? this.writing.tokens.length : place;
    this.view.draw(this.state);
  }

  /**
   * Undo, start again, take a token: changes of the text that take no time.
   * @param {(writing: Writing) => void} act
   */
  change(act) {
    this.stop();
    if (!this.writing) return;
    this.view.say('');
    act(this.writing);
    this.view.draw(this.state);
    this.keep();
  }

  /** @param {number} id */
  take(id) {
    this.change((writing) => {
      if (writing.room < 1) this.sayFull(writing);
      else writing.write([id]);
    });
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
  sayFull({ cursor, net }) {
    const limit = cursor >= MAX_WRITTEN
      ? `${MAX_WRITTEN} tokens are written, which is as far as a playground goes`
      : `The context is full: this model reads at most ${unitOf(net, net.contextLength)}`;
    this.view.say(`${limit}. Undo, start again, or shorten the prompt.`, true);
  }

  // ---- What runs for a while -------------------------------------------------------------------------------------

  /**
   * One more token. Returns whether there was room.
   * @param {Writing} writing
   */
  writeOne(writing) {
    if (writing.room < 1) {
      this.sayFull(writing);
      return false;
    }
    writing.write([chooseToken(writing.logits(), this.settings, writing.ids().length)]);
    this.view.say('');
    this.view.draw(this.state);
    return true;
  }

  step() {
    this.stop();
    const { writing } = this;
    if (!writing) return;
    if (this.settings.strategy === 'beam') this.run((signal) => this.search(writing, signal));
    else this.writeOne(writing);
    this.keep();
  }

  /** Writes until it is stopped; a second call stops it. */
  play() {
    if (this.busy) {
      this.stop();
      this.view.say('Stopped.');
    } else if (this.writing) {
      this.run(async (signal) => {
        while (this.writing && this.writeOne(this.writing)) {
          await pause(PACE[this.writing.net.tokenizer.kind]);
          signal.throwIfAborted();
        }
      });
    }
  }

  /**
   * Searches for the likeliest continuation, and compares it with greedy decoding.
   * @param {Writing} writing
   * @param {AbortSignal} signal
   */
  async search(writing, signal) {
    if (writing.room < 1) return this.sayFull(writing);
    const { beams } = this.settings;
    const length = Math.min(this.settings.length, writing.room);
    /** @param {number} done */
    const onProgress = (done) => {
      this.view.say(`Beam search: ${done} of ${plural(length, 'token')}`);
      this.view.progress(done / length);
    };
    const found = await inSlices(searchSteps(writing.net, writing.ids(), beams, length), { onProgress, signal });
    writing.write(found.ids);
    this.view.draw(this.state);
    const [best, plainly] = [found.logProb, found.greedy].map((x) => `−${Math.abs(x).toFixed(2)}`);
    this.view.say(`${plural(beams, 'beam')}, ${plural(length, 'token')}: log P = ${best}. Greedy comes to ${plainly}.`);
  }

  /**
   * Runs `work` until it ends or is stopped, and shows errors.
   * @param {(signal: AbortSignal) => Promise<void>} work
   */
  async run(work) {
    this.stop();
    const mine = this.busy = new AbortController();
    this.view.drawButtons(this.state);
    try {
      await work(mine.signal);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (error.name !== 'AbortError') this.view.say(error.message, true);
    }
    if (this.busy === mine) this.busy = null;
    this.view.drawButtons(this.state);
    this.keep();
  }

  stop() {
    this.busy?.abort();
    this.busy = null;
    this.view.drawButtons(this.state);
  }
}
