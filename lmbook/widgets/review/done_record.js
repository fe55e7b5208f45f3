// What was done, as a table to print.
import { button, field, h, headings, line, quiet } from '../kit/kit.js';
import { memory } from '../exercises_tasks.js';
import { lastTest, scoreOf } from './final_test.js';
import { dateOf, questionsOf } from './questions.js';

/** @import { Item } from '../exercises_tasks.js' */
/** @import { Sheet } from './questions.js' */
/** @import { TestResult } from './final_test.js' */

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
    place.append(h('p', {}, told), quiet(`As of ${dateOf(Date.now())}, counted by this browser.`));
  };
  draw();
  const print = button('Print the record', () => globalThis.print());
  const node = h('div', { class: 'lmw-record' }, line(field('Name', name), print), place);
  return { node, redraw: draw };
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
