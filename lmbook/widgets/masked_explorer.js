// The masked explorer: hide words of a sentence; the model, the exact posterior and an n-gram predict them.
import { comparison, likeliest, MAX_WORDS, sentenceField, wordRow } from './kit/sentence.js';
import { sampleFrom, seededRandom } from './core/random.js';
import { readModels } from './core/toy_models.js';
import { joinWords } from './core/words.js';
import {
  announcer,
  button,
  dropDown,
  field,
  formatProb,
  frame,
  h,
  line,
  live,
  plural,
  setOptions,
  setter,
  slider,
} from './kit/kit.js';
import { loadModel } from './core/models.js';
import { runsHere } from './kit/page_model.js';

const LINES = 8; // words that get a line of their own
const GAP = '·····'; // stands for a hidden word

/** @import { TransformerModel } from './core/models.js' */
/** @import { Automaton } from './core/toy_language.js' */
/** @import { ToyModels } from './core/toy_models.js' */
/** @import { Drawn, WidgetModel } from './kit/kit.js' */
/** @import { Column, WordItem } from './kit/sentence.js' */

/** @typedef {{ place: number, dists: Float64Array[], surprises: number[] }} Answer at a hidden place: model, exact, n-gram */
/** @typedef {Pick<TransformerModel, 'logits' | 'maskTokenId'>} MaskedNet */
/** @typedef {() => number} Random in [0, 1) */

// ---- Three ways to fill a gap -------------------------------------------------------------------------------------------

/**
 * P(word at each hidden place | all visible words), exactly: the forward pass gives the probability of each state
 * before a place, the backward pass that of the words after it from each state; a word gets the sum of the products
 * over the steps that read it. All other hidden words are summed out.
 * The result has a Float64Array (V) for each hidden place, null for the others.
 * Source: Rabiner (1989), section III.B, forward–backward.
 * @param {Automaton} exact
 * @param {number[]} ids
 * @param {number[]} hidden places
 */
export function maskedPosterior(exact, ids, hidden) {
  const { rowStarts, words, next, logProbs, dead, vocabSize } = exact;
  const [T, S] = [ids.length, dead + 1];
  const isHidden = ids.map((_, t) => hidden.includes(t));
  /**
   * Each possible step at place t: from state s, by entry i. The dead state has none.
   * @param {number} t
   * @param {Float64Array | null} from leave out the states that have 0 here
   * @param {(s: number, i: number, p: number) => void} visit
   */
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
  /** @type {(Float64Array | null)[]} */
  const answers = ids.map(() => null);
  let backward = new Float64Array(S).fill(1);
  for (let t = T - 1; t >= 0; t--) {
    const row = new Float64Array(S);
    const ways = new Float64Array(vocabSize);
    eachStep(t, null, (s, i, p) => {
      row[s] += p * backward[next[i]];
      ways[words[i]] += forward[t][s] * p * backward[next[i]];
    });
    if (isHidden[t]) answers[t] = ways.every((way) => way === 0) ? ways.fill(1 / vocabSize) : scaled(ways);
    backward = scaled(row);
  }
  return answers;
}

/**
 * The numbers divided by their sum, so that long texts don't underflow; all zeros stay zeros.
 * @param {Float64Array} row
 */
function scaled(row) {
  const total = Math.max(row.reduce((sum, x) => sum + x, 0), 1e-300);
  return row.map((x) => x / total);
}

/**
 * What the n-gram reads before `place`: the visible words just before it; at the start of the text also a full stop.
 * @param {number[]} ids
 * @param {number[]} hidden
 * @param {number} place
 */
export function visibleBefore(ids, hidden, place) {
  let from = place;
  while (from > 0 && !hidden.includes(from - 1)) from -= 1;
  return { context: ids.slice(from, place), atStart: from === 0 };
}

/**
 * @param {Pick<ToyModels, 'ngrams' | 'ngramDist'>} models
 * @param {number[]} ids
 * @param {number[]} hidden
 * @param {number} place
 * @param {number} order
 */
