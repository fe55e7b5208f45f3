import assert from 'node:assert/strict';
import * as operations from '../../lmbook/widgets/core/gradients.js';
import { Kernels } from '../../lmbook/widgets/core/kernels.js';
import { seededRandom } from '../../lmbook/widgets/core/random.js';
import { TrainableTransformer } from '../../lmbook/widgets/core/trainable.js';
import { initialise } from '../../lmbook/widgets/core/training.js';
import { rotaryTables } from '../../lmbook/widgets/core/transformer.js';

/** @import { Parameter, Place } from '../../lmbook/widgets/core/gradients.js' */

/** Kernels in float64, so that differences of losses can be taken. Addresses are those of float32. */
class DoubleKernels {
  numbers = new Float64Array(2 ** 18);
  top = 0;

  /** @param {number} size */
  take(size) {
    this.top += size;
    assert.ok(this.top <= 4 * this.numbers.length);
    return this.top - size;
  }

  /**
   * @param {number} at
   * @param {number} length
   */
  floats(at, length) {
    return this.numbers.subarray(at / 4, at / 4 + length);
  }

  run = {
    /** @type {import('../../lmbook/widgets/core/kernels_plain.js').Products['products']} */
    products: (out, outStep, x, xStep, tokens, w, wStep, rows, columns) => {
      for (let t = 0; t < tokens; t++) {
        for (let r = 0; r < rows; r++) {
          this.numbers[(out + t * outStep) / 4 + r] = 0;
          this.run.combine(out + t * outStep + 4 * r, 0, x + t * xStep, 0, 4, 1, w + r * wStep, 4, columns, 1);
        }
      }
    },
    /** @type {import('../../lmbook/widgets/core/kernels_plain.js').Products['combine']} */
    combine: (out, outStep, y, yStep, yNext, rows, w, wStep, terms, columns) => {
      for (let i = 0; i < rows; i++) {
        for (let k = 0; k < terms; k++) {
          const factor = this.numbers[(y + i * yStep + k * yNext) / 4];
          for (let c = 0; c < columns; c++) {
            this.numbers[(out + i * outStep) / 4 + c] += factor * this.numbers[(w + k * wStep) / 4 + c];
          }
        }
      }
    },
  };
}

/** @param {number} seed */
function doubles(seed) {
  const [kernels, random] = [new DoubleKernels(), seededRandom(seed)];
  /** @param {number} length */
  const place = (length) => {
    const at = kernels.take(4 * length);
    const view = kernels.floats(at, length);
    for (let i = 0; i < length; i++) view[i] = 2 * random() - 1;
    return /** @type {Place} */ (/** @type {unknown} */ ({ at, view }));
  };
  /** @param {number[]} shape */
  const parameter = (...shape) => {
    const size = shape.reduce((product, n) => product * n, 1);
    const [{ at, view: value }, { at: gradAt, view: grad }] = [place(size), place(size)];
    grad.fill(0);
    return { name: '', shape, at, value, gradAt, grad };
  };
  return { kernels: /** @type {Kernels} */ (/** @type {unknown} */ (kernels)), place, parameter };
}

/**
 * Compares derivatives with (L(x + h) − L(x − h)) / 2h.
 * @param {() => number} loss
 * @param {Float32Array} x a view of Float64Array in truth
 * @param {Float32Array} dx
 * @param {string} what
 * @param {number} [most] numbers that are compared
 */
function assertDerivative(loss, x, dx, what, most = Infinity) {
  const found = [...dx];
  const size = Math.max(...found.map(Math.abs));
  assert.ok(size > 1e-3, `${what}: all derivatives are 0`);
  const stride = Math.ceil(found.length / most);
  found.forEach((value, i) => {
    if (i % stride) return;
    const [before, h] = [x[i], 1e-4];
    x[i] = before + h;
    const above = loss();
    x[i] = before - h;
    const difference = (above - loss()) / (2 * h);
    x[i] = before;
    assert.ok(Math.abs(value - difference) <= 1e-6 * size, `${what} ${i}: ${value}, by differences ${difference}`);
  });
}

/**
 * The loss Σ y · dy, whose derivative by y is dy.
 * @param {Float32Array} y
 * @param {Float32Array} dy
 */
function weighted(y, dy) {
  let sum = 0;
  for (let i = 0; i < dy.length; i++) sum += y[i] * dy[i];
  return sum;
}

