// What a run says: predictions in a sentence beside the exact ones, and what it writes.
import { h, quiet } from '../kit/kit.js';
import { comparison, likeliest, wordRow } from '../kit/sentence.js';

const TOKEN_LINES = 6; // tokens that get a line of their own

/** @typedef {{ ids: number[], exact: Float64Array[] | null, expected: Float64Array[] | null }} Looked */

/**
 * A sentence with the surprise of each token, and what was expected in the place of one of them.
 */
export function sentencePanel() {
  /** @type {string[]} */
  let tokens = [];
  /** @type {Looked | null} */
  let looked = null;
  let place = 1;
  const words = wordRow('The sentence with the surprise of each token', ['model', 'exact'], (picked) => {
    if (picked === 0) return;
    place = picked;
    draw();
  });
  const both = comparison('', [['model', 'model', 'Model'], ['exact', 'exact', 'Exact language']], TOKEN_LINES);
  const alone = comparison('', [['model', 'model', 'Model']], TOKEN_LINES);
  const note = quiet();
  const node = h('div', { class: 'lml-sentence', hidden: true }, words.node, note, both.node, alone.node);

  /**
   * @param {string[]} names of the tokens
   * @param {Looked} now
   */
  function show(names, now) {
    tokens = names;
    const last = now.ids.length - 1;
    if (now.ids.length !== looked?.ids.length) place = /^[.\s]$/.test(names[now.ids[last]]) ? last - 1 : last;
    looked = now;
    place = Math.max(1, Math.min(place, last));
    draw();
  }

  function draw() {
    if (!looked?.expected) {
      node.hidden = true;
      return;
    }
    const { ids, exact, expected } = looked;
    node.hidden = false;
    const rows = ids.slice(1).map((id, t) => ({
      mine: -Math.log(expected[t][id]),
      exact: exact ? -Math.log(exact[t][id]) : null,
    }));
    words.write(ids.map((id, t) => item(tokens[id], t === 0 ? null : rows[t - 1], t === place, highest(rows))));
    const dists = [expected[place - 1], ...(exact ? [exact[place - 1]] : [])];
    const table = exact ? both : alone;
    [both.node.hidden, alone.node.hidden] = [!exact, Boolean(exact)];
    table.title.textContent = `After “${ids.slice(Math.max(0, place - 3), place).map((id) => tokens[id]).join(' ')}”`;
    table.draw(tokens, dists, likeliest(dists, TOKEN_LINES, ids[place]), ids[place]);
    note.textContent = exact
      ? 'Numbers: the surprise −log P in nats, the model’s above, the exact one below. Choose a token to see what was expected in its place. The model reads only what stands before it.'
      : 'Numbers: the surprise −log P in nats. Choose a token to see what was expected in its place. The model reads only what stands before it.';
  }
  return { node, show };
}

/** @param {{ mine: number, exact: number | null }[]} rows */
function highest(rows) {
  return Math.max(...rows.flatMap(({ mine, exact }) => [mine, exact ?? 0]).filter(Number.isFinite), 1e-9);
}

/**
 * @param {string} word
 * @param {{ mine: number, exact: number | null } | null} row
 * @param {boolean} pressed
 * @param {number} top
 */
function item(word, row, pressed, top) {
  if (!row) return { word, number: 'given', say: `${word}: given`, look: 'lmw-given' };
  const write = (/** @type {number} */ nats) => (Number.isFinite(nats) ? nats.toFixed(2) : '∞');
  const exact = row.exact === null ? '' : `\n${write(row.exact)}`;
  const say = `${word}: surprise ${write(row.mine)} nats${row.exact === null ? '' : `, exact ${write(row.exact)}`}`;
  const shares = [row.mine / top, (row.exact ?? 0) / top];
  return { word, number: write(row.mine) + exact, shares, pressed, current: pressed, say };
}

/** What the model writes, with the step at which it did. */
export function samplePanel() {
  const text = h('p', { class: 'lml-sample' });
  const title = quiet('');
  const node = h('div', { hidden: true }, title, text);
  /**
   * @param {number} step
   * @param {string} sample
   */
  function show(step, sample) {
    node.hidden = false;
    title.textContent = `Written after ${step} steps:`;
    text.textContent = sample;
  }
  return { node, show };
}
