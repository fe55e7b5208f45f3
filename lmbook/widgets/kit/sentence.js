// What the widgets that run a trained model share: a sentence to write and its words in a row, answers side by side.
import { field, formatLog, formatShare, h, headings, roving, setBar } from './kit.js';
import { hintOf, readText, wordsInput } from './text_field.js';

/** @import { Automaton } from '../core/toy_language.js' */

export const MAX_WORDS = 24; // of a sentence; more rows and columns can't be told apart on a phone

// ---- A sentence -------------------------------------------------------------------------------------------------------

/**
 * @typedef {object} SentenceOptions
 * @property {string[]} vocab
 * @property {Automaton} exact
 * @property {{ contextLength: number }} net which reads the sentence
 * @property {string} empty what is said where there is no word
 * @property {string} advice what is said where all is well
 * @property {(text: string) => void} oninput
 */

/**
 * A field for a sentence of the language, with a line below it that says what is wrong. `read(text)` gives {ids,
 * wrong}; `ids` is null if there are no words, or more than the model is shown.
 * @param {SentenceOptions} options
 * @param {string} [name] of the field
 */
export function sentenceField({ vocab, exact, net, empty, advice, oninput }, name = 'Your sentence') {
  const { input, message, tell, show } = wordsInput(300, oninput);
  const room = Math.min(MAX_WORDS, net.contextLength);
  /** @param {string} text */
  function read(text) {
    show(text);
    const { ids, pending, problem } = readText(text, vocab);
    const long = ids.length > room ? `The model is shown at most ${room} words here; these are ${ids.length}.` : '';
    const wrong = problem || long || (ids.length || pending.length ? '' : empty);
    const never = exact.isPossible(ids) ? '' : 'This language can’t produce these words (P = 0).';
    tell(wrong || hintOf(pending) || never || advice, Boolean(wrong || never));
    return { ids: ids.length && !long ? ids : null, wrong };
  }
  return { node: field(name, input), message, read };
}

/**
 * @typedef {object} WordItem a word of the row
 * @property {string} word
 * @property {string} say what a screen reader hears
 * @property {string} [number] below the word
 * @property {number[]} [shares] the heights of its columns, 0 … 1
 * @property {boolean} [pressed]
 * @property {boolean} [current] whether the keyboard comes here first
 * @property {string} [look] classes
 */

/**
 * The words of a text, each a button with columns above it (one for each of `kinds`: exact, other, model) and numbers
 * below. `write` changes the nodes that are there, so that the focus stays and the columns move.
 * @param {string} label
 * @param {string[]} kinds
 * @param {(place: number) => void} onpick
 */
export function wordRow(label, kinds, onpick) {
  const node = h('ol', { class: 'lmw-words', 'aria-label': label });
  const refresh = roving(node);
  /** @type {ReturnType<typeof wordPlace>[]} */
  const places = [];
  function grow() {
    const i = places.length;
    const place = wordPlace(kinds, () => onpick(i));
    node.append(place.node);
    places.push(place);
  }
  /** @param {WordItem[]} items */
  function write(items) {
    while (places.length > items.length) places.pop()?.node.remove();
    while (places.length < items.length) grow();
    items.forEach((item, i) => places[i].write(item));
    refresh();
    // The Tab key leads to the chosen word.
    const current = items.findIndex((item) => item.current);
    if (current < 0 || node.matches(':focus-within')) return;
    places.forEach(({ button }, i) => (button.tabIndex = i === current ? 0 : -1));
  }
  const buttons = () => places.map(({ button }) => button);
  /** @param {EventTarget | null} target returns the place of the word that holds it, or −1 */
  const placeOf = (target) => buttons().findIndex((one) => target instanceof Node && one.contains(target));
  return { node, write, buttons, placeOf };
}

/**
 * @param {string[]} kinds
 * @param {() => void} onclick
 */
function wordPlace(kinds, onclick) {
  const columns = kinds.map((kind) => h('i', { class: `lmw-of-${kind}` }));
  const [word, number] = [h('b'), h('small')];
  const chart = kinds.length ? [h('span', { class: 'lmw-columns' }, columns)] : [];
  const button = h('button', { type: 'button', class: 'lmw-place', onclick }, chart, word, number);
  /** @param {WordItem} item */
  function write(item) {
    button.className = `lmw-place ${item.look ?? ''}`;
    button.setAttribute('aria-pressed', String(Boolean(item.pressed)));
    button.setAttribute('aria-label', item.say);
    word.textContent = item.word;
    number.textContent = item.number ?? '';
    columns.forEach((column, k) => setBar(column, item.shares?.[k] ?? 0));
  }
  return { node: h('li', {}, button), button, write };
}

