// The masked explorer: hide words of a sentence; the model, the exact posterior and an n-gram say what stands there.
import { comparison, likeliest, MAX_WORDS, sentenceField, wordRow } from './kit/sentence.js';
import { sampleFrom, seededRandom } from './core/random.js';
import { readModels } from './core/toy_models.js';
import { joinWords } from './core/words.js';
import { announcer, button, field, formatProb, frame, h, live, plural, setter } from './kit/kit.js';
import { loadModel } from './core/models.js';
import { runsHere } from './kit/page_model.js';

const LINES = 8; // words that get a line of their own

/** @import { Column } from './kit/sentence.js' */

// ---- Three ways to fill a gap -------------------------------------------------------------------------------------------

// P(word at each hidden place | all visible words), exactly: the states that the words before allow, the ways in which
// the words after can go on, and between them each word by what it has of both. Several hidden words are summed out.
// `hidden` are places; the result has a Float64Array (V) for each place that is hidden, null for the others.
// Source: Rabiner (1989), section III.B, forward–backward.
export function maskedPosterior(exact, ids, hidden) {
  const { rowStarts, words, next, logProbs, dead, vocabSize } = exact;
  const [T, S] = [ids.length, dead + 1];
  const isHidden = ids.map((_, t) => hidden.includes(t));
  // Each possible step at place t: from state s, by entry i. The dead state has no way on.
  const eachStep = (t, from, visit) => {
    for (let s = 0; s < dead; s++) {
      if (from && from[s] === 0) continue;
      if (isHidden[t]) { for (let i = rowStarts[s]; i < rowStarts[s + 1]; i++) visit(s, i, Math.exp(logProbs[i])); }
      else {
        const i = exact.entry(s, ids[t]);
        if (i >= 0) visit(s, i, Math.exp(logProbs[i]));
      }
    }
  };
  const forward = [new Float64Array(S)];
  forward[0][0] = 1;
  for (let t = 0; t < T; t++) {
    const row = new Float64Array(S);
    eachStep(t, forward[t], (s, i, p) => (row[next[i]] += forward[t][s] * p));
    forward.push(scaled(row));
  }
  const answers = ids.map(() => null);
  let backward = new Float64Array(S).fill(1);
  for (let t = T - 1; t >= 0; t--) {
    const row = new Float64Array(S);
    const ways = new Float64Array(vocabSize);
    eachStep(t, null, (s, i, p) => {
      row[s] += p * backward[next[i]];
      ways[words[i]] += forward[t][s] * p * backward[next[i]];
    });
    if (isHidden[t]) answers[t] = ways.some((way) => way > 0) ? scaled(ways) : ways.fill(1 / vocabSize);
    backward = scaled(row);
  }
  return answers;
}

// Numbers that add up to 1, so that long texts don't underflow; zeros stay.
function scaled(row) {
  const total = Math.max(row.reduce((sum, x) => sum + x, 0), 1e-300);
  return row.map((x) => x / total);
}

// What the n-gram reads before `place`: the visible words just before it, and at the very start a full stop.
export function visibleBefore(ids, hidden, place) {
  let from = place;
  while (from > 0 && !hidden.includes(from - 1)) from -= 1;
  return { context: ids.slice(from, place), atStart: from === 0 };
}

export function ngramAnswer({ ngrams, ngramDist }, ids, hidden, place, order) {
  const { context, atStart } = visibleBefore(ids, hidden, place);
  return atStart ? ngramDist(context, order) : ngrams.dist(context, order);
}

export function modelAnswers(net, ids, hidden) {
  const rows = net.logits(ids.map((id, t) => (hidden.includes(t) ? net.maskTokenId : id)));
  return ids.map((_, t) => {
    if (!hidden.includes(t)) return null;
    const top = Math.max(...rows[t]);
    return scaled(Float64Array.from(rows[t], (logit) => Math.exp(logit - top)));
  });
}

