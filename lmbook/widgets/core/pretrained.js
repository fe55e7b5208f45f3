// A Llama model from a GGUF file, as in lmbook.smollm2: settings → configuration, tensors → weights, tokens and merges →
// tokenizer. The file's bytes lie in the kernels' memory; the matrices are reordered there, never copied to float32.
import { BLOCK, fitsBlocks, repack } from './blocks.js';
import { byteLevelTokenizer } from './byte_level_bpe.js';
import { FileProblem, readGguf } from './gguf.js';
import { Transformer } from './transformer.js';

/** @import { GgufHeader, Setting, TensorEntry } from './gguf.js' */
/** @import { Kernels, Matrix } from './kernels.js' */
/** @import { TransformerConfig, Weights } from './transformer.js' */

const SPECIAL = 3; // GGUF's token type "control"
const LARGEST = 65_504; // a weight beyond it can only be damage
const LONGEST_CONTEXT = 2 ** 20; // tokens of context

/**
 * Loads the model whose file lies at `at` in the memory of `kernels`; yields the share that is done.
 *
 *   const kernels = new Kernels();
 *   const at = kernels.take(size);
 *   new Uint8Array(kernels.memory.buffer, at, size).set(…)   the file's bytes, as they come
 *   const model = await inSlices(loadPretrained(kernels, at, size, { name: 'SmolLM2' }));
 *
 * @param {Kernels} kernels
 * @param {number} at
 * @param {number} size
 * @param {{ name: string, contextLength?: number }} options the context is at most the file's own. Each token of it
 *   takes memory: 46 KB in SmolLM2-135M.
 * @returns {Generator<number, PretrainedModel, void>}
 * @throws {FileProblem} with a sentence, if the file is damaged or of another kind
 */
export function* loadPretrained(kernels, at, size, { name, contextLength = 1024 }) {
  const view = new DataView(kernels.memory.buffer, at, size);
  const header = readGguf(view);
  const config = readConfig(header);
  config.context_length = Math.min(config.context_length, contextLength);
  checkTensors(header.tensors, tensorShapes(config));
  const tokenizer = readTokenizer(header.settings, config.vocab_size);
  const weights = yield* readTensors(header.tensors, config, view, at);
  const model = new Transformer({ config }, weights, kernels);
  return Object.assign(model, { name, tokenizer, rounding: null, kind: /** @type {const} */ ('transformer') });
}

/** @typedef {Transformer & { name: string, tokenizer: ReturnType<typeof byteLevelTokenizer>, rounding: null,
 *   kind: 'transformer' }} PretrainedModel */

// ---- Settings -------------------------------------------------------------------------------------------------------

class Settings {
  /** @param {GgufHeader['settings']} map */
  constructor(map) {
    this.map = map;
  }

  /**
   * @param {string} name
   * @param {Setting} [standard] where the file has none
   */
  get(name, standard) {
    const value = this.map.get(name) ?? standard;
    if (value === undefined) throw new FileProblem(`the file has no setting "${name}"`);
    return value;
  }

  /**
   * @param {string} name
   * @param {Setting} value
   */
  refuse(name, value) {
    const found = Array.isArray(value) ? `a list of ${value.length}` : JSON.stringify(String(value).slice(0, 40));
    return new FileProblem(`the file’s setting "${name}" can’t be ${found}`);
  }

  /**
   * @param {string} name
   * @param {string} [standard]
   */
  text(name, standard) {
    const value = this.get(name, standard);
    if (typeof value !== 'string') throw this.refuse(name, value);
    return value;
  }

  /**
   * @param {string} name
   * @param {[least: number, most: number]} range
   * @param {number} [standard]
   */
  number(name, [least, most], standard) {
    const value = this.get(name, standard);
    if (typeof value !== 'number' || !(value >= least && value <= most)) throw this.refuse(name, value);
    return value;
  }

  /** @type {Settings['number']} */
  whole(name, range, standard) {
    const value = this.number(name, range, standard);
    if (!Number.isInteger(value)) throw this.refuse(name, value);
    return value;
  }

  /**
   * @template {'string' | 'number'} T
   * @param {string} name
   * @param {T} type
   * @returns {(T extends 'string' ? string : number)[]}
   */
  list(name, type) {
    const value = this.get(name);
    if (!Array.isArray(value) || value.some((item) => typeof item !== type)) throw this.refuse(name, value);
    return /** @type {any} */ (value);
  }
}

/**
 * @param {GgufHeader} header
 * @returns {TransformerConfig}
 */