// ---- Answers side by side ---------------------------------------------------------------------------------------------

/**
 * The words that get a line: the likeliest under any of `dists`, and `always`. Sorted by the first of `dists`, then by
 * the highest of all, then by id.
 * @param {ArrayLike<number>[]} dists
 * @param {number} count
 * @param {number} [always]
 */
export function likeliest(dists, count, always = -1) {
  /** @param {number} w */
  const height = (w) => (w === always ? 2 : Math.max(...dists.map((dist) => dist[w])));
  const all = Array.from(dists[0], (_, w) => w).sort((a, b) => height(b) - height(a) || a - b);
  return all.slice(0, count).sort((a, b) => dists[0][b] - dists[0][a] || height(b) - height(a) || a - b);
}

/** @typedef {[key: string, kind: string, name: string]} Column its name in `dataset`, its colour, its heading */

/**
 * A line of the table: a word, and for each column a bar and a number.
 * @param {Column[]} columns
 * @param {boolean} withBars
 * @param {Record<string, unknown>} [attributes]
 */
function answerLine(columns, withBars, attributes = {}) {
  const word = h('th', { scope: 'row' });
  const cells = columns.map(([, kind]) => {
    const bar = h('span', { class: `lmw-bar lmw-of-${kind}`, 'aria-hidden': 'true' });
    const number = h('span', { class: 'lmw-num' });
    return { bar, number, node: h('td', {}, h('span', { class: 'lmw-pair' }, withBars ? bar : [], number)) };
  });
  const node = h('tr', attributes, word, cells.map((cell) => cell.node));
  /**
   * @param {string} name
   * @param {number[]} values
   * @param {number} scale
   */
  function fill(name, values, scale) {
    word.textContent = name;
    values.forEach((value, k) => {
      setBar(cells[k].bar, value / scale);
      cells[k].number.textContent = formatShare(value);
      node.dataset[columns[k][0]] = String(value);
    });
  }
  /**
   * @param {string} name
   * @param {(number | null)[]} values
   * @param {number} digits
   */
  function fillNumbers(name, values, digits) {
    word.textContent = name;
    values.forEach((value, k) => {
      cells[k].number.textContent = value === null ? '–' : formatLog(value, digits);
      node.dataset[columns[k][0]] = value === null ? '' : String(value);
    });
  }
  return { node, fill, fillNumbers };
}

/**
 * A table of answers: a line for each word, and for each column a bar and a number; below, the sum of all other words,
 * and `footers` lines of numbers.
 * @param {string} label
 * @param {Column[]} columns
 * @param {number} count
 * @param {number} [footers]
 */
export function comparison(label, columns, count, footers = 0) {
  const notes = columns.map(() => h('small'));
  const title = h('th', { scope: 'col' }, label);
  const heads = columns.map(([, kind, name], k) =>
    h('th', { scope: 'col' }, h('span', { class: `lmw-${kind}` }, name), notes[k])
  );
  const lines = Array.from({ length: count }, () => answerLine(columns, true));
  const rest = answerLine(columns, false, { class: 'lmw-rest' });
  const feet = Array.from({ length: footers }, () => answerLine(columns, false, { class: 'lmw-foot' }));
  const body = h('tbody', {}, [...lines, rest].map((line) => line.node));
  const foot = footers ? [h('tfoot', {}, feet.map((line) => line.node))] : [];
  const node = h('table', { class: 'lmw-compare' }, headings(title, ...heads), body, foot);

  /**
   * @param {string[]} vocab
   * @param {Float64Array[]} dists in the order of the columns
   * @param {number[]} chosen the words to show
   * @param {number} [truth] the one that is marked
   */
  function draw(vocab, dists, chosen, truth = -1) {
    const scale = Math.max(...chosen.map((w) => Math.max(...dists.map((dist) => dist[w]))));
    lines.forEach((line, i) => {
      const w = chosen[i];
      line.node.hidden = w === undefined;
      if (w === undefined) return;
      line.fill(w === truth ? `${vocab[w]} ◂` : vocab[w], dists.map((dist) => dist[w]), scale);
      line.node.dataset.word = vocab[w];
      line.node.classList.toggle('lmw-truth', w === truth);
    });
    const left = dists.map((dist) => dist.reduce((sum, p, w) => (chosen.includes(w) ? sum : sum + p), 0));
    rest.fill(`${vocab.length - chosen.length} others`, left, scale);
  }
  /**
   * @param {number} i which of the footers
   * @param {string} name
   * @param {(number | null)[]} values
   * @param {number} [digits]
   */
  const writeFoot = (i, name, values, digits = 4) => feet[i].fillNumbers(name, values, digits);
  return { node, title, notes, draw, writeFoot };
}
