/* The search page: sections first, the glossary second, the API last, each with a sentence that holds what was asked.
   MiniSearch ranks; minisearch.js and search-texts.js are loaded when something is asked. */
(() => {
  const HERE = /** @type {HTMLScriptElement} */ (document.currentScript).src;
  /**
   * @param {string} name of a script beside this one
   * @returns {Promise<unknown>}
   */
  const load = (name) =>
    new Promise((resolve, reject) => {
      const src = new URL(name, HERE).href;
      document.head.append(Object.assign(document.createElement('script'), { src, onload: resolve, onerror: reject }));
    });
  /** @typedef {{ id: number, kind: string, page: string, place: string, title: string, names: string, text: string }} Part */
  const WORD = /[\p{L}\p{N}]+/gu;
  /** How much a kind of place counts, and how much if it is the one that bears the name that was asked.
   * @type {Record<string, number>[]} */
  const [KINDS, OWN] = [{ section: 1, term: 0.6, api: 0.15 }, { section: 20, term: 5, api: 3 }];
  /** @param {string} word its form in the index: small letters, one number for one and many */
  const form = (word) => {
    const small = word.toLowerCase();
    return small.length > 3 && small.endsWith('s') && !small.endsWith('ss') ? small.slice(0, -1) : small;
  };
  /** @param {string} text */
  const split = (text) => text.match(WORD) ?? [];
  /** @param {Part[]} parts */
  const index = (parts) => {
    // @ts-expect-error: a global of minisearch.js
    const engine = new MiniSearch({ fields: ['title', 'names', 'text'], tokenize: split, processTerm: form });
    engine.addAll(parts);
    return engine;
  };

  /**
   * Whether what was asked, as it was found, is a name of this part: a slip in it is forgiven.
   * @param {Part} part
   * @param {Set<string>} words
   * @param {number} length
   */
  const isOwn = ({ title, names }, words, length) =>
    [...names.split('\n'), title].map((name) => split(name).map(form))
      .some((name) => name.length === length && name.every((word) => words.has(word)));

  /**
   * @param {any} engine
   * @param {Part[]} parts
   * @param {string} asked
   * @returns {{ part: Part, words: Set<string> }[]}
   */
  const find = (engine, parts, asked) => {
    const options = {
      boost: { names: 4, title: 3 },
      prefix: (/** @type {string} */ word) => word.length > 3,
      fuzzy: (/** @type {string} */ word) => (word.length > 3 ? 0.25 : false),
    };
    let found = engine.search(asked, { ...options, combineWith: 'AND' });
    if (!found.length) found = engine.search(asked, options);
    const length = split(asked).length;
    const hits = found.map((/** @type {any} */ hit) => {
      const part = parts[hit.id], words = new Set(hit.terms);
      return { part, words, score: hit.score * (isOwn(part, words, length) ? OWN : KINDS)[part.kind] };
    });
    return hits.sort((/** @type {any} */ a, /** @type {any} */ b) => b.score - a.score).slice(0, 30);
  };

  /**
   * The sentence that holds most of the words, of equal ones the first.
   * @param {string} text
   * @param {Set<string>} words
   */
  const sentence = (text, words) => {
    let best = '', most = -1;
    for (const one of text.split(/(?<=[.?!]) /)) {
      const held = new Set(split(one).map(form).filter((word) => words.has(word))).size;
      if (held > most) [best, most] = [one, held];
    }
    return best.length > 320 ? `${best.slice(0, 320)}…` : best;
  };

  /**
   * @param {string} text
   * @param {Set<string>} words
   */
  const marked = (text, words) => {
    const line = document.createElement('p');
    line.className = 'context';
    let end = 0;
    for (const { 0: word, index: start } of text.matchAll(WORD)) {
      if (!words.has(form(word))) continue;
      const mark = document.createElement('mark');
      mark.textContent = word;
      line.append(text.slice(end, start), mark);
      end = start + word.length;
    }
    line.append(text.slice(end));
    return line;
  };

  /**
   * @param {{ part: Part, words: Set<string> }} hit
   * @param {Record<string, string>} titles
   */
  const row = ({ part, words }, titles) => {
    const item = document.createElement('li'),
      link = document.createElement('a'),
      where = document.createElement('span');
    link.href = `${part.page}.html#${part.place}`;
    link.className = 'lm-found';
    link.textContent = part.title;
    where.className = 'lm-where';
    where.textContent = titles[part.page] === part.title ? '' : titles[part.page];
    item.append(link, where, marked(sentence(part.text, words), words));
    return item;
  };

  /** @returns {Promise<(asked: string) => { part: Part, words: Set<string> }[]>} what finds */
  const begin = async () => {
    await Promise.all(['minisearch.js', 'search-texts.js'].map(load));
    /** @type {{ titles: Record<string, string>, parts: string[][] }} */
    // @ts-expect-error: a global of search-texts.js
    const { parts: rows } = globalThis.lmSearch;
    const parts = rows.map(([kind, page, place, title, names, text], id) => ({
      id,
      kind,
      page,
      place,
      title,
      names,
      text,
    }));
    const engine = index(parts);
    return (asked) => find(engine, parts, asked);
  };

  const main = () => {
    const place = document.querySelector('#search-results');
    const field = /** @type {HTMLInputElement | null} */ (document.querySelector('.bd-search-container form input'));
    const status = document.createElement('p'), list = document.createElement('ol');
    status.setAttribute('role', 'status');
    place?.append(status, list);
    /** @type {ReturnType<typeof begin> | undefined} */
    let begun;
    let last = '';
    /** @param {string} asked */
    const show = async (asked) => {
      last = asked;
      place?.setAttribute('aria-busy', 'true');
      const hits = split(asked).length ? await (begun ??= begin()).catch(() => undefined) : null;
      if (asked !== last) return; // more was typed while the texts came
      if (hits === undefined) begun = undefined; // the next letter tries again
      const found = hits?.(asked) ?? [];
      const many = found.length === 1 ? 'One place' : `${found.length} places`;
      const told = found.length ? `${many}, the likeliest first.` : 'Nothing found.';
      status.textContent = hits ? told : hits === null ? '' : 'The texts to search could not be loaded.';
      // @ts-expect-error: a global of search-texts.js
      list.replaceChildren(...found.map((hit) => row(hit, globalThis.lmSearch.titles)));
      place?.setAttribute('aria-busy', 'false');
    };
    const asked = new URLSearchParams(location.search).get('q') ?? '';
    if (field) {
      field.value = asked;
      field.focus();
      field.addEventListener('input', () => show(field.value));
    }
    show(asked);
  };
  addEventListener('DOMContentLoaded', main);
})();
