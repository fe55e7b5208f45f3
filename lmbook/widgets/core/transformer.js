// The transformer of lmbook.transformer in the page: the same weights and arithmetic, without a library.
//
// A token's vector x (D numbers) passes through blocks. Each block adds the output of attention, then that of a small
// network; at the end the logits are the products of x with every word's embedding.
//
// T tokens, V words, D width, H query heads, K key/value heads (each serves H / K query heads), E = D / H numbers a
// head, F width of the feed-forward part. Matrices are stored row by row: weight[r · columns + c].
import { readFloat16 } from './bytes.js';
import { CachedSession } from './session.js';

/** @import { Memory } from './session.js' */
/** @typedef {Float32Array | Float64Array} Vector */
/** @typedef {ReturnType<typeof readWeights>['blocks'][number]} Block */
/** @typedef {(layer: number, head: number, query: number, shares: Float64Array) => void} AttentionRecord */

/**
 * @typedef {object} TransformerConfig lmbook.transformer.model's, as far as the page needs it
 * @property {number} vocab_size
 * @property {number} extra_input_ids
 * @property {number} d_model
 * @property {number} num_heads
 * @property {number} num_kv_heads
 * @property {number} num_layers
 * @property {number} d_ff
 * @property {number} context_length
 * @property {number} norm_eps
 * @property {number} rope_base
 * @property {boolean} tie_embeddings
 * @property {boolean} causal
 */

/**
 * @typedef {object} TransformerHeader
 * @property {TransformerConfig} config
 * @property {number} [offset] where the weights begin
 * @property {number | null} [mask_token_id]
 * @property {number[]} [start]
 */

/**
 * out = weight · x, which takes nearly all of a model's time. Four rows at a time read x once instead of four times,
 * and their sums are independent.
 * @param {Vector} out
 * @param {Float32Array} weight
 * @param {Vector} x
 * @param {number} rows
 * @param {number} columns
 * @param {number} [xAt] where in `x` the vector begins
 */
function multiply(out, weight, x, rows, columns, xAt = 0) {
  let r = 0;
  for (; r + 3 < rows; r += 4) {
    let [a, b, c, d] = [0, 0, 0, 0];
    const [second, third, fourth] = [columns, 2 * columns, 3 * columns];
    for (let i = r * columns, end = i + columns, j = xAt; i < end; i++, j++) {
      const value = x[j];
      a += weight[i] * value;
      b += weight[i + second] * value;
      c += weight[i + third] * value;
      d += weight[i + fourth] * value;
    }
    out[r] = a;
    out[r + 1] = b;
    out[r + 2] = c;
    out[r + 3] = d;
  }
  for (; r < rows; r++) {
    let sum = 0;
    for (let i = 0; i < columns; i++) sum += weight[r * columns + i] * x[xAt + i];
    out[r] = sum;
  }
}

/**
 * RMSNorm: scale a vector to mean square 1, then multiply by the weights.
 * @param {Vector} out
 * @param {number} outAt
 * @param {Vector} x
 * @param {number} xAt
 * @param {Float32Array} weight
 * @param {number} eps
 */
function normalise(out, outAt, x, xAt, weight, eps) {
  let squares = 0;
  for (let i = 0; i < weight.length; i++) squares += x[xAt + i] ** 2;
  const scale = 1 / Math.sqrt(squares / weight.length + eps);
  for (let i = 0; i < weight.length; i++) out[outAt + i] = x[xAt + i] * scale * weight[i];
}

/**
 * Softmax in place: e^score, divided by their sum. The largest score is subtracted first, so that nothing overflows.
 * @param {Float64Array} scores
 * @param {number} length
 */
function shareOut(scores, length) {
  let [top, total] = [-Infinity, 0];
  for (let s = 0; s < length; s++) top = Math.max(top, scores[s]);
  for (let s = 0; s < length; s++) total += scores[s] = Math.exp(scores[s] - top);
  for (let s = 0; s < length; s++) scores[s] /= total;
}

/**
 * cos and sin of position × frequency for each position and each of a head's E / 2 pairs; rounded as in PyTorch.
 * @param {number} length
 * @param {number} width
 * @param {number} base
 */
