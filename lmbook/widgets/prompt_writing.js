// What the model writes after a reader's prompt at four temperatures, with the same luck at each.
import { button, h, headings, line, quiet } from './kit/kit.js';
import { messageLine } from './kit/text_field.js';
import { sentenceOf } from './prompt_attention.js';

/** @import { Line, Question } from './core/prompting.js' */
/** @import { Ask, Running } from './prompt_live.js' */

const WARMTHS = [0, 0.7, 1, 1.5]; // the temperatures of the chapter's table
const NEW_TOKENS = 24; // written at each of them
const EXPLAINED =
  'The luck is the same in each line; ■ ends an answer. Nats: the mean surprise at T = 1. Tail: the share of tokens outside the 50 best.';

/**
 * The chapter's table of temperatures for this prompt: at each, the text, its surprise, and its share of the tail.
 */
function temperatureTable() {
  const rows = WARMTHS.map((tau) => {
    const cells = { text: h('td'), nats: h('td', { class: 'lmw-num' }), tail: h('td', { class: 'lmw-num' }) };
    const node = h(
      'tr',
      { 'data-temperature': tau },
      h('th', { scope: 'row' }, tau.toFixed(1)),
      ...Object.values(cells),
    );
    return { tau, node, ...cells };
  });
  const head = headings('T', 'The model goes on', 'Nats', 'Tail');
  const node = h('table', { class: 'lmw-warmths' }, head, h('tbody', {}, rows.map((row) => row.node)));
  function clear() {
    for (const { text, nats, tail } of rows) for (const cell of [text, nats, tail]) cell.textContent = '';
  }
  /** @param {Line} written */
  function write(written) {
    const row = rows.find(({ tau }) => tau === written.tau);
    if (!row) return;
    row.text.textContent = written.text + (written.ended ? ' ■' : '');
    row.nats.textContent = written.nats.toFixed(2);
    row.tail.textContent = written.tail.toFixed(2);
  }
  return { node, clear, write };
}

/**
 * Buttons and table.
 * @param {{ ask: Ask, question: () => Question, running: Running }} world
 */
export function writingPart({ ask, question, running }) {
  const table = temperatureTable();
  const { node: message, tell } = messageLine({ role: 'status' });
  let seed = 1;
  /** @type {AbortController | null} */
  let current = null;

  /** @param {AbortSignal} signal */
  async function write(signal) {
    let [count, begun] = [0, performance.now()];
    function onProgress(/** @type {number | Line} */ step) {
      if (typeof step === 'number') {
        begun = performance.now();
        return running.read(step);
      }
      running.read(1);
      count++;
      table.write(step);
    }
    const asked = { ...question(), temperatures: WARMTHS, count: NEW_TOKENS, seed };
    await ask('write', asked, { signal, onProgress });
    const rate = (1000 * count / (performance.now() - begun)).toFixed(1);
    running.end('writing', 'done', { tokensPerSecond: rate });
    tell(`${count} tokens, ${rate} a second.`);
  }
  async function start() {
    current?.abort();
    const { signal } = current = new AbortController();
    table.clear();
    tell('');
    running.begin('writing');
    try {
      await write(signal);
    } catch (problem) {
      if (signal !== current.signal) return; // another has begun
      running.end('writing', signal.aborted ? 'stopped' : 'failed');
      if (!signal.aborted) tell(sentenceOf(problem), true);
    }
  }
  const go = button(`Write ${NEW_TOKENS} tokens at four temperatures`, start);
  const luck = button('Other luck', () => (seed++, start()));
  const said = quiet(EXPLAINED);
  const node = h('div', {}, line(go, running.halt, luck, running.bar), message, table.node, said);
  function clear() {
    table.clear();
    tell('');
  }
  return { node, stop: () => current?.abort(), clear, focus: () => go.focus() };
}
