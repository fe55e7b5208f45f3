/* What surrounds a page: the menu of downloads, the way back to the top, and the mark in the contents that says where
   the reader is. The theme would load Bootstrap for these. */
(() => {
  /** @param {HTMLElement} button of a menu, which stands after it */
  const menu = (button) => {
    const list = /** @type {HTMLElement} */ (button.nextElementSibling);
    /** @param {boolean} open */
    const show = (open) => {
      list.classList.toggle('show', open);
      button.setAttribute('aria-expanded', String(open));
    };
    button.addEventListener('click', () => show(button.getAttribute('aria-expanded') !== 'true'));
    document.addEventListener('click', ({ target }) => {
      if (!button.parentElement?.contains(/** @type {Node} */ (target))) show(false);
    });
    button.parentElement?.addEventListener('keydown', ({ key }) => {
      if (key !== 'Escape' || button.getAttribute('aria-expanded') !== 'true') return;
      show(false);
      button.focus();
    });
    list.addEventListener('focusout', ({ relatedTarget }) => {
      if (relatedTarget && !button.parentElement?.contains(/** @type {Node} */ (relatedTarget))) show(false);
    });
  };

  /** @param {HTMLElement} button that is shown to who scrolls back, further down than the first screen */
  const wayBack = (button) => {
    let before = scrollY;
    addEventListener('scroll', () => {
      button.style.display = scrollY < before && scrollY > innerHeight ? 'block' : 'none';
      before = scrollY;
    }, { passive: true });
    button.addEventListener('click', () => scrollTo({ top: 0 }));
  };

  /** @param {HTMLAnchorElement[]} links to sections, in their order */
  const markPlace = (links) => {
    /** @type {Map<Element, HTMLAnchorElement>} */
    const linkTo = new Map();
    for (const link of links) {
      const section = document.getElementById(decodeURIComponent(link.hash.slice(1)));
      if (section) linkTo.set(section, link);
    }
    const seen = new Set();
    const watch = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) seen.add(target);
        else seen.delete(target);
      }
      const last = [...linkTo.keys()].filter((section) => seen.has(section)).at(-1);
      for (const [section, link] of linkTo) {
        link.classList.toggle('active', section === last);
        link.parentElement?.classList.toggle('active', section === last || (!!last && section.contains(last)));
      }
    }, { rootMargin: '0px 0px -60%' });
    for (const section of linkTo.keys()) watch.observe(section);
  };

  addEventListener('DOMContentLoaded', () => {
    for (const button of document.querySelectorAll('[data-bs-toggle="dropdown"]')) {
      menu(/** @type {HTMLElement} */ (button));
    }
    const back = document.getElementById('pst-back-to-top');
    if (back) wayBack(back);
    markPlace(
      [...document.querySelectorAll('.bd-sidebar-secondary .bd-toc-nav a[href^="#"]')].map((
        link,
      ) => /** @type {HTMLAnchorElement} */ (link)),
    );
  });
})();
