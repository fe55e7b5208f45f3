// The live corner of the prompt explorer: the reader's own prompt, plain or in the chat template; what the model writes at
// four temperatures; what each of its heads looks at. The model computes in a worker; this is what is seen of it.
import { button, field, h, headings, line, plural, quiet, segments } from './kit/kit.js';
import { Smollm2Corner } from './kit/smollm2_corner.js';
import { messageLine } from './kit/text_field.js';
import { attentionPart, sentenceOf } from './prompt_attention.js';

/** @import { Answer, Line, Question } from './core/prompting.js' */
/** @import { WorkerClient } from './kit/worker.js' */

/** @typedef {WorkerClient['call']} Ask */

const WARMTHS = [0, 0.7, 1, 1.5]; // the temperatures of the chapter's table
const NEW_TOKENS = 24; // written at each of them
const EXPLAINED =
  'The luck is the same in each line; ■ ends an answer. Nats: the mean surprise at T = 1. Tail: the share of tokens outside the 50 best.';
const TYPING = 400; // milliseconds after the last key
const LONGEST_PROMPT = 2000; // characters

/**
 * One call at a time: of those that are wanted meanwhile only the last is made.
 * @template Q, A
 * @param {(question: Q) => Promise<A>} ask
 * @param {(answer: A) => void} then
 * @param {(problem: unknown) => void} fail
 */
export function newestOnly(ask, then, fail) {
  let busy = false;
  /** @type {Q[]} */
  let wanted = [];
  return async (/** @type {Q} */ question) => {
    wanted = [question];
    if (busy) return;
    busy = true;
    while (wanted.length) {
      const [next] = wanted.splice(0);
      try {
        const answer = await ask(next);
        if (!wanted.length) then(answer);
      } catch (problem) {
        if (!wanted.length) fail(problem);
      }
    }
    busy = false;
  };
}

// ---- What the reader writes -------------------------------------------------------------------------------------------

/**
 * The field for a prompt, and the switch of the chat template with what the model reads then.
 * @param {() => void} onchange
 */
export function promptField(onchange) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let typing;
  const stop = () => clearTimeout(typing);
  function later() {
    stop();
    typing = setTimeout(onchange, TYPING);
  }
  const text = h('textarea', { rows: 2, maxlength: LONGEST_PROMPT, spellcheck: 'false', oninput: later });
  let asChat = false;
  /** @type {[string, string][]} */
  const kinds = [['text', 'a text to continue'], ['chat', 'a message in the chat template']];
  const kind = segments('The model gets it as', kinds, (value) => {
    asChat = value === 'chat';
    onchange();
  });
  kind.select('text');
  const reads = h('pre', { class: 'lmw-reads', tabindex: 0, 'aria-label': 'What the model reads', hidden: true });
  return {
    node: h('div', {}, field('Your prompt', text), kind.node, reads),
    stop,
    /** @returns {Question} */
    question: () => ({ prompt: text.value, asChat }),
    /** @param {string} prompt */
    write(prompt) {
      stop();
      text.value = prompt;
      asChat = false;
      kind.select('text');
      reads.hidden = true;
    },
    /** @param {string} whole what the model reads */
    tell(whole) {
      reads.hidden = !asChat;
      reads.textContent = whole;
    },
  };
}

// ---- What the model writes --------------------------------------------------------------------------------------------

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
 * Buttons and table; `mark` gets the state: running, done, stopped or failed, and with done the tokens per second.
 * @param {{ ask: Ask, question: () => Question, mark: (data: Record<string, string>) => void }} world
 */
