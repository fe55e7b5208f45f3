// What the laboratory reads: a text to learn from, one that no run learns from, and what both can be compared with.
import { NGramCounts } from './ngram.js';
import { seededRandom } from './random.js';
import { loadTokenizer } from './tokenizers.js';

/** @import { Tokenizer } from './tokenizers.js' */
/** @import { Automaton } from './toy_language.js' */

/**
 * @typedef {object} TrainingText
 * @property {Tokenizer} tokenizer
 * @property {number} vocabSize
 * @property {Uint16Array} seen ids to learn from
 * @property {number} seenRow they are rows of this length; nothing is learnt across two rows
 * @property {Uint16Array} unseen rows of UNSEEN_ROW ids
 * @property {Automaton | null} exact the language itself, where the text was drawn from one
 * @property {string[]} sentences to look at while a run learns
 * @property {number} leftOut share of the text that isn't read, because its letters are too rare
 */

/** @typedef {{ name: string, loss: number }} Level what a model without a network reaches, nats per token */

export const UNSEEN_ROW = 129; // so 128 predictions, which a context of 8, 16, 32, 64 or 128 divides
export const MAX_LETTERS = 1_000_000; // of a reader's own text; the rest is left out
export const MIN_LETTERS = 1500;
const MAX_KINDS = 250; // different letters
const TOY_ROWS = 2000;
const UNSEEN_ROWS = 48;
const MAX_COUNTED = 300_000; // tokens that n-grams are counted on
const ORDER_NAMES = ['', '1-gram', '2-gram', '3-gram', '4-gram', '5-gram'];
const ENOUGH = 1e-12; // an n-gram's P of a token that it gives none, because of rounding

/**
 * Rows drawn from the language itself, each from its beginning; always the same, so that runs can be compared.
 * @param {Automaton} exact
 * @param {string[]} words
 * @param {string[]} sentences
 * @returns {TrainingText}
 */
export function toyText(exact, words, sentences) {
  const tokenizer = loadTokenizer({ kind: 'words', tokens: words });
  const seen = drawRows(exact, TOY_ROWS, seededRandom(1));
  const unseen = drawRows(exact, UNSEEN_ROWS, seededRandom(2));
  return { tokenizer, vocabSize: words.length, seen, seenRow: UNSEEN_ROW, unseen, exact, sentences, leftOut: 0 };
}

/**
 * @param {Automaton} exact
 * @param {number} rows
 * @param {() => number} random
 */
function drawRows(exact, rows, random) {
  const ids = new Uint16Array(rows * UNSEEN_ROW);
  for (let row = 0; row < ids.length; row += UNSEEN_ROW) {
    let state = 0;
    for (let t = 0; t < UNSEEN_ROW; t++) {
      let i = exact.rowStarts[state];
      const last = exact.rowStarts[state + 1] - 1;
      for (let left = random() - Math.exp(exact.logProbs[i]); left >= 0 && i < last;) {
        left -= Math.exp(exact.logProbs[++i]);
      }
      ids[row + t] = exact.words[i];
      state = exact.next[i];
    }
  }
  return ids;
}

/**
 * A text by letters: without `unseen`, its last tenth is kept for that.
 * @param {string} text
 * @param {string} [unseen]
 * @returns {TrainingText}
 */
export function letterText(text, unseen = '') {
  const letters = [...text.slice(0, MAX_LETTERS)];
  if (letters.length < MIN_LETTERS) {
    throw new RangeError(`a text of at least ${MIN_LETTERS} letters is needed, this one has ${letters.length}`);
  }
  const kept = unseen ? [...unseen] : letters.splice(Math.floor(0.9 * letters.length));
  const kinds = frequentKinds(letters);
  const index = new Map(kinds.map((letter, id) => [letter, id]));
  const read = (/** @type {string[]} */ list) => Uint16Array.from(list.flatMap((letter) => index.get(letter) ?? [])); // a letter never seen is left out
  const [seen, rest] = [read(letters), read(kept)];
  if (rest.length < UNSEEN_ROW && rest.length < kept.length) {
    throw new RangeError(
      `the ${MAX_KINDS} most frequent letters are read, and of the text that is kept unseen they are ${rest.length}, ` +
        `of ${UNSEEN_ROW} that are needed: take a longer text, or one with fewer different letters`,
    );
  }
  const rows = overlappingRows(rest);
  return {
    ...{ tokenizer: loadTokenizer({ kind: 'char', tokens: kinds }), vocabSize: kinds.length },
    ...{ seen, seenRow: seen.length, unseen: rows, exact: null, sentences: lines(kept, index) },
    leftOut: 1 - (seen.length + rest.length) / (letters.length + kept.length),
  };
}

/** @param {string[]} letters */
function frequentKinds(letters) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const letter of letters) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  const kinds = [...counts].sort((a, b) => b[1] - a[1]).slice(0, MAX_KINDS).map(([letter]) => letter);
  return kinds.sort();
}