function rotaryTables(length, width, base) {
  const half = width / 2;
  const [cos, sin] = [new Float32Array(length * half), new Float32Array(length * half)];
  for (let i = 0; i < half; i++) {
    const frequency = Math.fround(base ** -Math.fround((2 * i) / width));
    for (let t = 0; t < length; t++) {
      const angle = Math.fround(t * frequency);
      cos[t * half + i] = Math.cos(angle);
      sin[t * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}

/**
 * The weights in the order in which they are packed.
 * @param {{ D: number, F: number, KE: number, L: number, numInputs: number, vocabSize: number }} sizes
 * @param {DataView} view
 * @param {number} offset
 * @param {boolean} tied whether input and output embeddings are the same
 */
function readWeights({ D, F, KE, L, numInputs, vocabSize }, view, offset, tied) {
  /** @param {number} size */
  const take = (size) => {
    const numbers = readFloat16(view, offset, size);
    offset += 2 * size;
    return numbers;
  };
  const embedding = take(numInputs * D);
  const blocks = Array.from({ length: L }, () => ({
    attentionNorm: take(D),
    qkv: take((D + 2 * KE) * D), // one product makes query, key and value
    out: take(D * D),
    feedForwardNorm: take(D),
    gateUp: take(2 * F * D),
    down: take(D * F),
  }));
  const norm = take(D);
  return { embedding, blocks, norm, unembedding: tied ? embedding : take(vocabSize * D) };
}

/** The transformer whose weights begin at header.offset of a DataView. */
export class Transformer {
  /**
   * @param {TransformerHeader} header that of lmbook.widgets.packing
   * @param {DataView} view
   */
  constructor({ config, offset = 0, mask_token_id = null, start = [] }, view) {
    this.vocabSize = config.vocab_size;
    this.causal = config.causal;
    this.maskTokenId = mask_token_id;
    this.start = start; // ids read before the first token of any prefix
    this.capacity = config.context_length;
    this.contextLength = this.capacity - start.length;
    this.numInputs = config.vocab_size + config.extra_input_ids; // the mask token can be read, never predicted
    this.eps = config.norm_eps;
    this.D = config.d_model;
    this.H = config.num_heads;
    this.K = config.num_kv_heads;
    this.L = config.num_layers;
    this.F = config.d_ff;
    this.E = this.D / this.H;
    this.KE = this.K * this.E;
    this.rotary = rotaryTables(this.capacity, this.E, config.rope_base);
    this.weights = readWeights(this, view, offset, config.tie_embeddings);
    // Buffers, made once for all tokens.
    this.work = {
      x: new Float64Array(this.capacity * this.D),
      queries: new Float64Array(this.capacity * this.D),
      normed: new Float64Array(this.D),
      qkv: new Float64Array(this.D + 2 * this.KE),
      scores: new Float64Array(this.capacity),
      context: new Float64Array(this.D),
      wide: new Float64Array(2 * this.F),
      added: new Float64Array(this.D),
    };
    /** @type {CachedSession | null} the session behind `dist` */
    this.reader = null;
  }

  /**
   * Reads `ids` after the tokens in `memory` and adds them to it: their keys and values, and in `hidden` the vectors
   * from which logits are made. `record(layer, head, query, shares)` is called with the attention weights.
   * @param {number[]} ids
   * @param {Memory} memory
   * @param {AttentionRecord | null} [record]
   */
  read(ids, memory, record = null) {
    this.check(ids, memory.length);
    const { D, work, weights: { embedding, blocks, norm } } = this;
    const { x } = work;
    const past = memory.length;
    ids.forEach((id, t) => {
      for (let i = 0; i < D; i++) x[t * D + i] = embedding[id * D + i];
    });
    for (let layer = 0; layer < blocks.length; layer++) {
      const block = blocks[layer];
      for (let t = 0; t < ids.length; t++) this.project(block, t, past + t, memory.keys[layer], memory.values[layer]);
      for (let t = 0; t < ids.length; t++) {
        const seen = this.causal ? past + t + 1 : past + ids.length; // causal: later tokens are hidden
        /** @type {((head: number, shares: Float64Array) => void) | null} */
        const watch = record && ((head, shares) => record(layer, head, past + t, shares.subarray(0, seen)));
        this.attend(t, seen, memory.keys[layer], memory.values[layer], watch);
        multiply(work.added, block.out, work.context, D, D);
        for (let i = 0; i < D; i++) x[t * D + i] += work.added[i];
        this.feedForward(block, t * D);
      }
    }
    for (let t = 0; t < ids.length; t++) normalise(memory.hidden, (past + t) * D, x, t * D, norm, this.eps);
    memory.length += ids.length;
  }

  /**
   * Query, key and value of new token t at `position`. Rotary positions: numbers i and i + E / 2 of a head are a point
   * in the plane, rotated by position × frequency; query · key depends on the difference of positions.
   * @param {Block} block
   * @param {number} t
   * @param {number} position
   * @param {Float32Array} keys
   * @param {Float32Array} values
   */
  project(block, t, position, keys, values) {
    const { D, E, KE, work: { x, normed, qkv, queries } } = this;
    const half = E / 2;
    normalise(normed, 0, x, t * D, block.attentionNorm, this.eps);
    multiply(qkv, block.qkv, normed, D + 2 * KE, D);
    for (let head = 0; head < D + KE; head += E) {
      for (let i = 0; i < half; i++) {
        const [cos, sin] = [this.rotary.cos[position * half + i], this.rotary.sin[position * half + i]];
        const [a, b] = [qkv[head + i], qkv[head + i + half]];
        qkv[head + i] = a * cos - b * sin;
        qkv[head + i + half] = b * cos + a * sin;
      }
    }
    for (let i = 0; i < D; i++) queries[t * D + i] = qkv[i];
    for (let i = 0; i < KE; i++) {
      keys[position * KE + i] = qkv[D + i];
      values[position * KE + i] = qkv[D + KE + i];
    }
  }

  /**
   * Each head of token t compares its query with the keys of the first `seen` tokens and sums their values, weighted by
   * attention.
   * @param {number} t
   * @param {number} seen
   * @param {Float32Array} keys
   * @param {Float32Array} values
   * @param {((head: number, shares: Float64Array) => void) | null} watch
   */
  attend(t, seen, keys, values, watch) {
    const { D, H, K, E, KE, work: { queries, scores, context } } = this;
    for (let head = 0; head < H; head++) {
      const query = t * D + head * E;
      const group = Math.floor((head * K) / H) * E;
      for (let s = 0; s < seen; s++) {
        let score = 0;
        for (let i = 0; i < E; i++) score += queries[query + i] * keys[s * KE + group + i];
        scores[s] = score / Math.sqrt(E);
      }
      shareOut(scores, seen);
      watch?.(head, scores);
      for (let i = 0; i < E; i++) context[head * E + i] = 0;
      for (let s = 0; s < seen; s++) {
        for (let i = 0; i < E; i++) context[head * E + i] += scores[s] * values[s * KE + group + i];
      }
    }
  }

  /**
   * SwiGLU: one half of a wide layer, through x · sigmoid(x), gates the other; then a projection back to D.
   * @param {Block} block
   * @param {number} at
   */
  feedForward(block, at) {
    const { D, F, work: { x, normed, wide, added } } = this;
    normalise(normed, 0, x, at, block.feedForwardNorm, this.eps);
    multiply(wide, block.gateUp, normed, 2 * F, D);
    for (let i = 0; i < F; i++) wide[i] *= wide[F + i] / (1 + Math.exp(-wide[i]));
    multiply(added, block.down, wide, D, F);
    for (let i = 0; i < D; i++) x[at + i] += added[i];
  }

  /**
   * @param {Float32Array} hidden
   * @param {number} t
   */
  unembed(hidden, t) {
    const logits = new Float32Array(this.vocabSize);
    multiply(logits, this.weights.unembedding, hidden, this.vocabSize, this.D, t * this.D);
    return logits;
  }

  /**
   * Throws if ids are outside the vocabulary or more than the context holds.
   * @param {number[]} ids
   * @param {number} past
   */
  check(ids, past) {
    const stranger = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < this.numInputs));
    if (stranger !== undefined) throw new RangeError(`id ${stranger} is outside the vocabulary of ${this.numInputs}`);
    const length = past + ids.length;
    if (length > this.capacity) {
      throw new RangeError(`the sequence is ${length} tokens long, the model reads at most ${this.capacity}`);
    }
  }

  /** @returns {Memory} */
  newMemory() {
    const { L, D, KE, capacity } = this;
    const rows = () => Array.from({ length: L }, () => new Float32Array(capacity * KE));
    return { length: 0, keys: rows(), values: rows(), hidden: new Float32Array(capacity * D) };
  }

  /**
   * T rows of V logits. Row t of a causal model predicts the token after t, of a masked one token t itself.
   * @param {number[]} ids
   */
  logits(ids) {
    const memory = this.newMemory();
    this.read(ids, memory);
    return ids.map((_, t) => this.unembed(memory.hidden, t));
  }

  /**
   * weights[layer][head] (T · T): row t is how much token t attends to each token.
   * @param {number[]} ids
   */
  attention(ids) {
    const T = ids.length;
    const heads = () => Array.from({ length: this.H }, () => new Float32Array(T * T));
    const weights = Array.from({ length: this.L }, heads);
    this.read(ids, this.newMemory(), (layer, head, t, shares) => weights[layer][head].set(shares, t * T));
    return weights;
  }

  /** @param {number[]} [ids] */
  session(ids = []) {
    if (!this.causal) throw new TypeError('a masked model sees both sides of a token and can’t go on from a prefix');
    return new CachedSession(this).follow(ids);
  }

  /**
   * P(next token | prefix). A session stores the last prefix, so that one more token costs one token.
   * @param {number[]} prefix
   */
  dist(prefix) {
    this.reader ??= this.session();
    return this.reader.follow(prefix).dist();
  }
}
