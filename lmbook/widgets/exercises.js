// A chapter's exercises and its quiz: a list to open and close, with hints, verdicts and, on demand, solutions.
import { frame, h, plural, quiet } from './kit/kit.js';
import { card, help, markdown, memory, question, taskOf } from './exercises_tasks.js';

/** @import { Sentences } from './core/judging.js' */
/** @import { Item, OnResult } from './exercises_tasks.js' */
/** @import { Drawn } from './kit/kit.js' */

/**
 * @param {Item} item
 * @param {number} number
 * @param {Sentences} sentences
 */
function exerciseCard(item, number, sentences) {
  const about = `${item.kind} · ${item.minutes} min`;
  const saved = memory().recall(item.id);
  /** @param {string} [state] */
  const show = (state) => {
    const done = state === 'right' || state === 'seen';
    one.setMark(done ? '✓' : state ? '·' : '', done ? 'done' : 'tried');
    one.node.dataset.state = state ?? '';
  };
  /** @type {OnResult} */
  const onresult = (state, answer) => {
    const before = memory().recall(item.id);
    const stays = before?.state === 'right' && before.print === item.print && state === 'wrong';
    const kept = stays ? 'right' : state;
    memory().record(item.id, kept ? { state: kept, answer, print: item.print } : null);
    show(kept);
  };
  const one = card(`${number}. ${item.title}`, about, () => {
    const made = taskOf(item, sentences, onresult);
    const changed = saved && saved.print !== item.print;
    const note = changed ? [quiet('This exercise has changed since you did it.')] : [];
    if (saved && !changed) made.restore(saved);
    return [...note, ...markdown(item.text), ...made.nodes, ...help(item)];
  });
  show(saved?.state);
  return one;
}

/**
 * @param {Item[]} quiz
 * @param {Sentences} sentences
 */
function quizCard(quiz, sentences) {
  const score = h('p', { class: 'lmw-quiet', role: 'status' });
  /** @param {Item} item what was done at it, unless it has changed since */
  const recall = (item) => {
    const saved = memory().recall(item.id);
    return saved?.print === item.print ? saved : null;
  };
  const firsts = quiz.map((item) => recall(item)?.state);
  const tally = () => {
    const answered = firsts.filter(Boolean).length;
    const right = firsts.filter((state) => state === 'right').length;
    const all = answered === quiz.length;
    score.textContent = answered ? `Answered ${answered} of ${quiz.length}, ${right} right at the first try.` : '';
    one.setMark(all ? '✓' : answered ? '·' : '', all ? 'done' : 'begun');
  };
  const one = card('Quiz', plural(quiz.length, 'question'), () => [
    h(
      'ol',
      { class: 'lmw-quiz' },
      quiz.map((item, i) => {
        const saved = recall(item);
        const made = question(item, sentences, (state, answer) => {
          firsts[i] ??= state; // the first try counts
          memory().record(item.id, { state: firsts[i], answer, print: item.print });
          tally();
        });
        if (saved) made.restore(saved);
        const group = { role: 'group', 'aria-label': `Question ${i + 1}` };
        return h('li', {}, h('div', group, ...markdown(item.text), ...made.nodes));
      }),
    ),
    score,
  ]);
  tally();
  return one;
}

/** @param {Drawn} widget */
function render({ model, el }) {
  const { chapter, title, sentences, exercises, quiz } = model.get('sheet');
  const list = h('ol', { class: 'lmw-cards' });
  const root = frame(el, 'exercises', `Exercises: ${title}`, list);
  root.dataset.chapter = chapter;
  const draw = () => {
    /** @type {ReturnType<typeof card>[]} */
    const cards = exercises.map((/** @type {Item} */ item, /** @type {number} */ i) =>
      exerciseCard(item, i + 1, sentences)
    );
    if (quiz.length) cards.push(quizCard(quiz, sentences));
    list.replaceChildren(...cards.map(({ node }) => node));
  };
  draw();
  globalThis.addEventListener?.('lm-progress', draw); // stored progress was imported or deleted
  return () => globalThis.removeEventListener?.('lm-progress', draw);
}

export default { render };
