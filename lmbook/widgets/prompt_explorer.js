// Temperature and nucleus on real prompts: the best logits of a large model, and exact sums over all others.
import { comparison } from './kit/sentence.js';
import { announcer, dropDown, field, formatProb, frame, h, line, live, quiet, setter, slider } from './kit/kit.js';
import { unpack } from './core/bytes.js';
import { showToken } from './prompt_attention.js';
import { liveCorner } from './prompt_live.js';

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

/**
 * The saved prompts to choose from, and the reader's own once there is one.
 * @param {string[]} prompts
 * @param {(prompt: number) => void} onpick
 */
function promptChoice(prompts, onpick) {
  const own = h('option', { value: '', hidden: true }, 'your own, below');
  const node = dropDown((value) => value && onpick(Number(value)), prompts.map((text, i) => [i, text]));
  node.append(own);
  /** @param {number | null} prompt null: the reader's own */
  function draw(prompt) {
    own.hidden = prompt !== null;
    node.value = String(prompt ?? '');
  }
  return { node, draw };
}

/**
 * Both distributions of the next token, and a sentence about them.
 * @param {number} vocabSize
 */
function answerPart(vocabSize) {
  /** @type {Column[]} */
  const columns = [['before', 'exact', 'T = 1'], ['after', 'other', 'With T and p']];
  const table = comparison('Next token', columns, LINES);
  const facts = h('p', { class: 'lmw-message' });
  /**
   * @param {Answer} answer
   * @param {string[]} labels of its tokens, best first
   */
  function draw(answer, labels) {
    const names = labels.map(showToken);
    const shown = [...names.keys()].slice(0, LINES);
    names.length = vocabSize;
    table.node.style.visibility = '';
    table.draw(names, [answer.before, answer.after], shown);
    facts.textContent = describeNucleus(answer);
    return `Best token “${names[0]}”, ${formatProb(answer.after[0])}. ${facts.textContent}`;
  }
  /** Takes the numbers out of sight: they are of another prompt. */
  function clear() {
    table.node.style.visibility = 'hidden';
    facts.textContent = '';
  }
  return { table, facts, draw, clear };
}

/**
 * Both sliders.
 * @param {(name: string) => any} get
 * @param {(changes: Record<string, number>) => void} set
 */
function dials(get, set) {
  const warmth = gridSlider('Temperature T', get('temperatures'), (temperature) => set({ temperature }));
  const cut = gridSlider('Nucleus p', get('nuclei'), (nucleus) => set({ nucleus }));
  function draw() {
    warmth.draw(get('temperature'));
    cut.draw(get('nucleus'));
  }
  const values = () => ({ tau: get('temperatures')[get('temperature')], p: get('nuclei')[get('nucleus')] });
  return { node: line(warmth.node, cut.node), draw, values };
}

/**
 * Shows answers, says them, and marks `root` with their numbers.
 * @param {HTMLElement} root
 * @param {ReturnType<typeof answerPart>} answers
 */
function answerBoard(root, answers) {
  const heard = announcer(root);
  /** Takes the answer away. */
  function clear() {
    answers.clear();
    for (const key of ['prompt', 'size', 'entropy', 'mass']) delete root.dataset[key];
  }
  /**
   * @param {Answer} answer
   * @param {string[]} labels
   * @param {number | ''} prompt '': the reader's own
   */
  function show(answer, labels, prompt) {
    heard.say(answers.draw(answer, labels));
    const { entropy, size, mass } = answer;
    Object.assign(root.dataset, { prompt, size, entropy, mass });
  }
  return { show, clear, stop: heard.stop };
}

/** @param {Drawn} widget */
function render({ model, el }) {
  const get = (/** @type {string} */ name) => model.get(name);
  /** @type {string[]} */
  const prompts = get('prompts');
  const read = prompts.map((_, i) => readPrompt(get, i));
  const set = setter(model);
  const choice = promptChoice(prompts, (prompt) => {
    corner?.write(prompts[prompt]);
    set({ prompt });
    draw();
  });
  const sliders = dials(get, set);
  const answers = answerPart(get('vocab_size'));
  const mark = (/** @type {Record<string, string>} */ data) => Object.assign(root.dataset, data);
  const corner = get('live') ? liveCorner({ redraw: draw, show: showOwn, clear: () => board.clear(), mark }) : null;
  const [all, named] = [get('vocab_size').toLocaleString('en'), read[0].K];
  const root = frame(
    el,
    'prompt-explorer',
    'Temperature and nucleus on real prompts',
    field('Prompt', choice.node),
    sliders.node,
    answers.facts,
    answers.table.node,
    quiet(`␣ is a space. All ${all} tokens count in every number; the best ${named} of a prompt can be named.`),
    corner?.node ?? [],
  );
  const board = answerBoard(root, answers);
  const isOwn = () => Boolean(corner?.isOwn(prompts[get('prompt')]));
  /** @type {(answer: Answer, labels: string[]) => void} */
  function showOwn(answer, labels) {
    if (isOwn()) board.show(answer, labels, '');
  }

  function draw() {
    const prompt = get('prompt');
    choice.draw(isOwn() ? null : prompt);
    sliders.draw();
    if (isOwn()) return corner?.askNext({ ...sliders.values(), count: LINES });
    corner?.rest();
    board.show(read[prompt].at(get('temperature'), get('nucleus')), get('labels')[prompt], prompt);
  }

  if (corner) mark({ state: 'idle' });
  corner?.write(prompts[get('prompt')]);
  return live(root, model, ['prompt', 'temperature', 'nucleus'], draw, board.stop, () => corner?.stop());
}

export default { render };
