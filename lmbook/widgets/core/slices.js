// Runs long work in short slices, so that the page can show progress and react to Stop.
const SLICE = 10; // milliseconds, on a page that must stay responsive

/**
 * Runs a generator to its end and returns its result; between two slices the page may draw and act. `onProgress` gets
 * what the generator yields, once a slice; if `signal` is aborted, the promise is rejected with an AbortError.
 * @template S, T
 * @param {Generator<S, T, void>} steps
 * @param {{ onProgress?: (done: S) => void, signal?: AbortSignal | null, slice?: number }} [options]
 * @returns {Promise<T>}
 */
export async function inSlices(steps, { onProgress = () => {}, signal = null, slice = SLICE } = {}) {
  for (;;) {
    const start = performance.now();
    let step;
    do step = steps.next(); while (!step.done && performance.now() - start < slice);
    if (step.done) return step.value;
    onProgress(step.value);
    await pause(0);
    signal?.throwIfAborted();
  }
}

/**
 * @param {number} milliseconds
 * @returns {Promise<void>}
 */
export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
