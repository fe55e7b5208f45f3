// What was done, as a table to print.
import { button, field, h, headings, line, quiet } from '../kit/kit.js';
import { memory } from '../exercises_tasks.js';
import { lastTest, scoreOf } from './final_test.js';
import { dateOf, questionsOf } from './questions.js';

/** @import { Item } from '../exercises_tasks.js' */
/** @import { Sheet } from './questions.js' */
/** @import { TestResult } from './final_test.js' */

/** @typedef {{ save: () => string, open: (file: File) => Promise<string> }} StoredProgress both return what to tell */

/** @param {Sheet[]} sheets */
export function doneRecord(sheets) {
  const name = h('input', { type: 'text', maxlength: 80, autocomplete: 'name', class: 'lmw-name' });
  const place = h('div', {});
  const draw = () => {
    const test = lastTest();
    const table = h(
      'table',
      {},
      headings('Chapter', 'Exercises', 'Quiz', 'Right at first try', 'Final test', 'Last on'),
      h('tbody', {}, sheets.map((sheet) => row(sheet, test))),
    );
    const told = test ? `Final test of ${dateOf(test.at)}: ${scoreOf(test)} right.` : 'No final test yet.';
    place.replaceChildren(
      h('div', { class: 'lmw-scroll', tabindex: '0', role: 'group', 'aria-label': 'Record' }, table),
    );
    place.append(
      h('p', {}, told),
      quiet(`Language Model Fundamentals, as of ${dateOf(Date.now())}; counted by this browser.`),
    );
  };
  draw();
  const print = button('Print the record', () => globalThis.print());
  const node = h('div', { class: 'lmw-record' }, line(field('Name', name), print), place, ...fileLine());
  return { node, redraw: draw };
}

/** A file of what was done, to take to a notebook or another browser, and back. Elsewhere than on the site there is none. */
function fileLine() {
  const stored = /** @type {StoredProgress | undefined} */ (/** @type {any} */ (globalThis).lmProgress);
  if (!stored) return [];
  const told = h('p', { role: 'status', class: 'lmw-file-told' });
  const picker = h('input', { type: 'file', accept: '.json,application/json' });
  picker.addEventListener('change', async () => {
    const [file] = picker.files ?? [];
    if (!file) return;
    told.textContent = await stored.open(file);
    picker.value = ''; // the same file can be opened again
  });
  const save = button('Save as a file', () => (told.textContent = stored.save()));
  return [h('div', { class: 'lmw-files' }, line(save, field('Open a file', picker)), told)];
}

/**
 * @param {Sheet} sheet
 * @param {TestResult | null} test
 */
function row(sheet, test) {
  const now = (/** @type {Item} */ { id, print }) => {
    const kept = memory().recall(id);
    return kept?.print === print ? kept : null;
  };
  const solved = sheet.exercises.filter((item) => ['right', 'seen'].includes(now(item)?.state ?? '')).length;
  const tried = sheet.quiz.map((item) => now(item)?.state).filter(Boolean);
  const last = Math.max(...questionsOf(sheet).map((item) => now(item)?.at ?? 0));
  const cells = [
    sheet.exercises.length ? `${solved} of ${sheet.exercises.length}` : '–',
    `${tried.length} of ${sheet.quiz.length}`,
    String(tried.filter((state) => state === 'right').length),
    test ? scoreOf(test, sheet.chapter) : '–',
    last ? dateOf(last) : '–',
  ];
  const head = h('th', { scope: 'row' }, `${sheet.number}. ${sheet.title}`);
  return h('tr', {}, head, cells.map((text) => h('td', { class: 'lmw-num' }, text)));
}
