import assert from 'node:assert/strict';
import { TableModel } from '../../lmbook/widgets/core/models.js';
import { askNextToken, PromptDesk, wrapPrompt, writeWithOneLuck } from '../../lmbook/widgets/core/prompting.js';

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

Deno.test('of equal tokens the first comes first, also of impossible ones', () => {
  assert.deepEqual(askNextToken([-Infinity, 0, -Infinity, 0, -Infinity], 1, 1, 5).ids, [1, 3, 0, 2, 4]);
});

Deno.test('a nucleus ends where it reaches p, and is whole where nothing is left out', () => {
  const quarters = [0, 0, 0, 0]; // sums of 1/4 are exact
  assert.equal(askNextToken(quarters, 1, 0.5, 4).size, 2);
  const named = askNextToken([0, 0, 0], 1, 1, 3);
  assert.deepEqual([named.size, named.mass, named.after[3]], [3, 1, 0]);
  const rounded = askNextToken([1 / 4, 1 / 21, 1 - 1 / 4 - 1 / 21].map(Math.log), 1, 1, 3).after;
  assert.equal(rounded[3], 0); // where all are named there is no other, though they sum to 1 − 10⁻¹⁶
});

Deno.test('what has no probability is in no nucleus', () => {
  assert.equal(askNextToken([0, 0, -Infinity], 1, 1, 2).size, 2);
  const tenths = Array.from({ length: 10 }, () => 0); // they sum to just below 1
  assert.equal(askNextToken(tenths, 1, 1, 2).size, 10);
  assert.equal(askNextToken([...tenths, -Infinity], 1, 1, 2).size, 10);
  for (const p of [0, 1.1, NaN]) assert.throws(() => askNextToken(LOGITS, 1, p, 2), /p must be above 0 and at most 1/);
  assert.throws(() => askNextToken(LOGITS, -1, 1, 2), /temperature must be at least 0/);
});

const TABLE = [[0, 0.5, 0.3, 0.2], [0, 0.1, 0.6, 0.3], [0, 0.7, 0.1, 0.2]];
/** @param {number[]} ids */
const after = (ids) => Float64Array.from(TABLE[ids[ids.length - 1]]);
const model = new TableModel(4, after);
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

const LETTERS = ['a', 'b', 'c', '|'];
const tokenizer = /** @type {any} */ ({
  eosTokenId: 3,
  chat: (/** @type {{ role: string, content: string }[]} */ [{ role, content }]) =>
    `${role[0] === 'u' ? 'c' : ''}${content}`,
  encode: (/** @type {string} */ text) => ({
    ids: Array.from(text, (char) => LETTERS.indexOf(char)).filter((id) => id >= 0),
    problem: text.includes('?') ? 'There is no “?” here.' : null,
  }),
  decode: (/** @type {number[]} */ ids) => ids.map((id) => LETTERS[id]).join(''),
});
const desk = (contextLength = Infinity) =>
  new PromptDesk(/** @type {any} */ (Object.assign(new TableModel(4, after), { tokenizer, contextLength })));

/** What a generator returns. @template T @param {Generator<any, T, void>} steps @returns {T} */
function finish(steps) {
  let step = steps.next();
  while (!step.done) step = steps.next();
  return step.value;
}

/** Its lines. @param {PromptDesk} desk @param {Parameters<PromptDesk['write']>[0]} question */
const linesOf = (desk, question) => [...desk.write(question)].filter((step) => typeof step !== 'number');

Deno.test('a chat is the prompt in the template', () => {
  assert.deepEqual(wrapPrompt(tokenizer, 'ab', true), { text: 'cab', ids: [2, 0, 1], problem: null });
  assert.deepEqual(wrapPrompt(tokenizer, 'ab', false), { text: 'ab', ids: [0, 1], problem: null });
});

Deno.test('the desk names the likeliest tokens after a prompt', () => {
  const { labels, before, length, text } = finish(
    desk().next({ prompt: 'ba', asChat: true, tau: 1, p: 1, count: 2 }),
  );
  assert.deepEqual([labels, length, text], [['b', 'c'], 3, 'cba']);
  near(before, [0.5, 0.3, 0.2]);
});

Deno.test('the desk writes lines that grow, up to the end of the text', () => {
  const question = { prompt: 'a', asChat: false, temperatures: [0, 1], count: 5, seed: 4 };
  const lines = linesOf(desk(), question);
  assert.deepEqual(lines.slice(0, 5).map(({ text }) => text), ['b', 'bc', 'bcb', 'bcbc', 'bcbcb']);
  near([lines[4].nats, lines[4].tail], [-Math.log(0.5 * 0.6 * 0.7 * 0.6 * 0.7) / 5, 0]);
  const hot = lines.slice(5);
  assert.deepEqual(hot.map(({ tokens, tau }) => [tau, tokens]), hot.map((_, n) => [1, n + 1]));
  const ended = [...Array(9).keys()].flatMap((seed) => linesOf(desk(), { ...question, seed }))
    .filter((line) => line.ended);
  assert.ok(ended.length > 0);
  for (const { text, tokens } of ended) assert.equal(text.length, tokens - 1); // the end itself isn't shown
});

