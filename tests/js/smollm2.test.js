import assert from 'node:assert/strict';
import { forgetFile, isKept, keepFile, keptFile, PieceDigest } from '../../lmbook/widgets/core/smollm2.js';
import { readBytes } from '../../lmbook/widgets/workers/smollm2_loading.js';

/** @param {Uint8Array<ArrayBuffer>[]} parts @param {Error} [failure] */
function streamOf(parts, failure) {
  return /** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(part);
      if (failure) controller.error(failure);
      else controller.close();
    },
  }, { highWaterMark: 100 }));
}

/** @param {number} length */
const someBytes = (length) => Uint8Array.from({ length }, (_, i) => (i * i + (i >> 8)) % 251);

/**
 * Runs `work` with a browser's caches that hold what is put there, as far as there is room.
 * @param {{ room?: number, isPrivate?: boolean }} browser
 * @param {() => Promise<void>} work
 */
async function withCaches({ room = Infinity, isPrivate = false }, work) {
  /** @type {Map<string, ArrayBuffer>} */
  const held = new Map();
  const shelf = {
    /** @param {string} key */
    match: (key) => Promise.resolve(held.has(key) ? new Response(held.get(key)) : undefined),
    /** @param {string} key @param {Response} response */
    async put(key, response) {
      let size = 0;
      const parts = [];
      for await (const part of response.body ?? []) {
        if ((size += part.length) > room) throw new DOMException('no room', 'QuotaExceededError');
        parts.push(part);
      }
      held.set(key, await new Blob(parts).arrayBuffer());
    },
    /** @param {string} key */
    delete: (key) => Promise.resolve(held.delete(key)),
  };
  const open = () => isPrivate ? Promise.reject(new DOMException('', 'SecurityError')) : Promise.resolve(shelf);
  const before = Object.getOwnPropertyDescriptor(globalThis, 'caches');
  Object.defineProperty(globalThis, 'caches', { value: { open }, configurable: true });
  try {
    await work();
  } finally {
    if (before) Object.defineProperty(globalThis, 'caches', before);
  }
}

const LENGTH = 9 * 2 ** 20 + 5;

Deno.test('the digest is that of the pieces’ digests, however the bytes come', async () => {
  const bytes = someBytes(LENGTH);
  const digests = [];
  for (let at = 0; at < LENGTH; at += 2 ** 22) {
    digests.push(await crypto.subtle.digest('SHA-256', bytes.slice(at, at + 2 ** 22)));
  }
  assert.equal(digests.length, 3);
  const whole = new Uint8Array(await crypto.subtle.digest('SHA-256', await new Blob(digests).arrayBuffer()));
  const expected = whole.toHex();
  for (const step of [100_001, 2 ** 22, LENGTH]) {
    const digest = new PieceDigest(bytes);
    for (let length = 0; length < LENGTH + step; length += step) digest.upTo(Math.min(length, LENGTH));
    assert.equal(await digest.hex(), expected);
  }
});

Deno.test('a stream is read, told and checked', async () => {
  const bytes = new Uint8Array(10);
  const told = /** @type {number[]} */ ([]);
  const signal = new AbortController().signal;
  const options = { tell: (/** @type {number} */ length) => told.push(length), signal };
  const [five, ten] = [someBytes(5), someBytes(10)];
  await assert.rejects(readBytes(streamOf([five, five]), bytes, options), {
    name: 'FileProblem',
    message: /other bytes/,
  });
  assert.deepEqual([...bytes], [...five, ...five]);
  assert.equal(told[0], 5);
  const brokenOff = /broke off after 0 of 98 MB/;
  await assert.rejects(readBytes(streamOf([five]), bytes, options), { message: brokenOff });
  await assert.rejects(readBytes(streamOf([five], new TypeError('network')), bytes, options), { message: brokenOff });
  await assert.rejects(readBytes(streamOf([ten, five]), bytes, options), { name: 'FileProblem', message: /longer/ });
  await assert.rejects(readBytes(streamOf([five]), bytes, { ...options, signal: AbortSignal.abort() }), {
    name: 'AbortError',
  });
});

Deno.test('the browser keeps a whole file, and nothing of a broken one', () =>
  withCaches({}, async () => {
    for (const isWhole of [false, true]) {
      const keeper = await keepFile();
      await keeper.write(someBytes(7));
      await keeper.write(someBytes(3));
      assert.equal(await keeper.finish(isWhole), isWhole);
      assert.equal(await isKept(), isWhole);
    }
    const kept = await keptFile();
    assert.deepEqual(await new Response(kept).bytes(), Uint8Array.from([...someBytes(7), ...someBytes(3)]));
    await forgetFile();
    assert.equal(await isKept(), false);
    assert.equal(await keptFile(), null);
  }));

Deno.test('a browser without room, or without a place to keep anything, goes on', async () => {
  for (const browser of [{ room: 8 }, { isPrivate: true }]) {
    await withCaches(browser, async () => {
      const keeper = await keepFile();
      for (let n = 0; n < 5; n++) await keeper.write(someBytes(7));
      assert.equal(await keeper.finish(true), false);
      assert.equal(await isKept(), false);
      await forgetFile();
    });
  }
});
