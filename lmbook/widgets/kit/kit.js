// What all widgets share: elements, the keyboard, what a screen reader hears, how numbers are written.

/** @typedef {string | Node} Child of an element; a string is text, never markup, so no input can become a script */

/**
 * @typedef {object} WidgetModel what a view gets from anywidget, or from the page in its place
 * @property {(name: string) => any} get
 * @property {(changes: Record<string, unknown>) => void} set
 * @property {() => void} save_changes
 * @property {(event: string, callback: () => void) => void} on
 * @property {(event: string, callback: () => void) => void} off
 */

/** @typedef {{ model: WidgetModel, el: HTMLElement }} Drawn the arguments of a view's `render` */

// ---- Elements ---------------------------------------------------------------------------------------------------------

/**
 * An element: h('button', { type: 'button', onclick: f, 'aria-label': 'Undo' }, 'Undo').
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [attributes] a function is a listener; true an attribute without a value; false none
 * @param {...(Child | Child[])} children
 */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (isListener(value)) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== null) node.setAttribute(name, String(value));
  }
  node.append(...children.flat());
  return node;
}

/**
 * h for pictures.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...(Node | Node[])} children
 */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children.flat());
  return node;
}

/**
 * @param {unknown} value
 * @returns {value is EventListener}
 */
function isListener(value) {
  return typeof value === 'function';
}

/**
 * @param {string} label
 * @param {() => void} onclick
 * @param {Record<string, unknown>} [attributes]
 */
export function button(label, onclick, attributes = {}) {
  return h('button', { type: 'button', class: 'lmw-button', onclick, ...attributes }, label);
}

/**
 * Parts side by side, as long as there is room.
 * @param {...(Child | Child[])} children
 */
export function line(...children) {
  return h('div', { class: 'lmw-line' }, ...children);
}

/**
 * A control and its name above it.
 * @param {Child} name
 * @param {Child} control
 */
export function field(name, control) {
  return h('label', { class: 'lmw-field' }, typeof name === 'string' ? h('span', {}, name) : name, control);
}

/**
 * A paragraph in quiet type.
 * @param {...(Child | Child[])} children
 */
export function quiet(...children) {
  return h('p', { class: 'lmw-quiet' }, ...children);
}

/**
 * The head of a table: a text for each column, or a cell.
 * @param {...(string | HTMLTableCellElement)} cells
 */
export function headings(...cells) {
  return h(
    'thead',
    {},
    h('tr', {}, cells.map((cell) => (typeof cell === 'string' ? h('th', { scope: 'col' }, cell) : cell))),
  );
}

let lastId = 0;
export function newId(prefix = 'lmw') {
  lastId += 1;
  return `${prefix}-${lastId}-${Math.random().toString(36).slice(2, 7)}`;
}

// ---- Controls ---------------------------------------------------------------------------------------------------------

/**
 * A list to choose from; the options are [value, text] pairs.
 * @param {(value: string) => void} onpick
 * @param {[string | number, string][]} [options]
 */
export function dropDown(onpick, options = []) {
  const select = h('select', { onchange: () => onpick(select.value) });
  setOptions(select, options);
  return select;
}

/**
 * @param {HTMLSelectElement} select
 * @param {[string | number, string][]} options
 */
export function setOptions(select, options) {
  select.replaceChildren(...options.map(([value, text]) => h('option', { value }, text)));
}

/**
 * @param {[min: number, max: number, step: number]} range
 * @param {(value: number) => void} onmove
 * @param {Record<string, unknown>} [attributes]
 */
export function slider([min, max, step], onmove, attributes = {}) {
  const input = h('input', {
    type: 'range',
    min,
    max,
    step,
    oninput: () => onmove(Number(input.value)),
    ...attributes,
  });
  return input;
}

/**
 * A button that calls `tick` again and again, until it is pressed again or `tick` returns false.
 * @param {[play: string, pause: string]} names
 * @param {{ begin: () => void, tick: () => boolean, every: () => number }} steps `every` gives the milliseconds between
 */
export function player([play, pause], { begin, tick, every }) {
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  const node = button(play, () => (timer ? stop() : start()));
  function start() {
    begin();
    timer = setInterval(() => tick() || stop(), every());
    node.textContent = pause;
  }
  function stop() {
    clearInterval(timer);
    timer = undefined;
    node.textContent = play;
  }
  return { node, stop };
}

/**
 * A labelled group of native radio buttons, drawn as one segmented control; the browser gives it its arrow keys.
 * @template {string | number} Value
 * @param {string} legend
 * @param {[value: Value, label: string, extra?: Node][]} options
 * @param {(value: Value) => void} onchange
 */