/** @param {Place} place */
function zeroed(place) {
  place.view.fill(0);
  return place;
}

Deno.test('embedding: derivatives are differences of the loss', () => {
  const { place, parameter } = doubles(1);
  const [T, V, D] = [7, 5, 3];
  const [x, dx, table] = [place(T * D), place(T * D), parameter(V, D)];
  const ids = Int32Array.from([4, 0, 1, 1, 4, 4, 2]);
  operations.embedBackward(table, dx.view, ids, T);
  const loss = () => {
    operations.embed(x.view, table, ids, T);
    return weighted(x.view, dx.view);
  };
  assertDerivative(loss, table.value, table.grad, 'table');
  assert.deepEqual([...table.grad.subarray(9, 12)], [0, 0, 0]); // word 3 doesn't stand there
});

Deno.test('RMSNorm: derivatives are differences of the loss', () => {
  const { place, parameter } = doubles(2);
  const [T, D, eps] = [3, 7, 0.1];
  const [x, y, dy, weight] = [place(T * D), place(T * D), place(T * D), parameter(D)];
  const dx = zeroed(place(T * D));
  operations.rmsNormBackward(dx.view, dy.view, x.view, weight, T, eps);
  const loss = () => {
    operations.rmsNorm(y.view, x.view, weight, T, eps);
    return weighted(y.view, dy.view);
  };
  assertDerivative(loss, x.view, dx.view, 'x');
  assertDerivative(loss, weight.value, weight.grad, 'weight');
});

Deno.test('linear product: derivatives are differences of the loss', () => {
  const { kernels, place, parameter } = doubles(3);
  const [T, R, C] = [67, 3, 5]; // more tokens than are taken at a time
  const [x, y, dy, weight] = [place(T * C), place(T * R), place(T * R), parameter(R, C)];
  const dx = zeroed(place(T * C));
  operations.linearBackward(kernels, dx, dy, x, weight, T);
  const loss = () => {
    operations.linear(kernels, y, x, weight, T);
    return weighted(y.view, dy.view);
  };
  assertDerivative(loss, x.view, dx.view, 'x');
  assertDerivative(loss, weight.value, weight.grad, 'weight');
});

Deno.test('rotary positions: derivatives are differences of the loss', () => {
  const { place } = doubles(4);
  const [T, step, heads, E] = [5, 23, 3, 6];
  const [x, dy] = [place(T * step), place(T * step)];
  const tables = rotaryTables(T, E, 500);
  const dx = Float64Array.from(dy.view);
  operations.turn(/** @type {any} */ (dx), tables, T, step, heads, E, -1);
  const loss = () => {
    const y = /** @type {any} */ (Float64Array.from(x.view));
    operations.turn(y, tables, T, step, heads, E, 1);
    return weighted(y, dy.view);
  };
  assertDerivative(loss, x.view, /** @type {any} */ (dx), 'x');
  assert.deepEqual([...dx.subarray(18, 23)], [...dy.view.subarray(18, 23)]); // values aren't turned
});

for (const causal of [true, false]) {
  Deno.test(`attention, ${causal ? 'causal' : 'without a mask'}: derivatives are differences of the loss`, () => {
    for (const T of [5, 37]) { // 37: more queries than are taken at a time
      const { kernels, place } = doubles(5);
      const [H, K, E] = [3, 1, 2];
      const shape = { T, H, K, E, causal };
      const step = H * E + 2 * K * E;
      const [qkv, context, dContext, shares] = [T * step, T * H * E, T * H * E, H * T * T].map(place);
      const [dQkv, dShares] = [zeroed(place(T * step)), place(operations.QUERIES_TOGETHER * T)];
      const loss = () => {
        operations.attend(kernels, context, shares, qkv, shape);
        return weighted(context.view, dContext.view);
      };
      loss();
      operations.attendBackward(kernels, dQkv, dContext, shares, dShares, qkv, shape);
      assertDerivative(loss, qkv.view, dQkv.view, `T ${T}`);
    }
  });
}

Deno.test('SwiGLU: derivatives are differences of the loss', () => {
  const { kernels, place } = doubles(6);
  const [T, F] = [3, 5];
  const [wide, hidden, dHidden, gates] = [2 * T * F, T * F, T * F, T * F].map(place);
  const dWide = zeroed(place(2 * T * F));
  const loss = () => {
    operations.swiglu(kernels, hidden, gates, wide, T, F);
    return weighted(hidden.view, dHidden.view);
  };
  loss();
  operations.swigluBackward(dWide.view, dHidden.view, gates.view, wide.view, T, F);
  assertDerivative(loss, wide.view, dWide.view, 'wide');
});

