// A network that reads the last n tokens, with the weights' derivatives beside the weights: lmbook's WindowLM, and the
// names of its parameters.
//
//   x = the n tokens' vectors end to end, oldest first;   h = tanh(W x + b);   logits = U h + c
//
// Where a text has fewer than n tokens, row V of the table stands in each place before its first one. A prediction
// depends on nothing but its n tokens, so the places of a batch are computed PLACES at a time, wherever they stand.
//
// Source: Bengio, Ducharme, Vincent and Jauvin 2003, A Neural Probabilistic Language Model, section 2.
import { softmax } from './filters.js';
import { crossEntropy, embed, embedBackward, linear, linearBackward } from './gradients.js';
import { Kernels } from './kernels.js';
import { placeParameters, placesOf, takeAll } from './places.js';
import { seededNormal, seededRandom } from './random.js';
import { trainingProducts } from './training_kernels.js';

/** @import { Parameter } from './gradients.js' */
/** @import { Batch } from './trainable.js' */

/** @typedef {{ vocab_size: number, window: number, d_embedding: number, d_hidden: number }} WindowConfig */

const PLACES = 128;

/**
 * Name and shape of each parameter, in the order of lmbook's state_dict.
 * @param {WindowConfig} config
 * @returns {[string, number[]][]}
 */
export function windowShapes({ vocab_size: V, window: n, d_embedding: E, d_hidden: H }) {
  return [
    ['embedding.weight', [V + 1, E]],
    ['hidden.weight', [H, n * E]],
    ['hidden.bias', [H]],
    ['output.weight', [V, H]],
    ['output.bias', [V]],
  ];
}

export class TrainableWindow {
  /**
   * All memory is taken here. The weights are 0: see `initialiseWindow`.
   * @param {WindowConfig} config
   * @param {{ kernels?: Kernels }} [options]
   */
  constructor(config, { kernels = new Kernels() } = {}) {
    const { vocab_size: V, window: n, d_embedding: E, d_hidden: H } = config;
    this.config = config;
    this.kernels = kernels;
    this.fast = { run: trainingProducts(kernels) };
    this.vocabSize = this.numInputs = V;
    this.contextLength = Infinity;
    this.inputs = new Int32Array(PLACES * n);
    this.targets = new Int32Array(PLACES);
    const shapes = windowShapes(config);
    this.size = shapes.reduce((sum, [, [rows, columns = 1]]) => sum + rows * columns, 0);
    const [valuesAt, gradientsAt] = [kernels.take(4 * this.size), kernels.take(4 * this.size)];
    const [wide, inner, out] = [PLACES * n * E, PLACES * H, PLACES * V];
    const work = takeAll(kernels, { x: wide, h: inner, logits: out, dx: wide, dh: inner });
    this.values = kernels.floats(valuesAt, this.size);
    this.gradients = kernels.floats(gradientsAt, this.size);
    this.work = placesOf(kernels, work);
    this.parameters = placeParameters(shapes, valuesAt, gradientsAt, kernels);
  }

  /**
   * The mean loss over the batch's predicted tokens, nats per token; `gradients` become its derivatives. The first
   * token of a row is given, as it is to the transformer.
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
  pass({ ids, rows, length }, train) {
    if (!(rows >= 1 && length >= 2 && ids.length === rows * length)) {
      throw new RangeError(`a batch has rows of at least 2 ids, got ${ids.length} as ${rows} rows of ${length}`);
    }
    this.checkIds(ids);
    const total = rows * (length - 1);
    let sum = 0;
    for (let first = 0; first < total; first += PLACES) {
      const count = Math.min(PLACES, total - first);
      for (let i = 0; i < count; i++) {
        const row = Math.floor((first + i) / (length - 1));
        const at = (first + i) % (length - 1);
        this.look(i, ids, row * length, at);
        this.targets[i] = ids[row * length + at + 1];
      }
      this.forward(count);
      sum += crossEntropy(this.fast, this.work.logits, this.targets, count, this.vocabSize, total);
      if (train) this.backward(count);
    }
    return sum / total;
  }

  /**
   * Place i of the next pass reads the n tokens that end with the `at`-th of a row.
   * @param {number} i
   * @param {ArrayLike<number>} ids
   * @param {number} start of the row
   * @param {number} at
   */
  look(i, ids, start, at) {
    const { window: n, vocab_size: V } = this.config;
    for (let k = 0; k < n; k++) {
      const from = at - n + 1 + k;
      this.inputs[i * n + k] = from < 0 ? V : ids[start + from];
    }
  }

