// Byte-pair merges, one by one, on the reader's own sentence.
import {
  announcer,
  button,
  field,
  frame,
  h,
  headings,
  line,
  live,
  newId,
  player,
  plural,
  quiet,
  setter,
  slider,
  svg,
} from './kit/kit.js';
import { textInput } from './kit/text_field.js';
import { mergeText, readMerges, scoreHeldOut, scoreIds } from './token_merges_scores.js';

/** @import { Drawn, WidgetModel } from './kit/kit.js' */
/** @import { MergeList, Merges, Score } from './token_merges_scores.js' */

const PLAY_EVERY = 700; // milliseconds

/**
 * Where the reader is: the sentence's ids after `limit` merges, and the `next` merge that changes it, if any.
 * @typedef {{ text: string, limit: number, ids: number[], numBytes: number, isStill: boolean, next?: number }} Shown
 */

/** @type {Record<string, string>} */
const SIGNS = { ' ': '␣', '\n': '⏎', '\t': '⇥' };

/**
 * A token as it is shown: its text with signs for white space, or its bytes if they are part of a character.
 * @param {number[]} bytes
 */
function spell(bytes) {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes));
    return [...text].map((char) => SIGNS[char] ?? (char < ' ' ? `0x${bytes[0].toString(16)}` : char)).join('');
  } catch {
    return bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join(' ');
  }
}

/**
 * @param {MergeList} merges
 * @param {number} id
 * @param {boolean} isNew
 */
function drawToken(merges, id, isNew) {
  const node = h('li', { class: isNew ? 'lmw-token lmw-new' : 'lmw-token', 'data-token': id });
  node.append(spell(merges.spelled[id]));
  node.style.setProperty('--hue', String((id * 137.508) % 360));
  return node;
}

/**
 * A line over the number of merges, with a dot at the number that is chosen.
 * @param {string} label
 * @param {number[]} values
 */
