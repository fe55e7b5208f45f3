// What all widgets share: building elements, the keyboard, what a screen reader hears, how numbers are written.

// h('button', { type: 'button', onclick: f, 'aria-label': 'Undo' }, 'Undo'): an element. Children are elements or
// text, never markup, so nothing that a reader types can become a script.
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.flat());
  return node;
}

export function button(label, onclick, attributes = {}) {
  return h('button', { type: 'button', class: 'lmw-button', onclick, ...attributes }, label);
}

let lastId = 0;
export function newId(prefix = 'lmw') {
  lastId += 1;
  return `${prefix}-${lastId}-${Math.random().toString(36).slice(2, 7)}`;
}

// A labelled group of native radio buttons, drawn as one segmented control; the browser gives it its arrow keys.
// `options` are [value, label, extra node] triples.
export function segments(legend, options, onchange) {
  const name = newId('choice');
  const inputs = options.map(([value]) => h('input', { type: 'radio', name, value, onchange: () => onchange(value) }));
  const labels = options.map(([, label, extra], i) =>
    h('label', { class: 'lmw-segment' }, inputs[i], h('span', {}, label, ...(extra ? [extra] : [])))
  );
  const node = h('fieldset', { class: 'lmw-segments' }, h('legend', {}, legend), ...labels);
  const select = (value) => inputs.forEach((input) => (input.checked = input.value === String(value)));
  return { node, select };
}

// The outermost element of a widget. JupyterLab binds arrow keys, letters and Delete to whole cells: none may pass.
export function frame(el, name, label, ...children) {
  const root = h('section', { class: 'lmw', 'data-lm-widget': name, 'aria-label': label }, ...children);
  const keepKeys = (event) => event.stopPropagation();
  for (const type of ['keydown', 'keypress', 'keyup']) root.addEventListener(type, keepKeys);
  el.append(root);
  return root;
}

// One tab stop for the buttons in `list`, whichever they are by then; the arrow keys, Home and End move inside it.
// Returns a function to call when buttons have come or gone.
export function roving(list) {
  let stop = 0;
  const all = () => [...list.querySelectorAll('button:not([hidden])')];
  const refresh = () => {
    const buttons = all();
    stop = Math.min(stop, buttons.length - 1);
    buttons.forEach((b, i) => (b.tabIndex = i === Math.max(stop, 0) ? 0 : -1));
  };
  list.addEventListener('focusin', (event) => {
    stop = Math.max(all().indexOf(event.target), 0);
    refresh();
  });
  list.addEventListener('keydown', (event) => {
    const buttons = all();
    const at = buttons.indexOf(event.target);
    const last = buttons.length - 1;
    const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: last }[
      event.key
    ];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    buttons[Math.min(Math.max(to, 0), last)].focus();
  });
  refresh();
  return refresh;
}

// A screen reader hears `say(text)` once the reader has stopped acting for a moment: the last text only.
export function announcer(root) {
  const region = h('p', { class: 'lmw-heard', role: 'status', 'aria-live': 'polite' });
  root.append(region);
  let timer = null;
  const say = (text) => {
    clearTimeout(timer);
    timer = setTimeout(() => (region.textContent = text), 400);
  };
  return { say, stop: () => clearTimeout(timer) };
}

// Draws now, and again whenever one of the traits `names` changes. Returns what ends the view: it takes `root` away
// and calls each of `ends`, which stop what would go on by itself.
export function live(root, model, names, draw, ...ends) {
  const redraw = () => draw();
  for (const name of names) model.on(`change:${name}`, redraw);
  draw();
  return () => {
    for (const name of names) model.off(`change:${name}`, redraw);
    for (const end of ends) end();
    root.remove();
  };
}

// ---- Numbers -----------------------------------------------------------------------------------------------------------

// A probability with four digits after the point; 0 and 1 only where it is exactly that; "3.142e−6" where four digits
// after the point would hide it.
export function formatProb(p) {
  if (p === 0 || p === 1) return String(p);
  if (p >= 0.00005) return p.toFixed(4);
  return p.toExponential(3).replace('-', '−');
}

export function formatLog(x, digits = 4) {
  if (x === -Infinity) return '−∞';
  return (x < 0 ? '−' : '') + Math.abs(x).toFixed(digits);
}

export function plural(n, noun) {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

// Makes `node` say how long its bar is: share 0 … 1 of the room.
export function setBar(node, share) {
  node.style.setProperty('--share', String(Math.min(Math.max(share, 0), 1)));
}

// ---- The text field -----------------------------------------------------------------------------------------------------

// What the words of a text mean in a vocabulary. `ids` up to the first unknown word; `pending` are the known words that
// a half-typed last word may still become; `problem` says in a sentence what is wrong.
export function readText(text, vocab, { splitWords, nearestWord }) {
  const words = splitWords(text);
  const index = new Map(vocab.map((word, i) => [word, i]));
  const bad = words.findIndex((word) => !index.has(word));
  const ids = (bad < 0 ? words : words.slice(0, bad)).map((word) => index.get(word));
  if (bad < 0) return { ids, pending: [], problem: '' };
  const unknown = words[bad].slice(0, 30);
  const halfTyped = bad === words.length - 1 && !/\s$/.test(text);
  const pending = halfTyped ? vocab.filter((word) => word.startsWith(unknown)) : [];
  const nearest = nearestWord(unknown, vocab);
  const hint = nearest ? ` Did you mean “${nearest}”?` : '';
  const problem = `“${unknown}” is not one of the ${vocab.length} words of this language.${hint}`;
  return { ids, pending, problem: pending.length ? '' : problem };
}
