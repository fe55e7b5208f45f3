// A recorded training run: the reader moves through its checkpoints and watches predictions sharpen.
import { comparison, likeliest, svg, wordRow } from './kit/sentence.js';
import { unpack } from './core/bytes.js';
import { announcer, button, formatProb, frame, h, live, plural, setter } from './kit/kit.js';

const LINES = 7; // words that get a line of their own
const PLAY_EVERY = 450; // milliseconds; calmer where the reader wants little motion
const CALM_EVERY = 1200;

// What Python recorded. A place is a word with a word before it; all sentences' places stand in one row.
export function readRecording(model) {
  const [vocab, sentences] = [model.get('vocab'), model.get('sentences')];
  const probs = unpack(model.get('probs'), Uint16Array);
  const surprises = unpack(model.get('surprises'), Float32Array);
  const exact = unpack(model.get('exact'), Float32Array);
  const [V, P] = [vocab.length, exact.length / vocab.length];
  const starts = sentences.map((_, i) => sentences.slice(0, i).reduce((sum, ids) => sum + ids.length - 1, 0));
  const exactDist = (row) => Float64Array.from(exact.subarray(row * V, (row + 1) * V));
  const dist = (c, row) =>
    Float64Array.from(probs.subarray((c * P + row) * V, (c * P + row + 1) * V), (count) => count / 65535);
  return {
    vocab,
    sentences,
    steps: model.get('steps'),
    losses: model.get('losses'),
    floor: model.get('floor'),
    levels: Object.entries(model.get('levels')),
    row: (sentence, place) => starts[sentence] + place - 1,
    dist,
    exactDist,
    surprise: (c, row) => surprises[c * P + row],
    exactSurprise: (row, word) => -Math.log(exact[row * V + word]),
  };
}

// The words shown at a place: the likeliest, exactly or to the model at any checkpoint. They stay the same while the
// reader moves through the run, so that a bar that grows is seen to grow.
export function wordsAt(recording, row, word) {
  const dists = [recording.exactDist(row), ...recording.steps.map((_, c) => recording.dist(c, row))];
  return likeliest(dists, LINES, word);
}

// The loss over the checkpoints, which stand as far apart as the slider's stops below; the exact floor and the levels
// of other models as dashed lines.
function lossChart({ steps, losses, floor, levels }) {
  const values = [...losses, floor, ...levels.map(([, loss]) => loss)];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const y = (loss) => (high > low ? (high - loss) / (high - low) : 0.5);
  const x = (c) => c / (steps.length - 1);
  const level = (loss, kind) => svg('path', { class: kind, d: `M0 ${y(loss)}H1` });
  const curve = losses.map((loss, c) => `${c ? 'L' : 'M'}${x(c).toFixed(4)} ${y(loss).toFixed(4)}`).join('');
  const picture = svg(
    'svg',
    { viewBox: '0 0 1 1', preserveAspectRatio: 'none' },
    levels.map(([, loss]) => level(loss, 'lmw-level')),
    level(floor, 'lmw-floor'),
    svg('path', { d: curve }),
  );
  const put = (node, left, top) => {
    node.style.setProperty('--x', String(left));
    node.style.setProperty('--y', String(top));
    return node;
  };
  const start = put(h('span', { class: 'lmw-start' }, losses[0].toFixed(2)), 0, y(losses[0]));
  const dots = losses.map((loss, c) => put(h('i'), x(c), y(loss)));
  const label = put(h('span', { class: 'lmw-exact' }, `exact ${floor.toFixed(2)}`), 1, y(floor));
  const here = h('i', { class: 'lmw-here' });
  const node = h('div', { class: 'lmw-loss', role: 'img' }, picture, dots, start, label, here);
  return { node, move: (c) => put(here, x(c), y(losses[c])) };
}

