// A recorded training run: the reader moves through its checkpoints and sees how the predictions change.
import { unpack } from './core/bytes.js';
import { joinWords } from './core/words.js';
import {
  announcer,
  dropDown,
  field,
  formatProb,
  frame,
  h,
  live,
  player,
  plural,
  quiet,
  setter,
  slider,
  svg,
} from './kit/kit.js';
import { comparison, likeliest, wordRow } from './kit/sentence.js';

/** @import { Drawn, WidgetModel } from './kit/kit.js' */

const LINES = 7; // words that get a line of their own
const PLAY_EVERY = 450; // milliseconds; calmer where the reader wants little motion
const CALM_EVERY = 1200;

/** @typedef {ReturnType<typeof readRecording>} Recording */
/** @typedef {{ checkpoint: number, sentence: number, place: number }} Place where the reader is */

/**
 * The run as Python recorded it. Every word but a sentence's first has a row of probabilities; the rows of all
 * sentences follow each other.
 * @param {Pick<WidgetModel, 'get'>} model
 */
export function readRecording(model) {
  /** @type {string[]} */
  const vocab = model.get('vocab');
  /** @type {number[][]} */
  const sentences = model.get('sentences');
  /** @type {number[]} */
  const steps = model.get('steps');
  /** @type {number[]} */
  const losses = model.get('losses');
  /** @type {number} */
  const floor = model.get('floor');
  /** @type {[name: string, loss: number][]} */
  const levels = Object.entries(model.get('levels'));
  const probs = unpack(model.get('probs'), Uint16Array);
  const surprises = unpack(model.get('surprises'), Float32Array);
  const exact = unpack(model.get('exact'), Float32Array);
  const [V, P] = [vocab.length, exact.length / vocab.length];
  const starts = sentences.map((_, i) => sentences.slice(0, i).reduce((sum, ids) => sum + ids.length - 1, 0));
  return {
    vocab,
    sentences,
    steps,
    losses,
    floor,
    levels,
    row: (/** @type {number} */ sentence, /** @type {number} */ place) => starts[sentence] + place - 1,
    dist: (/** @type {number} */ c, /** @type {number} */ row) =>
      Float64Array.from(probs.subarray((c * P + row) * V, (c * P + row + 1) * V), (count) => count / 65535),
    exactDist: (/** @type {number} */ row) => Float64Array.from(exact.subarray(row * V, (row + 1) * V)),
    surprise: (/** @type {number} */ c, /** @type {number} */ row) => surprises[c * P + row],
    exactSurprise: (/** @type {number} */ row, /** @type {number} */ word) => -Math.log(exact[row * V + word]),
  };
}

/**
 * The words shown at a place: the likeliest, exactly or to the model at any checkpoint. They stay the same at all
 * checkpoints, so that bars grow and shrink in place.
 * @param {Recording} recording
 * @param {number} row
 * @param {number} word
 */
export function wordsAt(recording, row, word) {
  const dists = [recording.exactDist(row), ...recording.steps.map((_, c) => recording.dist(c, row))];
  return likeliest(dists, LINES, word);
}

// ---- The run ----------------------------------------------------------------------------------------------------------

/**
 * Puts `node` into the chart, left and top from 0 to 1.
 * @param {HTMLElement} node
 * @param {number} left
 * @param {number} top
 */
function put(node, left, top) {
  node.style.setProperty('--x', String(left));
  node.style.setProperty('--y', String(top));
  return node;
}

/**
 * The loss over the checkpoints, each above its stop of the slider; the exact floor and the levels of other models as
 * dashed lines.
 * @param {Recording} recording
 */
