// What exercises are made of, in a chapter and in the review: text, an answer's field, verdicts, hints and solution.
import { button, h, line, newId, plural, quiet } from './kit/kit.js';
import { choiceOrder } from './core/choices.js';
import { askedIn, fill, judge, LETTERS } from './core/judging.js';
import { codeEditor } from './kit/code_editor.js';
import { loadCodeMirror, openPython, runPython, runsInPage } from './kit/python.js';
import { sitePage } from './kit/worker.js';

/** @import { Item as Judged, Sentences } from './core/judging.js' */
/** @import { CodeEditor } from './kit/code_editor.js' */

/**
 * @typedef {Judged & { id: string, title: string, kind: string, minutes: number, text: string, print: string,
 *   widget?: string, hints?: string[], solution?: string, code?: string, output?: string, stub?: string }} Item an exercise, as
 *   Exercise.page gives it
 */

/** @typedef {import('./core/review.js').Kept} Remembered what was done at an exercise */
/**
 * @typedef {object} Memory
 * @property {(id: string) => Remembered | null} recall
 * @property {(id: string, entry: object | null) => void} record
 * @property {() => number | null} seed of the order in which this reader sees choices; null: their own
 */
/** @typedef {(state: string, answer: string, verdict?: string) => void} OnResult told of each verdict; a prediction is
 *   'seen', and `verdict` says how it was judged */
/** @typedef {{ nodes: HTMLElement[], restore: (saved: Remembered) => void }} Task `restore` shows what was done before */

/**
 * @typedef {object} Field for an answer
 * @property {HTMLElement} node
 * @property {() => string} read the text that is judged
 * @property {() => string} chosen what is remembered and said: of a choice its text, which keeps when places change
 * @property {(text: string) => void} write
 * @property {() => void} lock
 */

// The site stores what was done; elsewhere nothing is stored, and choices stand as `check` counts them.
/** @type {Memory} */
const forgetful = { recall: () => null, record() {}, seed: () => null };
/** @returns {Memory} */
export const memory = () => /** @type {any} */ (globalThis).lmProgress ?? forgetful;
/** @type {Record<string, string>} */
const GIST = { right: 'Right', wrong: 'Not right', unreadable: 'Not judged', noted: 'Noted', seen: 'Seen' };

// The small Markdown of the exercises: paragraphs, lists, fenced code; `code`, *emphasis*, **strong** in the line.

/**
 * @param {string} text
 * @returns {(string | Node)[]}
 */
function inline(text) {
  const parts = text.split(/(`[^`]+`|\*\*[^*]+\*\*|\*[^*\s][^*]*\*)/);
  return parts.filter(Boolean).map((part, i) => {
    if (i % 2 === 0 && !/^[`*]/.test(part)) return part;
    if (/^`[^`]+`$/.test(part)) return h('code', {}, part.slice(1, -1));
    if (/^\*\*[^*]+\*\*$/.test(part)) return h('strong', {}, part.slice(2, -2));
    return /^\*[^*]+\*$/.test(part) ? h('em', {}, part.slice(1, -1)) : part;
  });
}

/** @param {string} code */
function codeBlock(code, label = 'Python code') {
  return h('pre', { class: 'lmw-code', tabindex: '0', role: 'group', 'aria-label': label }, h('code', {}, code));
}

/**
 * @param {string} text
 * @returns {HTMLElement[]}
 */
export function markdown(text) {
  return text.split('```').flatMap((part, i) => {
    if (i % 2) return /** @type {HTMLElement[]} */ ([codeBlock(part.slice(part.indexOf('\n') + 1).trimEnd())]);
    return part.split(/\n\s*\n/).filter((p) => p.trim()).map((p) => {
      const lines = p.trim().split(/\n(?=- )/);
      if (!lines[0].startsWith('- ')) return h('p', {}, inline(p.trim()));
      return h('ul', {}, lines.map((one) => h('li', {}, inline(one.slice(2)))));
    });
  });
}

/**
 * A button that opens and closes the part below it. `build` makes that part when it is opened for the first time.
 * @param {string} label
 * @param {() => Node[]} build
 * @param {Record<string, unknown>} [attributes] of the button
 */
