/* Lets a site on the web be read without a network and be installed; a page from the disk needs neither. */
(() => {
  const root = document.documentElement.dataset.content_root ?? './';
  if (!location.protocol.startsWith('http') || !('serviceWorker' in navigator)) return;
  const link = document.createElement('link');
  link.rel = 'manifest';
  link.href = `${root}_static/manifest.webmanifest`;
  document.head.append(link);
  const start = () => navigator.serviceWorker.register(`${root}worker.js`).catch(() => {});
  // After all that the page itself needs.
  addEventListener('load', () => setTimeout(start, 2000));
})();
