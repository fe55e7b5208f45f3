// Byte-pair merges, one by one, on the reader's own sentence. The numbers are those of TokenMerges in Python.
import { unpack } from './core/bytes.js';
import { cutPieces, mergePair } from './core/pieces.js';
import { announcer, button, frame, h, live, newId, plural, setter } from './kit/kit.js';

const PLAY_EVERY = 700; // milliseconds
// ---- The merges ---------------------------------------------------------------------------------------------------------

// What Python sent: `pairs` (M × 2), the counts of bytes and merges of both texts, and the bytes of every token.
export function readMerges(model) {
  const pairs = unpack(model.get('merges'), Uint16Array);
  const counts = (name) => ({
    bytes: unpack(model.get(`${name}_bytes`), Uint32Array),
    merged: unpack(model.get(`${name}_merged`), Uint32Array),
  });
  const size = pairs.length / 2;
  const rank = new Map();
  const spelled = Array.from({ length: 256 }, (_, b) => [b]);
  for (let m = 0; m < size; m++) {
    rank.set(pairs[2 * m] * 65536 + pairs[2 * m + 1], m);
    spelled.push([...spelled[pairs[2 * m]], ...spelled[pairs[2 * m + 1]]]);
  }
  return { pairs, size, rank, spelled, train: counts('train'), held: counts('held') };
}

// The ids of `text` after the first `limit` merges, and the merges that were done, smallest first.
export function mergeText(merges, text, limit) {
  const ids = [];
  const done = new Set();
  for (const piece of cutPieces(text)) {
    let tokens = [...new TextEncoder().encode(piece)];
    for (;;) {
      let best = limit;
      for (let t = 1; t < tokens.length; t++) {
        best = Math.min(best, merges.rank.get(tokens[t - 1] * 65536 + tokens[t]) ?? limit);
      }
      if (best >= limit) break;
      done.add(best);
      tokens = mergePair(tokens, merges.pairs[2 * best], merges.pairs[2 * best + 1], 256 + best);
    }
    ids.push(...tokens);
  }
  return { ids, done: [...done].sort((a, b) => a - b) };
}

// ---- The unigram model, each count one more than it was ------------------------------------------------------------------

// Counts of all tokens of a text after `limit` merges.
export function tokenCounts(merges, { bytes, merged }, limit) {
  const counts = new Float64Array(256 + limit);
  counts.set(bytes);
  for (let m = 0; m < limit; m++) {
    counts[256 + m] = merged[m];
    counts[merges.pairs[2 * m]] -= merged[m];
    counts[merges.pairs[2 * m + 1]] -= merged[m];
  }
  return counts;
}

export function scoreIds(merges, ids, numBytes, limit) {
  const counts = tokenCounts(merges, merges.train, limit);
  const total = counts.reduce((sum, c) => sum + c, 0) + counts.length;
  const bits = ids.reduce((sum, id) => sum + Math.log2(total / (counts[id] + 1)), 0);
  return { tokens: ids.length, perplexity: 2 ** (bits / ids.length), bitsPerByte: bits / numBytes };
}

// The held-out text after 0 … M merges. A merge changes three counts, so each step mends the sum of c′ log(c + 1).
export function scoreHeldOut(merges) {
  const { pairs, size, train, held } = merges;
  const [c, d] = [train, held].map(({ bytes }) => {
    const counts = new Float64Array(256 + size);
    counts.set(bytes);
    return counts;
  });
  let [total, tokens, sum] = [0, 0, 0];
  for (let b = 0; b < 256; b++) {
    total += c[b];
    tokens += d[b];
    sum += d[b] * Math.log2(c[b] + 1);
  }
  const numBytes = tokens;
  const scores = [];
  for (let m = 0; m <= size; m++) {
    const bits = tokens * Math.log2(total + 256 + m) - sum;
    scores.push({ tokens, perplexity: 2 ** (bits / tokens), bitsPerByte: bits / numBytes });
    if (m === size) break;
    const changed = new Set([pairs[2 * m], pairs[2 * m + 1], 256 + m]);
    for (const id of changed) sum -= d[id] * Math.log2(c[id] + 1);
    for (const [counts, times] of [[c, train.merged[m]], [d, held.merged[m]]]) { // prettier-ignore
      counts[pairs[2 * m]] -= times;
      counts[pairs[2 * m + 1]] -= times;
      counts[256 + m] += times;
    }
    for (const id of changed) sum += d[id] * Math.log2(c[id] + 1);
    total -= train.merged[m];
    tokens -= held.merged[m];
  }
  return { scores, numBytes };
}

