import assert from 'node:assert/strict';
import { loadTokenizer } from '../../lmbook/widgets/core/tokenizers.js';
import * as settings from '../../lmbook/widgets/playground/settings.js';

/** @import { Settings } from '../../lmbook/widgets/playground/settings.js' */

const { chooseToken, plainSettings, readLink, readPrompt, shapeLogits, writeLink } = settings;

Deno.test('draws follow the distribution and the seed', () => {
  const logits = Float64Array.from([0.5, 0.3, 0.2, 0], Math.log);
  const draw = (/** @type {number} */ seed, /** @type {number} */ length) =>
    Array.from({ length }, (_, place) => chooseToken(logits, { ...plainSettings(), seed }, place));
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
  assert.equal(chooseToken([1, 4, 2], { ...plain, strategy: 'greedy' }, 0), 1);
  assert.deepEqual([...shapeLogits([1, 4, 2], { ...plain, strategy: 'greedy' })], [-Infinity, 4, -Infinity]);
  assert.deepEqual([...shapeLogits([1, 4, 2], { ...plain, strategy: 'beam', temperature: 0 })], [1, 4, 2]);
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

Deno.test('what a link says is read again', () => {
  const playing = {
    model: 'Shakespeare',
    prompt: '<script>alert(1)</script>\n& = # é 👍',
    ids: [0, 35, 36, 1000],
    settings: /** @type {Settings} */ ({
      ...plainSettings(),
      strategy: 'beam',
      seed: 7,
      temperature: 0.35,
      k: 4,
      p: 0.9,
      minP: 0.02,
      typical: 0.5,
      beams: 8,
      length: 40,
    }),
  };
  assert.deepEqual(readLink(new URL(writeLink(playing), 'http://x/y').hash), playing);
});

Deno.test('what strangers write into a link is measured', () => {
  const odd = '#play:temperature=1e99&k=-3&p=0&minP=NaN&typical=Infinity&beams=1e9&length=2.6&seed=x&strategy=eval';
  const limits = { temperature: 2, k: 0, p: 0.05, beams: 8, length: 3 };
  assert.deepEqual(readLink(odd)?.settings, { ...plainSettings(), ...limits });
  const ids = readLink(`#play:ids=zz.-1.<b>.1e3.${'1.'.repeat(5000)}&prompt=a`)?.ids ?? [];
  assert.deepEqual(ids.slice(0, 3), [35 * 36 + 35, 1 * 36 ** 2 + 14 * 36 + 3, 1]);
  assert.ok(ids.length <= 400);
  assert.equal(readLink(`#play:prompt=${'x'.repeat(100_000)}`)?.prompt.length, 2000);
  assert.deepEqual(readLink('#play:'), { model: '', prompt: '', ids: [], settings: plainSettings() });
  assert.deepEqual([readLink('#other'), readLink('')], [null, null]);
});
