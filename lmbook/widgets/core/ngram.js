// n-grams: count, then smooth. `dist(prefix, order)` is a Float64Array of V probabilities, equal to those of
// lmbook.ngram.NGramLM.

/**
 * Finds the number of an n-gram from the number of its first n − 1 tokens and its last token. An open-addressing hash
 * table: an n-gram takes the first free slot from its key's on.
 */
class NGramIndex {
  /**
   * @param {number} capacity the most n-grams that there can be
   * @param {number} vocabSize
   */
  constructor(capacity, vocabSize) {
    this.mask = 2 ** Math.ceil(Math.log2(2 * capacity + 2)) - 1;
    this.slots = new Int32Array(this.mask + 1).fill(-1);
    this.parent = new Int32Array(capacity);
    this.token = new Int32Array(capacity);
    this.vocabSize = vocabSize;
    this.size = 0;
  }

  /**
   * @param {number} parent
   * @param {number} token
   */
  slot(parent, token) {
    let at = (Math.imul(parent * this.vocabSize + token, 0x9e3779b1) >>> 7) & this.mask;
    while (this.slots[at] >= 0) {
      const id = this.slots[at];
      if (this.parent[id] === parent && this.token[id] === token) break;
      at = (at + 1) & this.mask;
    }
    return at;
  }

  /**
   * The number of an n-gram, −1 if it isn't there.
   * @param {number} parent
   * @param {number} token
   */
  find(parent, token) {
    return this.slots[this.slot(parent, token)];
  }

  /**
   * The number of an n-gram, added if it is new.
   * @param {number} parent
   * @param {number} token
   */
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

/**
 * Per order: a count of each n-gram, and for each context the total of its counts and how many of them aren't zero.
 * @param {NGramIndex} index
 * @param {Float64Array} counts
 * @param {number} numContexts
 */
function summarise(index, counts, numContexts) {
  const totals = new Float64Array(numContexts);
  const types = new Float64Array(numContexts);
  let [ones, twos] = [0, 0];
  for (let id = 0; id < index.size; id++) {
    if (counts[id] === 0) continue;
    totals[index.parent[id]] += counts[id];
    types[index.parent[id]] += 1;
    if (counts[id] === 1) ones += 1;
    if (counts[id] === 2) twos += 1;
  }
  return { counts, totals, types, discount: ones && twos ? ones / (ones + 2 * twos) : 0.5 };
}

/** @typedef {ReturnType<typeof summarise>} Summary */
/** @typedef {{ index: NGramIndex, plain: Summary, continuation: Summary }} Level of one order */

/**
 * Counts the n-grams of orders 1 … maxOrder, and predicts with any order up to there by interpolated Kneser–Ney
 * smoothing, as lmbook.ngram.NGramLM does:
 *   P_n(w | h) = max(c(h w) − D, 0) / Σ c(h ·)  +  D · N(h) / Σ c(h ·) · P_{n−1}(w | h without its first token)
 * with plain counts at the highest order and, below it, continuation counts: before how many different tokens.
 */
export class NGramCounts {
  /**
   * @param {number} vocabSize
   * @param {number} maxOrder
   */
  constructor(vocabSize, maxOrder) {
    this.vocabSize = vocabSize;
    this.maxOrder = maxOrder;
    /** @type {Level[]} */
    this.levels = [];
  }

  /**
   * @param {ArrayLike<number>} ids
   * @param {number} [rowLength] no n-gram crosses a row
   */
  read(ids, rowLength = ids.length) {
    const steps = this.readInSteps(ids, rowLength);
    while (!steps.next().done);
    return this;
  }

  /**
   * The same, in steps: yields the share that is done every few milliseconds, so that the page stays responsive.
   * @param {ArrayLike<number>} ids
   * @param {number} [rowLength]
   * @param {number} [stride] tokens between two yields
   * @returns {Generator<number, void, void>}
   */
  *readInSteps(ids, rowLength = ids.length, stride = 20_000) {
    this.levels = [];
    let ending = new Int32Array(ids.length); // number of the (n − 1)-gram that ends at each place; n = 1: the empty one
    /** @type {{ index: NGramIndex, counts: Float64Array } | null} */
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
        if (continuation && index.size > size) continuation[ending[i]] += 1; // a new token before this (n − 1)-gram
        counts[id] += 1;
        followers[i] = id;
      }
      if (shorter && continuation) this.addLevel(shorter, continuation);
      shorter = { index, counts };
      ending = followers;
    }
  }

  /**
   * @param {{ index: NGramIndex, counts: Float64Array }} counted
   * @param {Float64Array} continuation
   */
  addLevel({ index, counts }, continuation) {
    const numContexts = this.levels.at(-1)?.index.size ?? 1;
    const plain = summarise(index, counts, numContexts);
    this.levels.push({ index, plain, continuation: summarise(index, continuation, numContexts) });
  }

  /**
   * The number of the n-gram `gram`, −1 if it never occurred.
   * @param {number[]} gram
   */
  find(gram) {
    let id = 0;
    for (let n = 0; n < gram.length && id >= 0; n++) id = this.levels[n].index.find(id, gram[n]);
    return id;
  }

  /**
   * How often the tokens `gram` occur in the text, one after the other.
   * @param {number[]} gram
   */
  count(gram) {
    const id = this.find(gram);
    return id < 0 ? 0 : this.levels[gram.length - 1].plain.counts[id];
  }

  /**
   * @param {number[]} prefix
   * @param {number} order
   */
  dist(prefix, order) {
    const V = this.vocabSize;
    const probs = new Float64Array(V).fill(1 / V);
    for (let n = 1; n <= Math.min(order, prefix.length + 1); n++) {
      const context = this.find(prefix.slice(prefix.length - n + 1));
      const { index, plain, continuation } = this.levels[n - 1];
      const { counts, totals, types, discount } = n === order ? plain : continuation;
      if (context < 0 || totals[context] === 0) continue; // never seen: use the lower order
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
