// Lets reveal.js turn the slides. On a phone and for printing they stay one page, as they are without scripts.

{
  const script = /** @type {HTMLScriptElement | null} */ (document.querySelector('script[data-style]'));
  const { Reveal } = /** @type {{ Reveal?: { initialize(options: object): void } }} */ (globalThis);
  const asPage = location.search === '?print' || matchMedia('(max-width: 700px)').matches;

  /** @param {string} sheet @param {{ initialize(options: object): void }} reveal */
  const show = (sheet, reveal) => {
    const style = document.createElement('link');
    style.rel = 'stylesheet';
    style.href = sheet;
    style.addEventListener('load', () => {
      reveal.initialize({
        width: 1280,
        height: 720,
        margin: 0.06,
        hash: true,
        slideNumber: 'c/t',
        transition: 'none',
        backgroundTransition: 'none',
        scrollActivationWidth: null,
      });
    });
    document.head.prepend(style); // below the book's own
  };

  if (script?.dataset.style && Reveal && !asPage) show(script.dataset.style, Reveal);
}
