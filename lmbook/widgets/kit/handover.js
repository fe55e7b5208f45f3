// A model that goes from the laboratory to the playground. It waits in the tab's own storage, where it lasts as long as
// the tab; nothing is asked for it, and nothing of it leaves the browser.

/** @import { Header } from '../core/models.js' */
/** @import { PackedTrained } from '../core/trained_model.js' */

/** @typedef {{ header: object, bytes: Uint8Array, prompts: string[], steps: number }} Packed */
/** @typedef {{ headers: (Header | PackedTrained)[], weights: DataView, about: { name: string, prompts: string[], note: string }[] }} Carried */

const PLACE = 'lm-from-the-laboratory';
const MAX_BYTES_OVER = 3e6; // a browser's storage has 5 MB, and base64 takes a third more
export const FROM_LABORATORY = 'From the laboratory';

/**
 * Puts a model where the next playground of this tab finds it.
 * @param {Packed} packed
 */
export function handOver({ header, bytes, prompts, steps }) {
  if (bytes.length > MAX_BYTES_OVER) {
    throw new RangeError(
      `This model takes ${(bytes.length / 1e6).toFixed(1)} MB, and a tab can keep 3: save it instead.`,
    );
  }
  let letters = '';
  for (let i = 0; i < bytes.length; i++) letters += String.fromCharCode(bytes[i]);
  try {
    // Where the browser stores nothing, site/extensions/policy.py has put a stand-in there that goes with this page.
    if (/** @type {{ lasts?: boolean }} */ (sessionStorage).lasts === false) throw new TypeError('no storage');
    sessionStorage.setItem(PLACE, JSON.stringify({ header, prompts, steps, weights: btoa(letters) }));
  } catch {
    throw new Error('This browser keeps nothing for this site, so the model can’t be taken along: save it instead.');
  }
}

/**
 * The models of a playground, and in front of them the one that was handed over, if there is one.
 * @param {Carried} carried
 * @returns {Carried}
 */
export function withHandedOver(carried) {
  try {
    const { header, prompts, steps, weights } = JSON.parse(sessionStorage.getItem(PLACE) ?? '');
    const bytes = Uint8Array.from(atob(weights), (letter) => letter.charCodeAt(0));
    const all = new Uint8Array(carried.weights.byteLength + bytes.length);
    all.set(new Uint8Array(carried.weights.buffer, carried.weights.byteOffset, carried.weights.byteLength));
    all.set(bytes, carried.weights.byteLength);
    const note = `You trained it in the laboratory, for ${Number(steps)} steps.`;
    return {
      headers: [{ ...header, offset: carried.weights.byteLength }, ...carried.headers],
      weights: new DataView(all.buffer),
      about: [{ name: header.name, prompts, note }, ...carried.about],
    };
  } catch {
    return carried; // there is none, or no storage
  }
}