// The answers of the three at every hidden place, and the surprise of each at the word that was hidden.
export function answerAll(models, net, ids, hidden, order) {
  const [exact, model] = [maskedPosterior(models.exact, ids, hidden), modelAnswers(net, ids, hidden)];
  return hidden.map((place) => {
    const dists = [model[place], exact[place], ngramAnswer(models, ids, hidden, place, order)];
    return { place, dists, surprises: dists.map((dist) => -Math.log(dist[ids[place]])) };
  });
}

// A sentence drawn from the exact language, up to its full stop.
export function drawSentence({ exact, stop }, random) {
  const ids = [];
  while (ids.length < MAX_WORDS && (ids.length === 0 || ids.at(-1) !== stop)) {
    ids.push(sampleFrom(exact.dist(ids), random()));
  }
  return ids;
}

// The numbers 0 … n − 1 in a random order: the first k of them are a random choice of k.
export function shuffled(n, random) {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

// ---- The view -----------------------------------------------------------------------------------------------------------

function render({ model, el }) {
  const order = model.get('order');
  const models = readModels(model, order);
  const { vocab } = models;
  const net = loadModel(model.get('header'), model.get('weights'));
  const random = seededRandom(model.get('seed'));
  let ids = []; // of the last sentence that could be read
  let queue = []; // its places in the random order in which the slider hides them

  const set = setter(model);
  const hiddenNow = () => model.get('hidden').filter((t) => t < ids.length);
  const hide = (hidden, place = hidden.includes(model.get('place')) ? model.get('place') : hidden[0] ?? 0) =>
    set({ hidden: [...hidden].sort((a, b) => a - b), place });

  const sentence = sentenceField({
    vocab,
    exact: models.exact,
    net,
    empty: 'Write some words of the language, or take a new sentence.',
    advice: 'Press a word to hide it, press it again to show it.',
    oninput: (text) => set({ sentence: text }),
  });
  const fresh = button('New sentence', () => {
    const drawn = drawSentence(models, random);
    const hidden = shuffled(drawn.length, random).slice(0, Math.max(1, hiddenNow().length));
    hidden.sort((a, b) => a - b);
    set({ sentence: joinWords(drawn.map((id) => vocab[id])), hidden, place: hidden[0] });
  }, { title: 'Draw a sentence from the exact language' });
  const words = wordRow('The sentence: press a word to hide or to show it', [], (t) => {
    const hidden = hiddenNow();
    if (hidden.includes(t)) hide(hidden.filter((other) => other !== t));
    else hide([...hidden, t], t);
  });
  const rateName = h('span');
  const slider = h('input', { type: 'range', min: 0, max: 100, step: 5, oninput: () => maskAtRate() });
  const again = button('Other words', () => {
    queue = shuffled(ids.length, random);
    maskAtRate();
  }, { title: 'Hide as many other words, at random' });
  const holes = h('select', { onchange: () => set({ place: Number(holes.value) }) });
  const answersFor = field('Answers for', holes);
  /** @type {Column[]} */
  const columns = [
    ['model', 'model', 'Model'],
    ['exact', 'exact', 'Exact'],
    ['ngram', 'other', `${order}-gram`],
  ];
  const table = comparison('', columns, LINES, 2);
  const root = frame(
    el,
    'masked-explorer',
    'Masked explorer',
    h('div', { class: 'lmw-line' }, sentence.node, fresh),
    sentence.message,
    words.node,
    h('div', { class: 'lmw-line' }, h('label', { class: 'lmw-field' }, rateName, slider), again),
    answersFor,
    table.node,
    runsHere(net, 'Surprise: −log P of the hidden word, ◂, in nats. '),
  );
  root.classList.add('lmw-masked');
  const heard = announcer(root);
  words.node.addEventListener('focusin', (event) => {
    const t = words.placeOf(event.target);
    if (hiddenNow().includes(t) && t !== model.get('place')) set({ place: t });
  });

  function maskAtRate() {
    hide(queue.slice(0, Math.round((Number(slider.value) / 100) * ids.length)));
  }

  // Reads the sentence; where it can't be read the last one stays.
  function read() {
    const { ids: found, wrong } = sentence.read(model.get('sentence'));
    if (!found) return wrong;
    if (found.length !== ids.length) queue = shuffled(found.length, seededRandom(model.get('seed') + found.length));
    ids = found;
    return wrong;
  }

  function drawWords(hidden, place) {
    words.write(ids.map((id, t) => {
      const hole = hidden.includes(t);
      return {
        word: hole ? '·····' : vocab[id],
        pressed: hole,
        current: hole && t === place,
        look: `${hole ? 'lmw-hole' : ''} ${t === place && hole ? 'lmw-chosen' : ''}`,
        say: hole ? `word ${t + 1}, hidden` : vocab[id],
      };
    }));
  }

  function drawAnswers(answers, chosen) {
    table.node.hidden = answersFor.hidden = !chosen;
    if (!chosen) return;
    const { place, dists, surprises } = chosen;
    const truth = ids[place];
    holes.replaceChildren(...answers.map((one) => {
      const before = one.place
        ? `after “${answers.some((a) => a.place === one.place - 1) ? '·····' : vocab[ids[one.place - 1]]}”`
        : 'at the start';
      return h('option', { value: one.place }, `word ${one.place + 1}, ${before}`);
    }));
    holes.value = String(place);
    const [mine, exact, ngram] = dists;
    table.title.textContent = `What stands in place ${place + 1}?`;
    table.draw(vocab, dists, likeliest([exact, mine, ngram], LINES, truth), truth);
    const { context, atStart } = visibleBefore(ids, answers.map((one) => one.place), place);
    const seen = [...(atStart && models.stop >= 0 ? [models.stop] : []), ...context].slice(
      order > 1 ? 1 - order : Infinity,
    );
    table.notes[0].textContent = 'reads both sides';
    table.notes[1].textContent = 'reads both sides';
    table.notes[2].textContent = seen.length ? `reads “${seen.map((id) => vocab[id]).join(' ')}”` : 'reads nothing';
    table.writeFoot(0, 'Surprise', surprises, 3);
    const mean = columns.map((_, k) => answers.reduce((sum, one) => sum + one.surprises[k], 0) / answers.length);
    table.writeFoot(1, `Mean over ${answers.length}`, mean, 3);
  }

  function draw() {
    const wrong = read();
    const hidden = hiddenNow();
    const answers = ids.length ? answerAll(models, net, ids, hidden, order) : [];
    const chosen = answers.find((one) => one.place === model.get('place')) ?? answers[0];
    drawWords(hidden, chosen?.place ?? -1);
    const share = ids.length ? hidden.length / ids.length : 0;
    rateName.textContent = `Masking rate: ${Math.round(100 * share)} %, ${hidden.length} of ${
      plural(ids.length, 'word')
    }`;
    if (Math.round((Number(slider.value) / 100) * ids.length) !== hidden.length) {
      slider.value = String(Math.round(20 * share) * 5);
    }
    slider.setAttribute('aria-valuetext', `${hidden.length} of ${plural(ids.length, 'word')} hidden`);
    drawAnswers(answers, chosen);
    Object.assign(root.dataset, {
      words: ids.map((id) => vocab[id]).join(' '),
      hidden: hidden.join(' '),
      place: chosen ? chosen.place : '',
    });
    if (wrong) return heard.say(wrong);
    if (!chosen) return heard.say('No word is hidden.');
    const [mine, exact, ngram] = chosen.dists.map((dist) => formatProb(dist[ids[chosen.place]]));
    heard.say(
      `${plural(hidden.length, 'word')} hidden. Word ${chosen.place + 1} is “${
        vocab[ids[chosen.place]]
      }”: model ${mine}, exact ${exact}, ${order}-gram ${ngram}.`,
    );
  }

  return live(root, model, ['sentence', 'hidden', 'place'], draw, heard.stop);
}

export default { render };
