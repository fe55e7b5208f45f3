// What the parts of the review page share: the questions of the book, and what a reader's answers change.
import { answered } from '../core/review.js';
import { h } from '../kit/kit.js';
import { memory } from '../exercises_tasks.js';

/** @import { Item } from '../exercises_tasks.js' */

/** @typedef {{ chapter: string, number: number, page: string, title: string, exercises: Item[], quiz: Item[] }} Sheet */
/** @typedef {Item & { sheet: Sheet }} Question */

/**
 * @param {Sheet} sheet
 * @returns {Question[]}
 */
export function questionsOf(sheet) {
  return [...sheet.exercises, ...sheet.quiz].map((item) => ({ ...item, sheet }));
}

/**
 * The questions of the chapters that were begun, and what else was asked: a final test draws from every chapter, and
 * begins none.
 * @param {Sheet[]} sheets
 */
export function begunQuestions(sheets) {
  return sheets.map(questionsOf).flatMap((questions) => {
    const kept = questions.map(({ id }) => memory().recall(id));
    const isBegun = kept.some((one) => one?.passed === undefined && one);
    return questions.filter((_, i) => isBegun || kept[i]);
  });
}

/**
 * @param {Item} item
 * @param {{ right: boolean, state: string, answer: string }} given
 */
export function keep(item, given) {
  memory().record(item.id, answered(item, memory().recall(item.id), given, Date.now()));
}

/** @param {number} time milliseconds since 1970 */
export function dateOf(time) {
  return new Date(time).toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' });
}

/**
 * Links to a question's chapter and to what it is about: a widget, or the cell in which a function is tried.
 * @param {Question} item
 * @returns {(string | Node)[]}
 */
export function links({ sheet, widget, kind }) {
  const address = `${sheet.page}.html`;
  const chapter = h('a', { href: address }, `Chapter ${sheet.number}`);
  if (widget) return [chapter, ', ', h('a', { href: `${address}#widget-${widget}` }, 'its widget')];
  return kind === 'code' ? [chapter, ', ', h('a', { href: `${address}#exercises` }, 'its exercises')] : [chapter];
}
