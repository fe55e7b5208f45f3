/* Whatever scrolls sideways in its own box can be reached, and so scrolled, by keyboard; what doesn't scroll can't. Where it
   goes on, before or after what is seen, it says so: lm.css lets it fade there. */
(() => {
  const BOXES = '.lm-formula, .lm-figure, .cell_output .output, .highlight pre, .pst-scrollable-table-container';
  const fade = (box) => {
    const after = box.scrollWidth - box.clientWidth - box.scrollLeft;
    box.classList.toggle('lm-on-before', box.scrollLeft > 1);
    box.classList.toggle('lm-on-after', after > 1);
  };
  const mind = (box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute('tabindex');
    fade(box);
  };
  const main = () => {
    const watch = new ResizeObserver((entries) => entries.forEach(({ target }) => mind(target.closest(BOXES))));
    for (const box of document.querySelectorAll(BOXES)) {
      mind(box);
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
  const textOf = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, 'text/html');
    page.querySelectorAll('.headerlink, .lm-still, script, style').forEach((node) => node.remove());
    const place = (anchor && page.getElementById(anchor.slice(1))) || page.querySelector('article');
    return place?.textContent.replace(/\s+/g, ' ') ?? '';
  };
  addEventListener('DOMContentLoaded', () => {
    if (!document.querySelector('#search-results')) return;
    // @ts-expect-error: a global of Sphinx's searchtools.js
    const search = Search;
    const summary = search.makeSearchSummary;
    const asked = (new URLSearchParams(location.search).get('q') ?? '').split(/\s+/).filter(Boolean);
    search.htmlToText = textOf;
    search.makeSearchSummary = (html, stems, anchor) => summary(html, [...stems, ...asked], anchor);
  });
})();
