// A transformer with the weights' derivatives beside the weights, and switches that break it: what the laboratory
// trains. The architecture and the names of the parameters are those of lmbook.CausalLM, without dropout.
import { crossEntropy, QUERIES_TOGETHER } from './gradients.js';
import { Kernels } from './kernels.js';
import { backwardPass, forwardPass } from './passes.js';
import { numbersOf, placeParameters, placesOf, takeAll } from './places.js';
import { trainingProducts } from './training_kernels.js';
import { rotaryTables } from './transformer.js';
import { softmax } from './filters.js';

/** @import { Parameter, Place } from './gradients.js' */
/** @import { TransformerConfig } from './transformer.js' */

/**
 * What the model has; false breaks it.
 * @typedef {object} Parts
 * @property {boolean} mask a token sees only itself and earlier ones
 * @property {boolean} positions rotary positions
 * @property {boolean} residuals a branch's output is added to its input; otherwise it takes its place
 * @property {boolean} norms otherwise vectors pass unchanged, and the norms' weights learn nothing
 * @property {boolean} rows attention runs along a row; otherwise across the batch, from row to row at the same place
 */

/**
 * Rows of ids, one after another; each token but the first of its row is to be predicted.
 * @typedef {object} Batch
 * @property {ArrayLike<number>} ids rows · length
 * @property {number} rows
 * @property {number} length
 */

/** @typedef {ReturnType<typeof layerSizes>} LayerSizes */
/** @typedef {Record<keyof LayerSizes, Place>} LayerWork what the way back needs of a layer */

/** @type {Parts} */
const ALL_PARTS = { mask: true, positions: true, residuals: true, norms: true, rows: true };

/**
 * Name and shape of each parameter, in the order of lmbook's state_dict.
 * @param {TransformerConfig} config
 * @returns {[string, number[]][]}
 */
export function parameterShapes(config) {
  const { vocab_size: V, extra_input_ids: extra, d_model: D, num_heads: H, num_kv_heads: K, d_ff: F } = config;
  /** @type {[string, number[]][]} */
  const shapes = [['embedding.weight', [V + extra, D]]];
  for (let l = 0; l < config.num_layers; l++) {
    shapes.push(
      [`blocks.${l}.attention_norm.weight`, [D]],
      [`blocks.${l}.attention.qkv.weight`, [D + 2 * K * (D / H), D]],
      [`blocks.${l}.attention.out.weight`, [D, D]],
      [`blocks.${l}.feed_forward_norm.weight`, [D]],
      [`blocks.${l}.feed_forward.gate_up.weight`, [2 * F, D]],
      [`blocks.${l}.feed_forward.down.weight`, [D, F]],
    );
  }
  shapes.push(['norm.weight', [D]]);
  if (!config.tie_embeddings) shapes.push(['unembedding.weight', [V, D]]);
  return shapes;
}

/**
 * Numbers that a layer stores of a row of T tokens.
 * @param {TransformerConfig} config
 * @param {number} T
 */
function layerSizes({ d_model: D, num_heads: H, num_kv_heads: K, d_ff: F }, T) {
  return {
    x: T * D, // the stream before the layer
    normed: T * D,
    qkv: T * (D + 2 * K * (D / H)),
    shares: H * T * T, // attention weights
    context: T * D,
    middle: T * D, // the stream between attention and the feed-forward part
    normedMiddle: T * D,
    wide: T * 2 * F,
    gates: T * F,
    hidden: T * F,
  };
}

/**
 * Numbers that are needed once, for all layers.
 * @param {TransformerConfig} config
 * @param {number} T
 */
function workSizes({ vocab_size: V, d_model: D, num_heads: H, num_kv_heads: K, d_ff: F }, T) {
  return {
    added: T * D, // a branch's output
    last: T * D, // the stream after the last layer
    normed: T * D,
    logits: T * V, // and then the derivatives by them
    dx: T * D,
    dNormed: T * D,
    dHidden: T * F,
    dWide: T * 2 * F,
    dContext: T * D,
    dShares: QUERIES_TOGETHER * T,
    dQkv: T * (D + 2 * K * (D / H)),
  };
}

