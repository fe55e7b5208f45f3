import assert from 'node:assert/strict';
import { Curve } from '../../lmbook/widgets/core/curve.js';

Deno.test('a short curve is what was added', () => {
  const curve = new Curve();
  for (let step = 1; step <= 100; step++) curve.add(step, 2 * step);
  assert.deepEqual(curve.points, Array.from({ length: 100 }, (_, i) => [i + 1, 2 * i + 2]));
});

Deno.test('a long one keeps few points, each the mean of as many values', () => {
  const curve = new Curve();
  for (let step = 1; step <= 100_000; step++) curve.add(step, 3 * step);
  assert.ok(curve.points.length < 240 && curve.points.length >= 100);
  curve.points.forEach(([step, value], i) => {
    assert.equal(step, i * curve.stride + (curve.stride + 1) / 2);
    assert.equal(value, 3 * step);
  });
});
