// SmolLM2 for the playground: it is loaded, then asked, one question after the other.
import { inSlices } from '../core/slices.js';
import { Desk, work } from '../playground/desk.js';
import { answerCalls } from './answering.js';
import { loadSmolLM2 } from './smollm2_loading.js';

/** @import { DeskMethod } from '../playground/desk.js' */
/** @import { Caller } from './answering.js' */
/** @import { Source } from './smollm2_loading.js' */

const LISTEN_EVERY = 50; // milliseconds until this worker hears Stop

/** @type {Desk | null} */
let desk = null;
/** @type {Promise<unknown>} the question before */
let last = Promise.resolve();

answerCalls({
  /**
   * @param {Source} source
   * @param {Caller} caller
   */
  async load(source, caller) {
    const { model, isKept } = await loadSmolLM2(source, caller);
    desk = new Desk(model);
    return { isKept, simd: model.kernels.simd, about: desk.about };
  },

  /**
   * @param {{ method: DeskMethod, args: any[] }} question
   * @param {Caller} caller
   */
  ask({ method, args }, { progress, signal }) {
    const answer = last.then(() => {
      signal.throwIfAborted();
      if (!desk) throw new TypeError('the model isn’t loaded yet');
      return inSlices(work(desk, method, args), { onProgress: progress, signal, slice: LISTEN_EVERY });
    });
    last = answer.catch(() => {});
    return answer;
  },
});