export function segments(legend, options, onchange) {
  const name = newId('choice');
  const inputs = options.map(([value]) => h('input', { type: 'radio', name, value, onchange: () => onchange(value) }));
  const labels = options.map(([, label, extra], i) =>
    h('label', { class: 'lmw-segment' }, inputs[i], h('span', {}, label, ...(extra ? [extra] : [])))
  );
  const node = h('fieldset', { class: 'lmw-segments' }, h('legend', {}, legend), ...labels);
  /** @param {Value} value */
  const select = (value) => inputs.forEach((input) => (input.checked = input.value === String(value)));
  return { node, select };
}

// ---- The widget as a whole --------------------------------------------------------------------------------------------

/**
 * The outermost element of a widget. JupyterLab binds arrow keys, letters and Delete to whole cells, so no key event
 * may leave the widget.
 * @param {HTMLElement} el
 * @param {string} name
 * @param {string} label
 * @param {...(Child | Child[])} children
 */
export function frame(el, name, label, ...children) {
  const root = h('section', { class: 'lmw', 'data-lm-widget': name, 'aria-label': label }, ...children);
  /** @param {Event} event */
  const keepKeys = (event) => event.stopPropagation();
  for (const type of ['keydown', 'keypress', 'keyup']) root.addEventListener(type, keepKeys);
  el.append(root);
  return root;
}

/**
 * Makes the buttons in `list` one tab stop; the arrow keys, Home and End move between them. Returns a function to call
 * after buttons were added or removed.
 * @param {HTMLElement} list
 */
export function roving(list) {
  let stop = 0;
  const all = () => [...list.querySelectorAll('button')].filter((one) => !one.hidden);
  /** @param {EventTarget | null} target */
  const placeOf = (target) => all().findIndex((one) => one === target);
  const refresh = () => {
    const buttons = all();
    stop = Math.min(stop, buttons.length - 1);
    buttons.forEach((b, i) => (b.tabIndex = i === Math.max(stop, 0) ? 0 : -1));
  };
  list.addEventListener('focusin', (event) => {
    stop = Math.max(placeOf(event.target), 0);
    refresh();
  });
  list.addEventListener('keydown', (event) => {
    const buttons = all();
    const at = placeOf(event.target);
    const last = buttons.length - 1;
    /** @type {Record<string, number>} */
    const places = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: last };
    const to = places[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    buttons[Math.min(Math.max(to, 0), last)].focus();
  });
  refresh();
  return refresh;
}

/**
 * `say(text)` is read out by a screen reader once nothing was said for 400 ms: of several texts only the last.
 * @param {HTMLElement} root
 */
export function announcer(root) {
  const region = h('p', { class: 'lmw-heard', role: 'status', 'aria-live': 'polite' });
  root.append(region);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @param {string} text */
  const say = (text) => {
    clearTimeout(timer);
    timer = setTimeout(() => (region.textContent = text), 400);
  };
  return { say, stop: () => clearTimeout(timer) };
}

/**
 * Sets traits of the widget.
 * @param {WidgetModel} model
 */
export function setter(model) {
  /** @param {Record<string, unknown>} changes */
  return (changes) => {
    model.set(changes);
    model.save_changes();
  };
}

/**
 * Draws now, and again whenever one of the traits `names` changes. Returns the function that ends the view: it removes
 * `root` and calls each of `ends`, which stop timers.
 * @param {HTMLElement} root
 * @param {Pick<WidgetModel, 'on' | 'off'>} model
 * @param {string[]} names
 * @param {() => void} draw
 * @param {...(() => void)} ends
 */
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

/**
 * A probability with four digits after the point; exactly 0 and 1 without them; "3.142e−6" where four digits would
 * round to 0.
 * @param {number} p
 */
export function formatProb(p) {
  if (p === 0 || p === 1) return String(p);
  if (p >= 0.00005) return p.toFixed(4);
  return p.toExponential(3).replace('-', '−');
}

/**
 * The same for narrow columns: four digits after the point, however small p is.
 * @param {number} p
 */
export function formatShare(p) {
  return p === 0 || p === 1 ? String(p) : p.toFixed(4);
}

/**
 * @param {number} x
 * @param {number} [digits]
 */
export function formatLog(x, digits = 4) {
  if (x === -Infinity) return '−∞';
  const size = Math.abs(x).toFixed(digits);
  return (x < 0 && Number(size) > 0 ? '−' : '') + size;
}

/**
 * @param {number} n
 * @param {string} noun
 */
export function plural(n, noun) {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

/**
 * The length of a bar, as a share 0 … 1 of the room.
 * @param {HTMLElement} node
 * @param {number} share
 */
export function setBar(node, share) {
  node.style.setProperty('--share', String(Math.min(Math.max(share, 0), 1)));
}
