// The exact language of lmbook.toy in the browser: a finite automaton. `dist(prefix)` is a Float64Array of V
// probabilities, equal to Python's except for the last bits; log-probabilities are in nats.

/**
 * @typedef {object} Tables
 * @property {number} vocabSize V
 * @property {Uint32Array} rowStarts
 * @property {Uint8Array} words
 * @property {Uint16Array} next
 * @property {Float64Array} logProbs
 */

/**
 * The words read so far determine the state; the state determines the distribution over the next word. Only the
 * possible words of a state are stored: those of state s are entries rowStarts[s] … rowStarts[s + 1] − 1 of `words`,
 * `next` and `logProbs`. All other words have probability 0 and lead to the dead state, the last one, where by
 * convention every word is equally likely.
 */
export class Automaton {
  /** @param {Tables} tables */
  constructor({ vocabSize, rowStarts, words, next, logProbs }) {
    this.vocabSize = vocabSize;
    this.rowStarts = rowStarts;
    this.words = words;
    this.next = next;
    this.logProbs = logProbs;
    this.dead = rowStarts.length - 2;
  }

  /**
   * The place of `word` among the entries of `state`, −1 if it isn't possible there.
   * @param {number} state
   * @param {number} word
   */
  entry(state, word) {
    for (let i = this.rowStarts[state]; i < this.rowStarts[state + 1]; i++) if (this.words[i] === word) return i;
    return -1;
  }

  /**
   * The state that follows.
   * @param {number} state
   * @param {number} word
   */
  step(state, word) {
    const i = this.entry(state, word);
    return i < 0 ? this.dead : this.next[i];
  }

  /**
   * @param {number} state
   * @param {number} word
   */
  logProb(state, word) {
    const i = this.entry(state, word);
    return i < 0 ? -Infinity : this.logProbs[i];
  }

  /** @param {number[]} prefix */
  state(prefix) {
    return prefix.reduce((state, word) => this.step(state, word), 0);
  }

  /** @param {number[]} prefix */
  isPossible(prefix) {
    return this.state(prefix) !== this.dead;
  }

  /** @param {number[]} prefix */
  dist(prefix) {
    const probs = new Float64Array(this.vocabSize);
    const state = this.state(prefix);
    for (let i = this.rowStarts[state]; i < this.rowStarts[state + 1]; i++) {
      probs[this.words[i]] = Math.exp(this.logProbs[i]);
    }
    return probs;
  }
}
