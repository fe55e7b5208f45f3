/* A term shows its meaning where it stands, and a citation its source: on hover, on focus, at the first tap. Without
   scripts it is a link to the glossary or the list of sources, and so it is here for a click, for Enter, and for the
   second tap. The meanings come with term-texts.js (extensions/terms.py), which is loaded at the first use; a citation
   has its source with it (extensions/bibliography.py). */
(() => {
  const TERMS = '.bd-article a[href*="#term-"], .bd-article a.lm-source';
  const PAUSE = 200; // milliseconds: a pointer that only passes opens and closes nothing
  const SOURCE = new URL('term-texts.js', /** @type {HTMLScriptElement} */ (document.currentScript).src).href;
  /** @type {Promise<Record<string, string>> | null} */
  let loaded = null;
  /** @type {HTMLAnchorElement | null} the term whose meaning is shown, or will be once it is loaded */
  let shown = null;
  let timer = 0;
  let hand = ''; // 'touch', 'mouse', 'pen'; '' is the keyboard. Not every browser's click tells it.
  const box = Object.assign(document.createElement('div'), { className: 'lm-term', id: 'lm-term', role: 'tooltip' });
  box.hidden = true;

  /** @param {EventTarget | null} target */
  const termAt = (
    target,
  ) => /** @type {HTMLAnchorElement | null} */ (target instanceof Element ? target.closest(TERMS) : null);

  function load() {
    loaded ??= new Promise((resolve, reject) => {
      const onload = () => resolve(/** @type {any} */ (globalThis).lmTerms);
      const onerror = () => (loaded = null, reject(new Error('no meanings')));
      document.head.append(Object.assign(document.createElement('script'), { src: SOURCE, onload, onerror }));
    });
    return loaded;
  }

  /* Below the term, or above it where there is no room below; never beyond the sides of the window. */
  /** @param {DOMRect} at of the term's line under the pointer */
  function place(at) {
    const width = document.documentElement.clientWidth;
    const { offsetWidth, offsetHeight } = box;
    const left = Math.max(8, Math.min(at.left, width - offsetWidth - 8));
    const above = at.bottom + offsetHeight + 8 > innerHeight && at.top - offsetHeight > 0;
    box.style.left = `${left + scrollX}px`;
    box.style.top = `${(above ? at.top - offsetHeight : at.bottom) + scrollY}px`;
  }

  /**
   * @param {HTMLAnchorElement} term
   * @param {{ clientX: number, clientY: number } | null} point of the pointer: a term may stand on two lines
   */
  async function show(term, point = null) {
    clearTimeout(timer);
    if (shown === term) return;
    hide();
    shown = term;
    try {
      const { source } = term.dataset;
      const text = source ?? (await load())[decodeURIComponent(term.hash.slice(1))];
      if (shown !== term) return;
      if (!text) return hide();
      if (source) box.textContent = source;
      else box.replaceChildren(...new DOMParser().parseFromString(text, 'text/html').body.childNodes);
      box.hidden = false;
      term.setAttribute('aria-describedby', box.id);
      const lines = [...term.getClientRects()];
      const under = point && lines.find((line) => line.top <= point.clientY && point.clientY <= line.bottom);
      place(under ?? lines[0] ?? term.getBoundingClientRect());
    } catch {
      hide(); // it stays the link that it is
    }
  }
  function hide() {
    clearTimeout(timer);
    shown?.removeAttribute('aria-describedby');
    shown = null;
    box.hidden = true;
  }

  /** @param {PointerEvent} event */
  function pointed(event) {
    if (event.pointerType === 'touch') return;
    const term = termAt(event.target);
    clearTimeout(timer);
    if (term) timer = setTimeout(show, PAUSE, term, event);
    else if (shown && !box.contains(/** @type {Node} */ (event.target))) timer = setTimeout(hide, PAUSE);
  }
  /** @param {MouseEvent} event */
  function clicked(event) {
    const term = termAt(event.target);
    const isFirstTap = term && hand === 'touch' && (shown !== term || box.hidden);
    if (isFirstTap) {
      event.preventDefault();
      show(term, event);
    } else if (!box.contains(/** @type {Node} */ (event.target))) hide();
  }
  function main() {
    if (!document.querySelector(TERMS)) return;
    document.body.append(box);
    document.addEventListener('pointerover', pointed);
    document.addEventListener('pointerdown', ({ pointerType }) => (hand = pointerType));
    document.addEventListener('click', clicked);
    document.addEventListener('focusin', ({ target }) => {
      const term = termAt(target);
      if (term?.matches(':focus-visible')) show(term);
      else if (!term && !box.contains(/** @type {Node} */ (target))) hide();
    });
    document.addEventListener('keydown', ({ key }) => {
      hand = '';
      if (key === 'Escape') hide();
    });
  }
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', main);
  else main();
})();
