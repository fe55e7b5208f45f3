/* The service worker of the site: tools/build_book.py writes worker.js from it, with VERSION and FILES before it. It
   asks the network first, so no page is older than the site, and answers with what it kept where the network fails. */
/** @type {any} */
const worker = globalThis;
const PREFIX = 'lm-site-';
// @ts-expect-error: VERSION and FILES stand before this in worker.js
const [KEPT, LIST] = [`${PREFIX}${VERSION}`, FILES];
const ON_DEMAND = /\/_static\/(weights|python)\//;

const keep = async () => {
  const cache = await caches.open(KEPT);
  // Past the browser's own cache: what is kept belongs to this version.
  await cache.addAll(LIST.map((/** @type {string} */ name) => new Request(name, { cache: 'reload' })));
};

const dropOthers = async () => {
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && name !== KEPT) await caches.delete(name);
  }
};

/** @param {Request} request */
const answer = async (request) => {
  try {
    // A page is asked for anew; its files carry their version in their address, or are asked for as ever.
    return await fetch(request, request.mode === 'navigate' ? { cache: 'no-cache' } : {});
  } catch (error) {
    const address = new URL(request.url);
    if (address.pathname.endsWith('/')) address.pathname += 'index.html';
    const kept = await (await caches.open(KEPT)).match(address.href, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
};

worker.addEventListener('install', (/** @type {any} */ event) => {
  worker.skipWaiting();
  event.waitUntil(keep());
});
worker.addEventListener('activate', (/** @type {any} */ event) => {
  event.waitUntil(dropOthers().then(() => worker.clients.claim()));
});
worker.addEventListener('fetch', (/** @type {any} */ event) => {
  const { request } = event;
  const address = new URL(request.url);
  const own = address.origin === worker.location.origin && request.method === 'GET';
  if (own && !ON_DEMAND.test(address.pathname)) event.respondWith(answer(request));
});
