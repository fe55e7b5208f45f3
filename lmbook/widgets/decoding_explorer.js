// The decoding explorer: filters in any order, the distribution before and after each, and words drawn from the rest.
import { comparison, likeliest, sentenceField } from './kit/sentence.js';
import { frequencyPenalty, minP, noRepeatNgram, presencePenalty, repetitionPenalty } from './core/filters.js';
import { softmax, temperature, topK, topP, typical } from './core/filters.js';
import { announcer, button, frame, h, live, newId, plural, setter } from './kit/kit.js';
import { sampleFrom, seededRandom } from './core/random.js';
import { readPair, runsHere } from './kit/page_model.js';

const LINES = 12; // words that get a line of their own
const MAX_DRAWS = 10_000;
const LAST = 12; // drawn words that are told

const FILTERS = { temperature, top_k: topK, top_p: topP, min_p: minP, typical };
const LOOKING_BACK = {
  repetition_penalty: repetitionPenalty,
  frequency_penalty: frequencyPenalty,
  presence_penalty: presencePenalty,
  no_repeat_ngram: noRepeatNgram,
};

function applyFilter(key, logits, ids, value) {
  return key in FILTERS ? FILTERS[key](logits, value) : LOOKING_BACK[key](logits, ids, value);
}

// What a chain of {key, on, value} makes of logits: [{key, logits}], first the model's own, then one for each filter
// that is on.
export function stagesOf(logits, ids, chain) {
  const stages = [{ key: '', logits: Float64Array.from(logits) }];
  for (const { key, on, value } of chain) {
    if (on) stages.push({ key, logits: applyFilter(key, stages[stages.length - 1].logits, ids, value) });
  }
  return stages;
}

// What is to be told of a distribution: how many words are left, what the impossible ones have, the entropy in nats.
export function summary(probs, isPossible) {
  const count = probs.reduce((sum, p) => sum + (p > 0), 0);
  const impossible = probs.reduce((sum, p, w) => sum + (isPossible[w] ? 0 : p), 0);
  const entropy = probs.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
  return { count, impossible, entropy };
}

// How often each word comes in `draws` draws from `probs`, and the last few. The same seed draws the same words.
export function drawWords(probs, draws, seed) {
  const counts = new Float64Array(probs.length);
  /** @type {number[]} */
  const last = [];
  const kept = [...probs.keys()].filter((w) => probs[w] > 0);
  const shares = kept.map((w) => probs[w]);
  const random = seededRandom(seed);
  for (let i = 0; i < draws; i++) {
    const word = kept[sampleFrom(shares, random())];
    counts[word] += 1;
    if (i >= draws - LAST) last.push(word);
  }
  return { counts, last };
}

// ---- The view -----------------------------------------------------------------------------------------------------------

// One filter: a switch, a slider, what it leaves, and two buttons that move it. `on` are {turn, move, flip}.
function filterRow({ key, name, from, to, step, digits }, on) {
  const value = h('output');
  const told = h('span', { class: 'lmd-told' });
  const flip = button(name, () => on.flip(key), { class: 'lmw-button lmd-switch' });
  const slider = h('input', { type: 'range', min: from, max: to, step, oninput: () => on.turn(key, +slider.value) });
  const move = (sign, by, way) => button(sign, () => on.move(key, by), { 'aria-label': `${name}: ${way}` });
  const [up, down] = [move('▲', -1, 'earlier'), move('▼', 1, 'later')];
  slider.setAttribute('aria-label', `${name}: value`);
  const node = h('li', { 'data-filter': key }, flip, slider, value, told, h('span', { class: 'lmd-move' }, up, down));
  function draw({ on: isOn, value: now }, left, place, count) {
    flip.setAttribute('aria-pressed', String(isOn));
    if (Number(slider.value) !== now) slider.value = now;
    value.textContent = now.toFixed(digits).replace('-', '−');
    slider.setAttribute('aria-valuetext', value.textContent);
    up.setAttribute('aria-disabled', String(place === 0));
    down.setAttribute('aria-disabled', String(place === count - 1));
    told.textContent = isOn ? plural(left.count, 'word') : 'off';
    node.classList.toggle('lmd-off', !isOn);
    Object.assign(node.dataset, { on: isOn, value: now, count: isOn ? left.count : '' });
  }
  return { node, draw, name: () => `${name} ${value.textContent}` };
}

