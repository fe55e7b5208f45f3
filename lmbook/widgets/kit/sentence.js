// What the widgets that run a trained model share: a sentence to write and its words in a row, answers side by side.
import { nearestWord, splitWords } from '../core/words.js';
import { formatLog, h, newId, readText, roving, setBar } from './kit.js';

// h for pictures.
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.flat());
  return node;
}

// A field for a sentence of the language with a line below it that says what is wrong. `read(text)` gives {ids, wrong}:
// ids null where there is nothing that a model of `room` words could be asked about; `advice` stands where all is well.
export function sentenceField({ vocab, exact, room, empty, advice, oninput }) {
  const message = h('p', { class: 'lmw-message', id: newId('message') });
  const input = h('input', {
    type: 'text',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    maxlength: 300,
    'aria-describedby': message.id,
    oninput: () => oninput(input.value),
  });
  function read(text) {
    if (input.value !== text) input.value = text;
    const { ids, pending, problem } = readText(text, vocab, { splitWords, nearestWord });
    const long = ids.length > room ? `The model is shown at most ${room} words here; these are ${ids.length}.` : '';
    const wrong = problem || long || (ids.length || pending.length ? '' : empty);
    const never = exact.isPossible(ids) ? '' : 'This language can’t produce these words (P = 0).';
    const hint = pending.length ? `… ${pending.slice(0, 6).join(', ')}` : '';
    message.textContent = wrong || hint || never || advice;
    message.classList.toggle('lmw-wrong', Boolean(wrong || never));
    return { ids: ids.length && !long ? ids : null, wrong };
  }
  const node = h('label', { class: 'lmw-field' }, h('span', {}, 'Your sentence'), input);
  return { node, message, read };
}

// The words of a text, each a button with columns above it (one for each of `kinds`: exact, other, model) and numbers
// below. `write` changes what is there instead of making it anew: the focus stays, and columns move.
export function wordRow(label, kinds, onpick) {
  const node = h('ol', { class: 'lmw-words', 'aria-label': label });
  const refresh = roving(node);
  const places = [];
  function grow() {
    const i = places.length;
    const columns = kinds.map((kind) => h('i', { class: `lmw-of-${kind}` }));
    const [word, number] = [h('b'), h('small')];
    const chart = kinds.length ? [h('span', { class: 'lmw-columns' }, columns)] : [];
    const place = h('button', { type: 'button', class: 'lmw-place', onclick: () => onpick(i) }, chart, word, number);
    node.append(h('li', {}, place));
    places.push({ place, columns, word, number });
  }
  // Items: {word, say, number, shares, pressed, current, look}; `say` is what a screen reader hears.
  function write(items) {
    while (places.length > items.length) places.pop().place.parentNode.remove();
    while (places.length < items.length) grow();
    items.forEach((item, i) => {
      const { place, columns, word, number } = places[i];
      place.className = `lmw-place ${item.look ?? ''}`;
      place.setAttribute('aria-pressed', String(Boolean(item.pressed)));
      place.setAttribute('aria-label', item.say);
      word.textContent = item.word;
      number.textContent = item.number ?? '';
      columns.forEach((column, k) => setBar(column, item.shares?.[k] ?? 0));
    });
    refresh();
    // Whoever tabs into the row comes to the word that is chosen.
    const current = items.findIndex((item) => item.current);
    if (current < 0 || node.matches(':focus-within')) return;
    places.forEach(({ place }, i) => (place.tabIndex = i === current ? 0 : -1));
  }
  return { node, write, buttons: () => places.map(({ place }) => place) };
}

// The words worth a line: the likeliest under any of `dists`, with `always` among them; the first of `dists` says in
// which order they stand.
export function likeliest(dists, count, always = -1) {
  const height = (w) => (w === always ? 2 : Math.max(...dists.map((dist) => dist[w])));
  const all = Array.from(dists[0], (_, w) => w).sort((a, b) => height(b) - height(a) || a - b);
  return all.slice(0, count).sort((a, b) => dists[0][b] - dists[0][a] || height(b) - height(a) || a - b);
}

// A table of answers: a line for each word, and for each of `columns` ([key, kind, name]) a bar and a number; below,
// what all other words have together, and `footers` lines of numbers.
export function comparison(label, columns, count, footers = 0) {
  const notes = columns.map(() => h('small'));
  const title = h('th', { scope: 'col' }, label);
  const heads = columns.map(([, kind, name], k) =>
    h('th', { scope: 'col' }, h('span', { class: `lmw-${kind}` }, name), notes[k])
  );
  const makeLine = (withBars, attributes) => {
    const word = h('th', { scope: 'row' });
    const cells = columns.map(([, kind]) => {
      const bar = h('span', { class: `lmw-bar lmw-of-${kind}`, 'aria-hidden': 'true' });
      const number = h('span', { class: 'lmw-num' });
      return { bar, number, node: h('td', {}, h('span', { class: 'lmw-pair' }, withBars ? bar : [], number)) };
    });
    return { word, cells, node: h('tr', attributes, word, cells.map((cell) => cell.node)) };
  };
  const lines = Array.from({ length: count }, () => makeLine(true, {}));
  const rest = makeLine(false, { class: 'lmw-rest' });
  const feet = Array.from({ length: footers }, () => makeLine(false, { class: 'lmw-foot' }));
  const body = h('tbody', {}, [...lines, rest].map((line) => line.node));
  const foot = footers ? [h('tfoot', {}, feet.map((line) => line.node))] : [];
  const table = h('table', { class: 'lmw-compare' }, h('thead', {}, h('tr', {}, title, heads)), body, foot);

  const fill = (line, name, values, scale) => {
    line.word.textContent = name;
    values.forEach((value, k) => {
      setBar(line.cells[k].bar, value / scale);
      line.cells[k].number.textContent = value === 0 || value === 1 ? String(value) : value.toFixed(4);
      line.node.dataset[columns[k][0]] = value;
    });
  };
  // `dists` stand in the order of the columns; `chosen` are the words to show, `truth` the one that is marked.
  function draw(vocab, dists, chosen, truth = -1) {
    const scale = Math.max(...chosen.map((w) => Math.max(...dists.map((dist) => dist[w]))));
    lines.forEach((line, i) => {
      const w = chosen[i];
      line.node.hidden = w === undefined;
      if (w === undefined) return;
      fill(line, w === truth ? `${vocab[w]} ◂` : vocab[w], dists.map((dist) => dist[w]), scale);
      line.node.dataset.word = vocab[w];
      line.node.classList.toggle('lmw-truth', w === truth);
    });
    const left = dists.map((dist) => dist.reduce((sum, p, w) => (chosen.includes(w) ? sum : sum + p), 0));
    fill(rest, `${vocab.length - chosen.length} others`, left, scale);
  }
  function writeFoot(i, name, values, digits = 4) {
    feet[i].word.textContent = name;
    values.forEach((value, k) => {
      feet[i].cells[k].number.textContent = value === null ? '–' : formatLog(value, digits);
      feet[i].node.dataset[columns[k][0]] = value ?? '';
    });
  }
  return { node: table, title, notes, draw, writeFoot };
}
