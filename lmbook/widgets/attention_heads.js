// The heads of the attention explorer: what each looks at, as a map; all of them side by side, and one large.
import { h, newId, quiet, svg } from './kit/kit.js';

/** @import { TransformerModel } from './core/models.js' */

const SHADES = 12;

/** @typedef {{ layer: number, head: number }} Head both count from 0 */
/** @typedef {Head & { t: number, target: number }} Gaze a head, the place of the word that looks, of the one looked at */

/**
 * A sentence, and what the model makes of it.
 * @typedef {object} Seen
 * @property {number[]} ids
 * @property {Float32Array[][]} attention of each layer and head, T × T shares row by row
 * @property {Float64Array[]} dists the next word's distribution after each word
 */

/**
 * How much a head looks from word t at the word `target`.
 * @param {Seen} seen
 * @param {Gaze} gaze
 */
export function weightOf({ ids, attention }, { layer, head, t, target }) {
  return attention[layer][head][t * ids.length + target];
}

/**
 * The head that looks most from word t at the word `target`; of equals the first.
 * @param {Seen} seen
 * @param {number} t
 * @param {number} target
 */
export function bestHead(seen, t, target) {
  const all = seen.attention.flatMap((heads, layer) => heads.map((_, head) => ({ layer, head, t, target })));
  return all.reduce((a, b) => (weightOf(seen, b) > weightOf(seen, a) ? b : a));
}

/**
 * A square of T × T shares, row by row: darker is more. Each of a few shades is one path, so that eight heads of a long
 * sentence are drawn quickly. Nothing stands above the diagonal: the causal mask.
 */
function makeMap() {
  const triangle = svg('path', { class: 'lmw-triangle' });
  const shades = Array.from(
    { length: SHADES },
    (_, i) => svg('path', { 'fill-opacity': ((i + 0.5) / SHADES).toFixed(3) }),
  );
  const mark = svg('path', { class: 'lmw-row-mark' });
  const node = svg('svg', { class: 'lmw-map', 'aria-hidden': 'true' }, triangle, shades, mark);
  /**
   * @param {Float32Array} shares
   * @param {number} T
   * @param {number} row the one that is marked
   */
  function draw(shares, T, row) {
    node.setAttribute('viewBox', `0 0 ${T} ${T}`);
    const paths = Array.from({ length: SHADES }, () => '');
    let steps = 'M0 0';
    for (let t = 0; t < T; t++) {
      steps += `H${t + 1}V${t + 1}`;
      for (let s = 0; s <= t; s++) {
        const shade = Math.min(Math.floor(shares[t * T + s] * SHADES), SHADES - 1);
        if (shares[t * T + s] > 0.01) paths[shade] += `M${s} ${t}h1v1h-1z`;
      }
    }
    triangle.setAttribute('d', `${steps}H0z`);
    shades.forEach((path, i) => path.setAttribute('d', paths[i]));
    mark.setAttribute('d', `M0 ${row}h${row + 1}v1h-${row + 1}z`);
  }
  return { node, draw };
}

/** @param {Head} head */
export const headName = ({ layer, head }) => `${layer + 1}.${head + 1}`;

/**
 * All heads, a line of maps for each layer; a native radio group, so that the arrow keys move through it.
 * @param {Pick<TransformerModel, 'L' | 'H'>} net
 * @param {string[]} vocab
 * @param {(head: Head) => void} onpick
 */
export function headGrid({ L, H }, vocab, onpick) {
  const name = newId('head');
  const legend = h('legend');
  const cells = Array.from({ length: L * H }, (_, i) => {
    const [layer, head] = [Math.floor(i / H), i % H];
    const input = h('input', { type: 'radio', name, onchange: () => onpick({ layer, head }) });
    const [map, number] = [makeMap(), h('span', { class: 'lmw-num' })];
    const title = h('span', {}, `Head ${headName({ layer, head })}`);
    const node = h('label', { class: 'lmw-head-map' }, input, title, map.node, number);
    return { layer, head, input, map, number, node };
  });
  const node = h('fieldset', { class: 'lmw-heads' }, legend, cells.map((cell) => cell.node));
  node.style.setProperty('--heads', String(H));
  /**
   * @param {Seen} seen
   * @param {Gaze} gaze
   * @param {Head} best
   */
  function draw(seen, { layer, head, t, target }, best) {
    const { ids, attention } = seen;
    const [from, to] = [vocab[ids[t]], vocab[ids[target]]];
    legend.textContent =
      `How much each of the ${cells.length} heads looks from “${from}” at “${to}”. Choose one; 2.1 is the first of layer 2.`;
    for (const cell of cells) {
      const weight = weightOf(seen, { layer: cell.layer, head: cell.head, t, target });
      cell.map.draw(attention[cell.layer][cell.head], ids.length, t);
      cell.number.textContent = weight.toFixed(3);
      cell.input.checked = cell.layer === layer && cell.head === head;
      cell.node.classList.toggle('lmw-best', cell.layer === best.layer && cell.head === best.head);
      cell.node.dataset.weight = String(weight);
    }
  }
  return { node, draw };
}

/** The chosen head's map, large, with the words beside it. */
export function largeMap() {
  const [map, title, names] = [makeMap(), quiet(), h('ol')];
  const node = h('div', {}, title, h('div', { class: 'lmw-large', 'aria-hidden': 'true' }, names, map.node));
  /**
   * @param {string[]} words
   * @param {Float32Array} shares T × T, row by row
   * @param {Head & { t: number }} gaze
   */
  function draw(words, shares, { layer, head, t }) {
    map.draw(shares, words.length, t);
    title.textContent = `Head ${
      headName({ layer, head })
    }. A row for each word that looks; columns, in the same order, the words looked at. Right of the diagonal all is hidden.`;
    names.replaceChildren(...words.map((word, s) => h('li', { 'data-here': s === t }, word)));
  }
  return { node, draw };
}
