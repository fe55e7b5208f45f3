// The page of bench.py: SmolLM2 in a worker of the book, and in wllama. Python calls `bench(side, what, …)`.

class Book {
  /** @param {Blob} blob */
  load(blob) {
    this.worker = new Worker('worker.js');
    return this.ask({ what: 'load', blob });
  }

  /** @param {object} question */
  ask(question) {
    const worker = /** @type {Worker} */ (this.worker);
    return new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.postMessage(question);
    });
  }

  /**
   * @param {string} prompt
   * @param {number} length in tokens
   */
  complete(prompt, length) {
    return this.ask({ what: 'complete', prompt, length });
  }

  close() {
    this.worker?.terminate();
  }
}

/** wllama with one thread, without a graphics card; the times are those that llama.cpp takes itself. */
class Peer {
  /** @param {Blob} blob */
  async load(blob) {
    const { Wllama } = await import(new URL('wllama/index.js', document.baseURI).href);
    const quiet = { debug() {}, log() {}, warn() {}, error() {} };
    this.wllama = new Wllama({ default: './wllama/wasm/wllama.wasm' }, { suppressNativeLog: true, logger: quiet });
    await this.wllama.loadModel([blob], { n_threads: 1, n_ctx: 1024, n_parallel: 1, n_gpu_layers: 0 });
    return { threads: this.wllama.getNumThreads() };
  }

  /**
   * @param {string} prompt
   * @param {number} length
   */
  async complete(prompt, length) {
    const settings = { prompt, max_tokens: length, temperature: 0, cache_prompt: false, ignore_eos: true };
    const { choices: [{ text }], timings } = await this.wllama.createCompletion(settings);
    const { prompt_n: tokens, predicted_n: written, prompt_ms: reading, predicted_ms: writing } = timings;
    return { tokens, written, text, prompt: reading, writing };
  }

  close() {
    return this.wllama.exit();
  }
}

/** @type {Record<string, any>} */
const sides = { lmbook: new Book(), wllama: new Peer() };
/** @type {Blob | null} */
let file = null;

/** @type {Record<string, (side: string, ...rest: any[]) => unknown>} */
const work = {
  async fetch() {
    file = await (await fetch('model.gguf')).blob();
  },
  async load(side) {
    const start = performance.now();
    const about = await sides[side].load(file);
    return { ...about, ready: performance.now() - start };
  },
  forget() {
    file = null;
  },
  complete: (side, prompt, length) => sides[side].complete(prompt, length),
  close: (side) => sides[side].close(),
  memory: async () => await /** @type {any} */ (performance).measureUserAgentSpecificMemory(),
};

Object.assign(globalThis, {
  bench: (/** @type {string} */ what, /** @type {any[]} */ ...rest) => /** @type {any} */ (work[what])(...rest),
});