function render({ model, el }) {
  const { net, exact: automaton, vocab } = readPair(model);
  let ids = []; // of the last prompt that could be read
  let logits = null; // what the model says after it

  const set = setter(model);
  const chainNow = () => model.get('chain').map((step) => ({ ...step }));
  const change = (key, changes) =>
    set({ chain: chainNow().map((step) => (step.key === key ? { ...step, ...changes } : step)) });

  const prompt = sentenceField({
    vocab,
    exact: automaton,
    net,
    empty: 'Write some words of the language, or pick a prompt.',
    advice: 'The filters act from top to bottom. Move one, and see what it finds.',
    oninput: (text) => set({ prompt: text }),
  }, 'Your prompt');
  const presets = model.get('presets');
  const picker = h(
    'select',
    { onchange: () => picker.value && set({ prompt: picker.value }) },
    h('option', { value: '' }, 'your own'),
    presets.map((text) => h('option', { value: text }, text)),
  );
  const rows = new Map(model.get('dials').map((dial) => [dial.key, filterRow(dial, { turn, move, flip })]));
  const listId = newId('order');
  const list = h('ol', { class: 'lmd-chain', 'aria-labelledby': listId }, [...rows.values()].map((row) => row.node));
  const stagePicker = h('select', { onchange: () => set({ stage: stagePicker.value }) });
  const table = comparison(
    'After the prompt',
    [
      ['before', 'exact', 'Before'],
      ['after', 'model', 'After'],
      ['drawn', 'other', 'Drawn'],
    ],
    LINES,
    3,
  );
  const more = [1, 10, 100, 1000].map((n) =>
    button(n === 1 ? 'Draw a word' : `+ ${n.toLocaleString('en')}`, () => drawMore(n), { 'data-more': n })
  );
  const clear = button('None', () => set({ draws: 0 }), { 'aria-label': 'Forget the drawn words' });
  const seed = h('input', { type: 'number', min: 0, max: 2 ** 32 - 1, step: 1, onchange: () => reseed(seed.value) });
  const told = h('p', { class: 'lmw-quiet lmd-last' });
  const root = frame(
    el,
    'decoding-explorer',
    'Decoding explorer',
    h(
      'div',
      { class: 'lmw-line' },
      prompt.node,
      h('label', { class: 'lmw-field' }, h('span', {}, 'or pick one'), picker),
    ),
    prompt.message,
    h('p', { class: 'lmd-title', id: listId }, 'Filters, in the order in which they act'),
    list,
    h('label', { class: 'lmw-field' }, h('span', {}, 'Show before and after'), stagePicker),
    table.node,
    h(
      'div',
      { class: 'lmw-line' },
      more,
      clear,
      h('label', { class: 'lmd-seed' }, h('span', {}, 'Seed'), seed),
    ),
    told,
    runsHere(net, '✗ marks what no speaker of the language would say here. '),
  );
  root.classList.add('lmw-decoding');
  const heard = announcer(root);

  function turn(key, value) {
    change(key, { value, on: true });
  }
  function flip(key) {
    change(key, { on: !chainNow().find((step) => step.key === key).on });
  }
  function move(key, by) {
    const chain = chainNow();
    const from = chain.findIndex((step) => step.key === key);
    const to = from + by;
    if (to < 0 || to >= chain.length) return;
    chain.splice(to, 0, ...chain.splice(from, 1));
    set({ chain });
  }
  function drawMore(count) {
    set({ draws: Math.min(model.get('draws') + count, MAX_DRAWS) });
  }
  function reseed(text) {
    const value = Math.trunc(Number(text));
    if (Number.isFinite(value)) set({ seed: Math.min(Math.max(value, 0), 2 ** 32 - 1) });
    seed.value = model.get('seed');
  }

  // Puts the rows into the order of the chain; whoever has the focus keeps it.
  function order(chain) {
    const wanted = chain.map(({ key }) => rows.get(key).node);
    if (wanted.every((node, i) => list.children[i] === node)) return;
    const active = document.activeElement;
    list.append(...wanted);
    if (active instanceof HTMLElement && list.contains(active)) active.focus({ preventScroll: true });
  }

  function drawChain(chain, stages, left) {
    order(chain);
    chain.forEach((step, i) => {
      const at = stages.findIndex(({ key }) => key === step.key);
      rows.get(step.key).draw(step, left[at], i, chain.length);
    });
    const options = stages.slice(1).map(({ key }, i) => [key, `${i + 1}. ${rows.get(key).name()} alone`]);
    const all = ['', options.length ? 'all filters together' : 'no filter is on'];
    stagePicker.replaceChildren(...[all, ...options].map(([value, text]) => h('option', { value }, text)));
    stagePicker.value = stages.some(({ key }) => key === model.get('stage')) ? model.get('stage') : '';
  }

  function drawTable(stages, dists, isPossible) {
    const at = Math.max(stages.findIndex(({ key }) => key === stagePicker.value), 0);
    const [from, to] = at ? [at - 1, at] : [0, stages.length - 1];
    const { counts, last } = drawWords(dists.at(-1), model.get('draws'), model.get('seed'));
    const draws = model.get('draws');
    const shares = counts.map((n) => (draws ? n / draws : 0));
    const shown = [dists[from], dists[to], shares];
    const names = vocab.map((word, w) => (isPossible[w] ? word : `${word} ✗`));
    table.draw(names, shown, likeliest([dists[from], dists[to]], LINES));
    const sums = shown.map((dist) => summary(dist, isPossible));
    table.writeFoot(0, 'Words', sums.map(({ count }) => count), 0);
    table.writeFoot(1, 'Impossible ✗', sums.map(({ impossible }) => impossible), 4);
    table.writeFoot(2, 'Entropy, nats', [sums[0].entropy, sums[1].entropy, null], 3);
    table.notes[0].textContent = from ? `after ${rows.get(stages[from].key).name()}` : 'the model';
    table.notes[1].textContent = to === stages.length - 1 ? 'what is drawn from' : rows.get(stages[to].key).name();
    table.notes[2].textContent = `${plural(draws, 'draw')}, seed ${model.get('seed')}`;
    told.textContent = last.length
      ? `Drawn${draws > LAST ? ' last' : ''}: ${last.map((w) => vocab[w]).join(', ')}.`
      : 'No word is drawn yet.';
    return sums;
  }

  // Reads the prompt; where it can't be read the last one stays.
  function read() {
    const { ids: found, wrong } = prompt.read(model.get('prompt'));
    if (found && (!logits || found.join() !== ids.join())) {
      ids = found;
      ({ logits } = net.session(ids));
    }
    picker.value = presets.includes(model.get('prompt')) ? model.get('prompt') : '';
    return wrong;
  }

  function draw() {
    const wrong = read();
    if (!logits) return heard.say(wrong);
    const exact = automaton.dist(ids);
    const isPossible = vocab.map((_, w) => exact[w] > 0);
    const stages = stagesOf(logits, ids, model.get('chain'));
    const dists = stages.map((stage) => softmax(stage.logits));
    const left = dists.map((dist) => summary(dist, isPossible));
    drawChain(model.get('chain'), stages, left);
    const [before, after] = drawTable(stages, dists, isPossible);
    seed.value = model.get('seed');
    Object.assign(root.dataset, {
      words: ids.map((id) => vocab[id]).join(' '),
      stage: stagePicker.value,
      draws: model.get('draws'),
      seed: model.get('seed'),
      order: model.get('chain').map(({ key }) => key).join(' '),
    });
    heard.say(
      wrong ||
        `${plural(after.count, 'word')} left of ${before.count}, ${
          after.impossible.toFixed(4)
        } of the probability on impossible words. ${told.textContent}`,
    );
  }

  return live(root, model, ['prompt', 'chain', 'stage', 'draws', 'seed'], draw, heard.stop);
}

export default { render };
