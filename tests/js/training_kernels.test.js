import assert from 'node:assert/strict';
import { swiglu } from '../../lmbook/widgets/core/gradients.js';
import { Kernels } from '../../lmbook/widgets/core/kernels.js';
import { seededRandom } from '../../lmbook/widgets/core/random.js';
import { trainingProducts } from '../../lmbook/widgets/core/training_kernels.js';

/** Kernels with places for numbers, between 9s that nobody may write. */
function placing() {
  const [kernels, random] = [new Kernels(), seededRandom(1)];
  kernels.take(1e6); // the memory doesn't grow after this
  kernels.top = 0;
  /**
   * @param {number} length
   * @param {(u: number) => number} [draw]
   */
  const place = (length, draw = (u) => 2 * u - 1) => {
    const at = kernels.take(4 * (length + 8)) + 16;
    kernels.floats(at - 16, length + 8).fill(9);
    const view = kernels.floats(at, length);
    for (let i = 0; i < length; i++) view[i] = draw(random());
    return { at, view, around: () => [...kernels.floats(at - 16, 4), ...kernels.floats(at + 4 * length, 4)] };
  };
  return { kernels, run: trainingProducts(kernels), place };
}

Deno.test('two rows at a time, the backward products are the same', () => {
  for (const [T, R, C] of [[1, 1, 16], [2, 3, 32], [3, 5, 48], [7, 4, 23], [5, 11, 13], [4, 2, 17]]) {
    const { kernels, run, place } = placing();
    const [dy, w, x] = [place(T * R), place(R * C), place(T * C)];
    const [dx, dw] = [place(T * C), place(R * C)];
    const [wantX, wantW] = [place(T * C), place(R * C)];
    wantX.view.set(dx.view);
    wantW.view.set(dw.view);
    run.combine(dx.at, 4 * C, dy.at, 4 * R, 4, T, w.at, 4 * C, R, C);
    run.combine(dw.at, 4 * C, dy.at, 4, 4 * R, R, x.at, 4 * C, T, C);
    kernels.run.combine(wantX.at, 4 * C, dy.at, 4 * R, 4, T, w.at, 4 * C, R, C);
    kernels.run.combine(wantW.at, 4 * C, dy.at, 4, 4 * R, R, x.at, 4 * C, T, C);
    assert.deepEqual([...dx.view], [...wantX.view], `dX ${T} × ${R} × ${C}`);
    assert.deepEqual([...dw.view], [...wantW.view], `dW ${T} × ${R} × ${C}`);
    for (const { around } of [dx, dw]) assert.deepEqual(around(), Array(8).fill(9));
  }
});

Deno.test('powers of four numbers at a time, and their sum', () => {
  const { run, place } = placing();
  const x = place(400, (u) => 100 - 120 * u);
  x.view.set([100, -1e30, -Infinity, 99.999]);
  const before = [...x.view];
  const total = run.powers?.(x.at, 100, 100, 0.7) ?? NaN;
  let sum = 0;
  before.forEach((value, i) => {
    const power = (value - 100) * 0.7;
    const want = power < -50 ? 0 : Math.exp(power); // less would be a number that processors are slow with
    sum += want;
    assert.ok(Math.abs(x.view[i] - want) <= 1e-5 * want, `e^(0.7 · (${value} − 100)) is ${x.view[i]}`);
  });
  assert.equal(x.view[0], 1);
  assert.ok(Math.abs(total - sum) < 1e-5 * sum);
  assert.deepEqual(x.around(), Array(8).fill(9));
  x.view[5] = NaN;
  assert.ok(Number.isNaN(run.powers?.(x.at, 100, 100, 0.7)));
});

Deno.test('gates of four numbers at a time', () => {
  const { run, place } = placing();
  const [g, u, h, s] = [place(200, (v) => 40 * v - 20), place(200), place(200), place(200)];
  g.view.set([0, 300, -300, Infinity, -49, -51, -80, -88]);
  run.gates?.(h.at, s.at, g.at, u.at, 50);
  g.view.forEach((value, i) => {
    const want = value < -50 ? 0 : 1 / (1 + Math.exp(-value)); // as with powers
    assert.ok(Math.abs(s.view[i] - want) <= 1e-6 * want, `σ(${value}) is ${s.view[i]}`);
    const product = value * s.view[i] * u.view[i];
    assert.ok(h.view[i] === product || Math.abs(h.view[i] - product) <= 1e-6 * Math.abs(product));
  });
  for (const { around } of [h, s]) assert.deepEqual(around(), Array(8).fill(9));
});

Deno.test('a closed gate is 0 in plain JavaScript too', () => {
  const { place } = placing();
  const run = trainingProducts(new Kernels({ plain: true }));
  const [h, s, wide] = [place(3), place(3), place(6)];
  wide.view.set([-80, -51, -49, 1, 1, 1]);
  swiglu({ run }, h, s, wide, 1, 3);
  assert.deepEqual([...s.view.subarray(0, 2)], [0, 0]);
  assert.ok(s.view[2] > 1e-22 && h.view[2] < 0);
});

Deno.test('without WebAssembly the plain products serve', () => {
  const kernels = new Kernels({ plain: true });
  assert.equal(trainingProducts(kernels), kernels.run);
});
