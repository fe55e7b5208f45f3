// SmolLM2 for the prompt explorer: it answers questions about one prompt.
import { PromptDesk } from '../core/prompting.js';
import { pause } from '../core/slices.js';
import { answerCalls, Handover } from './answering.js';
import { loadSmolLM2 } from './smollm2_loading.js';

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

  next: (question) => ready().next(question),

  async write(question, { progress, signal }) {
    for (const line of ready().write(question)) {
      progress(line);
      await pause(0); // for a word from the page
      signal.throwIfAborted();
    }
  },

  attention(question) {
    const answer = ready().attention(question);
    return new Handover(answer, [answer.shares.buffer]);
  },
});
