// An editor below a cell of a chapter: its code, to change and to run in the page.
import { button, frame, h, line, newId, quiet } from '../kit/kit.js';
import { codeEditor } from '../kit/code_editor.js';
import { loadCodeMirror, openPython, playPython } from '../kit/python.js';

/** @import { Drawn } from '../kit/kit.js' */

const HELP = 'Tab indents; Escape and then Tab leaves the editor. Ctrl + Enter (⌘ + Enter) runs the code.';

/** @param {Drawn} widget `code`: what the editor begins with */
async function render({ model, el }) {
  const code = `${model.get('code')}`.trim() + '\n';
  const place = h('div', {});
  const keys = h('p', { class: 'lmw-quiet', id: newId('keys') }, HELP);
  const printed = h('pre', { class: 'lmw-code', tabindex: '0', role: 'group', 'aria-label': 'Printed', hidden: true });
  const told = h('div', { role: 'status', 'aria-live': 'polite' });
  const run = button('Run', () => attempt());
  const reset = button('The book’s code again', () => editor.write(code));
  const label = 'Code to try';
  frame(el, 'try-it', label, place, line(run, reset), keys, printed, told);
  openPython().catch(() => {}); // it loads while the reader writes; a run says what went wrong
  const mirror = await loadCodeMirror();
  const options = { text: code, label, describedby: keys.id, onrun: () => void attempt(), onedit: () => {} };
  const editor = codeEditor(mirror, place, options);
  editor.focus();

  async function attempt() {
    if (run.disabled) return;
    run.disabled = printed.hidden = true;
    printed.textContent = '';
    told.replaceChildren(quiet('Running. The first time Python is loaded, which takes a few seconds.'));
    try {
      const ran = await playPython(editor.read(), (more) => (printed.append(more), printed.hidden = false));
      editor.mark(ran.line);
      told.replaceChildren(h('p', {}, `${ran.line && ran.text ? `Line ${ran.line}: ` : ''}${ran.text}`));
      if (!ran.text) told.replaceChildren(quiet(printed.hidden ? 'It ran, and printed nothing.' : ''));
    } catch (error) {
      told.replaceChildren(h('p', {}, error instanceof Error ? error.message : String(error)));
    }
    run.disabled = false;
  }
}

export default { render };
