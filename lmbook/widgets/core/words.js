// Words: split a text into them, join them, and find the word nearest to a misspelt one.

// White space as Python's \s has it, which differs from JavaScript's in a few rare characters.
export const WHITE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
export const WORDS = new RegExp(`[.,;:!?]|[^${WHITE}.,;:!?]+`, 'g');

/**
 * "The dog barks." → ["the", "dog", "barks", "."]: what the toy language calls words.
 * @param {string} text
 * @returns {string[]}
 */
export function splitWords(text) {
  return text.toLowerCase().match(WORDS) ?? [];
}

/** @param {string[]} words */
export function joinWords(words) {
  return words.join(' ').replace(/ ([.,;:!?])/g, '$1');
}

/**
 * The number of single-letter changes between two words (Levenshtein).
 * @param {string} a
 * @param {string} b
 */
export function editDistance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}

/**
 * The word of `vocab` that takes the fewest changes, if they are few. Words whose lengths differ by more are skipped,
 * so that a very long word costs no time.
 * @param {string} word
 * @param {string[]} vocab
 */
export function nearestWord(word, vocab) {
  const limit = Math.max(1, word.length / 2);
  /** @param {string} known */
  const isNear = (known) => Math.abs(known.length - word.length) <= limit;
  const distances = vocab.map((known) => (isNear(known) ? editDistance(word, known) : Infinity));
  const best = Math.min(...distances);
  return best <= limit ? vocab[distances.indexOf(best)] : null;
}
