// The tree of a beam search, grown a step at a time: what was kept, what was dropped, and greedy decoding beside it.
import { announcer, button, formatProb, frame, h, live, plural, setter } from './kit/kit.js';
import { loadModels } from './core/models.js';
import { beamSteps, decodeSteps } from './core/search.js';

const DROPPED = 3; // candidates of each step that are shown though they were cut

// The whole search: for each step {kept, dropped}, lists of {ids, logProb}, best first; `found` is the best text of all.
export function growTree(model, start, numBeams, length) {
  const steps = [];
  let before = [{ ids: start, logProb: 0 }];
  for (const { beams, candidates } of beamSteps(model, start, numBeams, length)) {
    const told = ({ parent, token, logProb }) => ({ ids: [...before[parent].ids, token], logProb });
    const kept = candidates.filter((one) => one.fate !== 'dropped').map(told);
    const dropped = candidates.filter((one) => one.fate === 'dropped').slice(0, DROPPED).map(told);
    steps.push({ kept, dropped });
    before = beams;
  }
  return { steps, found: steps[steps.length - 1].kept[0] };
}

export function greedyPath(model, start, length) {
  let [ids, logProb] = [start, 0];
  for (const step of decodeSteps(model, start, length)) {
    ids = step.ids;
    logProb += step.logProb;
  }
  return { ids, logProb };
}

const keyOf = (ids) => ids.join(' ');

