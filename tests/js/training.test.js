import assert from 'node:assert/strict';
import { AdamW, clipLength, SGD, warmupCosine } from '../../lmbook/widgets/core/optimisers.js';
import { seededNormal } from '../../lmbook/widgets/core/random.js';
import { parameterShapes, TrainableTransformer } from '../../lmbook/widgets/core/trainable.js';
import { initialise, trainStep } from '../../lmbook/widgets/core/training.js';

/** @import { Parameter } from '../../lmbook/widgets/core/gradients.js' */

const CONFIG = {
  ...{ vocab_size: 7, extra_input_ids: 1, d_model: 8, num_heads: 2, num_kv_heads: 2, num_layers: 1, d_ff: 5 },
  ...{ context_length: 5, norm_eps: 1e-5, rope_base: 100, tie_embeddings: true, causal: true },
};
const BATCH = { ids: [0, 1, 2, 3, 4, 5, 6, 0, 2, 4, 6, 1], rows: 3, length: 4 };

/** @param {object} [options] */
function fresh(options = {}) {
  const model = new TrainableTransformer(CONFIG, options);
  initialise(model, 1);
  return model;
}

/**
 * What an optimiser sees of a model: a matrix of one number and a vector of one.
 * @param {number[]} values
 * @param {number[]} gradients
 */
function twoWeights(values, gradients) {
  const model = { values: Float32Array.from(values), gradients: Float32Array.from(gradients) };
  const parameters = [[1, 1], [1]].map((shape, i) => ({ shape, value: model.values.subarray(i, i + 1) }));
  return { ...model, parameters: /** @type {Parameter[]} */ (/** @type {unknown} */ (parameters)) };
}

/**
 * @param {ArrayLike<number>} got
 * @param {number[]} want
 */
function assertClose(got, want) {
  assert.equal(got.length, want.length);
  want.forEach((value, i) => assert.ok(Math.abs(got[i] - value) < 1e-6, `${i}: ${got[i]}, not ${value}`));
}

Deno.test('a step lowers the loss and takes no memory', () => {
  const model = fresh();
  const optimiser = new AdamW(model, { learningRate: 0.01, maxGradNorm: 1 });
  const { top, memory: { buffer } } = model.kernels;
  const losses = Array.from({ length: 60 }, () => trainStep(model, optimiser, BATCH));
  assert.ok(losses[59] < losses[0] - 1);
  assert.equal(optimiser.steps, 60);
  assert.ok(optimiser.gradientLength > 0);
  assert.equal(model.kernels.top, top);
  assert.equal(model.kernels.memory.buffer, buffer);
  assert.ok(Math.abs(model.loss(BATCH) - losses[59]) < 0.2);
});

Deno.test('the same seed trains to the same last bit', () => {
  const [a, b] = [0, 1].map(() => {
    const model = fresh();
    const optimiser = new SGD(model, { learningRate: 0.1, momentum: 0.5 });
    for (let i = 0; i < 5; i++) trainStep(model, optimiser, BATCH);
    return [...model.values];
  });
  assert.deepEqual(a, b);
});

Deno.test('a rate far too high gives NaN, not an error', () => {
  const model = fresh();
  const optimiser = new SGD(model, { learningRate: 1e30 });
  for (let i = 0; i < 4; i++) trainStep(model, optimiser, BATCH);
  assert.ok(Number.isNaN(trainStep(model, optimiser, BATCH)));
});

Deno.test('what can’t be read is refused before anything moves', () => {
  const model = fresh();
  const before = [...model.values, ...model.gradients];
  const refused = (/** @type {Partial<typeof BATCH>} */ batch, /** @type {string} */ message) =>
    assert.throws(() => model.lossAndGradients({ ...BATCH, ...batch }), { name: 'RangeError', message });
  refused({ ids: BATCH.ids.with(3, 7) }, 'id 7 is outside the vocabulary of 7'); // can be read, never predicted
  refused({ ids: BATCH.ids.with(3, -1) }, 'id -1 is outside the vocabulary of 7');
  refused({ ids: BATCH.ids.with(3, 0.5) }, 'id 0.5 is outside the vocabulary of 7');
  refused({ rows: 4 }, 'a batch has rows of at least 2 ids, got 12 as 4 rows of 4');
  refused({ rows: 12, length: 1 }, 'a batch has rows of at least 2 ids, got 12 as 12 rows of 1');
  refused({ rows: 0, ids: [] }, 'a batch has rows of at least 2 ids, got 0 as 0 rows of 4');
  const long = { ids: Array(7).fill(0), rows: 1, length: 7 };
  refused(long, 'attention would run over 6 tokens, this model has room for 5');
  assert.ok(model.loss({ ids: Array(6).fill(0), rows: 1, length: 6 }) > 0);
  assert.deepEqual([...model.values, ...model.gradients], before);
  const optimiser = new SGD(fresh(), { learningRate: 1 });
  assert.throws(() => trainStep(model, optimiser, BATCH), /the optimiser holds the weights of another model/);
});

