// The picture of a run: its loss on training and on unseen text against the steps, beside the exact floor, the n-grams
// and the runs that were kept.
import { h, quiet, svg } from '../kit/kit.js';

/** @import { Curve } from '../core/curve.js' */
/** @import { Level } from '../core/training_text.js' */

/** @typedef {{ name: string, unseen: Curve, seen: Curve, steps: number }} Drawing */

const LABEL_GAP = 0.075; // of the height, between two labels

/**
 * @typedef {object} Picture
 * @property {Drawing | null} run
 * @property {Drawing[]} kept
 * @property {number | null} floor
 * @property {Level[]} levels
 * @property {number} goal steps
 */

export function lossPicture() {
  const picture = svg('svg', { viewBox: '0 0 1 1', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  const labels = h('div', { 'aria-hidden': 'true' });
  const scale = h('p', { class: 'lml-scale', 'aria-hidden': 'true' }, h('span', {}, '0'), h('span'));
  const chart = h('div', { class: 'lml-chart', role: 'img', 'aria-label': 'No run yet.' }, picture, labels);
  const node = h('div', {}, chart, scale, lossLegend());

  /** @param {Picture} now */
  function draw(now) {
    const { run, kept, floor, levels, goal } = now;
    const all = [...kept, ...(run ? [run] : [])];
    const last = Math.max(goal, ...all.map(({ steps }) => steps), 1);
    const values = all.flatMap(({ seen, unseen }) => [...seen.points, ...unseen.points].map(([, loss]) => loss));
    const marks = [...levels, ...(floor === null ? [] : [{ name: 'exact floor', loss: floor }])];
    const finite = [...values, ...marks.map(({ loss }) => loss)].filter(Number.isFinite);
    if (!finite.length) return;
    const [low, high] = [Math.min(...finite), Math.max(...finite)];
    const room = 0.04 * Math.max(high - low, 0.1);
    const y = (/** @type {number} */ loss) => (high + room - loss) / (high - low + 2 * room);
    /** @param {Curve} curve */
    const path = ({ points }) =>
      points.filter(([, loss]) => Number.isFinite(loss))
        .map(([step, loss], i) => `${i ? 'L' : 'M'}${(step / last).toFixed(4)} ${y(loss).toFixed(4)}`).join('');
    /** @type {(kind: string, d: string) => SVGPathElement} */
    const stroke = (kind, d) => svg('path', { class: kind, d });
    picture.replaceChildren(
      ...marks.map(({ loss }, i) => stroke(i === levels.length ? 'lml-floor' : 'lml-level', `M0 ${y(loss)}H1`)),
      ...kept.map(({ unseen }, i) => stroke(`lml-kept lml-kept-${i}`, path(unseen))),
      ...(run ? [stroke('lml-seen', path(run.seen)), stroke('lml-unseen', path(run.unseen))] : []),
    );
    labels.replaceChildren(...placeLabels(marks, y, floor));
    scale.children[1].textContent = `${last} steps`;
  }
  /** @param {string} text */
  const tell = (text) => chart.setAttribute('aria-label', text);
  return { node, draw, tell };
}

/**
 * The names of the lines at the right, apart from each other.
 * @param {Level[]} marks
 * @param {(loss: number) => number} y
 * @param {number | null} floor
 */
function placeLabels(marks, y, floor) {
  let above = -1;
  return [...marks].sort((a, b) => b.loss - a.loss).map(({ name, loss }) => {
    above = Math.max(y(loss), above + LABEL_GAP);
    const label = h('span', { class: loss === floor ? 'lmw-exact' : 'lmw-quiet' }, `${name} ${loss.toFixed(2)}`);
    label.style.setProperty('--y', String(Math.min(above, 1)));
    return label;
  });
}

function lossLegend() {
  return quiet(
    'Loss in nats a token against steps: ',
    h('span', { class: 'lml-key-unseen' }, 'on unseen text'),
    ', ',
    h('span', { class: 'lml-key-seen' }, 'on the batches it learns from'),
    '. Dashed: the ',
    h('span', { class: 'lmw-exact' }, 'exact floor'),
    ', where the language is known; dotted: n-grams counted on the same text (of a long one, its first 300,000 tokens).',
  );
}
