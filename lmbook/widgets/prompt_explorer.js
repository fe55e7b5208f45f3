// Temperature and nucleus on real prompts: the best logits of a large model, and exact sums over all others.
import { comparison } from './kit/sentence.js';
import { announcer, dropDown, field, formatProb, frame, h, line, live, quiet, setter, slider } from './kit/kit.js';
import { unpack } from './core/bytes.js';

/** @import { Drawn } from './kit/kit.js' */
/** @import { Column } from './kit/sentence.js' */

const LINES = 12;

/**
 * A prompt at one position of both sliders. `before` (T = 1) and `after` (T, then p) have K + 1 numbers: the
 * probabilities of the K best tokens and, last, the sum of all others.
 * @typedef {{ before: Float64Array, after: Float64Array, entropy: number, size: number, mass: number }} Answer
 */

/**
 * One prompt: `at(t, m)` is its answer at the places of both sliders. It is exact: Python has computed the sums over
 * the vocabulary for each position.
 * @param {(name: string) => any} get
 * @param {number} prompt
 */
export function readPrompt(get, prompt) {
  const K = get('labels')[prompt].length;
  /** @type {[taus: number[], ps: number[]]} */
  const [taus, ps] = [get('temperatures'), get('nuclei')];
  const best = unpack(get('best'), Float32Array).subarray(prompt * K, (prompt + 1) * K);
  const norms = unpack(get('norms'), Float64Array);
  const entropies = unpack(get('entropies'), Float64Array);
  const sizes = unpack(get('sizes'), Uint32Array);
  const masses = unpack(get('masses'), Float64Array);
  const plain = taus.indexOf(1);

  /** @param {number} t */
  function probs(t) {
    const tau = taus[t];
    if (tau === 0) return Float64Array.from(best, (_, rank) => Number(rank === 0)); // of equals the first
    const norm = norms[prompt * taus.length + t];
    return Float64Array.from(best, (logit) => Math.exp(logit / tau - norm));
  }
  /**
   * @param {Float64Array} named
   * @param {number} total
   */
  function withRest(named, total) {
    return Float64Array.of(...named, Math.max(total - named.reduce((sum, p) => sum + p, 0), 0));
  }
  /**
   * @param {number} t
   * @param {number} m
   * @returns {Answer}
   */
  function at(t, m) {
    const row = prompt * taus.length + t;
    const [size, mass] = [sizes[row * ps.length + m], masses[row * ps.length + m]];
    const kept = probs(t).map((p, rank) => (rank < size ? p / mass : 0));
    const after = withRest(kept, 1);
    if (size <= K) after[K] = 0;
    return { before: withRest(probs(plain), 1), after, entropy: entropies[row], size, mass };
  }
  return { at, K };
}

/**
 * A token with signs for its white space.
 * @param {string} text
 */
export function showToken(text) {
  return text.replace(/ /g, '␣').replace(/\n/g, '↵').replace(/\t/g, '⇥') || '∅';
}

/**
 * A slider over the numbers of `grid`, with the chosen one in its label.
 * @param {string} name
 * @param {number[]} grid
 * @param {(place: number) => void} onmove
 */
function gridSlider(name, grid, onmove) {
  const label = h('span');
  const input = slider([0, grid.length - 1, 1], onmove);
  /** @param {number} place */
  function draw(place) {
    const number = grid[place].toFixed(2);
    input.value = String(place);
    input.setAttribute('aria-valuetext', number);
    label.textContent = `${name} = ${number}`;
  }
  return { node: field(label, input), draw };
}

/** @param {Answer} answer */
function describeNucleus({ entropy, size, mass }) {
  const count = `${size.toLocaleString('en')} token${size === 1 ? '' : 's'}`;
  return `Entropy at this T: ${entropy.toFixed(2)} nats. The nucleus has ${count} with probability ${
    formatProb(mass)
  }.`;
}

/** @param {Drawn} widget */
function render({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  /** @type {string[]} */
  const prompts = get('prompts');
  const read = prompts.map((_, i) => readPrompt(get, i));
  const set = setter(model);
  const choice = dropDown((prompt) => set({ prompt: Number(prompt) }), prompts.map((text, i) => [i, text]));
  const warmth = gridSlider('Temperature T', get('temperatures'), (temperature) => set({ temperature }));
  const cut = gridSlider('Nucleus p', get('nuclei'), (nucleus) => set({ nucleus }));
  /** @type {Column[]} */
  const columns = [['before', 'exact', 'T = 1'], ['after', 'other', 'With T and p']];
  const table = comparison('Next token', columns, LINES);
  const facts = h('p', { class: 'lmw-message' });
  const [all, named] = [get('vocab_size').toLocaleString('en'), read[0].K];
  const root = frame(
    el,
    'prompt-explorer',
    'Temperature and nucleus on real prompts',
    field('Prompt', choice),
    line(warmth.node, cut.node),
    facts,
    table.node,
    quiet(`␣ is a space. All ${all} tokens count in every number; the best ${named} of a prompt can be named.`),
  );
  const heard = announcer(root);

  function draw() {
    const [prompt, t, m] = [get('prompt'), get('temperature'), get('nucleus')];
    /** @type {string[]} */
    const names = get('labels')[prompt].map(showToken);
    const answer = read[prompt].at(t, m);
    const { before, after, entropy, size, mass } = answer;
    names.length = get('vocab_size');
    const shown = Array.from({ length: Math.min(LINES, read[prompt].K) }, (_, i) => i);
    table.draw(names, [before, after], shown);
    choice.value = String(prompt);
    warmth.draw(t);
    cut.draw(m);
    facts.textContent = describeNucleus(answer);
    Object.assign(root.dataset, { prompt, size, entropy, mass });
    heard.say(`Best token “${names[0]}”, ${formatProb(after[0])}. ${facts.textContent}`);
  }

  return live(root, model, ['prompt', 'temperature', 'nucleus'], draw, heard.stop);
}

export default { render };