Deno.test('across the batch, the room is for rows', () => {
  const model = fresh({ parts: { rows: false }, capacity: 3 });
  assert.ok(model.loss(BATCH) > 0);
  assert.ok(model.loss({ ids: Array(40).fill(0), rows: 2, length: 20 }) > 0);
  const message = 'attention would run over 4 tokens, this model has room for 3';
  assert.throws(() => model.loss({ ids: Array(8).fill(0), rows: 4, length: 2 }), { name: 'RangeError', message });
});

Deno.test('it predicts like every model of the page', () => {
  const model = fresh();
  const probs = model.dist([7, 1, 2]); // the extra id can be read
  assert.equal(probs.length, 7);
  assert.ok(Math.abs(probs.reduce((a, b) => a + b) - 1) < 1e-9);
  const rows = model.logits([7, 1, 2]);
  assert.equal(rows.length, 3);
  assert.ok(Math.abs(Math.log(probs[3] / probs[4]) - (rows[2][3] - rows[2][4])) < 1e-5);
  assert.throws(() => model.dist([]), /it needs a token/);
  assert.throws(() => model.dist([8]), { name: 'RangeError', message: 'id 8 is outside the vocabulary of 8' });
  const message = 'the sequence is 6 tokens long, the model reads at most 5';
  assert.throws(() => model.dist([1, 1, 1, 1, 1, 1]), { name: 'RangeError', message });
  model.values.fill(0);
  assert.deepEqual([...model.logits([1])[0]], Array(7).fill(0)); // changed weights count at once
});

Deno.test('a configuration without a causal mask has none', () => {
  const model = new TrainableTransformer({ ...CONFIG, causal: false });
  initialise(model, 1);
  const [a, b] = [[1, 2, 3], [1, 2, 4]].map((ids) => model.logits(ids)[0]);
  assert.ok(a.some((value, v) => Math.abs(value - b[v]) > 1e-4));
});

Deno.test('the parameters’ names and shapes', () => {
  const shapes = parameterShapes({ ...CONFIG, num_heads: 4, num_kv_heads: 2, tie_embeddings: false });
  assert.deepEqual(shapes, [
    ['embedding.weight', [8, 8]],
    ['blocks.0.attention_norm.weight', [8]],
    ['blocks.0.attention.qkv.weight', [16, 8]],
    ['blocks.0.attention.out.weight', [8, 8]],
    ['blocks.0.feed_forward_norm.weight', [8]],
    ['blocks.0.feed_forward.gate_up.weight', [10, 8]],
    ['blocks.0.feed_forward.down.weight', [8, 5]],
    ['norm.weight', [8]],
    ['unembedding.weight', [7, 8]],
  ]);
});

Deno.test('normal numbers repeat with their seed', () => {
  const draw = (/** @type {number} */ seed) => Array.from({ length: 4000 }, seededNormal(seed));
  const many = draw(3);
  assert.deepEqual(draw(3), many);
  assert.notDeepEqual(draw(4), many);
  const mean = many.reduce((a, b) => a + b) / 4000;
  const square = many.reduce((a, b) => a + b * b, 0) / 4000;
  assert.ok(Math.abs(mean) < 0.08 && Math.abs(square - 1) < 0.12); // five standard errors
});

