import assert from 'node:assert/strict';
import { NGramCounts } from '../../lmbook/widgets/core/ngram.js';
import { seededRandom } from '../../lmbook/widgets/core/random.js';

/** @type {(got: Iterable<number>, want: number[]) => void} */
const near = (got, want) => {
  const numbers = [...got];
  assert.equal(numbers.length, want.length);
  numbers.forEach((x, i) => assert.ok(Math.abs(x - want[i]) < 1e-12, `${numbers} instead of ${want}`));
};
/** @type {(ids: number[], vocabSize: number, maxOrder: number, rowLength?: number) => NGramCounts} */
const counted = (ids, vocabSize, maxOrder, rowLength) => new NGramCounts(vocabSize, maxOrder).read(ids, rowLength);
const TEXT = [0, 1, 0, 2, 0, 1];

Deno.test('Kneser–Ney worked by hand', () => {
  const counts = counted(TEXT, 3, 3);
  // Counts 3, 2, 1: one token once, one twice, so D = 1 / (1 + 2) = 1/3, and D · 3 types / 6 goes to 1/3 each.
  near(counts.dist([], 1), [1 / 2, 1 / 3, 1 / 6]);
  near(counts.dist([1, 2], 1), [1 / 2, 1 / 3, 1 / 6]);
  // As the lower order: before 0 stood 1 and 2, before 1 and 2 only 0. D = 2 / (2 + 2): 1/2, 1/4, 1/4.
  // After 0: 1 twice and 2 once; 10, 02 and 20 once, 01 twice: D = 3 / (3 + 2) = 0.6.
  near(counts.dist([0], 2), [0.4 / 2, 1.4 / 3 + 0.4 / 4, 0.4 / 3 + 0.4 / 4]);
  near(counts.dist([2, 1, 0], 2), [0.4 / 2, 1.4 / 3 + 0.4 / 4, 0.4 / 3 + 0.4 / 4]);
  // After 1: 0 once.
  near(counts.dist([1], 2), [0.4 + 0.6 / 2, 0.6 / 4, 0.6 / 4]);
  // Before the first token there is nothing to read: the lower order.
  near(counts.dist([], 2), [1 / 2, 1 / 4, 1 / 4]);
  // Never after 2 1: the bigrams decide, by how many different tokens stood before them: 10 after 0 alone.
  // 01 after 2, 02 after 1, 20 after 0, 10 after 0: all once, so D = 1/2.
  near(counts.dist([2, 1], 3), [0.5 + 0.5 / 2, 0.5 / 4, 0.5 / 4]);
});

Deno.test('a text in which no n-gram stands once, or none twice, has discount 1/2', () => {
  near(counted([0, 1, 1, 1], 3, 1).dist([], 1), [0.5 / 4 + 1 / 12, 2.5 / 4 + 1 / 12, 1 / 12]);
  near(counted([0, 0], 3, 1).dist([], 1), [1.5 / 2 + 1 / 12, 1 / 12, 1 / 12]);
});

Deno.test('n-grams are counted within rows', () => {
  const counts = counted(TEXT, 3, 3, 3); // 0 1 0, and 2 0 1
  assert.deepEqual([[0], [1], [2]].map((gram) => counts.count(gram)), [3, 2, 1]);
  assert.deepEqual([[0, 1], [1, 0], [0, 2], [2, 0], [1, 1]].map((gram) => counts.count(gram)), [2, 1, 0, 1, 0]);
  assert.deepEqual([[0, 1, 0], [2, 0, 1], [1, 0, 2], [0, 2, 0]].map((gram) => counts.count(gram)), [1, 1, 0, 0]);
  assert.equal(counts.count([2, 2, 2]), 0);
  // What stood before a token in the other row doesn't count: before 0 stood 1 and 2, before 1 only 0, before 2 none.
  // D = 1 / (1 + 2): the lower order is (2 − 1/3, 1 − 1/3, 0) / 3 + D · 2 / 3 · 1/3 each.
  near(counts.dist([], 2), [5 / 9 + 2 / 27, 2 / 9 + 2 / 27, 2 / 27]);
  // 2 1 was in no row, and after 1 came 0.
  assert.equal(counts.find([2, 1]), -1);
});

Deno.test('every count of a long text', () => {
  const draw = seededRandom(7);
  const ids = Array.from({ length: 1500 }, () => Math.floor(draw() * draw() * 40));
  const counts = counted(ids, 40, 3);
  /** @type {Map<string, number>} */
  const want = new Map();
  for (let n = 1; n <= 3; n++) {
    for (let i = 0; i + n <= ids.length; i++) {
      const key = String(ids.slice(i, i + n));
      want.set(key, (want.get(key) ?? 0) + 1);
    }
  }
  for (const [key, times] of want) assert.equal(counts.count(key.split(',').map(Number)), times, key);
  for (let i = 0; i < 500; i++) {
    const gram = Array.from({ length: 1 + i % 3 }, () => Math.floor(draw() * 40));
    assert.equal(counts.count(gram), want.get(String(gram)) ?? 0, String(gram));
  }
  for (let n = 1; n <= 3; n++) {
    assert.equal(counts.levels[n - 1].index.size, [...want.keys()].filter((key) => key.split(',').length === n).length);
    const probs = counts.dist(ids.slice(100, 110), n);
    assert.ok(probs.every((p) => p > 0) && Math.abs(probs.reduce((a, b) => a + b) - 1) < 1e-12);
  }
});

Deno.test('tokens of a large vocabulary are told apart', () => {
  const draw = seededRandom(8);
  const ids = Array.from({ length: 1500 }, () => Math.floor(draw() * 100_000));
  const counts = counted(ids, 100_000, 1); // that many pairs have no room
  for (const id of ids) assert.equal(counts.count([id]), ids.filter((other) => other === id).length);
  for (let id = 0; id < 3000; id++) if (!ids.includes(id)) assert.equal(counts.count([id]), 0);
});

Deno.test('counting tells how far it is', () => {
  const counts = new NGramCounts(3, 1);
  assert.deepEqual(counts.levels, []);
  assert.deepEqual([...counts.readInSteps(TEXT, 6, 3)], [0, 0.25, 0.5, 0.75]);
  assert.deepEqual([...new NGramCounts(3, 1).readInSteps(TEXT)], [0, 0.5]);
  near(counts.dist([], 1), [1 / 2, 1 / 3, 1 / 6]);
  assert.deepEqual(counts.read([1, 1]).levels.length, 1); // a new text, not one more
  assert.deepEqual([0, 1].map((id) => counts.count([id])), [0, 2]);
});

Deno.test('no text, no preference', () => {
  near(counted([], 4, 2).dist([1], 2), [1 / 4, 1 / 4, 1 / 4, 1 / 4]);
});