export function writingPart({ ask, question, mark }) {
  const table = temperatureTable();
  const { node: message, tell } = messageLine({ role: 'status' });
  const [go, halt, luck] = [
    button(`Write ${NEW_TOKENS} tokens at four temperatures`, () => start()),
    button('Stop', () => stop()),
    button('Other luck', () => (seed++, start())),
  ];
  let seed = 1;
  /** @type {AbortController | null} */
  let running = null;
  const stop = () => running?.abort();
  async function start() {
    stop();
    const own = running = new AbortController();
    const begun = performance.now();
    let count = 0;
    const onProgress = (/** @type {Line} */ written) => (count++, table.write(written));
    table.clear();
    mark({ state: 'running' });
    tell('');
    halt.disabled = false;
    try {
      const asked = { ...question(), temperatures: WARMTHS, count: NEW_TOKENS, seed };
      await ask('write', asked, { signal: own.signal, onProgress });
      const rate = (1000 * count / (performance.now() - begun)).toFixed(1);
      mark({ state: 'done', tokensPerSecond: rate });
      tell(`${count} tokens, ${rate} a second.`);
    } catch (problem) {
      if (running === own) mark({ state: own.signal.aborted ? 'stopped' : 'failed' });
      if (!own.signal.aborted) tell(sentenceOf(problem), true);
    }
    if (running === own) halt.disabled = true;
  }
  halt.disabled = true;
  const said = quiet(EXPLAINED);
  return { node: h('div', {}, line(go, halt, luck), message, table.node, said), stop, clear: table.clear };
}

/**
 * The next token of the reader's prompt. `rest` says that no answer is wanted any more: a saved prompt is shown.
 * @param {Ask} ask
 * @param {ReturnType<typeof promptField>} prompt
 * @param {(answer: Answer, labels: string[]) => void} show
 */
function nextPart(ask, prompt, show) {
  const { node, tell } = messageLine();
  let isAsked = false;
  const asked = newestOnly(
    (/** @type {object} */ dials) => ask('next', { ...prompt.question(), ...dials }),
    (answer) => {
      if (!isAsked) return;
      prompt.tell(answer.text);
      tell(`The model reads ${plural(answer.length, 'token')}.`);
      show(answer, answer.labels);
    },
    (problem) => isAsked && tell(sentenceOf(problem), true),
  );
  /** @param {object} dials */
  function askNext(dials) {
    isAsked = true;
    asked(dials);
  }
  function rest() {
    isAsked = false;
    tell('');
  }
  return { node, askNext, rest };
}

// ---- The corner -------------------------------------------------------------------------------------------------------

/**
 * SmolLM2's button, and all parts once it is there. `isOwn(saved)` says whether the reader asks something else than the
 * `saved` prompt as it is; `askNext` has it answered and shown. `mark` gets what the widget says of its state.
 * @param {{ redraw: () => void, show: (answer: Answer, labels: string[]) => void,
 *   mark: (data: Record<string, string>) => void }} explorer
 */
export function liveCorner({ redraw, show, mark }) {
  /** @type {WorkerClient | null} */
  let worker = null;
  /** @type {Ask} */
  const ask = async (...what) => {
    if (!worker) throw new Error('SmolLM2 isn’t loaded.');
    return await worker.call(...what);
  };
  function restart() {
    writing.stop();
    writing.clear();
    attention.refresh();
  }
  const prompt = promptField(() => {
    restart();
    redraw();
  });
  const next = nextPart(ask, prompt, show);
  const writing = writingPart({ ask, question: prompt.question, mark });
  const attention = attentionPart((then, fail) => void ask('attention', prompt.question()).then(then, fail));
  const parts = h('div', { hidden: true }, prompt.node, next.node, writing.node, attention.node);
  const loader = new Smollm2Corner('prompt', {
    onstate: (state) => mark({ state }),
    onload(loaded) {
      worker = loaded;
      parts.hidden = false;
      mark({ model: 'SmolLM2' });
      redraw();
    },
  });
  const node = h('div', { class: 'lmw-live' }, loader.node, parts);
  return {
    node,
    askNext: next.askNext,
    rest: next.rest,
    /** @param {string} saved */
    isOwn(saved) {
      const question = prompt.question();
      return worker !== null && (question.asChat || question.prompt !== saved);
    },
    /** @param {string} text */
    write(text) {
      prompt.write(text);
      restart();
    },
    stop() {
      prompt.stop();
      writing.stop();
      loader.stop();
    },
  };
}
