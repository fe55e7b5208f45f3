// SmolLM2 in a worker, for bench.py beside it: one answer a message. Times are taken here, inside the worker, as wllama takes
// its own inside its worker.
import { bestToken } from '../../lmbook/widgets/core/filters.js';
import { Kernels } from '../../lmbook/widgets/core/kernels.js';
import { loadPretrained } from '../../lmbook/widgets/core/pretrained.js';

/** @import { PretrainedModel } from '../../lmbook/widgets/core/pretrained.js' */

/** @type {PretrainedModel} */
let model;
/** @type {ReturnType<PretrainedModel['session']>} the text of the last answer, as a page has one open */
let session;

const ask = {
  /** @param {{ blob: Blob }} message */
  async load({ blob }) {
    const kernels = new Kernels();
    const at = kernels.take(blob.size);
    const bytes = new Uint8Array(kernels.memory.buffer, at, blob.size);
    let place = 0;
    for await (const part of blob.stream()) {
      bytes.set(part, place);
      place += part.length;
    }
    const steps = loadPretrained(kernels, at, blob.size, { name: 'SmolLM2' });
    let step = steps.next();
    while (!step.done) step = steps.next();
    model = step.value;
    return { simd: kernels.simd, reserved: kernels.memory.buffer.byteLength };
  },

  /** @param {{ prompt: string, length: number }} message */
  complete({ prompt, length }) {
    const ids = model.tokenizer.encode(prompt).ids;
    session = model.session();
    const start = performance.now();
    session.follow(ids);
    let row = session.logits;
    const read = performance.now();
    /** @type {number[]} */
    const written = [];
    for (;;) {
      written.push(bestToken(row));
      if (written.length === length) break;
      session.push(written[written.length - 1]);
      row = session.logits;
    }
    const done = performance.now();
    const text = model.tokenizer.decode(written);
    return { tokens: ids.length, written: written.length, text, prompt: read - start, writing: done - read };
  },
};

onmessage = async ({ data: { what, ...message } }) => {
  postMessage(what === 'load' ? await ask.load(message) : ask.complete(message));
};
