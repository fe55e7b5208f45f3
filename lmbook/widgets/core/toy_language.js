// The exact language of lmbook.toy in the browser: a finite automaton. `dist(prefix)` is a Float64Array of V
// probabilities, the same numbers as in Python to the last bits; log-probabilities are in nats.

// The words read so far determine the state; the state determines the distribution over the next word. Only the
// possible words of a state are stored: those of state s are entries rowStarts[s] … rowStarts[s + 1] − 1 of `words`,
// `next` and `logProbs`. All other words have probability 0 and lead to the dead state, the last one, where by
// convention every word is equally likely.
export class Automaton {
  constructor({ vocabSize, rowStarts, words, next, logProbs }) {
    Object.assign(this, { vocabSize, rowStarts, words, next, logProbs });
    this.dead = rowStarts.length - 2;
  }

  entry(state, word) {
    for (let i = this.rowStarts[state]; i < this.rowStarts[state + 1]; i++) if (this.words[i] === word) return i;
    return -1;
  }

  step(state, word) {
    const i = this.entry(state, word);
    return i < 0 ? this.dead : this.next[i];
  }

  logProb(state, word) {
    const i = this.entry(state, word);
    return i < 0 ? -Infinity : this.logProbs[i];
  }

  state(prefix) {
    return prefix.reduce((state, word) => this.step(state, word), 0);
  }

  isPossible(prefix) {
    return this.state(prefix) !== this.dead;
  }

  dist(prefix) {
    const probs = new Float64Array(this.vocabSize);
    const state = this.state(prefix);
    for (let i = this.rowStarts[state]; i < this.rowStarts[state + 1]; i++) {
      probs[this.words[i]] = Math.exp(this.logProbs[i]);
    }
    return probs;
  }
}
