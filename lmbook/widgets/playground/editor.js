// What the reader does to a text of a playground: looks at a token, takes one, takes back what was done.
import { FULL } from './runner.js';

/** @import { SideNumber } from './desk.js' */
/** @import { Listing, Player } from './player.js' */
/** @import { Writing } from './text.js' */

export class Editor {
  /** @param {Player} player */
  constructor(player) {
    this.player = player;
    /** @type {object | null} what the reader has chosen, while it isn't written yet */
    this.taking = null;
  }

  /**
   * @param {SideNumber} side
   * @param {number} place
   */
  lookAt(side, place) {
    const { player } = this;
    player.stop();
    const { writing } = player.sides[side];
    if (!writing) return;
    const isSame = side === player.active && place === writing.cursor;
    writing.cursor = isSame ? writing.tokens.length : place;
    if (side === player.active) player.look();
    else player.show(side);
  }

  /**
   * Undo, start again: changes of the texts that need no model.
   * @param {(writing: Writing, act: number) => void} act
   */
  change(act) {
    const { player } = this;
    player.stop();
    const writings = player.shown.flatMap((n) => player.sides[n].writing ?? []);
    if (!writings.length) return;
    player.view.say('');
    const last = Math.max(...writings.map(({ lastAct }) => lastAct));
    for (const writing of writings) act(writing, last);
    for (const n of player.shown) player.sides[n].listing = null;
    player.look();
    player.keep();
  }

  undo() {
    if (this.taking) return this.player.stop(); // that is the last act
    this.change((writing, last) => writing.lastAct === last && writing.undo());
  }

  again() {
    const act = ++this.player.acts;
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
    const { writing, listing } = this.player.side;
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
    const { player, player: { desk, side, active, view, sight: { onProgress } } } = this;
    player.stop();
    const { writing } = side;
    if (!writing || !desk) return;
    if (writing.room < added.length) return view.say(FULL, true);
    view.say('');
    const mine = this.taking = {};
    await player.look(async (signal) => {
      const shares = await desk.ask('probabilities', [writing.ids(), added, active], { signal, onProgress });
      if (this.taking !== mine) return; // another act came first, and the probabilities are of another text
      this.taking = null;
      writing.write(added.map((id, i) => ({ id, p: shares[i] })), ++player.acts);
      side.listing = listing;
    });
    player.keep();
  }
}
