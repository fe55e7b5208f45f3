// A Llama file in the page against the same weights packed by the book: both run through the same transformer.
import assert from 'node:assert/strict';
import { Kernels } from '../../lmbook/widgets/core/kernels.js';
import { loadPretrained } from '../../lmbook/widgets/core/pretrained.js';
import { seededRandom } from '../../lmbook/widgets/core/random.js';
import { readTransformer } from '../../lmbook/widgets/core/transformer.js';
import { begin } from './gguf_writer.js';

/** @typedef {'f32' | 'q4' | 'q8'} Kind */
/** @typedef {{ kind: Kind, shape: number[], numbers: number[], bytes: Uint8Array<ArrayBuffer> }} Tensor */

const [D, H, K, F, V, L] = [64, 4, 2, 32, 260, 2];
const KE = D / H * K;
const TYPES = { f32: 0, q4: 3, q8: 8 };
const BYTES = Array.from({ length: 256 }, (_, byte) => {
  const visible = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  const hidden = byte < 33 ? byte : byte < 161 ? byte - 94 : 67;
  return String.fromCharCode(visible ? byte : 256 + hidden);
});
/** @type {Record<string, string | number | string[] | number[]>} */
const SETTINGS = {
  'general.architecture': 'llama',
  'llama.embedding_length': D,
  'llama.attention.head_count': H,
  'llama.attention.head_count_kv': K,
  'llama.block_count': L,
  'llama.feed_forward_length': F,
  'llama.context_length': 21,
  'llama.rope.dimension_count': D / H,
  'llama.rope.freq_base': 500.5,
  'llama.attention.layer_norm_rms_epsilon': 0.25,
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'smollm',
  'tokenizer.ggml.tokens': [...BYTES, 'ab', '<|a|>', '<|b|>', 'abab'],
  'tokenizer.ggml.token_type': [...Array(257).fill(1), 3, 3, 1],
  'tokenizer.ggml.merges': ['a b', 'ab ab'],
  'tokenizer.ggml.eos_token_id': 258,
};

/**
 * Numbers that float16 and the blocks hold exactly, and their bytes in a file.
 * @param {Kind} kind
 * @param {number[]} shape
 * @param {() => number} random
 * @returns {Tensor}
 */
function makeTensor(kind, shape, random) {
  const size = shape.reduce((a, b) => a * b);
  const [range, scale, shift] = kind === 'q4' ? [16, 1 / 16, -0.5] : [127, 1 / 128, -63 / 128];
  const whole = Array.from({ length: size }, () => Math.floor(range * random()));
  const numbers = whole.map((n) => n * scale + shift);
  if (kind === 'f32') return { kind, shape, numbers, bytes: new Uint8Array(Float32Array.from(numbers).buffer) };
  const parts = Array.from({ length: size / 32 }, (_, b) => {
    const block = whole.slice(32 * b, 32 * b + 32);
    if (kind === 'q8') return [...halves(scale), ...block.map((n) => (n - 63) & 255)];
    return [...halves(scale, shift), ...block.slice(0, 16).map((low, i) => low | (block[i + 16] << 4))];
  });
  return { kind, shape, numbers, bytes: Uint8Array.from(parts.flat()) };
}

/** @param {number[]} numbers */
const halves = (...numbers) => [...new Uint8Array(Float16Array.from(numbers).buffer)];

/**
 * All tensors, by GGUF's names.
 * @param {{ vectors?: Kind, embedding?: Kind, matrices?: Kind, tied?: boolean }} [kinds]
 */
