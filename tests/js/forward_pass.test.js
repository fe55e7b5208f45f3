// The pass that keeps every tensor, against the page's transformer: as it is, and with weights that do what a switch does.
import assert from 'node:assert/strict';
import { distanceOf, forwardPass, switchNames, tensorNames } from '../../lmbook/widgets/core/forward_pass.js';
import { loadModel } from '../../lmbook/widgets/core/models.js';
import { seededRandom } from '../../lmbook/widgets/core/random.js';

/** @import { Matrix } from '../../lmbook/widgets/core/kernels.js' */
/** @import { PackedTransformer, TransformerModel } from '../../lmbook/widgets/core/models.js' */
/** @import { TransformerConfig } from '../../lmbook/widgets/core/transformer.js' */

const IDS = [3, 0, 6, 6, 1];
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

/** @param {Partial<TransformerConfig>} [changes] */
function make(changes = {}) {
  const config = { ...CONFIG, ...changes };
  const { d_model: D, d_ff: F, vocab_size: V, num_layers: L } = config;
  const KE = config.num_kv_heads * D / config.num_heads;
  const size = (V + 1) * D + L * (2 * D + (D + 2 * KE) * D + D * D + 3 * D * F) + D +
    (config.tie_embeddings ? 0 : V * D);
  const draw = seededRandom(5);
  const weights = Float16Array.from({ length: size }, () => Math.round(128 * draw() - 64) / 64);
  const names = { kind: 'transformer', name: 'tiny', tokenizer: { kind: 'byte' }, vocab_size: V, start: [], offset: 0 };
  const header = /** @type {PackedTransformer} */ (/** @type {unknown} */ ({ ...names, config }));
  return /** @type {TransformerModel} */ (loadModel(header, new DataView(weights.buffer)));
}

/** @type {(got: Iterable<number>, want: Iterable<number>, within?: number) => void} */
function near(got, want, within = 1e-4) {
  const [mine, theirs] = [[...got], [...want]];
  assert.equal(mine.length, theirs.length);
  mine.forEach((x, i) => assert.ok(Math.abs(x - theirs[i]) < within, `${x} instead of ${theirs[i]}, at ${i}`));
}

/**
 * @param {TransformerModel} model
 * @param {string[]} [off]
 */
function passOf(model, off = []) {
  const pass = forwardPass(model, IDS, off);
  /** @param {string} name */
  return (name) => {
    const tensor = pass.get(name);
    assert.ok(tensor, `no ${name}`);
    return tensor;
  };
}

/** @type {(model: TransformerModel, off?: string[]) => Float64Array} */
const logitsOf = (model, off = []) => passOf(model, off)('logits').data;
/** @param {TransformerModel} model the page's own logits, row by row */
const ownLogits = (model) => model.logits(IDS).flatMap((row) => [...row]);

/**
 * Sets the columns from `from` to `to` of a matrix to 0.
 * @param {TransformerModel} model
 * @param {Matrix} matrix
 * @param {number} from
 * @param {number} to
 */
function clearColumns({ kernels }, { at, rows, columns }, from, to) {
  const weights = kernels.floats(at, rows * columns);
  for (let row = 0; row < rows; row++) weights.fill(0, row * columns + from, row * columns + to);
}

/** @type {[string, Partial<TransformerConfig>][]} */
const SHAPES = [
  ['grouped heads, untied embeddings', {}],
  ['a key and a value for each head, tied embeddings', { num_kv_heads: 3, tie_embeddings: true }],
  ['no mask', { causal: false, num_layers: 1 }],
  ['six heads on two', { num_heads: 6, num_kv_heads: 2, d_ff: 8 }],
];

for (const [name, changes] of SHAPES) {
  Deno.test(`the numbers of the page’s transformer: ${name}`, () => {
    const model = make(changes);
    const get = passOf(model);
    near(get('logits').data, ownLogits(model));
    model.attention(IDS).forEach((heads, layer) =>
      near(get(`${layer + 1}.weights`).data, heads.flatMap((head) => [...head]))
    );
    const { data } = get('probabilities');
    if (!model.causal) return; // such a model predicts nothing after a prefix
    IDS.forEach((_, t) => near(data.subarray(7 * t, 7 * t + 7), model.dist(IDS.slice(0, t + 1))));
  });
}

Deno.test('every tensor has its name, its place and its shape', () => {
  const pass = forwardPass(make(), IDS);
  assert.deepEqual([...pass.keys()], tensorNames(2));
  for (const { shape, data } of pass.values()) assert.equal(data.length, shape.reduce((a, b) => a * b));
  const shapes = ['embedding', '2.query', '1.key', '1.rotated_key', '2.scores', '1.context', '2.gate', 'logits'];
  assert.deepEqual(shapes.map((name) => pass.get(name)?.shape.join(' ')), [
    ...['5 12', '3 5 4', '1 5 4', '1 5 4', '3 5 5', '3 5 4', '5 5', '5 7'],
  ]);
  assert.deepEqual(tensorNames(1), [
    'embedding',
    ...['attention_norm', 'query', 'key', 'value', 'rotated_query', 'rotated_key', 'scores', 'weights', 'context']
      .map((part) => `1.${part}`),
    ...['attention', 'after_attention', 'feed_forward_norm', 'gate', 'up', 'gated', 'feed_forward', 'output']
      .map((part) => `1.${part}`),
    ...['norm', 'logits', 'probabilities'],
  ]);
});

