// Word vectors to move about in: two directions of the space as a picture, the nearest words of the whole space.
import { unpack } from './core/bytes.js';
import { cosines, neighbours, products, readVectors } from './core/vectors.js';
import {
  announcer,
  dropDown,
  field,
  frame,
  h,
  line,
  live,
  player,
  plural,
  quiet,
  setBar,
  setter,
  slider,
  svg,
} from './kit/kit.js';

/** @import { Drawn, WidgetModel } from './kit/kit.js' */

const NEAREST = 8; // words in the list
const MARGIN = 0.06; // of the picture, left free on each side
const MOVE_EVERY = 700; // milliseconds; calmer where the reader wants little motion
const CALM_MOVE_EVERY = 1500;

/** @typedef {ReturnType<typeof readSpace>} Space */
/** @typedef {{ moment: number, word: number, across: number, up: number }} Look where the reader is */

/** @param {Pick<WidgetModel, 'get'>} model */
export function readSpace(model) {
  /** @type {string[]} */
  const words = model.get('words');
  /** @type {number[]} */
  const steps = model.get('steps');
  const directions = unpack(model.get('directions'), Float32Array);
  /** @type {number} */
  const E = model.get('width');
  const tables = readVectors(model.get('vectors'), steps.length, words.length, E);
  const count = directions.length / E;
  const along = tables.map((table) =>
    Array.from({ length: count }, (_, k) => products(table, directions.subarray(k * E, (k + 1) * E)))
  );
  const farthest = Math.max(...along.flat().map((values) => Math.max(...values.map(Math.abs))));
  return {
    words,
    steps,
    directions: count,
    /**
     * A word's place along direction `k` at a moment, from −1 to 1.
     * @param {number} moment
     * @param {number} k
     * @param {number} word
     */
    place: (moment, k, word) => along[moment][k][word] / (farthest || 1),
    /**
     * The nearest words and their cosines.
     * @param {number} moment
     * @param {number} word
     */
    nearest(moment, word) {
      const alike = cosines(tables[moment], E, word);
      return neighbours(alike, word, NEAREST).map((other) => ({ other, cosine: alike[other] }));
    },
  };
}

/**
 * A dot for each word; pressing one chooses it.
 * @param {Space} space
 * @param {(word: number) => void} onpick
 */
function picture(space, onpick) {
  const dots = space.words.map((word, i) => {
    const title = svg('title');
    title.textContent = word;
    const dot = svg('circle', { r: 0.013 }, title);
    dot.addEventListener('click', () => onpick(i));
    return dot;
  });
  const axes = svg('path', { class: 'lmw-axes', d: 'M0 0.5H1M0.5 0V1' });
  const plane = svg('svg', { viewBox: '0 0 1 1' }, axes, dots);
  const name = h('b', {});
  const node = h('div', { class: 'lmw-plane', role: 'img' }, plane, name);
  const where = (/** @type {number} */ value) => 0.5 + value * (0.5 - MARGIN);
  /**
   * @param {Look} look
   * @param {number[]} near
   */
  function draw({ moment, word, across, up }, near) {
    const at = (/** @type {number} */ i) => [
      where(space.place(moment, across, i)),
      where(-space.place(moment, up, i)),
    ];
    dots.forEach((dot, i) => {
      const [x, y] = at(i);
      dot.style.transform = `translate(${x.toFixed(4)}px, ${y.toFixed(4)}px)`;
      dot.classList.toggle('lmw-chosen', i === word);
      dot.classList.toggle('lmw-near', near.includes(i));
    });
    plane.append(...near.map((i) => dots[i]), dots[word]); // on top of the others
    const [x, y] = at(word);
    name.textContent = space.words[word];
    name.style.setProperty('--x', String(x));
    name.style.setProperty('--y', String(y));
    name.classList.toggle('lmw-left', x > 0.7);
    node.setAttribute('aria-label', `${space.words.length} words as dots, ${space.words[word]} among them.`);
  }
  return { node, draw };
}

/**
 * The nearest words in the whole space, with their cosines; a word is a button that goes there.
 * @param {Space} space
 * @param {(word: number) => void} onpick
 */
