// The corner of a playground where a reader's own text becomes a model.
import { button, h, newId, segments } from '../kit/kit.js';
import { learnText, MAX_TOKENS, MAX_TYPES } from './own_text.js';
import { inSlices } from '../core/slices.js';

const FIELD = 10_000; // characters that stand in the field; of a longer text its beginning
const DEFAULT_ORDER = { word: 3, char: 5 };

// `onlearn(model)` gets the counted model, or null while there is none.
export function ownCorner(name, onlearn) {
  let [text, unit, working] = ['', 'word', null];
  const orders = { ...DEFAULT_ORDER };
  const message = h('p', { class: 'lmw-message', id: newId('own'), role: 'status' });
  const field = h('textarea', { rows: 5, spellcheck: 'false', 'aria-describedby': message.id });
  const file = h('input', { type: 'file', accept: 'text/*,.txt,.md,.csv,.json' });
  const units = segments('It is made of', [['word', 'words'], ['char', 'characters']], (value) => {
    unit = value;
    order.value = orders[unit];
    drawOrder();
  });
  const shown = h('output');
  const order = h('input', { type: 'range', min: 1, max: 5, value: orders.word });
  const drawOrder = () => {
    orders[unit] = Number(order.value);
    shown.textContent = ['', 'unigram', 'bigram', 'trigram', '4-gram', '5-gram'][order.value];
    order.setAttribute('aria-valuetext', shown.textContent);
  };
  order.addEventListener('input', drawOrder);
  const learn = button('Count it', () => (working ? working.abort() : start()), { class: 'lmw-button lmp-main' });
  const clear = button('Clear', () => take(''));
  const bar = h('progress', { max: 1, value: 0, hidden: true, 'aria-label': 'Share that is counted' });

  function say(words, isWrong = false) {
    message.textContent = words;
    message.classList.toggle('lmw-wrong', isWrong);
  }

  // A long text stays here; the field shows its beginning, because a browser takes seconds to lay out megabytes.
  function take(whole) {
    working?.abort();
    text = whole;
    const isLong = whole.length > FIELD;
    field.value = isLong ? `${whole.slice(0, FIELD)}…` : whole;
    field.readOnly = isLong;
    const [length, start] = [whole.length.toLocaleString('en'), FIELD.toLocaleString('en')];
    say(isLong ? `All ${length} characters are here; the field shows the first ${start}. Clear to write again.` : '');
  }

  async function start() {
    if (!text.trim()) return say('There is no text yet: paste one, choose a file, or write a few sentences.', true);
    working = new AbortController();
    learn.textContent = 'Stop';
    bar.hidden = false;
    say('Counting …');
    const began = performance.now();
    try {
      const onProgress = (share) => (bar.value = share);
      const learnt = await inSlices(learnText(text, { unit, order: orders[unit], name }), {
        onProgress,
        signal: working.signal,
      });
      say(summary(learnt, (performance.now() - began) / 1000));
      onlearn(learnt.model);
    } catch (error) {
      say(error.name === 'AbortError' ? 'Stopped: nothing was changed.' : error.message, error.name !== 'AbortError');
    } finally {
      working = null;
      learn.textContent = 'Count it';
      bar.hidden = true;
      bar.value = 0;
    }
  }

  function summary({ model, numTokens, numTypes, unread, isCut }, seconds) {
    const [tokens, types] = [numTokens.toLocaleString('en'), numTypes.toLocaleString('en')];
    const kinds = unit === 'word' ? 'words and marks' : 'characters';
    const limit = isCut ? ` That is where it stops: the limit is ${MAX_TOKENS.toLocaleString('en')}.` : '';
    const fate = unit === 'word' ? `are read as ${model.tokenizer.tokens[0]}` : 'are left out';
    const rare = unread
      ? ` The ${MAX_TYPES.toLocaleString('en')} most frequent are known; the others, ${
        ((100 * unread) / numTokens).toFixed(1)
      } % of the text, ${fate}.`
      : '';
    return `Counted ${tokens} ${kinds}, ${types} different, in ${seconds.toFixed(1)} s.${limit}${rare}`;
  }

  field.addEventListener('paste', (event) => {
    const pasted = event.clipboardData?.getData('text/plain') ?? '';
    if (pasted.length + text.length <= FIELD) return;
    event.preventDefault();
    const { selectionStart, selectionEnd, readOnly } = field;
    take(readOnly ? pasted : text.slice(0, selectionStart) + pasted + text.slice(selectionEnd));
  });
  field.addEventListener('input', () => take(field.value));
  file.addEventListener('change', async () => file.files[0] && take(await file.files[0].text()));

  units.select(unit);
  drawOrder();
  const node = h(
    'div',
    { class: 'lmp-own' },
    h(
      'p',
      {},
      'Paste any text: a diary, a log file, your own poems. An n-gram is counted here, in this page; nothing leaves your browser.',
    ),
    h('label', { class: 'lmw-field' }, h('span', {}, 'The text to learn from'), field),
    h(
      'div',
      { class: 'lmw-line' },
      h('label', { class: 'lmp-file' }, h('span', {}, 'or choose a file'), file),
      units.node,
      h('label', { class: 'lmp-dial' }, h('span', {}, 'It looks back as a ', shown), order),
    ),
    h('div', { class: 'lmw-line' }, learn, clear, bar),
    message,
  );
  return { node, stop: () => working?.abort() };
}