function readConfig({ settings: map, tensors }) {
  const settings = new Settings(map);
  /** @param {string} name @param {number} [standard] */
  const whole = (name, standard) => settings.whole(`llama.${name}`, [1, 2 ** 24], standard);
  const architecture = settings.text('general.architecture');
  if (architecture !== 'llama') {
    throw new FileProblem(`the file’s architecture is ${JSON.stringify(architecture)}; this page runs "llama"`);
  }
  const scaling = settings.text('llama.rope.scaling.type', 'none');
  if (scaling !== 'none') throw new FileProblem(`the file scales its rotary positions (${JSON.stringify(scaling)})`);
  const [width, heads] = [whole('embedding_length'), whole('attention.head_count')];
  const turned = whole('rope.dimension_count', Math.max(Math.floor(width / heads), 1));
  const keyHeads = whole('attention.head_count_kv', heads);
  if (turned * heads !== width || turned % 2 !== 0 || heads % keyHeads !== 0) {
    throw new FileProblem(`the file has ${heads} heads, ${keyHeads} for keys, that turn ${turned} of ${width} numbers`);
  }
  const layers = whole('block_count');
  if (layers > tensors.size) {
    throw new FileProblem(`the file has ${tensors.size} tensors, too few for ${layers} layers`);
  }
  return {
    vocab_size: settings.list('tokenizer.ggml.tokens', 'string').length,
    extra_input_ids: 0,
    d_model: width,
    num_heads: heads,
    num_kv_heads: keyHeads,
    num_layers: layers,
    d_ff: whole('feed_forward_length'),
    context_length: settings.whole('llama.context_length', [1, LONGEST_CONTEXT]),
    rope_base: settings.number('llama.rope.freq_base', [1, Number.MAX_VALUE], 10_000),
    norm_eps: settings.number('llama.attention.layer_norm_rms_epsilon', [Number.MIN_VALUE, 1]),
    tie_embeddings: !tensors.has('output.weight'),
    causal: true,
  };
}

/**
 * @param {GgufHeader['settings']} map
 * @param {number} vocabSize
 */
function readTokenizer(map, vocabSize) {
  const settings = new Settings(map);
  const kind = `${settings.text('tokenizer.ggml.model')}, ${settings.text('tokenizer.ggml.pre')}`;
  if (kind !== 'gpt2, smollm') {
    throw new FileProblem(`the file’s tokenizer is of the kind ${JSON.stringify(kind)}, not "gpt2, smollm"`);
  }
  const types = settings.list('tokenizer.ggml.token_type', 'number');
  if (types.length !== vocabSize) {
    throw new FileProblem(`the file has ${vocabSize} tokens and ${types.length} token types`);
  }
  return byteLevelTokenizer({
    tokens: settings.list('tokenizer.ggml.tokens', 'string'),
    merges: settings.list('tokenizer.ggml.merges', 'string'),
    specialIds: types.flatMap((type, id) => (type === SPECIAL ? [id] : [])),
    eosTokenId: settings.whole('tokenizer.ggml.eos_token_id', [0, vocabSize - 1]),
    chatTemplate: settings.text('tokenizer.chat_template', ''),
  });
}

// ---- Tensors --------------------------------------------------------------------------------------------------------

/**
 * Every tensor of such a model, by GGUF's names: rows are outputs, columns inputs; a vector has one size.
 * @param {TransformerConfig} config
 * @returns {Map<string, number[]>}
 */
function tensorShapes({ vocab_size: V, d_model: D, d_ff: F, num_layers: L, num_heads, num_kv_heads, tie_embeddings }) {
  const KE = (D / num_heads) * num_kv_heads;
  const shapes = new Map([['token_embd', [V, D]], ['output_norm', [D]]]);
  if (!tie_embeddings) shapes.set('output', [V, D]);
  for (let layer = 0; layer < L; layer++) {
    const block = {
      ...{ attn_norm: [D], attn_q: [D, D], attn_k: [KE, D], attn_v: [KE, D], attn_output: [D, D] },
      ...{ ffn_norm: [D], ffn_gate: [F, D], ffn_up: [F, D], ffn_down: [D, F] },
    };
    for (const [name, shape] of Object.entries(block)) shapes.set(`blk.${layer}.${name}`, shape);
  }
  return new Map([...shapes].map(([name, shape]) => [`${name}.weight`, shape]));
}

/**
 * @param {Map<string, TensorEntry>} tensors
 * @param {Map<string, number[]>} shapes
 */
function checkTensors(tensors, shapes) {
  for (const [name, shape] of shapes) {
    const tensor = tensors.get(name);
    if (!tensor) throw new FileProblem(`the file has no tensor "${name}"`);
    if (tensor.shape.join() !== shape.join()) {
      const [found, wanted] = [tensor.shape, shape].map((sizes) => sizes.join(' × '));
      throw new FileProblem(`the file’s tensor "${name}" is ${found} numbers, its place in the model ${wanted}`);
    }
    if (tensor.kind === 'f32' ? tensor.at % 4 !== 0 : shape.length === 1 || !fitsBlocks(shape[0], shape[1])) {
      throw new FileProblem(`the file’s tensor "${name}" is of a kind or in a place that this page can’t read`);
    }
  }
  const stranger = [...tensors.keys()].find((name) => !shapes.has(name));
  if (stranger !== undefined) {
    throw new FileProblem(`the file has a tensor that the model has no place for: "${stranger}"`);
  }
}

