// A run of the laboratory: a text, a model, an optimiser and the settings that say how, from the first weight on.
import { writeFloat16 } from './bytes.js';
import { softmax } from './filters.js';
import { AdamW, SGD, warmupCosine } from './optimisers.js';
import { sampleFrom, seededRandom } from './random.js';
import { readSafetensors, writeSafetensors } from './safetensors.js';
import { parameterShapes, TrainableTransformer } from './trainable.js';
import { initialise, trainStep } from './training.js';
import { drawBatch, UNSEEN_ROW } from './training_text.js';
import { initialiseWindow, TrainableWindow, windowShapes } from './window.js';

/** @import { Settings } from './laboratory_settings.js' */
/** @import { TrainingText } from './training_text.js' */
/** @import { TransformerConfig } from './transformer.js' */

/** @type {Record<string, [name: string, least: number, most: number]>} */
const RUN_LIMITS = {
  layers: ['the number of layers', 1, 6],
  width: ['the width', 4, 256],
  heads: ['the number of heads', 1, 16],
  context: ['the context', 4, UNSEEN_ROW - 1],
  window: ['the window', 1, 16],
  vectors: ['the width of a token’s vector', 1, 256],
  hidden: ['the number of hidden units', 1, 1024],
  warmup: ['the warm-up', 0, 10_000],
  steps: ['the number of steps', 1, 20_000],
  batch: ['the number of rows in a batch', 1, 64],
  seed: ['the seed', 0, 2 ** 31],
};
const KINDS = { model: ['transformer', 'window', 'given'], optimiser: ['adamw', 'sgd'] };
const MAX_RATE = 100;
const MAX_WEIGHTS = 4_000_000; // with derivatives and two means for each, 64 MB

/**
 * Refuses settings that no run can have, with a sentence.
 * @param {Settings} settings
 * @param {number} vocabSize
 * @param {TransformerConfig | null} [given]
 */
export function checkSettings(settings, vocabSize, given = null) {
  for (const [key, [name, least, most]] of Object.entries(RUN_LIMITS)) {
    const value = /** @type {Record<string, any>} */ (settings)[key];
    if (!(Number.isInteger(value) && value >= least && value <= most)) {
      throw new RangeError(`${name} must be a whole number from ${least} to ${most}, got ${value}`);
    }
  }
  for (const [key, known] of Object.entries(KINDS)) {
    const value = /** @type {Record<string, any>} */ (settings)[key];
    if (!known.includes(value)) throw new RangeError(`the ${key} must be one of ${known.join(', ')}, got ${value}`);
  }
  for (const [part, has] of Object.entries(settings.parts)) {
    if (typeof has !== 'boolean') throw new RangeError(`the part “${part}” must be true or false, got ${has}`);
  }
  const { rate, warmup, steps, width, heads, model } = settings;
  if (!(rate > 0 && rate <= MAX_RATE)) throw new RangeError(`the rate must be in (0, ${MAX_RATE}], got ${rate}`);
  if (warmup >= steps) throw new RangeError(`the warm-up must be below the number of steps, ${steps}; got ${warmup}`);
  if (model === 'transformer' && width % (2 * heads)) {
    throw new RangeError(`the width must be a multiple of twice the ${heads} heads, got ${width}`);
  }
  if (model === 'given' && given?.vocab_size !== vocabSize) {
    const own = given ? `the configuration from Python is for ${given.vocab_size} tokens` : 'there is no configuration';
    throw new RangeError(`${own}, this text has ${vocabSize}`);
  }
  const weights = shapesOf(settings, vocabSize, given).reduce((sum, [, [a, b = 1]]) => sum + a * b, 0);
  if (weights > MAX_WEIGHTS) {
    const [most, count] = [MAX_WEIGHTS, weights].map((number) => number.toLocaleString('en'));
    throw new RangeError(`a model in the page may have ${most} weights, this one would have ${count}`);
  }
}

/**
 * @param {Settings} settings
 * @param {number} vocabSize
 * @param {TransformerConfig | null} given
 */
function shapesOf(settings, vocabSize, given) {
  if (settings.model === 'window') return windowShapes(windowConfig(settings, vocabSize));
  return parameterShapes(given && settings.model === 'given' ? given : transformerConfig(settings, vocabSize));
}

