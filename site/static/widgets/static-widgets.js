/* Draws the page's saved widgets with no kernel.

   A page carries the state of its widgets as JSON, and marks each place where one is shown by a script element just
   after a `div.lm-widget`. Every widget is an anywidget. The views of the book's own are scripts that the page names,
   else those that views.js names for their classes; a widget that a chapter makes itself brings its ES module and style
   in its state. Views run on a stand-in for the Jupyter model. Two views of one model share it, as they do in Jupyter. */
(() => {
  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';

  /**
   * A widget as a page carries it.
   * @typedef {object} Saved
   * @property {string} model_module
   * @property {string} model_name
   * @property {Record<string, any>} state
   * @property {{ data: string, path: (string | number)[] }[]} [buffers] bytes of the state, in base64
   */
  /** @typedef {{ model: Model }} Made */
  /**
   * @typedef {object} Widget
   * @property {(made: Made) => unknown} [initialize]
   * @property {(drawn: Made & { el: HTMLElement }) => unknown} [render]
   */
  /** @typedef {(model?: Model, value?: unknown) => unknown} Handler */
  /** @typedef {{ lmViews?: Record<string, Widget>, lmSite?: { script: string, views: Record<string, string> } }} Site */

  /** @param {string} base64 */
  const toView = (base64) => new DataView(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer);

  /**
   * Saved bytes stand beside the state: put each back where its path says.
   * @param {Saved} saved
   */
  function withBuffers({ state, buffers = [] }) {
    const whole = structuredClone(state);
    for (const { data, path } of buffers) {
      const holder = path.slice(0, -1).reduce((at, key) => (at[key] ??= {}), whole);
      holder[path[path.length - 1]] = toView(data);
    }
    return whole;
  }

  class Model {
    #state;
    /** @type {Map<string, Handler[]>} */
    #handlers = new Map();

    /** @param {Saved} saved */
    constructor(saved) {
      this.#state = withBuffers(saved);
    }
    /** @param {string} name */
    get(name) {
      return this.#state[name];
    }
    /**
     * @param {string | Record<string, unknown>} name or several names with their values
     * @param {unknown} [value]
     */
    set(name, value) {
      const changes = typeof name === 'object' ? name : { [name]: value };
      const changed = Object.keys(changes).filter((key) => changes[key] !== this.#state[key]);
      Object.assign(this.#state, changes);
      for (const key of changed) this.#emit(`change:${key}`, changes[key]);
      if (changed.length) this.#emit('change');
    }
    /**
     * @param {string} names
     * @param {Handler} handler
     */
    on(names, handler) {
      for (const name of names.split(/\s+/)) this.#handlers.set(name, [...(this.#handlers.get(name) ?? []), handler]);
    }
    /**
     * @param {string} [names] all, if left out
     * @param {Handler} [handler] all, if left out
     */
    off(names, handler) {
      for (const name of names ? names.split(/\s+/) : [...this.#handlers.keys()]) {
        this.#handlers.set(name, handler ? (this.#handlers.get(name) ?? []).filter((h) => h !== handler) : []);
      }
    }
    save_changes() {} // there is no kernel to save to
    send() {}
    /**
     * @param {string} name
     * @param {unknown} [value]
     */
    #emit(name, value) {
      for (const handler of this.#handlers.get(name) ?? []) handler(this, value);
    }
  }

  /** @type {Map<string, Promise<Widget>>} */
  const widgets = new Map(); // source of an ES module -> what it exports
  /** @type {Map<string, Promise<Made & { widget: Widget }>>} */
  const models = new Map(); // id -> the model, initialised once

  /** @param {string} source */
  function load(source) {
    if (!widgets.has(source)) {
      const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
      const ready = import(url).then(({ default: made }) => (typeof made === 'function' ? made() : made));
      widgets.set(source, ready.finally(() => URL.revokeObjectURL(url)));
    }
    return widgets.get(source);
  }

  /** @param {string | undefined} css */
  function addStyle(css) {
    if (!css || [...document.querySelectorAll('style.lm-widget-style')].some((s) => s.textContent === css)) return;
    const style = Object.assign(document.createElement('style'), { className: 'lm-widget-style', textContent: css });
    document.head.append(style);
  }

  /** @type {Map<string, Promise<void>>} */
  const scripts = new Map(); // address -> it has run

  /** @param {string} src */
  function run(src) {
    const ready = scripts.get(src) ?? new Promise((resolve, reject) => {
      const failed = () => reject(new Error('a part of this page could not be loaded'));
      document.head.append(
        Object.assign(document.createElement('script'), { src, onload: () => resolve(), onerror: failed }),
      );
    });
    scripts.set(src, ready);
    return ready;
  }

  /** @param {Saved} saved */
  async function start(saved) {
    await new Promise((next) => setTimeout(next)); // the page is painted before its widgets are drawn, one by one
    addStyle(saved.state._css);
    const { _anywidget_id: name, _esm: source } = saved.state;
    const { lmViews, lmSite } = /** @type {Site} */ (globalThis);
    if (!lmViews?.[name] && lmSite?.views[name]) await run(new URL(lmSite.views[name], lmSite.script).href);
    const widget = lmViews?.[name] ?? (source && await load(source));
    if (!widget) throw new Error(`the site has no view of ${name}`);
    const model = new Model(saved);
    await widget.initialize?.({ model });
    return { widget, model };
  }

  /**
   * @param {HTMLElement} place
   * @param {string} id
   * @param {Saved | undefined} saved
   */
  async function show(place, id, saved) {
    try {
      if (!saved) throw new Error('its saved state is not on this page');
      if (saved.model_module !== 'anywidget') throw new Error(`${saved.model_name} needs a running kernel`);
      const made = models.get(id) ?? start(saved);
      models.set(id, made);
      const { widget, model } = await made;
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
      show(/** @type {HTMLElement} */ (mark.previousElementSibling), id, saved[id]);
    }
  }

  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', main);
  else main();
})();