Deno.test('cross-entropy: derivatives are differences of the loss', () => {
  const { kernels, place } = doubles(7);
  const [T, V, n] = [3, 7, 11];
  const logits = place(T * V);
  logits.view[2] += 900; // e to this is beyond any number
  const targets = Int32Array.from([2, 0, 6]);
  const before = [...logits.view];
  operations.crossEntropy(kernels, logits, targets, T, V, n);
  const dLogits = logits.view.slice();
  logits.view.set(before);
  const copy = place(T * V);
  const loss = () => {
    copy.view.set(logits.view);
    return operations.crossEntropy(kernels, copy, targets, T, V, n) / n;
  };
  assertDerivative(loss, logits.view, dLogits, 'logits');
});

const CONFIG = {
  ...{ vocab_size: 11, extra_input_ids: 2, d_model: 12, num_heads: 3, num_kv_heads: 1, num_layers: 2, d_ff: 7 },
  ...{ context_length: 13, norm_eps: 1e-2, rope_base: 100, tie_embeddings: true, causal: true },
};
const BATCH = { rows: 3, length: 6, ids: [0, 3, 9, 10, 2, 2, 7, 7, 1, 0, 5, 10, 4, 8, 6, 3, 9, 1] };
const WHOLE = { mask: true, positions: true, residuals: true, norms: true, rows: true };
const SWITCHED = [WHOLE, ...Object.keys(WHOLE).map((part) => ({ ...WHOLE, [part]: false }))];

for (const parts of SWITCHED) {
  const off = Object.entries(parts).filter(([, on]) => !on).map(([part]) => `without ${part}`);
  for (const tied of off.length ? [true] : [true, false]) {
    const name = `${off[0] ?? 'whole'}, ${tied ? 'tied' : 'untied'}`;
    Deno.test(`the network, ${name}: derivatives are differences of the loss`, () => {
      const { kernels } = doubles(8);
      const model = new TrainableTransformer({ ...CONFIG, tie_embeddings: tied }, { parts, kernels });
      initialise(model, 1);
      const random = seededRandom(9);
      model.values.forEach((value, i) => (model.values[i] = value + 0.2 * random())); // norms are 1 otherwise
      assert.equal(model.lossAndGradients(BATCH), model.loss(BATCH));
      model.lossAndGradients(BATCH);
      const gradients = model.gradients.slice();
      const unused = (/** @type {Parameter} */ { shape }) => shape.length === 1 && !parts.norms;
      let start = 0;
      for (const weight of model.parameters) {
        const grad = gradients.subarray(start, start += weight.value.length);
        if (unused(weight)) assert.ok(grad.every((value) => value === 0), weight.name);
        else assertDerivative(() => model.loss(BATCH), weight.value, grad, weight.name, 23);
      }
      assert.equal(start, model.size);
    });
  }
}

/**
 * The largest change of each row of logits when token `changed` becomes another one.
 * @param {import('../../lmbook/widgets/core/trainable.js').Parts} parts
 * @param {number[]} ids
 * @param {number} changed
 */
function influence(parts, ids, changed) {
  const model = new TrainableTransformer(CONFIG, { parts });
  initialise(model, 3);
  const before = model.logits(ids);
  const after = model.logits(ids.with(changed, (ids[changed] + 1) % 11));
  return before.map((row, t) => Math.max(...row.map((value, v) => Math.abs(value - after[t][v]))));
}

Deno.test('a token moves its own logits and later ones; without the mask earlier ones too; alone only its own', () => {
  const ids = [4, 1, 8, 2, 6, 3, 10];
  const seen = (/** @type {typeof WHOLE} */ parts) => influence(parts, ids, 3).map((change) => change > 1e-4);
  assert.deepEqual(seen(WHOLE), [false, false, false, true, true, true, true]);
  assert.deepEqual(seen({ ...WHOLE, positions: false }), [false, false, false, true, true, true, true]);
  assert.deepEqual(seen({ ...WHOLE, mask: false }), Array(7).fill(true));
  assert.deepEqual(seen({ ...WHOLE, rows: false }), [false, false, false, true, false, false, false]);
});