/**
 * Numbers of the matrices that are multiplied faster by their transposed copies; the embedding is a table first.
 * @param {[string, number[]][]} shapes
 */
function acrossSizes(shapes) {
  const matrices = shapes.filter(([name, shape]) =>
    shape.length > 1 && shape[0] % 16 === 0 && name.startsWith('blocks')
  );
  return Object.fromEntries(matrices.map(([name, shape]) => [name, numbersOf(shape)]));
}

export class TrainableTransformer {
  /**
   * All memory is taken here. The weights are 0: see `initialise`.
   * @param {TransformerConfig} config
   * @param {object} [options]
   * @param {Partial<Parts>} [options.parts]
   * @param {number} [options.capacity] tokens of the longest row (without `rows`: the most rows of a batch)
   * @param {Kernels} [options.kernels]
   */
  constructor(config, { parts = {}, capacity = config.context_length, kernels = new Kernels() } = {}) {
    const { d_model: D, num_heads: H, num_kv_heads: K, num_layers: L } = config;
    this.config = config;
    this.parts = { ...ALL_PARTS, ...parts };
    this.capacity = capacity;
    this.kernels = kernels;
    this.fast = { run: trainingProducts(kernels) };
    this.vocabSize = config.vocab_size;
    this.numInputs = config.vocab_size + config.extra_input_ids;
    this.contextLength = this.parts.rows ? Math.min(capacity, config.context_length) : config.context_length;
    this.D = D;
    this.E = D / H;
    this.KE = K * this.E;
    this.F = config.d_ff;
    this.heads = H + K; // that are turned: queries and keys
    this.eps = config.norm_eps;
    this.shape = { T: 0, H, K, E: this.E, causal: this.parts.mask && config.causal };
    this.rotary = rotaryTables(capacity, this.E, config.rope_base);
    this.inputs = new Int32Array(capacity);
    this.targets = new Int32Array(capacity);
    const shapes = parameterShapes(config);
    this.size = shapes.reduce((sum, [, shape]) => sum + numbersOf(shape), 0);
    const [valuesAt, gradientsAt] = [kernels.take(4 * this.size), kernels.take(4 * this.size)];
    const work = takeAll(kernels, workSizes(config, capacity));
    const layers = Array.from({ length: L }, () => takeAll(kernels, layerSizes(config, capacity)));
    const across = takeAll(kernels, kernels.simd ? acrossSizes(shapes) : {});
    // the memory has its size now, and views of it last
    this.values = kernels.floats(valuesAt, this.size);
    this.gradients = kernels.floats(gradientsAt, this.size);
    this.work = placesOf(kernels, work);
    this.layers = layers.map((layer) => placesOf(kernels, layer));
    this.parameters = placeParameters(shapes, valuesAt, gradientsAt, kernels);
    for (const [name, place] of Object.entries(placesOf(kernels, across))) {
      for (const parameter of this.parameters) if (parameter.name === name) parameter.across = place;
    }
    this.weights = namedWeights(config, this.parameters);
  }

  /**
   * The mean loss over the batch's predicted tokens, nats per token; `gradients` become its derivatives.
   * @param {Batch} batch
   */
  lossAndGradients(batch) {
    this.gradients.fill(0);
    return this.pass(batch, true);
  }

  /**
   * The same loss without derivatives.
   * @param {Batch} batch
   */
  loss(batch) {
    return this.pass(batch, false);
  }

  /**
   * @param {Batch} batch
   * @param {boolean} train
   */
  pass(batch, train) {
    this.checkBatch(batch);
    const { ids, rows, length } = batch;
    this.transposeWeights();
    const n = rows * (length - 1);
    const along = this.parts.rows;
    const [count, T] = along ? [rows, length - 1] : [length - 1, rows];
    const [outer, inner] = along ? [length, 1] : [1, length];
    let sum = 0;
    for (let row = 0; row < count; row++) {
      for (let t = 0; t < T; t++) {
        const at = row * outer + t * inner;
        this.inputs[t] = ids[at];
        this.targets[t] = ids[at + 1];
      }
      forwardPass(this, T);
      sum += crossEntropy(this.fast, this.work.logits, this.targets, T, this.vocabSize, n);
      if (train) backwardPass(this, T);
    }
    return sum / n;
  }