function makePlot(label, values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const last = Math.max(values.length - 1, 1);
  const height = (/** @type {number} */ value) => (high > low ? (high - value) / (high - low) : 0.5);
  const curve = values.map((v, m) => `${m ? 'L' : 'M'}${(m / last).toFixed(4)} ${height(v).toFixed(4)}`).join('');
  const picture = svg('svg', { viewBox: '0 0 1 1', preserveAspectRatio: 'none' }, svg('path', { d: curve }));
  const dot = h('i');
  const box = h('div', { class: 'lmw-plot', role: 'img' }, picture, dot);
  const caption = quiet();
  /** @param {number} m */
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

/** @param {string} heldName */
function makeTable(heldName) {
  const names = ['tokens', 'bytes-per-token', 'perplexity', 'bits-per-byte'];
  const heads = ['Tokens', 'Bytes per token', 'Perplexity per token', 'Bits per byte'];
  const rows = [['sentence', 'Your sentence'], ['held-out', heldName]];
  /** @type {Record<string, HTMLTableCellElement[]>} */
  const cells = {};
  const body = rows.map(([key, label]) => {
    cells[key] = names.map((name) => h('td', { class: 'lmw-num', 'data-score': `${key}-${name}` }));
    return h('tr', {}, h('th', { scope: 'row' }, label), cells[key]);
  });
  const node = h('table', {}, headings(h('td'), ...heads), h('tbody', {}, body));
  /**
   * @param {'sentence' | 'held-out'} key
   * @param {Score} score
   * @param {number} numBytes
   */
  const write = (key, score, numBytes) => {
    const values = [score.tokens, numBytes / score.tokens, score.perplexity, score.bitsPerByte];
    values.forEach((value, i) => {
      const cell = cells[key][i];
      cell.dataset.value = Number.isFinite(value) ? String(value) : '';
      cell.textContent = Number.isFinite(value) ? value.toFixed([0, 2, 1, 4][i]) : '–';
    });
  };
  return { node, write };
}

/**
 * The table of scores, the two lines below it, and a note about the model.
 * @param {Merges} merges
 * @param {string} heldName
 */
function makeScores(merges, heldName) {
  const { scores, numBytes: heldBytes } = scoreHeldOut(merges);
  const table = makeTable(heldName);
  const plots = [
    makePlot(`${heldName}, perplexity per token`, scores.map((s) => s.perplexity)),
    makePlot(`${heldName}, bits per byte`, scores.map((s) => s.bitsPerByte)),
  ];
  const charts = h('div', { class: 'lmw-charts' }, plots.map((plot) => plot.node));
  const note = quiet(
    'Both numbers come from one model, a unigram: a token is as probable as it is frequent in the training text (each count plus one).',
  );
  note.id = newId('note');
  /**
   * @param {Score} score of the sentence
   * @param {Shown} shown
   */
  function draw(score, { limit, numBytes }) {
    table.write('sentence', score, numBytes);
    table.write('held-out', scores[limit], heldBytes);
    plots.forEach((plot) => plot.move(limit));
  }
  return { nodes: [table.node, charts, note], draw };
}

/**
 * Moves between the merges that change the sentence. `look` tells where the reader is; the others move.
 * @param {WidgetModel} model
 * @param {Merges} merges
 */
function mergeWalk(model, merges) {
  const set = setter(model);
  /** @type {number[]} */
  let done = []; // the merges that change this sentence
  /** @type {() => number} */
  const at = () => model.get('num_merges');
  const following = () => done.find((m) => m >= at());
  /** @param {number} m */
  const go = (m) => set({ num_merges: Math.min(Math.max(m, 0), merges.size) });
  /** @param {string} sentence */
  const write = (sentence) => set({ sentence });

  /** @returns {Shown} */
  function look() {
    /** @type {string} */
    const text = model.get('sentence');
    const limit = at();
    done = mergeText(merges, text, merges.size).done;
    const { ids } = mergeText(merges, text, limit);
    const numBytes = new TextEncoder().encode(text).length;
    return { text, limit, ids, numBytes, isStill: done.length === 0, next: following() };
  }
  /** Returns false where no later merge changes the sentence. */
  function step() {
    const next = following();
    if (next === undefined) return false;
    go(next + 1);
    return true;
  }
  const back = () => go((done.filter((m) => m + 1 < at()).at(-1) ?? -1) + 1);
  /** Back to the start, if no later merge changes the sentence. */
  const rewind = () => following() === undefined && go(0);
  function restart() {
    write(model.get('start'));
    go(0);
  }
  return { look, go, write, step, back, rewind, restart };
}

/**
 * The field, the buttons and the slider. Using any of them stops Play.
 * @param {ReturnType<typeof mergeWalk>} walk
 * @param {number} size the number of merges
 */
function makeControls(walk, size) {
  const play = player(['Play', 'Pause'], { begin: walk.rewind, tick: walk.step, every: () => PLAY_EVERY });
  const input = textInput(300, (text) => (play.stop(), walk.write(text)));
  const backwards = button('◀ Back', () => (play.stop(), walk.back()), {
    title: 'Undo the last merge in this sentence',
  });
  const forwards = button('Step ▶', () => (play.stop(), walk.step()), {
    title: 'Go to the next merge that changes this sentence',
  });
  const restart = button('Start again', () => (play.stop(), walk.restart()));
  const name = h('span');
  const place = slider([0, size, 1], (m) => (play.stop(), walk.go(m)));
  const nodes = [
    line(field('Your sentence', input)),
    line(backwards, forwards, play.node, restart),
    field(name, place),
  ];
  /** @param {Shown} shown */
  function draw({ text, limit, ids, isStill, next }) {
    if (input.value !== text) input.value = text;
    place.value = String(limit);
    name.textContent = `Merges done: ${limit} of ${size}, so ${256 + limit} tokens in the vocabulary`;
    place.setAttribute('aria-valuetext', `${plural(limit, 'merge')}, ${plural(ids.length, 'token')}`);
    backwards.setAttribute('aria-disabled', String(limit === 0)); // `disabled` would drop the focus
    forwards.setAttribute('aria-disabled', String(next === undefined));
    play.node.disabled = isStill;
  }
  return { nodes, draw, stop: play.stop };
}

/**
 * A sentence about the last merge and the next one.
 * @param {Merges} merges
 * @param {Shown} shown
 */
function describeMerge(merges, { limit, ids, next }) {
  if (ids.length === 0) return 'Write something above: any script, any sign.';
  const m = limit - 1;
  const later = next === undefined
    ? 'No later merge changes it.'
    : `The next one that changes it is merge ${next + 1}.`;
  if (m < 0) return `Bytes, no merges yet. ${later}`;
  const [left, right, both] = [merges.pairs[2 * m], merges.pairs[2 * m + 1], 256 + m].map((id) =>
    spell(merges.spelled[id])
  );
  const here = ids.filter((id) => id === 256 + m).length;
  const training = merges.train.merged[m].toLocaleString('en');
  return `Merge ${
    m + 1
  }: “${left}” and “${right}” become “${both}”, ${training} times in the training text, ${here} here. ${later}`;
}

/** @param {Drawn} widget */
function render({ model, el }) {
  const merges = readMerges(model);
  const walk = mergeWalk(model, merges);
  const controls = makeControls(walk, merges.size);
  const list = h('ol', { 'aria-label': 'The tokens of your sentence', tabindex: 0 });
  const message = h('p', { class: 'lmw-message' });
  const scores = makeScores(merges, model.get('held_name'));
  const root = frame(el, 'token-merges', 'Byte-pair merges', controls.nodes, list, message, scores.nodes);
  root.classList.add('lmw-merges');
  const heard = announcer(root);

  function draw() {
    const shown = walk.look();
    const { limit, ids, numBytes } = shown;
    const score = scoreIds(merges, ids, numBytes, limit);
    controls.draw(shown);
    list.replaceChildren(...ids.map((id) => drawToken(merges, id, id === 255 + limit && limit > 0)));
    message.textContent = describeMerge(merges, shown);
    scores.draw(score, shown);
    root.dataset.merges = String(limit);
    const result = ids.length ? `${plural(ids.length, 'token')}, ${score.bitsPerByte.toFixed(2)} bits per byte.` : '';
    heard.say(`${result} ${message.textContent}`);
  }

  return live(root, model, ['sentence', 'num_merges'], draw, heard.stop, controls.stop);
}

export default { render };
