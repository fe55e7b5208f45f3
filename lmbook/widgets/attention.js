// The attention explorer: a trained transformer runs in the page, and every head shows what it looks at.
import { comparison, likeliest, sentenceField, svg, wordRow } from './kit/sentence.js';
import { splitWords } from './core/words.js';
import { announcer, formatProb, frame, h, live, newId, setter } from './kit/kit.js';
import { readPair, runsHere } from './kit/page_model.js';

const LINES = 7; // words that get a line of their own
const SHADES = 12;

/** @typedef {{ ids: number[] } & ReturnType<typeof look>} Seen */

// All that the model makes of `ids`: its attention, and after each word the next one's distribution.
export function look(net, ids) {
  return { attention: net.attention(ids), dists: ids.map((_, t) => net.dist(ids.slice(0, t + 1))) };
}

// The subject that a verb after word t agrees with: the last word up to there after which the language is in one of
// `subjectStates`. −1: there is none yet.
export function subjectPlace(exact, subjectStates, ids, t) {
  let [state, place] = [0, -1];
  for (let s = 0; s <= t; s++) {
    state = exact.step(state, ids[s]);
    if (subjectStates.includes(state)) place = s;
  }
  return place;
}

// A square of T × T shares, row by row: darker is more. One path for each of a few shades, so that eight heads of a long
// sentence are drawn at once. Above the diagonal nothing is: the causal mask.
function makeMap() {
  const triangle = svg('path', { class: 'lmw-triangle' });
  const shades = Array.from(
    { length: SHADES },
    (_, i) => svg('path', { 'fill-opacity': ((i + 0.5) / SHADES).toFixed(3) }),
  );
  const mark = svg('path', { class: 'lmw-row-mark' });
  const node = svg('svg', { class: 'lmw-map', 'aria-hidden': 'true' }, triangle, shades, mark);
  function draw(shares, T, row) {
    node.setAttribute('viewBox', `0 0 ${T} ${T}`);
    const paths = Array.from({ length: SHADES }, () => '');
    let steps = 'M0 0';
    for (let t = 0; t < T; t++) {
      steps += `H${t + 1}V${t + 1}`;
      for (let s = 0; s <= t; s++) {
        const shade = Math.min(Math.floor(shares[t * T + s] * SHADES), SHADES - 1);
        if (shares[t * T + s] > 0.01) paths[shade] += `M${s} ${t}h1v1h-1z`;
      }
    }
    triangle.setAttribute('d', `${steps}H0z`);
    shades.forEach((path, i) => path.setAttribute('d', paths[i]));
    mark.setAttribute('d', `M0 ${row}h${row + 1}v1h-${row + 1}z`);
  }
  return { node, draw };
}

// All heads, a line of maps for each layer; a native radio group, so that the arrow keys move through it.
function headGrid(layers, heads, onpick) {
  const name = newId('head');
  const legend = h('legend');
  const cells = Array.from({ length: layers * heads }, (_, i) => {
    const [layer, head] = [Math.floor(i / heads), i % heads];
    const input = h('input', { type: 'radio', name, onchange: () => onpick(layer, head) });
    const [map, number] = [makeMap(), h('span', { class: 'lmw-num' })];
    const title = h('span', {}, `Head ${layer + 1}.${head + 1}`);
    const node = h('label', { class: 'lmw-head-map' }, input, title, map.node, number);
    return { layer, head, input, map, number, node };
  });
  const node = h('fieldset', { class: 'lmw-heads' }, legend, cells.map((cell) => cell.node));
  node.style.setProperty('--heads', heads);
  return { node, legend, cells };
}