/**
 * Rows that begin with the last id of the one before, so that every id but the first is predicted once.
 * @param {Uint16Array} ids
 */
function overlappingRows(ids) {
  const step = UNSEEN_ROW - 1;
  const rows = Math.min(Math.floor((ids.length - 1) / step), UNSEEN_ROWS);
  if (rows < 1) throw new RangeError(`at least ${UNSEEN_ROW} unseen tokens are needed, there are ${ids.length}`);
  const cut = new Uint16Array(rows * UNSEEN_ROW);
  for (let row = 0; row < rows; row++) {
    cut.set(ids.subarray(row * step, row * step + UNSEEN_ROW), row * UNSEEN_ROW);
  }
  return cut;
}

/**
 * A few lines of a text, as sentences to look at.
 * @param {string[]} letters
 * @param {Map<string, number>} index
 */
function lines(letters, index) {
  const known = letters.slice(0, 20_000).filter((letter) => index.has(letter)).join('');
  const found = known.split('\n').map((line) => [...line.trim()].slice(0, 24).join(''));
  const long = found.filter((line) => [...line].length >= 12).slice(0, 3);
  return long.length ? long : [[...known].slice(0, 24).join('')];
}

/**
 * A reader's own ids, as Python sent them; the last tenth of the rows, or of a single row, is kept unseen.
 * @param {Uint16Array} ids
 * @param {number} rowLength
 * @param {{ kind: 'words' | 'word' | 'char', tokens: string[] }} names of the ids
 * @returns {TrainingText}
 */
export function givenText(ids, rowLength, names) {
  const rows = ids.length / rowLength;
  const tokenizer = loadTokenizer(names);
  const cut = rows > 1 ? Math.max(1, Math.floor(0.9 * rows)) * rowLength : Math.floor(0.9 * rowLength);
  const [seen, rest] = [ids.subarray(0, cut), ids.subarray(cut)];
  const unseen = overlappingRows(rest);
  const sentences = [tokenizer.decode([...rest.subarray(0, 10)])];
  const seenRow = rows > 1 ? rowLength : cut;
  return { tokenizer, vocabSize: names.tokens.length, seen, seenRow, unseen, exact: null, sentences, leftOut: 0 };
}

/**
 * Writes `rows` pieces of `length` ids from the text into `ids`, from places that `random` draws.
 * @param {Int32Array} ids
 * @param {TrainingText} text
 * @param {number} rows
 * @param {number} length
 * @param {() => number} random
 */
export function drawBatch(ids, { seen, seenRow }, rows, length, random) {
  if (!(length <= seenRow)) throw new RangeError(`a row of the text has ${seenRow} tokens, a piece needs ${length}`);
  const all = seen.length / seenRow;
  for (let row = 0; row < rows; row++) {
    const from = Math.floor(random() * all) * seenRow + Math.floor(random() * (seenRow - length + 1));
    for (let t = 0; t < length; t++) ids[row * length + t] = seen[from + t];
  }
}

/**
 * The mean −log P that the language itself gives the unseen text, nats per token: no model can be expected to do
 * better. The first token of a row is given. null where the language isn't known.
 * @param {TrainingText} text
 */
export function exactFloor({ exact, unseen }) {
  if (!exact) return null;
  let sum = 0;
  for (let row = 0; row < unseen.length; row += UNSEEN_ROW) {
    let state = exact.step(0, unseen[row]);
    for (let at = row + 1; at < row + UNSEEN_ROW; at++) {
      sum -= exact.logProb(state, unseen[at]);
      state = exact.step(state, unseen[at]);
    }
  }
  return sum / (unseen.length - unseen.length / UNSEEN_ROW);
}

/**
 * What n-grams reach on the unseen text: Kneser–Ney, counted on the text to learn from. Yields between pieces of work.
 * @param {TrainingText} text
 * @returns {Generator<number, Level[], void>}
 */
export function* ngramLevels({ seen, seenRow, unseen, exact, vocabSize }) {
  const highest = exact ? 4 : 5;
  const counted = seen.subarray(0, Math.min(seen.length, Math.max(1, Math.floor(MAX_COUNTED / seenRow)) * seenRow));
  const counts = new NGramCounts(vocabSize, highest);
  yield* counts.readInSteps(counted.subarray(0, MAX_COUNTED), Math.min(seenRow, MAX_COUNTED), 5000);
  const levels = [];
  for (let order = 1; order <= highest; order++) {
    let sum = 0;
    for (let row = 0; row < unseen.length; row += UNSEEN_ROW) {
      for (let t = 1; t < UNSEEN_ROW; t++) {
        const prefix = [...unseen.subarray(row + Math.max(0, t - order + 1), row + t)];
        sum -= Math.log(Math.max(counts.dist(prefix, order)[unseen[row + t]], ENOUGH));
      }
      yield 1;
    }
    levels.push({ name: ORDER_NAMES[order], loss: sum / (unseen.length - unseen.length / UNSEEN_ROW) });
  }
  return levels;
}
