// The architecture as a column of boxes, and the switches: which tensor is looked at, and what takes part.
import { h, roving } from './kit/kit.js';

/** @import { TransformerModel } from './core/models.js' */

/** @typedef {{ label: string, axes: string[], told: string }} Part what a tensor is called, its axes, what it is */

const NUMBERS = ['word', 'number'];
const BY_HEAD = ['head', 'word', 'number'];
export const PAIRS = ['head', 'word', 'word'];
export const NEXT = ['word', 'next word'];
const ROTATED = 'rotated, pair of numbers by pair, by an angle that grows with the word’s position (rotary positions).';

/**
 * The tensors of a block.
 * @type {Record<string, Part>}
 */
const IN_BLOCK = {
  attention_norm: {
    label: 'norm',
    axes: NUMBERS,
    told: 'The residual stream, each row scaled to mean square 1.',
  },
  query: { label: 'query', axes: BY_HEAD, told: 'What each word looks for.' },
  key: { label: 'key', axes: BY_HEAD, told: 'What each word is found by.' },
  value: { label: 'value', axes: BY_HEAD, told: 'What each word hands over where it is looked at.' },
  rotated_query: { label: 'rotated query', axes: BY_HEAD, told: `The query, ${ROTATED}` },
  rotated_key: { label: 'rotated key', axes: BY_HEAD, told: `The key, ${ROTATED}` },
  scores: {
    label: 'scores',
    axes: PAIRS,
    told: 'Query · key of each pair of words, divided by the root of a head’s width.',
  },
  weights: {
    label: 'weights',
    axes: PAIRS,
    told: 'Softmax of each row of scores: how much the word looks at each.',
  },
  context: {
    label: 'context',
    axes: BY_HEAD,
    told: 'Each head’s mean of the values, by its weights.',
  },
  attention: {
    label: 'output',
    axes: NUMBERS,
    told: 'The contexts of all heads side by side, times a matrix: what attention adds.',
  },
  after_attention: { label: 'x + attention', axes: NUMBERS, told: 'The residual stream after attention.' },
  feed_forward_norm: {
    label: 'norm',
    axes: NUMBERS,
    told: 'The residual stream, each row scaled to mean square 1.',
  },
  gate: { label: 'gate', axes: NUMBERS, told: 'How far each number of the wide layer is let through.' },
  up: { label: 'up', axes: NUMBERS, told: 'The numbers of the wide layer.' },
  gated: { label: 'gated', axes: NUMBERS, told: 'gate · sigmoid(gate) · up, number by number.' },
  feed_forward: { label: 'output', axes: NUMBERS, told: 'Back to the width: what the feed-forward part adds.' },
  output: { label: 'x + feed-forward', axes: NUMBERS, told: 'The residual stream after the block.' },
};

/**
 * The others.
 * @type {Record<string, Part>}
 */
const OUTSIDE = {
  embedding: {
    label: 'embedding',
    axes: NUMBERS,
    told: 'Each word’s row of the embedding table: here the residual stream begins.',
  },
  norm: {
    label: 'norm',
    axes: NUMBERS,
    told: 'The residual stream after the last block, each row scaled to mean square 1.',
  },
  logits: { label: 'logits', axes: NEXT, told: 'For each word of the language its score as the next.' },
  probabilities: {
    label: 'probabilities',
    axes: NEXT,
    told: 'Softmax of each row of logits: what comes next.',
  },
};

/** What stands side by side in a block. */
const ATTENTION_ROWS = [
  ['attention_norm', 'query', 'key', 'value'],
  ['rotated_query', 'rotated_key'],
  ['scores', 'weights'],
  ['context', 'attention'],
  ['after_attention'],
];
const FEED_FORWARD_ROWS = [['feed_forward_norm', 'gate', 'up'], ['gated', 'feed_forward'], ['output']];

/**
 * What a tensor is, by its name; "block 2, weights" is its whole name.
 * @param {string} name such as "2.weights"
 */
export function partOf(name) {
  const [layer, part] = name.split('.');
  if (part === undefined) return { ...OUTSIDE[name], whole: name === 'norm' ? 'last norm' : name };
  const { label, ...rest } = IN_BLOCK[part];
  const of = part.startsWith('feed_forward') ? 'feed-forward ' : part.startsWith('attention') ? 'attention ' : '';
  return { label, ...rest, whole: `block ${layer}, ${of}${label}` };
}

/**
 * The column of boxes; the arrow keys move through it.
 * @param {number} numLayers
 * @param {(name: string) => void} onpick
 */
