// The transformer of lmbook.transformer in the page: the same weights and arithmetic, without a library.
//
// A token's vector x (D numbers) passes through blocks. Each block adds the output of attention, then that of a small
// network; at the end the logits are the products of x with every word's embedding.
//
// T tokens, V words, D width, H query heads, K key/value heads (each serves H / K query heads), E = D / H numbers a
// head, F width of the feed-forward part. Matrices are stored row by row: weight[r · columns + c].
import { readFloat16 } from './bytes.js';
import { Kernels } from './kernels.js';
import { CachedSession } from './session.js';

/** @import { Matrix } from './kernels.js' */
/** @import { Memory } from './session.js' */
/** @typedef {(layer: number, head: number, query: number, shares: Float32Array) => void} AttentionRecord */

/**
 * One block's weights. A product of x may have several matrices, whose results follow each other.
 * @typedef {object} Block
 * @property {Float32Array} attentionNorm
 * @property {Matrix[]} qkv query, key and value
 * @property {Matrix[]} out
 * @property {Float32Array} feedForwardNorm
 * @property {Matrix[]} gateUp
 * @property {Matrix[]} down
 */

/** @typedef {{ embedding: Matrix, blocks: Block[], norm: Float32Array, unembedding: Matrix }} Weights */

// Tokens of a causal model that are read at a time: each product reads its weights once for all of them.
const TOKENS_AT_ONCE = 32;

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
 * RMSNorm: scale a vector to mean square 1, then multiply by the weights.
 * @param {Float32Array} out
 * @param {number} outAt
 * @param {Float64Array} x
 * @param {number} xAt
 * @param {Float32Array} weight
 * @param {number} eps
 */
function normalise(out, outAt, x, xAt, weight, eps) {
  let squares = 0;
  for (let i = 0; i < weight.length; i++) squares += x[xAt + i] * x[xAt + i];
  const scale = 1 / Math.sqrt(squares / weight.length + eps);
  for (let i = 0; i < weight.length; i++) out[outAt + i] = x[xAt + i] * scale * weight[i];
}

/**
 * Softmax in place: e^(score · scale), divided by their sum. The largest score is subtracted first, so that nothing
 * overflows.
 * @param {Float32Array} scores
 * @param {number} at
 * @param {number} length
 * @param {number} scale
 */
export function shareOut(scores, at, length, scale) {
  let [top, total] = [-Infinity, 0];
  for (let s = at; s < at + length; s++) top = Math.max(top, scores[s]);
  for (let s = at; s < at + length; s++) total += scores[s] = Math.exp((scores[s] - top) * scale);
  for (let s = at; s < at + length; s++) scores[s] /= total;
}

/**
 * cos and sin of position × frequency for each position and each of a head's E / 2 pairs; rounded as in PyTorch.
 * @param {number} length
 * @param {number} width
 * @param {number} base
 */