function makeTensors({ vectors = 'f32', embedding = 'f32', matrices = 'f32', tied = true } = {}) {
  const random = seededRandom(3);
  /** @type {Record<string, Tensor>} */
  const tensors = {};
  /** @param {string} name @param {Kind} kind @param {number[]} shape */
  const add = (name, kind, ...shape) => tensors[`${name}.weight`] = makeTensor(kind, shape, random);
  add('token_embd', embedding, V, D);
  for (let layer = 0; layer < L; layer++) {
    const own = `blk.${layer}.`;
    add(own + 'attn_norm', vectors, D);
    add(own + 'attn_q', matrices, D, D);
    add(own + 'attn_k', matrices, KE, D);
    add(own + 'attn_v', matrices, KE, D);
    add(own + 'attn_output', matrices, D, D);
    add(own + 'ffn_norm', vectors, D);
    add(own + 'ffn_gate', matrices, F, D);
    add(own + 'ffn_up', matrices, F, D);
    add(own + 'ffn_down', matrices, D, F);
  }
  add('output_norm', vectors, D);
  if (!tied) add('output', matrices, V, D);
  return tensors;
}

/**
 * @param {Record<string, Tensor | undefined>} tensors
 * @param {Record<string, string | number | string[] | number[] | undefined>} [changes] of settings; undefined: none
 */
function writeFile(tensors, changes = {}) {
  const settings = Object.entries({ ...SETTINGS, ...changes }).filter(([, value]) => value !== undefined);
  const held = Object.entries(tensors).flatMap(([name, tensor]) => tensor ? [{ name, ...tensor }] : []);
  const file = begin(held.length, settings.length);
  const float = (/** @type {number} */ value) => new DataView(Float32Array.of(value).buffer).getUint32(0, true);
  /** @param {unknown} value @returns {void} */
  const write = (value) => {
    if (typeof value === 'string') file.string(value);
    else file.number(Number.isInteger(value) ? Number(value) : float(Number(value)), 4);
  };
  /** @param {unknown} value */
  const typeOf = (value) => typeof value === 'string' ? 8 : Number.isInteger(value) ? 4 : 6;
  for (const [name, value] of settings) {
    file.setting(name, Array.isArray(value) ? 9 : typeOf(value));
    if (!Array.isArray(value)) write(value);
    else {
      file.number(typeOf(value[0]), 4).number(value.length, 8);
      value.forEach(write);
    }
  }
  let at = 0;
  const places = held.map(({ name, kind, shape, bytes }) => {
    file.tensor(name, [...shape].reverse(), TYPES[kind], at);
    const place = at;
    at = Math.ceil((at + bytes.length) / 32) * 32;
    return place;
  });
  const data = Math.ceil(file.bytes.length / 32) * 32;
  const whole = new Uint8Array(data + at);
  whole.set(file.bytes);
  held.forEach(({ bytes }, i) => whole.set(bytes, data + places[i]));
  return whole;
}

/**
 * @param {Uint8Array} bytes
 * @param {{ contextLength?: number, plain?: boolean }} [options]
 */
function load(bytes, { plain = false, ...options } = {}) {
  const kernels = new Kernels({ plain });
  const at = kernels.take(bytes.length);
  new Uint8Array(kernels.memory.buffer, at, bytes.length).set(bytes);
  const steps = loadPretrained(kernels, at, bytes.length, { name: 'tiny', ...options });
  const shares = [];
  for (;;) {
    const { value, done } = steps.next();
    if (done) return { model: value, shares };
    shares.push(value);
  }
}

/**
 * The rows of a query or key matrix as the book has them: llama.cpp turns neighbours, the book halves of a head.
 * @param {Tensor} tensor
 */
function unturned({ numbers, shape: [rows, columns] }) {
  const E = D / H;
  return Array.from({ length: rows }, (_, row) => {
    const [head, i] = [Math.floor(row / E), row % E];
    const source = head * E + (i < E / 2 ? 2 * i : 2 * (i - E / 2) + 1);
    return numbers.slice(source * columns, (source + 1) * columns);
  }).flat();
}

/**
 * The same weights in the book's own order.
 * @param {Record<string, Tensor>} tensors
 */
