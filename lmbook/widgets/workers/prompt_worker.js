// SmolLM2 for the prompt explorer: it answers questions about one prompt.
import { PromptDesk } from '../core/prompting.js';
import { inSlices, pause } from '../core/slices.js';
import { answerCalls, Handover } from './answering.js';
import { loadSmolLM2 } from './smollm2_loading.js';

const LISTEN_EVERY = 50; // milliseconds until this worker hears Stop

/** @type {PromptDesk | null} */
let desk = null;

function ready() {
  if (!desk) throw new Error('SmolLM2 isn’t loaded.');
  return desk;
}

answerCalls({
  async load(source, caller) {
    const { model, isKept } = await loadSmolLM2(source, caller);
    desk = new PromptDesk(model);
    return { isKept, simd: model.kernels.simd };
  },

  next: (question, { progress, signal }) =>
    inSlices(ready().next(question), { onProgress: progress, signal, slice: LISTEN_EVERY }),

  async write(question, { progress, signal }) {
    for (const step of ready().write(question)) {
      progress(step);
      await pause(0); // for a word from the page
      signal.throwIfAborted();
    }
  },

  attention(question) {
    const answer = ready().attention(question);
    return new Handover(answer, [answer.shares.buffer]);
  },
});