function nearestList(space, onpick) {
  const title = h('p', {});
  const list = h('ol', { class: 'lmw-nearest' });
  const rows = Array.from({ length: Math.min(NEAREST, space.words.length - 1) }, (_, i) => {
    const [name, bar, number] = [h('b', {}), h('span', { class: 'lmw-bar' }), h('span', { class: 'lmw-num' })];
    const node = h('button', { type: 'button', onclick: () => onpick(shown[i]) }, name, bar, number);
    list.append(h('li', {}, node));
    return { name, bar, number };
  });
  /** @type {number[]} */
  let shown = [];
  /**
   * @param {string} word
   * @param {{ other: number, cosine: number }[]} near
   */
  function draw(word, near) {
    title.replaceChildren('Nearest to ', h('b', { class: 'lmw-exact' }, word), ' in the whole space, by cosine');
    shown = near.map(({ other }) => other);
    near.forEach(({ other, cosine }, i) => {
      rows[i].name.textContent = space.words[other];
      rows[i].number.textContent = cosine.toFixed(2).replace('-', '−');
      setBar(rows[i].bar, cosine);
    });
  }
  return { node: h('div', {}, title, list), draw };
}

/**
 * A slider over the moments of the training and a button that plays them.
 * @param {Space} space
 * @param {() => number} current
 * @param {(moment: number) => void} onmove
 */
function momentPanel({ steps }, current, onmove) {
  const last = steps.length - 1;
  const input = slider([0, last, 1], (moment) => {
    play.stop();
    onmove(moment);
  }, { 'aria-label': 'Moment of the training' });
  const play = player(['Play ▶', 'Stop ■'], {
    begin: () => current() === last && onmove(0),
    tick() {
      onmove(Math.min(current() + 1, last));
      return current() !== last;
    },
    every: () => (matchMedia('(prefers-reduced-motion: reduce)').matches ? CALM_MOVE_EVERY : MOVE_EVERY),
  });
  const told = h('span', { class: 'lmw-num' });
  const node = h('div', { class: 'lmw-moment' }, play.node, input, told);
  /** @param {number} moment */
  function draw(moment) {
    input.value = String(moment);
    told.textContent = `after ${plural(steps[moment], 'step')}`;
    input.setAttribute('aria-valuetext', told.textContent);
  }
  return { node, draw, stop: play.stop };
}

/** @param {Drawn} widget */
function render({ model, el }) {
  const space = readSpace(model);
  const set = setter(model);
  const pick = (/** @type {number} */ word) => set({ word });
  const sorted = [...space.words.keys()].sort((a, b) => space.words[a].localeCompare(space.words[b]));
  const choice = dropDown((word) => pick(Number(word)), sorted.map((i) => [i, space.words[i]]));
  /** @type {[number, string][]} */
  const names = Array.from({ length: space.directions }, (_, k) => [k, `direction ${k + 1}`]);
  const across = dropDown((k) => set({ across: Number(k) }), names);
  const up = dropDown((k) => set({ up: Number(k) }), names);
  const moments = momentPanel(space, () => model.get('moment'), (moment) => set({ moment }));
  const [plane, list] = [picture(space, pick), nearestList(space, pick)];
  const root = frame(el, 'word-vectors', 'Word vectors', [
    line(field('Word', choice), field('Across', across), field('Up', up)),
    moments.node,
    h('div', { class: 'lmw-space' }, plane.node, list.node),
    quiet(
      'Each dot is a word: press one to choose it. Two directions are shown, so words that look near may be far apart; the list knows. A recorded run.',
    ),
  ]);
  root.classList.add('lmw-vectors');
  const heard = announcer(root);

  function draw() {
    const look = {
      moment: model.get('moment'),
      word: model.get('word'),
      across: model.get('across'),
      up: model.get('up'),
    };
    const near = space.nearest(look.moment, look.word);
    [choice.value, across.value, up.value] = [look.word, look.across, look.up].map(String);
    moments.draw(look.moment);
    plane.draw(look, near.map(({ other }) => other));
    list.draw(space.words[look.word], near);
    Object.assign(root.dataset, look);
    heard.say(
      `After ${plural(space.steps[look.moment], 'step')} nearest to ${space.words[look.word]}: ${
        near.slice(0, 4).map(({ other }) => space.words[other]).join(', ')
      }.`,
    );
  }

  return live(root, model, ['moment', 'word', 'across', 'up'], draw, heard.stop, moments.stop);
}

export default { render };
