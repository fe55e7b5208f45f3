// Inside one forward pass: the page's model on a sentence, every tensor to look at, parts to switch off.
import { distanceOf, forwardPass } from './core/forward_pass.js';
import { splitWords } from './core/words.js';
import { boxColumn, NEXT, PAIRS, partOf, switchBoard } from './forward_pass_boxes.js';
import { heatMap, largestOf, panelsOf } from './forward_pass_map.js';
import {
  announcer,
  button,
  field,
  formatLog,
  formatProb,
  frame,
  h,
  line,
  live,
  plural,
  quiet,
  segments,
  setter,
  slider,
} from './kit/kit.js';
import { readPair, runsHere } from './kit/page_model.js';
import { comparison, likeliest, sentenceField, wordRow } from './kit/sentence.js';

/** @import { Tensor } from './core/forward_pass.js' */
/** @import { TransformerModel } from './core/models.js' */
/** @import { Automaton } from './core/toy_language.js' */
/** @import { Cell } from './forward_pass_map.js' */
/** @import { Drawn, WidgetModel } from './kit/kit.js' */

const LINES = 6; // words that get a line of their own
const FULL = 2; // nats: a word's column has its full height

/**
 * @typedef {object} Run the model on a sentence, with some parts off, beside the exact language
 * @property {number[]} ids
 * @property {string[]} words
 * @property {readonly string[]} off
 * @property {Map<string, Tensor>} tensors
 * @property {Float64Array[]} exact after each word
 * @property {ReturnType<typeof distanceOf>[]} distances from it, after each word
 */

/**
 * @param {TransformerModel} net
 * @param {Automaton} language
 * @param {string[]} vocab
 * @param {number[]} ids
 * @param {readonly string[]} off
 * @returns {Run}
 */
export function runOf(net, language, vocab, ids, off) {
  const tensors = forwardPass(net, ids, off);
  const exact = ids.map((_, t) => language.dist(ids.slice(0, t + 1)));
  const distances = exact.map((p, t) => distanceOf(p, rowOf(tensors, 'logits', t)));
  return { ids, words: ids.map((id) => vocab[id]), off, tensors, exact, distances };
}

/**
 * Row t of a tensor of rows.
 * @param {Map<string, Tensor>} tensors
 * @param {string} name
 * @param {number} t
 */
function rowOf(tensors, name, t) {
  const { shape: [, width], data } = /** @type {Tensor} */ (tensors.get(name));
  return data.subarray(t * width, (t + 1) * width);
}

/** @param {{ distances: { divergence: number }[] }} run */
export const meanDivergence = ({ distances }) =>
  distances.reduce((sum, { divergence }) => sum + divergence, 0) / distances.length;

/** A number of a tensor. @param {number} value */
const told = (value) => (value === -Infinity ? 'hidden by the mask' : formatLog(value, 3));

// ---- The tensor -------------------------------------------------------------------------------------------------------

/**
 * The marked number, kept inside the tensor. −1 leaves the choice to the largest number of the word's row. Where several
 * heads share a key, its part is theirs.
 * @param {{ head: number, place: number, column: number }} marked
 * @param {ReturnType<typeof panelsOf>} parts
 * @param {number} numHeads
 * @returns {Cell}
 */
export function cellOf({ head, place, column }, { panels, T, columns, valueAt }, numHeads) {
  const t = Math.min(place, T - 1);
  const own = Math.max(Math.floor(Math.min(head, numHeads - 1) * panels / numHeads), 0);
  const anyHead = head < 0 && panels > 1;
  if (column >= 0 && !anyHead) return { panel: own, t, column: Math.min(column, columns - 1) };
  const from = anyHead ? Array.from({ length: panels }, (_, panel) => panel) : [own];
  const row = from.flatMap((panel) => Array.from({ length: columns }, (_, i) => ({ panel, t, column: i })));
  const size = (/** @type {Cell} */ cell) => (valueAt(cell) === -Infinity ? -1 : Math.abs(valueAt(cell)));
  return row.reduce((best, cell) => (size(cell) > size(best) ? cell : best));
}

/**
 * What a number is: "head 2, from “crab” to “gulls”: 0.412".
 * @param {Run} run
 * @param {string[]} vocab
 * @param {string} name
 * @param {Cell} cell
 */
export function tellNumber({ words, tensors }, vocab, name, cell) {
  const tensor = /** @type {Tensor} */ (tensors.get(name));
  const { panels, columns, valueAt } = panelsOf(tensor);
  const { panel, t, column } = cell;
  const head = panels > 1 ? `head ${panel + 1}, ` : '';
  const { axes } = partOf(name);
  const value = valueAt(cell);
  if (axes === PAIRS) return `${head}from “${words[t]}” to “${words[column]}”: ${told(value)}`;
  if (name === 'probabilities') return `“${vocab[column]}” after “${words[t]}”: ${formatProb(value)}`;
  if (axes === NEXT) return `“${vocab[column]}” after “${words[t]}”: ${told(value)}`;
  return `${head}“${words[t]}”, number ${column + 1} of ${columns}: ${told(value)}`;
}

