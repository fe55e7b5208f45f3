// The questions of today, one at a time.
import { button, dropDown, field, h, line, plural, quiet } from '../kit/kit.js';
import { comingAgain, dueToday } from '../core/review.js';
import { help, markdown, memory, taskOf } from '../exercises_tasks.js';
import { begunQuestions, keep, links, questionsOf } from './questions.js';

/** @import { Standing } from '../core/review.js' */
/** @import { Sentences } from '../core/judging.js' */
/** @import { OnResult } from '../exercises_tasks.js' */
/** @import { Question, Sheet } from './questions.js' */

/** @type {Record<Standing['state'], { each: string, all: string }>} */
const REASONS = {
  wrong: { each: 'it went wrong last time', all: 'that went wrong' },
  changed: { each: 'it has changed since you answered', all: 'that changed since' },
  untried: { each: 'not tried yet', all: 'not tried yet' },
  right: { each: 'once more, to keep it', all: 'to repeat' },
};

/**
 * How many there are of each kind: "2 that went wrong, 5 to repeat".
 * @param {{ state: Standing['state'] }[]} due
 */
export function reasonsOf(due) {
  const kinds = /** @type {Standing['state'][]} */ (Object.keys(REASONS));
  const counts = kinds.map((kind) => /** @type {const} */ ([due.filter(({ state }) => state === kind).length, kind]));
  return counts.filter(([count]) => count).map(([count, kind]) => `${count} ${REASONS[kind].all}`).join(', ');
}

/**
 * When questions come again: "Later: 3 tomorrow, 5 in 3 days.".
 * @param {[days: number, count: number][]} coming
 */
export function comingText(coming) {
  const parts = coming.map(([days, count]) => `${count} ${days === 1 ? 'tomorrow' : `in ${days} days`}`);
  return parts.length ? `Later: ${parts.join(', ')}.` : '';
}

/**
 * @param {Sheet[]} sheets
 * @param {Sentences} sentences
 */
export function todaysQuestions(sheets, sentences) {
  const told = h('p', { role: 'status', tabindex: '-1' });
  const place = h('div', { class: 'lmw-asked' });
  const choose = dropDown(() => begin(), [
    ['begun', 'what you have begun'],
    ['all', 'all chapters'],
    ...sheets.map(({ chapter, number, title }) => /** @type {[string, string]} */ ([chapter, `${number}. ${title}`])),
  ]);
  const chosen = () => {
    if (choose.value === 'begun') return begunQuestions(sheets);
    return sheets.filter(({ chapter }) => ['all', chapter].includes(choose.value)).flatMap(questionsOf);
  };

  function begin() {
    const items = chosen();
    const recall = memory().recall;
    const due = dueToday(items, recall, Date.now());
    const later = comingText(comingAgain(items, recall, Date.now()));
    const none = items.length ? 'Nothing is due today.' : NOTHING_BEGUN;
    told.textContent = `${due.length ? `${plural(due.length, 'question')}: ${reasonsOf(due)}.` : none} ${later}`;
    place.replaceChildren();
    if (due.length) place.append(line(button('Begin', () => ask(0))));
    /** @param {number} at */
    const ask = (at) => {
      if (at >= due.length) return end();
      const node = oneQuestion(due[at], `${at + 1} of ${due.length}`, sentences, () => ask(at + 1), begin);
      place.replaceChildren(node);
      node.focus();
    };
  }
  function end() {
    begin();
    told.textContent = `That was the round. ${told.textContent}`;
    told.focus();
  }
  begin();
  const redraw = () => void (place.querySelector('.lmw-question') ?? begin()); // nobody loses a question half answered
  return { node: h('div', {}, line(field('Questions of', choose)), told, place), redraw };
}

const NOTHING_BEGUN = 'You have answered nothing yet. Begin with the exercises of a chapter, or choose one here.';

/**
 * @param {{ item: Question, state: Standing['state'] }} due
 * @param {string} count
 * @param {Sentences} sentences
 * @param {() => void} onnext
 * @param {() => void} onstop
 */
function oneQuestion({ item, state }, count, sentences, onnext, onstop) {
  const { sheet } = item;
  const next = button('Skip', onnext);
  /** @type {OnResult} */
  const onresult = (result, answer, verdict = result) => {
    if (!result) return;
    const right = verdict === 'right' || (item.kind === 'code' && result === 'seen');
    keep(item, { right, state: result, answer });
    next.textContent = 'Next';
  };
  const made = taskOf(item, sentences, onresult);
  const title = h('h3', { class: 'lmw-asked-title' }, item.title || `Quiz: ${sheet.title}`);
  return h(
    'div',
    { role: 'group', 'aria-label': `Question ${count}`, tabindex: '-1', class: 'lmw-question', 'data-id': item.id },
    quiet(`${count} · `, ...links(item), ` · ${REASONS[state].each}`),
    title,
    ...markdown(item.text),
    ...made.nodes,
    ...help(item),
    line(next, button('Stop here', onstop)),
  );
}