function lossChart({ steps, losses, floor, levels }) {
  const values = [...losses, floor, ...levels.map(([, loss]) => loss)];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const y = (/** @type {number} */ loss) => (high > low ? (high - loss) / (high - low) : 0.5);
  const x = (/** @type {number} */ c) => c / (steps.length - 1);
  /**
   * @param {number} loss
   * @param {string} kind
   */
  const level = (loss, kind) => svg('path', { class: kind, d: `M0 ${y(loss)}H1` });
  const curve = losses.map((loss, c) => `${c ? 'L' : 'M'}${x(c).toFixed(4)} ${y(loss).toFixed(4)}`).join('');
  const picture = svg(
    'svg',
    { viewBox: '0 0 1 1', preserveAspectRatio: 'none' },
    levels.map(([, loss]) => level(loss, 'lmw-level')),
    level(floor, 'lmw-floor'),
    svg('path', { d: curve }),
  );
  const start = put(h('span', { class: 'lmw-start' }, losses[0].toFixed(2)), 0, y(losses[0]));
  const dots = losses.map((loss, c) => put(h('i'), x(c), y(loss)));
  const label = put(h('span', { class: 'lmw-exact' }, `exact ${floor.toFixed(2)}`), 1, y(floor));
  const here = h('i', { class: 'lmw-here' });
  const node = h('div', { class: 'lmw-loss', role: 'img' }, picture, dots, start, label, here);
  const [first, last] = [losses[0], losses[losses.length - 1]].map((loss) => loss.toFixed(2));
  const told = `The loss over ${steps.length} checkpoints falls from ${first} to ${last}; the exact floor is ${
    floor.toFixed(2)
  }.`;
  /** @param {number} c */
  function draw(c) {
    put(here, x(c), y(losses[c]));
    node.setAttribute('aria-label', `${told} Here: ${losses[c].toFixed(2)}.`);
  }
  return { node, draw };
}

/**
 * The names of the dotted lines. A model that the run has overtaken is struck out.
 * @param {Recording} recording
 */
function levelNames({ levels, losses }) {
  const rungs = [...levels].sort((a, b) => b[1] - a[1])
    .map(([name, loss]) => ({ name, loss, node: h('span', { class: 'lmw-other' }, `${name} ${loss.toFixed(2)}`) }));
  const node = quiet(
    'Dotted, from above, struck out once left behind: ',
    rungs.flatMap(({ node }, i) => (i ? [', ', node] : [node])),
  );
  node.hidden = rungs.length === 0;
  /** @param {number} c */
  function draw(c) {
    for (const { node, loss } of rungs) node.classList.toggle('lmw-beaten', losses[c] < loss);
  }
  /** @param {number} c */
  function beaten(c) {
    const names = rungs.filter(({ loss }) => losses[c] < loss).map(({ name }) => name);
    return names.length ? ` Better than: ${names.join(', ')}.` : '';
  }
  return { node, draw, beaten };
}

/**
 * @param {Recording} recording
 * @param {number} c
 */
function describe({ steps, losses, floor }, c) {
  return `After ${plural(steps[c], 'step')}: loss ${losses[c].toFixed(3)} nats a word, ${
    Math.abs(losses[c] - floor).toFixed(3)
  } ${losses[c] < floor ? 'below' : 'above'} the exact floor.`;
}

/**
 * The loss, a slider over the checkpoints, and a button that plays the run.
 * @param {Recording} recording
 * @param {() => number} current
 * @param {(checkpoint: number) => void} onmove
 */
function runPanel(recording, current, onmove) {
  const { steps, losses } = recording;
  const last = steps.length - 1;
  const status = h('p', { class: 'lmw-message' });
  const [chart, names] = [lossChart(recording), levelNames(recording)];
  const input = slider([0, last, 1], (checkpoint) => {
    play.stop();
    onmove(checkpoint);
  }, { 'aria-label': 'Checkpoint of the training' });
  const play = player(['Play ▶', 'Stop ■'], {
    begin: () => current() === last && onmove(0),
    tick() {
      onmove(Math.min(current() + 1, last));
      return current() !== last;
    },
    every: () => (matchMedia('(prefers-reduced-motion: reduce)').matches ? CALM_EVERY : PLAY_EVERY),
  });
  const node = h('div', { class: 'lmw-run' }, status, play.node, h('div', {}, chart.node, input), names.node);
  /** @param {number} c */
  function draw(c) {
    input.value = String(c);
    input.setAttribute('aria-valuetext', `step ${steps[c]}, loss ${losses[c].toFixed(3)}`);
    status.textContent = describe(recording, c);
    chart.draw(c);
    names.draw(c);
    return status.textContent + names.beaten(c);
  }
  return { node, draw, stop: play.stop };
}

// ---- The sentence -----------------------------------------------------------------------------------------------------

/**
 * @param {Recording} recording
 * @param {number} sentence
 * @param {number} c
 */
function surprisesOf(recording, sentence, c) {
  return recording.sentences[sentence].slice(1).map((word, i) => {
    const row = recording.row(sentence, i + 1);
    return { mine: recording.surprise(c, row), exact: recording.exactSurprise(row, word) };
  });
}

/**
 * The words of the sentence, with their surprises.
 * @param {Recording} recording
 * @param {(place: number) => void} onpick
 */