export function ngramAnswer({ ngrams, ngramDist }, ids, hidden, place, order) {
  const { context, atStart } = visibleBefore(ids, hidden, place);
  return atStart ? ngramDist(context, order) : ngrams.dist(context, order);
}

/**
 * The model's distribution at each hidden place, null at the others.
 * @param {MaskedNet} net
 * @param {number[]} ids
 * @param {number[]} hidden
 */
export function modelAnswers(net, ids, hidden) {
  const mask = net.maskTokenId;
  if (mask === null) throw new TypeError('this model has no mask token');
  const rows = net.logits(ids.map((id, t) => (hidden.includes(t) ? mask : id)));
  return ids.map((_, t) => {
    if (!hidden.includes(t)) return null;
    const top = Math.max(...rows[t]);
    return scaled(Float64Array.from(rows[t], (logit) => Math.exp(logit - top)));
  });
}

/**
 * The three answers at every hidden place, and the surprise of each at the hidden word, in nats.
 * @param {ToyModels} models
 * @param {MaskedNet} net
 * @param {number[]} ids
 * @param {number[]} hidden
 * @param {number} order
 */
export function answerAll(models, net, ids, hidden, order) {
  const [exact, model] = [maskedPosterior(models.exact, ids, hidden), modelAnswers(net, ids, hidden)];
  return hidden.map((place) => {
    const ngram = ngramAnswer(models, ids, hidden, place, order);
    const dists = [model[place], exact[place], ngram].filter((dist) => dist !== null);
    return { place, dists, surprises: dists.map((dist) => -Math.log(dist[ids[place]])) };
  });
}

/**
 * A sentence drawn from the exact language, up to its full stop.
 * @param {Pick<ToyModels, 'exact' | 'stop'>} models
 * @param {Random} random
 */
export function drawSentence({ exact, stop }, random) {
  /** @type {number[]} */
  const ids = [];
  while (ids.length < MAX_WORDS && (ids.length === 0 || ids.at(-1) !== stop)) {
    ids.push(sampleFrom(exact.dist(ids), random()));
  }
  return ids;
}

/**
 * The numbers 0 … n − 1 in a random order: the first k of them are a random choice of k.
 * @param {number} n
 * @param {Random} random
 */
