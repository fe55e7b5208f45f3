// The decoding explorer: filters in any order, the distribution before and after each, and words drawn from the rest.
import { beforeAndAfter, distributionsOf, drawWords, summary, TOLD } from './decoding_stages.js';
import {
  announcer,
  button,
  dropDown,
  field,
  frame,
  h,
  line,
  live,
  newId,
  plural,
  setOptions,
  setter,
  slider,
} from './kit/kit.js';
import { readPair, runsHere } from './kit/page_model.js';
import { comparison, likeliest, sentenceField } from './kit/sentence.js';
import { presetPicker } from './kit/text_field.js';

/** @import { Numbers } from './core/filters.js' */
/** @import { Stage, Step } from './decoding_stages.js' */
/** @import { Drawn, WidgetModel } from './kit/kit.js' */
/** @import { Column } from './kit/sentence.js' */

const LINES = 12; // words that get a line of their own
const MAX_DRAWS = 10_000;
const MAX_SEED = 2 ** 32 - 1;

/** @typedef {{ key: string, name: string, from: number, to: number, step: number, digits: number }} Dial a filter's slider */

// ---- The filters ------------------------------------------------------------------------------------------------------

/**
 * What the reader can do to the chain.
 * @param {WidgetModel} model
 */
function chainActions(model) {
  const set = setter(model);
  /** @type {() => Step[]} */
  const chainNow = () => model.get('chain').map((/** @type {Step} */ step) => ({ ...step }));
  /**
   * @param {string} key
   * @param {(step: Step) => Partial<Step>} edit
   */
  const change = (key, edit) =>
    set({ chain: chainNow().map((step) => (step.key === key ? { ...step, ...edit(step) } : step)) });
  /**
   * @param {string} key
   * @param {number} by places; −1 is one earlier
   */
  function move(key, by) {
    const chain = chainNow();
    const from = chain.findIndex((step) => step.key === key);
    const to = from + by;
    if (to < 0 || to >= chain.length) return;
    chain.splice(to, 0, ...chain.splice(from, 1));
    set({ chain });
  }
  return {
    turn: (/** @type {string} */ key, /** @type {number} */ value) => change(key, () => ({ value, on: true })),
    flip: (/** @type {string} */ key) => change(key, ({ on }) => ({ on: !on })),
    move,
  };
}

/**
 * One filter: a switch, a slider, what it leaves, and two buttons that move it.
 * @param {Dial} dial
 * @param {ReturnType<typeof chainActions>} actions
 */
function filterRow({ key, name, from, to, step, digits }, actions) {
  const value = h('output');
  const told = h('span', { class: 'lmd-told' });
  const flip = button(name, () => actions.flip(key), { class: 'lmw-button lmd-switch' });
  const range = slider([from, to, step], (now) => actions.turn(key, now), { 'aria-label': `${name}: value` });
  const up = button('▲', () => actions.move(key, -1), { 'aria-label': `${name}: earlier` });
  const down = button('▼', () => actions.move(key, 1), { 'aria-label': `${name}: later` });
  const node = h('li', { 'data-filter': key }, flip, range, value, told, h('span', { class: 'lmd-move' }, up, down));
  /**
   * @param {Step} step
   * @param {Stage | undefined} left what it leaves, where it is on
   * @param {number} place in the chain
   * @param {number} count how many filters the chain has
   */
  function draw({ on, value: now }, left, place, count) {
    flip.setAttribute('aria-pressed', String(on));
    if (Number(range.value) !== now) range.value = String(now);
    value.textContent = now.toFixed(digits).replace('-', '−');
    range.setAttribute('aria-valuetext', value.textContent);
    up.setAttribute('aria-disabled', String(place === 0));
    down.setAttribute('aria-disabled', String(place === count - 1));
    told.textContent = left ? plural(left.count, 'word') : 'off';
    node.classList.toggle('lmd-off', !on);
    Object.assign(node.dataset, { on, value: now, count: left ? left.count : '' });
  }
  return { node, draw, name: () => `${name} ${value.textContent}` };
}

/**
 * All filters, in the order in which they act.
 * @param {Dial[]} dials
 * @param {ReturnType<typeof chainActions>} actions
 */
