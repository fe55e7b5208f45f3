// Which questions a reader is asked again, and when: pure functions of what was done and of the date.

/**
 * @typedef {object} Kept what is stored of a question that was answered
 * @property {string} state 'right', 'wrong' or 'seen', in its chapter; of a quiz the first try
 * @property {string} answer
 * @property {string} print of the question as it was then
 * @property {number} at milliseconds since 1970
 * @property {number} [passed] reviews in a row in which it was right; −1: it was wrong in the last one
 */
/** @typedef {{ id: string, kind: string, print: string }} Asked what the schedule needs of a question */
/** @typedef {{ state: 'untried' | 'changed' | 'wrong' | 'right', passed: number, at: number }} Standing */
/** @typedef {(id: string) => Kept | null} Recall */

/** Days after which a right answer is asked for again: the first time, the second, the third. */
export const PAUSES = [1, 3, 7];

/**
 * @param {Asked} item
 * @param {Kept | null} kept
 * @returns {Standing}
 */
export function standing(item, kept) {
  if (!kept) return { state: 'untried', passed: 0, at: 0 };
  if (kept.print !== item.print) return { state: 'changed', passed: 0, at: 0 };
  const passed = kept.passed ?? (kept.state === 'wrong' ? -1 : 0);
  if (passed < 0) return { state: 'wrong', passed: 0, at: kept.at };
  // Code that has passed is done: nobody writes a function twice to remember it.
  return { state: 'right', passed: item.kind === 'code' ? PAUSES.length : passed, at: kept.at };
}

/**
 * Days by the reader's calendar: from late in the evening to the next morning is one.
 * @param {number} from milliseconds since 1970, as is `to`
 * @param {number} to
 */
export function daysBetween(from, to) {
  const midnight = (/** @type {number} */ time) => new Date(time).setHours(0, 0, 0, 0);
  return Math.round((midnight(to) - midnight(from)) / 86_400_000);
}

/**
 * Days until a question is asked: 0 is today, Infinity never again.
 * @param {Standing} standing
 * @param {number} now
 */
export function daysLeft({ state, passed, at }, now) {
  if (state !== 'right') return 0;
  if (passed >= PAUSES.length) return Infinity;
  const gone = daysBetween(at, now);
  return gone < 0 ? 0 : Math.max(0, PAUSES[passed] - gone); // before the answer: a clock was wrong
}

const FIRST = ['wrong', 'changed', 'untried', 'right'];

/**
 * What is asked today: wrong ones, then those that changed or were never tried, then right ones whose pause is over, the
 * longest ago first; otherwise in the book's order.
 * @template {Asked} Item
 * @param {Item[]} items
 * @param {Recall} recall
 * @param {number} now
 */
export function dueToday(items, recall, now) {
  const found = items.map((item) => ({ item, ...standing(item, recall(item.id)) }));
  const due = found.filter((one) => daysLeft(one, now) === 0);
  const place = (/** @type {Standing} */ { state }) => FIRST.indexOf(state);
  return due.sort((a, b) => place(a) - place(b) || a.at - b.at);
}

/**
 * How many questions come again in how many days, the nearest first; those of today and never left out.
 * @param {Asked[]} items
 * @param {Recall} recall
 * @param {number} now
 * @returns {[days: number, count: number][]}
 */
export function comingAgain(items, recall, now) {
  /** @type {Map<number, number>} */
  const counts = new Map();
  for (const item of items) {
    const days = daysLeft(standing(item, recall(item.id)), now);
    if (days > 0 && days < Infinity) counts.set(days, (counts.get(days) ?? 0) + 1);
  }
  return [...counts].sort(([a], [b]) => a - b);
}

/**
 * What is stored of a question that was answered in a review or a test.
 * @param {Asked} item
 * @param {Kept | null} kept before
 * @param {{ right: boolean, state: string, answer: string }} given `state` as the chapter has it
 * @param {number} now
 * @returns {Omit<Kept, 'at'>}
 */
export function answered(item, kept, { right, state, answer }, now) {
  const before = standing(item, kept);
  const wasDue = daysLeft(before, now) === 0;
  const passed = !right ? -1 : before.state === 'right' ? before.passed + Number(wasDue) : 0;
  // In its chapter a quiz keeps its first try, and an exercise that was solved stays solved.
  const stays = kept && before.state !== 'changed' && (item.id.includes('-quiz-') || kept.state !== 'wrong');
  return { state: stays ? kept.state : state, answer, print: item.print, passed };
}

/**
 * Questions for a test: chapter by chapter in turn, each a random one of those that are left.
 * @template Item
 * @param {Item[][]} chapters the questions of each
 * @param {number} count
 * @param {() => number} random from 0 to below 1
 */
export function drawTest(chapters, count, random) {
  const left = chapters.map((items) => [...items]);
  const most = Math.min(count, left.flat().length);
  /** @type {Item[]} */
  const drawn = [];
  for (let turn = Math.floor(random() * left.length); drawn.length < most; turn++) {
    const items = left[turn % left.length];
    if (items.length) drawn.push(...items.splice(Math.floor(random() * items.length), 1));
  }
  return drawn;
}