// ---- The view -----------------------------------------------------------------------------------------------------------

const SIGNS = { ' ': '␣', '\n': '⏎', '\t': '⇥' };

// How a token is written: its text with signs for white space, or its bytes where they are part of a character.
function spell(bytes) {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes));
    return [...text].map((char) => SIGNS[char] ?? (char < ' ' ? `0x${bytes[0].toString(16)}` : char)).join('');
  } catch {
    return bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join(' ');
  }
}

function drawToken(merges, id, isNew) {
  const node = h('li', { class: isNew ? 'lmw-token lmw-new' : 'lmw-token', 'data-token': id });
  node.append(spell(merges.spelled[id]));
  node.style.setProperty('--hue', String((id * 137.508) % 360));
  return node;
}

// A falling or rising line over the number of merges, with a dot at the place where the reader is.
function makePlot(label, values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const last = Math.max(values.length - 1, 1);
  const height = (value) => (high > low ? (high - value) / (high - low) : 0.5);
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 1 1');
  svg.setAttribute('preserveAspectRatio', 'none');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute(
    'd',
    values.map((v, m) => `${m ? 'L' : 'M'}${(m / last).toFixed(4)} ${height(v).toFixed(4)}`).join(''),
  );
  svg.append(path);
  const dot = h('i');
  const box = h('div', { class: 'lmw-plot', role: 'img' }, dot);
  box.prepend(svg);
  const caption = h('p', { class: 'lmw-quiet' });
  const move = (m) => {
    dot.style.setProperty('--x', String(m / last));
    dot.style.setProperty('--y', String(height(values[m])));
    const digits = high >= 100 ? 0 : 2;
    const ends = [0, m, last].map((at) => (values[at] ?? values[0]).toFixed(digits));
    caption.textContent = `${label}: ${ends[0]} without merges, here ${ends[1]}, at the end ${ends[2]}`;
    box.setAttribute('aria-label', `A line over the number of merges. ${caption.textContent}.`);
  };
  return { node: h('div', {}, caption, box), move };
}

function makeTable(heldName) {
  const names = ['tokens', 'bytes-per-token', 'perplexity', 'bits-per-byte'];
  const heads = ['Tokens', 'Bytes per token', 'Perplexity per token', 'Bits per byte'];
  const rows = [['sentence', 'Your sentence'], ['held-out', heldName]]; // prettier-ignore
  const cells = {};
  const body = rows.map(([key, label]) => {
    cells[key] = names.map((name) => h('td', { class: 'lmw-num', 'data-score': `${key}-${name}` }));
    return h('tr', {}, h('th', { scope: 'row' }, label), cells[key]);
  });
  const head = h('tr', {}, h('td'), heads.map((text) => h('th', { scope: 'col' }, text)));
  const node = h('table', {}, h('thead', {}, head), h('tbody', {}, body));
  const write = (key, score, numBytes) => {
    const values = [score.tokens, numBytes / score.tokens, score.perplexity, score.bitsPerByte];
    values.forEach((value, i) => {
      const cell = cells[key][i];
      cell.dataset.value = Number.isFinite(value) ? value : '';
      cell.textContent = Number.isFinite(value) ? value.toFixed([0, 2, 1, 4][i]) : '–';
    });
  };
  return { node, write };
}

