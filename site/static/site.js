/* Whatever scrolls sideways in its own box can be reached, and so scrolled, by keyboard; what doesn't scroll can't. */
(() => {
  const BOXES = '.lm-formula, .cell_output .output, .pst-scrollable-table-container';
  const mind = (box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute('tabindex');
  };
  const main = () => {
    const watch = new ResizeObserver((entries) => entries.forEach(({ target }) => mind(target.closest(BOXES))));
    for (const box of document.querySelectorAll(BOXES)) {
      mind(box);
      watch.observe(box);
      for (const child of box.children) watch.observe(child);
    }
  };
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', main);
  else main();
})();
