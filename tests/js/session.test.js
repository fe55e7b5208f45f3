import assert from 'node:assert/strict';
import { CachedSession, TableSession, withinContext } from '../../lmbook/widgets/core/session.js';

/** @import { Memory } from '../../lmbook/widgets/core/session.js' */

/**
 * A model whose logits are the last id that it read and how many it has read; it keeps a record of what it reads.
 * @param {number[]} start
 */
function recorder(start = []) {
  /** @type {number[][]} */
  const reads = [];
  /** @type {[number[], number][]} */
  const checks = [];
  /** @type {{ start: number[] } & Record<string, any>} */
  const model = {
    start,
    reads,
    read(/** @type {number[]} */ ids, /** @type {Memory} */ memory) {
      reads.push(ids);
      for (const id of ids) memory.push(Float32Array.of(-id, id, memory.length + 1));
    },
    check(/** @type {number[]} */ ids, /** @type {number} */ past) {
      checks.push([ids, past]);
      if (ids.includes(9)) throw new RangeError(`9 at ${past} + ${ids.indexOf(9)}`);
    },
    unembed: (/** @type {Float32Array} */ kept) => kept.slice(1),
  };
  return { model: /** @type {any} */ (model), reads, checks };
}

Deno.test('a token more costs one token', () => {
  const { model, reads } = recorder();
  const session = new CachedSession(model);
  assert.deepEqual([session.ids, reads], [[], []]);
  assert.equal(session.push(3).push(4), session);
  assert.deepEqual([session.ids, reads, [...session.logits]], [[3, 4], [[3], [4]], [4, 2]]);
  assert.equal(session.logits, session.logits); // computed once
  assert.equal(session.push(5).logits[0], 5);
});

Deno.test('what is read before every text', () => {
  const { model, reads } = recorder([7, 6]);
  const session = new CachedSession(model);
  assert.deepEqual([session.ids, reads, [...session.logits]], [[], [[7, 6]], [6, 2]]);
  assert.deepEqual([...session.push(1).push(2).truncate(1).logits], [1, 3]);
  assert.deepEqual([...session.truncate(0).logits], [6, 2]);
  assert.deepEqual(session.clone().push(5).ids, [5]);
  assert.deepEqual(reads.flat(), [7, 6, 1, 2, 5]); // the copy doesn't read the beginning again
});

Deno.test('a text is cut, never below nothing, nor made longer', () => {
  const session = new CachedSession(recorder().model).follow([1, 2, 3]);
  assert.equal(session.logits[0], 3);
  assert.deepEqual(session.truncate(2), session);
  assert.deepEqual([session.ids, [...session.logits], session.memory.length], [[1, 2], [2, 2], 2]);
  assert.deepEqual(session.truncate(5).ids, [1, 2]);
  assert.deepEqual(session.truncate(-1).ids, []);
  assert.equal(session.memory.length, 0);
  const message = 'the model predicts from what stands there: it needs a token';
  assert.throws(() => session.logits, { name: 'RangeError', message });
});

Deno.test('what two texts share is not read again', () => {
  const { model, reads, checks } = recorder([7]);
  const session = new CachedSession(model).follow([1, 2, 3]);
  assert.equal(session.follow([1, 2, 5, 6]), session);
  assert.deepEqual([session.ids, [...session.logits]], [[1, 2, 5, 6], [6, 5]]);
  assert.deepEqual(reads.flat(), [7, 1, 2, 3, 5, 6]);
  assert.deepEqual([...session.follow([1]).logits], [1, 2]);
  const { logits } = session;
  assert.equal(session.follow([1]).logits, logits); // the same text: nothing is computed
  assert.deepEqual(session.ids, [1]);
  assert.equal(reads.flat().length, 6);
  // New ids, and how many stand before them.
  assert.deepEqual(checks, [[[1, 2, 3], 1], [[5, 6], 3], [[], 2], [[], 2]]);
});

Deno.test('a wrong text changes nothing', () => {
  const session = new CachedSession(recorder([7]).model).follow([1, 2, 3]);
  assert.throws(() => session.follow([1, 4, 9]), { message: '9 at 2 + 1' });
  assert.deepEqual([session.ids, session.logits[0]], [[1, 2, 3], 3]);
});

Deno.test('a copy goes its own way', () => {
  const session = new CachedSession(recorder().model).follow([1, 2]);
  const twin = session.clone();
  assert.deepEqual([twin.ids, [...twin.logits]], [[1, 2], [2, 2]]);
  twin.truncate(1).push(5);
  session.push(3);
  assert.deepEqual([session.ids, [...session.logits]], [[1, 2, 3], [3, 3]]);
  assert.deepEqual([twin.ids, [...twin.logits]], [[1, 5], [5, 2]]);
  assert.deepEqual(session.memory.map(([key]) => key), [-1, -2, -3]);
  assert.deepEqual(twin.memory.map(([key]) => key), [-1, -5]);
  assert.equal(twin.memory[0], session.memory[0], 'stored once');
  assert.deepEqual([...session.truncate(2).logits], [2, 2]);
});

Deno.test('the distribution is the softmax of the logits', () => {
  const session = new CachedSession(recorder().model).follow([1]); // logits 1 and 1
  assert.deepEqual([...session.dist()], [0.5, 0.5]);
});

/** Says token n after n tokens, of four. */
const table = {
  check(/** @type {number[]} */ ids) {
    if (ids.includes(9)) throw new RangeError('9');
  },
  dist: (/** @type {number[]} */ ids) => Float64Array.from({ length: 4 }, (_, id) => id === ids.length ? 1 : 0),
};

Deno.test('a text of a model that looks up', () => {
  const session = new TableSession(table, [2]);
  assert.deepEqual([...session.logits], [-Infinity, 0, -Infinity, -Infinity]);
  assert.deepEqual([...session.push(1).dist()], [0, 0, 1, 0]);
  assert.deepEqual(session.ids, [2, 1]);
  const twin = session.clone();
  assert.deepEqual(twin.push(3).ids, [2, 1, 3]);
  assert.deepEqual([...session.truncate(1).logits], [-Infinity, 0, -Infinity, -Infinity]);
  assert.deepEqual(session.truncate(-1).ids, []);
  assert.deepEqual(session.follow([3, 3]).ids, [3, 3]);
  assert.throws(() => session.push(9), { message: '9' });
  assert.throws(() => new TableSession(table, [9]), { message: '9' });
  assert.deepEqual(session.ids, [3, 3]);
  const own = [1];
  assert.notEqual(session.follow(own).ids, own);
});

Deno.test('a text that outgrows the context loses a quarter of it at a time', () => {
  const ids = (/** @type {number} */ count) => Array.from({ length: count }, (_, id) => id);
  const seen = (/** @type {number} */ count, room = 0) => {
    const window = withinContext(ids(count), 8, room);
    return [window[0], window.length];
  };
  assert.deepEqual([7, 8, 9, 10, 11, 12].map((count) => seen(count)), [[0, 7], [0, 8], [2, 7], [2, 8], [4, 7], [4, 8]]);
  assert.deepEqual([seen(5, 3), seen(5, 4), seen(5, 7), seen(5, 50)], [[0, 5], [2, 3], [4, 1], [4, 1]]);
  assert.deepEqual(withinContext(ids(4), 3), [1, 2, 3]);
  assert.deepEqual(withinContext(ids(999), Infinity, 40).length, 999);
});
