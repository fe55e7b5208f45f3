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

Deno.test('the words of the toy language', () => {
  const toy = loadTokenizer({ kind: 'words', tokens: ['the', 'gull', 'dives', '.'] });
  assert.equal(toy.kind, 'words');
  assert.deepEqual(toy.encode('The gull dives.'), { ids: [0, 1, 2, 3], problem: null, unknown: null, at: -1 });
  assert.equal(toy.decode([0, 1, 2, 3]), 'the gull dives.');
  assert.deepEqual([0, 3].map(toy.label), ['the', '.']);
  const problem = 'Word 2, “gulk”, is not among the 4 words of the language; did you mean “gull”?';
  assert.deepEqual(toy.encode('The Gulk dives'), { ids: [0], problem, unknown: 'gulk', at: 4 });
  assert.match(toy.encode('x'.repeat(41)).problem ?? '', /^Word 1, “x{39}…”/);
  const forty = 'x'.repeat(40);
  assert.equal(toy.encode(forty).problem, `Word 1, “${forty}”, is not among the 4 words of the language.`);
});

Deno.test('texts of ids', () => {
  assert.equal(loadTokenizer({ kind: 'char', tokens: ['a', 'b', '👍'] }).decode([2, 0, 0]), '👍aa');
  assert.equal(loadTokenizer({ kind: 'word', tokens: ['<unk>', ' cat', 'a'] }).decode([2, 1, 0]), 'a cat<unk>');
  assert.equal(loadTokenizer({ kind: 'byte' }).decode([0xef, 0xbb, 0xbf, 97, 0xc3]), '\ufeffa\ufffd');
});

Deno.test('the earliest merge first, wherever it applies', () => {
  const pairs = loadTokenizer({ kind: 'bpe', merges: [[98, 99], [97, 98], [256, 100], [257, 97]] }); // bc ab bcd aba
  assert.deepEqual(pairs.encode('abc').ids, [97, 256]);
  assert.deepEqual(pairs.encode('abcd').ids, [97, 258]);
  assert.deepEqual(['abab', 'aba'].map((text) => pairs.encode(text).ids), [[257, 257], [259]]);
  assert.deepEqual(pairs.encode('ababc').ids, [259, 256]);
  assert.deepEqual(pairs.encode('bcbc bcd').ids, [256, 256, 32, 258]);
  assert.deepEqual(pairs.encode('').ids, []);
  assert.equal(pairs.decode([259, 256, 32, 258]), 'ababc bcd');
  assert.deepEqual(loadTokenizer({ kind: 'bpe', merges: [[98, 99], [99, 97]] }).encode('bca').ids, [256, 97]);
  assert.equal(pairs.tokens.length, 260);
  assert.deepEqual(pairs.encode('abc').ids, [97, 256]); // the second time it is remembered
});

Deno.test('two merges that make the same bytes are one token', () => {
  const pairs = loadTokenizer({ kind: 'bpe', merges: [[97, 97], [256, 97], [97, 256], [257, 97]] });
  assert.equal(pairs.tokens.length, 259);
  assert.deepEqual(pairs.tokens.slice(256), [[97, 97], [97, 97, 97], [97, 97, 97, 97]]);
  assert.deepEqual(['aa', 'aaa', 'aaaa', 'aaaaa'].map((text) => pairs.encode(text).ids), [[256], [257], [256, 256], [
    256,
    257,
  ]]);
});