Deno.test('each tensor comes from those before it', () => {
  const get = passOf(make({ num_kv_heads: 3 }));
  const data = (/** @type {string} */ name) => get(name).data;
  near(data('embedding').map((x, i) => x + data('1.attention')[i]), data('1.after_attention'), 1e-12);
  near(data('1.after_attention').map((x, i) => x + data('1.feed_forward')[i]), data('1.output'), 1e-12);
  near(data('1.gate').map((g, i) => g * data('1.up')[i] / (1 + Math.exp(-g))), data('1.gated'), 1e-12);
  near(data('1.query').subarray(0, 4), data('1.rotated_query').subarray(0, 4), 1e-12); // at position 0 nothing turns
  const [turned, plain] = [data('1.rotated_key').subarray(4, 8), data('1.key').subarray(4, 8)];
  assert.ok(Math.abs(turned[0] - plain[0]) > 0.01);
  near([Math.hypot(turned[0], turned[2])], [Math.hypot(plain[0], plain[2])], 1e-6);
  const scores = data('2.scores');
  for (let i = 0; i < scores.length; i++) assert.equal(scores[i] === -Infinity, i % 5 > Math.floor(i / 5) % 5);
});

Deno.test('a switch does what other weights would do', () => {
  const plain = make();
  assert.deepEqual(switchNames(plain), [
    ...['head 1.1', 'head 1.2', 'head 1.3', 'feed-forward 1', 'head 2.1', 'head 2.2', 'head 2.3', 'feed-forward 2'],
    ...['positions', 'mask'],
  ]);
  const altered = Object.fromEntries(switchNames(plain).map((name) => [name, make({ causal: name !== 'mask' })]));
  for (let layer = 1; layer <= 2; layer++) {
    const blockOf = (/** @type {string} */ name) => altered[name].weights.blocks[layer - 1];
    const part = `feed-forward ${layer}`;
    clearColumns(altered[part], blockOf(part).down[0], 0, 5);
    for (let head = 0; head < 3; head++) {
      const name = `head ${layer}.${head + 1}`;
      clearColumns(altered[name], blockOf(name).out[0], 4 * head, 4 * head + 4);
    }
  }
  altered.positions.rotary.cos.fill(1);
  altered.positions.rotary.sin.fill(0);
  for (const [name, model] of Object.entries(altered)) {
    near(logitsOf(plain, [name]), ownLogits(model));
    assert.throws(() => near(logitsOf(plain, [name]), logitsOf(plain)), name);
  }
  const two = ['head 1.2', 'feed-forward 2'];
  clearColumns(altered['head 1.2'], altered['head 1.2'].weights.blocks[1].down[0], 0, 5);
  near(logitsOf(plain, two), ownLogits(altered['head 1.2']));
});

Deno.test('what is off is 0 where it would be added', () => {
  const get = passOf(make(), ['head 2.3', 'feed-forward 1']);
  assert.deepEqual(new Set(get('2.context').data.subarray(2 * 5 * 4)), new Set([0]));
  assert.ok(get('2.context').data.subarray(0, 2 * 5 * 4).every((value) => value !== 0));
  assert.deepEqual(new Set(get('1.feed_forward').data), new Set([0]));
  assert.deepEqual(get('1.output').data, get('1.after_attention').data);
});

Deno.test('the divergence from the exact distribution', () => {
  const logits = Float64Array.of(1000 + Math.log(0.25), 1000 + Math.log(0.5), 1000 + Math.log(0.25));
  const got = distanceOf(Float64Array.of(0.5, 0.5, 0), logits);
  near([got.crossEntropy, got.entropy, got.divergence], [1.5 * Math.LN2, Math.LN2, 0.5 * Math.LN2], 1e-12);
  const draw = seededRandom(1);
  for (let n = 0; n < 50; n++) { // of equals, in spite of rounding, exactly 0 or a little more
    const drawn = Float64Array.from({ length: 7 }, draw);
    const p = drawn.map((x) => x / drawn.reduce((a, b) => a + b));
    const { divergence } = distanceOf(p, p.map(Math.log));
    assert.ok(divergence >= 0 && divergence < 1e-12, String(divergence));
  }
});

Deno.test('ids that the model can’t read are refused', () => {
  assert.throws(() => forwardPass(make(), [8]), { message: 'id 8 is outside the vocabulary of 8' });
  assert.throws(() => forwardPass(make(), Array(10).fill(0)), { name: 'RangeError' });
});
