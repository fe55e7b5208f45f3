// The chain-rule explorer: P(sentence) as a product of factors, exact and by n-grams, and where and why they differ.
import { explain, factorise, runningLogs, widestGap } from './chain_rule_factors.js';
import { readModels } from './core/toy_models.js';
import { joinWords } from './core/words.js';
import {
  announcer,
  button,
  field,
  formatLog,
  formatProb,
  frame,
  h,
  headings,
  line,
  live,
  quiet,
  roving,
  segments,
  setBar,
  setter,
} from './kit/kit.js';
import { hintOf, presetPicker, readText, wordsInput } from './kit/text_field.js';

/** @import { Factor, Logs } from './chain_rule_factors.js' */
/** @import { Automaton } from './core/toy_language.js' */
/** @import { ToyModels } from './core/toy_models.js' */
/** @import { Drawn } from './kit/kit.js' */

const MAX_ORDER = 5;
const MAX_CHARACTERS = 400;
const NEXT_WORDS = 6; // that are offered

/**
 * A cell of the table with the exact number above the n-gram's.
 * @param {string} a
 * @param {string} b
 * @param {number} [colspan]
 */
const pair = (a, b, colspan = 1) => h('td', { class: 'lmw-num', colspan }, h('span', {}, a), h('span', {}, b));

/**
 * Buttons for the likeliest next words. The buttons are kept and relabelled, so that the one with the focus keeps it.
 * @param {string[]} vocab
 * @param {(word: number) => void} append
 */
function nextWords(vocab, append) {
  const chips = Array.from({ length: NEXT_WORDS }, (_, i) => button('', () => append(Number(chips[i].dataset.id))));
  const node = h(
    'div',
    { class: 'lmw-next-words', role: 'group', 'aria-label': 'Likely next words; press one to add it' },
    h('span', { class: 'lmw-quiet' }, 'Add:'),
    ...chips,
  );
  const refresh = roving(node);
  /**
   * @param {Automaton} exact
   * @param {number[]} ids
   */
  function draw(exact, ids) {
    const p = exact.dist(ids);
    const best = Array.from(p, (_, w) => w)
      .filter((w) => p[w] > 0)
      .sort((a, b) => p[b] - p[a] || a - b);
    const open = exact.isPossible(ids);
    node.hidden = !open;
    chips.forEach((chip, i) => {
      chip.hidden = !open || i >= best.length;
      if (chip.hidden) return;
      chip.textContent = vocab[best[i]];
      chip.dataset.id = String(best[i]);
    });
    refresh();
  }
  return { node, draw };
}

/**
 * A line of the table: a word and its factors; `longest` is the largest factor, whose bar has the full length.
 * @param {string} word
 * @param {Factor} factor
 * @param {Logs} logs up to and with this word
 * @param {{ longest: number, scale: number, pressed: boolean, widest: boolean, selected: boolean }} look
 * @param {() => void} onclick
 */
function factorRow(word, { p, q, defined }, logs, { longest, scale, pressed, widest, selected }, onclick) {
  const attributes = { type: 'button', class: 'lmw-word', 'aria-pressed': String(pressed), onclick };
  const bars = [h('span', { class: 'lmw-bar' }), h('span', { class: 'lmw-bar lmw-of-other' })];
  setBar(bars[0], p / longest);
  setBar(bars[1], q / longest);
  const row = h(
    'tr',
    {
      'data-word': word,
      'data-exact': p,
      'data-ngram': q,
      'data-exact-log': logs.exact,
      'data-ngram-log': logs.ngram,
      'data-widest': widest,
      'data-selected': selected,
    },
    h('th', { scope: 'row' }, h('button', attributes, word)),
    h('td', { class: 'lmw-bars', 'aria-hidden': 'true' }, bars),
    pair(formatProb(p), formatProb(q)),
    pair(formatLog(logs.exact * scale), formatLog(logs.ngram * scale)),
  );
  row.classList.toggle('lmw-undefined', !defined);
  return row;
}

