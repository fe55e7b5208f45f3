// The live corner of the prompt explorer: the reader's own prompt, plain or in the chat template; what the model writes at
// four temperatures; what each of its heads looks at. The model computes in a worker; this is what is seen of it.
import { button, field, h, plural, segments } from './kit/kit.js';
import { Smollm2Corner } from './kit/smollm2_corner.js';
import { messageLine } from './kit/text_field.js';
import { attentionPart, sentenceOf } from './prompt_attention.js';
import { writingPart } from './prompt_writing.js';

/** @import { Answer, Question } from './core/prompting.js' */
/** @import { WorkerClient } from './kit/worker.js' */

/** @typedef {WorkerClient['call']} Ask */
/** @typedef {ReturnType<typeof runningPart>} Running */
/** @typedef {'reading' | 'writing'} Task */
/**
 * @typedef {object} Explorer
 * @property {() => void} redraw
 * @property {(answer: Answer, labels: string[]) => void} show
 * @property {() => void} clear takes the answer in sight away
 * @property {(data: Record<string, string>) => void} mark
 */

const TYPING = 400; // milliseconds after the last key
const LONGEST_PROMPT = 2000; // characters

/**
 * One call at a time: the next one stops it, and only what the newest brings is shown.
 * @template Q, A
 * @param {(question: Q, signal: AbortSignal) => Promise<A>} ask
 * @param {(answer: A) => void} then
 * @param {(problem: unknown) => void} fail
 */
export function newestOnly(ask, then, fail) {
  /** @type {AbortController | null} */
  let current = null;
  const stop = () => current?.abort();
  async function put(/** @type {Q} */ question) {
    stop();
    const { signal } = current = new AbortController();
    try {
      const answer = await ask(question, signal);
      if (!signal.aborted) then(answer);
    } catch (problem) {
      if (!signal.aborted) fail(problem);
    }
  }
  return { put, stop };
}

/**
 * What is shown of what runs: *Stop*, how much of the prompt is read, and the widget's state.
 * @param {(data: Record<string, string>) => void} mark
 * @param {() => void} stop
 * @param {() => void} rest takes the keyboard's focus from *Stop* when nothing runs any more
 */
function runningPart(mark, stop, rest) {
  /** @type {Set<Task>} */
  const tasks = new Set();
  const halt = button('Stop', stop, { disabled: true });
  const bar = h('progress', { max: 1, value: 0, hidden: true, 'aria-label': 'Share of the prompt that is read' });
  /** @param {Task} task */
  function begin(task) {
    tasks.add(task);
    halt.disabled = false;
    mark({ state: 'running' });
  }
  /**
   * @param {Task} task
   * @param {'done' | 'stopped' | 'failed'} state
   * @param {Record<string, string>} [data] that is marked too
   */
  function end(task, state, data = {}) {
    tasks.delete(task);
    const hadFocus = halt === document.activeElement;
    halt.disabled = !tasks.size;
    if (hadFocus && halt.disabled) rest();
    bar.hidden ||= !tasks.size;
    mark({ ...data, state: tasks.size ? 'running' : state });
  }
  /** @param {number} share of the prompt */
  function read(share) {
    bar.hidden = share === 1;
    bar.value = share;
  }
  return { halt, bar, begin, end, read, has: (/** @type {Task} */ task) => tasks.has(task) };
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
  let all = 0; // characters of the text before the field cut it
  const text = h('textarea', {
    rows: 2,
    maxlength: LONGEST_PROMPT,
    spellcheck: 'false',
    onbeforeinput(/** @type {InputEvent} */ { data }) { // also of what is pasted or dropped
      const { value, selectionStart, selectionEnd } = text;
      all = value.length - (selectionEnd - selectionStart) + (data?.length ?? 0);
    },
    oninput: later,
  });
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
    /** What was left out of a pasted text. */
    cut() {
      const [has, taken] = [all, LONGEST_PROMPT].map((n) => n.toLocaleString('en'));
      return all > LONGEST_PROMPT ? `Of ${has} characters the first ${taken} were taken. ` : '';
    },
    /** @returns {Question} */
    question: () => ({ prompt: text.value, asChat }),
    /** @param {string} prompt */
    write(prompt) {
      stop();
      text.value = prompt;
      all = 0;
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

/**
 * The next token of the reader's prompt. While a long prompt is read, and where there is no answer, `clear` takes the older
 * one out of sight.
 * @param {Ask} ask
 * @param {ReturnType<typeof promptField>} prompt
 * @param {Running} running
 * @param {Pick<Explorer, 'show' | 'clear'>} explorer
 */
function nextPart(ask, prompt, running, { show, clear }) {
  const { node, tell } = messageLine({ role: 'status' });
  /** @param {number} share */
  function onProgress(share) {
    if (!running.has('reading')) {
      running.begin('reading');
      clear();
      tell(`${prompt.cut()}The model reads the prompt …`);
    }
    running.read(share);
  }
  const asked = newestOnly(
    (/** @type {object} */ dials, signal) => ask('next', { ...prompt.question(), ...dials }, { signal, onProgress }),
    (answer) => {
      running.end('reading', 'done');
      prompt.tell(answer.text);
      tell(`${prompt.cut()}The model reads ${plural(answer.length, 'token')}.`);
      show(answer, answer.labels);
    },
    (problem) => {
      running.end('reading', 'failed');
      clear();
      tell(sentenceOf(problem), true);
    },
  );
  /** Gives up a long prompt that is being read. */
  function stop() {
    if (!running.has('reading')) return;
    asked.stop();
    running.end('reading', 'stopped');
    tell('Stopped. A change of the prompt or a slider reads on.');
  }
  /** No answer is wanted any more: a saved prompt is shown. */
  function rest() {
    asked.stop();
    if (running.has('reading')) running.end('reading', 'done');
    tell('');
  }
  /** @param {object} dials */
  function askNext(dials) {
    if (node.classList.contains('lmw-wrong')) tell(''); // it was of another prompt
    asked.put(dials);
  }
  return { node, askNext, stop, rest };
}

// ---- The corner -------------------------------------------------------------------------------------------------------

/**
 * SmolLM2's button, and all parts once it is there. `isOwn(saved)` says whether the reader asks something else than the
 * `saved` prompt as it is; `askNext` has it answered and shown. `mark` gets what the widget says of its state.
 * @param {Explorer} explorer
 */
export function liveCorner({ redraw, show, clear, mark }) {
  /** @type {WorkerClient | null} */
  let worker = null;
  /** @type {Ask} */
  const ask = async (...what) => {
    if (!worker) throw new Error('SmolLM2 isn’t loaded.');
    return await worker.call(...what);
  };
  function stop() {
    next.stop();
    writing.stop();
  }
  function restart() {
    writing.stop();
    writing.clear();
    attention.refresh();
  }
  const prompt = promptField(() => {
    restart();
    redraw();
  });
  const running = runningPart(mark, stop, () => writing.focus());
  const next = nextPart(ask, prompt, running, { show, clear });
  const writing = writingPart({ ask, question: prompt.question, running });
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
      stop();
      loader.stop();
    },
  };
}
