// The question that opens the next-token demo: which of two forms of a verb can follow?
import { button, formatProb, h } from './kit/kit.js';

/** @typedef {{ right: number, wrong: number }} Pair ids of two forms of one verb */
/** @typedef {{ vocab: string[], p: Float64Array, q: Float64Array }} Dists of the exact language (p) and a bigram (q) */

const CLEARLY = 1.75; // how much more the bigram must give to the wrong form than to the right one

/**
 * The likeliest word of which one form is possible, another (an s more or less) is not, and the bigram clearly prefers
 * the impossible one; null if there is none.
 * @param {Dists} dists
 * @returns {Pair | null}
 */
export function findPair({ vocab, p, q }) {
  /** @type {Pair | null} */
  let best = null;
  vocab.forEach((word, plain) => {
    const other = vocab.indexOf(`${word}s`);
    if (other < 0 || (p[plain] > 0) === (p[other] > 0)) return;
    const [right, wrong] = p[plain] > 0 ? [plain, other] : [other, plain];
    if (q[wrong] < CLEARLY * q[right]) return;
    if (!best || p[right] > p[best.right]) best = { right, wrong };
  });
  return best;
}

/**
 * What an answer shows: whether it is right, and what both models say of the two words.
 * @param {Pair} pair
 * @param {number} chosen
 * @param {Dists} dists
 * @param {string} last the last word of the text, all that the bigram reads
 * @returns {[verdict: string, contrast: string]}
 */
export function answerTo({ right, wrong }, chosen, { vocab, p, q }, last) {
  const [good, bad] = [vocab[right], vocab[wrong]];
  const verdict = chosen === right
    ? `Yes: “${good}”, and never “${bad}”. The exact language agrees: ${formatProb(p[right])} and 0.`
    : `Look again: here the language never says “${bad}”. It gives “${good}” ${formatProb(p[right])}.`;
  const times = q[right] > 0 ? `, ${(q[wrong] / q[right]).toFixed(1)} times as much as “${good}”` : '';
  return [verdict, `The bigram sees only “${last}”, and gives “${bad}” ${formatProb(q[wrong])}${times}.`];
}

/**
 * Both words in an order that doesn't tell which is right.
 * @param {Pair} pair
 */
export function inOrder({ right, wrong }) {
  return [right, wrong].sort((a, b) => a - b);
}

/**
 * The question with its two buttons, and a place for what they show.
 * @param {string} text the words so far
 * @param {Pair} pair
 * @param {Dists} dists
 * @param {() => void} onanswer
 */
export function askWhichForm(text, pair, dists, onanswer) {
  const before = h('p', { class: 'lmw-quiet' }, 'Choose one, then see what two models say.');
  const said = h('div', { class: 'lmw-ask-said', 'aria-live': 'polite' }, before);
  const last = text.split(' ').at(-1) ?? '';
  /** @param {number} word */
  const choice = (word) => {
    const node = button(dists.vocab[word], () => {
      for (const each of choices) each.setAttribute('aria-pressed', String(each === node));
      const [verdict, contrast] = answerTo(pair, word, dists, last);
      said.replaceChildren(h('p', {}, verdict), h('p', { class: 'lmw-other' }, contrast));
      onanswer();
    }, { 'aria-pressed': 'false', 'data-choice': dists.vocab[word] });
    return node;
  };
  const choices = inOrder(pair).map(choice);
  const [first, second] = choices;
  const words = [h('span', {}, `${text} …`), h('span', { class: 'lmw-ask-choices' }, first, 'or', second, '?')];
  return h('div', { class: 'lmw-ask', role: 'group', 'aria-label': 'Which word can follow?' }, words, said);
}
