// Temperature and nucleus on real prompts: the best logits of a large model, and exact sums over all the others.
import { comparison } from './kit/sentence.js';
import { announcer, formatProb, frame, h, live, setter } from './kit/kit.js';
import { unpack } from './core/bytes.js';

/** @import { Column } from './kit/sentence.js' */

const LINES = 12;

// What the page knows of one prompt. `at(t, m)` is the state of both sliders: {before, after, entropy, size, mass};
// before (T = 1) and after (T, then p) are Float64Array (K + 1), probabilities of the K best tokens and, last, of all
// others together. All of it is exact: the sums over the vocabulary were taken in Python at each position.
export function readPrompt(get, prompt) {
  const K = get('labels')[prompt].length;
  const [taus, ps] = [get('temperatures'), get('nuclei')];
  const best = unpack(get('best'), Float32Array).subarray(prompt * K, (prompt + 1) * K);
  const norms = unpack(get('norms'), Float64Array);
  const entropies = unpack(get('entropies'), Float64Array);
  const sizes = unpack(get('sizes'), Uint32Array);
  const masses = unpack(get('masses'), Float64Array);
  const plain = taus.indexOf(1);

  function probs(t) {
    const tau = taus[t];
    if (tau === 0) return Float64Array.from(best, (_, rank) => Number(rank === 0)); // of equals the first
    const norm = norms[prompt * taus.length + t];
    return Float64Array.from(best, (logit) => Math.exp(logit / tau - norm));
  }
  function withRest(named, total) {
    return Float64Array.of(...named, Math.max(total - named.reduce((sum, p) => sum + p, 0), 0));
  }
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

// What can't be seen in a token is written out.
export function showToken(text) {
  return text.replace(/ /g, '␣').replace(/\n/g, '↵').replace(/\t/g, '⇥') || '∅';
}

function render({ model, el }) {
  const get = (name) => model.get(name);
  const [taus, ps] = [get('temperatures'), get('nuclei')];
  const read = get('prompts').map((_, i) => readPrompt(get, i));
  const set = setter(model);
  const choice = h(
    'select',
    { onchange: () => set({ prompt: Number(choice.value) }) },
    get('prompts').map((text, i) => h('option', { value: i }, text)),
  );
  const slider = (name, grid) => {
    const label = h('span');
    const input = h('input', {
      type: 'range',
      min: 0,
      max: grid.length - 1,
      step: 1,
      oninput: () => set({ [name]: Number(input.value) }),
    });
    return { label, input, node: h('label', { class: 'lmw-field' }, label, input) };
  };
  const [warmth, nucleus] = [slider('temperature', taus), slider('nucleus', ps)];
  /** @type {Column[]} */
  const columns = [['before', 'exact', 'T = 1'], ['after', 'other', 'With T and p']];
  const table = comparison('Next token', columns, LINES);
  const facts = h('p', { class: 'lmw-message' });
  const root = frame(
    el,
    'prompt-explorer',
    'Temperature and nucleus on real prompts',
    h('label', { class: 'lmw-field' }, h('span', {}, 'Prompt'), choice),
    h('div', { class: 'lmw-line' }, warmth.node, nucleus.node),
    facts,
    table.node,
    h(
      'p',
      { class: 'lmw-quiet' },
      `␣ is a space. All ${get('vocab_size').toLocaleString('en')} tokens count in every number; the best ${
        read[0].K
      } of a prompt can be named.`,
    ),
  );
  const heard = announcer(root);

  function draw() {
    const [prompt, t, m] = [get('prompt'), get('temperature'), get('nucleus')];
    const names = get('labels')[prompt].map(showToken);
    const { before, after, entropy, size, mass } = read[prompt].at(t, m);
    names.length = get('vocab_size');
    const shown = Array.from({ length: Math.min(LINES, read[prompt].K) }, (_, i) => i);
    table.draw(names, [before, after], shown);
    choice.value = String(prompt);
    warmth.input.value = String(t);
    nucleus.input.value = String(m);
    warmth.label.textContent = `Temperature T = ${taus[t].toFixed(2)}`;
    nucleus.label.textContent = `Nucleus p = ${ps[m].toFixed(2)}`;
    warmth.input.setAttribute('aria-valuetext', taus[t].toFixed(2));
    nucleus.input.setAttribute('aria-valuetext', ps[m].toFixed(2));
    const count = `${size.toLocaleString('en')} token${size === 1 ? '' : 's'}`;
    facts.textContent = `Entropy at this T: ${entropy.toFixed(2)} nats. The nucleus has ${count} with probability ${
      formatProb(mass)
    }.`;
    Object.assign(root.dataset, { prompt, size, entropy, mass });
    heard.say(`Best token “${names[0]}”, ${formatProb(after[0])}. ${facts.textContent}`);
  }

  return live(root, model, ['prompt', 'temperature', 'nucleus'], draw, heard.stop);
}

export default { render };
