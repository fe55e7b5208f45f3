// Shannon's game: guess the next letter until it is right; the numbers of guesses bound the entropy of English.
import {
  announcer,
  button,
  dropDown,
  field,
  formatLog,
  frame,
  h,
  headings,
  line,
  live,
  plural,
  quiet,
  roving,
  setBar,
  setter,
} from './kit/kit.js';

/** @import { Drawn, WidgetModel } from './kit/kit.js' */

/**
 * @typedef {object} Passage
 * @property {string} name
 * @property {string} text
 * @property {number} given how many of its letters are shown from the start
 * @property {number[]} log2_probs the n-gram's, of each letter after those
 * @property {number[]} ranks the numbers of guesses that the n-gram needed for them
 */

/** @typedef {{ mine: number[], ranks: number[], log2: number[] }} Played one entry a letter that the reader has found */

const ALPHABET = ' abcdefghijklmnopqrstuvwxyz';
const KEY_ROWS = ['qwertyuiop', 'asdfghjkl', 'zxcvbnm', ' '];
const MOST = ALPHABET.length; // guesses for a letter; a letter that is shown counts as this many
const ENOUGH = 100; // letters; Shannon (1951) scored 100 for each length of context
const CHART_TO = 10; // the chart's last column is "10 or more"

/** @param {string} letter */
const nameOf = (letter) => (letter === ' ' ? 'space' : letter);
/** @param {string} letter */
const draws = (letter) => (letter === ' ' ? '␣' : letter);

/**
 * From the numbers of guesses, each 1 … 27, that a reader needed: bounds on the entropy in bits per letter.
 * q_i is the share of letters found at guess i. Upper: −Σ q_i log2 q_i, the entropy of the guess numbers, from which
 * the text can be rebuilt. Lower: Σ i (q_i − q_{i+1}) log2 i. Source: Shannon (1951), section 5, equation 17.
 * @param {number[]} guesses
 */
export function shannonBounds(guesses, alphabetSize = MOST) {
  const q = new Float64Array(alphabetSize + 2);
  for (const g of guesses) {
    if (!(Number.isInteger(g) && g >= 1 && g <= alphabetSize)) {
      throw new RangeError(`a number of guesses must be a whole number from 1 to ${alphabetSize}, got ${g}`);
    }
    q[g] += 1 / guesses.length;
  }
  let [upper, lower, square] = [0, 0, 0];
  for (let i = 1; i <= alphabetSize; i++) {
    lower += i * (q[i] - q[i + 1]) * Math.log2(i);
    if (q[i] === 0) continue;
    upper -= q[i] * Math.log2(q[i]);
    square += q[i] * Math.log2(q[i]) ** 2;
  }
  const standardError = guesses.length ? Math.sqrt(Math.max(square - upper ** 2, 0) / guesses.length) : 0;
  return { upper, lower, standardError, q };
}

/**
 * How many letters were found at each number of guesses.
 * @param {string} label
 */
function makeChart(label) {
  const bars = Array.from({ length: CHART_TO }, () => [h('i'), h('i')]);
  const axis = bars.map((_, i) => h('span', {}, i + 1 < CHART_TO ? String(i + 1) : `${CHART_TO}+`));
  const columns = h('div', { class: 'lmw-chart', role: 'img' }, bars.map((two) => h('div', {}, two)));
  const node = h('div', {}, quiet(label), columns, h('div', { class: 'lmw-axis', 'aria-hidden': 'true' }, axis));
  /** @param {number[]} guesses */
  const tally = (guesses) => bars.map((_, i) => guesses.filter((g) => Math.min(g, CHART_TO) === i + 1).length);
  /**
   * @param {number[]} reader
   * @param {number[]} ngram
   */
  function draw(reader, ngram) {
    const [mine, its] = [tally(reader), tally(ngram)];
    const highest = Math.max(...mine, ...its, 1);
    bars.forEach(([a, b], i) => {
      setBar(a, mine[i] / highest);
      setBar(b, its[i] / highest);
    });
    columns.setAttribute(
      'aria-label',
      `Letters found at guess 1 to ${CHART_TO} or more: you ${mine.join(', ')}; the n-gram ${its.join(', ')}`,
    );
  }
  return { node, draw };
}

