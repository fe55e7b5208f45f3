// A tensor as a heat map: a row for each word, the heads side by side. Blue is positive, orange negative, and the
// strongest shade the largest number of the tensor.
import { h, svg } from './kit/kit.js';

/** @import { Tensor } from './core/forward_pass.js' */

const LEVELS = 10; // shades of a colour
const GAP = 0.015; // between two heads, as a share of the width

/** @typedef {{ panel: number, t: number, column: number }} Cell a number: of which head, word and column; all from 0 */

/**
 * The parts of a tensor side by side, each a row for each word.
 * @param {Tensor} tensor
 */
export function panelsOf({ shape, data }) {
  const [panels, T, columns] = shape.length === 3 ? shape : [1, ...shape];
  const valueAt = (/** @type {Cell} */ { panel, t, column }) => data[(panel * T + t) * columns + column];
  return { panels, T, columns, valueAt };
}

/**
 * The largest absolute value of the numbers that no mask hides.
 * @param {Tensor} tensor
 */
export function largestOf({ data }) {
  return data.reduce((most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most), 0);
}

/**
 * A path for each shade, so that thousands of numbers are a few elements: "hidden", then −10 … 10 without 0.
 * @param {ReturnType<typeof panelsOf>} panels
 * @param {number} largest
 * @param {number} gap in columns
 */
function shadePaths({ panels, T, columns, valueAt }, largest, gap) {
  /** @type {Map<string, string>} */
  const paths = new Map();
  for (let panel = 0; panel < panels; panel++) {
    const left = panel * (columns + gap);
    const shadeOf = (/** @type {number} */ t, /** @type {number} */ column) => {
      const value = valueAt({ panel, t, column });
      return value === -Infinity ? 'hidden' : String(Math.round(LEVELS * value / (largest || 1)));
    };
    for (let t = 0; t < T; t++) {
      for (let start = 0, end; start < columns; start = end) {
        const shade = shadeOf(t, start);
        for (end = start + 1; end < columns && shadeOf(t, end) === shade;) end++;
        const d = `M${(left + start).toFixed(2)} ${t}h${end - start}v1h${start - end}z`;
        paths.set(shade, (paths.get(shade) ?? '') + d);
      }
    }
  }
  return paths;
}

/** @typedef {{ hover: (cell: Cell | null) => void, pick: (cell: Cell) => void }} MapReader */

/**
 * The map with the words beside it and, of several heads, their names above.
 * @param {MapReader} reader
 */
export function heatMap({ hover, pick }) {
  const shades = Array.from({ length: LEVELS }, (_, i) => i + 1).flatMap((i) => [i, -i]);
  const paths = new Map(shades.map((shade) => [
    String(shade),
    svg('path', { class: shade > 0 ? 'lmw-plus' : 'lmw-minus', 'fill-opacity': Math.abs(shade) / LEVELS }),
  ]));
  paths.set('hidden', svg('path', { class: 'lmw-hidden' }));
  const [edges, marks] = [svg('path', { class: 'lmw-edges' }), svg('path', { class: 'lmw-marks' })];
  const picture = svg('svg', { class: 'lmw-heat', preserveAspectRatio: 'none' }, [edges, ...paths.values(), marks]);
  const [names, heads] = [h('ol'), h('div', { class: 'lmw-head-names' })];
  const node = h('div', { class: 'lmw-tensor', 'aria-hidden': 'true' }, heads, names, picture);
  let shown = { panels: 1, T: 1, columns: 1, gap: 0, width: 1 };

  picture.addEventListener('pointermove', (event) => event.pointerType === 'mouse' && hover(cellAt(event)));
  picture.addEventListener('pointerleave', () => hover(null));
  picture.addEventListener('click', (event) => pick(cellAt(event)));

  /** @param {MouseEvent} event */
  function cellAt({ clientX, clientY }) {
    const { left, top, width, height } = picture.getBoundingClientRect();
    const { panels, T, columns, gap } = shown;
    const [x, y] = [(clientX - left) / width * shown.width, (clientY - top) / height * T];
    const within = (/** @type {number} */ value, /** @type {number} */ count) =>
      Math.min(Math.max(Math.floor(value), 0), count - 1);
    const panel = within(x / (columns + gap), panels);
    return { panel, t: within(y, T), column: within(x - panel * (columns + gap), columns) };
  }
  /**
   * @param {Tensor} tensor
   * @param {string[]} words
   * @param {Cell} cell the marked one
   * @param {boolean[]} headsOff
   */
  function draw(tensor, words, { panel, t, column }, headsOff) {
    const all = panelsOf(tensor);
    const { panels, T, columns } = all;
    const width = panels * columns / (1 - GAP * (panels - 1));
    shown = { panels, T, columns, width, gap: GAP * width };
    picture.setAttribute('viewBox', `0 0 ${width} ${T}`);
    node.style.setProperty('--words', String(T));
    const drawn = shadePaths(all, largestOf(tensor), shown.gap);
    for (const [shade, path] of paths) path.setAttribute('d', drawn.get(shade) ?? '');
    const left = panel * (columns + shown.gap);
    const box = (/** @type {number} */ x, /** @type {number} */ w) => `M${x} ${t}h${w}v1h${-w}z`;
    marks.setAttribute('d', box(left, columns) + box(left + column, 1));
    const starts = Array.from({ length: panels }, (_, i) => i * (columns + shown.gap));
    edges.setAttribute('d', starts.map((x) => `M${x} 0h${columns}v${T}h${-columns}z`).join(''));
    names.replaceChildren(...words.map((word, i) => h('li', { 'data-here': i === t }, word)));
    heads.style.setProperty('--heads', String(panels));
    const titles = Array.from({ length: panels > 1 ? panels : 0 }, (_, i) => i);
    heads.replaceChildren(...titles.map((i) => h('span', { class: headsOff[i] ? 'lmw-off' : '' }, `head ${i + 1}`)));
  }
  return { node, draw };
}
