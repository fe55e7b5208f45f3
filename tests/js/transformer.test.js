// The page's transformer against a literal reading of its formulas, in plain double-precision arrays.
import assert from 'node:assert/strict';
import { loadModel } from '../../lmbook/widgets/core/models.js';
import { seededRandom } from '../../lmbook/widgets/core/random.js';

/** @import { PackedTransformer, TransformerModel } from '../../lmbook/widgets/core/models.js' */
/** @import { TransformerConfig } from '../../lmbook/widgets/core/transformer.js' */

const CONFIG = {
  vocab_size: 7,
  extra_input_ids: 1,
  d_model: 12,
  num_heads: 3,
  num_kv_heads: 1,
  num_layers: 2,
  d_ff: 5,
  context_length: 9,
  norm_eps: 0.25,
  rope_base: 50,
  tie_embeddings: false,
  causal: true,
};
const OFFSET = 3;

/**
 * The sizes of all weights, in the order in which they are packed.
 * @param {TransformerConfig} config
 */
function sizesOf(config) {
  const { d_model: D, d_ff: F, vocab_size: V } = config;
  const KE = config.num_kv_heads * D / config.num_heads;
  const block = [D, (D + 2 * KE) * D, D * D, D, 2 * F * D, D * F];
  const blocks = Array.from({ length: config.num_layers }, () => block).flat();
  return [(V + config.extra_input_ids) * D, ...blocks, D, ...(config.tie_embeddings ? [] : [V * D])];
}

/**
 * Weights that float16 holds as they are, and the model that has them.
 * @param {Partial<TransformerConfig>} [changes]
 * @param {number[]} [start]
 * @param {number} [largest] weight
 */
function make(changes = {}, start = [], largest = 1) {
  const config = { ...CONFIG, ...changes };
  const draw = seededRandom(5);
  const weights = sizesOf(config).map((size) =>
    Array.from({ length: size }, () => largest * Math.round(128 * draw() - 64) / 64)
  );
  const bytes = new Uint8Array(Float16Array.from(weights.flat()).buffer);
  const view = new DataView(Uint8Array.of(...Array(OFFSET).fill(255), ...bytes).buffer);
  const names = { kind: 'transformer', name: 'tiny', tokenizer: { kind: 'byte' }, vocab_size: config.vocab_size };
  const header = /** @type {PackedTransformer} */ ({ ...names, config, offset: OFFSET, start, mask_token_id: 7 });
  return { config, weights, model: /** @type {TransformerModel} */ (loadModel(header, view)) };
}

/** @typedef {number[]} Row */
/** @type {(a: Row, b: Row) => number} */
const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
/** @type {(a: Row, b: Row) => Row} */
const plus = (a, b) => a.map((x, i) => x + b[i]);
/** @type {(flat: Row, width: number) => Row[]} */
const inRows = (flat, width) =>
  Array.from({ length: flat.length / width }, (_, r) => flat.slice(r * width, (r + 1) * width));
/** @type {(matrix: Row, x: Row) => Row} */
const times = (matrix, x) => inRows(matrix, x.length).map((row) => dot(row, x));
/** @type {(x: Row, weight: Row, eps: number) => Row} */
const norm = (x, weight, eps) => x.map((v, i) => v * weight[i] / Math.sqrt(dot(x, x) / x.length + eps));
/** @type {(scores: Row) => Row} */
const shares = (scores) => {
  const top = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - top));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((p) => p / total);
};

/**
 * Rotary positions: numbers i and i + E / 2 are a point in the plane, turned by position · base^(−2 i / E).
 * @param {Row} x
 * @param {number} position
 * @param {number} base
 */
function turned(x, position, base) {
  const half = x.length / 2;
  return x.map((v, j) => {
    const i = j % half;
    const angle = position * base ** (-2 * i / x.length);
    return j < half
      ? v * Math.cos(angle) - x[i + half] * Math.sin(angle)
      : v * Math.cos(angle) + x[i] * Math.sin(angle);
  });
}

/**
 * Logits (T, V), and attention by layer and head (T, T).
 * @param {TransformerConfig} config
 * @param {Row[]} weights
 * @param {Row} ids
 */
function reference(config, weights, ids) {
  const { d_model: D, num_heads: H, num_kv_heads: K, d_ff: F, norm_eps: eps, rope_base: base } = config;
  const E = D / H;
  const [embedding, ...rest] = weights;
  let xs = ids.map((id) => inRows(embedding, D)[id]);
  /** @type {Row[][][]} */
  const attention = [];
  for (let layer = 0; layer < config.num_layers; layer++) {
    const [attentionNorm, qkv, out, feedForwardNorm, gateUp, down] = rest.slice(6 * layer);
    // (T, 3 kinds of heads · E)
    const heads = xs.map((x) => inRows(times(qkv, norm(x, attentionNorm, eps)), E));
    const rotated = heads.map((row, t) => row.map((x, h) => h < H + K ? turned(x, t, base) : x));
    const seen = (/** @type {number} */ t) => config.causal ? t + 1 : ids.length;
    const weightsOf = Array.from({ length: H }, (_, h) => {
      const key = H + Math.floor(h * K / H);
      return rotated.map((row, t) =>
        shares(rotated.slice(0, seen(t)).map((other) => dot(row[h], other[key]) / E ** 0.5))
      );
    });
    attention.push(weightsOf);
    xs = xs.map((x, t) => {
      const context = weightsOf.flatMap((rows, h) =>
        rows[t].map((share, s) => rotated[s][H + K + Math.floor(h * K / H)].map((v) => share * v)).reduce(plus)
      );
      const y = plus(x, times(out, context));
      const wide = times(gateUp, norm(y, feedForwardNorm, eps));
      const gated = wide.slice(0, F).map((g, i) => g / (1 + Math.exp(-g)) * wide[F + i]);
      return plus(y, times(down, gated));
    });
  }
  const last = rest[6 * config.num_layers];
  const unembedding = rest[6 * config.num_layers + 1] ?? embedding.slice(0, config.vocab_size * D);
  return { logits: xs.map((x) => times(unembedding, norm(x, last, eps))), attention };
}