/**
 * The controls that move the mark, for the keyboard: a head, and a number of the word's row.
 * @param {TransformerModel} net
 * @param {(changes: Record<string, number>) => void} set
 */
function markControls({ H }, set) {
  let shown = { panels: 1, panel: 0 };
  /** The first of the heads that share a part. @param {number} panel */
  const headOf = (panel) => Math.ceil(panel * H / shown.panels);
  /** @type {[number, string][]} */
  const options = Array.from({ length: H }, (_, i) => [i, String(i + 1)]);
  const heads = segments('Head', options, (head) => set({ head }));
  const column = slider([0, 1, 1], (value) => mark(shown.panel, { column: value }));
  const name = h('span');
  /**
   * @param {number} panel
   * @param {Record<string, number>} changes
   */
  const mark = (panel, changes) => set(shown.panels > 1 ? { head: headOf(panel), ...changes } : changes);
  /**
   * @param {ReturnType<typeof panelsOf>} parts
   * @param {Cell} cell
   * @param {{ head: number, column: string, said: string }} about the chosen head, what a column is, the marked number
   */
  function draw({ panels, columns }, { panel, column: at }, about) {
    shown = { panels, panel };
    heads.node.hidden = panels === 1;
    heads.select(about.head < 0 ? headOf(panel) : Math.min(about.head, H - 1));
    column.max = String(columns - 1);
    column.value = String(at);
    column.setAttribute('aria-valuetext', about.said);
    name.textContent = about.column;
  }
  return { node: line(heads.node, field(name, column)), mark, draw };
}

/**
 * The chosen tensor: what it is, its map, the marked number, the row in numbers.
 * @param {TransformerModel} net
 * @param {string[]} vocab
 * @param {(changes: Record<string, number>) => void} set
 */
function tensorPanel(net, vocab, set) {
  const [title, size, what, number] = [h('b'), h('span'), h('p'), h('p', { class: 'lmw-finding' })];
  const [scale, row] = [quiet(), h('p', { class: 'lmw-row-numbers' })];
  const all = h('details', {}, h('summary', {}, 'The row in numbers'), row);
  const controls = markControls(net, set);
  let tell = (/** @type {Cell | null} */ _) => {};
  const map = heatMap({
    hover: (cell) => tell(cell),
    pick: ({ panel, t, column }) => controls.mark(panel, { place: t, column }),
  });
  const heading = h('p', {}, title, ' ', size);
  const node = h('div', { class: 'lmw-look' }, heading, what, map.node, number, controls.node, scale, all);
  /**
   * @param {Run} run
   * @param {string} name
   * @param {{ head: number, place: number, column: number }} wanted
   */
  function draw(run, name, wanted) {
    const tensor = /** @type {Tensor} */ (run.tensors.get(name));
    const parts = panelsOf(tensor);
    const cell = cellOf(wanted, parts, net.H);
    const { whole, axes, told: explained } = partOf(name);
    title.textContent = `${whole[0].toUpperCase()}${whole.slice(1)}`;
    size.textContent = tensor.shape.map((length, i) => plural(length, axes[i])).join(' × ');
    what.textContent = explained;
    const off = (/** @type {number} */ i) => run.off.includes(`head ${name.split('.')[0]}.${i + 1}`);
    map.draw(tensor, run.words, cell, Array.from({ length: net.H }, (_, i) => parts.panels === net.H && off(i)));
    const said = tellNumber(run, vocab, name, cell);
    const column = axes === PAIRS ? 'Word looked at' : axes === NEXT ? 'Next word' : 'Number in the row';
    controls.draw(parts, cell, { head: wanted.head, column, said });
    tell = (other) => (number.textContent = other ? tellNumber(run, vocab, name, other) : said);
    tell(null);
    const hidden = tensor.data.includes(-Infinity) ? ' Grey: hidden by the causal mask.' : '';
    scale.textContent = `Blue: positive; orange: negative; the strongest shade: ${told(largestOf(tensor))}.${hidden}`;
    const values = Array.from({ length: parts.columns }, (_, i) => parts.valueAt({ ...cell, column: i }));
    row.textContent = values.map((value) => (value === -Infinity ? '−∞' : told(value))).join('  ');
    return `${whole}, ${said}.`;
  }
  return { node, draw };
}

// ---- The prediction ---------------------------------------------------------------------------------------------------

/**
 * The next word after the marked one, to the model and exactly, and how far apart they are.
 * @param {string[]} vocab
 */
