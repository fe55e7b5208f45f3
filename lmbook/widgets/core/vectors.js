// Word vectors: how alike two words are, and where each lies along a direction.
import { readFloat16 } from './bytes.js';

/**
 * The vectors of each moment (V × E), less their mean over the words. Stored in float16, moment after moment.
 * @param {DataView} view
 * @param {number} moments
 * @param {number} V
 * @param {number} E
 */
export function readVectors(view, moments, V, E) {
  return Array.from({ length: moments }, (_, c) => centred(readFloat16(view, 2 * c * V * E, V * E), E));
}

/**
 * @param {Float32Array} table
 * @param {number} E
 */
function centred(table, E) {
  const V = table.length / E;
  const mean = new Float64Array(E);
  table.forEach((x, i) => (mean[i % E] += x / V));
  return Float64Array.from(table, (x, i) => x - mean[i % E]);
}

/**
 * Inner products of row `word` of the table with all rows.
 * @param {Float64Array} table
 * @param {ArrayLike<number>} vector
 */
export function products(table, vector) {
  const E = vector.length;
  return Float64Array.from({ length: table.length / E }, (_, row) => {
    let sum = 0;
    for (let i = 0; i < E; i++) sum += table[row * E + i] * vector[i];
    return sum;
  });
}

/**
 * The cosine of the angle between a word's vector and that of each word; 0 where a vector is zero.
 * @param {Float64Array} table
 * @param {number} E
 * @param {number} word
 */
export function cosines(table, E, word) {
  const own = products(table, table.subarray(word * E, (word + 1) * E));
  const length = (/** @type {number} */ row) => Math.hypot(...table.subarray(row * E, (row + 1) * E));
  const lengthOfWord = length(word);
  return own.map((product, row) => product / (lengthOfWord * length(row)) || 0);
}

/**
 * The `count` words with the largest cosines, the word itself left out; of equals the first.
 * @param {Float64Array} alike
 * @param {number} word
 * @param {number} count
 */
export function neighbours(alike, word, count) {
  const others = [...alike.keys()].filter((other) => other !== word);
  return others.sort((a, b) => alike[b] - alike[a] || a - b).slice(0, count);
}
