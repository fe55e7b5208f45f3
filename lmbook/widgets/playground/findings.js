// What a playground has found out about a text: log P of each token, and the continuations of a beam.
import { formatLog, h, headings, roving } from '../kit/kit.js';

/** @import { Listing } from './player.js' */
/** @import { Seen } from './sight.js' */
/** @import { Written } from './text.js' */

/**
 * log P of each written token, in a part of the page that is closed at first: under the model, under what the filters
 * left, and in the exact language where there is one.
 */
export function logTable() {
  const body = h('tbody');
  const exact = h('th', { scope: 'col', class: 'lmw-num' }, 'exact');
  const columns = ['model', 'drawn from'].map((name) => h('th', { scope: 'col', class: 'lmw-num' }, name));
  const table = h('table', {}, headings('token', ...columns, exact), body);
  const scroll = h(
    'div',
    { class: 'lmp-logs', tabindex: 0, role: 'group', 'aria-label': 'log P of each token' },
    table,
  );
  const node = h('details', { class: 'lmp-more-about' }, h('summary', {}, 'log P of each token'), scroll);
  /** @type {() => void} */
  let write = () => {};
  node.addEventListener('toggle', () => node.open && write());
  /**
   * @param {Seen | null} seen
   * @param {Written[]} written
   */
  function draw(seen, written) {
    const judged = seen?.judgement?.logProbs ?? null;
    exact.hidden = judged === null;
    node.hidden = !seen?.tokens.length;
    write = () => {
      /** @type {(name: string, logs: (number | null)[], part?: 'td' | 'th') => HTMLElement} */
      const row = (name, logs) =>
        h('tr', {}, h('th', { scope: 'row' }, name), logs.map((log) => h('td', { class: 'lmw-num' }, cell(log))));
      const logs = written.map(({ p, drawn }, i) => {
        const own = [Math.log(p), drawn === undefined ? null : Math.log(drawn)];
        return judged ? [...own, judged[i]] : own;
      });
      const rows = (seen?.tokens ?? []).map(({ label }, i) => row(label, logs[i] ?? []));
      const sums = (logs[0] ?? []).map((_, c) => logs.reduce((sum, one) => sum + (one[c] ?? NaN), 0));
      body.replaceChildren(...rows, row('sum', sums));
    };
    if (node.open) write();
  }
  return { node, draw };
}

/**
 * −0.6931; "–" where nothing was measured.
 * @param {number | null} log
 */
const cell = (log) => log === null || Number.isNaN(log) ? '–' : formatLog(log);

/**
 * The continuations that a beam search found; a click takes one.
 * @param {(place: number) => void} ontake
 */
export function listingView(ontake) {
  const list = h('ol', { 'aria-label': 'What the beam found, best first: choose one to take it' });
  const refresh = roving(list);
  const node = h('div', { class: 'lmp-found' }, h('p', { class: 'lmp-name' }, 'What the beam found'), list);
  /** @param {Listing | null} listing */
  function draw(listing) {
    node.hidden = listing === null;
    const lines = (listing?.all ?? []).map(({ logProb }, i) => {
      const text = listing?.texts[i] ?? '';
      const words = [h('span', { class: 'lmw-num' }, formatLog(logProb, 2)), h('b', {}, text)];
      const label = `log P ${formatLog(logProb, 2)}: ${text}. Take it`;
      const one = h(
        'button',
        { type: 'button', class: 'lmw-row', 'aria-label': label, onclick: () => ontake(i) },
        words,
      );
      return h('li', {}, one);
    });
    const at = [...list.querySelectorAll('button')].findIndex((one) => one === document.activeElement);
    list.replaceChildren(...lines);
    refresh();
    if (at >= 0) list.querySelectorAll('button')[at]?.focus();
  }
  return { node, draw };
}
