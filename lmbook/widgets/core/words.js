// The book's language models in the browser. Nothing here touches the page, so Node runs it as it is.
//
// V words in the vocabulary; a model's `dist(prefix)` is a Float64Array of V probabilities, the same numbers as in
// Python to the last bits. Log-probabilities are natural (nats) unless a name says otherwise.

// ---- Tables that come from Python ------------------------------------------------------------------------------

// A bytes trait arrives as a DataView of little-endian numbers; typed arrays want their own aligned copy.
export function unpack(view, ArrayType) {
  return new ArrayType(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

// ---- The exact language: a finite automaton ----------------------------------------------------------------------

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

// ---- n-grams: count, then smooth -----------------------------------------------------------------------------------

// Finds the number of an n-gram from the number of its first n − 1 tokens and its last token. An open-addressing hash
// table: the n-gram's slot is the first free one after where its key points.
class NGramIndex {
  constructor(capacity, vocabSize) {
    this.mask = 2 ** Math.ceil(Math.log2(2 * capacity + 2)) - 1;
    this.slots = new Int32Array(this.mask + 1).fill(-1);
    this.parent = new Int32Array(capacity);
    this.token = new Int32Array(capacity);
    this.vocabSize = vocabSize;
    this.size = 0;
  }

  slot(parent, token) {
    let at = (Math.imul(parent * this.vocabSize + token, 0x9e3779b1) >>> 7) & this.mask;
    while (this.slots[at] >= 0) {
      const id = this.slots[at];
      if (this.parent[id] === parent && this.token[id] === token) break;
      at = (at + 1) & this.mask;
    }
    return at;
  }

  find(parent, token) {
    return this.slots[this.slot(parent, token)];
  }

  add(parent, token) {
    const at = this.slot(parent, token);
    if (this.slots[at] < 0) {
      this.slots[at] = this.size;
      this.parent[this.size] = parent;
      this.token[this.size++] = token;
    }
    return this.slots[at];
  }
}

// Per order: a count of each n-gram, and for each context the total of its counts and how many of them aren't zero.
function summarise(index, counts, numContexts) {
  const totals = new Float64Array(numContexts);
  const types = new Float64Array(numContexts);
  let [ones, twos] = [0, 0];
  for (let id = 0; id < index.size; id++) {
    if (counts[id] === 0) continue;
    totals[index.parent[id]] += counts[id];
    types[index.parent[id]] += 1;
    ones += counts[id] === 1;
    twos += counts[id] === 2;
  }
  return { counts, totals, types, discount: ones && twos ? ones / (ones + 2 * twos) : 0.5 };
}

// Counts the n-grams of orders 1 … maxOrder, and predicts with any order up to there by interpolated Kneser–Ney
// smoothing, as lmbook.ngram.NGramLM does:
//   P_n(w | h) = max(c(h w) − D, 0) / Σ c(h ·)  +  D · N(h) / Σ c(h ·) · P_{n−1}(w | h without its first token)
// with plain counts at the highest order and, below it, continuation counts: before how many different tokens.
export class NGramCounts {
  constructor(vocabSize, maxOrder) {
    Object.assign(this, { vocabSize, maxOrder, levels: [] });
  }

  read(ids, rowLength = ids.length) {
    const steps = this.readInSteps(ids, rowLength);
    while (!steps.next().done);
    return this;
  }

  // The same, bit by bit: yields the share that is done, every few milliseconds, so that a page stays alive.
  *readInSteps(ids, rowLength = ids.length, stride = 20_000) {
    this.levels = [];
    let ending = new Int32Array(ids.length); // number of the (n − 1)-gram that ends at each place; n = 1: the empty one
    let shorter = null;
    for (let n = 1; n <= this.maxOrder + 1; n++) {
      const capacity = Math.min(ids.length, this.vocabSize ** n);
      const [index, counts] = [new NGramIndex(capacity, this.vocabSize), new Float64Array(capacity)];
      const continuation = shorter && new Float64Array(shorter.index.size);
      const followers = new Int32Array(ids.length).fill(-1);
      for (let i = 0; i < ids.length; i++) {
        if (i % stride === 0) yield (n - 1 + i / ids.length) / (this.maxOrder + 1);
        if (i % rowLength < n - 1) continue; // no n-gram crosses a row
        const size = index.size;
        const id = index.add(n === 1 ? 0 : ending[i - 1], ids[i]);
        if (n > 1 && index.size > size) continuation[ending[i]] += 1; // a new token before this (n − 1)-gram
        counts[id] += 1;
        followers[i] = id;
      }
      if (shorter) this.addLevel(shorter, continuation);
      shorter = { index, counts };
      ending = followers;
    }
  }

  addLevel({ index, counts }, continuation) {
    const numContexts = this.levels.length ? this.levels.at(-1).index.size : 1;
    const plain = summarise(index, counts, numContexts);
    this.levels.push({ index, plain, continuation: summarise(index, continuation, numContexts) });
  }

  // The number of the n-gram `gram`, −1 if it never occurred.
  find(gram) {
    let id = 0;
    for (let n = 0; n < gram.length && id >= 0; n++) id = this.levels[n].index.find(id, gram[n]);
    return id;
  }

  // How often the tokens `gram` occur in the text, one after the other.
  count(gram) {
    const id = this.find(gram);
    return id < 0 ? 0 : this.levels[gram.length - 1].plain.counts[id];
  }

  dist(prefix, order) {
    const V = this.vocabSize;
    const probs = new Float64Array(V).fill(1 / V);
    for (let n = 1; n <= Math.min(order, prefix.length + 1); n++) {
      const context = this.find(prefix.slice(prefix.length - n + 1));
      const { index, plain, continuation } = this.levels[n - 1];
      const { counts, totals, types, discount } = n === order ? plain : continuation;
      if (context < 0 || totals[context] === 0) continue; // never seen: what the lower order says
      const backOff = (discount * types[context]) / totals[context];
      for (let w = 0; w < V; w++) {
        const id = index.find(context, w);
        const kept = id < 0 ? 0 : Math.max(counts[id] - discount, 0) / totals[context];
        probs[w] = kept + backOff * probs[w];
      }
    }
    return probs;
  }
}

// ---- Both models of a page -------------------------------------------------------------------------------------------

// From the traits of an lmbook LanguageWidget: the exact language, and the n-grams of a text counted here and now.
export function readModels(model, maxOrder) {
  const vocab = model.get('vocab');
  const exact = new Automaton({
    vocabSize: vocab.length,
    rowStarts: unpack(model.get('row_starts'), Uint32Array),
    words: unpack(model.get('row_words'), Uint8Array),
    next: unpack(model.get('row_next'), Uint16Array),
    logProbs: unpack(model.get('row_log_probs'), Float64Array),
  });
  const ids = unpack(model.get('ids'), Uint8Array);
  const ngrams = new NGramCounts(vocab.length, maxOrder).read(ids, model.get('row_length'));
  const stop = vocab.indexOf('.');
  // An n-gram reads a full stop before the first word: in its text every sentence but the first follows one.
  const ngramDist = (prefix, order) => ngrams.dist(stop < 0 ? prefix : [stop, ...prefix], order);
  return { vocab, exact, ngrams, ngramDist, stop };
}

// ---- Words ----------------------------------------------------------------------------------------------------------

// White space as Python's \s has it, which differs from JavaScript's in a few rare characters.
export const WHITE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
export const WORDS = new RegExp(`[.,;:!?]|[^${WHITE}.,;:!?]+`, 'g');

// "The dog barks." → ["the", "dog", "barks", "."]: what the toy language calls words.
export function splitWords(text) {
  return text.toLowerCase().match(WORDS) ?? [];
}

export function joinWords(words) {
  return words.join(' ').replace(/ ([.,;:!?])/g, '$1');
}

// The number of single-letter changes between two words (Levenshtein), to find what a typing error was meant to be.
export function editDistance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}

// The word of `vocab` that takes the fewest changes, if they are few. (It takes at least as many as the lengths differ,
// so that pasting a book in one word costs nothing.)
export function nearestWord(word, vocab) {
  const limit = Math.max(1, word.length / 2);
  const isNear = (known) => Math.abs(known.length - word.length) <= limit;
  const distances = vocab.map((known) => (isNear(known) ? editDistance(word, known) : Infinity));
  const best = Math.min(...distances);
  return best <= limit ? vocab[distances.indexOf(best)] : null;
}

// ---- Chance ------------------------------------------------------------------------------------------------------------

// A seeded generator of numbers in [0, 1): the same seed gives the same draws in every browser (mulberry32).
export function seededRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function sampleFrom(probs, u) {
  let [total, last] = [0, 0];
  for (let w = 0; w < probs.length; w++) {
    if (probs[w] === 0) continue;
    total += probs[w];
    last = w;
    if (u < total) return w;
  }
  return last; // rounding left the sum a hair below u
}

// ---- Shannon's bounds -----------------------------------------------------------------------------------------------

// From the numbers of guesses, each 1 … 27, that a reader needed: bounds on the entropy in bits per letter.
// q_i is the share of letters found at guess i. Upper: −Σ q_i log2 q_i, the entropy of the guess numbers, from which
// the text can be rebuilt. Lower: Σ i (q_i − q_{i+1}) log2 i. Source: Shannon (1951), section 5, equation 17.
export function shannonBounds(guesses, alphabetSize = 27) {
  const q = new Float64Array(alphabetSize + 2);
  for (const g of guesses) q[g] += 1 / guesses.length;
  let [upper, lower, square] = [0, 0, 0];
  for (let i = 1; i <= alphabetSize; i++) {
    lower += i * (q[i] - q[i + 1]) * Math.log2(i);
    if (q[i] === 0) continue;
    upper -= q[i] * Math.log2(q[i]);
    square += q[i] * Math.log2(q[i]) ** 2;
  }
  const standardError = guesses.length ? Math.sqrt(Math.max(square - upper ** 2, 0) / guesses.length) : 0;
  return { upper, lower, standardError, q };
}