function render({ model, el }) {
  const merges = readMerges(model);
  const heldName = model.get('held_name');
  const { scores, numBytes: heldBytes } = scoreHeldOut(merges);
  let done = []; // the merges that change this sentence
  let timer = null;

  const set = setter(model);
  const go = (m) => set({ num_merges: Math.min(Math.max(m, 0), merges.size) });
  const setSentence = (sentence) => set({ sentence });
  const at = () => model.get('num_merges');
  const following = () => done.find((m) => m >= at());
  const step = () => following() !== undefined && go(following() + 1);
  const back = () => go((done.filter((m) => m + 1 < at()).at(-1) ?? -1) + 1);

  const input = h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', maxlength: 300 });
  const restart = button('Start again', () => {
    pause();
    setSentence(model.get('start'));
    go(0);
  });
  const backwards = button('◀ Back', () => (pause(), back()), { title: 'Undo the last merge in this sentence' });
  const forwards = button('Step ▶', () => (pause(), step()), {
    title: 'Go to the next merge that changes this sentence',
  });
  const player = button('Play', () => (timer ? pause() : play()));
  const slider = h('input', { type: 'range', min: 0, max: merges.size, step: 1 });
  const sliderName = h('span');
  const message = h('p', { class: 'lmw-message' });
  const list = h('ol', { 'aria-label': 'The tokens of your sentence', tabindex: 0 });
  const table = makeTable(heldName);
  const plots = [
    makePlot(`${heldName}, perplexity per token`, scores.map((s) => s.perplexity)),
    makePlot(`${heldName}, bits per byte`, scores.map((s) => s.bitsPerByte)),
  ];
  const note = h(
    'p',
    { class: 'lmw-quiet', id: newId('note') },
    'Both numbers come from one model, a unigram: a token is as probable as it is frequent in the training text (each count plus one).',
  );
  const root = frame(
    el,
    'token-merges',
    'Byte-pair merges',
    h('div', { class: 'lmw-line' }, h('label', { class: 'lmw-field' }, h('span', {}, 'Your sentence'), input)),
    h('div', { class: 'lmw-line' }, backwards, forwards, player, restart),
    h('label', { class: 'lmw-field' }, sliderName, slider),
    list,
    message,
    table.node,
    h('div', { class: 'lmw-charts' }, plots.map((plot) => plot.node)),
    note,
  );
  root.classList.add('lmw-merges');
  const heard = announcer(root);

  function play() {
    if (following() === undefined) go(0);
    timer = setInterval(() => (following() === undefined ? pause() : step()), PLAY_EVERY);
    player.textContent = 'Pause';
  }

  function pause() {
    clearInterval(timer);
    timer = null;
    player.textContent = 'Play';
  }

  function describe(ids) {
    const m = at() - 1;
    const after = following();
    const next = after === undefined
      ? 'No later merge changes it.'
      : `The next one that changes it is merge ${after + 1}.`;
    if (m < 0) return `Bytes, no merges yet. ${next}`;
    const [left, right] = [merges.pairs[2 * m], merges.pairs[2 * m + 1]].map((id) => spell(merges.spelled[id]));
    const here = ids.filter((id) => id === 256 + m).length;
    const training = merges.train.merged[m].toLocaleString('en');
    return `Merge ${m + 1}: “${left}” and “${right}” become “${
      spell(merges.spelled[256 + m])
    }”, ${training} times in the training text, ${here} here. ${next}`;
  }

  function draw() {
    const limit = at();
    const text = model.get('sentence');
    if (input.value !== text) input.value = text;
    done = mergeText(merges, text, merges.size).done;
    const { ids } = mergeText(merges, text, limit);
    const numBytes = new TextEncoder().encode(text).length;
    const score = scoreIds(merges, ids, numBytes, limit);
    list.replaceChildren(...ids.map((id) => drawToken(merges, id, id === 255 + limit && limit > 0)));
    slider.value = limit;
    sliderName.textContent = `Merges done: ${limit} of ${merges.size}, so ${256 + limit} tokens in the vocabulary`;
    slider.setAttribute('aria-valuetext', `${plural(limit, 'merge')}, ${plural(ids.length, 'token')}`);
    message.textContent = ids.length ? describe(ids) : 'Write something above: any script, any sign.';
    table.write('sentence', score, numBytes);
    table.write('held-out', scores[limit], heldBytes);
    plots.forEach((plot) => plot.move(limit));
    backwards.setAttribute('aria-disabled', String(limit === 0)); // not `disabled`, which would drop the focus
    forwards.setAttribute('aria-disabled', String(following() === undefined));
    player.disabled = done.length === 0;
    root.dataset.merges = limit;
    const result = ids.length ? `${plural(ids.length, 'token')}, ${score.bitsPerByte.toFixed(2)} bits per byte.` : '';
    heard.say(`${result} ${message.textContent}`);
  }

  input.addEventListener('input', () => (pause(), setSentence(input.value)));
  slider.addEventListener('input', () => (pause(), go(Number(slider.value))));
  return live(root, model, ['sentence', 'num_merges'], draw, heard.stop, pause);
}

export default { render };