function disclosure(label, build, attributes = {}) {
  const body = h('div', { class: 'lmw-opened', id: newId('opened'), hidden: true });
  const toggle = button(label, () => open(body.hidden === true), {
    'aria-expanded': 'false',
    'aria-controls': body.id,
    ...attributes,
  });
  /** @param {boolean} yes */
  function open(yes) {
    if (yes && !body.childNodes.length) body.append(...build());
    body.hidden = !yes;
    toggle.setAttribute('aria-expanded', String(yes));
  }
  return { toggle, body, open };
}

/**
 * @param {Item} item
 * @param {string} name
 * @param {Sentences} sentences
 * @param {() => void} onenter
 * @returns {Field}
 */
export function numberField(item, name, sentences, onenter) {
  const input = h('input', {
    type: 'text',
    inputmode: 'text',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    maxlength: 60,
    onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === 'Enter' && onenter(),
  });
  const asked = item.digits ? `, to ${plural(item.digits, 'significant digit')}` : '';
  const label = h('span', {}, `${name}${item.unit ? ` ${askedIn(item.unit, sentences)}` : ''}${asked}`);
  const node = h('label', { class: 'lmw-field lmw-answer' }, label, input);
  /** @param {string} text */
  const write = (text) => (input.value = text);
  const read = () => input.value;
  return { node, read, chosen: read, write, lock: () => (input.readOnly = true) };
}

/**
 * @param {Item} item
 * @param {string} name
 * @param {() => void} onpick
 * @returns {Field}
 */
export function choiceField({ id, choices = [] }, name, onpick) {
  const group = newId('choices');
  const inputs = choices.map((_, i) => h('input', { type: 'radio', name: group, value: LETTERS[i], onchange: onpick }));
  const labels = choices.map((choice, i) =>
    h('label', { class: 'lmw-choice' }, inputs[i], h('span', {}, inline(choice.text)))
  );
  const shown = choiceOrder(id, choices.length, memory().seed()).map((i) => labels[i]);
  const node = h('fieldset', { class: 'lmw-choices' }, h('legend', {}, name), shown);
  const at = () => inputs.findIndex((input) => input.checked);
  return {
    node,
    read: () => inputs[at()]?.value ?? '',
    chosen: () => choices[at()]?.text ?? '',
    write: (text) => choices.forEach((choice, i) => (inputs[i].checked = choice.text === text)),
    lock: () => inputs.forEach((input) => (input.disabled = true)),
  };
}

export function verdictLine() {
  const node = h('div', { class: 'lmw-verdict', role: 'status', 'aria-live': 'polite' });
  /** @param {{ state: string, text: string }} judged */
  function show({ state, text }) {
    node.dataset.state = state;
    const [gist, rest] = state === 'right' && /^Right[.,]/.test(text)
      ? ['Right', text.slice(5)]
      : [`${GIST[state]}. `, text];
    node.replaceChildren(h('p', {}, h('strong', {}, gist), inline(rest)));
  }
  return { node, show, clear: () => (node.replaceChildren(), delete node.dataset.state) };
}

/**
 * A number or a choice: the reader answers, checks, and is told why.
 * @param {Item} item
 * @param {Sentences} sentences
 * @param {OnResult} onresult
 * @returns {Task}
 */
export function question(item, sentences, onresult) {
  const verdict = verdictLine();
  const submit = () => {
    const judged = judge(item, field.read(), sentences);
    verdict.show(judged);
    if (judged.state !== 'unreadable') onresult(judged.state, field.chosen());
  };
  const field = item.choices
    ? choiceField(item, 'Choose one', verdict.clear)
    : numberField(item, 'Your answer', sentences, submit);
  const buttons = line(item.choices ? [] : field.node, button('Check', submit));
  /** @param {Remembered} saved */
  const restore = (
    { answer },
  ) => (field.write(answer), field.read() && verdict.show(judge(item, field.read(), sentences)));
  return { nodes: [...(item.choices ? [field.node] : []), buttons, verdict.node], restore };
}

/**
 * A prediction: the reader commits to one, then sees the recorded output of the experiment and an explanation.
 * @param {Item} item
 * @param {Sentences} sentences
 * @param {OnResult} onresult
 * @returns {Task}
 */
