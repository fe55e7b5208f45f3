// The parts of a playground: the growing text, the distribution, the sliders.
import { button, formatProb, h, plural, roving, setBar, slider } from '../kit/kit.js';

/** @import { Dial, DialKey } from './settings.js' */
/** @import { Spelled } from './text.js' */

const SHORT = 10; // lines of the distribution at first
const LONG = 128; // and at most

/**
 * The text: the prompt, then the written tokens. Each token is a button that goes back to it; the less likely it was,
 * the darker it is.
 * @param {(place: number) => void} onpick
 */
export function textView(onpick) {
  const prompt = h('span', { class: 'lmp-prompt' });
  const written = h('span', { role: 'group', 'aria-label': 'Written tokens: choose one to see what else there was' });
  const caret = h('span', { class: 'lmp-caret', 'aria-hidden': 'true' });
  const about = { role: 'group', 'aria-label': 'The text', tabindex: '0' }; // a long text is scrolled by keyboard
  const node = h('div', { class: 'lmp-text', dir: 'auto', ...about }, prompt, written, caret);
  /** @type {HTMLElement[]} */
  const places = [];
  moveByKeys(written, places);
  function grow() {
    const i = places.length;
    const place = h('span', { class: 'lmp-token', role: 'button', tabindex: '-1', onclick: () => onpick(i) });
    places.push(place);
    written.append(place);
  }
  /**
   * @param {string} promptText
   * @param {Spelled[]} tokens
   * @param {number} cursor the place whose distribution is shown, tokens.length at the end
   */
  function draw(promptText, tokens, cursor) {
    prompt.textContent = promptText;
    while (places.length > tokens.length) places.pop()?.remove();
    while (places.length < tokens.length) grow();
    tokens.forEach(({ text, label, p }, i) => {
      const place = places[i];
      if (place.textContent !== text) place.textContent = text;
      place.style.setProperty('--odd', Math.min(-Math.log10(p) / 3, 1).toFixed(2));
      place.title = `P = ${formatProb(p)}`;
      place.setAttribute('aria-label', `${label}, probability ${formatProb(p)}`);
      place.setAttribute('aria-pressed', String(i === cursor));
    });
    if (places.length && !written.contains(document.activeElement)) {
      places.forEach((place, i) => (place.tabIndex = i === places.length - 1 ? 0 : -1));
    }
    caret.hidden = cursor < tokens.length;
    if (cursor === tokens.length) node.scrollTop = node.scrollHeight;
  }
  return { node, draw };
}

/**
 * The arrow keys, Home and End go from token to token, Enter and Space choose one; the tokens are one tab stop.
 * @param {HTMLElement} written
 * @param {HTMLElement[]} places
 */
function moveByKeys(written, places) {
  written.addEventListener('keydown', (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const at = places.indexOf(target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: places.length - 1 }[event.key];
    if (event.key === 'Enter' || event.key === ' ') target.click();
    else if (to === undefined) return;
    event.preventDefault();
    if (to !== undefined) places[Math.min(Math.max(to, 0), places.length - 1)]?.focus();
  });
  written.addEventListener('focusin', (event) => {
    for (const place of places) place.tabIndex = place === event.target ? 0 : -1;
  });
}

/**
 * @typedef {object} Shown
 * @property {string} heading
 * @property {(id: number) => string} label names a token
 * @property {Float64Array} before
 * @property {Float64Array} after
 * @property {number} chosen the token that was taken here, or −1
 */

/**
 * The distribution, before and after the filters: a line for each of the likeliest tokens; a click takes the token.
 * @param {(id: number) => void} ontake
 */
export function distributionView(ontake) {
  const list = h('ol', { 'aria-label': 'Next token, likeliest first: choose one to take it' });
  const refresh = roving(list);
  const title = h('p', { class: 'lmp-title' });
  const rest = h('div', { class: 'lmw-row lmp-rest' });
  const more = button('', toggle, { class: 'lmw-button lmp-more', 'aria-expanded': 'false' });
  const node = h('div', { class: 'lmp-dist' }, title, distributionHead(), list, rest, more);
  /** @type {ReturnType<typeof distributionLine>[]} */
  const lines = [];
  let isLong = false;
  /** @type {Shown | null} */
  let last = null;
  function toggle() {
    isLong = !isLong;
    more.setAttribute('aria-expanded', String(isLong));
    if (last) draw(last);
  }
  function grow() {
    const line = distributionLine(ontake);
    lines.push(line);
    list.append(line.item);
  }
  /** @param {Shown} shown */
  function draw(shown) {
    last = shown;
    const { heading, before, after } = shown;
    const order = [...before.keys()].sort((a, b) => before[b] - before[a] || a - b);
    const ids = order.slice(0, isLong ? LONG : SHORT);
    const scale = Math.max(before[order[0]], after.reduce((a, b) => Math.max(a, b), 0));
    title.textContent = heading;
    while (lines.length < ids.length) grow();
    lines.forEach((line, i) => {
      line.show(i < ids.length);
      if (i < ids.length) line.write(ids[i], shown, scale);
    });
    drawRest(rest, shown, order.slice(ids.length));
    more.hidden = order.length <= SHORT;
    more.textContent = isLong ? `Show ${SHORT}` : `Show ${order.length > LONG ? LONG : `all ${order.length}`}`;
    refresh();
  }
  /** @param {string} heading */
  function empty(heading) {
    last = null;
    title.textContent = heading;
    for (const line of lines) line.show(false);
    rest.hidden = more.hidden = true;
  }
  return { node, draw, empty };
}