/**
 * The last two lines: the product of all factors, and the perplexity per word.
 * @param {Logs} total
 * @param {number} count words
 * @param {number} scale
 */
function totalRows(total, count, scale) {
  /** @param {number} log */
  const perplexity = (log) => {
    const x = count ? Math.exp(-log / count) : 1;
    return x === Infinity ? '∞' : x.toFixed(4);
  };
  return [
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, 'Product'),
      pair(formatProb(Math.exp(total.exact)), formatProb(Math.exp(total.ngram)), 2),
      pair(formatLog(total.exact * scale), formatLog(total.ngram * scale)),
    ),
    h(
      'tr',
      {},
      h('th', { scope: 'row', colspan: 3 }, 'Perplexity per word'),
      pair(perplexity(total.exact), perplexity(total.ngram)),
    ),
  ];
}

/**
 * @typedef {object} Shown what the table shows
 * @property {Factor[]} factors
 * @property {Logs[]} logs
 * @property {Logs} total
 * @property {string} unit
 * @property {number} scale units of a nat
 * @property {number | null} selected the place that the reader has chosen
 * @property {number} gap the place where exact and n-gram differ most
 */

/**
 * The sentence factor by factor.
 * @param {string[]} vocab
 * @param {(place: number) => void} onselect
 */
function factorTable(vocab, onselect) {
  const [body, foot] = [h('tbody'), h('tfoot')];
  const unitHead = h('th', { scope: 'col', class: 'lmw-num' });
  const wide = h('th', { scope: 'col', colspan: 2 }, 'P(word | words before)');
  const node = h('table', {}, headings('Word', wide, unitHead), body, foot);
  const refresh = roving(body);
  const buttons = () => [...body.querySelectorAll('button')];
  /** @param {Shown} shown */
  function draw({ factors, logs, total, unit, scale, selected, gap }) {
    const focused = buttons().findIndex((one) => one === document.activeElement);
    const longest = Math.max(...factors.map(({ p, q }) => Math.max(p, q)), 0);
    unitHead.textContent = `log P so far, ${unit}`;
    body.replaceChildren(...factors.map((factor, t) => {
      const look = { longest, scale, pressed: t === selected, widest: t === gap, selected: t === (selected ?? gap) };
      return factorRow(vocab[factor.word], factor, logs[t], look, () => onselect(t));
    }));
    foot.replaceChildren(...totalRows(total, factors.length, scale));
    refresh();
    if (focused >= 0) buttons()[Math.min(focused, factors.length - 1)]?.focus();
  }
  return { node, draw };
}

/**
 * The choice of the n-gram's order, with each order's log P of the sentence.
 * @param {ToyModels} models
 * @param {(order: number) => void} onchange
 */
function orderChoice(models, onchange) {
  const totals = Array.from({ length: MAX_ORDER }, () => h('small'));
  const { node, select } = segments(
    'Beside the exact language: n-gram, with its log P(sentence)',
    totals.map((total, i) => [i + 1, `${i + 1}-gram`, total]),
    onchange,
  );
  /**
   * @param {number[]} ids
   * @param {number} order
   * @param {number} scale
   */
  function draw(ids, order, scale) {
    select(order);
    totals.forEach((total, i) => {
      const log = runningLogs(factorise(models, ids, i + 1)).at(-1)?.ngram ?? 0;
      total.textContent = formatLog(log * scale, 2);
      total.dataset.total = String(log);
    });
  }
  return { node, draw };
}

/**
 * @param {ToyModels} models
 * @param {number[]} ids
 * @param {number} order
 * @param {{ selected: number | null, gap: number }} place
 */
function reasonFor(models, ids, order, { selected, gap }) {
  const t = selected ?? gap;
  if (!ids.length) return 'Add a word, or choose a sentence.';
  if (t < 0) return `The exact language and the ${order}-gram agree within 10 % at every word.`;
  return (t === gap ? 'The widest gap is at ' : '') + explain(models, ids, t, order);
}

