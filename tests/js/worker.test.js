import assert from 'node:assert/strict';
import { inSlices } from '../../lmbook/widgets/core/slices.js';
import { WorkerClient } from '../../lmbook/widgets/kit/worker.js';
import { answerCalls, Handover } from '../../lmbook/widgets/workers/answering.js';

/** @import { Method } from '../../lmbook/widgets/workers/answering.js' */

/**
 * Both ends of a line, without a worker between them.
 * @param {Record<string, Method>} methods
 * @param {(client: WorkerClient) => Promise<void>} ask
 */
async function withWorker(methods, ask) {
  const { port1, port2 } = new MessageChannel();
  answerCalls(methods, port2);
  const client = new WorkerClient(port1, () => (port1.close(), port2.close()));
  await ask(client);
  client.close();
}

Deno.test('a call gets its own answer, whichever comes first', () =>
  withWorker({
    late: (/** @type {number} */ x) => new Promise((resolve) => setTimeout(() => resolve(x + 1), 30)),
    soon: (/** @type {number} */ x) => x * 2,
  }, async (client) => {
    const late = client.call('late', 10);
    assert.equal(await client.call('soon', 7), 14);
    assert.equal(client.waiting.size, 1);
    assert.equal(await late, 11);
    assert.equal(client.waiting.size, 0);
  }));

Deno.test('errors keep their name and sentence', () =>
  withWorker({
    refuse() {
      throw Object.assign(new Error('the file is cut'), { name: 'FileProblem' });
    },
  }, async (client) => {
    await assert.rejects(client.call('refuse'), { name: 'FileProblem', message: 'the file is cut' });
    await assert.rejects(client.call('toString'), { name: 'TypeError', message: /no method "toString"/ });
  }));

Deno.test('buffers change hands without a copy, there and back', () =>
  withWorker({
    double(/** @type {Float32Array<ArrayBuffer>} */ numbers) {
      const doubled = numbers.map((x) => 2 * x);
      return new Handover(doubled, [doubled.buffer]);
    },
  }, async (client) => {
    const numbers = new Float32Array([1, 2, 3]);
    const doubled = await client.call('double', numbers, { transfer: [numbers.buffer] });
    assert.deepEqual([...doubled], [2, 4, 6]);
    assert.equal(numbers.length, 0);
  }));

Deno.test('a caller hears how far the work is, and can stop it', () => {
  let steps = 0;
  function* endless() {
    for (;;) yield ++steps;
  }
  return withWorker({
    work: (_, { progress, signal }) => inSlices(endless(), { onProgress: (n) => progress(n), signal }),
  }, async (client) => {
    const stopper = new AbortController();
    /** @type {number[]} */
    const heard = [];
    const onProgress = (/** @type {number} */ n) => heard.push(n) === 3 && stopper.abort();
    await assert.rejects(client.call('work', null, { onProgress, signal: stopper.signal }), { name: 'AbortError' });
    assert.equal(heard.length, 3);
    assert.ok(heard[0] < heard[1] && heard[1] < heard[2]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const then = steps;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(steps, then, 'the worker goes on after it was stopped');
    await assert.rejects(client.call('work', null, { signal: stopper.signal }), { name: 'AbortError' });
    assert.equal(steps, then, 'a call that was stopped before it began has begun');
  });
});

Deno.test('closing tells whoever waits', () =>
  withWorker({ never: () => new Promise(() => {}) }, async (client) => {
    const waits = client.call('never');
    client.close();
    await assert.rejects(waits, { name: 'AbortError' });
    await assert.rejects(client.call('never'), { name: 'AbortError' });
  }));
