/* What the reader has done, kept in this browser's localStorage and sent nowhere. Only this file knows its key and
   format: {version, seed, done: {exercise: {state, answer, print, at, passed}}, place: {page, anchor, title, at}}. Of a
   choice the answer is its text; `passed` is core/review.js's; the seed gives the order in which this reader sees choices.
   Widgets reach it as `lmProgress`; the event "lm-progress" tells them that a file was opened or everything deleted. A file
   has the same format, and `lmbook.exercises.results` reads and joins files in the same way. */
/** @typedef {{ state: string, answer: string, print?: string, at: number, passed?: number }} Entry of one exercise */
/** @typedef {{ page: string, anchor: string, title: string, at: number }} Place where the reader was last */
/** @typedef {{ version: number, seed: number, done: Record<string, Entry>, place: Place | null }} Progress seed 0: none yet */
/** @typedef {Storage & { lasts?: boolean }} Kept the browser's, or the stand-in that lasts as long as the page */
(() => {
  const KEY = 'lm-book-progress';
  const VERSION = 1;
  const STATES = ['right', 'wrong', 'seen'];
  const LONGEST = 5000; // characters of an answer, which may be code
  const LARGEST = 10_000_000; // bytes of a file
  const LATEST = 8.64e15; // milliseconds since 1970: the last date there is
  const COPY = `${KEY}-damaged`;
  const fresh = () => /** @type {Progress} */ ({ version: VERSION, seed: 0, done: {}, place: null });
  const UNTIL = 'what you do is remembered until you leave this page. “Save as a file” keeps it.';
  const OFF = `This browser stores nothing for this page: ${UNTIL}`;
  const FULL = `This browser has no room left to store anything: ${UNTIL}`;
  const NEWER = `A newer edition of the book has stored your progress here, and it stays as it is: ${UNTIL}`;
  const HERE = 'Kept in this browser only.';
  let state = fresh();
  let note = HERE;
  /** @type {Kept | null} */
  let storage = null;
  let isFrozen = false; // nothing more is stored: it is full, or a newer edition's
  /** @type {Record<string, Record<string, string>>} page -> id -> print of its questions; the sidebar holds them */
  let book = {};

  /** @param {any} e whether it is a well-formed entry */
  const isSound = (e) =>
    STATES.includes(e?.state) && typeof e.answer === 'string' && e.answer.length <= LONGEST &&
    typeof (e.print ?? '') === 'string' && typeof e.at === 'number' && e.at > 0 && e.at <= LATEST;
  /**
   * What is well formed of something that was stored or is in a file; null if it holds no results at all.
   * @param {any} data
   * @returns {Progress | null}
   */
  function sound(data) {
    if (data?.version !== VERSION || typeof data.done !== 'object' || !data.done || Array.isArray(data.done)) {
      return null;
    }
    /** @param {[string, any]} entry */
    const fine = ([id, e]) => /^[a-z]/i.test(id) && isSound(e);
    /** @param {[string, any]} entry @returns {[string, Entry]} */
    const clean = ([id, { passed, ...e }]) => [id, Number.isInteger(passed) ? { ...e, passed } : e];
    const { page, anchor, title, at } = data.place ?? {};
    const place = [page, anchor, title].every((part) => typeof part === 'string') && at > 0
      ? { page, anchor, title, at }
      : null;
    const seed = Number.isInteger(data.seed) && data.seed > 0 && data.seed < 2 ** 32 ? data.seed : 0;
    const done = Object.fromEntries(Object.entries(data.done).filter(fine).map(clean));
    return { version: VERSION, seed, done, place };
  }
  /** @param {any} data */
  const isNewer = (data) => Number.isInteger(data?.version) && data.version > VERSION;
  /** @param {string} text undefined: it is damaged */
  function parse(text) {
    try {
      return JSON.parse(text);
    } catch {
      return undefined;
    }
  }
  /* Where the browser stores nothing, extensions/policy.py has put a stand-in there that lasts as long as the page. */
  function open() {
    const kept = /** @type {Kept} */ (globalThis.localStorage);
    storage = kept;
    if (kept.lasts === false) note = OFF;
    load();
  }
  function load() {
    if (!storage || isFrozen) return;
    const text = storage.getItem(KEY);
    if (text === null) return void (state = fresh());
    const data = parse(text);
    if (isNewer(data)) return void ([isFrozen, note] = [true, NEWER]);
    const read = sound(data);
    if (read) return void (state = read);
    note = 'What was stored could not be read, so this starts again; “Save as a file” saves a copy of it as well.';
    state = fresh();
    try {
      storage.setItem(COPY, text);
      storage.setItem(KEY, JSON.stringify(state));
    } catch { // There is no room for a copy: the damaged text stays where it is, and nothing is written over it.
      [isFrozen, note] = [true, `${note} ${FULL}`];
    }
  }
  /**
   * Another tab may have written meanwhile: read again, change, write.
   * @param {(state: Progress) => unknown} edit
   */
  function change(edit) {
    load();
    edit(state);
    try {
      if (!isFrozen) storage?.setItem(KEY, JSON.stringify(state));
    } catch {
      [isFrozen, note] = [true, FULL];
    }
    draw();
  }

  const forWidgets = {
    /** @param {string} id */
    recall: (id) => state.done[id] ?? null,
    /** @param {string} id @param {Omit<Entry, 'at'> | null} entry */
    record: (id, entry) =>
      change(({ done }) => {
        if (!entry) return void delete done[id];
        const { print, passed } = done[id] ?? {};
        const reviewed = passed !== undefined && print === entry.print ? { passed } : {};
        done[id] = { ...reviewed, ...entry, answer: String(entry.answer).slice(0, LONGEST), at: Date.now() };
      }),
    seed() {
      if (!state.seed) change((now) => (now.seed ||= 1 + Math.floor(Math.random() * (2 ** 32 - 1))));
      return state.seed;
    },
    text: () => JSON.stringify(state, null, 1),
    save: saveAll,
    take,
    open: openFile,
  };
  Object.assign(globalThis, { lmProgress: forWidgets });

  // ---- Shown in the contents -----------------------------------------------------------------------------------------
  /** @param {string} name @returns {HTMLElement | null} */
  const part = (name) => document.querySelector(`.lm-progress-${name}`);
  /** @param {string} path */
  const pageOf = (path) => decodeURIComponent(path).replace(/^.*\//s, '').replace(/\.html$/, '');
  const links =
    () => /** @type {HTMLAnchorElement[]} */ ([...document.querySelectorAll('.bd-links a.reference.internal')]);
  /** @param {string} page whether it is a chapter: its file has a number */
  const isChapter = (page) => /^\d+_/.test(page);
  const isSolved = (/** @type {Entry} */ { state }) => ['right', 'seen'].includes(state);

  /** @param {HTMLAnchorElement} link */
  function badge(link) {
    const prints = book[pageOf(link.pathname)];
    if (!prints) return;
    const ids = Object.keys(prints);
    const quiz = ids.filter(isQuiz);
    const exercises = ids.filter((id) => !isQuiz(id));
    /** @param {string} id whether what was answered is still what is asked */
    const isCurrent = (id) => state.done[id]?.print === prints[id];
    const done = exercises.filter((id) => isCurrent(id) && isSolved(state.done[id])).length;
    const answered = quiz.filter(isCurrent).length;
    const next = link.nextElementSibling;
    const mark = next instanceof HTMLElement && next.classList.contains('lm-done')
      ? next
      : document.createElement('span');
    mark.className = 'lm-done';
    mark.dataset.all = String(done === exercises.length && answered === quiz.length);
    mark.title = `${done} of ${exercises.length} exercises done, ${answered} of ${quiz.length} quiz questions answered`;
    /** @param {string} textContent @param {object} more */
    const span = (textContent, more) => Object.assign(document.createElement('span'), { textContent, ...more });
    const shown = [
      ...(exercises.length ? [`${done}/${exercises.length}`] : []),
      ...(quiz.length ? [`quiz ${answered}/${quiz.length}`] : []),
    ];
    const parts = [
      span(shown.join(' · '), { ariaHidden: 'true' }),
      span(mark.title, { className: 'visually-hidden' }),
    ];
    mark.replaceChildren(...(done || answered ? parts : []));
    if (mark !== next) link.after(mark);
  }
  function draw() {
    links().forEach(badge);
    const told = part('note');
    if (told) told.textContent = note;
  }
  function showPlace() {
    const { place } = state;
    const link = place && links().find((a) => pageOf(a.pathname) === place.page);
    if (!link || !isChapter(place.page)) return;
    const anchor = Object.assign(document.createElement('a'), { textContent: place.title });
    anchor.href = `${link.href.split('#')[0]}#${place.anchor}`;
    part('place')?.replaceChildren('Go on at ', anchor);
  }
  /* Stores the heading of a chapter that the reader has scrolled to, once they have stopped. */
  function follow() {
    const heads = [...document.querySelectorAll('.bd-article section[id] > :is(h1, h2, h3)')];
    const page = pageOf(location.pathname);
    if (!heads.length || !isChapter(page)) return; // a look into the glossary is no place to go on at
    let timer = 0;
    /** @param {Element} head */
    const text = (head) => head.firstChild?.textContent?.trim() ?? '';
    const save = () => {
      const past = heads.filter((head) => head.getBoundingClientRect().top < innerHeight * 0.4).at(-1) ?? heads[0];
      const whole = past.textContent ?? '';
      const title = past === heads[0] ? text(past) : `${text(heads[0])}: ${whole.replace(/#$/, '').trim()}`;
      const place = { page, anchor: past.parentElement?.id ?? '', title: title.slice(0, 120), at: Date.now() };
      change((now) => (now.place = place));
    };
    addEventListener('scroll', () => (clearTimeout(timer), (timer = setTimeout(save, 600))), { passive: true });
  }

  // ---- A file, and forgetting ----------------------------------------------------------------------------------------
  /** @param {string} text @param {string} name of the file */
  function save(text, name) {
    const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
    Object.assign(document.createElement('a'), { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
  function saveAll() {
    save(forWidgets.text(), 'language-model-fundamentals-progress.json');
    const here = storage?.getItem(KEY) ?? '{}'; // damaged too, if there was no room for a copy
    const damaged = storage?.getItem(COPY) ?? (parse(here) && sound(parse(here)) ? null : here);
    if (damaged) save(damaged, 'damaged-progress.txt');
    return 'Saved as a file.';
  }
  const isQuiz = (/** @type {string} */ id) => id.includes('-quiz-');
  /**
   * Of two entries of one question the one that counts: the later, but an exercise that was solved stays solved.
   * @param {Entry | undefined} mine
   * @param {Entry} other
   * @param {string} id
   */
  function better(mine, other, id) {
    if (!mine) return other;
    const sameExercise = mine.print === other.print && !isQuiz(id);
    if (sameExercise && isSolved(mine) !== isSolved(other)) return isSolved(mine) ? mine : other;
    return mine.at >= other.at ? mine : other;
  }
  /** @param {number} count */
  const answers = (count) => `${count} ${count === 1 ? 'answer' : 'answers'}`;
  /**
   * Joins the text of a file with what is here; returns what to tell the reader.
   * @param {string} text
   */
  function take(text, name = 'The file') {
    const data = parse(text);
    const nothing = 'Nothing was changed.';
    if (data === undefined) return `${name} is damaged, or no file of results. ${nothing}`;
    if (isNewer(data)) {
      const told = `A newer edition of the book wrote ${name} (version ${data.version}), and this page reads version`;
      return `${told} ${VERSION}. ${nothing}`;
    }
    const read = sound(data);
    if (!read) return `${name} holds no results of the book’s exercises. ${nothing}`;
    const found = Object.entries(read.done);
    let taken = 0;
    change((now) => {
      const joined = found.map(([id, entry]) => /** @type {const} */ ([id, better(now.done[id], entry, id)]));
      taken = joined.filter(([id, entry]) => entry !== now.done[id]).length;
      Object.assign(now.done, Object.fromEntries(joined));
      now.seed ||= read.seed;
      if (read.place && !((now.place?.at ?? 0) >= read.place.at)) now.place = read.place;
    });
    showPlace();
    dispatchEvent(new Event('lm-progress'));
    const bad = Object.keys(data.done).length - found.length;
    const leftOut = bad ? ` ${answers(bad)} could not be read and ${bad === 1 ? 'was' : 'were'} left out.` : '';
    const rule = 'Where both had one, the later stays, and what was solved stays solved.';
    return `${name} holds ${answers(found.length)}; ${taken} of them taken over. ${rule}${leftOut}`;
  }
  /** @param {File} file */
  async function openFile(file) {
    const most = `${LARGEST / 1e6} MB`;
    if (file.size > LARGEST) return `${file.name} has more than the ${most} of a file of results. Nothing was changed.`;
    try {
      return take(await file.text(), file.name);
    } catch {
      return `The browser could not read ${file.name}. Nothing was changed.`;
    }
  }
  /** @param {Event} event */
  async function importFile({ target }) {
    const field = /** @type {HTMLInputElement} */ (target);
    const [file] = field.files ?? [];
    if (!file) return;
    const told = await openFile(file);
    field.value = '';
    tell(told);
  }
  let armed = 0;
  /** @param {Event} event */
  function forget(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    clearTimeout(armed);
    if (target.dataset.armed) {
      for (const key of [KEY, COPY]) storage?.removeItem(key);
      state = fresh();
      isFrozen = false;
      note = storage?.lasts === false ? OFF : HERE;
      part('place')?.replaceChildren();
      draw();
      dispatchEvent(new Event('lm-progress'));
    }
    const ask = !target.dataset.armed;
    const calm = () => (delete target.dataset.armed, (target.textContent = 'Forget'));
    if (!ask) return calm(), tell('Everything is forgotten.');
    [target.dataset.armed, target.textContent] = ['yes', 'Forget everything?'];
    armed = setTimeout(calm, 6000);
  }
  /** @param {string} text */
  const tell = (text) => part('said')?.replaceChildren(text);

  function main() {
    book = JSON.parse(part('exercises')?.textContent ?? '{}');
    draw();
    showPlace();
    follow();
    part('export')?.addEventListener('click', () => tell(saveAll()));
    part('import')?.addEventListener('change', importFile);
    part('forget')?.addEventListener('click', forget);
    addEventListener('storage', ({ key }) => key === KEY && (load(), draw()));
  }
  open();
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', main);
  else main();
})();