function render({ model, el }) {
  const { net, exact, vocab } = readPair(model);
  const subjectStates = model.get('subject_states');
  /** @type {Seen} */
  let seen = { ids: [], attention: [], dists: [] }; // the last sentence that could be read, and what the model makes of it
  let peek = -1; // the word under the pointer looks, without being chosen

  const set = setter(model);
  const setSentence = (sentence) => set({ sentence, target: -1, place: Math.max(splitWords(sentence).length - 3, 0) });

  const sentence = sentenceField({
    vocab,
    exact,
    net,
    empty: 'Write a word of the language: a model reads something before it predicts.',
    advice: 'Choose a word: it looks back at those before it. What comes after it is hidden: dashed.',
    oninput: setSentence,
  });
  const presets = model.get('presets');
  const picker = h(
    'select',
    { onchange: () => picker.value && setSentence(picker.value) },
    h('option', { value: '' }, 'your own'),
    presets.map((text) => h('option', { value: text }, text)),
  );
  const words = wordRow('The sentence: the chosen word looks back', ['model'], (place) => set({ place, target: -1 }));
  const targets = h('select', { onchange: () => set({ target: Number(targets.value) }) });
  const finding = h('p', { class: 'lmw-finding' });
  const grid = headGrid(net.L, net.H, (layer, head) => set({ layer, head }));
  const [large, largeName, names] = [makeMap(), h('p', { class: 'lmw-quiet' }), h('ol')];
  const table = comparison('', [['model', 'model', 'Model'], ['exact', 'exact', 'Exact language']], LINES);
  const root = frame(
    el,
    'attention',
    'Attention explorer',
    h(
      'div',
      { class: 'lmw-line' },
      sentence.node,
      h('label', { class: 'lmw-pick' }, h('span', {}, 'or pick one'), picker),
    ),
    sentence.message,
    words.node,
    h('label', { class: 'lmw-field' }, h('span', {}, 'How much does each head look at …'), targets),
    h(
      'div',
      { class: 'lmw-maps' },
      grid.node,
      h('div', {}, largeName, h('div', { class: 'lmw-large', 'aria-hidden': 'true' }, names, large.node)),
    ),
    finding,
    table.node,
    runsHere(net),
  );
  root.classList.add('lmw-attention');
  const heard = announcer(root);
  words.node.addEventListener('focusin', (event) => {
    const place = words.placeOf(event.target);
    if (place >= 0 && place !== model.get('place')) set({ place, target: -1 });
  });
  words.node.addEventListener('pointerover', (event) => {
    const place = words.placeOf(event.target);
    if (event.pointerType === 'mouse' && place !== peek) lookFrom(place);
  });
  words.node.addEventListener('pointerleave', () => lookFrom(-1));

  /** @param {number} place */
  function lookFrom(place) {
    peek = place;
    draw();
  }

  // Reads the sentence; where it can't be read the last one stays.
  function read() {
    const text = model.get('sentence');
    picker.value = presets.includes(text) ? text : '';
    const { ids, wrong } = sentence.read(text);
    if (ids && ids.join() !== seen.ids.join()) seen = { ids, ...look(net, ids) };
    return wrong;
  }

  function drawWords(t, target, shares) {
    words.write(seen.ids.map((id, s) => {
      const number = s <= t ? shares[s].toFixed(2) : '';
      return {
        word: vocab[id],
        number,
        shares: [s <= t ? shares[s] : 0],
        pressed: s === t,
        current: s === t,
        look: s > t ? 'lmw-later' : s === target ? 'lmw-target' : '',
        say: s > t ? `${vocab[id]}: hidden from here` : `${vocab[id]}: ${number} of the attention`,
      };
    }));
    words.buttons().forEach((node, s) => (node.dataset.weight = s <= t ? shares[s] : 0));
  }

  function drawTargets(t, target, subject) {
    targets.replaceChildren(
      ...seen.ids.slice(0, t + 1).map((id, s) => {
        const note = s === subject ? ' (the subject)' : '';
        return h('option', { value: s }, `“${vocab[id]}”, word ${s + 1}${note}`);
      }),
    );
    targets.value = String(target);
  }

  // The head that looks most from word t at word `target`.
  function bestHead(t, target) {
    const weight = (cell) => seen.attention[cell.layer][cell.head][t * seen.ids.length + target];
    return grid.cells.reduce((a, b) => (weight(b) > weight(a) ? b : a));
  }

  function drawHeads(t, target, layer, head) {
    const { ids, attention } = seen;
    const T = ids.length;
    const [from, to] = [vocab[ids[t]], vocab[ids[target]]];
    const weight = (cell) => attention[cell.layer][cell.head][t * T + target];
    const best = bestHead(t, target);
    grid.legend.textContent =
      `How much each of the ${grid.cells.length} heads looks from “${from}” at “${to}”. Choose one; 2.1 is the first of layer 2.`;
    for (const cell of grid.cells) {
      cell.map.draw(attention[cell.layer][cell.head], T, t);
      cell.number.textContent = weight(cell).toFixed(3);
      cell.input.checked = cell.layer === layer && cell.head === head;
      cell.node.classList.toggle('lmw-best', cell === best);
      cell.node.dataset.weight = weight(cell);
    }
    large.draw(attention[layer][head], T, t);
    largeName.textContent = `Head ${layer + 1}.${
      head + 1
    }. A row for each word that looks; columns, in the same order, the words looked at. Right of the diagonal all is hidden.`;
    names.replaceChildren(...ids.map((id, s) => h('li', s === t ? { 'data-here': '' } : {}, vocab[id])));
    return `From “${from}”, head ${best.layer + 1}.${best.head + 1} looks most at “${to}”: ${
      weight(best).toFixed(3)
    } of its attention.`;
  }

  function draw() {
    const wrong = read();
    const { ids, attention, dists } = seen;
    if (!ids.length) return;
    const clamp = (value, high) => Math.min(Math.max(value, 0), high);
    const chosen = clamp(model.get('place'), ids.length - 1);
    const t = peek >= 0 ? Math.min(peek, ids.length - 1) : chosen;
    const subject = subjectPlace(exact, subjectStates, ids, t);
    const wanted = t === chosen ? model.get('target') : -1;
    const target = wanted >= 0 && wanted <= t ? wanted : Math.max(subject, 0);
    const best = bestHead(t, target);
    const free = model.get('layer') < 0; // no head is chosen yet: the one that looks there most
    const layer = free ? best.layer : clamp(model.get('layer'), net.L - 1);
    const head = free ? best.head : clamp(model.get('head'), net.H - 1);
    drawWords(t, target, attention[layer][head].subarray(t * ids.length, (t + 1) * ids.length));
    drawTargets(t, target, subject);
    const found = drawHeads(t, target, layer, head);
    const agrees = subject >= 0 && target === subject ? ` It is the subject: a verb must agree with it.` : '';
    finding.textContent = found + agrees;
    const both = [dists[t], exact.dist(ids.slice(0, t + 1))];
    const next = t + 1 < ids.length ? ids[t + 1] : -1;
    table.title.textContent = `What comes after “${vocab[ids[t]]}”?`;
    table.draw(vocab, both, likeliest([both[1], both[0]], LINES, next), next);
    Object.assign(root.dataset, { place: t, target, layer, head, words: ids.map((id) => vocab[id]).join(' ') });
    const top = likeliest([both[0]], 1)[0];
    heard.say(
      wrong ||
        `${finding.textContent} After “${vocab[ids[t]]}” the model expects “${vocab[top]}” most, ${
          formatProb(both[0][top])
        }, exactly ${formatProb(both[1][top])}.`,
    );
  }

  return live(root, model, ['sentence', 'place', 'target', 'layer', 'head'], draw, heard.stop);
}

export default { render };