function prediction(item, sentences, onresult) {
  const verdict = verdictLine();
  const outcome = h('div', { class: 'lmw-outcome', hidden: true });
  const field = item.choices
    ? choiceField(item, 'Your prediction', verdict.clear)
    : numberField(item, 'Your prediction', sentences, commit);
  const commitment = button('Commit', () => commit());
  const see = button('See what happens', () => reveal(), { hidden: true });
  function commit() {
    const judged = judge(item, field.read(), sentences);
    if (judged.state === 'unreadable') return verdict.show(judged);
    field.lock();
    const given = field.chosen().replace(/\.$/, '');
    verdict.show({ state: 'noted', text: fill(sentences.noted, { given }).replace(/^Noted: /, '') });
    commitment.hidden = true;
    see.hidden = false;
    see.focus();
  }
  function reveal() {
    const judged = judge(item, field.read(), sentences);
    outcome.replaceChildren(
      codeBlock(item.code ?? ''),
      quiet('What it printed when this page was made:'),
      codeBlock(item.output ?? '', 'Recorded output'),
    );
    outcome.hidden = false;
    see.hidden = true;
    verdict.show({ state: judged.state === 'right' ? 'right' : 'seen', text: judged.text });
    verdict.node.append(...markdown(item.right ?? ''));
    onresult('seen', field.chosen(), judged.state);
  }
  const buttons = line(item.choices ? [] : field.node, commitment, see);
  /** @param {Remembered} saved */
  const restore = ({ answer }) => {
    field.write(answer);
    if (!field.read()) return;
    field.lock();
    commitment.hidden = true;
    reveal();
  };
  return { nodes: [...(item.choices ? [field.node] : []), buttons, outcome, verdict.node], restore };
}

/**
 * A function to write. Where the site has Python for it, it is written and judged here; else the page shows a beginning,
 * the notebook checks it, and the reader ticks a box when it passed.
 * @param {Item} item
 * @param {OnResult} onresult
 * @returns {Task}
 */
function codeTask(item, onresult) {
  return runsInPage(item.id) ? editorTask(item, onresult) : notebookTask(item, onresult);
}

/**
 * @param {Item} item
 * @param {OnResult} onresult
 * @returns {Task}
 */
function notebookTask(item, onresult) {
  const done = h('input', { type: 'checkbox', onchange: () => onresult(done.checked ? 'seen' : '', '') });
  const { stub = '' } = item;
  const why = sitePage.lmSite?.python ? 'It needs PyTorch, so write it in the notebook' : 'Write it in the notebook';
  const nodes = [
    codeBlock(`${stub}\n\ncheck("${item.id}", ${stub.match(/def (\w+)/)?.[1]})`, 'Where to begin'),
    quiet(`${why}: its cell is at the end of the chapter, and check tries your function on cases.`),
    h('label', { class: 'lmw-choice' }, done, h('span', {}, 'My function passed')),
  ];
  return { nodes, restore: ({ state }) => void (done.checked = state === 'seen') };
}

/**
 * An editor and what became of its code. Both, and Python, are loaded when the reader asks for them.
 * @param {Item} item
 * @param {OnResult} onresult
 * @returns {Task}
 */