export function boxColumn(numLayers, onpick) {
  /** @type {Map<string, HTMLButtonElement>} */
  const boxes = new Map();
  const box = (/** @type {string} */ name) => {
    const { label, whole } = partOf(name);
    const onclick = () => onpick(name);
    const node = h('button', { type: 'button', class: 'lmw-box', 'aria-label': whole, onclick }, label);
    boxes.set(name, node);
    return node;
  };
  const row = (/** @type {string[]} */ names) => h('div', { class: 'lmw-box-row' }, names.map(box));
  const blocks = Array.from({ length: numLayers }, (_, i) => {
    const own = (/** @type {string[]} */ names) => row(names.map((name) => `${i + 1}.${name}`));
    const titled = (/** @type {string} */ title, /** @type {string[][]} */ rows) => [
      h('p', { 'aria-hidden': 'true' }, title),
      ...rows.map(own),
    ];
    const parts = [
      ...titled(`Block ${i + 1}: attention`, ATTENTION_ROWS),
      ...titled('feed-forward part', FEED_FORWARD_ROWS),
    ];
    return h('div', { class: 'lmw-block', role: 'group', 'aria-label': `Block ${i + 1}` }, parts);
  });
  const parts = [row(['embedding']), ...blocks, row(['norm', 'logits']), row(['probabilities'])];
  const node = h(
    'div',
    { class: 'lmw-boxes', role: 'group', 'aria-label': 'The tensors, from words to next words' },
    parts,
  );
  const refresh = roving(node);
  let seen = ''; // the box that was last scrolled to, where the column is lower than its boxes
  /** @param {string} chosen */
  function reveal(chosen) {
    const button = boxes.get(chosen);
    if (chosen === seen || !button) return;
    seen = chosen;
    const [box, column] = [button.getBoundingClientRect(), node.getBoundingClientRect()];
    if (box.top >= column.top && box.bottom <= column.bottom) return;
    node.scrollTop += (box.top + box.bottom - column.top - column.bottom) / 2;
  }
  /**
   * @param {string} chosen
   * @param {readonly string[]} off
   */
  function draw(chosen, off) {
    refresh();
    reveal(chosen);
    const inside = node.matches(':focus-within');
    for (const [name, button] of boxes) {
      button.setAttribute('aria-pressed', String(name === chosen));
      button.classList.toggle('lmw-off', isOut(name, off));
      if (!inside) button.tabIndex = name === chosen ? 0 : -1;
    }
  }
  return { node, draw };
}

/**
 * Whether a tensor comes out of what is switched off.
 * @param {string} name
 * @param {readonly string[]} off
 */
function isOut(name, off) {
  const [layer, part] = name.split('.');
  if (part === 'feed_forward') return off.includes(`feed-forward ${layer}`);
  return off.includes('positions') && (part === 'rotated_query' || part === 'rotated_key');
}

/**
 * A box to tick for each part that can be switched off.
 * @param {Pick<TransformerModel, 'L' | 'H' | 'causal'>} net
 * @param {(name: string, on: boolean) => void} onswitch
 */
export function switchBoard({ L, H, causal }, onswitch) {
  /** @type {Map<string, HTMLInputElement>} */
  const inputs = new Map();
  /**
   * @param {string} name
   * @param {(string | Node)[]} label
   * @param {string} said the whole name
   */
  const one = (name, label, said) => {
    const input = h('input', { type: 'checkbox', 'aria-label': said, onchange: () => onswitch(name, input.checked) });
    inputs.set(name, input);
    return h('label', { class: 'lmw-switch' }, input, h('span', {}, label));
  };
  const group = (/** @type {string} */ legend, /** @type {HTMLElement[]} */ children) =>
    h('fieldset', { class: 'lmw-switches' }, h('legend', {}, legend), children);
  const layers = Array.from({ length: L }, (_, i) => i + 1);
  const groups = layers.map((layer) => {
    const heads = Array.from({ length: H }, (_, i) => {
      const label = [h('i', {}, 'head '), String(i + 1)];
      return one(`head ${layer}.${i + 1}`, label, `Block ${layer}, head ${i + 1}`);
    });
    return group(`Block ${layer}`, [
      ...heads,
      one(`feed-forward ${layer}`, ['feed-forward'], `Block ${layer}, feed-forward`),
    ]);
  });
  const mask = causal ? [one('mask', ['causal mask'], 'causal mask')] : [];
  const rest = group('Everywhere', [one('positions', ['rotary positions'], 'rotary positions'), ...mask]);
  const node = h('div', { class: 'lmw-board' }, groups, rest);
  /** @param {readonly string[]} off */
  function draw(off) {
    for (const [name, input] of inputs) input.checked = !off.includes(name);
  }
  return { node, draw };
}
