// The worker's end of kit/worker.js: it calls methods by name and sends back what they return or throw.

/**
 * What a method gets besides its arguments.
 * @typedef {object} Caller
 * @property {(value: unknown, transfer?: Transferable[]) => void} progress tells the caller how far the work is
 * @property {AbortSignal} signal is aborted when nobody waits for the answer any more; `inSlices` hears it
 */
/** @typedef {(args: any, caller: Caller) => unknown} Method it may return a promise */
/**
 * @typedef {object} Port the worker's own scope, or one end of a MessageChannel
 * @property {((event: MessageEvent) => void) | null} onmessage
 * @property {(message: unknown, transfer: Transferable[]) => void} postMessage
 */

/** A method's result whose buffers the page gets without a copy: `return new Handover(value, [buffer])`. */
export class Handover {
  /**
   * @param {unknown} value
   * @param {Transferable[]} transfer
   */
  constructor(value, transfer) {
    this.value = value;
    this.transfer = transfer;
  }
}

/**
 * Answers calls of `methods`. A method begins as soon as its call arrives, also while another one waits.
 * @param {Record<string, Method>} methods
 * @param {Port} [port]
 */
export function answerCalls(methods, port = /** @type {any} */ (globalThis)) {
  /** @type {Map<number, AbortController>} */
  const running = new Map();
  port.onmessage = async ({ data: { id, method, args } }) => {
    if (method === undefined) return running.get(id)?.abort();
    const own = new AbortController();
    running.set(id, own);
    /** @type {Caller['progress']} */
    const progress = (value, transfer = []) => port.postMessage({ id, progress: value }, transfer);
    try {
      if (!Object.hasOwn(methods, method)) throw new TypeError(`the worker has no method ${JSON.stringify(method)}`);
      const result = await methods[method](args, { progress, signal: own.signal });
      const { value, transfer } = result instanceof Handover ? result : { value: result, transfer: [] };
      port.postMessage({ id, value }, transfer);
    } catch (error) {
      const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
      port.postMessage({ id, error: { name, message } }, []);
    }
    running.delete(id);
  };
}
