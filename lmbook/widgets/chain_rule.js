// The chain-rule explorer: P(sentence) as a product of factors, exact and by n-grams, and where and why they part.
import { explain, factorise, runningLogs, widestGap } from './factors.js';
import { readModels } from './core/toy_models.js';
import { joinWords, nearestWord, splitWords } from './core/words.js';
import {
  announcer,
  button,
  formatLog,
  formatProb,
  frame,
  h,
  live,
  newId,
  readText,
  roving,
  segments,
  setBar,
} from './kit/kit.js';

const MAX_ORDER = 5;

function makeTable(unitHead) {
  const body = h('tbody');
  const foot = h('tfoot');
  const head = h(
    'thead',
    {},
    h(
      'tr',
      {},
      h('th', { scope: 'col' }, 'Word'),
      h('th', { scope: 'col', colspan: 2 }, 'P(word | words before)'),
      unitHead,
    ),
  );
  return { body, foot, node: h('table', {}, head, body, foot) };
}

const pair = (a, b, colspan = 1) => h('td', { class: 'lmw-num', colspan }, h('span', {}, a), h('span', {}, b));

function render({ model, el }) {
  const models = readModels(model, MAX_ORDER);
  const { vocab, exact } = models;
  let ids = [];
  let wrong = false;
  let selected = null; // a place in the sentence; null: where the gap is widest

  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const setWords = (words) => set('sentence', joinWords(words.map((id) => vocab[id])));
  const messageId = newId('message');
  const presets = model.get('presets');
  const choice = h(
    'select',
    { onchange: () => choice.value && set('sentence', choice.value) },
    h('option', { value: '' }, 'your own'),
    presets.map((text) => h('option', { value: text }, text)),
  );
  const input = h('input', {
    type: 'text',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    maxlength: 400,
    'aria-describedby': messageId,
    oninput: () => set('sentence', input.value),
  });
  const message = h('p', { class: 'lmw-message', id: messageId });
  const undo = button('Undo', () => setWords(wrong ? ids : ids.slice(0, -1)), {
    title: 'Take the last word away',
  });
  const clear = button('Clear', () => set('sentence', ''));
  const totals = Array.from({ length: MAX_ORDER }, () => h('small'));
  const orders = segments(
    'Beside the exact language: n-gram, with its log P(sentence)',
    totals.map((total, i) => [i + 1, `${i + 1}-gram`, total]),
    (n) => set('order', n),
  );
  const units = segments(
    'Unit',
    [
      ['nats', 'nats'],
      ['bits', 'bits'],
    ],
    (unit) => set('unit', unit),
  );
  const nextWords = h('div', {
    class: 'lmw-next-words',
    role: 'group',
    'aria-label': 'Likely next words; press one to add it',
  });
  const unitHead = h('th', { scope: 'col', class: 'lmw-num' });
  const table = makeTable(unitHead);
  const why = h('p', { class: 'lmw-why' });
  const key = h(
    'p',
    { class: 'lmw-quiet' },
    'Bars and numbers: ',
    h('span', { class: 'lmw-exact' }, 'exact'),
    ' above, ',
    h('span', { class: 'lmw-other' }, 'n-gram'),
    ' below. ◂ marks the widest gap; press a word for its reason. The n-grams read a full stop before the first word, because in their text a sentence follows another.',
  );

  const root = frame(
    el,
    'chain-rule',
    'Chain-rule explorer',
    h(
      'div',
      { class: 'lmw-line' },
      h('label', { class: 'lmw-field' }, h('span', {}, 'A sentence to try'), choice),
    ),
    h(
      'div',
      { class: 'lmw-line' },
      h('label', { class: 'lmw-field' }, h('span', {}, 'or type your own'), input),
      undo,
      clear,
    ),
    message,
    nextWords,
    h('div', { class: 'lmw-line' }, orders.node, units.node),
    table.node,
    why,
    key,
  );
  root.classList.add('lmw-chain');
  const heard = announcer(root);

  // All lists keep their buttons as long as they can: the reader's keyboard focus sits on one of them.
  const chips = Array.from({ length: 6 }, (_, i) => button('', () => setWords([...ids, Number(chips[i].dataset.id)])));
  nextWords.append(h('span', { class: 'lmw-quiet' }, 'Add:'), ...chips);
  const refreshChips = roving(nextWords);
  const refreshRows = roving(table.body);

  function drawChips() {
    const p = exact.dist(ids);
    const best = Array.from(p, (_, w) => w)
      .filter((w) => p[w] > 0)
      .sort((a, b) => p[b] - p[a] || a - b);
    const open = exact.isPossible(ids);
    nextWords.hidden = !open;
    chips.forEach((chip, i) => {
      chip.hidden = !open || i >= best.length;
      if (chip.hidden) return;
      chip.textContent = vocab[best[i]];
      chip.dataset.id = best[i];
    });
    refreshChips();
  }

  function drawRows(factors, logs, scale, gap) {
    const focused = [...table.body.querySelectorAll('button')].indexOf(document.activeElement);
    const longest = Math.max(...factors.map(({ p, q }) => Math.max(p, q)), 0);
    const rows = factors.map(({ word, p, q, defined }, t) => {
      const select = h(
        'button',
        {
          type: 'button',
          class: 'lmw-word',
          'aria-pressed': String(t === selected),
          onclick: () => {
            selected = t;
            draw();
          },
        },
        vocab[word],
      );
      const bars = [h('span', { class: 'lmw-bar' }), h('span', { class: 'lmw-bar lmw-of-other' })];
      setBar(bars[0], p / longest);
      setBar(bars[1], q / longest);
      const row = h(
        'tr',
        {
          'data-word': vocab[word],
          'data-exact': p,
          'data-ngram': q,
          'data-exact-log': logs[t].exact,
          'data-ngram-log': logs[t].ngram,
          'data-widest': t === gap,
          'data-selected': t === (selected ?? gap),
        },
        h('th', { scope: 'row' }, select),
        h('td', { class: 'lmw-bars', 'aria-hidden': 'true' }, bars),
        pair(formatProb(p), formatProb(q)),
        pair(formatLog(logs[t].exact * scale), formatLog(logs[t].ngram * scale)),
      );
      row.classList.toggle('lmw-undefined', !defined);
      return row;
    });
    table.body.replaceChildren(...rows);
    const buttons = rows.map((row) => row.querySelector('button'));
    refreshRows();
    if (focused >= 0) buttons[Math.min(focused, buttons.length - 1)]?.focus();
  }

  function drawTotals(logs, scale, order) {
    const total = logs.at(-1) ?? { exact: 0, ngram: 0 };
    const perWord = (log) => (ids.length ? Math.exp(-log / ids.length) : 1);
    const write = (x) => (x === Infinity ? '∞' : x.toFixed(4));
    table.foot.replaceChildren(
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
        pair(write(perWord(total.exact)), write(perWord(total.ngram))),
      ),
    );
    for (let n = 1; n <= MAX_ORDER; n++) {
      const log = n === order ? total.ngram : (runningLogs(factorise(models, ids, n)).at(-1)?.ngram ?? 0);
      totals[n - 1].textContent = formatLog(log * scale, 2);
      totals[n - 1].dataset.total = log;
    }
    root.dataset.exactTotal = total.exact;
    root.dataset.ngramTotal = total.ngram;
  }

  function drawWhy(gap, order) {
    const t = selected ?? gap;
    if (!ids.length) why.textContent = 'Add a word, or choose a sentence.';
    else if (t < 0) why.textContent = `The exact language and the ${order}-gram agree within 10 % at every word.`;
    else why.textContent = (t === gap ? 'The widest gap is at ' : '') + explain(models, ids, t, order);
    heard.say(why.textContent);
  }

  function draw() {
    const text = model.get('sentence');
    if (input.value !== text) input.value = text;
    choice.value = presets.includes(text) ? text : '';
    const reading = readText(text, vocab, { splitWords, nearestWord });
    if (reading.ids.join() !== ids.join()) selected = null;
    ids = reading.ids;
    wrong = Boolean(reading.problem || reading.pending.length);
    const [order, unit] = [model.get('order'), model.get('unit')];
    const scale = unit === 'bits' ? 1 / Math.LN2 : 1;
    orders.select(order);
    units.select(unit);
    unitHead.textContent = `log P so far, ${unit}`;
    undo.disabled = clear.disabled = text === '';
    message.textContent = reading.problem ||
      (reading.pending.length ? `… ${reading.pending.slice(0, 6).join(', ')}` : '');
    message.classList.toggle('lmw-wrong', Boolean(reading.problem));
    const factors = factorise(models, ids, order);
    const logs = runningLogs(factors);
    const gap = widestGap(factors);
    drawChips();
    drawRows(factors, logs, scale, gap);
    drawTotals(logs, scale, order);
    drawWhy(gap, order);
    if (reading.problem) heard.say(reading.problem);
  }

  return live(root, model, ['sentence', 'order', 'unit'], draw, heard.stop);
}

export default { render };
