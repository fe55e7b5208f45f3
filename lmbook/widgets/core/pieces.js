// What the byte-pair tokenizer and the widget that shows its merges share: cutting a text, and doing one merge.
import { WHITE } from './words.js';

// With white space as Python has it, this is the expression lmbook.tokenizer.PIECES: letters, digits or other signs,
// each with the one space before them, or white space. Every character falls into exactly one piece.
const PIECES = new RegExp(
  ` ?[\\p{L}\\p{Nl}\\p{No}]+| ?\\p{Nd}+| ?[^\\p{L}\\p{N}${WHITE}]+|[${WHITE}]+?(?= ?[^${WHITE}])|[${WHITE}]+`,
  'gu',
);

/**
 * @param {string} text
 * @returns {string[]}
 */
export function cutPieces(text) {
  return text.match(PIECES) ?? [];
}

/**
 * mergePair([1, 1, 1, 2], 1, 1, 9) → [9, 1, 2]: the pair becomes one token, from left to right.
 * @param {number[]} ids
 * @param {number} left
 * @param {number} right
 * @param {number} id
 */
export function mergePair(ids, left, right, id) {
  const out = [];
  for (let t = 0; t < ids.length; t++) {
    const found = ids[t] === left && ids[t + 1] === right;
    out.push(found ? id : ids[t]);
    if (found) t += 1;
  }
  return out;
}
