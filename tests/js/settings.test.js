import assert from 'node:assert/strict';
import { loadTokenizer } from '../../lmbook/widgets/core/tokenizers.js';
import * as settings from '../../lmbook/widgets/playground/settings.js';

/** @import { Settings } from '../../lmbook/widgets/playground/settings.js' */

const { chooseToken, completedStop, luckAt, orderFrom, plainSettings, readPrompt, shapeLogits, stopStrings } = settings;

/** @param {number[]} ids */
const after = (ids, promptLength = 0) => ({ ids, promptLength });

Deno.test('draws follow the distribution and the seed', () => {
  const logits = Float64Array.from([0.5, 0.3, 0.2, 0], Math.log);
  const draw = (/** @type {number} */ seed, /** @type {number} */ length) =>
    Array.from({ length }, (_, place) => chooseToken(logits, { ...plainSettings(), seed }, after(Array(place))).id);
  const many = draw(1, 8000);
  assert.deepEqual(draw(1, 50), many.slice(0, 50));
  assert.notDeepEqual(draw(2, 50), many.slice(0, 50));
  [0.5, 0.3, 0.2, 0].forEach((p, id) => {
    const share = many.filter((token) => token === id).length / 8000;
    assert.ok(Math.abs(share - p) <= 5 * Math.sqrt(p * (1 - p) / 8000), `${share} of the draws are token ${id}`);
  });
});

Deno.test('greedy takes the best, beam search sees all', () => {
  const plain = plainSettings();
  assert.deepEqual(chooseToken([1, 4, 2], { ...plain, strategy: 'greedy' }, after([])), { id: 1, drawn: 1 });
  const shape = (/** @type {object} */ more) => [...shapeLogits([1, 4, 2], { ...plain, ...more }, after([1, 2, 1], 2))];
  assert.deepEqual(shape({ strategy: 'greedy' }), [-Infinity, 4, -Infinity]);
  assert.deepEqual(shape({ strategy: 'beam', temperature: 0, repetition: 2 }), [1, 4, 2]);
  assert.deepEqual(shape({ strategy: 'greedy', frequency: 2, k: 1, temperature: 2 }), [1, -Infinity, -Infinity]);
});

Deno.test('a draw is told with its probability', () => {
  const settings = { ...plainSettings(), k: 2 };
  const { id, drawn } = chooseToken(Float64Array.from([0.5, 0.3, 0.2], Math.log), settings, after([]));
  assert.ok(Math.abs(drawn - [0.625, 0.375][id]) < 1e-12);
});

Deno.test('penalties count the prompt, or what is written', () => {
  const shape = (
    /** @type {object} */ more,
  ) => [...shapeLogits([3, 3], { ...plainSettings(), ...more }, after([0, 0, 1], 2))];
  assert.deepEqual(shape({ frequency: 1 }), [1, 2]);
  assert.deepEqual(shape({ frequency: 1, scope: 'written' }), [3, 2]);
  assert.deepEqual(shape({ presence: 1 }), [2, 2]);
  assert.deepEqual(shape({ repetition: 3, scope: 'written' }), [3, 1]);
  assert.deepEqual(shape({ noRepeat: 1 }), [3, 3]); // both would go, so both stay
  assert.deepEqual(shape({ noRepeat: 1, scope: 'written' }), [3, -Infinity]);
});

Deno.test('filters act in any order', () => {
  const shape = (
    /** @type {string} */ order,
  ) => [...shapeLogits([8, 6, 0], { ...plainSettings(), temperature: 4, p: 0.85, order: orderFrom(order) }, after([]))];
  assert.deepEqual(shape('temperature.p'), [2, 1.5, -Infinity]); // 0.574, 0.348, 0.078
  assert.deepEqual(shape('p.temperature'), [2, -Infinity, -Infinity]); // 0.881 before the heat
  const plain = plainSettings().order;
  assert.equal(plain.length, 10);
  assert.deepEqual(orderFrom('p.p.evil.beams.minP'), [
    'p',
    'minP',
    ...plain.filter((key) => key !== 'p' && key !== 'minP'),
  ]);
});

Deno.test('the luck of a place depends on nothing but the seed', () => {
  assert.equal(luckAt(3, 7), luckAt(3, 7));
  const numbers = Array.from({ length: 4000 }, (_, place) => luckAt(2, place));
  assert.ok(Math.abs(numbers.reduce((sum, u) => sum + u) / 4000 - 0.5) < 5 * Math.sqrt(1 / 12 / 4000));
});

Deno.test('stop strings end within a token, or over several', () => {
  assert.deepEqual(stopStrings('\\n|the end||.'), ['\n', 'the end', '.']);
  assert.deepEqual([stopStrings(''), stopStrings('x'.repeat(99))[0].length], [[], 60]);
  const stops = ['ab', '.\n'];
  assert.equal(completedStop(['xa', 'b'], stops), 'ab');
  assert.equal(completedStop(['x', 'cab!'], stops), 'ab');
  assert.equal(completedStop(['ab', 'c'], stops), null); // an earlier token completed it
  assert.equal(completedStop(['end.', '\nA'], stops), '.\n');
  assert.deepEqual([completedStop([], stops), completedStop(['ab'], [])], [null, null]);
});

const letters = { tokenizer: loadTokenizer({ kind: 'char', tokens: [...'abcdefghijklm'] }), contextLength: 17 };
const vocab = ['the', 'gull', 'sleeps', '.'];
const words = { tokenizer: loadTokenizer({ kind: 'words', tokens: vocab }), contextLength: 5, kind: 'transformer' };

Deno.test('what is said about a prompt', () => {
  const model = { ...letters, kind: 'transformer' };
  /** @type {(model: settings.PromptReader, text: string) => string} */
  const problem = (model, text) => readPrompt(model, text).problem;
  const empty = 'The prompt is empty. This model predicts from what stands there: write a';
  assert.equal(problem(model, ''), `${empty} character.`);
  assert.equal(problem(words, ''), `${empty} word.`);
  assert.equal(
    problem(model, 'a'.repeat(18)),
    'The prompt has 18 characters; this model reads at most 17: leave some out.',
  );
  assert.equal(
    problem(words, 'the gull sleeps. the gull sleeps.'),
    'The prompt has 8 words; this model reads at most 5: leave some out.',
  );
  assert.equal(
    problem(model, 'abz'),
    'Character 3, “z” (U+007A), is not among the 13 characters that the model knows.',
  );
  assert.match(problem(words, 'the gulll'), /did you mean “gull”\?$/);
});

Deno.test('a table needs no prompt', () => {
  const model = { ...letters, contextLength: Infinity, kind: 'ngram' };
  const note = 'The prompt is empty: these are the shares in the text as a whole.';
  assert.deepEqual(readPrompt(model, ''), { ids: [], problem: '', note });
  assert.deepEqual(readPrompt(model, 'abba'), { ids: [0, 1, 1, 0], problem: '', note: '' });
});

Deno.test('a strange word is told where it is read as another', () => {
  const tokenizer = loadTokenizer({ kind: 'word', tokens: ['<unk>', 'the', ' gull'] });
  const read = readPrompt({ tokenizer, contextLength: 9, kind: 'ngram' }, 'the yak ');
  assert.deepEqual(read, { ids: [1, 0], problem: '', note: '“yak” isn’t among its words: read as <unk>.' });
});

Deno.test('a prompt is cut, but not through a character', () => {
  assert.equal(settings.cutPrompt('x'.repeat(3000)).length, 2000);
  assert.equal(settings.cutPrompt('x'.repeat(1999) + '👍').length, 1999);
});