/** @type {(got: Iterable<number>, want: Row) => void} */
const near = (got, want) => {
  const numbers = [...got];
  assert.equal(numbers.length, want.length);
  numbers.forEach((x, i) => assert.ok(Math.abs(x - want[i]) < 1e-4, `${x} instead of ${want[i]}, at ${i}`));
};

/** @type {[string, Partial<TransformerConfig>][]} */
const SHAPES = [
  ['grouped heads, untied embeddings', {}],
  ['a key and a value for each head, tied embeddings', { num_kv_heads: 3, tie_embeddings: true }],
  ['a masked model', { causal: false, tie_embeddings: true, num_layers: 1 }],
  ['four heads on two', { num_heads: 6, num_kv_heads: 2, d_ff: 8, vocab_size: 8 }],
];
const IDS = [3, 0, 6, 6, 1];

for (const [name, changes] of SHAPES) {
  Deno.test(`logits and attention of ${name}`, () => {
    const { config, weights, model } = make(changes);
    const want = reference(config, weights, IDS);
    const got = model.logits(IDS);
    assert.equal(got.length, 5);
    got.forEach((row, t) => near(row, want.logits[t]));
    const attention = model.attention(IDS);
    assert.deepEqual([attention.length, attention[0].length], [config.num_layers, config.num_heads]);
    attention.forEach((heads, layer) =>
      heads.forEach((shares, head) => {
        near(shares, want.attention[layer][head].flatMap((row) => [...row, ...Array(5 - row.length).fill(0)]));
      })
    );
  });
}

Deno.test('a token more, and what stands before every text', () => {
  const { config, weights, model } = make({}, [2, 4]);
  assert.equal(model.contextLength, 7);
  const want = (/** @type {number[]} */ ids) => reference(config, weights, [2, 4, ...ids]).logits.at(-1) ?? [];
  const session = model.session([3, 0]);
  near(session.logits, want([3, 0]));
  near(session.push(6).logits, want([3, 0, 6]));
  near(session.truncate(1).push(5).logits, want([3, 5]));
  near(model.session().logits, want([]));
  for (const prefix of [[1], [1, 5], [1, 5, 0, 3, 3], [0], []]) near(model.dist(prefix), shares(want(prefix)));
  assert.deepEqual(session.ids, [3, 5]); // `dist` has a text of its own
});

Deno.test('all the context, and the token that can be read but never predicted', () => {
  const { config, weights, model } = make({ causal: false });
  const ids = [7, 6, 5, 4, 3, 2, 1, 0, 7];
  model.logits(ids).forEach((row, t) => near(row, reference(config, weights, ids).logits[t]));
  assert.deepEqual([model.maskTokenId, model.vocabSize, model.causal, model.numInputs], [7, 7, false, 8]);
});

Deno.test('what can not be read is refused', () => {
  const { model } = make({}, [2]);
  for (const id of [8, -1, 0.5, NaN]) {
    assert.throws(() => model.session([id]), {
      name: 'RangeError',
      message: `id ${id} is outside the vocabulary of 8`,
    });
  }
  assert.deepEqual(model.session([7, 0]).ids, [7, 0]);
  const message = 'the sequence is 10 tokens long, the model reads at most 9';
  assert.throws(() => model.session(Array(9).fill(0)), { name: 'RangeError', message });
  assert.throws(() => model.logits(Array(10).fill(0)), { name: 'RangeError', message });
  const full = model.session(Array(8).fill(0));
  assert.throws(() => full.push(0), { name: 'RangeError', message });
  assert.equal(full.ids.length, 8);
  assert.throws(() => make({ causal: false }).model.session(), {
    name: 'TypeError',
    message: 'a masked model sees both sides of a token and can’t go on from a prefix',
  });
});

Deno.test('a long text: read in parts, an array for each token', () => {
  const { config, weights, model } = make({ context_length: 600, num_layers: 1 });
  const draw = seededRandom(3);
  const ids = Array.from({ length: 540 }, () => Math.floor(8 * draw()));
  const want = reference(config, weights, ids);
  const session = model.session(ids.slice(0, 250));
  for (const length of [250, 256, 257, 512, 540]) {
    near(session.follow(ids.slice(0, length)).logits, want.logits[length - 1]);
    assert.equal(session.memory.length, length);
  }
  assert.ok(session.memory.every((kept) => kept.length === 4 + 4 + 12)); // key, value, vector
  near(model.logits(ids)[299], want.logits[299]);
  const attention = model.attention(ids.slice(0, 70));
  for (let t = 0; t < 70; t++) near(attention[0][2].slice(70 * t, 70 * t + t + 1), want.attention[0][2][t]);
});

Deno.test('scores that e can not be raised to', () => {
  const { config, weights, model } = make({ num_layers: 1 }, [], 64);
  const want = reference(config, weights, IDS).attention[0];
  model.attention(IDS)[0].forEach((shares, head) => {
    want[head].forEach((row, t) => near(shares.slice(5 * t, 5 * t + row.length), row));
  });
});