function packed(tensors) {
  const get = (/** @type {string} */ name) => tensors[`${name}.weight`];
  const blocks = Array.from({ length: L }, (_, layer) => {
    const own = (/** @type {string} */ name) => get(`blk.${layer}.${name}`);
    const rest = ['attn_v', 'attn_output', 'ffn_norm', 'ffn_gate', 'ffn_up', 'ffn_down'].map((name) =>
      own(name).numbers
    );
    return [own('attn_norm').numbers, unturned(own('attn_q')), unturned(own('attn_k')), ...rest].flat();
  });
  const tied = get('output') === undefined;
  const last = [...get('output_norm').numbers, ...(tied ? [] : get('output').numbers)];
  const config = {
    ...{ vocab_size: V, extra_input_ids: 0, d_model: D, num_heads: H, num_kv_heads: K, num_layers: L, d_ff: F },
    ...{ context_length: 21, norm_eps: 0.25, rope_base: 500.5, tie_embeddings: tied, causal: true },
  };
  const numbers = Float16Array.from([...get('token_embd').numbers, ...blocks.flat(), ...last]);
  return readTransformer({ config }, new DataView(numbers.buffer));
}

const IDS = Array.from({ length: 21 }, (_, t) => (t * t * 7) % V);
/** @type {Parameters<typeof makeTensors>[0][]} */
const KINDS = [
  {},
  { tied: false },
  { embedding: 'q8', matrices: 'q4' },
  { embedding: 'q4', matrices: 'q8', tied: false },
  { embedding: 'f32', matrices: 'q4' },
];

Deno.test('a file gives the logits of its weights, whatever they are kept in', () => {
  for (const kinds of KINDS) {
    const tensors = makeTensors(kinds);
    const want = packed(tensors).logits(IDS);
    const { model } = load(writeFile(tensors), { plain: true });
    model.logits(IDS).forEach((row, t) => {
      row.forEach((x, id) => {
        assert.ok(
          Math.abs(x - want[t][id]) < 1e-4 * (1 + Math.abs(want[t][id])),
          `${JSON.stringify(kinds)} ${t} ${id}`,
        );
      });
    });
  }
});

Deno.test('a model has its name, its context and its tokenizer', () => {
  const bytes = writeFile(makeTensors());
  const { model, shares } = load(bytes);
  assert.deepEqual([model.name, model.kind, model.rounding], ['tiny', 'transformer', null]);
  assert.deepEqual([model.vocabSize, model.contextLength, model.causal], [V, 21, true]);
  assert.equal(load(bytes, { contextLength: 8 }).model.contextLength, 8);
  assert.equal(load(bytes, { contextLength: 99 }).model.contextLength, 21);
  assert.equal(load(writeFile(makeTensors(), { 'llama.context_length': 3000 })).model.contextLength, 1024);
  const { tokenizer } = model;
  assert.deepEqual(tokenizer.encode('ababab<|a|>').ids, [259, 256, 257]);
  assert.deepEqual([tokenizer.specialIds, tokenizer.eosTokenId], [[257, 258], 258]);
  assert.equal(shares.length, 20);
  shares.forEach((share, i) => assert.ok(share > (shares[i - 1] ?? 0) && share <= 1));
  assert.ok(shares[19] > 0.9);
});

Deno.test('what a file may leave out has its standard', () => {
  const changes = { 'llama.rope.freq_base': undefined, 'llama.rope.dimension_count': undefined };
  const usual = load(writeFile(makeTensors(), { 'llama.rope.freq_base': 10_000 })).model.logits(IDS);
  assert.deepEqual(load(writeFile(makeTensors(), changes)).model.logits(IDS), usual);
  const { model } = load(
    writeFile(makeTensors(), { 'llama.rope.scaling.type': 'none', 'tokenizer.chat_template': '' }),
  );
  assert.throws(() => model.tokenizer.chat([{ role: 'user', content: 'Hi' }]), /no chat template/);
  assert.equal(load(writeFile(makeTensors(), { 'tokenizer.ggml.merges': [] })).model.vocabSize, V);
  // As many heads for keys as for queries: then the matrix of keys is as large.
  const random = seededRandom(4);
  const large = Object.fromEntries(
    Object.entries(makeTensors()).map(([name, tensor]) =>
      /attn_[kv]/.test(name) ? [name, makeTensor('f32', [D, D], random)] : [name, tensor]
    ),
  );
  assert.equal(load(writeFile(large, { 'llama.attention.head_count_kv': undefined })).model.K, H);
});

