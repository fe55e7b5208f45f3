/* Draws the page's saved widgets with no kernel.

   A page carries the state of its widgets as JSON, and marks each place where one is shown by a script element just
   after a `div.lm-widget`. Every widget is an anywidget. The views of the book's own are in views.js, by the names of
   their classes; a widget that a chapter makes itself brings its ES module and style in its state. Views run on a
   stand-in for the Jupyter model. Two views of one model share it, as they do in Jupyter. */
(() => {
  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';

  const toView = (base64) => new DataView(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer);

  /* Saved bytes stand beside the state: put each back where its path says. */
  function withBuffers({ state, buffers = [] }) {
    const whole = structuredClone(state);
    for (const { data, path } of buffers) {
      const last = path.at(-1);
      const holder = path.slice(0, -1).reduce((at, key) => (at[key] ??= {}), whole);
      holder[last] = toView(data);
    }
    return whole;
  }

  class Model {
    #state;
    #handlers = new Map();

    constructor(saved) {
      this.#state = withBuffers(saved);
    }
    get(name) {
      return this.#state[name];
    }
    set(name, value) {
      const changes = typeof name === 'object' ? name : { [name]: value };
      const changed = Object.keys(changes).filter((key) => changes[key] !== this.#state[key]);
      Object.assign(this.#state, changes);
      for (const key of changed) this.#emit(`change:${key}`, changes[key]);
      if (changed.length) this.#emit('change');
    }
    on(names, handler) {
      for (const name of names.split(/\s+/)) this.#handlers.set(name, [...(this.#handlers.get(name) ?? []), handler]);
    }
    off(names, handler) {
      for (const name of names ? names.split(/\s+/) : [...this.#handlers.keys()]) {
        this.#handlers.set(name, handler ? (this.#handlers.get(name) ?? []).filter((h) => h !== handler) : []);
      }
    }
    save_changes() {} // there is no kernel to save to
    send() {}
    #emit(name, value) {
      for (const handler of this.#handlers.get(name) ?? []) handler(this, value);
    }
  }

  const widgets = new Map(); // source of an ES module -> promise of what it exports
  const models = new Map(); // id -> promise of { widget, model }, initialised once

  function load(source) {
    if (!widgets.has(source)) {
      const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
      const ready = import(url).then(({ default: made }) => (typeof made === 'function' ? made() : made));
      widgets.set(source, ready.finally(() => URL.revokeObjectURL(url)));
    }
    return widgets.get(source);
  }

  function addStyle(css) {
    if (!css || [...document.querySelectorAll('style.lm-widget-style')].some((s) => s.textContent === css)) return;
    const style = Object.assign(document.createElement('style'), { className: 'lm-widget-style', textContent: css });
    document.head.append(style);
  }

  async function start(saved) {
    await new Promise((next) => setTimeout(next)); // the page is painted before its widgets are drawn, one by one
    addStyle(saved.state._css);
    const { _anywidget_id: name, _esm: source } = saved.state;
    const widget = globalThis.lmViews?.[name] ?? (source && await load(source));
    if (!widget) throw new Error(`the site has no view of ${name}`);
    const model = new Model(saved);
    await widget.initialize?.({ model });
    return { widget, model };
  }

  async function show(place, id, saved) {
    try {
      if (!saved) throw new Error('its saved state is not on this page');
      if (saved.model_module !== 'anywidget') throw new Error(`${saved.model_name} needs a running kernel`);
      if (!models.has(id)) models.set(id, start(saved));
      const { widget, model } = await models.get(id);
      await widget.render?.({ model, el: place });
      place.dataset.ready = 'true';
    } catch (error) {
      place.setAttribute('role', 'alert');
      place.classList.add('lm-widget-error');
      place.textContent = `This figure could not be drawn: ${error instanceof Error ? error.message : error}`;
      console.error(error);
    }
  }

  function main() {
    const holder = document.querySelector(STATE);
    const { state: saved = {} } = holder ? JSON.parse(holder.textContent) : {};
    for (const mark of document.querySelectorAll(VIEW)) {
      const id = JSON.parse(mark.textContent).model_id;
      show(mark.previousElementSibling, id, saved[id]);
    }
  }

  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', main);
  else main();
})();