function editorTask(item, onresult) {
  const stub = `${item.stub ?? ''}`.trimEnd() + '\n';
  let code = stub;
  /** @type {CodeEditor | null} */
  let editor = null;
  const begin = codeBlock(code, 'Where to begin');
  const open = button('Write it here', () => show());
  const run = button('Run and check', () => attempt(), { hidden: true });
  const again = button('Start again', () => (editor?.write(stub), editor?.focus()), { hidden: true });
  const keys = h('p', { class: 'lmw-quiet', id: newId('keys'), hidden: true }, KEYS);
  const printed = h('pre', { class: 'lmw-code', tabindex: '0', role: 'group', 'aria-label': 'Printed', hidden: true });
  const verdict = verdictLine();
  const place = h('div', {}, begin);

  async function show() {
    open.disabled = true;
    openPython().catch(() => {}); // it loads while the reader writes; a run says what went wrong
    try {
      const options = { text: code, label: item.title, describedby: keys.id, onrun: attempt, onedit: verdict.clear };
      const mirror = await loadCodeMirror();
      place.replaceChildren();
      editor = codeEditor(mirror, place, options);
      open.hidden = true;
      run.hidden = again.hidden = keys.hidden = false;
      editor.focus();
    } catch (error) {
      open.disabled = false;
      verdict.show({ state: 'unreadable', text: messageOf(error) });
    }
  }
  async function attempt() {
    if (!editor || run.disabled) return;
    const text = editor.read();
    run.disabled = printed.hidden = true;
    printed.textContent = '';
    verdict.clear();
    verdict.node.append(quiet('Running. The first time Python is loaded, which takes a few seconds.'));
    const onprint = (/** @type {string} */ more) => (printed.append(more), printed.hidden = false);
    try {
      const ran = await runPython(item.id, text, onprint);
      const explained = ran.text.split('\n\n');
      verdict.show({ state: ran.state, text: explained[0] });
      verdict.node.append(...markdown(explained.slice(1).join('\n\n')));
      editor.mark(ran.line);
      onresult(ran.state === 'unreadable' ? 'wrong' : ran.state, text);
    } catch (error) {
      verdict.show({ state: 'unreadable', text: messageOf(error) });
    }
    run.disabled = false;
  }
  /** @param {Remembered} saved */
  const restore = ({ state, answer }) => {
    if (!answer) return;
    code = answer;
    begin.replaceChildren(h('code', {}, code));
    if (state === 'right') verdict.show({ state, text: PASSED });
  };
  return { nodes: [place, line(open, run, again), keys, printed, verdict.node], restore };
}

const PASSED = 'Your function has passed; above is the code that you ran last.';
const KEYS = 'Tab indents; Escape and then Tab leaves the editor. Ctrl + Enter (⌘ + Enter) runs the code.';

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * @param {Item} item
 * @param {Sentences} sentences
 * @param {OnResult} onresult
 * @returns {Task}
 */
export function taskOf(item, sentences, onresult) {
  if (item.kind === 'code') return codeTask(item, onresult);
  return (item.kind === 'prediction' ? prediction : question)(item, sentences, onresult);
}

/**
 * The hints, one by one, and the solution.
 * @param {Item} item
 */
export function help(item) {
  const shown = h('ol', { class: 'lmw-hints', 'aria-label': 'Hints' });
  const { hints = [] } = item;
  const label = () => `Hint ${shown.childElementCount + 1} of ${hints.length}`;
  const next = button('', () => {
    const one = h('li', { tabindex: '-1' }, inline(hints[shown.childElementCount]));
    shown.append(one);
    one.focus();
    next.hidden = shown.childElementCount === hints.length;
    next.textContent = label();
  });
  next.textContent = label();
  const text = item.solution ?? '';
  const code = item.code && item.kind !== 'prediction' ? [codeBlock(item.code)] : [];
  const solved = disclosure('Solution', () => [...markdown(text), ...code], { class: 'lmw-button lmw-solution' });
  const hasSolution = text || code.length;
  const buttons = [...(hints.length ? [next] : []), ...(hasSolution ? [solved.toggle] : [])];
  return [line(buttons), shown, solved.body];
}

/**
 * A line of the list and what opens below it. `setMark` shows whether it is done.
 * @param {string} title
 * @param {string} about
 * @param {() => Node[]} build
 */
export function card(title, about, build) {
  const mark = h('span', { class: 'lmw-mark' });
  const label = h('span', { class: 'lmw-title' }, inline(title), h('small', {}, about));
  const { toggle, body, open } = disclosure('', build, { class: 'lmw-card' });
  toggle.append(mark, label, h('span', { class: 'lmw-chevron', 'aria-hidden': 'true' }));
  const node = h('li', {}, h('div', { role: 'heading', 'aria-level': '3' }, toggle), body);
  return {
    node,
    open,
    /** @type {(text: string, heard: string) => void} */
    setMark: (text, heard) => mark.replaceChildren(...(text ? [text, h('span', { class: 'lmw-heard' }, heard)] : [])),
  };
}