Deno.test('without positions and a mask, order makes no difference to a token', () => {
  const model = (/** @type {boolean} */ positions) => {
    const made = new TrainableTransformer(CONFIG, { parts: { positions, mask: false } });
    initialise(made, 4);
    return made;
  };
  const apart = (/** @type {boolean} */ positions) => {
    const [a, b] = [[4, 1, 8, 2, 6], [8, 2, 4, 1, 6]].map((ids) => model(positions).logits(ids)[4]);
    return Math.max(...a.map((value, v) => Math.abs(value - b[v])));
  };
  assert.ok(apart(false) < 1e-5);
  assert.ok(apart(true) > 1e-2);
});

Deno.test('across the batch, rows of a batch move each other’s loss, and tokens of one row do not see each other', () => {
  const rows = [[0, 3, 9, 10, 2], [7, 7, 1, 0, 5], [4, 8, 6, 3, 9]];
  /**
   * The part of the loss that belongs to the token after [row, t], by the derivative of its own logits.
   * @param {boolean} along
   * @param {number[][]} texts
   */
  const lossOf = (along, texts) => {
    const model = new TrainableTransformer(CONFIG, { parts: { rows: along } });
    initialise(model, 5);
    return 12 * model.loss({ ids: texts.flat(), rows: 3, length: 5 });
  };
  // changing row 0's first token moves the losses of rows 1 and 2 at that place only if attention crosses rows
  const changed = [[5, 3, 9, 10, 2], ...rows.slice(1)];
  const own = (/** @type {number[][]} */ texts) => {
    const model = new TrainableTransformer(CONFIG, {});
    initialise(model, 5);
    return 4 * model.loss({ ids: texts[0], rows: 1, length: 5 });
  };
  assert.ok(Math.abs(lossOf(true, changed) - lossOf(true, rows) - (own(changed) - own(rows))) < 1e-4);
  // across: the change stays at place 0, so that a column by itself explains it
  const column = (/** @type {number[][]} */ texts) => {
    const model = new TrainableTransformer(CONFIG, { parts: { rows: false } });
    initialise(model, 5);
    return 3 * model.loss({ ids: texts.map((row) => row.slice(0, 2)).flat(), rows: 3, length: 2 });
  };
  assert.ok(Math.abs(column(changed) - column(rows)) > 1e-3);
  assert.ok(Math.abs(lossOf(false, changed) - lossOf(false, rows) - (column(changed) - column(rows))) < 1e-4);
});

Deno.test('without residuals the embedding no longer reaches the logits except through every branch', () => {
  const model = new TrainableTransformer(CONFIG, { parts: { residuals: false } });
  initialise(model, 6);
  model.weights.blocks[1].down.value.fill(0); // silences the last branch
  assert.ok(model.logits([1, 2, 3]).flatMap((row) => [...row]).every((value) => value === 0));
  const whole = new TrainableTransformer(CONFIG);
  initialise(whole, 6);
  whole.weights.blocks[1].down.value.fill(0);
  assert.ok(whole.logits([1, 2, 3]).flatMap((row) => [...row]).some((value) => Math.abs(value) > 0.1));
});

Deno.test('without norms logits grow with the square of the embeddings where nothing else is added', () => {
  const logit = (/** @type {boolean} */ norms, /** @type {number} */ scale) => {
    const model = new TrainableTransformer({ ...CONFIG, norm_eps: 1e-9 }, { parts: { norms } });
    initialise(model, 7);
    for (const { out, down } of model.weights.blocks) for (const weight of [out, down]) weight.value.fill(0);
    model.weights.embedding.value.forEach((value, i, all) => (all[i] = scale * value));
    return model.logits([5])[0][5];
  };
  assert.ok(Math.abs(logit(false, 3) / logit(false, 1) - 9) < 1e-4);
  assert.ok(Math.abs(logit(true, 3) / logit(true, 1) - 3) < 1e-3); // the output’s factor alone
});

Deno.test('WebAssembly and plain JavaScript give the same derivatives', () => {
  const [fast, slow] = [false, true].map((plain) => {
    const model = new TrainableTransformer(CONFIG, { kernels: new Kernels({ plain }) });
    initialise(model, 8);
    model.lossAndGradients(BATCH);
    return model;
  });
  assert.deepEqual([fast.kernels.simd, slow.kernels.simd], [true, false]);
  const size = slow.gradients.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  fast.gradients.forEach((value, i) => assert.ok(Math.abs(value - slow.gradients[i]) <= 1e-5 * size));
});
