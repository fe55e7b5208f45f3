import assert from 'node:assert/strict';
import { editDistance, joinWords, nearestWord, splitWords } from '../../lmbook/widgets/core/words.js';

Deno.test('joined words split again', () => {
  const words = ['it', 'hides', '.', 'a', ',', 'b'];
  assert.equal(joinWords(words), 'it hides. a, b');
  assert.deepEqual(splitWords(joinWords(words)), words);
});

Deno.test('words are in small letters, marks are words', () => {
  assert.deepEqual(splitWords('  The  Gull.b,c!\tné…x <b>'), ['the', 'gull', '.', 'b', ',', 'c', '!', 'né…x', '<b>']);
  assert.deepEqual(splitWords(''), []);
});

Deno.test('the nearest word, if few letters differ', () => {
  const vocab = ['gull', 'gulls', 'whale'];
  assert.equal(nearestWord('wale', vocab), 'whale');
  assert.equal(nearestWord('gul', vocab), 'gull');
  assert.equal(nearestWord('xylophone', vocab), null);
  assert.equal(nearestWord('xhalet', vocab), 'whale'); // up to half of its letters
  assert.equal(nearestWord('guxx', vocab), 'gull');
  assert.equal(nearestWord('gxxx', vocab), null);
  assert.equal(nearestWord('gull', ['gu']), 'gu');
  assert.equal(nearestWord('gull', ['g']), null);
  assert.equal(nearestWord('a', ['b']), 'b');
  assert.equal(nearestWord('ab', ['xy']), null);
  assert.equal(nearestWord('gull', []), null);
});

Deno.test('edit distance counts insertions, deletions and replacements', () => {
  assert.equal(editDistance('kitten', 'sitting'), 3);
  assert.equal(editDistance('', 'abc'), 3);
  assert.equal(editDistance('abc', ''), 3);
  assert.equal(editDistance('ab', 'ba'), 2);
  assert.equal(editDistance('same', 'same'), 0);
});

Deno.test('a book in one word is not compared letter by letter', () => {
  const looked = {
    length: 5e6,
    get 0() {
      throw new Error('looked at a letter');
    },
  };
  assert.equal(nearestWord(/** @type {any} */ (looked), ['gull', 'whale']), null);
});
