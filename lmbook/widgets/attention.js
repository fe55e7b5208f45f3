// The attention explorer: a trained transformer runs in the page, and every head shows what it looks at.
import { bestHead, headGrid, headName, largeMap, weightOf } from './attention_heads.js';
import { splitWords } from './core/words.js';
import { announcer, dropDown, field, formatProb, frame, h, line, live, setOptions, setter } from './kit/kit.js';
import { readPair, runsHere } from './kit/page_model.js';
import { comparison, likeliest, sentenceField, wordRow } from './kit/sentence.js';
import { presetPicker } from './kit/text_field.js';

/** @import { Gaze, Seen } from './attention_heads.js' */
/** @import { TransformerModel } from './core/models.js' */
/** @import { Automaton } from './core/toy_language.js' */
/** @import { Drawn, WidgetModel } from './kit/kit.js' */

const LINES = 7; // words that get a line of their own

// ---- What is looked at ------------------------------------------------------------------------------------------------

/**
 * What the model makes of `ids`: its attention, and after each word the next one's distribution.
 * @param {Pick<TransformerModel, 'attention' | 'dist'>} net
 * @param {number[]} ids
 */
export function look(net, ids) {
  return { attention: net.attention(ids), dists: ids.map((_, t) => net.dist(ids.slice(0, t + 1))) };
}

/**
 * The subject that a verb after word t agrees with: the last word up to there after which the language is in one of
 * `subjectStates`. −1: there is none yet.
 * @param {Pick<Automaton, 'step'>} exact
 * @param {number[]} subjectStates
 * @param {number[]} ids
 * @param {number} t
 */
export function subjectPlace(exact, subjectStates, ids, t) {
  let [state, place] = [0, -1];
  for (let s = 0; s <= t; s++) {
    state = exact.step(state, ids[s]);
    if (subjectStates.includes(state)) place = s;
  }
  return place;
}

/**
 * @param {number} value
 * @param {number} high
 */
const clamp = (value, high) => Math.min(Math.max(value, 0), high);

/**
 * The head and the two words that the traits name, kept inside the sentence. Without a target the word looked at is the
 * subject, or the first; without a head it is the one that looks there most.
 * @param {WidgetModel} model
 * @param {Seen} seen
 * @param {number} peek the word under the pointer looks instead of the chosen one; −1: none
 * @param {(t: number) => number} subjectAt
 */
function gazeOf(model, seen, peek, subjectAt) {
  const last = seen.ids.length - 1;
  const chosen = clamp(model.get('place'), last);
  const t = peek >= 0 ? Math.min(peek, last) : chosen;
  const subject = subjectAt(t);
  /** @type {number} */
  const wanted = t === chosen ? model.get('target') : -1;
  const target = wanted >= 0 && wanted <= t ? wanted : Math.max(subject, 0);
  const best = bestHead(seen, t, target);
  const { attention } = seen;
  const layer = clamp(model.get('layer'), attention.length - 1);
  const head = clamp(model.get('head'), attention[layer].length - 1);
  const gaze = model.get('layer') < 0 ? best : { layer, head, t, target };
  return { gaze, best, subject };
}

// ---- The words --------------------------------------------------------------------------------------------------------

/**
 * The words of the sentence, each with the share that the chosen head gives to it.
 * @param {string[]} vocab
 * @param {{ current: () => number, choose: (place: number) => void, hover: (place: number) => void }} reader `current`
 *   is the chosen place; `hover` is told −1 when the pointer leaves the words
 */
function attendedWords(vocab, { current, choose, hover }) {
  const row = wordRow('The sentence: the chosen word looks back', ['model'], choose);
  row.node.addEventListener('focusin', (event) => {
    const place = row.placeOf(event.target);
    if (place >= 0 && place !== current()) choose(place);
  });
  row.node.addEventListener('pointerover', (event) => {
    if (event.pointerType === 'mouse') hover(row.placeOf(event.target));
  });
  row.node.addEventListener('pointerleave', () => hover(-1));
  /**
   * @param {Seen} seen
   * @param {Gaze} gaze
   */
  function draw({ ids, attention }, { layer, head, t, target }) {
    const T = ids.length;
    const shares = attention[layer][head].subarray(t * T, (t + 1) * T);
    row.write(ids.map((id, s) => {
      const word = vocab[id];
      if (s > t) return { word, number: '', shares: [0], look: 'lmw-later', say: `${word}: hidden from here` };
      const number = shares[s].toFixed(2);
      return {
        word,
        number,
        shares: [shares[s]],
        pressed: s === t,
        current: s === t,
        look: s === target ? 'lmw-target' : '',
        say: `${word}: ${number} of the attention`,
      };
    }));
    row.buttons().forEach((node, s) => (node.dataset.weight = String(s <= t ? shares[s] : 0)));
  }
  return { node: row.node, draw };
}

/**
 * The choice of the word that is looked at.
 * @param {string[]} vocab
 * @param {(target: number) => void} onpick
 */
function targetChoice(vocab, onpick) {
  const select = dropDown((target) => onpick(Number(target)));
  /**
   * @param {number[]} ids
   * @param {Gaze} gaze
   * @param {number} subject
   */
  function draw(ids, { t, target }, subject) {
    const told = ids.slice(0, t + 1).map((id, s) =>
      `“${vocab[id]}”, word ${s + 1}${s === subject ? ' (the subject)' : ''}`
    );
    setOptions(select, told.map((text, s) => [s, text]));
    select.value = String(target);
  }
  return { node: field('How much does each head look at …', select), draw };
}