/** @type {[Parameters<typeof writeFile>[1], string][]} */
const WRONG_SETTINGS = [
  [{ 'general.architecture': 'gpt2' }, 'the file’s architecture is "gpt2"; this page runs "llama"'],
  [{ 'general.architecture': 5 }, 'the file’s setting "general.architecture" can’t be "5"'],
  [{ 'general.architecture': undefined }, 'the file has no setting "general.architecture"'],
  [{ 'llama.rope.scaling.type': 'yarn' }, 'the file scales its rotary positions ("yarn")'],
  [{ 'llama.embedding_length': undefined }, 'the file has no setting "llama.embedding_length"'],
  [{ 'llama.embedding_length': 0 }, 'the file’s setting "llama.embedding_length" can’t be "0"'],
  [{ 'llama.embedding_length': 2 ** 24 + 1 }, 'the file’s setting "llama.embedding_length" can’t be "16777217"'],
  [
    { 'llama.embedding_length': 'x'.repeat(50) },
    `the file’s setting "llama.embedding_length" can’t be "${'x'.repeat(40)}"`,
  ],
  [{ 'llama.block_count': 1.5 }, 'the file’s setting "llama.block_count" can’t be "1.5"'],
  [{ 'llama.block_count': 20 }, 'the file has no tensor "blk.2.attn_norm.weight"'],
  [{ 'llama.block_count': 21 }, 'the file has 20 tensors, too few for 21 layers'],
  [{ 'llama.context_length': 2 ** 20 + 1 }, 'the file’s setting "llama.context_length" can’t be "1048577"'],
  [{ 'llama.rope.freq_base': 0.5 }, 'the file’s setting "llama.rope.freq_base" can’t be "0.5"'],
  [
    { 'llama.attention.layer_norm_rms_epsilon': 0 },
    'the file’s setting "llama.attention.layer_norm_rms_epsilon" can’t be "0"',
  ],
  [
    { 'llama.attention.layer_norm_rms_epsilon': 1.5 },
    'the file’s setting "llama.attention.layer_norm_rms_epsilon" can’t be "1.5"',
  ],
  [{ 'llama.attention.head_count': 3 }, 'the file has 3 heads, 2 for keys, that turn 16 of 64 numbers'],
  [{ 'llama.attention.head_count_kv': 3 }, 'the file has 4 heads, 3 for keys, that turn 16 of 64 numbers'],
  [{ 'llama.rope.dimension_count': 8 }, 'the file has 4 heads, 2 for keys, that turn 8 of 64 numbers'],
  [
    { 'llama.attention.head_count': 64, 'llama.rope.dimension_count': undefined },
    'the file has 64 heads, 2 for keys, that turn 1 of 64 numbers',
  ],
  [
    { 'llama.attention.head_count': 65, 'llama.rope.dimension_count': undefined },
    'the file has 65 heads, 2 for keys, that turn 1 of 64 numbers',
  ],
  [{ 'tokenizer.ggml.tokens': 'a' }, 'the file’s setting "tokenizer.ggml.tokens" can’t be "a"'],
  [{ 'tokenizer.ggml.tokens': [1, 2] }, 'the file’s setting "tokenizer.ggml.tokens" can’t be a list of 2'],
  [{ 'tokenizer.ggml.pre': 'llama' }, 'the file’s tokenizer is of the kind "gpt2, llama", not "gpt2, smollm"'],
  [{ 'tokenizer.ggml.token_type': [1, 1] }, 'the file has 260 tokens and 2 token types'],
  [{ 'tokenizer.ggml.eos_token_id': 260 }, 'the file’s setting "tokenizer.ggml.eos_token_id" can’t be "260"'],
];