export function shuffled(n, random) {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

// ---- The view -----------------------------------------------------------------------------------------------------------

/**
 * @param {WidgetModel} model
 * @returns {TransformerModel}
 */
function readNet(model) {
  const net = loadModel(model.get('header'), model.get('weights'));
  if (net.kind !== 'transformer') throw new TypeError(`this widget shows a masked transformer, not ${net.kind}`);
  return net;
}

/**
 * A slider for how many words are hidden, and a button that hides others. The places are hidden in a random order.
 * @param {Random} random
 * @param {(places: number[]) => void} hide
 */
function maskingRate(random, hide) {
  /** @type {number[]} */
  let queue = []; // all places of the sentence, in that order
  const name = h('span');
  const count = () => Math.round((Number(rate.value) / 100) * queue.length);
  const mask = () => hide(queue.slice(0, count()));
  const rate = slider([0, 100, 5], mask);
  const again = button('Other words', () => {
    queue = shuffled(queue.length, random);
    mask();
  }, { title: 'Hide as many other words, at random' });
  /**
   * Takes another order if the sentence has another length.
   * @param {number} length
   * @param {number} seed
   */
  function fit(length, seed) {
    if (length !== queue.length) queue = shuffled(length, seededRandom(seed + length));
  }
  /** @param {number} hidden how many are */
  function draw(hidden) {
    const length = queue.length;
    const share = length ? hidden / length : 0;
    name.textContent = `Masking rate: ${Math.round(100 * share)} %, ${hidden} of ${plural(length, 'word')}`;
    if (count() !== hidden) rate.value = String(Math.round(20 * share) * 5);
    rate.setAttribute('aria-valuetext', `${hidden} of ${plural(length, 'word')} hidden`);
  }
  return { node: line(field(name, rate), again), fit, draw };
}

/**
 * The words of the sentence as buttons, with gaps for those that are hidden.
 * @param {string[]} vocab
 * @param {number[]} ids
 * @param {number[]} hidden
 * @param {number} place whose answers are shown; −1: none
 * @returns {WordItem[]}
 */
function wordItems(vocab, ids, hidden, place) {
  return ids.map((id, t) => {
    if (!hidden.includes(t)) return { word: vocab[id], say: vocab[id], look: ' ' };
    const current = t === place;
    const look = `lmw-hole ${current ? 'lmw-chosen' : ''}`;
    return { word: GAP, pressed: true, current, look, say: `word ${t + 1}, hidden` };
  });
}

/**
 * What the n-gram reads before `place`, as a note in the table.
 * @param {ToyModels} models
 * @param {number[]} ids
 * @param {number[]} hidden
 * @param {number} place
 * @param {number} order
 */
function ngramReads({ vocab, stop }, ids, hidden, place, order) {
  const { context, atStart } = visibleBefore(ids, hidden, place);
  const before = [...(atStart && stop >= 0 ? [stop] : []), ...context];
  const seen = before.slice(order > 1 ? 1 - order : Infinity);
  return seen.length ? `reads “${seen.map((id) => vocab[id]).join(' ')}”` : 'reads nothing';
}

/**
 * The answers of the three at one hidden place, and the choice of the place.
 * @param {ToyModels} models
 * @param {number} order
 * @param {(place: number) => void} onpick
 */
function answerTable(models, order, onpick) {
  const { vocab } = models;
  const holes = dropDown((place) => onpick(Number(place)));
  const choice = field('Answers for', holes);
  /** @type {Column[]} */
  const columns = [
    ['model', 'model', 'Model'],
    ['exact', 'exact', 'Exact'],
    ['ngram', 'other', `${order}-gram`],
  ];
  const table = comparison('', columns, LINES, 2);
  /**
   * @param {number[]} ids
   * @param {number[]} hidden
   * @param {number} place
   */
  function nameOf(ids, hidden, place) {
    const before = hidden.includes(place - 1) ? GAP : vocab[ids[place - 1]];
    return `word ${place + 1}, ${place ? `after “${before}”` : 'at the start'}`;
  }
  /**
   * @param {number[]} ids
   * @param {Answer[]} answers
   * @param {Answer | undefined} chosen
   */
  function draw(ids, answers, chosen) {
    table.node.hidden = choice.hidden = !chosen;
    if (!chosen) return;
    const { place, dists: [mine, exact, ngram], surprises } = chosen;
    const hidden = answers.map((one) => one.place);
    setOptions(holes, hidden.map((one) => [one, nameOf(ids, hidden, one)]));
    holes.value = String(place);
    table.title.textContent = `What stands in place ${place + 1}?`;
    table.draw(vocab, chosen.dists, likeliest([exact, mine, ngram], LINES, ids[place]), ids[place]);
    const notes = ['reads both sides', 'reads both sides', ngramReads(models, ids, hidden, place, order)];
    notes.forEach((note, k) => (table.notes[k].textContent = note));
    table.writeFoot(0, 'Surprise', surprises, 3);
    const mean = columns.map((_, k) => answers.reduce((sum, one) => sum + one.surprises[k], 0) / answers.length);
    table.writeFoot(1, `Mean over ${answers.length}`, mean, 3);
  }
  return { nodes: [choice, table.node], draw };
}

/**
 * What a screen reader hears of the answers.
 * @param {string[]} vocab
 * @param {number[]} ids
 * @param {number} count how many words are hidden
 * @param {Answer | undefined} chosen
 * @param {number} order
 */
function summary(vocab, ids, count, chosen, order) {
  if (!chosen) return 'No word is hidden.';
  const { place, dists } = chosen;
  const [mine, exact, ngram] = dists.map((dist) => formatProb(dist[ids[place]]));
  const answers = `model ${mine}, exact ${exact}, ${order}-gram ${ngram}`;
  return `${plural(count, 'word')} hidden. Word ${place + 1} is “${vocab[ids[place]]}”: ${answers}.`;
}

/**
 * Which words are hidden, and which of them is looked at.
 * @param {WidgetModel} model
 * @param {() => number} length of the sentence
 */
function makeGaps(model, length) {
  const set = setter(model);
  /** @type {() => number[]} */
  const hidden = () => model.get('hidden').filter((/** @type {number} */ t) => t < length());
  /** @type {() => number} */
  const place = () => model.get('place');
  /**
   * @param {number[]} places
   * @param {number} [at] the one that is looked at from now on
   */
  const hide = (places, at = places.includes(place()) ? place() : places[0] ?? 0) =>
    set({ hidden: [...places].sort((a, b) => a - b), place: at });
  /** @param {number} t */
  const toggle = (t) =>
    hidden().includes(t) ? hide(hidden().filter((other) => other !== t)) : hide([...hidden(), t], t);
  /** @param {number} t a place, or −1 */
  function lookAt(t) {
    if (hidden().includes(t) && t !== place()) set({ place: t });
  }
  return { hidden, place, hide, toggle, lookAt };
}

/** @param {Drawn} widget */
function render({ model, el }) {
  const order = model.get('order');
  const models = readModels(model, order);
  const { vocab, exact } = models;
  const net = readNet(model);
  const random = seededRandom(model.get('seed'));
  const set = setter(model);
  /** @type {number[]} */
  let ids = []; // of the last sentence that could be read
  const gaps = makeGaps(model, () => ids.length);

  const sentence = sentenceField({
    vocab,
    exact,
    net,
    empty: 'Write some words of the language, or take a new sentence.',
    advice: 'Press a word to hide it, press it again to show it.',
    oninput: (text) => set({ sentence: text }),
  });
  const fresh = button('New sentence', () => {
    const drawn = drawSentence(models, random);
    const hidden = shuffled(drawn.length, random).slice(0, Math.max(1, gaps.hidden().length)).sort((a, b) => a - b);
    set({ sentence: joinWords(drawn.map((id) => vocab[id])), hidden, place: hidden[0] });
  }, { title: 'Draw a sentence from the exact language' });
  const words = wordRow('The sentence: press a word to hide or to show it', [], gaps.toggle);
  words.node.addEventListener('focusin', (event) => gaps.lookAt(words.placeOf(event.target)));
  const rate = maskingRate(random, gaps.hide);
  const table = answerTable(models, order, (place) => set({ place }));
  const root = frame(
    el,
    'masked-explorer',
    'Masked explorer',
    line(sentence.node, fresh),
    sentence.message,
    words.node,
    rate.node,
    table.nodes,
    runsHere(net, 'Surprise: −log P of the hidden word, ◂, in nats. '),
  );
  root.classList.add('lmw-masked');
  const heard = announcer(root);

  function draw() {
    const { ids: found, wrong } = sentence.read(model.get('sentence'));
    ids = found ?? ids;
    rate.fit(ids.length, model.get('seed'));
    const hidden = gaps.hidden();
    const answers = ids.length ? answerAll(models, net, ids, hidden, order) : [];
    const chosen = answers.find((one) => one.place === gaps.place()) ?? answers[0];
    words.write(wordItems(vocab, ids, hidden, chosen?.place ?? -1));
    rate.draw(hidden.length);
    table.draw(ids, answers, chosen);
    const shown = ids.map((id) => vocab[id]).join(' ');
    Object.assign(root.dataset, { words: shown, hidden: hidden.join(' '), place: chosen?.place ?? '' });
    heard.say(wrong || summary(vocab, ids, hidden.length, chosen, order));
  }

  return live(root, model, ['sentence', 'hidden', 'place'], draw, heard.stop);
}

export default { render };