/**
 * The scores of a player by the names of their cells; null: no letter yet.
 * @param {number[]} guesses
 * @returns {Record<string, number | null>}
 */
function scoresOf(guesses) {
  const n = guesses.length;
  if (n === 0) return { first: null, mean: null, upper: null, lower: null };
  const { upper, lower } = shannonBounds(guesses);
  const first = guesses.filter((g) => g === 1).length / n;
  return { first, mean: guesses.reduce((a, b) => a + b, 0) / n, upper, lower };
}

/** The reader's and the n-gram's results on the letters played so far. */
function makeScores() {
  /** @type {Map<string, HTMLTableCellElement>} */
  const cells = new Map();
  /** @param {string} name */
  function cell(name) {
    const node = h('td', { class: 'lmw-num', 'data-score': name }, '–');
    cells.set(name, node);
    return node;
  }
  /** @type {[label: string, ...HTMLTableCellElement[]][]} */
  const rows = [
    ['Right at the first guess', cell('you-first'), cell('ngram-first')],
    ['Guesses per letter', cell('you-mean'), cell('ngram-mean')],
    ['Upper bound, bits per letter', cell('you-upper'), cell('ngram-upper')],
    ['Lower bound, bits per letter', cell('you-lower'), cell('ngram-lower')],
    ['Cross-entropy, bits per letter', h('td', { class: 'lmw-num' }, 'unknown'), cell('ngram-bits')],
  ];
  const head = headings(
    'On all letters you have played',
    h('th', { scope: 'col', class: 'lmw-num lmw-exact' }, 'You'),
    h('th', { scope: 'col', class: 'lmw-num lmw-other' }, 'n-gram'),
  );
  const body = rows.map(([label, ...two]) => h('tr', {}, h('th', { scope: 'row' }, label), two));
  /**
   * @param {string} who
   * @param {Record<string, number | null>} scores
   */
  function write(who, scores) {
    for (const [name, value] of Object.entries(scores)) {
      const target = cells.get(`${who}-${name}`);
      if (!target) throw new RangeError(`the table has no score ${who}-${name}`);
      target.textContent = value === null ? '–' : formatLog(value);
      target.dataset.value = String(value ?? '');
    }
  }
  /** @param {Played} played */
  function draw({ mine, ranks, log2 }) {
    write('you', scoresOf(mine));
    write('ngram', { ...scoresOf(ranks), bits: mine.length ? -log2.reduce((a, b) => a + b, 0) / mine.length : null });
  }
  return { node: h('table', {}, head, h('tbody', {}, body)), draw };
}

/** @param {number[]} guesses */
function verdict(guesses) {
  const n = guesses.length;
  if (n === 0) return 'Guess the next letter. Each letter you find is one observation.';
  const { upper, standardError } = shannonBounds(guesses);
  const bound = `Your upper bound is ${upper.toFixed(2)} ± ${standardError.toFixed(2)} bits (standard error).`;
  const range = n < 10 ? '' : ` ${bound}`; // of a few equal guesses it would be 0.00 ± 0.00
  if (n < ENOUGH) {
    return `${
      plural(n, 'letter')
    } so far: too few for your bounds to mean much; they may even cross. Shannon used ${ENOUGH} letters: ${
      ENOUGH - n
    } to go.${range}`;
  }
  return `${n} letters, as many as Shannon used or more.${range}`;
}

/**
 * The line above the table: the verdict, and the n-gram's result on the whole passage.
 * @param {number[]} guesses
 * @param {Passage} passage
 */
