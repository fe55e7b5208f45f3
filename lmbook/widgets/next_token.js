// The next-token demo: two models of one language, side by side, after the words so far.
import { sampleFrom, seededRandom } from './core/random.js';
import { readModels } from './core/toy_models.js';
import { joinWords } from './core/words.js';
import {
  announcer,
  button,
  field,
  formatProb,
  formatShare,
  frame,
  h,
  line,
  live,
  plural,
  roving,
  setBar,
  setter,
} from './kit/kit.js';
import { hintOf, readText, wordsInput } from './kit/text_field.js';
import { askWhichForm, findPair, inOrder } from './next_token_question.js';

/** @import { Drawn } from './kit/kit.js' */
/** @import { Reading } from './kit/text_field.js' */
/** @typedef {Pick<ReturnType<typeof readModels>, 'vocab' | 'exact' | 'ngramDist'>} Models */
/** @typedef {{ node: HTMLElement | string, ids: number[], asked: number[], answered: boolean }} Question */

const MAX_CHARACTERS = 2000;

/**
 * Both models' P of each word after the words so far, the words that get a line, those that are asked about, and
 * whether the answer is covered until the reader has chosen.
 * @typedef {{ ids: number[], p: Float64Array, q: Float64Array, words: number[], asked: number[], covered: boolean, wrong: boolean }} Shown
 */

/**
 * The words that get a line: the likeliest under either model, by exact probability, then by the bigram's, then by id.
 * @param {Float64Array} p
 * @param {Float64Array} q
 * @param {number} count
 * @param {number[]} always words that get one whatever they have
 */
export function chooseWords(p, q, count, always = []) {
  /** @param {number} w */
  const height = (w) => always.includes(w) ? 2 : Math.max(p[w], q[w]);
  const all = Array.from(p, (_, w) => w);
  const chosen = all.sort((a, b) => height(b) - height(a) || a - b).slice(0, count);
  return chosen.sort((a, b) => p[b] - p[a] || q[b] - q[a] || a - b);
}

/**
 * A line: a word, with a bar and a number for each model.
 * @param {(() => void) | null} choose null: the line of all other words
 */
function makeRow(choose) {
  const word = h('b');
  const bars = [h('span', { class: 'lmw-bar' }), h('span', { class: 'lmw-bar lmw-of-other' })];
  const numbers = [h('span', { class: 'lmw-num' }), h('span', { class: 'lmw-num' })];
  const cells = [word, bars[0], numbers[0], bars[1], numbers[1]];
  const node = choose
    ? h('button', { type: 'button', class: 'lmw-row', onclick: choose }, cells)
    : h('div', { class: 'lmw-row lmw-rest' }, cells);
  /**
   * @param {string} label
   * @param {[p: number, q: number]} values
   * @param {number} scale
   * @param {boolean} [covered]
   */
  function fill(label, values, scale, covered = false) {
    word.textContent = label;
    values.forEach((value, i) => {
      setBar(bars[i], covered ? 0 : value / scale);
      numbers[i].textContent = covered ? '?' : formatShare(value);
    });
    [node.dataset.exact, node.dataset.bigram] = values.map(String);
  }
  return { node, fill };
}

/**
 * The lines of the words that may come next, and one for all others.
 * @param {string[]} vocab
 * @param {number} count
 * @param {(line: number) => void} onpick
 */
function wordList(vocab, count, onpick) {
  const rows = Array.from({ length: count }, (_, i) => makeRow(() => onpick(i)));
  const rest = makeRow(null);
  const others = vocab.length - count;
  rest.node.title = `The other ${plural(others, 'word')} of the vocabulary together`;
  rest.node.hidden = others === 0;
  const items = rows.map((row) => h('li', {}, row.node));
  const list = h('ol', { 'aria-label': 'Words that may come next; press one to continue the text' }, items);
  roving(list);
  /** @param {Shown} shown */
  function draw({ p, q, words, asked, covered }) {
    const scale = Math.max(...words.map((w) => Math.max(p[w], q[w])));
    items.forEach((item, i) => (item.hidden = i >= words.length));
    words.forEach((w, i) => {
      const { node, fill } = rows[i];
      fill(vocab[w], [p[w], q[w]], scale, covered);
      node.dataset.word = vocab[w];
      node.toggleAttribute('disabled', covered);
      node.classList.toggle('lmw-never', p[w] === 0 && !covered);
      node.classList.toggle('lmw-asked', asked.includes(w) && !covered);
      node.title = covered ? '' : `${vocab[w]}: exact ${p[w].toFixed(6)}, bigram ${q[w].toFixed(6)}`;
      const exact = p[w] === 0 ? 'never' : formatProb(p[w]);
      const heard = covered ? 'choose first' : `exact ${exact}, bigram ${formatProb(q[w])}`;
      node.setAttribute('aria-label', `${vocab[w]}: ${heard}`);
    });
    /** @param {Float64Array} probs */
    const left = (probs) => probs.reduce((sum, value, w) => (words.includes(w) ? sum : sum + value), 0);
    rest.fill(`${others} others`, [left(p), left(q)], scale);
  }
  return { list, rest: rest.node, draw };
}

/**
 * What the two models are, what each has read, and a button that draws from it: `sample('p')` or `sample('q')`.
 * @param {string[]} vocab
 * @param {number} seed
 * @param {(which: 'p' | 'q') => void} sample
 */
