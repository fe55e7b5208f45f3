import assert from 'node:assert/strict';
import { cutPieces, mergePair } from '../../lmbook/widgets/core/pieces.js';

Deno.test('one merge, from left to right', () => {
  assert.deepEqual(mergePair([1, 1, 1, 2], 1, 1, 9), [9, 1, 2]);
  assert.deepEqual(mergePair([2, 1, 2, 1], 2, 1, 9), [9, 9]);
  assert.deepEqual(mergePair([2, 2, 1, 1], 2, 1, 9), [2, 9, 1]);
  assert.deepEqual(mergePair([3, 1, 2], 2, 1, 9), [3, 1, 2]);
  assert.deepEqual(mergePair([], 1, 1, 9), []);
});

Deno.test('letters, digits and other signs, each with the one space before them', () => {
  assert.deepEqual(cutPieces('To be, or not?!'), ['To', ' be', ',', ' or', ' not', '?!']);
  assert.deepEqual(cutPieces('in 1603 x1y ½Ⅷ٣'), ['in', ' 1603', ' x', '1', 'y', ' ½Ⅷ', '٣']);
  assert.deepEqual(cutPieces('é👍👍🏽 ×a'), ['é', '👍👍🏽', ' ×', 'a']);
  assert.deepEqual(cutPieces(''), []);
});

Deno.test('white space is a piece, without the space that belongs to what follows', () => {
  assert.deepEqual(cutPieces('a   b'), ['a', '  ', ' b']);
  assert.deepEqual(cutPieces('a\n\n b\t c \n'), ['a', '\n\n', ' b', '\t', ' c', ' \n']);
  assert.deepEqual(cutPieces('a\u00a0b \u3000 '), ['a', '\u00a0', 'b', ' \u3000 ']);
  assert.deepEqual(cutPieces('\x1c\x85x'), ['\x1c\x85', 'x']);
});
