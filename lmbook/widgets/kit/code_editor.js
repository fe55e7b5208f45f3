// An editor for a few lines of Python: CodeMirror, in the widgets' colours.

/**
 * @typedef {object} CodeEditor
 * @property {() => string} read
 * @property {(text: string) => void} write one step for Undo
 * @property {(line: number) => void} mark a line with an error, from 1; 0: none
 * @property {() => void} focus
 */

/**
 * Tab indents; Escape and then Tab, or Shift-Escape, moves on, as the editor's description should say.
 * @param {any} mirror what CodeMirror exports
 * @param {HTMLElement} parent
 * @param {{ text: string, label: string, describedby: string, onrun: () => void, onedit: () => void }} options
 * @returns {CodeEditor}
 */
export function codeEditor(mirror, parent, { text, label, describedby, onrun, onedit }) {
  const { EditorState, EditorView, keymap } = mirror;
  const errors = errorLine(mirror);
  const run = () => (onrun(), true);
  const keys = [{ key: 'Mod-Enter', run }, ...mirror.defaultKeymap, ...mirror.historyKeymap, mirror.indentWithTab];
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        keymap.of(keys),
        mirror.lineNumbers(),
        mirror.highlightSpecialChars(),
        mirror.history(),
        mirror.indentOnInput(),
        mirror.bracketMatching(),
        mirror.indentUnit.of('    '),
        EditorState.tabSize.of(4),
        mirror.python(),
        mirror.syntaxHighlighting(colours(mirror)),
        EditorView.theme(LOOK),
        EditorView.contentAttributes.of({ 'aria-label': label, 'aria-describedby': describedby, tabindex: '0' }),
        EditorView.updateListener.of((/** @type {{ docChanged: boolean }} */ update) => update.docChanged && onedit()),
        errors.field,
      ],
    }),
  });
  return {
    read: () => view.state.doc.toString(),
    write: (code) =>
      view.dispatch({
        changes: { from: 0, to: view.state.doc.length, insert: code },
        annotations: mirror.isolateHistory.of('full'), // undone alone, however soon it comes
      }),
    mark: (number) => view.dispatch({ effects: errors.set.of(number) }),
    focus: () => view.focus(),
  };
}

/** @type {Record<string, Record<string, string>>} */
const LOOK = {
  '&': {
    fontSize: '0.85rem',
    border: '1px solid var(--line-strong)',
    borderRadius: '7px',
    background: 'var(--raised)',
  },
  '&.cm-focused': { outline: '2px solid var(--focus)', outlineOffset: '1px' },
  '.cm-scroller': { fontFamily: 'ui-monospace, Consolas, monospace', lineHeight: '1.5', maxHeight: '26rem' },
  '.cm-content': { color: 'var(--ink)', caretColor: 'var(--ink)', minHeight: '6rem', outline: 'none !important' },
  '.cm-gutters': { background: 'transparent', color: 'var(--quiet)', border: '0' },
  '.cm-error-line': { background: 'var(--other-soft)', boxShadow: 'inset 3px 0 var(--other)' },
  '&.cm-focused .cm-matchingBracket': { background: 'var(--exact-soft)' },
};

/** @param {any} mirror */
function colours({ HighlightStyle, tags }) {
  return HighlightStyle.define([
    { tag: [tags.keyword, tags.operatorKeyword, tags.controlKeyword], color: 'var(--exact)', fontWeight: '600' },
    { tag: [tags.string, tags.special(tags.string)], color: 'var(--good)' },
    { tag: [tags.number, tags.bool, tags.null], color: 'var(--other)' },
    { tag: tags.comment, color: 'var(--quiet)', fontStyle: 'italic' },
    { tag: tags.definition(tags.function(tags.variableName)), fontWeight: '600' },
  ]);
}

/**
 * The mark of the line with an error: `set` is the effect that moves it. An edit takes it away.
 * @param {any} mirror
 */
function errorLine({ StateEffect, StateField, Decoration, EditorView }) {
  const set = StateEffect.define();
  const look = Decoration.line({ class: 'cm-error-line' });
  const field = StateField.define({
    create: () => Decoration.none,
    /** @param {any} shown @param {any} change */
    update(shown, change) {
      const told = change.effects.find((/** @type {any} */ effect) => effect.is(set));
      if (!told) return change.docChanged ? Decoration.none : shown;
      const { doc } = change.state;
      const isLine = told.value >= 1 && told.value <= doc.lines;
      return isLine ? Decoration.set([look.range(doc.line(told.value).from)]) : Decoration.none;
    },
    provide: (/** @type {any} */ own) => EditorView.decorations.from(own),
  });
  return { set, field };
}