function filterChain(dials, actions) {
  const rows = new Map(dials.map((dial) => [dial.key, filterRow(dial, actions)]));
  /** @param {string} key */
  function rowOf(key) {
    const row = rows.get(key);
    if (!row) throw new RangeError(`no slider for the filter ${JSON.stringify(key)}`);
    return row;
  }
  const title = h('p', { class: 'lmd-title', id: newId('order') }, 'Filters, in the order in which they act');
  const nodes = [...rows.values()].map((row) => row.node);
  const list = h('ol', { class: 'lmd-chain', 'aria-labelledby': title.id }, nodes);
  /**
   * Puts the rows into the order of the chain. The element with the focus keeps it.
   * @param {Step[]} chain
   */
  function order(chain) {
    const wanted = chain.map(({ key }) => rowOf(key).node);
    if (wanted.every((node, i) => list.children[i] === node)) return;
    const active = document.activeElement;
    list.append(...wanted);
    if (active instanceof HTMLElement && list.contains(active)) active.focus({ preventScroll: true });
  }
  /**
   * @param {Step[]} chain
   * @param {Stage[]} stages
   */
  function draw(chain, stages) {
    order(chain);
    chain.forEach((step, i) => rowOf(step.key).draw(step, stages.find(({ key }) => key === step.key), i, chain.length));
  }
  return { nodes: [title, list], draw, nameOf: (/** @type {string} */ key) => rowOf(key).name() };
}

/**
 * The choice of the filter whose effect is shown. `draw` returns what is chosen: one that is off can't be.
 * @param {(key: string) => string} nameOf
 * @param {(key: string) => void} onpick
 */
function stageChoice(nameOf, onpick) {
  const select = dropDown(onpick);
  /**
   * @param {Stage[]} stages
   * @param {string} wanted
   */
  function draw(stages, wanted) {
    const filters = stages.slice(1);
    setOptions(select, [
      ['', filters.length ? 'all filters together' : 'no filter is on'],
      .../** @type {[string, string][]} */ (filters.map(({ key }, i) => [key, `${i + 1}. ${nameOf(key)} alone`])),
    ]);
    select.value = stages.some(({ key }) => key === wanted) ? wanted : '';
    return select.value;
  }
  return { node: field('Show before and after', select), draw };
}

// ---- The words --------------------------------------------------------------------------------------------------------

/**
 * Buttons that draw words, one that forgets them, and the seed.
 * @param {WidgetModel} model
 */
function drawControls(model) {
  const set = setter(model);
  const more = [1, 10, 100, 1000].map((n) => {
    const drawMore = () => set({ draws: Math.min(model.get('draws') + n, MAX_DRAWS) });
    return button(n === 1 ? 'Draw a word' : `+ ${n.toLocaleString('en')}`, drawMore, { 'data-more': n });
  });
  const clear = button('None', () => set({ draws: 0 }), { 'aria-label': 'Forget the drawn words' });
  const seed = h('input', { type: 'number', min: 0, max: MAX_SEED, step: 1, onchange: reseed });
  function reseed() {
    const value = Math.trunc(Number(seed.value));
    if (Number.isFinite(value)) set({ seed: Math.min(Math.max(value, 0), MAX_SEED) });
    draw();
  }
  function draw() {
    seed.value = String(model.get('seed'));
  }
  return { node: line(more, clear, h('label', { class: 'lmd-seed' }, h('span', {}, 'Seed'), seed)), draw };
}

/**
 * @param {string[]} vocab
 * @param {number[]} last the words that were drawn last
 * @param {number} draws
 */
function tellDrawn(vocab, last, draws) {
  if (!last.length) return 'No word is drawn yet.';
  return `Drawn${draws > TOLD ? ' last' : ''}: ${last.map((w) => vocab[w]).join(', ')}.`;
}

/**
 * The distribution before and after, and the shares of the drawn words.
 * @param {string[]} vocab
 * @param {(key: string) => string} nameOf
 */
