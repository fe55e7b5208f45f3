// The final test: twenty questions of all chapters, judged together when they are handed in.
import { button, h, line, quiet } from '../kit/kit.js';
import { drawTest } from '../core/review.js';
import { judge } from '../core/judging.js';
import { choiceField, markdown, memory, numberField, verdictLine } from '../exercises_tasks.js';
import { keep, links, questionsOf } from './questions.js';

/** @import { Sentences } from '../core/judging.js' */
/** @import { Question, Sheet } from './questions.js' */
/** @typedef {{ at: number, marks: Record<string, boolean> }} TestResult right or not, by the questions' ids */
/** @typedef {ReturnType<typeof testQuestion>} Part */

const COUNT = 20;
const ENTRY = 'final-test'; // what was done at it is stored as of an exercise

/** @returns {TestResult | null} the last one that was handed in */
export function lastTest() {
  const kept = memory().recall(ENTRY);
  try {
    const marks = JSON.parse(kept?.answer ?? 'null');
    return kept && marks && typeof marks === 'object' ? { at: kept.at, marks } : null;
  } catch {
    return null;
  }
}

/**
 * @param {TestResult} test
 * @param {string} [chapter] all, if left out
 * @returns {string} "16 of 20"
 */
export function scoreOf({ marks }, chapter = '') {
  const counted = Object.entries(marks).filter(([id]) => id.startsWith(chapter && `${chapter}-`));
  return `${counted.filter(([, right]) => right === true).length} of ${counted.length}`;
}

/**
 * @param {Sheet[]} sheets
 * @param {Sentences} sentences
 * @param {() => void} ondone
 */
export function finalTest(sheets, sentences, ondone) {
  const place = h('div', {});
  const told = h('p', { role: 'status', tabindex: '-1' });
  const begin = button('Draw twenty questions', () => start());

  function start() {
    const chapters = sheets.map((sheet) =>
      questionsOf(sheet).filter(({ kind }) => ['number', 'choice'].includes(kind))
    );
    const parts = drawTest(chapters, COUNT, Math.random).map((item, i) => testQuestion(item, i + 1, sentences));
    const missed = h('p', { role: 'status' }); // beside the button: the top of the test is far away
    let warned = false;
    const handIn = button('Hand in', () => {
      const missing = parts.filter((part) => !part.isReadable());
      if (missing.length && !warned) {
        warned = true;
        const named = missing.map(({ number }) => number).join(', ');
        missed.textContent = `Without an answer that can be read: ${named}. Press again to hand in all the same.`;
        for (const part of missing) part.judgeNow(false);
        return;
      }
      handIn.hidden = true;
      missed.remove();
      report(parts);
    });
    begin.hidden = true;
    told.textContent = '';
    place.replaceChildren(
      h('ol', { class: 'lmw-test' }, parts.map(({ asked }) => h('li', {}, asked))),
      line(handIn),
      missed,
    );
    parts[0].asked.focus();
  }
  /** @param {Part[]} parts */
  function report(parts) {
    const open = parts.filter((part) => !part.isReadable()).length;
    const marks = Object.fromEntries(parts.map((part) => [part.id, part.judgeNow(true)]));
    const right = Object.values(marks).filter(Boolean).length;
    memory().record(ENTRY, { state: 'seen', answer: JSON.stringify(marks), print: '' });
    const wrong = parts.length - right - open;
    const later = wrong
      ? ` The review will ask ${wrong === 1 ? 'the wrong one' : `the ${wrong} wrong ones`} again.`
      : '';
    const left = open ? ` ${open} ${open === 1 ? 'was' : 'were'} left open.` : '';
    told.textContent = `${right} of ${parts.length} right.${left}${later} The reasons stand below each question.`;
    begin.textContent = 'Draw twenty others';
    begin.hidden = false;
    told.focus();
    ondone();
  }
  return h('div', {}, told, line(begin), place);
}

/**
 * A question of the test: its answer is judged when all are handed in.
 * @param {Question} item
 * @param {number} number
 * @param {Sentences} sentences
 */
function testQuestion(item, number, sentences) {
  const verdict = verdictLine();
  const answerField = item.choices
    ? choiceField(item, 'Choose one', verdict.clear)
    : numberField(item, 'Your answer', sentences, () => {});
  const judged = () => judge(item, answerField.read(), sentences);
  const about = quiet(...links(item), item.title ? ` · ${item.title}` : '');
  const group = { role: 'group', 'aria-label': `Question ${number}`, tabindex: '-1', 'data-id': item.id };
  const asked = h('div', group, about, ...markdown(item.text), answerField.node, verdict.node);
  /** @param {boolean} final it is marked, kept and locked */
  const judgeNow = (final) => {
    const { state, text } = judged();
    const why = state === 'right' ? '' : item.choices?.find((choice) => choice.right)?.text ?? rightNumber(item);
    const told = final && why ? `${text} Right is: ${why}` : text;
    verdict.show({ state: final && state === 'unreadable' ? 'wrong' : state, text: told });
    if (final) answerField.lock();
    if (final && state !== 'unreadable') keep(item, { right: state === 'right', state, answer: answerField.chosen() });
    return state === 'right';
  };
  return { id: item.id, number, asked, isReadable: () => judged().state !== 'unreadable', judgeNow };
}

/** @param {Question} item */
function rightNumber({ answer = 0, digits = 0 }) {
  return `${digits ? Number(answer.toPrecision(digits)) : answer}.`;
}
