// The parts of a playground: the growing text and the distribution.
import { SHORT } from './desk.js';
import { button, field, formatProb, h, line, plural, quiet, roving, setBar } from '../kit/kit.js';

/** @import { Table, TableLine, Wanted } from './desk.js' */
/** @import { Spelled } from './text.js' */

/** @typedef {{ take: (id: number) => void, want: (wanted: Partial<Wanted>) => void }} Asks */

const LONG = 128; // lines of the distribution at most

/**
 * The text: the prompt, then the written tokens. Each token is a button that goes back to it; the less likely it was,
 * the darker it is.
 * @param {string} name
 * @param {(place: number) => void} onpick
 */
export function textView(name, onpick) {
  const prompt = h('span', { class: 'lmp-prompt' });
  const written = h('span', { role: 'group', 'aria-label': 'Written tokens: choose one to see what else there was' });
  const caret = h('span', { class: 'lmp-caret', 'aria-hidden': 'true' });
  const about = { role: 'group', 'aria-label': name, tabindex: '0' }; // a long text is scrolled by keyboard
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
   * @param {(Spelled & { p: number })[]} tokens
   * @param {number} cursor the place whose distribution is shown, tokens.length at the end
   * @param {number} impossible the place of the first token that the exact language can't produce, −1 if there is none
   */
  function draw(promptText, tokens, cursor, impossible) {
    prompt.textContent = promptText;
    while (places.length > tokens.length) places.pop()?.remove();
    while (places.length < tokens.length) grow();
    tokens.forEach(({ text, label, p }, i) => {
      const place = places[i];
      if (place.textContent !== text) place.textContent = text;
      place.style.setProperty('--odd', Math.min(-Math.log10(p) / 3, 1).toFixed(2));
      place.title = `P = ${formatProb(p)}`;
      place.classList.toggle('lmp-impossible', i === impossible);
      const judged = i === impossible ? ', impossible in the exact language' : '';
      place.setAttribute('aria-label', `${label}, probability ${formatProb(p)}${judged}`);
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
 * The distribution, before and after the filters: a line for each of the likeliest tokens, or of those that are looked
 * for; a click takes the token.
 * @param {Asks} asks
 */
export function distributionView(asks) {
  const list = h('ol', { 'aria-label': 'Next token, likeliest first: choose one to take it' });
  const refresh = roving(list);
  const title = h('p', { class: 'lmp-title' });
  const rest = h('div', { class: 'lmw-row lmp-rest' });
  const further = listControls(asks);
  const node = h('div', { class: 'lmp-dist' }, title, distributionHead(), list, rest, further.node);
  /** @type {ReturnType<typeof distributionLine>[]} */
  const lines = [];
  function grow() {
    const line = distributionLine(asks.take);
    lines.push(line);
    list.append(line.item);
  }
  /**
   * @param {Table} table
   * @param {number} chosen the token that was taken here, or −1
   */
  function draw(table, chosen) {
    const where = chosen < 0 ? 'Next token' : `In place of “${table.chosen}”`;
    title.textContent = `${where}: ${table.left} of ${table.total} left`;
    while (lines.length < table.lines.length) grow();
    lines.forEach((line, i) => {
      line.show(i < table.lines.length);
      if (i < table.lines.length) line.write(table.lines[i], table.scale, chosen);
    });
    drawRest(rest, table);
    further.draw(table);
    refresh();
  }
  /** @param {string} heading */
  function empty(heading) {
    title.textContent = heading;
    for (const line of lines) line.show(false);
    rest.hidden = true;
    further.hide();
  }
  return { node, draw, empty };
}

/**
 * More lines or fewer; in a long list the next ones, and a field that looks for tokens.
 * @param {Asks} asks
 */
function listControls({ want }) {
  let isLong = false;
  /** @type {Table | null} */
  let last = null;
  const more = button('', () => (isLong = !isLong, want({ from: 0, count: isLong ? LONG : SHORT })), {
    class: 'lmw-button lmp-more',
    'aria-expanded': 'false',
  });
  /** @param {number} pages */
  const turn = (pages) => want({ from: Math.max((last?.wanted.from ?? 0) + pages * LONG, 0) });
  const up = button('Further up', () => turn(-1), { class: 'lmw-button lmp-more' });
  const down = button('Further down', () => turn(1), { class: 'lmw-button lmp-more' });
  const search = h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none' });
  search.addEventListener('input', () => want({ from: 0, find: search.value }));
  const find = field('Find a token', search);
  const places = quiet();
  const node = h('div', { class: 'lmp-further' }, places, line(more, up, down, find));
  /** @param {Table} table */
  function draw(table) {
    last = table;
    const { wanted: { from, find: text }, found, total, lines } = table;
    isLong = table.wanted.count > SHORT;
    more.hidden = found <= SHORT;
    more.setAttribute('aria-expanded', String(isLong));
    more.textContent = isLong ? `Show ${SHORT}` : `Show ${found > LONG ? LONG : `all ${found}`}`;
    up.hidden = down.hidden = !isLong || found <= LONG;
    up.disabled = from === 0;
    down.disabled = from + lines.length >= found;
    find.hidden = total <= LONG;
    if (search.value !== text) search.value = text;
    const numbers = lines.map(({ place }) => place.toLocaleString('en'));
    const contain = text ? `${found.toLocaleString('en')} tokens contain “${text}”. ` : '';
    places.hidden = !text && from === 0;
    places.textContent = contain + (lines.length ? `Places ${numbers[0]} to ${numbers[numbers.length - 1]}.` : '');
  }
  const hide = () => {
    for (const one of [more, up, down, find, places]) one.hidden = true;
  };
  return { node, draw, hide };
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
   * @param {TableLine} line
   * @param {number} scale the probability that fills a bar
   * @param {number} chosen
   */
  function write({ id, label: name, place, before, after }, scale, chosen) {
    Object.assign(node.dataset, { token: id, before, after, place });
    token.textContent = id === chosen ? `${name} ◂` : name;
    node.title = `Place ${place.toLocaleString('en')}`;
    node.classList.toggle('lmp-removed', after === 0);
    [before, after].forEach((p, i) => {
      setBar(bars[i], p / scale);
      numbers[i].textContent = p === 0 ? '0' : p < 0.00005 ? p.toExponential(0) : p.toFixed(4);
    });
    const says = after === 0 ? 'removed' : `${formatProb(after)} after`;
    node.setAttribute('aria-label', `${name}: ${formatProb(before)} before the filters, ${says}. Take it`);
  }
  return { item, show, write };
}

/**
 * The total of the tokens that have no line.
 * @param {HTMLElement} node
 * @param {Table} table
 */
function drawRest(node, { rest: [before, after], total, lines }) {
  node.hidden = total === lines.length;
  node.replaceChildren(
    h('span', {}, plural(total - lines.length, 'other')),
    h('span', { class: 'lmp-before lmw-num' }, before.toFixed(4)),
    h('span', { class: 'lmp-after lmw-num' }, after.toFixed(4)),
  );
}