function adviceOn(guesses, { text, given, log2_probs: log2 }) {
  const whole = -log2.reduce((a, b) => a + b, 0) / log2.length;
  return `${verdict(guesses)} Over this whole passage (${
    plural(text.length - given, 'letter')
  }) the n-gram’s cross-entropy is ${whole.toFixed(4)} bits per letter.`;
}

/** @param {(letter: string) => void} guess */
function makeKeys(guess) {
  /** @type {Map<string, HTMLButtonElement>} */
  const keys = new Map();
  /** @param {string} letter */
  function keyOf(letter) {
    const key = button(nameOf(letter), () => guess(letter), { 'data-letter': letter });
    key.classList.add('lmw-key');
    key.classList.toggle('lmw-space', letter === ' ');
    key.addEventListener('pointerdown', (event) => event.preventDefault()); // the focus stays where it was
    keys.set(letter, key);
    return key;
  }
  const rows = KEY_ROWS.map((row) => h('div', {}, [...row].map(keyOf)));
  const node = h('div', { class: 'lmw-keys', role: 'group', 'aria-label': 'Letters to guess' }, rows);
  roving(node);
  /** @param {Set<string>} tried */
  function draw(tried) {
    for (const [letter, key] of keys) key.setAttribute('aria-disabled', String(tried.has(letter)));
  }
  return { node, draw };
}

/** The passage as far as it is known, with both numbers of guesses below each letter. */
function makeBoard() {
  const letters = h('div', { class: 'lmw-letters', 'aria-hidden': 'true' });
  const spoken = h('p', { class: 'lmw-heard' });
  const label = 'The passage. Type a letter or the space bar to guess what comes next.';
  const node = h('div', { class: 'lmw-text', tabindex: 0, role: 'group', 'aria-label': label }, letters, spoken);
  node.addEventListener('pointerdown', () => node.focus());
  /**
   * @param {Passage} passage
   * @param {number[]} results
   */
  function draw({ text, given, ranks }, results) {
    const known = text.slice(0, given + results.length);
    const cells = [...known].map((letter, i) => {
      const played = i >= given;
      const counts = played ? [String(results[i - given]), String(ranks[i - given])] : ['', ''];
      const look = played ? 'lmw-letter' : 'lmw-letter lmw-given';
      return h('span', { class: look }, draws(letter), counts.map((count) => h('small', {}, count)));
    });
    const open = known.length < text.length;
    if (open) cells.push(h('span', { class: 'lmw-letter lmw-cursor' }, '?', h('small'), h('small')));
    letters.replaceChildren(...cells);
    node.scrollTop = node.scrollHeight;
    spoken.textContent = `The passage so far: ${known}${open ? ', next letter unknown' : ', the end'}`;
  }
  return { node, draw };
}

/**
 * The state of the game, and the reader's moves. `tell` gets the result of each guess.
 * @param {WidgetModel} model
 * @param {(text: string) => void} tell
 */
