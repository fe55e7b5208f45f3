import assert from 'node:assert/strict';
import { quickExp, softmaxInPlace } from '../../lmbook/widgets/core/exponential.js';
import { seededRandom } from '../../lmbook/widgets/core/random.js';
import { Kernels } from '../../lmbook/widgets/core/kernels.js';

const PLAIN = new Kernels({ plain: true }).run;

Deno.test('the quick exponential is right to 11 digits', () => {
  const random = seededRandom(1);
  for (let i = 0; i < 20_000; i++) {
    const x = (i % 2 ? 20 : 1398) * (random() - 0.5);
    assert.ok(Math.abs(quickExp(x) / Math.exp(x) - 1) < 1e-11, `e^${x} is ${quickExp(x)}`);
  }
  assert.equal(quickExp(0), 1);
});

Deno.test('beyond its limits it is 0 or infinite, and NaN stays NaN', () => {
  assert.deepEqual([-1e300, -Infinity, -701].map(quickExp), [0, 0, 0]);
  assert.deepEqual([1e300, Infinity, 701].map(quickExp), [Infinity, Infinity, Infinity]);
  assert.ok(Number.isNaN(quickExp(NaN)));
});

Deno.test('softmax in place, of a part of an array', () => {
  const x = Float32Array.from([7, 1000, 999, 1002, 7]);
  const total = softmaxInPlace(PLAIN, { at: 0, view: x }, 1, 3, 0.5);
  const weights = [1000, 999, 1002].map((score) => Math.exp((score - 1002) / 2));
  const sum = weights.reduce((a, b) => a + b);
  weights.forEach((weight, i) => assert.ok(Math.abs(x[1 + i] - weight / sum) < 1e-7));
  assert.ok(Math.abs(total - (501 + Math.log(sum))) < 1e-9);
  assert.deepEqual([x[0], x[4]], [7, 7]);
  const broken = Float32Array.from([1, NaN, 2]);
  assert.ok(Number.isNaN(softmaxInPlace(PLAIN, { at: 0, view: broken }, 0, 3, 1)));
  assert.ok(broken.every(Number.isNaN));
});

Deno.test('a softmax has no share below e^-50, where processors are slow, and still sums to 1', () => {
  const view = Float32Array.from([3, -46.9, -47.1, -1e9, -Infinity]);
  softmaxInPlace(PLAIN, { at: 0, view }, 0, 5, 1);
  assert.deepEqual([view[0], view[2], view[3], view[4]], [1, 0, 0, 0]);
  assert.ok(Math.abs(view[1] / Math.exp(-49.9) - 1) < 1e-5);
});
