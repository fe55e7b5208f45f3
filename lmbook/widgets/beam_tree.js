// The tree of a beam search, step by step: what was kept, what was dropped, and greedy decoding beside it.
import { loadModels } from './core/models.js';
import { beamSteps, decodeSteps } from './core/search.js';
import {
  announcer,
  button,
  dropDown,
  field,
  formatProb,
  frame,
  h,
  headings,
  line,
  live,
  plural,
  quiet,
  setter,
  slider,
} from './kit/kit.js';
import { wordsOf } from './kit/page_model.js';

/** @import { Candidate, Found, SearchModel } from './core/search.js' */
/** @import { Drawn } from './kit/kit.js' */

/** @typedef {{ kept: Found[], dropped: Found[] }} Growth of one step, best first */
/** @typedef {Found & { fate: 'root' | 'kept' | 'dropped' }} Prefix */

const DROPPED = 3; // dropped candidates of each step that are shown
const MAX_BEAMS = 8;

/**
 * The whole search, step by step; `found` is the best text that it finds.
 * @param {SearchModel} model
 * @param {number[]} start
 * @param {number} numBeams
 * @param {number} length
 */
export function growTree(model, start, numBeams, length) {
  /** @type {Growth[]} */
  const steps = [];
  /** @type {Found[]} */
  let before = [{ ids: start, logProb: 0 }];
  for (const { beams, candidates } of beamSteps(model, start, numBeams, length)) {
    /** @param {Candidate} candidate */
    const told = ({ parent, token, logProb }) => ({ ids: [...before[parent].ids, token], logProb });
    const kept = candidates.filter((one) => one.fate !== 'dropped').map(told);
    const dropped = candidates.filter((one) => one.fate === 'dropped').slice(0, DROPPED).map(told);
    steps.push({ kept, dropped });
    before = beams;
  }
  return { steps, found: steps[steps.length - 1].kept[0] };
}

/**
 * @param {SearchModel} model
 * @param {number[]} start
 * @param {number} length
 * @returns {Found}
 */
export function greedyPath(model, start, length) {
  let [ids, logProb] = [start, 0];
  for (const step of decodeSteps(model, start, length)) {
    ids = step.ids;
    logProb += step.logProb;
  }
  return { ids, logProb };
}

/** @param {number[]} ids */
const keyOf = (ids) => ids.join(' ');

/**
 * Whether a text begins with `ids`.
 * @param {Found} text
 * @param {number[]} ids
 */
const begins = (text, ids) => keyOf(text.ids.slice(0, ids.length)) === keyOf(ids);

/**
 * @param {Prefix} prefix
 * @param {string} label
 * @param {boolean} onGreedy
 */
function prefixNode({ ids, logProb, fate }, label, onGreedy) {
  const isRoot = fate === 'root';
  const sign = { kept: '✓', dropped: '✕', root: '' }[fate];
  const attributes = {
    class: `lmw-node lmw-${fate}`,
    'data-fate': fate,
    'data-ids': keyOf(ids),
    'data-log-prob': logProb,
    'data-greedy': String(onGreedy),
  };
  return h(
    'span',
    attributes,
    h('span', { 'aria-hidden': 'true' }, sign),
    h('b', {}, label),
    isRoot ? [] : [h('span', { class: 'lmw-num' }, formatProb(Math.exp(logProb)))],
    h('small', {}, isRoot ? '' : [fate, onGreedy ? 'G, greedy' : ''].filter(Boolean).join(', ')),
  );
}

/**
 * A prefix and, below it, what grew from it.
 * @param {Prefix} prefix
 * @param {Prefix[]} grown
 * @param {Found} greedy
 * @param {(ids: number[]) => string} label
 * @returns {HTMLLIElement}
 */
function branch(prefix, grown, greedy, label) {
  const { ids } = prefix;
  const below = grown.filter((one) => one.ids.length === ids.length + 1 && begins(one, ids))
    .map((one) => branch(one, grown, greedy, label));
  const node = prefixNode(prefix, label(ids), begins(greedy, ids));
  return h('li', {}, node, below.length ? [h('ul', {}, below)] : []);
}

/** The prefixes, each below the one that it grew from. */
function prefixTree() {
  const node = h('div', { class: 'lmw-tree', tabindex: 0, role: 'region', 'aria-label': 'The tree of prefixes' });
  /**
   * @param {number[]} start
   * @param {Growth[]} steps that were taken
   * @param {Found} greedy
   * @param {(ids: number[]) => string} label
   */
  function draw(start, steps, greedy, label) {
    /** @type {Prefix[]} */
    const grown = steps.flatMap(({ kept, dropped }) => [
      ...kept.map((one) => ({ ...one, fate: /** @type {const} */ ('kept') })),
      ...dropped.map((one) => ({ ...one, fate: /** @type {const} */ ('dropped') })),
    ]);
    node.replaceChildren(h('ul', {}, branch({ ids: start, logProb: 0, fate: 'root' }, grown, greedy, label)));
  }
  return { node, draw };
}