function makeGame(model, tell) {
  /** @type {Passage[]} */
  const passages = model.get('passages');
  const set = setter(model);
  /** @type {Set<string>} */
  let tried = new Set(); // wrong guesses for the letter that is next
  let position = '';
  /** @type {() => number[][]} */
  const guesses = () => model.get('guesses');
  const passage = () => passages[model.get('passage')];
  const results = () => guesses()[model.get('passage')];
  const next = () => passage().text.at(passage().given + results().length); // undefined at the end
  /** @param {number[]} list */
  const setResults = (list) => set({ guesses: guesses().map((old, i) => (i === model.get('passage') ? list : old)) });
  /** @param {'ranks' | 'log2_probs'} name */
  const playedOf = (name) => passages.flatMap((one, i) => one[name].slice(0, guesses()[i].length));

  /**
   * @param {string} letter
   * @param {number} count
   */
  function found(letter, count) {
    const opening = count === MOST && tried.size < MOST - 1 ? 'It was' : 'Right:';
    const counted = count === MOST ? `counted as ${MOST} guesses` : `guess ${count}`;
    tried = new Set();
    tell(`${opening} “${nameOf(letter)}”, ${counted}; the n-gram needed ${passage().ranks[results().length]}.`);
    setResults([...results(), count]);
  }
  /** @param {string} letter */
  function guess(letter) {
    const truth = next();
    if (truth === undefined) return;
    if (letter === truth) return found(letter, tried.size + 1);
    const text = tried.has(letter)
      ? `“${nameOf(letter)}” was tried already; it isn’t counted again.`
      : `Not “${nameOf(letter)}”. Guess ${tried.size + 2}:`;
    tried.add(letter);
    tell(text);
  }
  function reveal() {
    const truth = next();
    if (truth !== undefined) found(truth, MOST);
  }
  function restart() {
    tried = new Set();
    setResults([]);
  }
  /** Forgets the wrong guesses when the next letter is another one. */
  function follow() {
    const here = `${model.get('passage')}:${results().length}`;
    if (here !== position) tried = new Set();
    position = here;
  }
  /** @returns {Played} over all passages, as more letters give better bounds */
  const played = () => ({ mine: guesses().flat(), ranks: playedOf('ranks'), log2: playedOf('log2_probs') });
  const isOver = () => next() === undefined;
  return { passages, passage, results, played, isOver, tried: () => tried, guess, reveal, restart, follow };
}

/**
 * A typed letter is a guess wherever the focus is, except in a select; the space bar presses a focused button.
 * @param {HTMLElement} root
 * @param {(letter: string) => void} guess
 */
function hearLetters(root, guess) {
  root.addEventListener('keydown', (event) => {
    const target = event.target instanceof Element ? event.target : root;
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest('select')) return;
    const letter = event.key.toLowerCase();
    if (letter.length !== 1 || !ALPHABET.includes(letter)) return;
    if (letter === ' ' && target.closest('button')) return;
    event.preventDefault();
    guess(letter);
  });
}

function colours() {
  return quiet(
    'Under each letter: ',
    h('span', { class: 'lmw-exact' }, 'your guesses'),
    ' and ',
    h('span', { class: 'lmw-other' }, 'the n-gram’s'),
    '. “Show the letter” counts as 27 guesses.',
  );
}

/** @param {Drawn} widget */
function render({ model, el }) {
  const set = setter(model);
  const game = makeGame(model, (text) => {
    message.textContent = text;
    heard.say(text);
    keyboard.draw(game.tried());
  });
  const choice = dropDown((i) => set({ passage: Number(i) }), game.passages.map((one, i) => [i, one.name]));
  const reveal = button('Show the letter', game.reveal, { title: `Counts as ${MOST} guesses` });
  const reset = button('Start again', () => {
    game.restart();
    draw();
  });
  const board = makeBoard();
  const message = h('p', { class: 'lmw-message' });
  const keyboard = makeKeys(game.guess);
  const advice = quiet();
  const scores = makeScores();
  const chart = makeChart('Letters found at each number of guesses');
  const root = frame(
    el,
    'shannon',
    'Shannon’s guessing game',
    line(field('Passage', choice), reveal, reset),
    board.node,
    message,
    keyboard.node,
    advice,
    scores.node,
    chart.node,
    colours(),
  );
  root.classList.add('lmw-shannon');
  const heard = announcer(root);
  hearLetters(root, game.guess);

  function draw() {
    game.follow();
    const [passage, results, played] = [game.passage(), game.results(), game.played()];
    choice.value = String(model.get('passage'));
    board.draw(passage, results);
    reveal.disabled = game.isOver();
    keyboard.draw(game.tried());
    scores.draw(played);
    chart.draw(played.mine, played.ranks);
    advice.textContent = adviceOn(played.mine, passage);
    if (results.length === 0 && game.tried().size === 0) {
      message.textContent = 'Type a letter, or press one. The space is a letter too.';
    }
    if (game.isOver()) message.textContent += ' That was the last letter.';
    root.dataset.played = String(results.length);
  }

  return live(root, model, ['passage', 'guesses'], draw, heard.stop);
}

export default { render };
