import assert from 'node:assert/strict';
import { learnText } from '../../lmbook/widgets/playground/own_text.js';

/** @import { Learnt, Unit } from '../../lmbook/widgets/playground/own_text.js' */

/** @type {(text: string, unit: Unit, order?: number) => { learnt: Learnt, shares: number[] }} */
function learn(text, unit, order = 1) {
  const steps = learnText(text, { unit, order, name: 'own' });
  const shares = [];
  for (;;) {
    const { value, done } = steps.next();
    if (done) return { learnt: value, shares };
    shares.push(value);
  }
}

Deno.test('the most frequent words are kept, of equals those that came first', () => {
  const letters = [...'abcdefghijklmno'];
  const words = letters.flatMap((a) => letters.flatMap((b) => letters.map((c) => a + b + c))).slice(0, 3000);
  const { learnt } = learn(words.join(' ') + ` ${words[7]} ${words[2999]}`.repeat(5), 'word', 2);
  const first = words.slice(1, 1021).map((word) => ` ${word}`);
  const kept = new Set(['<unk>', words[0], ...first, ` ${words[1021]}`, ` ${words[2999]}`]);
  assert.deepEqual(new Set(/** @type {string[]} */ (learnt.model.tokenizer.tokens)), kept);
  assert.equal(learnt.model.tokenizer.tokens.length, 1024);
  assert.equal(learnt.unread, 3000 - 1023);
});

Deno.test('the limit of a text is told', () => {
  const { learnt, shares } = learn('ab'.repeat(500_001), 'char');
  assert.deepEqual([learnt.numTokens, learnt.numTypes, learnt.isCut], [1_000_000, 2, true]);
  assert.deepEqual(shares, [...shares].sort((a, b) => a - b));
  assert.ok(shares[0] >= 0 && shares[shares.length - 1] <= 1);
});

Deno.test('a character is not cut in two where a chunk ends', () => {
  const { learnt } = learn('x' + '👍'.repeat(30_000), 'char');
  assert.deepEqual(learnt.model.tokenizer.tokens, ['x', '👍']);
  assert.equal(learnt.numTokens, 30_001);
});

Deno.test('too little is refused', () => {
  const message = 'A text of at least 2 words is needed; this one has 1.';
  assert.throws(() => learn('a', 'word'), { name: 'RangeError', message });
});
