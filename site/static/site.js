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

/* A search result quotes the text of its page; Sphinx would quote the buttons and empty lines above it,
   and look for the stem of a word, such as "entropi", where the word stands. */
(() => {
  /** @typedef {(html: string, words: string[], anchor: string) => HTMLElement | null} Summarise */
  /**
   * @param {string} html
   * @param {string | null | undefined} anchor with its #
   */
  const textOf = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, 'text/html');
    page.querySelectorAll('.headerlink, .lm-still, script, style').forEach((node) => node.remove());
    const place = (anchor && page.getElementById(anchor.slice(1))) || page.querySelector('article');
    return place?.textContent.replace(/\s+/g, ' ') ?? '';
  };
  addEventListener('DOMContentLoaded', () => {
    if (!document.querySelector('#search-results')) return;
    /** @type {{ htmlToText: typeof textOf, makeSearchSummary: Summarise }} */
    // @ts-expect-error: a global of Sphinx's searchtools.js
    const search = Search;
    const summary = search.makeSearchSummary;
    const asked = (new URLSearchParams(location.search).get('q') ?? '').split(/\s+/).filter(Boolean);
    search.htmlToText = textOf;
    search.makeSearchSummary = (html, stems, anchor) => summary(html, [...stems, ...asked], anchor);
  });
})();