function resultTable(vocab, nameOf) {
  /** @type {Column[]} */
  const columns = [['before', 'exact', 'Before'], ['after', 'model', 'After'], ['drawn', 'other', 'Drawn']];
  const table = comparison('After the prompt', columns, LINES, 3);
  /**
   * @param {Stage[]} stages
   * @param {number[]} shown the two that stand side by side
   * @param {boolean[]} isPossible
   * @param {Float64Array} drawn how often each word was drawn
   * @param {{ draws: number, seed: number }} how
   */
  function draw(stages, [from, to], isPossible, drawn, { draws, seed }) {
    const [before, after] = [stages[from], stages[to]];
    const shares = drawn.map((n) => (draws ? n / draws : 0));
    const names = vocab.map((word, w) => (isPossible[w] ? word : `${word} ✗`));
    table.draw(names, [before.dist, after.dist, shares], likeliest([before.dist, after.dist], LINES));
    const sums = [before, after, summary(shares, isPossible)];
    table.writeFoot(0, 'Words', sums.map(({ count }) => count), 0);
    table.writeFoot(1, 'Impossible ✗', sums.map(({ impossible }) => impossible), 4);
    table.writeFoot(2, 'Entropy, nats', [before.entropy, after.entropy, null], 3);
    table.notes[0].textContent = from ? `after ${nameOf(before.key)}` : 'the model';
    table.notes[1].textContent = to === stages.length - 1 ? 'what is drawn from' : nameOf(after.key);
    table.notes[2].textContent = `${plural(draws, 'draw')}, seed ${seed}`;
  }
  return { node: table.node, draw };
}

// ---- The view ---------------------------------------------------------------------------------------------------------

/**
 * The prompt: a field, and prompts to pick from. `read` gives the ids and logits of the last prompt that could be read,
 * null before the first, and what is wrong with the text.
 * @param {ReturnType<typeof readPair>} pair
 * @param {string[]} presets
 * @param {(text: string) => void} oninput
 */
function promptWriter({ net, exact, vocab }, presets, oninput) {
  const prompt = sentenceField({
    vocab,
    exact,
    net,
    empty: 'Write some words of the language, or pick a prompt.',
    advice: 'The filters act from top to bottom. Move one, and see what it finds.',
    oninput,
  }, 'Your prompt');
  const picker = presetPicker(presets, oninput);
  /** @type {{ ids: number[], logits: Numbers } | null} */
  let last = null;
  /** @param {string} text */
  function read(text) {
    const { ids, wrong } = prompt.read(text);
    if (ids && ids.join() !== last?.ids.join()) last = { ids, logits: net.session(ids).logits };
    picker.show(text);
    return { last, wrong };
  }
  return { nodes: [line(prompt.node, field('or pick one', picker.node)), prompt.message], read };
}

/** @param {Drawn} widget */
function render({ model, el }) {
  const pair = readPair(model);
  const { net, exact, vocab } = pair;
  const set = setter(model);
  const prompt = promptWriter(pair, model.get('presets'), (text) => set({ prompt: text }));
  const filters = filterChain(model.get('dials'), chainActions(model));
  const choice = stageChoice(filters.nameOf, (stage) => set({ stage }));
  const table = resultTable(vocab, filters.nameOf);
  const controls = drawControls(model);
  const told = h('p', { class: 'lmw-quiet lmd-last' });
  const root = frame(
    el,
    'decoding-explorer',
    'Decoding explorer',
    prompt.nodes,
    filters.nodes,
    choice.node,
    table.node,
    controls.node,
    told,
    runsHere(net, '✗ marks what no speaker of the language would say here. '),
  );
  root.classList.add('lmw-decoding');
  const heard = announcer(root);

  function draw() {
    const { last, wrong } = prompt.read(model.get('prompt'));
    if (!last) return heard.say(wrong);
    const { ids, logits } = last;
    /** @type {Step[]} */
    const chain = model.get('chain');
    const [draws, seed] = [model.get('draws'), model.get('seed')];
    const isPossible = Array.from(exact.dist(ids), (p) => p > 0);
    const stages = distributionsOf(logits, ids, chain, isPossible);
    const drawn = drawWords(stages[stages.length - 1].dist, draws, seed);
    filters.draw(chain, stages);
    const stage = choice.draw(stages, model.get('stage'));
    const [from, to] = beforeAndAfter(stages, stage);
    table.draw(stages, [from, to], isPossible, drawn.counts, { draws, seed });
    controls.draw();
    told.textContent = tellDrawn(vocab, drawn.last, draws);
    const [words, order] = [ids.map((id) => vocab[id]), chain.map(({ key }) => key)];
    Object.assign(root.dataset, { words: words.join(' '), stage, draws, seed, order: order.join(' ') });
    const left = `${plural(stages[to].count, 'word')} left of ${stages[from].count}`;
    const impossible = `${stages[to].impossible.toFixed(4)} of the probability on impossible words`;
    heard.say(wrong || `${left}, ${impossible}. ${told.textContent}`);
  }

  return live(root, model, ['prompt', 'chain', 'stage', 'draws', 'seed'], draw, heard.stop);
}

export default { render };