Deno.test('AdamW by hand: the first two steps', () => {
  const model = twoWeights([2, 3], [0.5, -4]);
  const optimiser = new AdamW(model, { learningRate: 0.1, weightDecay: 0.2, decayVectors: false, eps: 0 });
  optimiser.step(); // m / √v is the gradient's sign, whatever its size
  assertClose(model.values, [2 * 0.98 - 0.1, 3 + 0.1]);
  model.gradients.set([0, -4]);
  optimiser.step(); // m = 0.9 · 0.05 and v = 0.999 · 0.00025 of the first, over 1 − 0.9² and 1 − 0.999²
  const moved = (0.1 * (0.045 / 0.19)) / Math.sqrt(0.00024975 / 0.001999);
  assertClose(model.values, [1.86 * 0.98 - moved, 3.2]);
});

Deno.test('SGD by hand, with momentum, a schedule and a limit', () => {
  const model = twoWeights([1, 1], [3, 4]);
  const schedule = (/** @type {number} */ step) => [1, 0.5][step];
  const optimiser = new SGD(model, { learningRate: 0.1, momentum: 0.5, schedule, maxGradNorm: 1 });
  optimiser.step();
  assert.equal(optimiser.gradientLength, 5);
  assertClose(model.values, [1 - 0.06, 1 - 0.08]);
  model.gradients.set([0.1, 0]);
  optimiser.step(); // 0.5 · (0.6, 0.8) + (0.1, 0)
  assertClose(model.values, [0.94 - 0.05 * 0.4, 0.92 - 0.05 * 0.4]);
});

Deno.test('a short gradient stays as it is', () => {
  const gradients = Float32Array.from([3, 4]);
  assert.equal(clipLength(gradients, 5.1), 5);
  assert.deepEqual([...gradients], [3, 4]);
  assert.equal(clipLength(gradients, 2.5), 5);
  assertClose(gradients, [1.5, 2]);
});

Deno.test('settings out of range are refused', () => {
  const model = twoWeights([1, 1], [1, 1]);
  const refused = (/** @type {() => unknown} */ make, /** @type {string} */ message) =>
    assert.throws(make, { name: 'RangeError', message });
  refused(() => new SGD(model, { learningRate: -1 }), 'learningRate must be in [0, inf), got -1');
  refused(() => new SGD(model, { learningRate: NaN }), 'learningRate must be in [0, inf), got NaN');
  refused(() => new SGD(model, { learningRate: 1, momentum: 1 }), 'momentum must be in [0, 1), got 1');
  refused(() => new SGD(model, { learningRate: 1, maxGradNorm: 0 }), 'maxGradNorm must be in (0, inf], got 0');
  refused(() => new AdamW(model, { learningRate: 1, betas: [0.9, 1] }), 'a beta must be in [0, 1), got 1');
  refused(() => new AdamW(model, { learningRate: 1, eps: -1 }), 'eps must be in [0, inf), got -1');
  refused(() => new AdamW(model, { learningRate: 1, weightDecay: NaN }), 'weightDecay must be in [0, inf), got NaN');
  refused(() => warmupCosine(5, 5), 'warmup must be at least 0 and below total 5, got 5');
  refused(() => warmupCosine(-1, 5), 'warmup must be at least 0 and below total 5, got -1');
  refused(() => warmupCosine(0, 5, 1.5), 'floor must be in [0, 1], got 1.5');
});

Deno.test('up along a line, down along half a cosine', () => {
  const factor = warmupCosine(4, 12, 0.2);
  assertClose([0, 1, 3, 4, 8, 12, 99].map(factor), [0.25, 0.5, 1, 1, 0.6, 0.2, 0.2]);
});

Deno.test('matrices begin with variance 1 / columns, the last of each branch with less, and norms with 1', () => {
  const model = new TrainableTransformer({ ...CONFIG, d_model: 40, d_ff: 60, num_layers: 3 }, { capacity: 1 });
  initialise(model, 2);
  for (const { name, shape, value } of model.parameters) {
    const square = value.reduce((sum, x) => sum + x * x, 0) / value.length;
    const branchEnd = name.endsWith('out.weight') || name.endsWith('down.weight');
    const want = shape.length === 1 ? 1 : 1 / shape[1] / (branchEnd ? 6 : 1);
    assert.ok(Math.abs(square / want - 1) < 5 * Math.sqrt(2 / value.length), `${name}: ${square}, not ${want}`);
  }
});