function surpriseRow(recording, onpick) {
  const { vocab, sentences, steps } = recording;
  const words = wordRow('The sentence: choose a word to see how it was predicted', ['model', 'exact'], (place) => {
    if (place > 0) onpick(place);
  });
  /** @param {Place} at */
  function draw({ checkpoint, sentence, place }) {
    const rows = surprisesOf(recording, sentence, checkpoint);
    const all = steps.flatMap((_, c) => surprisesOf(recording, sentence, c).map(({ mine }) => mine));
    const highest = Math.max(...all, ...rows.map(({ exact }) => (Number.isFinite(exact) ? exact : 0)));
    words.write(sentences[sentence].map((word, t) => {
      if (t === 0) return { word: vocab[word], number: 'given', say: `${vocab[word]}: given`, look: 'lmw-given' };
      const { mine, exact } = rows[t - 1];
      const [a, b] = [mine, exact].map((nats) => (Number.isFinite(nats) ? nats.toFixed(2) : '∞'));
      return {
        word: vocab[word],
        number: `${a}\n${b}`,
        shares: [mine / highest, exact / highest],
        pressed: t === place,
        current: t === place,
        say: `${vocab[word]}: surprise ${a} nats, exact ${b}`,
      };
    }));
    words.buttons().forEach((node, t) => {
      node.setAttribute('aria-disabled', String(t === 0));
      if (t > 0) Object.assign(node.dataset, { model: rows[t - 1].mine, exact: rows[t - 1].exact });
    });
  }
  return { node: words.node, draw };
}

function legend() {
  return quiet(
    'Columns and numbers: the surprise −log P of each word in nats, ',
    h('span', { class: 'lmw-model' }, 'the model’s'),
    ' above, ',
    h('span', { class: 'lmw-exact' }, 'the exact'),
    ' below. Choose a word to see what was expected in its place. A recorded run: nothing is trained here.',
  );
}

/**
 * What was expected at a place, by the model and exactly.
 * @param {Recording} recording
 */
function expectedWords(recording) {
  const { vocab, sentences } = recording;
  const table = comparison('', [['model', 'model', 'Model'], ['exact', 'exact', 'Exact language']], LINES, 1);
  let shown = { row: -1, words: [0] }; // the words of the table belong to a place, not to a checkpoint
  /** @param {Place} at */
  function draw({ checkpoint, sentence, place }) {
    const ids = sentences[sentence];
    const word = ids[place];
    const row = recording.row(sentence, place);
    if (shown.row !== row) shown = { row, words: wordsAt(recording, row, word) };
    const dists = [recording.dist(checkpoint, row), recording.exactDist(row)];
    table.title.textContent = `After “${ids.slice(0, place).slice(-2).map((id) => vocab[id]).join(' ')}”`;
    table.draw(vocab, dists, shown.words, word);
    const surprise = [recording.surprise(checkpoint, row), recording.exactSurprise(row, word)];
    table.writeFoot(0, 'Surprise, nats', surprise, 3);
    const [mine, exact] = dists.map((dist) => formatProb(dist[word]));
    return `“${vocab[word]}”: model ${mine}, exact ${exact}.`;
  }
  return { node: table.node, draw };
}

/** @param {Drawn} widget */
function render({ model, el }) {
  const recording = readRecording(model);
  const { vocab, sentences } = recording;
  const set = setter(model);
  const textOf = (/** @type {number[]} */ ids) => joinWords(ids.map((id) => vocab[id]));
  const choice = dropDown((picked) => {
    const sentence = Number(picked);
    set({ sentence, place: Math.max(sentences[sentence].length - 2, 1) });
  }, sentences.map((ids, i) => [i, textOf(ids)]));
  const run = runPanel(recording, () => model.get('checkpoint'), (checkpoint) => set({ checkpoint }));
  const words = surpriseRow(recording, (place) => set({ place }));
  const table = expectedWords(recording);
  const parts = [field('Sentence', choice), run.node, words.node, legend(), table.node];
  const root = frame(el, 'training-replay', 'Training replay', parts);
  root.classList.add('lmw-replay');
  const heard = announcer(root);

  function draw() {
    const [checkpoint, sentence, place] = [model.get('checkpoint'), model.get('sentence'), model.get('place')];
    const at = { checkpoint, sentence, place };
    choice.value = String(sentence);
    const told = run.draw(checkpoint);
    words.draw(at);
    const expected = table.draw(at);
    Object.assign(root.dataset, at);
    heard.say(`${told} ${expected}`);
  }

  return live(root, model, ['sentence', 'place', 'checkpoint'], draw, heard.stop, run.stop);
}

export default { render };