function modelHeads(vocab, seed, sample) {
  const title = `Draw the next word at random (seed ${seed}: the same words after each “Start again”)`;
  /**
   * @param {string} name
   * @param {'p' | 'q'} which
   */
  const sampler = (name, which) =>
    button('Draw a word', () => sample(which), { 'aria-label': `Draw a word from the ${name}`, title });
  const [reads, readsLast] = [h('small'), h('small')];
  const [truth, counts] = [h('small', {}, 'the true probabilities'), h('small', {}, 'counted word pairs')];
  const node = h(
    'div',
    { class: 'lmw-head' },
    h('span', { class: 'lmw-quiet' }, h('s', {}, 'Struck out'), ': never said here'),
    h('div', {}, h('span', { class: 'lmw-exact' }, 'Exact language', truth, reads), sampler('exact language', 'p')),
    h('div', {}, h('span', { class: 'lmw-other' }, 'Bigram', counts, readsLast), sampler('bigram', 'q')),
  );
  /** @param {number[]} ids */
  function draw(ids) {
    reads.textContent = ids.length ? `reads all ${plural(ids.length, 'word')}` : 'a text begins';
    readsLast.textContent = `reads only “${ids.length ? vocab[ids[ids.length - 1]] : '.'}”`;
  }
  return { node, draw };
}

/**
 * The line below the field, and whether it says that something is wrong.
 * @param {Reading} reading
 * @param {boolean} isPossible
 * @returns {[text: string, isWrong: boolean]}
 */
function remark({ pending, problem }, isPossible) {
  if (problem) return [problem, true];
  if (pending.length) return [hintOf(pending) + (pending.length > 6 ? ', …' : ''), false];
  if (isPossible) return ['', false];
  return [
    'This language can’t produce these words (P = 0). After them every word is equally likely, by convention.',
    true,
  ];
}

/**
 * The question about the initial words and the words in question; "" and none if they raise none.
 * @param {string} start
 * @param {Models} models
 * @param {() => void} onanswer
 * @returns {Question}
 */
function makeQuestion(start, { vocab, exact, ngramDist }, onanswer) {
  const { ids, pending, problem } = readText(start, vocab);
  const none = { node: '', ids, asked: [], answered: false };
  if (problem || pending.length) return none;
  const dists = { vocab, p: exact.dist(ids), q: ngramDist(ids, 2) };
  const pair = findPair(dists);
  if (!pair) return none;
  return { node: askWhichForm(start, pair, dists, onanswer), ids, asked: inOrder(pair), answered: false };
}

/**
 * What both models say after the words that were read. At the place of the question its words always get a line.
 * @param {Reading} reading
 * @param {Models} models
 * @param {Question} question
 * @param {number} count
 * @returns {Shown}
 */
function lookAt({ ids, pending, problem }, { exact, ngramDist }, question, count) {
  const [p, q] = [exact.dist(ids), ngramDist(ids, 2)];
  const isPlace = ids.join() === question.ids.join() && count > question.asked.length;
  const asked = isPlace ? question.asked : [];
  const covered = asked.length > 0 && !question.answered;
  const words = covered ? asked : chooseWords(p, q, count, asked);
  return { ids, p, q, words, asked, covered, wrong: Boolean(problem || pending.length) };
}

/** @param {Drawn} widget */
function render({ model, el }) {
  const models = readModels(model, 2);
  const { vocab, exact } = models;
  const count = Math.min(model.get('num_words'), vocab.length);
  const set = setter(model);
  let random = seededRandom(model.get('seed'));
  const question = makeQuestion(model.get('start'), models, () => {
    question.answered = true;
    draw();
  });
  const look = (/** @type {Reading} */ reading) => lookAt(reading, models, question, count);
  let shown = look({ ids: [], pending: [], problem: '' });
  const setText = (/** @type {string} */ prefix) => set({ prefix });
  const spell = (/** @type {number[]} */ ids) => joinWords(ids.map((id) => vocab[id]));
  const append = (/** @type {number} */ word) => setText(spell([...shown.ids, word]));

  const text = wordsInput(MAX_CHARACTERS, setText);
  const undo = button('Undo', () => setText(spell(shown.wrong ? shown.ids : shown.ids.slice(0, -1))), {
    title: 'Take the last word away',
  });
  const restart = button('Start again', () => {
    random = seededRandom(model.get('seed'));
    setText(model.get('start'));
  });
  const heads = modelHeads(vocab, model.get('seed'), (which) => append(sampleFrom(shown[which], random())));
  const rows = wordList(vocab, count, (i) => append(shown.words[i]));
  const controls = line(field('The text so far: press a word above, or type', text.input), undo, restart);
  const parts = [question.node, heads.node, rows.list, rows.rest, controls, text.message];
  const root = frame(el, 'next-token', 'Next-token demo', ...parts);
  root.classList.add('lmw-next');
  const heard = announcer(root);

  function draw() {
    const prefix = model.get('prefix');
    if (text.input.value !== prefix) {
      text.show(prefix);
      text.input.scrollLeft = text.input.scrollWidth;
    }
    const reading = readText(prefix, vocab);
    shown = look(reading);
    const { ids, p, q, words: [best] } = shown;
    rows.draw(shown);
    heads.draw(ids);
    root.classList.toggle('lmw-covered', shown.covered);
    undo.disabled = prefix.trim() === '';
    root.dataset.prefix = spell(ids);
    text.tell(...remark(reading, exact.isPossible(ids)));
    const numbers = `exact ${formatProb(p[best])}, bigram ${formatProb(q[best])}`;
    if (shown.covered) return;
    heard.say(reading.problem || `After “${root.dataset.prefix}”: most likely “${vocab[best]}”, ${numbers}.`);
  }

  return live(root, model, ['prefix'], draw, heard.stop);
}

export default { render };