/**
 * @param {Settings} settings
 * @param {number} vocabSize
 */
function windowConfig({ window, vectors, hidden }, vocabSize) {
  return { vocab_size: vocabSize, window, d_embedding: vectors, d_hidden: hidden };
}

/**
 * With lmbook's defaults for all that the laboratory has no control for.
 * @param {Settings} settings
 * @param {number} vocabSize
 * @returns {TransformerConfig}
 */
function transformerConfig({ layers, width, heads, context }, vocabSize) {
  return {
    vocab_size: vocabSize,
    d_model: width,
    num_heads: heads,
    num_layers: layers,
    context_length: context,
    num_kv_heads: heads,
    d_ff: Math.ceil((8 * width) / 3 / 64) * 64,
    rope_base: 10000,
    norm_eps: 1e-5,
    tie_embeddings: true,
    causal: true,
    extra_input_ids: 0,
  };
}

export class Run {
  /**
   * @param {Settings} settings
   * @param {TrainingText} text
   * @param {TransformerConfig | null} [given] a configuration from Python
   */
  constructor(settings, text, given = null) {
    checkSettings(settings, text.vocabSize, given);
    this.settings = settings;
    this.text = text;
    this.model = settings.model === 'window'
      ? new TrainableWindow(windowConfig(settings, text.vocabSize))
      : makeTransformer(settings, text.vocabSize, given);
    if (this.model instanceof TrainableWindow) initialiseWindow(this.model, settings.seed);
    else initialise(this.model, settings.seed);
    const context = this.model instanceof TrainableWindow ? settings.context : this.model.config.context_length;
    this.context = Math.min(context, UNSEEN_ROW - 1, text.seenRow - 1);
    const schedule = settings.steps > settings.warmup ? warmupCosine(settings.warmup, settings.steps, 0.05) : undefined;
    const options = { learningRate: settings.rate, maxGradNorm: 1, schedule };
    this.optimiser = settings.optimiser === 'sgd'
      ? new SGD(this.model, options)
      : new AdamW(this.model, { ...options, betas: [0.9, 0.98] });
    const length = this.context + 1;
    this.batch = { ids: new Int32Array(settings.batch * length), rows: settings.batch, length };
    this.random = seededRandom(settings.seed);
  }

  get steps() {
    return this.optimiser.steps;
  }

  get gradientLength() {
    return this.optimiser.gradientLength;
  }

  get tokensPerStep() {
    return this.batch.rows * this.context;
  }

  /** One step on a batch that is drawn for it: the loss before it, nats per token. */
  step() {
    const { ids, rows, length } = this.batch;
    drawBatch(ids, this.text, rows, length, this.random);
    return trainStep(this.model, this.optimiser, this.batch);
  }

  /**
   * The mean loss on all of the unseen text, cut into pieces that the context can hold: the tokens that the exact floor
   * is the mean of. Yields between pieces of work.
   * @returns {Generator<number, number, void>}
   */
  *unseenLoss() {
    const { unseen } = this.text;
    const [length, most] = [this.context + 1, this.settings.batch];
    const starts = [];
    for (let row = 0; row < unseen.length; row += UNSEEN_ROW) {
      for (let t = 0; t < UNSEEN_ROW - 1; t += this.context) starts.push([row + t, row + UNSEEN_ROW]);
    }
    let [sum, tokens] = [0, 0];
    for (let first = 0; first < starts.length;) {
      const size = Math.min(length, starts[first][1] - starts[first][0]); // the last piece of a row may be shorter
      const rows = [];
      while (rows.length < most && first < starts.length) {
        const [from, end] = starts[first];
        if (Math.min(length, end - from) !== size) break;
        rows.push(unseen.subarray(from, from + size));
        first += 1;
      }
      const ids = new Int32Array(rows.length * size);
      rows.forEach((row, i) => ids.set(row, i * size));
      const count = rows.length * (size - 1);
      sum += this.model.loss({ ids, rows: rows.length, length: size }) * count;
      tokens += count;
      yield first / starts.length;
    }
    return sum / tokens;
  }