function legend() {
  return quiet(
    'Bars and numbers: ',
    h('span', { class: 'lmw-exact' }, 'exact'),
    ' above, ',
    h('span', { class: 'lmw-other' }, 'n-gram'),
    ' below. ◂ marks the widest gap; press a word for its reason. The n-grams read a full stop before the first word, because in their text a sentence follows another.',
  );
}

/**
 * The controls of the sentence: sentences to pick from, a field, and two buttons that take words away.
 * @param {string[]} vocab
 * @param {string[]} sentences
 * @param {(sentence: string) => void} setText
 */
function writer(vocab, sentences, setText) {
  let reading = readText('', vocab);
  const presets = presetPicker(sentences, setText);
  const text = wordsInput(MAX_CHARACTERS, setText);
  /** @param {number[]} words */
  const setWords = (words) => setText(joinWords(words.map((id) => vocab[id])));
  const undo = button('Undo', () => {
    const { ids, pending, problem } = reading;
    setWords(problem || pending.length ? ids : ids.slice(0, -1));
  }, { title: 'Take the last word away' });
  const clear = button('Clear', () => setText(''));
  /** @param {string} sentence */
  function read(sentence) {
    reading = readText(sentence, vocab);
    text.show(sentence);
    text.tell(reading.problem || hintOf(reading.pending), Boolean(reading.problem));
    presets.show(sentence);
    undo.disabled = clear.disabled = sentence === '';
    return reading;
  }
  const nodes = [
    line(field('A sentence to try', presets.node)),
    line(field('or type your own', text.input), undo, clear),
    text.message,
  ];
  return { nodes, read, append: (/** @type {number} */ word) => setWords([...reading.ids, word]) };
}

/** @param {Drawn} widget */
function render({ model, el }) {
  const models = readModels(model, MAX_ORDER);
  const { vocab, exact } = models;
  const set = setter(model);
  /** @type {number[]} */
  let ids = [];
  /** @type {number | null} */
  let selected = null; // a place in the sentence; null: that of the widest gap

  const sentence = writer(vocab, model.get('presets'), (text) => set({ sentence: text }));
  const chips = nextWords(vocab, sentence.append);
  const orders = orderChoice(models, (order) => set({ order }));
  const units = segments('Unit', [['nats', 'nats'], ['bits', 'bits']], (unit) => set({ unit }));
  const table = factorTable(vocab, (t) => {
    selected = t;
    draw();
  });
  const why = h('p', { class: 'lmw-why' });
  const root = frame(
    el,
    'chain-rule',
    'Chain-rule explorer',
    sentence.nodes,
    chips.node,
    line(orders.node, units.node),
    table.node,
    why,
    legend(),
  );
  root.classList.add('lmw-chain');
  const heard = announcer(root);

  function draw() {
    const reading = sentence.read(model.get('sentence'));
    if (reading.ids.join() !== ids.join()) selected = null;
    ids = reading.ids;
    const [order, unit] = [model.get('order'), model.get('unit')];
    const scale = unit === 'bits' ? 1 / Math.LN2 : 1;
    const factors = factorise(models, ids, order);
    const logs = runningLogs(factors);
    const total = logs.at(-1) ?? { exact: 0, ngram: 0 };
    const gap = widestGap(factors);
    units.select(unit);
    orders.draw(ids, order, scale);
    chips.draw(exact, ids);
    table.draw({ factors, logs, total, unit, scale, selected, gap });
    why.textContent = reasonFor(models, ids, order, { selected, gap });
    Object.assign(root.dataset, { exactTotal: total.exact, ngramTotal: total.ngram });
    heard.say(reading.problem || why.textContent);
  }

  return live(root, model, ['sentence', 'order', 'unit'], draw, heard.stop);
}

export default { render };
