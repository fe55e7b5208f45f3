// The parts that a playground is put together from: the text as it grows, the distribution, the dials.
import { formatProb, h, plural, roving, setBar } from '../kit/kit.js';

const SHORT = 10; // lines of the distribution at first
const LONG = 128; // and at most

// The text: the prompt, then what was written, each token a place to go back to; the less likely, the darker.
export function textView(onpick) {
  const prompt = h('span', { class: 'lmp-prompt' });
  const written = h('span', { role: 'group', 'aria-label': 'Written tokens: choose one to see what else there was' });
  const caret = h('span', { class: 'lmp-caret', 'aria-hidden': 'true' });
  const about = { role: 'group', 'aria-label': 'The text', tabindex: '0' }; // a long text is scrolled by keyboard
  const node = h('div', { class: 'lmp-text', dir: 'auto', ...about }, prompt, written, caret);
  const places = [];
  written.addEventListener('keydown', (event) => {
    const at = places.indexOf(event.target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: places.length - 1 }[event.key];
    if (event.key === 'Enter' || event.key === ' ') event.target.click();
    else if (to === undefined) return;
    event.preventDefault();
    if (to !== undefined) places[Math.min(Math.max(to, 0), places.length - 1)]?.focus();
  });
  written.addEventListener('focusin', (event) => {
    for (const place of places) place.tabIndex = place === event.target ? 0 : -1;
  });
  function grow() {
    const i = places.length;
    const place = h('span', { class: 'lmp-token', role: 'button', tabindex: '-1', onclick: () => onpick(i) });
    places.push(place);
    written.append(place);
  }
  // `tokens`: [{text, label, p}]; `cursor` is the place whose distribution is shown, tokens.length at the end.
  function draw(promptText, tokens, cursor) {
    prompt.textContent = promptText;
    while (places.length > tokens.length) places.pop().remove();
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

// The distribution, before and after the filters: a line for each of the likeliest tokens, which takes it.
export function distributionView(ontake) {
  const list = h('ol', { 'aria-label': 'Next token, likeliest first: choose one to take it' });
  const refresh = roving(list);
  const title = h('p', { class: 'lmp-title' });
  const rest = h('div', { class: 'lmw-row lmp-rest' });
  const more = h('button', { type: 'button', class: 'lmw-button lmp-more', 'aria-expanded': 'false' });
  const head = h(
    'div',
    { class: 'lmw-row lmp-head', 'aria-hidden': 'true' },
    h('span', {}, 'token'),
    h('span', { class: 'lmp-before' }, 'before the filters'),
    h('span', { class: 'lmp-after' }, 'after'),
  );
  const node = h('div', { class: 'lmp-dist' }, title, head, list, rest, more);
  const lines = [];
  let [isLong, last] = [false, null];
  more.addEventListener('click', () => {
    isLong = !isLong;
    more.setAttribute('aria-expanded', String(isLong));
    if (last) draw(last);
  });
  function grow() {
    const line = {
      token: h('b'),
      bars: [h('span', { class: 'lmw-bar' }), h('span', { class: 'lmw-bar lmw-of-model' })],
      numbers: [h('span', { class: 'lmw-num' }), h('span', { class: 'lmw-num' })],
    };
    const { token, bars: [one, two], numbers: [before, after] } = line;
    const take = () => ontake(Number(line.node.dataset.token));
    line.node = h('button', { type: 'button', class: 'lmw-row', onclick: take }, token, one, before, two, after);
    lines.push(line);
    list.append(h('li', {}, line.node));
  }
  const write = (line, id, label, pair, scale, chosen) => {
    line.node.dataset.token = id;
    Object.assign(line.node.dataset, { before: pair[0], after: pair[1] });
    line.token.textContent = id === chosen ? `${label} ◂` : label;
    line.node.classList.toggle('lmp-removed', pair[1] === 0);
    pair.forEach((p, i) => {
      setBar(line.bars[i], p / scale);
      line.numbers[i].textContent = p === 0 ? '0' : p.toFixed(4);
    });
    const says = pair[1] === 0 ? 'removed' : `${formatProb(pair[1])} after`;
    line.node.setAttribute('aria-label', `${label}: ${formatProb(pair[0])} before the filters, ${says}. Take it`);
  };
  // {heading, label, before, after, chosen}: `label(id)` names a token; `chosen` is the one that was taken here.
  function draw(shown) {
    last = shown;
    const { heading, label, before, after, chosen } = shown;
    const order = [...before.keys()].sort((a, b) => before[b] - before[a] || a - b);
    const ids = order.slice(0, isLong ? LONG : SHORT);
    const scale = Math.max(before[order[0]], after.reduce((a, b) => Math.max(a, b), 0));
    title.textContent = heading;
    while (lines.length < ids.length) grow();
    lines.forEach((line, i) => {
      line.node.parentNode.hidden = i >= ids.length;
      line.node.hidden = i >= ids.length;
      if (i < ids.length) write(line, ids[i], label(ids[i]), [before[ids[i]], after[ids[i]]], scale, chosen);
    });
    const left = [before, after].map((dist) => order.slice(ids.length).reduce((sum, id) => sum + dist[id], 0));
    rest.hidden = ids.length === order.length;
    rest.replaceChildren(
      h('span', {}, plural(order.length - ids.length, 'other')),
      h('span', { class: 'lmp-before lmw-num' }, left[0].toFixed(4)),
      h('span', { class: 'lmp-after lmw-num' }, left[1].toFixed(4)),
    );
    more.hidden = order.length <= SHORT;
    more.textContent = isLong ? `Show ${SHORT}` : `Show ${order.length > LONG ? LONG : `all ${order.length}`}`;
    refresh();
  }
  function empty(heading) {
    last = null;
    title.textContent = heading;
    for (const line of lines) line.node.hidden = line.node.parentNode.hidden = true;
    rest.hidden = more.hidden = true;
  }
  return { node, draw, empty };
}

// A slider with its name and its value. `off` is where it changes nothing.
export function dialView({ key, name, from, to, step, off, digits }, onturn) {
  const value = h('output');
  const input = h('input', { type: 'range', min: from, max: to ?? 100, step, 'data-dial': key });
  const node = h('label', { class: 'lmp-dial' }, h('span', {}, name, value), input);
  input.addEventListener(
    'input',
    () => onturn(key, to === null && input.value === input.max ? 0 : Number(input.value)),
  );
  // `top` is the highest value where the vocabulary decides.
  function draw(now, top) {
    if (to === null) input.max = top;
    const at = to === null && (now === 0 || now > top) ? top : now;
    if (Number(input.value) !== at) input.value = at;
    const isOff = now === off && !['beams', 'length'].includes(key);
    value.textContent = isOff ? (key === 'temperature' ? '1.00' : 'off') : at.toFixed(digits);
    input.setAttribute('aria-valuetext', value.textContent);
    node.classList.toggle('lmp-off', isOff);
  }
  return { node, input, draw };
}