function prediction(vocab) {
  const table = comparison('', [['model', 'model', 'Model'], ['exact', 'exact', 'Exact language']], LINES, 2);
  const finding = quiet();
  /**
   * @param {Run} run
   * @param {Run} whole the same with nothing switched off
   * @param {number} t
   */
  function draw(run, whole, t) {
    const { ids, words, exact, distances, tensors } = run;
    const [mine, truth, next] = [rowOf(tensors, 'probabilities', t), exact[t], ids[t + 1] ?? -1];
    table.title.textContent = `What comes after “${words[t]}”?`;
    table.draw(vocab, [mine, truth], likeliest([truth, mine], LINES, next), next);
    const { crossEntropy, entropy, divergence } = distances[t];
    table.writeFoot(0, 'Cross-entropy', [crossEntropy, entropy], 3);
    table.writeFoot(1, 'Divergence', [divergence, 0], 3);
    const without = run.off.length ? ` With nothing off: ${meanDivergence(whole).toFixed(3)}.` : '';
    finding.textContent = `Mean divergence after the ${ids.length} words: ${
      meanDivergence(run).toFixed(3)
    } nats.${without}`;
    const [top] = likeliest([mine], 1);
    return `After “${words[t]}” the model expects “${vocab[top]}” most, ${formatProb(mine[top])}, exactly ${
      formatProb(truth[top])
    }; divergence ${divergence.toFixed(3)} nats.`;
  }
  return { node: h('div', {}, table.node, finding), draw };
}

// ---- The view ---------------------------------------------------------------------------------------------------------

/**
 * The words, each with the divergence after it.
 * @param {(place: number) => void} onpick
 */
function divergingWords(onpick) {
  const row = wordRow('The sentence: under each word the divergence of what comes next', ['other'], onpick);
  /**
   * @param {Run} run
   * @param {number} place
   */
  function draw({ words, distances }, place) {
    row.write(words.map((word, t) => {
      const number = distances[t].divergence.toFixed(2);
      const shares = [distances[t].divergence / FULL];
      const marked = t === place;
      return { word, number, shares, pressed: marked, current: marked, say: `${word}: after it ${number} nats` };
    }));
  }
  return { node: row.node, draw };
}

/**
 * The last runs, so that a press of a box computes nothing.
 * @param {ReturnType<typeof readPair>} pair
 */
function runner({ net, exact, vocab }) {
  /** @type {Map<string, Run>} */
  const kept = new Map();
  /**
   * @param {number[]} ids
   * @param {readonly string[]} off
   */
  return (ids, off) => {
    const key = `${ids} ${off}`;
    const run = kept.get(key) ?? runOf(net, exact, vocab, ids, off);
    kept.set(key, run);
    if (kept.size > 8) kept.delete(/** @type {string} */ (kept.keys().next().value));
    return run;
  };
}

/** The word before the last, if a full stop ends the text: in “… the crab sleep.” it is “crab”. @param {string} text */
const placeFor = (text) => Math.max(splitWords(text).length - 3, 0);

/** @param {Drawn} widget */
function render({ model, el }) {
  const pair = readPair(model);
  const { net, exact, vocab } = pair;
  const set = setter(model);
  const runFor = runner(pair);
  const write = (/** @type {string} */ text) => set({ text, place: placeFor(text), column: -1 });
  const sentence = sentenceField({
    vocab,
    exact,
    net,
    empty: 'Write a word of the language: a model reads something before it predicts.',
    advice:
      'Choose a word, press a box, switch a part off. Below each word: how far what comes next is from exact, in nats.',
    oninput: write,
  });
  const reset = button('Reset', () => {
    const text = model.get('first_text');
    set({ text, place: placeFor(text), off: [], head: -1, column: -1 });
  });
  const words = divergingWords((place) => set({ place, column: -1 }));
  const board = switchBoard(net, (name, on) => {
    const others = model.get('off').filter((/** @type {string} */ other) => other !== name);
    set({ off: on ? others : [...others, name] });
  });
  const boxes = boxColumn(net.L, (tensor) => set({ tensor, column: -1 }));
  const [look, next] = [tensorPanel(net, vocab, set), prediction(vocab)];
  const inside = h('div', { class: 'lmw-inside' }, boxes.node, h('div', {}, look.node, next.node));
  const parts = [line(sentence.node, reset), sentence.message, words.node, board.node, inside, runsHere(net)];
  const root = frame(el, 'forward-pass', 'Inside one forward pass', parts);
  root.classList.add('lmw-forward-pass');
  const heard = announcer(root);
  /** @type {number[]} */
  let ids = []; // of the last sentence that could be read

  function draw() {
    const { ids: read, wrong } = sentence.read(model.get('text'));
    ids = read ?? ids;
    if (!ids.length) return;
    const [tensor, off] = [model.get('tensor'), model.get('off')];
    const marked = {
      head: model.get('head'),
      place: Math.min(model.get('place'), ids.length - 1),
      column: model.get('column'),
    };
    const run = runFor(ids, off);
    words.draw(run, marked.place);
    board.draw(off);
    boxes.draw(tensor, off);
    const number = look.draw(run, tensor, marked);
    const expected = next.draw(run, runFor(ids, []), marked.place);
    Object.assign(root.dataset, { tensor, off: off.join(', '), ...marked, words: run.words.join(' ') });
    heard.say(wrong || `${number} ${expected}`);
  }

  return live(root, model, ['text', 'place', 'tensor', 'head', 'column', 'off'], draw, heard.stop);
}

export default { render };
