// The review page: today's questions, a final test, and a record of what was done.
import { frame, h } from '../kit/kit.js';
import { doneRecord } from './done_record.js';
import { finalTest } from './final_test.js';
import { todaysQuestions } from './today.js';

/** @import { Drawn } from '../kit/kit.js' */

/** @param {Drawn} widget */
function render({ model, el }) {
  const sheets = model.get('sheets');
  const sentences = model.get('sentences');
  const today = todaysQuestions(sheets, sentences);
  const done = doneRecord(sheets);
  const redraw = () => (today.redraw(), done.redraw());
  const test = finalTest(sheets, sentences, redraw);
  /** @type {[string, string, Node][]} */
  const parts = [['today', 'Today', today.node], ['test', 'A final test', test], ['record', 'Your record', done.node]];
  frame(
    el,
    'review',
    'Review',
    parts.map(([name, title, node]) => h('section', { class: `lmw-part-${name}` }, h('h2', {}, title), node)),
  );
  globalThis.addEventListener('lm-progress', redraw); // stored progress was imported or deleted
  globalThis.addEventListener('beforeprint', done.redraw);
}

export default { render };
