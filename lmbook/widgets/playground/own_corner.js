// The part of a playground that makes a model of the reader's own text.
import { button, field, h, line, newId, segments, slider } from '../kit/kit.js';
import { messageLine } from '../kit/text_field.js';
import { learnText, MAX_TOKENS, MAX_TYPES } from './own_text.js';
import { inSlices } from '../core/slices.js';

/** @import { NGramModel } from '../core/models.js' */
/** @import { Learnt, Unit } from './own_text.js' */

const FIELD = 10_000; // characters in the field; a longer text is cut there
const DEFAULT_ORDER = { word: 3, char: 5 };
const ORDERS = ['', 'unigram', 'bigram', 'trigram', '4-gram', '5-gram'];

/**
 * @param {string} name of the model
 * @param {(model: NGramModel) => void} onlearn
 */
export function ownCorner(name, onlearn) {
  const source = textSource(() => working?.abort());
  const kind = kindChoice();
  const learn = button('Count it', () => (working ? working.abort() : start()), { class: 'lmw-button lmp-main' });
  const bar = h('progress', { max: 1, value: 0, hidden: true, 'aria-label': 'Share that is counted' });
  /** @type {AbortController | null} of the text that is being counted */
  let working = null;

  /** @param {AbortSignal} signal */
  async function count(signal) {
    const began = performance.now();
    const unit = kind.unit();
    const steps = learnText(source.text(), { unit, order: kind.order(), name });
    const learnt = await inSlices(steps, { onProgress: (share) => (bar.value = share), signal });
    source.say(learntSummary(unit, learnt, (performance.now() - began) / 1000));
    onlearn(learnt.model);
  }

  async function start() {
    if (!source.text().trim()) {
      return source.say('There is no text yet: paste one, choose a file, or write a few sentences.', true);
    }
    working = new AbortController();
    learn.textContent = 'Stop';
    bar.hidden = false;
    source.say('Counting …');
    try {
      await count(working.signal);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const isStopped = error.name === 'AbortError';
      source.say(isStopped ? 'Stopped: nothing was changed.' : error.message, !isStopped);
    } finally {
      working = null;
      learn.textContent = 'Count it';
      bar.hidden = true;
      bar.value = 0;
    }
  }

  const promise =
    'Paste any text: a diary, a log file, your own poems. An n-gram is counted here, in this page; nothing leaves your browser.';
  const node = h(
    'div',
    { class: 'lmp-own' },
    h('p', {}, promise),
    source.node,
    line(source.file, ...kind.nodes),
    line(learn, source.clear, bar),
    source.message,
  );
  return { node, stop: () => working?.abort() };
}

/**
 * A field and a file input for the text, a button that clears both, and a line about the result.
 * @param {() => void} onchange
 */
export function textSource(onchange) {
  let text = '';
  const message = messageLine({ id: newId('own'), role: 'status' });
  const area = h('textarea', { rows: 5, spellcheck: 'false', 'aria-describedby': message.node.id });
  const file = h('input', { type: 'file', accept: 'text/*,.txt,.md,.csv,.json' });

  /**
   * A long text is stored here; the field shows its beginning, because the layout of megabytes takes seconds.
   * @param {string} whole
   */
  function take(whole) {
    onchange();
    text = whole;
    const isLong = whole.length > FIELD;
    area.value = isLong ? `${whole.slice(0, FIELD)}…` : whole;
    area.readOnly = isLong;
    const [length, start] = [whole.length.toLocaleString('en'), FIELD.toLocaleString('en')];
    message.tell(
      isLong ? `All ${length} characters are here; the field shows the first ${start}. Clear to write again.` : '',
    );
  }

  area.addEventListener('paste', (/** @type {ClipboardEvent} */ event) => {
    const pasted = event.clipboardData?.getData('text/plain') ?? '';
    if (pasted.length + text.length <= FIELD) return;
    event.preventDefault();
    const { selectionStart, selectionEnd, readOnly } = area;
    take(readOnly ? pasted : text.slice(0, selectionStart) + pasted + text.slice(selectionEnd));
  });
  area.addEventListener('input', () => take(area.value));
  file.addEventListener('change', async () => {
    const chosen = file.files?.[0];
    if (!chosen) return;
    try {
      take(await chosen.text());
    } catch {
      message.tell(`The browser can’t read “${chosen.name.slice(0, 60)}”: it may be too large, or gone.`, true);
    }
  });
  const clear = button('Clear', () => {
    file.value = ''; // so that the same file can be chosen again
    take('');
  });
  return {
    node: field('The text to learn from', area),
    clear,
    file: h('label', { class: 'lmp-file' }, h('span', {}, 'or choose a file'), file),
    message: message.node,
    say: message.tell,
    take,
    text: () => text,
  };
}

/** The unit of the text and the n-gram's order; each unit has its own order. */
function kindChoice() {
  /** @type {Unit} */
  let unit = 'word';
  const orders = { ...DEFAULT_ORDER };
  const shown = h('output');
  const draw = () => {
    orders[unit] = Number(order.value);
    shown.textContent = ORDERS[orders[unit]];
    order.setAttribute('aria-valuetext', ORDERS[orders[unit]]);
  };
  const order = slider([1, 5, 1], draw, { value: orders.word });
  /** @type {[Unit, string][]} */
  const choices = [['word', 'words'], ['char', 'characters']];
  const units = segments('It is made of', choices, (/** @type {Unit} */ value) => {
    unit = value;
    order.value = String(orders[unit]);
    draw();
  });
  units.select(unit);
  draw();
  const dial = h('label', { class: 'lmp-dial' }, h('span', {}, 'It looks back as a ', shown), order);
  return { nodes: [units.node, dial], unit: () => unit, order: () => orders[unit] };
}

/**
 * @param {Unit} unit
 * @param {Learnt} learnt
 * @param {number} seconds
 */
function learntSummary(unit, { model, numTokens, numTypes, unread, isCut }, seconds) {
  const [tokens, types] = [numTokens.toLocaleString('en'), numTypes.toLocaleString('en')];
  const kinds = unit === 'word' ? 'words and marks' : 'characters';
  const limit = isCut ? ` That is where it stops: the limit is ${MAX_TOKENS.toLocaleString('en')}.` : '';
  const fate = unit === 'word' ? `are read as ${model.tokenizer.tokens[0]}` : 'are left out';
  const share = ((100 * unread) / numTokens).toFixed(1);
  const known = `The ${MAX_TYPES.toLocaleString('en')} most frequent are known`;
  const rare = unread ? ` ${known}; the others, ${share} % of the text, ${fate}.` : '';
  return `Counted ${tokens} ${kinds}, ${types} different, in ${seconds.toFixed(1)} s.${limit}${rare}`;
}
