// Python in the page, where the site has it (site/python_files.py): loaded at the first call, in a worker, and kept.
import { loadScript, openWorker, sitePage } from './worker.js';

/** @import { WorkerClient } from './worker.js' */
/** @typedef {{ state: string, text: string, line: number }} Ran a verdict; `line` of the code has an error, 0: none */

const SECONDS = 5; // for a run
/** @type {Promise<WorkerClient> | null} */
let opened = null;

/** @param {string} id of a code exercise */
export function runsInPage(id) {
  return sitePage.lmSite?.python?.exercises.includes(id) === true;
}

/** @param {string} path relative to the folder of the site's scripts */
function addressOf(path) {
  return new URL(path, sitePage.lmSite?.script).href;
}

/** What CodeMirror's packages export, as one script has it. */
export async function loadCodeMirror() {
  const page = /** @type {any} */ (globalThis);
  if (!page.lmCodeMirror) await loadScript(addressOf(`${sitePage.lmSite?.python?.place}editor.js`));
  return page.lmCodeMirror;
}

/**
 * Loads Python, unless it is there.
 * @throws {Error} with a sentence for the reader
 */
export function openPython() {
  opened ??= start().catch((error) => {
    opened = null;
    throw error;
  });
  return opened;
}

async function start() {
  if (location.protocol === 'file:') {
    throw new Error('This page was opened from the disk, and there a browser lets it run no Python. Use the notebook.');
  }
  const { place = '', book = '' } = sitePage.lmSite?.python ?? {};
  const worker = await openWorker('python');
  try {
    await worker.call('start', { place: addressOf(place), book: addressOf(book) });
    return worker;
  } catch (error) {
    worker.close();
    throw new Error(`Python could not be loaded: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * Runs the reader's code for an exercise and judges its function; after five seconds it is ended.
 * @param {string} id
 * @param {string} code
 * @param {(text: string) => void} onprint
 * @returns {Promise<Ran>}
 */
export async function runPython(id, code, onprint) {
  const worker = await openPython();
  const { sentence } = await worker.call('prepare', { id, seconds: SECONDS });
  const done = worker.call('run', { id, code, seconds: SECONDS }, { onProgress: onprint });
  return inTime(worker, done, { state: 'wrong', text: sentence, line: 0 });
}

/**
 * Runs any code; after five seconds it is ended.
 * @param {string} code
 * @param {(text: string) => void} onprint
 * @returns {Promise<{ text: string, line: number }>} what went wrong, '' if nothing did, and in which line
 */
export async function playPython(code, onprint) {
  const worker = await openPython();
  const done = worker.call('play', { code }, { onProgress: onprint });
  return inTime(worker, done, { text: `It had not finished after ${SECONDS} s, and was ended.`, line: 0 });
}

/**
 * What `done` resolves to; `tooLate` if it takes too long, and the worker is ended.
 * @template Result
 * @param {WorkerClient} worker
 * @param {Promise<Result>} done
 * @param {Result} tooLate
 */
async function inTime(worker, done, tooLate) {
  let timer = 0;
  /** @type {Promise<null>} */
  const late = new Promise((resolve) => (timer = setTimeout(resolve, SECONDS * 1000, null)));
  try {
    const ran = await Promise.race([done, late]);
    if (!ran) stop(worker);
    return ran ?? tooLate;
  } catch (error) {
    stop(worker);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** @param {WorkerClient} worker is replaced at the next run */
function stop(worker) {
  opened = null;
  worker.close();
}
