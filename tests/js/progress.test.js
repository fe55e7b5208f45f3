import assert from 'node:assert/strict';
import table from '../exercises/results.json' with { type: 'json' };

const KEY = 'lm-book-progress';

/** A stand-in of the browser's storage, with a number of characters that it takes. */
class Storage {
  /** @type {Map<string, string>} */
  kept = new Map();
  room = Infinity;
  /** @param {string} key */
  getItem(key) {
    return this.kept.get(key) ?? null;
  }
  /** @param {string} key @param {string} text */
  setItem(key, text) {
    if (text.length > this.room) throw new DOMException('full', 'QuotaExceededError');
    this.kept.set(key, text);
  }
  /** @param {string} key */
  removeItem(key) {
    this.kept.delete(key);
  }
}

const document = {
  readyState: 'loading',
  addEventListener() {},
  querySelectorAll: () => [],
  querySelector: () => null,
};
let version = 0;

/**
 * The site's progress.js on a page of its own.
 * @param {string | object | null} stored
 * @returns {Promise<{ progress: any, storage: Storage, done: () => any }>}
 */
async function open(stored = null) {
  const storage = new Storage();
  if (stored !== null) storage.kept.set(KEY, typeof stored === 'string' ? stored : JSON.stringify(stored));
  for (const [name, value] of Object.entries({ document, localStorage: storage })) {
    Object.defineProperty(globalThis, name, { value, configurable: true });
  }
  await import(`../../site/static/progress.js?${++version}`); // it runs anew under another name
  const done = () => JSON.parse(storage.kept.get(KEY) ?? 'null')?.done;
  return { progress: /** @type {any} */ (globalThis).lmProgress, storage, done };
}

/** @param {object} done */
const file = (done, more = {}) => JSON.stringify({ version: 1, done, ...more });

for (const { why, mine, other, joined } of table.joined) {
  Deno.test(`of two entries: ${why}`, async () => {
    const { progress, done } = await open({ version: 1, done: mine });
    progress.take(file(other));
    assert.deepEqual(done(), joined);
  });
}

Deno.test('what is well formed is taken, the rest is counted', async () => {
  const { good, bad } = table.sound;
  const { progress, done } = await open();
  // A name such as __proto__ is an entry in JSON's text only.
  const text = `{"version": 1, "done": ${JSON.stringify(good).slice(0, -1)}, ${JSON.stringify(bad).slice(1)}}`;
  const told = progress.take(text, 'results.json');
  assert.deepEqual(done(), good);
  const count = Object.keys(bad).length;
  assert.match(told, /^results\.json holds 3 answers; 3 of them taken over\./);
  assert.match(told, new RegExp(`${count} answers could not be read and were left out\\.$`));
});

for (const { text, why } of table.refused) {
  Deno.test(`a file of something else changes nothing: ${text.slice(0, 40)}`, async () => {
    const mine = { 'a-1': { state: 'right', answer: '1', print: 'p', at: 1 } };
    const { progress, done } = await open({ version: 1, done: mine });
    const told = progress.take(text, 'x.json');
    const says = { damaged: 'is damaged', foreign: 'holds no results', newer: 'A newer edition' }[why] ?? '?';
    assert.ok(told.includes(says) && told.includes('x.json') && told.endsWith('Nothing was changed.'), told);
    assert.deepEqual(done(), mine);
  });
}

Deno.test('the text of the file is taken again, on an empty page and on its own', async () => {
  const mine = { 'a-1': { state: 'right', answer: '1', print: 'p', at: 1, passed: 2 } };
  const place = { page: '02_tokens', anchor: 'x', title: 'Tokens', at: 5 };
  const { progress } = await open({ version: 1, seed: 7, done: mine, place });
  const text = progress.text();
  assert.deepEqual(JSON.parse(text), { version: 1, seed: 7, done: mine, place });
  assert.match(progress.take(text), /1 answer; 0 of them taken over/);
  const other = await open();
  assert.match(other.progress.take(text), /1 answer; 1 of them taken over/);
  assert.equal(other.storage.kept.get(KEY), JSON.stringify(JSON.parse(text)));
});

Deno.test('a file that is too large is not read', async () => {
  const { progress } = await open();
  const large = { name: 'film.mp4', size: 2e9, text: () => assert.fail('it was read') };
  assert.equal(
    await progress.open(large),
    'film.mp4 has more than the 10 MB of a file of results. Nothing was changed.',
  );
  const gone = { name: 'gone.json', size: 1, text: () => Promise.reject(new Error('gone')) };
  assert.equal(await progress.open(gone), 'The browser could not read gone.json. Nothing was changed.');
});

Deno.test('in a full storage what is new lasts as long as the page, and what was there stays', async () => {
  const mine = { 'a-1': { state: 'right', answer: '1', print: 'p', at: 1 } };
  const { progress, storage, done } = await open({ version: 1, done: mine });
  storage.room = 60;
  const told = progress.take(file({ 'a-2': { state: 'seen', answer: 'x'.repeat(100), print: 'p', at: 2 } }));
  assert.match(told, /1 answer; 1 of them taken over/);
  progress.record('a-3', { state: 'right', answer: '3', print: 'p' });
  assert.deepEqual(Object.keys(JSON.parse(progress.text()).done), ['a-1', 'a-2', 'a-3']);
  assert.deepEqual(done(), mine);
});

Deno.test('what a newer edition has stored stays as it is', async () => {
  const newer = JSON.stringify({ version: 2, done: { 'a-1': 'in another form' } });
  const { progress, storage } = await open(newer);
  progress.record('a-1', { state: 'right', answer: '1', print: 'p' });
  assert.equal(progress.recall('a-1').answer, '1');
  assert.equal(storage.kept.get(KEY), newer);
});
