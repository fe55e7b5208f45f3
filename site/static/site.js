/* A box that scrolls sideways can be reached, and so scrolled, by keyboard; one that doesn't scroll can't. lm.css lets
   it fade on the side where there is more. */
(() => {
  const BOXES = '.lm-formula, .lm-figure, .cell_output .output, .highlight pre, .pst-scrollable-table-container';
  /** @param {HTMLElement} box */
  const fade = (box) => {
    const after = box.scrollWidth - box.clientWidth - box.scrollLeft;
    box.classList.toggle('lm-on-before', box.scrollLeft > 1);
    box.classList.toggle('lm-on-after', after > 1);
  };
  /** @param {HTMLElement} box */
  const update = (box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute('tabindex');
    fade(box);
  };
  const main = () => {
    const watch = new ResizeObserver((entries) => {
      for (const { target } of entries) {
        const box = /** @type {HTMLElement | null} */ (target.closest(BOXES));
        if (box) update(box);
      }
    });
    for (const box of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(BOXES))) {
      update(box);
      box.addEventListener('scroll', () => fade(box), { passive: true });
      watch.observe(box);
      for (const child of box.children) watch.observe(child);
    }
  };
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', main);
  else main();
})();

/* Below some cells a button opens an editor with code that runs in the page (extensions/try_it.py); all that it needs is
   loaded then. */
(() => {
  /** @typedef {{ script: string, views: Record<string, string>, python: object | null }} Files of site/views.py */
  /** @typedef {{ model: { get: () => string }, el: HTMLElement }} Drawn */

  /**
   * @param {Files} files
   * @returns {Promise<{ render: (drawn: Drawn) => Promise<void> }>}
   */
  const loadView = ({ script, views }) =>
    new Promise((resolve, reject) => {
      const src = new URL(views['try-it'], script).href;
      const onload = () => resolve(/** @type {any} */ (globalThis).lmViews['try-it']);
      document.head.append(Object.assign(document.createElement('script'), { src, onload, onerror: reject }));
    });
  addEventListener('DOMContentLoaded', () => {
    /** @type {Files | undefined} */
    const files = /** @type {any} */ (globalThis).lmSite;
    const codes = JSON.parse(document.getElementById('lm-tries')?.textContent ?? '{}');
    for (const [id, code] of Object.entries(codes)) {
      const cell = document.getElementById(`try-${id}`);
      if (!cell || !files?.python) continue;
      const button = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Try it' });
      button.className = 'lm-try';
      button.addEventListener('click', async () => {
        const el = document.createElement('div');
        button.disabled = true;
        button.after(el);
        try {
          await (await loadView(files)).render({ model: { get: () => code }, el });
          button.remove();
        } catch {
          el.remove();
          button.disabled = false; // there may be a connection later
        }
      });
      cell.append(button);
    }
  });
})();

/* Paper is white: a page that is read in dark colours is printed in light ones. */
(() => {
  const { dataset } = document.documentElement;
  /** @type {string | undefined} */
  let before;
  addEventListener('beforeprint', () => {
    before ??= dataset.theme;
    dataset.theme = 'light';
  });
  addEventListener('afterprint', () => {
    dataset.theme = before;
    before = undefined;
  });
})();