/**
 * @param {Uint8Array} bytes
 * @param {string} message
 */
function assertRefused(bytes, message) {
  assert.throws(() => load(bytes), { name: 'FileProblem', message });
}

Deno.test('each wrong setting has its sentence', () => {
  const tensors = makeTensors();
  for (const [changes, message] of WRONG_SETTINGS) assertRefused(writeFile(tensors, changes), message);
  load(writeFile(tensors, { 'llama.context_length': 2 ** 20, 'tokenizer.ggml.eos_token_id': 259 })); // just possible
  load(writeFile(tensors, { 'llama.rope.freq_base': 1, 'llama.attention.layer_norm_rms_epsilon': 1 }));
});

Deno.test('each wrong tensor has its sentence', () => {
  const random = seededRandom(5);
  const tensors = makeTensors();
  const [norm, gate] = ['output_norm.weight', 'blk.1.ffn_gate.weight'];
  assertRefused(writeFile({ ...tensors, [gate]: undefined }), `the file has no tensor "${gate}"`);
  assertRefused(
    writeFile({ ...tensors, [gate]: makeTensor('f32', [D, F], random) }),
    `the file’s tensor "${gate}" is 64 × 32 numbers, its place in the model 32 × 64`,
  );
  assertRefused(
    writeFile({ ...tensors, 'rope_freqs.weight': makeTensor('f32', [8], random) }),
    'the file has a tensor that the model has no place for: "rope_freqs.weight"',
  );
  assertRefused(
    writeFile({ ...tensors, [norm]: makeTensor('q8', [D], random) }),
    `the file’s tensor "${norm}" is of a kind or in a place that this page can’t read`,
  );
  assertRefused(
    writeFile({ ...tensors, output: makeTensor('f32', [V, D], random) }), // without .weight
    'the file has a tensor that the model has no place for: "output"',
  );
  const more = {
    'tokenizer.ggml.tokens': [...BYTES, 'ab', 'ba', 'bb', 'abab', 'aa'],
    'tokenizer.ggml.token_type': Array(261).fill(1),
  };
  const odd = { ...tensors, 'token_embd.weight': makeTensor('q8', [261, D], random) }; // blocks are for four rows
  assertRefused(
    writeFile(odd, more),
    'the file’s tensor "token_embd.weight" is of a kind or in a place that this page can’t read',
  );
  for (const [row, number] of [[0, NaN], [3, Infinity], [63, -65_505], [63, 65_505]]) {
    const broken = makeTensor('f32', [D], random);
    new DataView(broken.bytes.buffer).setFloat32(4 * row, number, true);
    const message = `the file’s tensor "${norm}" has numbers that are NaN, infinite or beyond 65504`;
    assertRefused(writeFile({ ...tensors, [norm]: broken }), message);
    new DataView(broken.bytes.buffer).setFloat32(4 * row, -65_504, true);
    load(writeFile({ ...tensors, [norm]: broken }));
  }
});

Deno.test('a block whose scale is no number is found, the first and the last', () => {
  for (const [kind, places] of /** @type {const} */ ([['q8', [0]], ['q4', [0, 2]]])) {
    const tensors = makeTensors({ matrices: kind });
    const name = 'blk.0.ffn_down.weight';
    const size = kind === 'q4' ? 20 : 34;
    const { bytes, ...tensor } = tensors[name];
    for (const block of [0, bytes.length / size - 1]) {
      for (const place of places) {
        const broken = bytes.slice();
        broken.set(halves(-Infinity), block * size + place);
        const message = `the file’s tensor "${name}" has numbers that are NaN, infinite or beyond 65504`;
        assertRefused(writeFile({ ...tensors, [name]: { ...tensor, bytes: broken } }), message);
      }
    }
  }
});
