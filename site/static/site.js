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
