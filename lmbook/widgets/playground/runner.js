// What runs for a while in a playground: Step, Play, a search, the unpacking of a model. One at a time; Stop ends it.
import { pause } from '../core/slices.js';
import { formatLog, plural } from '../kit/kit.js';
import { completedStop, MAX_WRITTEN, SIDES, stopStrings } from './settings.js';

/** @import { AskedDesk, SideNumber } from './desk.js' */
/** @import { Player } from './player.js' */

/** @typedef {'idle' | 'loading' | 'running' | 'stopped' | 'done' | 'failed'} PlayerState */

export const FULL =
  `${MAX_WRITTEN} tokens are written, which is as far as a playground goes. Undo, start again, or write from an earlier token.`;
// Milliseconds between two tokens of Play.
const PACE = { words: 130, word: 130, char: 40, byte: 25, bpe: 90, pretrained: 0 };

export class Runner {
  /** @param {Player} player */
  constructor(player) {
    this.player = player;
    /** @type {AbortController | null} of what is running */
    this.busy = null;
    this.isStepping = false;
    /** @type {PlayerState} of the last task */
    this.ended = 'idle';
  }

  /**
   * Runs `work` until it ends or is stopped, and shows errors.
   * @param {(signal: AbortSignal) => Promise<void>} work
   */
  async run(work) {
    const { player } = this;
    this.stop();
    const mine = this.busy = new AbortController();
    this.ended = 'done';
    player.showButtons();
    player.showState();
    try {
      await work(mine.signal);
    } catch (error) {
      player.fail(error);
    }
    if (this.busy === mine) this.busy = null;
    player.showButtons();
    player.showState();
    player.keep();
  }

  stop() {
    this.busy?.abort();
    this.busy = null;
    this.isStepping = false;
    this.player.showButtons();
  }

  /** Stop, as the reader wants it: also of a long text that is being read. */
  halt() {
    const { player } = this;
    const { isReading } = player.sight;
    player.stop();
    this.ended = 'stopped';
    if (isReading) player.sight.giveUp();
    player.showState();
    player.view.say('Stopped.');
  }

  async step() {
    const { player } = this;
    if (!player.side.writing || !player.desk || this.busy && this.isStepping) return;
    const act = ++player.acts;
    const isSearch = (/** @type {SideNumber} */ n) => player.sides[n].settings.strategy === 'beam';
    const stepping = this.run(async (signal) => {
      const drawing = player.shown.filter((n) => !isSearch(n));
      if (drawing.length) await this.writeOne(drawing, act, signal);
      for (const n of player.shown.filter(isSearch)) await this.search(n, act, signal);
    });
    this.isStepping = !player.shown.some(isSearch);
    await stepping;
    player.keep();
  }

  /** Writes until it is stopped; a second call stops it, and so whatever else runs. */
  play() {
    const { player, player: { desk } } = this;
    if (this.busy || player.sight.isReading) return this.halt();
    if (!player.side.writing || !desk) return;
    const act = ++player.acts;
    this.run(async (signal) => {
      let sides = player.shown;
      for (;;) {
        sides = await this.writeOne(sides, act, signal);
        if (!sides.length) return;
        await pause(PACE[desk.about.tokenizer.kind]);
        signal.throwIfAborted();
      }
    });
  }

  /**
   * One more token on each of `sides`. Returns those that may go on: there was room, and no stop string was completed.
   * @param {SideNumber[]} sides
   * @param {number} act
   * @param {AbortSignal} signal
   * @returns {Promise<SideNumber[]>}
   */
  async writeOne(sides, act, signal) {
    const { player } = this;
    const desk = /** @type {AskedDesk} */ (player.desk);
    const onProgress = (/** @type {number} */ share) => player.view.progress(share);
    /** @type {SideNumber[]} */
    const written = [];
    for (const n of sides) {
      const { writing, settings } = player.sides[n];
      if (!writing || writing.room < 1) continue;
      const text = { ids: writing.ids(), promptLength: writing.promptIds.length };
      const token = await desk.ask('choose', [text, settings, n], { signal, onProgress });
      signal.throwIfAborted();
      writing.write([token], act);
      player.sides[n].listing = null;
      written.push(n);
    }
    if (!written.length) {
      player.view.say(FULL, true);
      return [];
    }
    player.view.say('');
    await player.look();
    return written.filter((n) => !this.hasStopped(n));
  }

  /** @param {SideNumber} n */
  hasStopped(n) {
    const { sides, isPaired, view } = this.player;
    const { settings, seen } = sides[n];
    const stop = completedStop(seen?.tokens.map(({ text }) => text) ?? [], stopStrings(settings.stop));
    if (stop === null) return false;
    const which = isPaired ? `${SIDES[n]}: ` : '';
    view.say(`${which}“${stop.replaceAll('\n', '↵')}” is written, so the text ends before it.`);
    return true;
  }

  /**
   * Searches for the likeliest continuations, and compares the best with greedy decoding.
   * @param {SideNumber} side
   * @param {number} act
   * @param {AbortSignal} signal
   */
  async search(side, act, signal) {
    const { player, player: { view } } = this;
    const { writing, settings: { beams, length } } = player.sides[side];
    const desk = /** @type {AskedDesk} */ (player.desk);
    if (!writing) return;
    if (writing.room < length) return view.say(FULL, true);
    /** @param {number} done */
    const onProgress = (done) => {
      view.say(`Beam search: ${done} of ${plural(length, 'token')}`);
      view.progress(done / length);
    };
    const { cursor: at, promptIds } = writing;
    const asked = [writing.ids(), beams, length, side];
    const { written, all, greedy } = await desk.ask('search', /** @type {any} */ (asked), { onProgress, signal });
    const texts = [];
    for (const { ids } of all) texts.push((await desk.ask('spelled', [promptIds, ids], { signal })).tokens);
    writing.write(written, act);
    const found = texts.map((tokens) => tokens.map(({ text }) => text).join(''));
    player.sides[side].listing = { at, all, texts: found };
    await player.look();
    const [best, plainly] = [all[0].logProb, greedy].map((x) => formatLog(x, 2));
    const told = `${plural(beams, 'beam')}, ${plural(written.length, 'token')}`;
    view.say(`${told}: log P = ${best}. Greedy comes to ${plainly}.`);
  }
}