/**
 * Checks the tensors' numbers and brings the matrices into the order of the kernels.
 * @param {Map<string, TensorEntry>} tensors
 * @param {TransformerConfig} config
 * @param {DataView} view
 * @param {number} at of the file in the kernels' memory
 * @returns {Generator<number, Weights, void>}
 */
function* readTensors(tensors, config, view, at) {
  let done = 0;
  for (const [name, tensor] of tensors) {
    checkNumbers(name, tensor, view);
    const [rows, columns] = tensor.shape;
    const isTurned = /attn_[qk]/.test(name);
    const span = isTurned ? config.d_model / config.num_heads : undefined;
    const order = span === undefined ? {} : { span, source: splitHalves(span) };
    if (tensor.kind !== 'f32') {
      repack(view, tensor.at, tensor.kind, rows, columns / BLOCK, order);
    } else if (order.source) {
      moveRows(view, tensor.at, rows, columns, order.source);
    }
    done += tensor.size / view.byteLength;
    yield done;
  }
  /** @param {string} name @returns {TensorEntry} */
  const get = (name) => /** @type {any} */ (tensors.get(`${name}.weight`));
  /** @param {string} name @returns {Matrix} */
  const matrix = (name) => {
    const { kind, shape: [rows, columns], at: place } = get(name);
    return { kind, at: at + place, rows, columns };
  };
  /** @param {string} name */
  const vector = (name) => floatsOf(view, get(name)).slice();
  const blocks = Array.from({ length: config.num_layers }, (_, layer) => {
    const own = (/** @type {string} */ name) => `blk.${layer}.${name}`;
    return {
      attentionNorm: vector(own('attn_norm')),
      qkv: ['attn_q', 'attn_k', 'attn_v'].map((name) => matrix(own(name))),
      out: [matrix(own('attn_output'))],
      feedForwardNorm: vector(own('ffn_norm')),
      gateUp: ['ffn_gate', 'ffn_up'].map((name) => matrix(own(name))),
      down: [matrix(own('ffn_down'))],
    };
  });
  const unembedding = matrix(config.tie_embeddings ? 'token_embd' : 'output');
  return { embedding: matrix('token_embd'), blocks, norm: vector('output_norm'), unembedding };
}

/**
 * The row of the file that belongs to `row` of a query or key matrix. llama.cpp rotates neighbours, rows (2i, 2i + 1) of
 * a head; this book rotates rows i and i + E / 2.
 * @param {number} E rows of a head
 */
function splitHalves(E) {
  return (/** @type {number} */ row) => {
    const i = row % E;
    return row - i + (i < E / 2 ? 2 * i : 2 * i - E + 1);
  };
}

/**
 * @param {DataView} view
 * @param {TensorEntry} tensor
 */
function floatsOf(view, { at, size }) {
  return new Float32Array(view.buffer, view.byteOffset + at, size / 4);
}

/**
 * @param {DataView} view
 * @param {number} at
 * @param {number} rows
 * @param {number} columns
 * @param {(row: number) => number} source
 */
function moveRows(view, at, rows, columns, source) {
  const numbers = new Float32Array(view.buffer, view.byteOffset + at, rows * columns);
  const before = numbers.slice();
  for (let row = 0; row < rows; row++) {
    numbers.set(before.subarray(source(row) * columns, (source(row) + 1) * columns), row * columns);
  }
}

/**
 * No weight may be NaN, infinite or so large that only damage explains it.
 * @param {string} name
 * @param {TensorEntry} tensor
 * @param {DataView} view
 */
function checkNumbers(name, tensor, view) {
  const { kind, at, size } = tensor;
  let isRight = true;
  if (kind === 'f32') {
    isRight = floatsOf(view, tensor).every((number) => Math.abs(number) <= LARGEST);
  } else { // the float16 scales: an exponent of ones is infinite or NaN
    const block = kind === 'q4' ? 20 : 34;
    for (let place = at; place < at + size; place += block) {
      isRight &&= (view.getUint8(place + 1) & 124) !== 124;
      if (kind === 'q4') isRight &&= (view.getUint8(place + 3) & 124) !== 124;
    }
  }
  if (!isRight) {
    throw new FileProblem(`the file’s tensor "${name}" has numbers that are NaN, infinite or beyond ${LARGEST}`);
  }
}