function render({ model, el }) {
  const models = loadModels(model.get('headers'), model.get('tables'));
  const length = model.get('length');
  const set = setter(model);
  const choice = h(
    'select',
    { onchange: () => set({ search: Number(choice.value), steps: 0 }) },
    models.map(({ name }, i) => h('option', { value: i }, name)),
  );
  const widthName = h('span');
  const width = h('input', {
    type: 'range',
    min: 1,
    max: 8,
    step: 1,
    oninput: () => set({ num_beams: Number(width.value) }),
  });
  const move = (by) => set({ steps: Math.min(Math.max(model.get('steps') + by, 0), length) });
  const [back, step, all] = [
    button('Back', () => move(-1)),
    button('One step', () => move(1)),
    button('All steps', () => move(length)),
  ];
  const message = h('p', { class: 'lmw-message' });
  const tree = h('div', { class: 'lmw-tree', tabindex: 0, role: 'region', 'aria-label': 'The tree of prefixes' });
  const body = h('tbody');
  const root = frame(
    el,
    'beam-tree',
    'Beam tree',
    h(
      'div',
      { class: 'lmw-line' },
      h('label', { class: 'lmw-field' }, h('span', {}, 'Search'), choice),
      h('label', { class: 'lmw-field' }, widthName, width),
    ),
    h('div', { class: 'lmw-line' }, step, back, all),
    message,
    tree,
    h(
      'table',
      { class: 'lmw-found' },
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          h('td'),
          h('th', { scope: 'col' }, 'Words'),
          h('th', { scope: 'col', class: 'lmw-num' }, 'P'),
        ),
      ),
      body,
    ),
    h(
      'p',
      { class: 'lmw-quiet' },
      `✓ kept, ✕ dropped (of those the best ${DROPPED} of each step are shown), G on greedy’s path. Numbers are P of the words after the prompt.`,
    ),
  );
  root.classList.add('lmw-beam');
  const heard = announcer(root);

  // The node of `ids` and, below it, what grew from it.
  function nodeOf({ ids, logProb }, fate, grown, greedy, label) {
    const children = grown.filter((one) =>
      one.ids.length === ids.length + 1 && keyOf(one.ids.slice(0, -1)) === keyOf(ids)
    );
    const onGreedy = keyOf(greedy.ids.slice(0, ids.length)) === keyOf(ids);
    const sign = { kept: '✓', dropped: '✕', root: '' }[fate];
    const node = h(
      'span',
      {
        class: `lmw-node lmw-${fate}`,
        'data-fate': fate,
        'data-ids': keyOf(ids),
        'data-log-prob': logProb,
        'data-greedy': String(onGreedy),
      },
      h('span', { 'aria-hidden': 'true' }, sign),
      h('b', {}, label(ids)),
      fate === 'root' ? [] : [h('span', { class: 'lmw-num' }, formatProb(Math.exp(logProb)))],
      h(
        'small',
        {},
        [fate === 'root' ? '' : fate, onGreedy && fate !== 'root' ? 'G, greedy' : ''].filter(Boolean).join(', '),
      ),
    );
    const below = children.map((one) => nodeOf(one, one.fate, grown, greedy, label));
    return h('li', {}, node, below.length ? [h('ul', {}, below)] : []);
  }

  function draw() {
    const [search, numBeams, steps] = [model.get('search'), model.get('num_beams'), model.get('steps')];
    const [net, start, best] = [models[search], model.get('starts')[search], model.get('best')[search]];
    const grown = growTree(net, start, numBeams, length);
    const greedy = greedyPath(net, start, length);
    const label = (ids) => (ids.length === start.length ? net.tokenizer.decode(ids) : net.tokenizer.tokens[ids.at(-1)]);
    const shown = grown.steps.slice(0, steps).flatMap(({ kept, dropped }) => [
      ...kept.map((one) => ({ ...one, fate: 'kept' })),
      ...dropped.map((one) => ({ ...one, fate: 'dropped' })),
    ]);
    tree.replaceChildren(h('ul', {}, nodeOf({ ids: start, logProb: 0 }, 'root', shown, greedy, label)));
    const words = ({ ids }) => net.tokenizer.decode(ids.slice(start.length));
    const done = steps === length;
    const rows = [['greedy', greedy], [`beam, ${numBeams}`, done ? grown.found : null], [
      'best of all',
      done ? best : null,
    ]];
    body.replaceChildren(...rows.map(([name, one]) =>
      h(
        'tr',
        { 'data-name': name, 'data-log-prob': one ? one.logProb : '' },
        h('th', { scope: 'row' }, name),
        h('td', {}, one ? words(one) : '…'),
        h('td', { class: 'lmw-num' }, one ? formatProb(Math.exp(one.logProb)) : ''),
      )
    ));
    choice.value = String(search);
    width.value = String(numBeams);
    widthName.textContent = `Beam width: ${numBeams}`;
    width.setAttribute('aria-valuetext', plural(numBeams, 'beam'));
    // A button that goes out hands the focus on: who works by keyboard stays where the buttons are.
    const hadFocus = [back, step, all].some((one) => one.matches(':focus'));
    back.disabled = steps === 0;
    step.disabled = all.disabled = done;
    if (hadFocus && !root.querySelector('button:focus:not([disabled])')) (done ? back : step).focus();
    let text = `Step ${steps} of ${length}.`;
    if (steps) {
      const { kept } = grown.steps[steps - 1];
      const mass = kept.reduce((sum, one) => sum + Math.exp(one.logProb), 0);
      const gone = !kept.some(({ ids }) => keyOf(ids) === keyOf(greedy.ids.slice(0, ids.length)));
      const count = kept.length === 1 ? 'One prefix' : `${kept.length} prefixes`;
      text += ` ${count} kept, with ${formatProb(mass)} of the probability.`;
      if (gone) text += ' Greedy’s prefix is not among them.';
      if (done && grown.found.logProb < greedy.logProb - 1e-9) text += ' The beam found something worse than greedy.';
      else if (done && grown.found.logProb < best.logProb - 1e-9) {
        text += ' The best text of all was dropped on the way.';
      }
    }
    message.textContent = text;
    Object.assign(root.dataset, { search, numBeams, steps });
    heard.say(text);
  }

  return live(root, model, ['search', 'num_beams', 'steps'], draw, heard.stop);
}

export default { render };