function distributionHead() {
  return h(
    'div',
    { class: 'lmw-row lmp-head', 'aria-hidden': 'true' },
    h('span', {}, 'token'),
    h('span', { class: 'lmp-before' }, 'before the filters'),
    h('span', { class: 'lmp-after' }, 'after'),
  );
}

/**
 * One token with its two probabilities.
 * @param {(id: number) => void} ontake
 */
function distributionLine(ontake) {
  const token = h('b');
  const bars = [h('span', { class: 'lmw-bar' }), h('span', { class: 'lmw-bar lmw-of-model' })];
  const numbers = [h('span', { class: 'lmw-num' }), h('span', { class: 'lmw-num' })];
  const cells = [token, bars[0], numbers[0], bars[1], numbers[1]];
  const take = () => ontake(Number(node.dataset.token));
  const node = h('button', { type: 'button', class: 'lmw-row', onclick: take }, ...cells);
  const item = h('li', {}, node);
  /** @param {boolean} isShown */
  const show = (isShown) => {
    item.hidden = node.hidden = !isShown;
  };
  /**
   * @param {number} id
   * @param {Shown} shown
   * @param {number} scale the probability that fills a bar
   */
  function write(id, { label, before, after, chosen }, scale) {
    const [name, pair] = [label(id), [before[id], after[id]]];
    Object.assign(node.dataset, { token: id, before: pair[0], after: pair[1] });
    token.textContent = id === chosen ? `${name} ◂` : name;
    node.classList.toggle('lmp-removed', pair[1] === 0);
    pair.forEach((p, i) => {
      setBar(bars[i], p / scale);
      numbers[i].textContent = p === 0 ? '0' : p.toFixed(4);
    });
    const says = pair[1] === 0 ? 'removed' : `${formatProb(pair[1])} after`;
    node.setAttribute('aria-label', `${name}: ${formatProb(pair[0])} before the filters, ${says}. Take it`);
  }
  return { item, show, write };
}

/**
 * The total of the tokens that have no line.
 * @param {HTMLElement} node
 * @param {Shown} shown
 * @param {number[]} others
 */
function drawRest(node, { before, after }, others) {
  const [left, kept] = [before, after].map((dist) => others.reduce((sum, id) => sum + dist[id], 0));
  node.hidden = others.length === 0;
  node.replaceChildren(
    h('span', {}, plural(others.length, 'other')),
    h('span', { class: 'lmp-before lmw-num' }, left.toFixed(4)),
    h('span', { class: 'lmp-after lmw-num' }, kept.toFixed(4)),
  );
}

/**
 * A slider with its name and its value. At `off` it changes nothing.
 * @param {Dial} dial
 * @param {(key: DialKey, value: number) => void} onturn
 */
export function dialView({ key, name, from, to, step, off, digits }, onturn) {
  const value = h('output');
  const turn = (/** @type {number} */ at) => onturn(key, to === null && at === Number(input.max) ? 0 : at);
  const input = slider([from, to ?? 100, step], turn, { 'data-dial': key });
  const node = h('label', { class: 'lmp-dial' }, h('span', {}, name, value), input);
  /**
   * @param {number} now
   * @param {number} top the highest value where the vocabulary decides
   */
  function draw(now, top) {
    if (to === null) input.max = String(top);
    const at = to === null && (now === 0 || now > top) ? top : now;
    if (Number(input.value) !== at) input.value = String(at);
    const isOff = now === off && !['beams', 'length'].includes(key);
    value.textContent = isOff ? (key === 'temperature' ? '1.00' : 'off') : at.toFixed(digits);
    input.setAttribute('aria-valuetext', value.textContent);
    node.classList.toggle('lmp-off', isOff);
  }
  return { node, input, draw };
}