/** The texts that were found and their probabilities. */
function foundTable() {
  const body = h('tbody');
  const probability = h('th', { scope: 'col', class: 'lmw-num' }, 'P');
  const node = h('table', { class: 'lmw-found' }, headings(h('td'), 'Words', probability), body);
  /**
   * @param {[name: string, text: Found | null][]} rows null: not shown yet
   * @param {(text: Found) => string} words
   */
  function draw(rows, words) {
    body.replaceChildren(...rows.map(([name, one]) =>
      h(
        'tr',
        { 'data-name': name, 'data-log-prob': one ? one.logProb : '' },
        h('th', { scope: 'row' }, name),
        h('td', {}, one ? words(one) : '…'),
        h('td', { class: 'lmw-num' }, one ? formatProb(Math.exp(one.logProb)) : ''),
      )
    ));
  }
  return { node, draw };
}

/**
 * @param {number} length steps in all
 * @param {(by: number) => void} move
 */
function stepButtons(length, move) {
  const step = button('One step', () => move(1));
  const back = button('Back', () => move(-1));
  const all = button('All steps', () => move(length));
  const buttons = [step, back, all];
  /** @param {number} steps */
  function draw(steps) {
    const done = steps === length;
    // A disabled button loses the focus: another button gets it, so that the keyboard stays here.
    const hadFocus = buttons.some((one) => one.matches(':focus'));
    back.disabled = steps === 0;
    step.disabled = all.disabled = done;
    if (hadFocus && !buttons.some((one) => one.matches(':focus:not([disabled])'))) (done ? back : step).focus();
  }
  return { node: line(...buttons), draw };
}

/** @param {(numBeams: number) => void} onmove */
function widthSlider(onmove) {
  const name = h('span');
  const input = slider([1, MAX_BEAMS, 1], onmove);
  /** @param {number} numBeams */
  function draw(numBeams) {
    input.value = String(numBeams);
    name.textContent = `Beam width: ${numBeams}`;
    input.setAttribute('aria-valuetext', plural(numBeams, 'beam'));
  }
  return { node: field(name, input), draw };
}

/**
 * The line about the last step that was taken.
 * @param {{ steps: Growth[], found: Found }} grown
 * @param {number} steps
 * @param {Found} greedy
 * @param {Found} best
 */
function remarkOn(grown, steps, greedy, best) {
  const text = `Step ${steps} of ${grown.steps.length}.`;
  if (!steps) return text;
  const { kept } = grown.steps[steps - 1];
  const mass = kept.reduce((sum, one) => sum + Math.exp(one.logProb), 0);
  const count = kept.length === 1 ? 'One prefix' : `${kept.length} prefixes`;
  const said = [text, `${count} kept, with ${formatProb(mass)} of the probability.`];
  if (!kept.some(({ ids }) => begins(greedy, ids))) said.push('Greedy’s prefix is not among them.');
  if (steps === grown.steps.length) {
    const worseThan = (/** @type {Found} */ { logProb }) => grown.found.logProb < logProb - 1e-9;
    if (worseThan(greedy)) said.push('The beam found something worse than greedy.');
    else if (worseThan(best)) said.push('The best text of all was dropped on the way.');
  }
  return said.join(' ');
}

function legend() {
  return quiet(
    `✓ kept, ✕ dropped (of those the best ${DROPPED} of each step are shown), G on greedy’s path. Numbers are P of the words after the prompt.`,
  );
}

/** @param {Drawn} widget */
function render({ model, el }) {
  const models = loadModels(model.get('headers'), model.get('tables'));
  /** @type {number} */
  const length = model.get('length');
  const set = setter(model);
  const choice = dropDown(
    (search) => set({ search: Number(search), steps: 0 }),
    models.map(({ name }, i) => [i, name]),
  );
  const width = widthSlider((numBeams) => set({ num_beams: numBeams }));
  const buttons = stepButtons(
    length,
    (by) => set({ steps: Math.min(Math.max(model.get('steps') + by, 0), length) }),
  );
  const message = h('p', { class: 'lmw-message' });
  const [tree, table] = [prefixTree(), foundTable()];
  const controls = line(field('Search', choice), width.node);
  const parts = [controls, buttons.node, message, tree.node, table.node, legend()];
  const root = frame(el, 'beam-tree', 'Beam tree', parts);
  root.classList.add('lmw-beam');
  const heard = announcer(root);

  function draw() {
    const [search, numBeams, steps] = [model.get('search'), model.get('num_beams'), model.get('steps')];
    const [net, start, best] = [models[search], model.get('starts')[search], model.get('best')[search]];
    const { tokenizer } = net;
    const words = wordsOf(tokenizer.tokens);
    const grown = growTree(net, start, numBeams, length);
    const greedy = greedyPath(net, start, length);
    tree.draw(
      start,
      grown.steps.slice(0, steps),
      greedy,
      (ids) => ids.length === start.length ? tokenizer.decode(ids) : words[ids[ids.length - 1]],
    );
    const done = steps === length;
    table.draw([
      ['greedy', greedy],
      [`beam, ${numBeams}`, done ? grown.found : null],
      ['best of all', done ? best : null],
    ], ({ ids }) => tokenizer.decode(ids.slice(start.length)));
    choice.value = String(search);
    width.draw(numBeams);
    buttons.draw(steps);
    message.textContent = remarkOn(grown, steps, greedy, best);
    Object.assign(root.dataset, { search, numBeams, steps });
    heard.say(message.textContent);
  }

  return live(root, model, ['search', 'num_beams', 'steps'], draw, heard.stop);
}

export default { render };
