import assert from 'node:assert/strict';
import { TableModel } from '../../lmbook/widgets/core/models.js';
import {
  beamSearch,
  beamSteps,
  bestSteps,
  decodeSteps,
  greedyDecode,
  logSoftmax,
} from '../../lmbook/widgets/core/search.js';

/** @type {(probs: number[]) => TableModel} a model that always says the same */
const always = (probs) => new TableModel(probs.length, () => Float64Array.from(probs));
/** @type {(got: number, want: number) => void} */
const near = (got, want) => assert.ok(Math.abs(got - want) < 1e-12, `${got} instead of ${want}`);

Deno.test('what ends among the best leaves its place to the next', () => {
  // After 0: 1 with 0.6, the end 2 with 0.3, 0 with 0.1. Two beams: 2 ends, 1 and 0 go on.
  const table = [[0.1, 0.6, 0.3], [0.4, 0.35, 0.25]];
  const model = new TableModel(3, (ids) => Float64Array.from(table[ids[ids.length - 1]]));
  const steps = [...beamSteps(model, [0], 2, 3, { eos: 2 })];
  assert.deepEqual(steps[0].candidates.map(({ token, fate }) => [token, fate]), [[1, 'kept'], [2, 'ended'], [
    0,
    'kept',
  ]]);
  assert.deepEqual(steps[0].beams.map(({ ids }) => ids), [[0, 0], [0, 1]]);
  assert.deepEqual(steps[0].best?.ids, [0, 2]);
  assert.equal(steps.length, 2); // then no prefix (0.24 at most) can overtake the finished 0.3
  const found = beamSearch(model, [0], 2, 3, { eos: 2 });
  assert.deepEqual(found.ids, [0, 2]);
  near(found.logProb, Math.log(0.3));
});

/** @type {(table: number[][]) => TableModel} a model that looks at the last token */
const byLast = (table) => new TableModel(3, (ids) => Float64Array.from(table[ids[ids.length - 1]]));

Deno.test('what ends must be among the best', () => {
  assert.deepEqual(beamSearch(always([0.6, 0.4]), [0], 1, 3, { eos: 1 }).ids, [0, 0, 0, 0]);
});

Deno.test('as many are kept as there are beams, in the order of their ids', () => {
  const steps = [...beamSteps(always([0.4, 0, 0.6]), [1], 2, 2)];
  assert.deepEqual(steps.map(({ length }) => length), [1, 2]);
  assert.deepEqual(steps.map(({ beams }) => beams.map(({ ids }) => ids)), [[[1, 0], [1, 2]], [[1, 0, 2], [1, 2, 2]]]);
  assert.deepEqual(steps[1].candidates.map(({ parent, token, fate }) => [parent, token, fate]), [
    [1, 2, 'kept'],
    [0, 2, 'kept'],
    [1, 0, 'dropped'],
    [0, 0, 'dropped'],
  ]);
  assert.equal(steps[1].best, null);
  near(steps[1].beams[0].logProb, Math.log(0.24));
  near(beamSearch(always([0.4, 0, 0.6]), [1], 2, 2).logProb, Math.log(0.36));
});

Deno.test('finished continuations are compared by their rank', () => {
  const steps = [...beamSteps(always([0.1, 0.5, 0.4]), [0], 2, 3, { eos: 2, lengthPenalty: 1 })];
  assert.deepEqual(steps.map(({ best }) => best?.ids), [[0, 2], [0, 1, 2], [0, 1, 1, 2]]);
  steps.forEach(({ best }, i) => near(best?.rank ?? NaN, Math.log([0.4, 0.2, 0.1][i]) / (i + 1)));
  steps.forEach(({ best }, i) => near(best?.logProb ?? NaN, Math.log([0.4, 0.2, 0.1][i])));
});

