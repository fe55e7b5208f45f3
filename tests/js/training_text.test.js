import assert from 'node:assert/strict';
import { seededRandom } from '../../lmbook/widgets/core/random.js';
import { Automaton } from '../../lmbook/widgets/core/toy_language.js';
import {
  drawBatch,
  exactFloor,
  givenText,
  letterText,
  ngramLevels,
  toyText,
  UNSEEN_ROW,
} from '../../lmbook/widgets/core/training_text.js';

/** @import { TrainingText } from '../../lmbook/widgets/core/training_text.js' */

// Two words: after a, b follows with 0.9; after b, a with 0.7; at first either.
const CHAIN = new Automaton({
  vocabSize: 2,
  rowStarts: Uint32Array.from([0, 2, 4, 6, 6]),
  words: Uint8Array.from([0, 1, 0, 1, 0, 1]),
  next: Uint16Array.from([1, 2, 1, 2, 1, 2]),
  logProbs: Float64Array.from([0.5, 0.5, 0.1, 0.9, 0.7, 0.3], Math.log),
});
const TEXT = 'to be or not to be that is the question\n'.repeat(100);

/**
 * @template T
 * @param {Generator<unknown, T, void>} steps
 */
function finish(steps) {
  for (;;) {
    const { value, done } = steps.next();
    if (done) return /** @type {T} */ (value);
  }
}

Deno.test('rows are drawn as the language has it, and are the same each time', () => {
  const text = toyText(CHAIN, ['a', 'b'], ['a b']);
  assert.deepEqual(text.seen, toyText(CHAIN, ['a', 'b'], ['a b']).seen);
  let [afterA, ofThem] = [0, 0];
  for (let i = 1; i < text.seen.length; i++) {
    if (i % UNSEEN_ROW === 0 || text.seen[i - 1] !== 0) continue;
    afterA += 1;
    ofThem += text.seen[i];
  }
  assert.ok(Math.abs(ofThem / afterA - 0.9) < 5 * Math.sqrt((0.9 * 0.1) / afterA));
});

Deno.test('the floor is the mean surprise of the language, and a 2-gram comes near it', () => {
  const text = toyText(CHAIN, ['a', 'b'], ['a b']);
  let [sum, count] = [0, 0];
  text.unseen.forEach((id, at) => {
    if (at % UNSEEN_ROW === 0) return;
    sum -= Math.log([[0.1, 0.9], [0.7, 0.3]][text.unseen[at - 1]][id]);
    count += 1;
  });
  const floor = /** @type {number} */ (exactFloor(text));
  assert.ok(Math.abs(floor - sum / count) < 1e-9);
  const levels = finish(ngramLevels(text));
  assert.deepEqual(levels.map(({ name }) => name), ['1-gram', '2-gram', '3-gram', '4-gram']);
  assert.ok(levels[0].loss > 0.6 && Math.abs(levels[1].loss - floor) < 0.005);
});

Deno.test('a text by letters keeps its last tenth unseen and leaves strange letters out', () => {
  const text = letterText(TEXT, `${TEXT.slice(0, 200)}éé${TEXT.slice(200, 400)}`);
  assert.equal(text.tokenizer.decode([...text.seen]), TEXT);
  assert.equal(text.exact, null);
  assert.equal(exactFloor(text), null);
  assert.equal(text.unseen.length, 3 * UNSEEN_ROW); // 400 letters have 399 that are predicted
  assert.equal(text.tokenizer.decode([...text.unseen.subarray(UNSEEN_ROW)]).slice(0, 5), TEXT.slice(128, 133));
  const own = letterText(TEXT);
  assert.equal(own.seen.length, 0.9 * TEXT.length);
  assert.equal(own.tokenizer.decode([...own.unseen.subarray(0, 9)]), TEXT.slice(3600, 3609));
  assert.deepEqual(own.sentences[0], 'to be or not to be that ');
  assert.throws(() => letterText('x'.repeat(1499)), { message: /at least 1500 letters is needed, this one has 1499/ });
});

Deno.test('of very many letters the rare ones are left out, which is told', () => {
  const random = seededRandom(1);
  const letters = Array.from({ length: 20_000 }, () => String.fromCodePoint(0xac00 + Math.floor(random() ** 3 * 1000)));
  const { leftOut, seen, vocabSize } = letterText(letters.join(''));
  assert.equal(vocabSize, 250);
  assert.ok(seen.length < 0.9 * 20_000 && leftOut > 0.3 && leftOut < 0.45, `${leftOut}`); // 1 − ∛¼ = 0.37
  assert.equal(letterText(TEXT).leftOut, 0);
  const each = Array.from({ length: 3000 }, (_, i) => String.fromCodePoint(0xac00 + i)).join('');
  assert.throws(() => letterText(each), /250 most frequent letters are read.* they are 0, of 129 that are needed/);
});

Deno.test('20 MB are cut at a million letters', () => {
  const text = letterText('abcdefghij'.repeat(2_000_000));
  assert.equal(text.seen.length, 900_000);
});

Deno.test('ids from Python: rows, or one long row', () => {
  const names = { kind: /** @type {const} */ ('words'), tokens: ['a', 'b', 'c'] };
  const ids = Uint16Array.from({ length: 20 * 140 }, (_, i) => i % 3);
  const rows = givenText(ids, 140, names);
  assert.deepEqual([rows.seen.length, rows.seenRow], [18 * 140, 140]);
  const long = givenText(ids, ids.length, names);
  assert.deepEqual([long.seen.length, long.seenRow], [2520, 2520]);
  assert.throws(() => givenText(ids.subarray(0, 400), 400, names), /at least 129 unseen tokens are needed/);
});

Deno.test('no piece crosses two rows', () => {
  const seen = Uint16Array.from({ length: 70 }, (_, i) => Math.floor(i / 7));
  const text = /** @type {TrainingText} */ (/** @type {unknown} */ ({ seen, seenRow: 7 }));
  const ids = new Int32Array(300 * 4);
  drawBatch(ids, text, 300, 4, seededRandom(1));
  const firsts = new Set();
  for (let row = 0; row < 300; row++) {
    const piece = ids.subarray(4 * row, 4 * row + 4);
    assert.ok(piece.every((id) => id === piece[0]));
    firsts.add(piece[0]);
  }
  assert.equal(firsts.size, 10);
  assert.throws(() => drawBatch(ids, text, 1, 8, seededRandom(1)), /a row of the text has 7 tokens, a piece needs 8/);
});
