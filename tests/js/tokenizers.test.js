import assert from 'node:assert/strict';
import { loadTokenizer } from '../../lmbook/widgets/core/tokenizers.js';

Deno.test('a strange character is named, with its place among characters and in the string', () => {
  const letters = loadTokenizer({ kind: 'char', tokens: ['a', 'b', '👍'] });
  assert.deepEqual(letters.encode('ab👍z'), {
    ids: [0, 1, 2],
    problem: 'Character 4, “z” (U+007A), is not among the 3 characters that the model knows.',
    unknown: 'z',
    at: 4, // of a string in which 👍 takes two places
  });
  assert.match(letters.encode('b\x07').problem ?? '', /^Character 2, U\+0007, is not/);
});

Deno.test('half a character has no bytes', () => {
  const { ids, problem } = loadTokenizer({ kind: 'bpe', merges: [] }).encode('a\ud83d');
  assert.deepEqual(ids, [97]);
  assert.match(problem ?? '', /^U\+D83D at place 2 is half of a character/);
});

Deno.test('a strange word is read as the first token, and told', () => {
  const words = loadTokenizer({ kind: 'word', tokens: ['<unk>', ' cat', 'a'] });
  assert.deepEqual(words.encode('a cat b dog'), { ids: [2, 1, 0, 0], problem: null, unknown: ' b', at: 5 });
});

Deno.test('a word that is a book long is refused, and its beginning told', () => {
  const { problem } = loadTokenizer({ kind: 'words', tokens: ['the', 'gull'] }).encode('x'.repeat(5e6));
  assert.equal(problem, `Word 1, “${'x'.repeat(39)}…”, is not among the 2 words of the language.`);
});

Deno.test('labels show what can not be seen', () => {
  const letters = loadTokenizer({ kind: 'char', tokens: ['a', ' ', '\n', '\t', '\u202e', '👍'] });
  assert.deepEqual(letters.tokens.map((_, id) => letters.label(id)), ['a', '␣', '↵', '⇥', '⟨202E⟩', '👍']);
  const pairs = loadTokenizer({ kind: 'bpe', merges: [[0xc3, 0xa9], [32, 97]] });
  assert.deepEqual([97, 0xc3, 10, 256, 257].map(pairs.label), ['a', '\\xC3', '↵', 'é', '␣a']);
});

Deno.test('JSON as a text or as what it spells', () => {
  const state = /** @type {const} */ ({ kind: 'byte' });
  assert.deepEqual(loadTokenizer(JSON.stringify(state)).encode('é').ids, [0xc3, 0xa9]);
  assert.deepEqual(loadTokenizer(state).encode('é').ids, [0xc3, 0xa9]);
});

Deno.test('an unknown kind is refused', () => {
  const message = 'no tokenizer is of the kind "x"';
  assert.throws(() => loadTokenizer('{ "kind": "x" }'), { name: 'TypeError', message });
});
