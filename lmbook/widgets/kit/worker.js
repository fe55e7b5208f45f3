// Long work off the page's own thread: `workers/` has scripts that answer calls, here is the page's end of the line.
//
//   const worker = await openWorker('model');
//   const answer = await worker.call('method', args, { onProgress, signal });
//   worker.close();

/**
 * @typedef {object} Line a Worker, or one end of a MessageChannel
 * @property {((event: MessageEvent) => void) | null} onmessage
 * @property {(message: unknown, transfer: Transferable[]) => void} postMessage
 */
/** @typedef {{ transfer?: Transferable[], onProgress?: (value: any) => void, signal?: AbortSignal | null }} CallOptions */
/** @typedef {{ resolve: (value: any) => void, reject: (reason: unknown) => void, onProgress: (value: any) => void }} Waiting */
/**
 * What a page of the site brings (site/views.py): where its script of views is, and relative to it those of the views
 * with scripts of their own, of the workers, and SmolLM2's file, if the site has it.
 * @typedef {object} SiteFiles
 * @property {string} script
 * @property {Record<string, string>} [views]
 * @property {Record<string, string>} workers
 * @property {string | null} weights
 * @property {{ place: string, book: string, exercises: string[] } | null} [python] for kit/python.js, if the site has it
 */
/** @typedef {typeof globalThis & { lmSite?: SiteFiles, lmWorkers?: Record<string, string> }} Page */

export const sitePage = /** @type {Page} */ (globalThis);

/**
 * Starts the worker whose script is workers/<name>_worker.js.
 * @param {string} name
 * @returns {Promise<WorkerClient>}
 * @throws {Error} with a sentence for the reader
 */
export async function openWorker(name) {
  const address = URL.createObjectURL(new Blob([await workerText(name)], { type: 'text/javascript' }));
  try {
    const worker = new Worker(address);
    return new WorkerClient(worker, () => {
      worker.terminate();
      URL.revokeObjectURL(address);
    });
  } catch {
    URL.revokeObjectURL(address);
    throw new Error('This browser lets the page start no worker, and the work would freeze the page.');
  }
}

/**
 * The text of a worker: a notebook's bundle has it, a page of the site loads it now.
 * @param {string} name
 */
async function workerText(name) {
  const { script = '', workers = {} } = sitePage.lmSite ?? {};
  if (sitePage.lmWorkers?.[name] === undefined && workers[name]) await loadScript(new URL(workers[name], script).href);
  const text = sitePage.lmWorkers?.[name];
  if (text === undefined) throw new Error(`This page has no script of the worker “${name}”.`);
  return text;
}

/**
 * With a script element, which unlike fetch also works in a page from the disk.
 * @param {string} src
 * @returns {Promise<void>}
 */
export function loadScript(src) {
  return new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement('script'), { src });
    script.onload = () => resolve();
    script.onerror = () => {
      reject(new Error('A script of this site could not be loaded. Is there a connection? Then try again.'));
    };
    document.head.append(script);
  });
}

export class WorkerClient {
  /**
   * @param {Line} line
   * @param {() => void} end
   */
  constructor(line, end = () => {}) {
    this.line = line;
    this.end = end;
    /** @type {Map<number, Waiting>} calls without an answer */
    this.waiting = new Map();
    this.calls = 0;
    /** @type {Error | null} why no more calls are taken */
    this.closed = null;
    line.onmessage = ({ data }) => this.hear(data);
    const broken = (/** @type {ErrorEvent} */ event) => {
      event.preventDefault();
      this.close(new Error(`The worker has stopped: ${event.message || 'there may be too little memory'}.`));
    };
    Object.assign(line, { onerror: broken, onmessageerror: broken });
  }

  /**
   * Calls a method of the worker. The promise is rejected with what the method throws, its name and message; or, as soon
   * as `signal` is aborted, with an AbortError.
   * @param {string} method
   * @param {unknown} [args] anything that can be cloned
   * @param {CallOptions} [options] `transfer`: buffers of args that the worker gets without a copy
   * @returns {Promise<any>}
   */
  async call(method, args, { transfer = [], onProgress = () => {}, signal = null } = {}) {
    signal?.throwIfAborted();
    if (this.closed) throw this.closed;
    const id = this.calls++;
    const abort = () => {
      this.line.postMessage({ id }, []);
      this.waiting.get(id)?.reject(signal?.reason);
    };
    signal?.addEventListener('abort', abort);
    try {
      return await new Promise((resolve, reject) => {
        this.waiting.set(id, { resolve, reject, onProgress });
        this.line.postMessage({ id, method, args }, transfer);
      });
    } finally {
      signal?.removeEventListener('abort', abort);
      this.waiting.delete(id);
    }
  }

  /** @param {{ id: number, value?: unknown, progress?: unknown, error?: { name: string, message: string } }} message */
  hear(message) {
    const call = this.waiting.get(message.id);
    if (!call) return; // it was aborted meanwhile
    if ('progress' in message) call.onProgress(message.progress);
    else if (message.error) call.reject(Object.assign(new Error(message.error.message), { name: message.error.name }));
    else call.resolve(message.value);
  }

  /**
   * Ends the worker; whoever waits for an answer is told.
   * @param {Error} [reason]
   */
  close(reason = new DOMException('The worker is closed.', 'AbortError')) {
    this.closed ??= reason;
    this.end();
    for (const { reject } of this.waiting.values()) reject(this.closed);
  }
}