Deno.test('a question in the middle of a line doesn’t change what is written', () => {
  const question = { prompt: 'a', asChat: false, temperatures: [0, 1], count: 5, seed: 4 };
  const byLength = new TableModel(4, (ids) => Float64Array.from(TABLE[ids.length % 3]));
  const [calm, disturbed] = [0, 1].map(() =>
    new PromptDesk(/** @type {any} */ (Object.assign(byLength, { tokenizer })))
  );
  const lines = [];
  for (const line of disturbed.write(question)) {
    lines.push(line);
    finish(disturbed.next({ prompt: 'ba', asChat: false, tau: 1, p: 1, count: 2 }));
  }
  assert.deepEqual(lines, [...calm.write(question)]);
});

Deno.test('the tail begins after the 50 likeliest tokens', () => {
  const probs = Float64Array.from({ length: 100 }, (_, id) => (100 - id) / 5050); // likelier in the order of the ids
  const hundred = {
    eosTokenId: 100,
    encode: () => ({ ids: [0], problem: null }),
    decode: (/** @type {number[]} */ ids) => ids.join(),
  };
  const flat = /** @type {any} */ (Object.assign(new TableModel(100, () => probs), { tokenizer: hundred }));
  const question = { prompt: '', asChat: false, temperatures: [1], count: 200, seed: 1 };
  const last = linesOf(new PromptDesk(flat), question).at(-1);
  const tail = last?.text.split(',').filter((id) => Number(id) >= 50) ?? [];
  assert.equal(last?.tail, tail.length / 200);
  assert.ok(Math.abs(tail.length / 200 - 0.25) < 0.1, `${tail.length} of 200`);
});

Deno.test('the token 1 may be the one that ends', () => {
  const always = new TableModel(2, () => Float64Array.of(0.1, 0.9));
  const options = { temperatures: [0], count: 4, seed: 1, eos: 1 };
  assert.deepEqual([...writeWithOneLuck(always.session([0]), [0], options)].map(({ token }) => token), [1]);
});

Deno.test('the desk says what it can’t read', () => {
  const ask = (/** @type {string} */ prompt) => () =>
    finish(desk(8).next({ prompt, asChat: false, tau: 1, p: 1, count: 2 }));
  assert.throws(ask('a?'), { name: 'RangeError', message: 'There is no “?” here.' });
  assert.throws(ask(''), /write something/);
  ask('abababab')();
  assert.throws(ask('ababababa'), {
    message: 'The prompt has 9 tokens; this model reads at most 8: leave some out.',
  });
  const question = { asChat: false, temperatures: [0], count: 4, seed: 1 };
  assert.equal(linesOf(desk(8), { ...question, prompt: 'abab' }).length, 4);
  assert.throws(() => linesOf(desk(8), { ...question, prompt: 'ababa' }), /has 5 tokens, and 4 are to follow/);
});

Deno.test('a long prompt is read in parts, and what was read when it was given up is kept', () => {
  const prompt = 'ab'.repeat(40);
  const one = desk();
  const lengths = [];
  const question = { prompt, asChat: false, tau: 1, p: 1, count: 2 };
  for (const share of one.next(question)) {
    lengths.push([one.session.ids.length, share]);
    if (lengths.length === 1) break; // given up
  }
  for (const share of one.next(question)) lengths.push([one.session.ids.length, share]);
  assert.deepEqual(lengths, [[32, 0.4], [64, 0.8]]);
  assert.equal(one.session.ids.length, 80);
  const steps = [...desk().write({ prompt, asChat: false, temperatures: [0], count: 2, seed: 1 })];
  assert.deepEqual(steps.slice(0, 2), [0.4, 0.8]);
  assert.deepEqual(steps.map((step) => typeof step), ['number', 'number', 'object', 'object']);
});

Deno.test('the attention of all heads follows head by head, of the first 40 tokens', () => {
  /** @param {number[]} ids */
  const attention = (ids) =>
    [0, 1].map((layer) => [0, 1, 2].map((head) => new Float32Array(ids.length ** 2).fill(10 * layer + head)));
  const small = /** @type {any} */ (Object.assign(new TableModel(4, after), { tokenizer, attention, L: 2, H: 3 }));
  const got = new PromptDesk(small).attention({ prompt: 'ab', asChat: false });
  assert.deepEqual([got.words, got.layers, got.heads], [['a', 'b'], 2, 3]);
  assert.deepEqual([...got.shares], [0, 1, 2, 10, 11, 12].flatMap((i) => [i, i, i, i]));
  assert.equal(new PromptDesk(small).attention({ prompt: 'ab'.repeat(50), asChat: false }).words.length, 40);
});