  /** The transposed copies follow the weights, which an optimiser or a reader may have changed. */
  transposeWeights() {
    for (const { across, value, shape: [R, C] } of this.parameters) {
      if (!across) continue;
      for (let r = 0; r < R; r++) {
        for (let c = 0; c < C; c++) across.view[c * R + r] = value[r * C + c];
      }
    }
  }

  /**
   * Rows of V logits; row t predicts the token after t. Without `rows` a text by itself is a batch of one, where each
   * token sees only itself.
   * @param {ArrayLike<number>} ids
   */
  logits(ids) {
    this.checkIds(ids, this.numInputs);
    if (ids.length > this.contextLength) {
      throw new RangeError(`the sequence is ${ids.length} tokens long, the model reads at most ${this.contextLength}`);
    }
    this.transposeWeights();
    const V = this.vocabSize;
    const [count, T] = this.parts.rows ? [1, ids.length] : [ids.length, 1];
    /** @type {Float32Array[]} */
    const rows = [];
    for (let first = 0; first < count; first++) {
      for (let t = 0; t < T; t++) this.inputs[t] = ids[first + t];
      forwardPass(this, T);
      for (let t = 0; t < T; t++) rows.push(this.work.logits.view.slice(t * V, (t + 1) * V));
    }
    return rows;
  }

  /**
   * P(next token | prefix).
   * @param {number[]} prefix
   */
  dist(prefix) {
    if (!prefix.length) throw new RangeError('the model predicts from what stands there: it needs a token');
    return softmax(this.logits(prefix)[prefix.length - 1]);
  }

  /** @param {Batch} batch */
  checkBatch({ ids, rows, length }) {
    if (!(rows >= 1 && length >= 2 && ids.length === rows * length)) {
      throw new RangeError(`a batch has rows of at least 2 ids, got ${ids.length} as ${rows} rows of ${length}`);
    }
    const [T, limit] = this.parts.rows ? [length - 1, this.contextLength] : [rows, this.capacity];
    if (!(T <= limit)) throw new RangeError(`attention would run over ${T} tokens, this model has room for ${limit}`);
    this.checkIds(ids, this.vocabSize);
  }

  /**
   * @param {ArrayLike<number>} ids
   * @param {number} limit
   */
  checkIds(ids, limit) {
    for (let i = 0; i < ids.length; i++) {
      if (!(Number.isInteger(ids[i]) && ids[i] >= 0 && ids[i] < limit)) {
        throw new RangeError(`id ${ids[i]} is outside the vocabulary of ${limit}`);
      }
    }
  }
}

/**
 * The parameters by their use; the tied output is the embedding, without ids that can't be predicted.
 * @param {TransformerConfig} config
 * @param {Parameter[]} parameters
 */
function namedWeights({ vocab_size: V, d_model: D, num_layers: L, tie_embeddings: tied }, parameters) {
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  const get = (/** @type {string} */ name) => /** @type {Parameter} */ (byName.get(`${name}.weight`));
  const embedding = get('embedding');
  return {
    embedding,
    blocks: Array.from({ length: L }, (_, l) => ({
      attentionNorm: get(`blocks.${l}.attention_norm`),
      qkv: get(`blocks.${l}.attention.qkv`),
      out: get(`blocks.${l}.attention.out`),
      feedForwardNorm: get(`blocks.${l}.feed_forward_norm`),
      gateUp: get(`blocks.${l}.feed_forward.gate_up`),
      down: get(`blocks.${l}.feed_forward.down`),
    })),
    norm: get('norm'),
    unembedding: tied ? { ...embedding, shape: [V, D] } : get('unembedding'),
  };
}