/**
 * @param {string[]} vocab
 * @param {Seen} seen
 * @param {Gaze} best
 * @param {number} subject
 */
function finding(vocab, seen, best, subject) {
  const [from, to] = [best.t, best.target].map((place) => vocab[seen.ids[place]]);
  const share = weightOf(seen, best).toFixed(3);
  const agrees = best.target === subject ? ' It is the subject: a verb must agree with it.' : '';
  return `From “${from}”, head ${headName(best)} looks most at “${to}”: ${share} of its attention.${agrees}`;
}

/**
 * What comes after word t, to the model and exactly. `draw` returns what a screen reader hears of it.
 * @param {string[]} vocab
 * @param {Automaton} exact
 */
function nextWords(vocab, exact) {
  const table = comparison('', [['model', 'model', 'Model'], ['exact', 'exact', 'Exact language']], LINES);
  /**
   * @param {Seen} seen
   * @param {number} t
   */
  function draw({ ids, dists }, t) {
    const [mine, truth] = [dists[t], exact.dist(ids.slice(0, t + 1))];
    const next = t + 1 < ids.length ? ids[t + 1] : -1;
    const word = vocab[ids[t]];
    table.title.textContent = `What comes after “${word}”?`;
    table.draw(vocab, [mine, truth], likeliest([truth, mine], LINES, next), next);
    const [top] = likeliest([mine], 1);
    return `After “${word}” the model expects “${vocab[top]}” most, ${formatProb(mine[top])}, exactly ${
      formatProb(truth[top])
    }.`;
  }
  return { node: table.node, draw };
}

// ---- The view ---------------------------------------------------------------------------------------------------------

/**
 * The controls of the sentence: a field, and sentences to pick from.
 * @param {ReturnType<typeof readPair>} pair
 * @param {string[]} presets
 * @param {(sentence: string) => void} oninput
 */
function sentenceWriter({ net, exact, vocab }, presets, oninput) {
  const sentence = sentenceField({
    vocab,
    exact,
    net,
    empty: 'Write a word of the language: a model reads something before it predicts.',
    advice: 'Choose a word: it looks back at those before it. What comes after it is hidden: dashed.',
    oninput,
  });
  const picker = presetPicker(presets, oninput);
  const pick = h('label', { class: 'lmw-pick' }, h('span', {}, 'or pick one'), picker.node);
  /** @param {string} text */
  function read(text) {
    picker.show(text);
    return sentence.read(text);
  }
  return { nodes: [line(sentence.node, pick), sentence.message], read };
}

/** @param {Drawn} widget */
function render({ model, el }) {
  const pair = readPair(model);
  const { net, exact, vocab } = pair;
  const subjectStates = model.get('subject_states');
  /** @type {Seen} */
  let seen = { ids: [], attention: [], dists: [] }; // the last sentence that could be read
  let peek = -1; // the place of the word under the pointer

  const set = setter(model);
  const sentence = sentenceWriter(pair, model.get('presets'), (text) => {
    set({ sentence: text, target: -1, place: Math.max(splitWords(text).length - 3, 0) });
  });
  const words = attendedWords(vocab, {
    current: () => model.get('place'),
    choose: (place) => set({ place, target: -1 }),
    hover(place) {
      if (place === peek) return;
      peek = place;
      draw();
    },
  });
  const targets = targetChoice(vocab, (target) => set({ target }));
  const grid = headGrid(net, vocab, set);
  const large = largeMap();
  const found = h('p', { class: 'lmw-finding' });
  const table = nextWords(vocab, exact);
  const maps = h('div', { class: 'lmw-maps' }, grid.node, large.node);
  const parts = [...sentence.nodes, words.node, targets.node, maps, found, table.node, runsHere(net)];
  const root = frame(el, 'attention', 'Attention explorer', parts);
  root.classList.add('lmw-attention');
  const heard = announcer(root);

  function draw() {
    const { ids: read, wrong } = sentence.read(model.get('sentence'));
    if (read && read.join() !== seen.ids.join()) seen = { ids: read, ...look(net, read) };
    const { ids } = seen;
    if (!ids.length) return;
    const subjectAt = (/** @type {number} */ t) => subjectPlace(exact, subjectStates, ids, t);
    const { gaze, best, subject } = gazeOf(model, seen, peek, subjectAt);
    words.draw(seen, gaze);
    targets.draw(ids, gaze, subject);
    grid.draw(seen, gaze, best);
    large.draw(ids.map((id) => vocab[id]), seen.attention[gaze.layer][gaze.head], gaze);
    found.textContent = finding(vocab, seen, best, subject);
    const expected = table.draw(seen, gaze.t);
    const { t: place, target, layer, head } = gaze;
    Object.assign(root.dataset, { place, target, layer, head, words: ids.map((id) => vocab[id]).join(' ') });
    heard.say(wrong || `${found.textContent} ${expected}`);
  }

  return live(root, model, ['sentence', 'place', 'target', 'layer', 'head'], draw, heard.stop);
}

export default { render };