Deno.test('of equal ranks the first counts, and nothing equal is waited for', () => {
  const model = byLast([[0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]);
  const steps = [...beamSteps(model, [0], 3, 3, { eos: 2 })];
  assert.deepEqual(steps.map(({ best }) => best?.ids), [[0, 2], [0, 2]]);
  assert.equal([...beamSteps(always([0.5, 0.5]), [0], 2, 3, { eos: 1 })].length, 1);
});

Deno.test('all may end', () => {
  assert.deepEqual(beamSearch(always([0, 0, 1]), [0], 2, 3, { eos: 2 }), { ids: [0, 2], logProb: 0 });
});

Deno.test('each beam goes on from its own text', () => {
  const rows = [[0, 0], [0.4, 0.6], [0.9, 0.1], [0.5, 0.5]];
  const model = new TableModel(2, (ids) => Float64Array.from(rows[Math.min(ids.length, 3)]));
  const found = beamSearch(model, [0], 2, 2);
  assert.deepEqual(found.ids, [0, 1, 0]);
  near(found.logProb, Math.log(0.6 * 0.9));
});

/** A session that counts, in `done`, how often it and its copies were copied and read a token. */
class Counted {
  /**
   * @param {number[]} ids
   * @param {{ push: number, clone: number }} done
   */
  constructor(ids, done) {
    this.ids = ids;
    this.done = done;
  }
  get logits() {
    return [0.4, 0.6, 0].map((p) => Math.log(p) + this.ids.length);
  }
  /** @param {number} id */
  push(id) {
    this.done.push++;
    this.ids.push(id);
    return this;
  }
  clone() {
    this.done.clone++;
    return new Counted([...this.ids], this.done);
  }
}

Deno.test('no token is read and no session copied that is not needed', () => {
  const done = { push: 0, clone: 0 };
  /** @type {any} */
  const model = { contextLength: 5, session: (/** @type {number[]} */ ids) => new Counted([...ids], done) };
  // Step 1: two children of the one prefix, a copy. Step 2: a child of each. Step 3: nothing is read any more.
  assert.deepEqual(beamSearch(model, [0, 0], 2, 3).ids, [0, 0, 1, 1, 1]);
  assert.deepEqual(done, { push: 4, clone: 1 });
  Object.assign(done, { push: 0, clone: 0 });
  assert.deepEqual(beamSearch(model, [0, 0], 2, 3, { eos: 1 }).ids, [0, 0, 1]); // decided at once
  assert.deepEqual(done, { push: 0, clone: 0 });
});

Deno.test('a length penalty lets longer continuations win', () => {
  const model = always([0.1, 0.5, 0.4]);
  assert.deepEqual(beamSearch(model, [0], 2, 3, { eos: 2 }).ids, [0, 2]);
  assert.deepEqual(beamSearch(model, [0], 2, 3, { eos: 2, lengthPenalty: 2 }).ids, [0, 1, 1, 1]);
});

Deno.test('a continuation of no tokens', () => {
  assert.deepEqual(beamSearch(always([0.5, 0.5]), [1], 2, 0), { ids: [1], logProb: 0 });
  assert.deepEqual(greedyDecode(always([0.5, 0.5]), [1], 0), [1]);
  assert.deepEqual(greedyDecode(short, [1], 3), [1, 0, 0, 0]); // all of its context
});

Deno.test('a choice of one’s own, until the end', () => {
  const model = always([0.5, 0.25, 0.25]);
  const choose = (/** @type {unknown} */ _, /** @type {number[]} */ ids) => ids.length % 3;
  const steps = [...decodeSteps(model, [0], 5, { choose, eos: 0 })];
  assert.deepEqual(steps.map(({ token }) => token), [1, 2, 0]);
  steps.forEach(({ logProb }, i) => near(logProb, Math.log([0.25, 0.25, 0.5][i])));
  assert.deepEqual(steps.map(({ ids }) => ids.length), [2, 3, 4]);
});

Deno.test('greedy decoding stops at the end token, which it keeps', () => {
  const model = always([0.5, 0.25, 0.25]);
  assert.deepEqual(greedyDecode(model, [1], 3), [1, 0, 0, 0]);
  assert.deepEqual(greedyDecode(model, [1], 3, { eos: 0 }), [1, 0]);
});

Deno.test('log-probabilities of numbers that e cannot reach', () => {
  assert.deepEqual([...logSoftmax([1000, 1000, -Infinity])].map((x) => x === -Infinity ? x : Math.exp(x).toFixed(12)), [
    '0.500000000000',
    '0.500000000000',
    -Infinity,
  ]);
});

const model = always([0.5, 0.5]);
const short = Object.assign(always([0.5, 0.5]), { contextLength: 4 });
/** @type {[() => unknown, string][]} */
const REFUSED = [
  [() => bestSteps(model, [0], 2, 3, { count: 3 }).next(), 'count must be from 1 to 2, got 3'],
  [() => beamSearch(model, [0], 0, 3), 'num_beams must be at least 1, got 0'],
  [() => beamSearch(model, [0], NaN, 3), 'num_beams must be at least 1, got NaN'],
  [() => beamSearch(model, [0], 1, 3, { lengthPenalty: -1 }), 'length_penalty must be at least 0 and finite, got -1'],
  [
    () => beamSearch(model, [0], 1, 3, { lengthPenalty: Infinity }),
    'length_penalty must be at least 0 and finite, got Infinity',
  ],
  [() => beamSearch(model, [0], 1, 3, { lengthPenalty: NaN }), 'length_penalty must be at least 0 and finite, got NaN'],
  [() => beamSearch(short, [0, 0], 1, 3), 'prompt plus max_length is 5 tokens long, the model reads 4'],
  [() => greedyDecode(short, [0, 0], 3), 'prompt plus max_length is 5 tokens long, the model reads 4'],
  [() => greedyDecode(short, [0], NaN), 'prompt plus max_length is NaN tokens long, the model reads 4'],
  [() => greedyDecode(always([NaN, 0.5]), [0], 3), 'the best logit must be finite, got NaN'],
  [() => greedyDecode(always([0.5, NaN]), [0], 3), 'logits must be numbers, got NaN'],
  [() => greedyDecode(always([0, 0]), [0], 3), 'the best logit must be finite, got -Infinity'],
];

for (const [call, message] of REFUSED) {
  Deno.test(message, () => assert.throws(call, { name: 'RangeError', message }));
}

Deno.test('of a large vocabulary the best beams are found among few candidates', () => {
  const size = 1500;
  /** @param {number[]} ids */
  const logits = (ids) => {
    const turn = ids.reduce((sum, id, t) => sum + (t + 2) * id, 3);
    return Array.from({ length: size }, (_, id) => Math.sin(id * id + turn) * 3 + (id === 0 ? 2 : 0));
  };
  /** @param {number[]} ids @returns {any} */
  const session = (ids) => ({
    ids,
    logits: logits(ids),
    push: (/** @type {number} */ id) => session([...ids, id]),
    clone: () => session(ids),
  });
  const model = { contextLength: 9, session };
  /** The same by trying every child. @type {{ ids: number[], logProb: number }[]} */
  let beams = [{ ids: [], logProb: 0 }];
  for (let length = 1; length <= 3; length++) {
    const children = beams.flatMap(({ ids, logProb }) =>
      [...logSoftmax(logits(ids))].map((more, id) => ({ ids: [...ids, id], logProb: logProb + more }))
    );
    beams = children.filter(({ ids }) => ids.at(-1) !== 0).sort((a, b) => b.logProb - a.logProb).slice(0, 3);
  }
  const last = [...beamSteps(model, [], 3, 3, { eos: 0, lengthPenalty: 9 })].at(-1);
  const texts = (/** @type {{ ids: number[] }[]} */ all) => all.map(({ ids }) => String(ids)).sort();
  assert.equal(last?.length, 3);
  assert.deepEqual(texts(last.beams), texts(beams));
});

Deno.test('the best of a beam in order', () => {
  const steps = bestSteps(always([0.5, 0.3, 0.2]), [0], 4, 2, { count: 3 });
  let step = steps.next();
  while (!step.done) step = steps.next();
  assert.deepEqual(step.value.map(({ ids }) => ids), [[0, 0, 0], [0, 0, 1], [0, 1, 0]]);
  step.value.forEach(({ logProb }, i) => near(logProb, Math.log([0.25, 0.15, 0.15][i])));
});

Deno.test('as many as were asked for are waited for', () => {
  const all = (/** @type {number} */ count) => {
    const steps = bestSteps(always([0.1, 0.5, 0.4]), [0], 2, 3, { eos: 2, count });
    let step = steps.next();
    while (!step.done) step = steps.next();
    return step.value.map(({ ids }) => ids);
  };
  assert.deepEqual(all(1), [[0, 2]]);
  assert.deepEqual(all(2), [[0, 2], [0, 1, 2]]);
});