export function rotaryTables(length, width, base) {
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
 * @param {TransformerConfig} config
 * @param {DataView} view
 * @param {number} offset
 * @param {Kernels} kernels
 * @returns {Weights}
 */
function readWeights(config, view, offset, kernels) {
  const { d_model: D, d_ff: F, num_layers: L, tie_embeddings: tied } = config;
  const KE = (D / config.num_heads) * config.num_kv_heads;
  /** @param {number} size */
  const vector = (size) => {
    const numbers = readFloat16(view, offset, size);
    offset += 2 * size;
    return numbers;
  };
  /**
   * @param {number} rows
   * @param {number} columns
   * @returns {Matrix}
   */
  const matrix = (rows, columns) => {
    const at = kernels.take(4 * rows * columns);
    kernels.floats(at, rows * columns).set(vector(rows * columns));
    return { kind: 'f32', at, rows, columns };
  };
  const embedding = matrix(config.vocab_size + config.extra_input_ids, D);
  const blocks = Array.from({ length: L }, () => ({
    attentionNorm: vector(D),
    qkv: [matrix(D + 2 * KE, D)],
    out: [matrix(D, D)],
    feedForwardNorm: vector(D),
    gateUp: [matrix(2 * F, D)],
    down: [matrix(D, F)],
  }));
  const norm = vector(D);
  const unembedding = tied ? { ...embedding, rows: config.vocab_size } : matrix(config.vocab_size, D);
  return { embedding, blocks, norm, unembedding };
}

/**
 * The transformer whose weights begin at header.offset of a DataView.
 * @param {TransformerHeader} header that of lmbook.widgets.packing
 * @param {DataView} view
 * @param {Kernels} [kernels]
 */
export function readTransformer(header, view, kernels = new Kernels()) {
  return new Transformer(header, readWeights(header.config, view, header.offset ?? 0, kernels), kernels);
}

export class Transformer {
  /**
   * @param {TransformerHeader} header
   * @param {Weights} weights whose matrices lie in the memory of `kernels`
   * @param {Kernels} kernels
   */
  constructor({ config, mask_token_id = null, start = [] }, weights, kernels) {
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
    this.weights = weights;
    this.kernels = kernels;
    this.work = this.takeWork();
    /** @type {CachedSession | null} the session behind `dist` */
    this.reader = null;
  }

  /** Buffers, made once for all tokens: each a place in the kernels' memory and a view of it. */
  takeWork() {
    const { capacity, D, F, KE, kernels, weights } = this;
    const atOnce = this.causal ? Math.min(capacity, TOKENS_AT_ONCE) : capacity;
    const sizes = {
      normed: atOnce * D,
      qkv: atOnce * (D + 2 * KE),
      keysValues: capacity * 2 * KE,
      scores: atOnce * capacity,
      context: atOnce * D,
      wide: atOnce * 2 * F,
      added: atOnce * D,
      logits: weights.unembedding.rows,
    };
    const names = /** @type {(keyof sizes)[]} */ (Object.keys(sizes));
    const at = names.map((name) => kernels.take(4 * sizes[name]));
    const matrices = [
      weights.unembedding,
      ...weights.blocks.flatMap((b) => [...b.qkv, ...b.out, ...b.gateUp, ...b.down]),
    ];
    if (matrices.some(({ kind }) => kind !== 'f32')) kernels.prepareBlocks(Math.max(D, F), atOnce);
    const taken = names.map((name, i) => [name, { at: at[i], view: kernels.floats(at[i], sizes[name]) }]);
    const buffers = /** @type {Record<keyof sizes, { at: number, view: Float32Array }>} */ (Object.fromEntries(taken));
    return { atOnce, x: new Float64Array(atOnce * D), ...buffers };
  }

  /**
   * Reads `ids` after the tokens in `memory` and adds them to it. `record(layer, head, query, shares)` is called with the
   * attention weights. Read at once or one by one, the numbers are the same to the last bit.
   * @param {number[]} ids
   * @param {Memory} memory
   * @param {AttentionRecord | null} [record]
   */
  read(ids, memory, record = null) {
    this.check(ids, memory.length);
    const { atOnce } = this.work;
    for (let t = 0; t < ids.length; t += atOnce) this.readSome(ids.slice(t, t + atOnce), memory, record);
  }

  /**
   * @param {number[]} ids at most as many as are read at once
   * @param {Memory} memory
   * @param {AttentionRecord | null} record
   */
  readSome(ids, memory, record) {
    const { D, KE, L, kernels, work: { x, context, added }, weights: { embedding, blocks, norm } } = this;
    const past = memory.length;
    ids.forEach((id, t) => kernels.copyRow(x, t * D, embedding, id));
    for (const _ of ids) memory.push(new Float32Array(2 * KE * L + D));
    blocks.forEach((block, layer) => {
      this.project(block, layer, ids.length, past, memory);
      this.attend(layer, ids.length, past, memory, record);
      kernels.multiply(added.at, 4 * D, context.at, 4 * D, ids.length, block.out);
      for (let i = 0; i < ids.length * D; i++) x[i] += added.view[i];
      this.feedForward(block, ids.length);
    });
    ids.forEach((_, t) => normalise(memory[past + t], 2 * KE * L, x, t * D, norm, this.eps));
  }

  /**
   * Query, key and value of `count` new tokens after `past` others. Rotary positions: numbers i and i + E / 2 of a head
   * are a point in the plane, rotated by position × frequency; query · key depends on the difference of positions.
   * @param {Block} block
   * @param {number} layer
   * @param {number} count
   * @param {number} past
   * @param {Memory} memory
   */
  project(block, layer, count, past, memory) {
    const { D, E, KE, eps, kernels, work: { x, normed, qkv }, rotary: { cos, sin } } = this;
    const [half, row, numbers] = [E / 2, D + 2 * KE, qkv.view];
    for (let t = 0; t < count; t++) normalise(normed.view, t * D, x, t * D, block.attentionNorm, eps);
    kernels.multiply(qkv.at, 4 * row, normed.at, 4 * D, count, block.qkv);
    for (let t = 0; t < count; t++) {
      const turn = (past + t) * half;
      for (let head = t * row; head < t * row + D + KE; head += E) {
        for (let i = 0; i < half; i++) {
          const [a, b] = [numbers[head + i], numbers[head + i + half]];
          numbers[head + i] = a * cos[turn + i] - b * sin[turn + i];
          numbers[head + i + half] = b * cos[turn + i] + a * sin[turn + i];
        }
      }
      const [kept, from, to] = [memory[past + t], t * row + D, 2 * KE * layer];
      for (let i = 0; i < 2 * KE; i++) kept[to + i] = numbers[from + i];
    }
  }

  /**
   * Each head of the new tokens compares its query with the keys of the tokens that it sees and sums their values,
   * weighted by attention. A causal model's token sees itself and the earlier ones; the weights of later ones are 0.
   * @param {number} layer
   * @param {number} count
   * @param {number} past
   * @param {Memory} memory
   * @param {AttentionRecord | null} record
   */
  attend(layer, count, past, memory, record) {
    const { D, H, K, E, KE, kernels: { run }, work } = this;
    const { qkv, keysValues, scores, context } = work;
    const all = past + count;
    const [queryStep, rowStep, scoreStep] = [4 * (D + 2 * KE), 8 * KE, 4 * all];
    this.gather(layer, memory);
    context.view.fill(0, 0, count * D);
    for (let head = 0; head < H; head++) {
      const group = 4 * Math.floor((head * K) / H) * E; // several query heads may share a key/value head
      const own = 4 * head * E;
      run.products(scores.at, scoreStep, qkv.at + own, queryStep, count, keysValues.at + group, rowStep, all, E);
      for (let t = 0; t < count; t++) {
        const seen = this.causal ? past + t + 1 : all;
        shareOut(scores.view, t * all, seen, 1 / Math.sqrt(E));
        scores.view.fill(0, t * all + seen, (t + 1) * all);
        record?.(layer, head, past + t, scores.view.subarray(t * all, t * all + seen));
      }
      const values = keysValues.at + 4 * KE + group;
      run.combine(context.at + own, 4 * D, scores.at, scoreStep, 4, count, values, rowStep, all, E);
    }
  }

  /**
   * Brings the keys and values of one layer, which lie token by token, into the kernels' memory.
   * @param {number} layer
   * @param {Memory} memory
   */
  gather(layer, memory) {
    const [width, numbers] = [2 * this.KE, this.work.keysValues.view];
    for (let s = 0; s < memory.length; s++) {
      numbers.set(memory[s].subarray(layer * width, layer * width + width), s * width);
    }
  }

  /**
   * SwiGLU: one half of a wide layer, through x · sigmoid(x), gates the other; then a projection back to D.
   * @param {Block} block
   * @param {number} count
   */
  feedForward(block, count) {
    const { D, F, eps, kernels, work: { x, normed, wide, added } } = this;
    for (let t = 0; t < count; t++) normalise(normed.view, t * D, x, t * D, block.feedForwardNorm, eps);
    kernels.multiply(wide.at, 8 * F, normed.at, 4 * D, count, block.gateUp);
    const numbers = wide.view;
    for (let t = 0; t < count; t++) {
      for (let i = 2 * t * F; i < 2 * t * F + F; i++) numbers[i] *= numbers[F + i] / (1 + Math.exp(-numbers[i]));
    }
    kernels.multiply(added.at, 4 * D, wide.at, 8 * F, count, block.down);
    for (let i = 0; i < count * D; i++) x[i] += added.view[i];
  }

  /**
   * The logits of one token.
   * @param {Float32Array} kept what the memory stores of it
   */
  unembed(kept) {
    const { KE, L, kernels, vocabSize, work: { normed, logits } } = this;
    normed.view.set(kept.subarray(2 * KE * L));
    kernels.multiply(logits.at, 0, normed.at, 0, 1, [this.weights.unembedding]);
    return logits.view.slice(0, vocabSize);
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

  /**
   * T rows of V logits. Row t of a causal model predicts the token after t, of a masked one token t itself.
   * @param {number[]} ids
   */
  logits(ids) {
    /** @type {Memory} */
    const memory = [];
    this.read(ids, memory);
    return memory.map((kept) => this.unembed(kept));
  }

  /**
   * weights[layer][head] (T · T): row t is how much token t attends to each token.
   * @param {number[]} ids
   */
  attention(ids) {
    const T = ids.length;
    const heads = () => Array.from({ length: this.H }, () => new Float32Array(T * T));
    const weights = Array.from({ length: this.L }, heads);
    this.read(ids, [], (layer, head, t, shares) => weights[layer][head].set(shares, t * T));
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
