import assert from 'node:assert/strict';
import { answerTo, findPair, inOrder } from '../../lmbook/widgets/next_token_question.js';

const vocab = ['sleep', 'sleeps', 'swim', 'swims', 'see', 'sees', 'the'];
const dists = (/** @type {number[]} */ p, /** @type {number[]} */ q) => ({
  vocab,
  p: Float64Array.from(p),
  q: Float64Array.from(q),
});

Deno.test('the question is about the likeliest verb of which the bigram clearly prefers the wrong form', () => {
  const after = dists([0.2, 0, 0.5, 0, 0.3, 0, 0], [0.01, 0.02, 0.03, 0.05, 0.01, 0.04, 0.84]);
  assert.deepEqual(findPair(after), { right: 4, wrong: 5 }); // swim is likelier, but 0.05 is below 1.75 times 0.03
  const singular = dists([0, 0.6, 0, 0, 0, 0.4, 0], [0.2, 0.1, 0.1, 0.2, 0.2, 0.1, 0.1]);
  assert.deepEqual(findPair(singular), { right: 1, wrong: 0 });
});

Deno.test('there is no question where both forms can follow, none can, or the bigram is right', () => {
  const misled = [0.1, 0.3, 0, 0, 0, 0, 0.6];
  assert.equal(findPair(dists([0.5, 0.5, 0, 0, 0, 0, 0], misled)), null);
  assert.equal(findPair(dists([0, 0, 0, 0, 0, 0, 1], misled)), null);
  assert.equal(findPair(dists([0, 1, 0, 0, 0, 0, 0], misled)), null);
});

Deno.test('an answer says whether it is right, and what the bigram gives to both', () => {
  const after = dists([0.102, 0, 0, 0, 0, 0, 0.898], [0.0051, 0.0093, 0, 0, 0, 0, 0.9856]);
  const [right, contrast] = answerTo({ right: 0, wrong: 1 }, 0, after, 'follows');
  assert.match(right, /^Yes: “sleep”, and never “sleeps”.* 0\.1020 and 0\.$/);
  assert.equal(contrast, 'The bigram sees only “follows”, and gives “sleeps” 0.0093, 1.8 times as much as “sleep”.');
  const [wrong, same] = answerTo({ right: 0, wrong: 1 }, 1, after, 'follows');
  assert.match(wrong, /never says “sleeps”\. It gives “sleep” 0\.1020\.$/);
  assert.equal(same, contrast);
});

Deno.test('the order of both words does not tell which is right', () => {
  assert.deepEqual(inOrder({ right: 1, wrong: 0 }), inOrder({ right: 0, wrong: 1 }));
});
