// What the reader sees of the texts of a playground: the model is asked, and its answer is drawn. A long text is read in
// parts; the reader may give it up.
import { SHORT } from './desk.js';

/** @import { Look, LookQuestion, SideNumber, Wanted } from './desk.js' */
/** @import { Player } from './player.js' */

/** @typedef {Omit<Look, 'table'> & LookQuestion & { table: Look['table'] | null, shares: number[] }} Seen with the
 *   probability of each written token; without a table if the other side's is shown, or the text isn't read */

export class Sight {
  /** @param {Player} player */
  constructor(player) {
    this.player = player;
    /** @type {Wanted} */
    this.wanted = { from: 0, count: SHORT, find: '' };
    /** @type {{ stop: AbortController, done: Promise<void> } | null} what is to be drawn next */
    this.looking = null;
    this.isStale = false; // whether it must be asked for again
    this.isReading = false; // whether it takes so long that the reader may stop it
    this.isGivenUp = false; // whether the reader did
  }

  /**
   * Draws what is there now. With `start` another text begins: whatever was on its way is given up. Otherwise that is
   * drawn first, and then what is there by then.
   * @param {((signal: AbortSignal) => Promise<void>) | null} [start]
   * @returns {Promise<void>}
   */
  look(start = null) {
    this.isGivenUp = false;
    if (!start && this.looking) {
      this.isStale = true;
      return this.looking.done;
    }
    this.looking?.stop.abort();
    const mine = this.looking = { stop: new AbortController(), done: Promise.resolve() };
    this.player.showState();
    return mine.done = this.drawSoon(mine.stop.signal, start).catch((error) => this.player.fail(error)).then(() => {
      if (this.looking === mine) {
        this.looking = null;
        this.setReading(false);
      }
      this.player.showState();
    });
  }

  /**
   * @param {AbortSignal} signal
   * @param {((signal: AbortSignal) => Promise<void>) | null} start
   */
  async drawSoon(signal, start) {
    const { player } = this;
    await start?.(signal);
    do {
      signal.throwIfAborted();
      this.isStale = false;
      const seen = [];
      for (const n of player.shown) seen.push(await this.ask(n, signal));
      signal.throwIfAborted();
      seen.forEach((one, n) => (player.sides[n].seen = one));
      player.view.draw(player.state);
    } while (this.isStale);
  }

  /**
   * @param {SideNumber} side
   * @param {AbortSignal} signal
   * @returns {Promise<Seen | null>}
   */
  async ask(side, signal) {
    const { player: { desk, sides, active }, wanted } = this;
    const { writing, settings } = sides[side];
    if (!writing || !desk) return null;
    const { promptIds, cursor, tokens } = writing;
    const ids = tokens.map(({ id }) => id);
    const question = { promptIds, ids, cursor, settings, wanted, side };
    const shares = tokens.map(({ p }) => p);
    if (side !== active || this.isGivenUp) {
      return { ...question, ...await desk.ask('spelled', [promptIds, ids], { signal }), table: null, rate: 0, shares };
    }
    return { ...question, ...await desk.ask('look', [question], { signal, onProgress: this.onProgress }), shares };
  }

  /** @param {number} share of a text that is read */
  onProgress = (share) => {
    this.setReading(true);
    this.player.view.progress(share);
  };

  /** @param {boolean} isReading */
  setReading(isReading) {
    if (this.isReading === isReading) return;
    this.isReading = isReading;
    this.player.view.drawButtons(this.player.state);
  }

  /** Gives up a text that is being read: it is drawn without a distribution, and a link's continuation is left out. */
  giveUp() {
    this.setReading(false);
    return this.look(async (signal) => {
      this.isGivenUp = true;
      if (!this.player.side.writing) await this.player.startWriting(this.player.prompt, [], signal);
    });
  }
}
