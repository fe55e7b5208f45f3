import assert from 'node:assert/strict';
import { inSlices } from '../../lmbook/widgets/core/slices.js';

/**
 * Work of n steps, 3 ms each.
 * @param {number} n
 * @param {boolean} [isBroken]
 */
function* work(n, isBroken = false) {
  for (let i = 0; i < n; i++) {
    const start = performance.now();
    while (performance.now() - start < 3);
    yield i / n;
  }
  if (isBroken) throw new RangeError('broken');
  return 'done';
}

Deno.test('long work lets the page have its turn, and tells how far it is', async () => {
  /** @type {number[]} */
  const shares = [];
  let between = 0;
  const timer = setInterval(() => between++, 1);
  assert.equal(await inSlices(work(40), { onProgress: (share) => shares.push(share) }), 'done');
  clearInterval(timer);
  assert.deepEqual(shares, [...new Set(shares)].sort((a, b) => a - b));
  assert.ok(shares.length >= 5, `told ${shares.length} times in 120 ms of work`);
  assert.ok(between >= 5, `the rest of the page had its turn ${between} times`);
});

Deno.test('it stops when it is told to', async () => {
  const stop = new AbortController();
  /** @param {number} share */
  const onProgress = (share) => share > 0 && stop.abort();
  await assert.rejects(inSlices(work(1000), { onProgress, signal: stop.signal }), { name: 'AbortError' });
});

Deno.test('an error of the work is an error of the promise', async () => {
  await assert.rejects(inSlices(work(1, true)), { name: 'RangeError', message: 'broken' });
});

Deno.test('a slice ends after ten milliseconds', async () => {
  const { now } = performance;
  let clock = 1000;
  performance.now = () => clock;
  function* steps() {
    for (let i = 1; i <= 7; i++) {
      clock += 5;
      yield i;
    }
  }
  /** @type {number[]} */
  const told = [];
  try {
    await inSlices(steps(), { onProgress: (step) => told.push(step) });
  } finally {
    performance.now = now;
  }
  assert.deepEqual(told, [2, 4, 6]);
});