  /** @param {number} count */
  forward(count) {
    const { fast, work: { x, h, logits }, parameters: [table, W, b, U, c], config: { window: n } } = this;
    embed(x.view, table, this.inputs, count * n);
    linear(fast, h, x, W, count);
    addBias(h.view, b, count);
    for (let i = 0; i < count * b.value.length; i++) h.view[i] = Math.tanh(h.view[i]);
    linear(fast, logits, h, U, count);
    addBias(logits.view, c, count);
  }

  /**
   * tanh' = 1 − tanh²; what a bias is given, it has from every place.
   * @param {number} count
   */
  backward(count) {
    const { fast, work: { x, h, logits, dx, dh }, parameters: [table, W, b, U, c], config: { window: n } } = this;
    dh.view.fill(0, 0, count * b.value.length);
    dx.view.fill(0, 0, count * W.shape[1]);
    linearBackward(fast, dh, logits, h, U, count);
    addBiasBackward(c, logits.view, count);
    for (let i = 0; i < count * b.value.length; i++) dh.view[i] *= 1 - h.view[i] * h.view[i];
    linearBackward(fast, dx, dh, x, W, count);
    addBiasBackward(b, dh.view, count);
    embedBackward(table, dx.view, this.inputs, count * n);
  }

  /**
   * Rows of V logits; row t predicts the token after t.
   * @param {ArrayLike<number>} ids
   */
  logits(ids) {
    this.checkIds(ids);
    const V = this.vocabSize;
    /** @type {Float32Array[]} */
    const rows = [];
    for (let first = 0; first < ids.length; first += PLACES) {
      const count = Math.min(PLACES, ids.length - first);
      for (let i = 0; i < count; i++) this.look(i, ids, 0, first + i);
      this.forward(count);
      for (let i = 0; i < count; i++) rows.push(this.work.logits.view.slice(i * V, (i + 1) * V));
    }
    return rows;
  }

  /**
   * P(next token | prefix).
   * @param {number[]} prefix
   */
  dist(prefix) {
    if (!prefix.length) throw new RangeError('the model predicts from what stands there: it needs a token');
    const last = prefix.slice(-this.config.window);
    return softmax(this.logits(last)[last.length - 1]);
  }

  /** @param {ArrayLike<number>} ids */
  checkIds(ids) {
    for (let i = 0; i < ids.length; i++) {
      if (!(Number.isInteger(ids[i]) && ids[i] >= 0 && ids[i] < this.vocabSize)) {
        throw new RangeError(`id ${ids[i]} is outside the vocabulary of ${this.vocabSize}`);
      }
    }
  }
}

/** @type {(y: Float32Array, bias: Parameter, count: number) => void} */
function addBias(y, { value, shape: [R] }, count) {
  for (let at = 0; at < count * R; at += R) {
    for (let r = 0; r < R; r++) y[at + r] += value[r];
  }
}

/** @type {(bias: Parameter, dy: Float32Array, count: number) => void} */
function addBiasBackward({ grad, shape: [R] }, dy, count) {
  for (let at = 0; at < count * R; at += R) {
    for (let r = 0; r < R; r++) grad[r] += dy[at + r];
  }
}

/**
 * First weights as PyTorch draws them: the table from N(0, 1), the layers uniformly within 1 / √(number of inputs).
 * @param {TrainableWindow} model
 * @param {number} seed
 */
export function initialiseWindow({ parameters: [table, ...layers], config }, seed) {
  const [normal, uniform] = [seededNormal(seed), seededRandom(seed + 1)];
  for (let i = 0; i < table.value.length; i++) table.value[i] = normal();
  for (const { name, value } of layers) {
    const inputs = name.startsWith('hidden') ? config.window * config.d_embedding : config.d_hidden;
    for (let i = 0; i < value.length; i++) value[i] = (2 * uniform() - 1) / Math.sqrt(inputs);
  }
}
