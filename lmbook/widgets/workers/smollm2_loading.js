// SmolLM2 in a worker: its file comes from this site, from the reader's disk or from what the browser keeps, and is checked
// byte for byte while it comes. Nothing but the kernels' memory holds it.
import { FileProblem } from '../core/gguf.js';
import { Kernels } from '../core/kernels.js';
import { loadPretrained } from '../core/pretrained.js';
import { inSlices } from '../core/slices.js';
import { forgetFile, keepFile, keptFile, megabytes, PieceDigest, SMOLLM2 } from '../core/smollm2.js';

/** @import { PretrainedModel } from '../core/pretrained.js' */
/** @import { Caller } from './answering.js' */

/**
 * Where the file is: at an address of this site, on the reader's disk, or kept by the browser.
 * @typedef {{ address: string } | { file: File } | 'kept'} Source
 */
/** @typedef {{ stage: 'bytes' | 'weights', share: number }} LoadProgress */
/** @typedef {{ model: PretrainedModel, isKept: boolean }} Loaded */
/** @typedef {ReadableStream<Uint8Array<ArrayBuffer>>} Bytes */

const TOLD_EVERY = 100; // milliseconds between two words about progress
const HEAR_EVERY = 50; // milliseconds until the worker hears Stop

/**
 * Loads the model and lets the browser keep its file. Progress is a LoadProgress.
 * @param {Source} source
 * @param {Caller} caller
 * @returns {Promise<Loaded>}
 * @throws {Error} with a sentence for the reader: FileProblem, RangeError (memory), or what broke off
 */
export async function loadSmolLM2(source, { progress, signal }) {
  const kernels = new Kernels();
  const at = kernels.take(SMOLLM2.size);
  const stream = await openSource(source, signal);
  const bytes = /** @type {Uint8Array<ArrayBuffer>} */ (new Uint8Array(kernels.memory.buffer, at, SMOLLM2.size));
  const isNew = source !== 'kept';
  const keeper = isNew ? await keepFile() : null;
  /** @param {number} length */
  const tell = (length) => progress({ stage: 'bytes', share: length / SMOLLM2.size });
  let isKept = !isNew;
  let isWhole = false;
  try {
    await readBytes(stream, bytes, { tell, signal, write: keeper?.write });
    isWhole = true;
  } catch (error) {
    if (!isNew && !signal.aborted) {
      await forgetFile();
      throw new FileProblem('What the browser had kept of SmolLM2 was damaged, and is deleted: load it again.');
    }
    throw error;
  } finally {
    if (keeper) isKept = await keeper.finish(isWhole);
  }
  /** @param {number} share */
  const onProgress = (share) => progress({ stage: 'weights', share });
  const steps = loadPretrained(kernels, at, SMOLLM2.size, { name: SMOLLM2.name });
  return { model: await inSlices(steps, { onProgress, signal, slice: HEAR_EVERY }), isKept };
}

/**
 * @param {Source} source
 * @param {AbortSignal} signal
 * @returns {Promise<Bytes>}
 */
async function openSource(source, signal) {
  if (source === 'kept') {
    const kept = await keptFile();
    if (!kept) throw new FileProblem('The browser doesn’t have SmolLM2 any more: load it again.');
    return kept;
  }
  if ('file' in source) {
    checkSize(source.file);
    return source.file.stream();
  }
  const response = await fetch(source.address, { signal, cache: 'no-store' }).catch((error) => {
    if (signal.aborted) throw error;
    throw new Error('The transfer of SmolLM2 didn’t begin. Is there a connection? Then try again.');
  });
  if (!response.ok || !response.body) {
    throw new Error(`This site gave no file of SmolLM2 (it answered ${response.status}). Try again later.`);
  }
  return response.body;
}

/**
 * Refuses a reader's file that can't be SmolLM2's, before a byte of it is read.
 * @param {File} file
 */
function checkSize({ name, size }) {
  if (size === SMOLLM2.size) return;
  const has = `“${name.slice(0, 60)}” has ${size.toLocaleString('en')} bytes`;
  const wanted = `${SMOLLM2.file} has ${SMOLLM2.size.toLocaleString('en')}`;
  const why = name === SMOLLM2.file && size < SMOLLM2.size ? 'it is cut short' : 'it is another file';
  throw new FileProblem(`${has}, and ${wanted}: ${why}.`);
}

/**
 * Reads the whole stream into `bytes` and checks its digest. Where the page isn't secure, so that the browser has no
 * digest, the size alone is checked here, and the form of the file by whoever reads it.
 * @param {Bytes} stream
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {{ tell: (length: number) => void, signal: AbortSignal,
 *     write?: (part: Uint8Array) => Promise<void> }} options `write` also gets each part
 */
export async function readBytes(stream, bytes, { tell, signal, write = () => Promise.resolve() }) {
  const reader = stream.getReader();
  const digest = globalThis.crypto?.subtle ? new PieceDigest(bytes) : null;
  let [length, told] = [0, 0];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      signal.throwIfAborted();
      if (done) break;
      if (length + value.length > bytes.length) {
        throw new FileProblem('The file is longer than SmolLM2’s: it is another.');
      }
      bytes.set(value, length);
      length += value.length;
      digest?.upTo(length);
      await write(value);
      if (performance.now() - told < TOLD_EVERY) continue;
      told = performance.now();
      tell(length);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw signal.aborted || error instanceof FileProblem ? error : brokenOff(length);
  }
  if (length < bytes.length) throw brokenOff(length);
  if (digest && await digest.hex() !== SMOLLM2.digest) {
    throw new FileProblem('The file has the size of SmolLM2’s and other bytes: it is damaged, or another version.');
  }
}

/** @param {number} length */
function brokenOff(length) {
  const [has, all] = [length, SMOLLM2.size].map(megabytes);
  return new Error(`The transfer broke off after ${has} of ${all} MB. Is there a connection? Then try again.`);
}
