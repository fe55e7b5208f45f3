import assert from 'node:assert/strict';
import { TableModel } from '../../lmbook/widgets/core/models.js';
import { askNextToken, readPrompt, writeWithOneLuck } from '../../lmbook/widgets/core/prompting.js';

/** @type {(got: Iterable<number>, want: number[]) => void} */
function near(got, want) {
  const numbers = [...got];
  assert.equal(numbers.length, want.length);
  numbers.forEach((x, i) => assert.ok(Math.abs(x - want[i]) < 1e-12, `${numbers} instead of ${want}`));
}
const LOGITS = [0.1, 0.4, 0.2, 0.3].map(Math.log);

Deno.test('a nucleus keeps the fewest tokens that reach p, and the named ones come with the sum of the others', () => {
  const all = askNextToken(LOGITS, 1, 0.65, 3);
  assert.deepEqual(all.ids, [1, 3, 2]);
  assert.equal(all.size, 2);
  near(all.before, [0.4, 0.3, 0.2, 0.1]);
  near(all.after, [4 / 7, 3 / 7, 0, 0]);
  near([all.mass, all.entropy], [0.7, -[0.1, 0.2, 0.3, 0.4].reduce((sum, q) => sum + q * Math.log(q), 0)]);
  near(askNextToken(LOGITS, 1, 0.65, 1).after, [4 / 7, 3 / 7]);
  near(askNextToken(LOGITS, 1, 1, 2).after, [0.4, 0.3, 0.3]);
});

Deno.test('the temperature comes first', () => {
  const squares = askNextToken(LOGITS, 0.5, 0.8, 4); // 0.01, 0.16, 0.04, 0.09 of 0.3
  assert.equal(squares.size, 2);
  near(squares.after, [16 / 25, 9 / 25, 0, 0, 0]);
  near([squares.mass], [25 / 30]);
  near(squares.before, [0.4, 0.3, 0.2, 0.1, 0]);
});

Deno.test('at 0 the first of the best tokens is certain', () => {
  const got = askNextToken([1, 3, 3, -Infinity], 0, 1, 3);
  assert.deepEqual(got.ids, [1, 2, 0]);
  near(got.after, [1, 0, 0, 0]);
  assert.deepEqual([got.size, got.mass, got.entropy], [1, 1, 0]);
});

Deno.test('what has no probability is in no nucleus', () => {
  assert.equal(askNextToken([0, 0, -Infinity], 1, 1, 2).size, 2);
  for (const p of [0, 1.1, NaN]) assert.throws(() => askNextToken(LOGITS, 1, p, 2), /p must be above 0 and at most 1/);
  assert.throws(() => askNextToken(LOGITS, -1, 1, 2), /temperature must be at least 0/);
});

const TABLE = [[0, 0.5, 0.3, 0.2], [0, 0.1, 0.6, 0.3], [0, 0.7, 0.1, 0.2]];
const model = new TableModel(4, (ids) => Float64Array.from(TABLE[ids[ids.length - 1]]));
/** @param {number[]} temperatures @param {number} seed */
const write = (temperatures, seed, count = 6) => [
  ...writeWithOneLuck(model.session([0]), [0], { temperatures, count, seed, eos: 3 }),
];

Deno.test('at temperature 0 the best token is written, with its surprise', () => {
  const got = write([0], 1, 3);
  assert.deepEqual(got.map(({ token, rank, tau }) => [token, rank, tau]), [[1, 0, 0], [2, 0, 0], [1, 0, 0]]);
  near(got.map(({ nats }) => nats), [0.5, 0.6, 0.7].map((q) => -Math.log(q)));
});

Deno.test('a text ends with the end token, and the next temperature begins anew', () => {
  for (let seed = 0; seed < 20; seed++) {
    const got = write([1, 0], seed);
    const hot = got.filter(({ tau }) => tau === 1);
    assert.equal(got.filter(({ tau }) => tau === 0).length, 6);
    assert.ok(hot.every(({ token }, n) => (token === 3) === (n === hot.length - 1 && n < 5) || n === 5));
  }
});

Deno.test('draws have the probabilities of their temperature, and the luck is the same for all', () => {
  const counts = { 1: [0, 0, 0, 0], 0.5: [0, 0, 0, 0] };
  for (let seed = 0; seed < 4000; seed++) {
    const [one, half, again] = write([1, 0.5, 1], seed, 1);
    counts[1][one.token]++;
    counts[0.5][half.token]++;
    assert.deepEqual(one, again);
    if (one.token === 1) assert.equal(half.token, 1); // the same luck, and its lead is larger at 0.5
  }
  const [squares, total] = [[0, 0.25, 0.09, 0.04], 0.38];
  for (const id of [0, 1, 2, 3]) {
    assert.ok(Math.abs(counts[1][id] / 4000 - TABLE[0][id]) < 0.03, `${counts[1]}`);
    assert.ok(Math.abs(counts[0.5][id] / 4000 - squares[id] / total) < 0.03, `${counts[0.5]}`);
  }
});

Deno.test('a chat is the prompt in the template', () => {
  const tokenizer = /** @type {any} */ ({
    chat: (/** @type {{ role: string, content: string }[]} */ [{ role, content }]) => `<${role}>${content}`,
    encode: (/** @type {string} */ text) => ({ ids: [text.length], problem: null }),
  });
  assert.deepEqual(readPrompt(tokenizer, 'Hi', true), { text: '<user>Hi', ids: [8], problem: null });
  assert.deepEqual(readPrompt(tokenizer, 'Hi', false), { text: 'Hi', ids: [2], problem: null });
});
