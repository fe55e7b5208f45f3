// The filters of a playground in the order in which they act, each with a slider and two buttons that move it.
import { button, h, newId, slider } from '../kit/kit.js';
import { DIALS, isOffered } from './settings.js';

/** @import { Dial, DialKey, FilterKey, Settings } from './settings.js' */

/** @typedef {{ turn: (key: DialKey, value: number) => void, move: (key: FilterKey, by: -1 | 1) => void }} ChainActs */

const MANY = 500; // where a dial that may remove any token but one ends: beyond it there is nothing to see

/**
 * A slider with its name and its value. At `off` it changes nothing.
 * @param {Dial} dial
 * @param {(key: DialKey, value: number) => void} onturn
 */
function dialView({ key, name, from, to, step, off, digits }, onturn) {
  const value = h('output');
  const turn = (/** @type {number} */ at) => onturn(key, to === null && at === Number(input.max) ? 0 : at);
  const input = slider([from, to ?? 100, step], turn, { 'data-dial': key });
  const node = h('label', { class: 'lmp-dial' }, h('span', {}, name, value), input);
  /**
   * @param {number} now
   * @param {number} vocabSize which decides the highest value, where `to` doesn't
   */
  function draw(now, vocabSize) {
    const top = Math.min(vocabSize, MANY);
    if (to === null) input.max = String(top);
    const at = to === null && (now === 0 || now > top) ? top : now;
    if (Number(input.value) !== at) input.value = String(at);
    const isOff = now === off && !['beams', 'length'].includes(key);
    value.textContent = isOff ? (key === 'temperature' ? '1.00' : 'off') : at.toFixed(digits);
    input.setAttribute('aria-valuetext', value.textContent);
    node.classList.toggle('lmp-off', isOff);
  }
  return { node, draw };
}

/**
 * A slider of the chain, and the buttons that move it.
 * @param {Dial & { key: FilterKey }} dial
 * @param {ChainActs} acts
 */
function filterRow(dial, { turn, move }) {
  const { key, name } = dial;
  const { node: label, draw: drawDial } = dialView(dial, turn);
  const earlier = button('▲', () => move(key, -1), { 'aria-label': `${name}: earlier`, 'data-move': `${key} earlier` });
  const later = button('▼', () => move(key, 1), { 'aria-label': `${name}: later`, 'data-move': `${key} later` });
  const node = h('li', { 'data-filter': key }, label, h('span', { class: 'lmp-move' }, earlier, later));
  /**
   * @param {Settings} settings
   * @param {number} vocabSize
   * @param {{ isFirst: boolean, isLast: boolean }} place
   */
  function draw(settings, vocabSize, { isFirst, isLast }) {
    drawDial(settings[key], vocabSize);
    // Not `disabled`: the button would lose the focus when it has moved its filter to the end.
    earlier.setAttribute('aria-disabled', String(isFirst));
    later.setAttribute('aria-disabled', String(isLast));
  }
  return { key, node, draw };
}

/**
 * All sliders: the filters in the order in which they act, below them those of beam search.
 * @param {ChainActs} acts
 */
export function chainView(acts) {
  const isFilter = (/** @type {Dial} */ { of }) => of !== 'beam';
  const rows = DIALS.filter(isFilter).map((dial) => filterRow(/** @type {Dial & { key: FilterKey }} */ (dial), acts));
  const others = DIALS.filter((dial) => !isFilter(dial)).map((dial) => ({ ...dial, view: dialView(dial, acts.turn) }));
  const title = h('p', { class: 'lmp-name', id: newId('order') });
  const list = h('ol', { class: 'lmp-chain', 'aria-labelledby': title.id }, rows.map(({ node }) => node));
  const node = h('div', {}, title, list, others.map(({ view }) => view.node));
  /** The element with the focus keeps it. @param {HTMLElement[]} nodes */
  function order(nodes) {
    if (nodes.every((one, i) => list.children[i] === one)) return;
    const active = document.activeElement;
    list.append(...nodes);
    if (active instanceof HTMLElement && list.contains(active)) active.focus({ preventScroll: true });
  }
  /**
   * @param {Settings} settings
   * @param {number} vocabSize
   */
  function draw(settings, vocabSize) {
    const inOrder = settings.order.flatMap((key) => rows.filter((row) => row.key === key));
    order(inOrder.map((row) => row.node));
    const offered = inOrder.filter(({ key }) => isOffered(key, settings.strategy));
    for (const row of rows) row.node.hidden = !offered.includes(row);
    offered.forEach((row, i) => {
      row.draw(settings, vocabSize, { isFirst: i === 0, isLast: i === offered.length - 1 });
    });
    for (const { key, view } of others) {
      view.node.hidden = !isOffered(key, settings.strategy);
      view.draw(settings[key], vocabSize);
    }
    title.hidden = list.hidden = offered.length === 0;
    title.textContent = settings.strategy === 'greedy'
      ? 'Penalties, in the order in which they act'
      : 'Filters, in the order in which they act';
  }
  return { node, draw };
}