  /**
   * P(next token) after the first 1, 2, … tokens of `ids`, each time as when it writes: what follows isn't there yet.
   * @param {number[]} ids
   */
  expectations(ids) {
    return ids.slice(0, -1).map((_, t) => this.next(ids.slice(0, t + 1)));
  }

  /** @param {number[]} prefix */
  next(prefix) {
    const rows = this.model.logits(prefix.slice(-this.context));
    return softmax(rows[rows.length - 1]);
  }

  /**
   * Tokens drawn one after another; yields between two.
   * @param {number[]} prompt
   * @param {number} count
   * @param {number} seed
   * @returns {Generator<number, number[], void>} with the prompt
   */
  *write(prompt, count, seed) {
    const [ids, random] = [[...prompt], seededRandom(seed)];
    for (let i = 0; i < count; i++) {
      ids.push(sampleFrom(this.next(ids), random()));
      yield i / count;
    }
    return ids;
  }

  /**
   * The model as a safetensors file. Its metadata says what it is, so that lmbook and this page can build it again.
   * @param {Record<string, unknown>} [known] more to say
   */
  save(known = {}) {
    const { settings, model, text } = this;
    const { kind, tokens } = text.tokenizer;
    const info = {
      model: model instanceof TrainableWindow ? 'window' : 'transformer',
      ...{ config: model.config, tokenizer: { kind, tokens }, settings, steps: this.steps, ...known },
    };
    return writeSafetensors(model.parameters, { format: 'pt', info: JSON.stringify(info) });
  }

  /**
   * The model as a playground carries it: a header, and its weights in 16 bits. What isn't a whole transformer is of the
   * kind that trained_model.js reads.
   * @param {string} name
   */
  pack(name) {
    const { model: { config, values, vocabSize: vocab_size }, text: { tokenizer: { kind, tokens } } } = this;
    const header = { ...this.ownKind(), name, vocab_size, config, tokenizer: { kind, tokens }, start: [], offset: 0 };
    return { header, bytes: writeFloat16(values) };
  }

  ownKind() {
    const { model, settings: { parts } } = this;
    if (model instanceof TrainableWindow) return { kind: 'trained', model: 'window' };
    const isWhole = !Object.values(parts).includes(false);
    return isWhole ? { kind: 'transformer' } : { kind: 'trained', model: 'transformer', parts };
  }

  /**
   * Takes the weights of a file; nothing changes if they aren't those of this model.
   * @param {Uint8Array} bytes
   */
  open(bytes) {
    const found = new Map(readSafetensors(bytes).tensors.map((tensor) => [tensor.name, tensor]));
    const weights = this.model.parameters.map(({ name, shape }) => {
      const tensor = found.get(name);
      if (!tensor) throw new RangeError(`the file has no ${name}, which this model needs`);
      if (String(tensor.shape) !== String(shape)) {
        throw new RangeError(`${name} is ${shape.join(' × ')} in this model, ${tensor.shape.join(' × ')} in the file`);
      }
      if (tensor.value.some((number) => !Number.isFinite(number))) {
        throw new RangeError(`${name} has a number in the file that isn’t finite`);
      }
      return tensor.value;
    });
    if (found.size > weights.length) {
      throw new RangeError(`the file has ${found.size} tensors, this model ${weights.length}`);
    }
    this.model.parameters.forEach(({ value }, i) => value.set(weights[i]));
  }
}

/**
 * What a file says about its model; null if it says nothing that this page wrote.
 * @param {Uint8Array} bytes
 * @returns {{ settings: Partial<Settings>, tokenizer: { tokens: string[] } } | null}
 */
export function infoOf(bytes) {
  const { metadata } = readSafetensors(bytes);
  try {
    const info = JSON.parse(metadata.info);
    return typeof info.settings === 'object' && Array.isArray(info.tokenizer.tokens) ? info : null;
  } catch {
    return null;
  }
}

/**
 * @param {Settings} settings
 * @param {number} vocabSize
 * @param {TransformerConfig | null} given
 */
function makeTransformer({ parts, ...settings }, vocabSize, given) {
  const config = given && settings.model === 'given' ? given : transformerConfig({ parts, ...settings }, vocabSize);
  const room = Math.min(config.context_length, UNSEEN_ROW - 1);
  return new TrainableTransformer(config, { parts, capacity: parts.rows ? room : settings.batch });
}
