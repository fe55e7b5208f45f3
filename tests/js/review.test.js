import assert from 'node:assert/strict';
import {
  answered,
  comingAgain,
  daysBetween,
  daysLeft,
  drawTest,
  dueToday,
  standing,
} from '../../lmbook/widgets/core/review.js';
import { seededRandom } from '../../lmbook/widgets/core/random.js';

/** @import { Kept } from '../../lmbook/widgets/core/review.js' */

/** @type {(day: number, hour?: number) => number} */
const at = (day, hour = 12) => new Date(2026, 2, day, hour).getTime();
/** @type {(id: string, kind?: string, print?: string) => { id: string, kind: string, print: string }} */
const item = (id, kind = 'number', print = 'p') => ({ id, kind, print });
/** @type {(state: string, time: number, more?: Partial<Kept>) => Kept} */
const kept = (state, time, more = {}) => ({ state, answer: '1', print: 'p', at: time, ...more });
/** @type {(all: Record<string, Kept>) => (id: string) => Kept | null} */
const from = (all) => (id) => all[id] ?? null;

Deno.test('days are those of the calendar, over a change of the clock too', () => {
  assert.equal(daysBetween(at(1, 23), at(2, 1)), 1);
  assert.equal(daysBetween(at(1, 1), at(1, 23)), 0);
  assert.equal(daysBetween(at(27), at(31)), 4); // most zones of Europe lose an hour on the 29th
  assert.equal(daysBetween(at(3), at(1)), -2);
});

Deno.test('a question stands as it was last answered, and anew when it has changed', () => {
  assert.equal(standing(item('a-1'), null).state, 'untried');
  assert.equal(standing(item('a-1', 'number', 'q'), kept('right', at(1))).state, 'changed');
  assert.equal(standing(item('a-1'), kept('wrong', at(1))).state, 'wrong');
  assert.deepEqual(standing(item('a-1'), kept('right', at(1))), { state: 'right', passed: 0, at: at(1) });
  assert.equal(standing(item('a-1', 'prediction'), kept('seen', at(1))).state, 'right');
  assert.equal(standing(item('a-1'), kept('right', at(1), { passed: -1 })).state, 'wrong');
  assert.equal(standing(item('a-quiz-1'), kept('wrong', at(1), { passed: 2 })).passed, 2);
});

Deno.test('a right answer is asked for after 1, then 3, then 7 days, then no more', () => {
  let record = kept('right', at(1, 23));
  let day = 1;
  for (const pause of [1, 3, 7]) {
    const before = standing(item('a-1'), record);
    assert.equal(daysLeft(before, at(day + pause - 1)), 1);
    assert.equal(daysLeft(before, at(day + pause, 0)), 0);
    day += pause;
    record = { ...answered(item('a-1'), record, { right: true, state: 'right', answer: '1' }, at(day)), at: at(day) };
  }
  assert.equal(daysLeft(standing(item('a-1'), record), at(30)), Infinity);
});

Deno.test('one answered late is asked at once, and one from the future too', () => {
  assert.equal(daysLeft(standing(item('a-1'), kept('right', at(1))), at(25)), 0);
  assert.equal(daysLeft(standing(item('a-1'), kept('right', at(9))), at(2)), 0);
});

Deno.test('a wrong answer begins again, and right before its day changes no pause', () => {
  const right = { right: true, state: 'right', answer: '1' };
  const wrong = { right: false, state: 'wrong', answer: '2' };
  const twice = kept('right', at(1), { passed: 2 });
  assert.equal(answered(item('a-1'), twice, wrong, at(8)).passed, -1);
  assert.equal(answered(item('a-1'), kept('right', at(8), { passed: -1 }), right, at(8)).passed, 0);
  assert.equal(answered(item('a-1'), twice, right, at(3)).passed, 2);
  assert.equal(answered(item('a-1'), twice, right, at(8)).passed, 3);
  assert.equal(answered(item('a-1', 'number', 'q'), twice, right, at(8)).passed, 0);
});

Deno.test('in its chapter a quiz keeps the first try, and what was solved stays solved', () => {
  const right = { right: true, state: 'right', answer: 'x' };
  const wrong = { right: false, state: 'wrong', answer: 'y' };
  assert.equal(answered(item('a-quiz-1'), kept('wrong', at(1)), right, at(2)).state, 'wrong');
  assert.equal(answered(item('a-quiz-1'), null, right, at(2)).state, 'right');
  assert.equal(answered(item('a-1'), kept('wrong', at(1)), right, at(2)).state, 'right');
  assert.equal(answered(item('a-1'), kept('right', at(1)), wrong, at(2)).state, 'right');
  assert.equal(answered(item('a-1', 'number', 'q'), kept('right', at(1)), wrong, at(2)).state, 'wrong');
});

Deno.test('wrong ones come first, then new ones, then the longest ago; the others wait', () => {
  const items = ['new', 'fresh', 'old', 'older', 'wrong', 'changed', 'code'].map((id) =>
    item(id, id === 'code' ? 'code' : 'number', id === 'changed' ? 'q' : 'p')
  );
  const recall = from({
    fresh: kept('right', at(10)),
    old: kept('right', at(5)),
    older: kept('right', at(2), { passed: 1 }),
    wrong: kept('wrong', at(10)),
    changed: kept('right', at(10)),
    code: kept('right', at(1)),
  });
  const order = (/** @type {number} */ now) => dueToday(items, recall, now).map((one) => one.item.id);
  assert.deepEqual(order(at(10)), ['wrong', 'changed', 'new', 'older', 'old']);
  assert.deepEqual(comingAgain(items, recall, at(10)), [[1, 1]]);
  assert.deepEqual(order(at(11)), ['wrong', 'changed', 'new', 'older', 'old', 'fresh']);
  const two = from({ a: kept('right', at(2), { passed: 1 }), b: kept('right', at(3)), c: kept('wrong', at(3)) });
  assert.deepEqual(comingAgain(['a', 'b', 'c', 'd'].map((id) => item(id)), two, at(3)), [[1, 1], [2, 1]]);
});

Deno.test('a test takes from every chapter in turn, nothing twice, and no more than there is', () => {
  const chapters = [3, 8, 1, 0].map((count, i) => Array.from({ length: count }, (_, k) => `${i}-${k}`));
  const drawn = drawTest(chapters, 8, seededRandom(3));
  assert.equal(new Set(drawn).size, 8);
  const perChapter = chapters.map((_, i) => drawn.filter((id) => id.startsWith(`${i}-`)).length);
  assert.deepEqual(perChapter, [3, 4, 1, 0]);
  assert.notDeepEqual(drawTest(chapters, 8, seededRandom(4)), drawn);
  assert.equal(drawTest(chapters, 20, seededRandom(3)).length, 12);
  assert.deepEqual(drawTest([[], []], 20, seededRandom(3)), []);
});

Deno.test('a test begins at any chapter and takes any question of it, one draw for each', () => {
  const chapters = [['a', 'b'], [], ['c', 'd']];
  let draws = 0;
  const last = () => (draws++, 0.99);
  assert.deepEqual(drawTest(chapters, 3, last), ['d', 'b', 'c']);
  assert.equal(draws, 4); // one for the first chapter
  assert.deepEqual(drawTest(chapters, 3, () => 0), ['a', 'c', 'b']);
});