function render({ model, el }) {
  const recording = readRecording(model);
  const { vocab, sentences, steps, losses, floor, levels } = recording;
  const last = steps.length - 1;
  const text = (ids) => ids.map((id) => vocab[id]).join(' ').replace(/ ([.,;:!?])/g, '$1');
  let timer = null;
  let shown = null; // {row, words}: the words of the table belong to a place, not to a checkpoint

  const set = setter(model);
  const choice = h(
    'select',
    { onchange: () => pickSentence(Number(choice.value)) },
    sentences.map((ids, i) => h('option', { value: i }, text(ids))),
  );
  const words = wordRow('The sentence: choose a word to see how it was predicted', ['model', 'exact'], (place) => {
    if (place > 0) set({ place });
  });
  const status = h('p', { class: 'lmw-message' });
  const chart = lossChart(recording);
  const rungs = [...levels].sort((a, b) => b[1] - a[1])
    .map(([name, loss]) => ({ name, loss, node: h('span', { class: 'lmw-other' }, `${name} ${loss.toFixed(2)}`) }));
  const legend = h(
    'p',
    { class: 'lmw-quiet', hidden: rungs.length === 0 },
    'Dotted, from above, struck out once left behind: ',
    rungs.flatMap(({ node }, i) => (i ? [', ', node] : [node])),
  );
  const slider = h('input', { type: 'range', min: 0, max: last, step: 1, 'aria-label': 'Checkpoint of the training' });
  const player = button('Play ▶', () => (timer ? pause() : play()));
  const table = comparison('', [['model', 'model', 'Model'], ['exact', 'exact', 'Exact language']], LINES, 1);
  const root = frame(
    el,
    'training-replay',
    'Training replay',
    h('label', { class: 'lmw-field' }, h('span', {}, 'Sentence'), choice),
    h(
      'div',
      { class: 'lmw-run' },
      status,
      player,
      h('div', {}, chart.node, slider),
      legend,
    ),
    words.node,
    h(
      'p',
      { class: 'lmw-quiet' },
      'Columns and numbers: the surprise −log P of each word in nats, ',
      h('span', { class: 'lmw-model' }, 'the model’s'),
      ' above, ',
      h('span', { class: 'lmw-exact' }, 'the exact'),
      ' below. Choose a word to see what was expected in its place. A recorded run: nothing is trained here.',
    ),
    table.node,
  );
  root.classList.add('lmw-replay');
  const heard = announcer(root);

  function pickSentence(sentence) {
    set({ sentence, place: Math.max(sentences[sentence].length - 2, 1) });
  }

  function play() {
    if (model.get('checkpoint') === last) set({ checkpoint: 0 });
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    timer = setInterval(() => {
      set({ checkpoint: Math.min(model.get('checkpoint') + 1, last) });
      if (model.get('checkpoint') === last) pause();
    }, calm ? CALM_EVERY : PLAY_EVERY);
    player.textContent = 'Stop ■';
  }

  function pause() {
    clearInterval(timer);
    timer = null;
    player.textContent = 'Play ▶';
  }

  function drawWords(c, sentence, place) {
    const ids = sentences[sentence];
    const rows = ids.slice(1).map((word, i) => {
      const row = recording.row(sentence, i + 1);
      return { mine: recording.surprise(c, row), exact: recording.exactSurprise(row, word) };
    });
    const first = recording.row(sentence, 1);
    const all = steps.flatMap((_, at) => rows.map((_, i) => recording.surprise(at, first + i)));
    const highest = Math.max(...all, ...rows.map(({ exact }) => (Number.isFinite(exact) ? exact : 0)));
    words.write(ids.map((word, t) => {
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

  function describe(c) {
    return `After ${plural(steps[c], 'step')}: loss ${losses[c].toFixed(3)} nats a word, ${
      Math.abs(losses[c] - floor).toFixed(3)
    } ${losses[c] < floor ? 'below' : 'above'} the exact floor.`;
  }

  function draw() {
    const [sentence, place] = [model.get('sentence'), model.get('place')];
    const c = model.get('checkpoint');
    const ids = sentences[sentence];
    const word = ids[place];
    const row = recording.row(sentence, place);
    if (shown?.row !== row) shown = { row, words: wordsAt(recording, row, word) };
    const dists = [recording.dist(c, row), recording.exactDist(row)];
    choice.value = String(sentence);
    slider.value = c;
    slider.setAttribute('aria-valuetext', `step ${steps[c]}, loss ${losses[c].toFixed(3)}`);
    status.textContent = describe(c);
    chart.move(c);
    const beaten = rungs.filter(({ loss }) => losses[c] < loss);
    for (const { node, loss } of rungs) node.classList.toggle('lmw-beaten', losses[c] < loss);
    chart.node.setAttribute(
      'aria-label',
      `The loss over ${steps.length} checkpoints falls from ${losses[0].toFixed(2)} to ${
        losses[last].toFixed(2)
      }; the exact floor is ${floor.toFixed(2)}. Here: ${losses[c].toFixed(2)}.`,
    );
    drawWords(c, sentence, place);
    table.title.textContent = `After “${ids.slice(0, place).slice(-2).map((id) => vocab[id]).join(' ')}”`;
    table.draw(vocab, dists, shown.words, word);
    const surprise = [recording.surprise(c, row), recording.exactSurprise(row, word)];
    table.writeFoot(0, 'Surprise, nats', surprise, 3);
    Object.assign(root.dataset, { checkpoint: c, sentence, place });
    const better = beaten.length ? ` Better than: ${beaten.map(({ name }) => name).join(', ')}.` : '';
    heard.say(
      `${describe(c)}${better} “${vocab[word]}”: model ${formatProb(dists[0][word])}, exact ${
        formatProb(dists[1][word])
      }.`,
    );
  }

  slider.addEventListener('input', () => (pause(), set({ checkpoint: Number(slider.value) })));
  return live(root, model, ['sentence', 'place', 'checkpoint'], draw, heard.stop, pause);
}

export default { render };
