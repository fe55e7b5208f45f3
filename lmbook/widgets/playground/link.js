// The link that stores a playground: model, prompt, settings and what was written, in the fragment of the page's address.
import {
  cutPrompt,
  DIALS,
  MAX_PROMPT,
  MAX_STOP,
  MAX_WRITTEN,
  orderFrom,
  plainSettings,
  STRATEGIES,
} from './settings.js';

/** @import { DialKey, Settings } from './settings.js' */

/** @typedef {{ settings: Settings, ids: number[] }} Side of a comparison; `ids` continue the prompt */
/** @typedef {Side & { model: string, prompt: string, other: Side | null }} Playing */

const MARK = '#play:';
const OTHER = 'b.'; // before the names of the other side's fields
const LONGEST = 20 * MAX_PROMPT; // characters of a link that are read

/**
 * @param {Playing} playing
 */
export function writeLink({ model, prompt, other, ...own }) {
  const fields = new URLSearchParams({ model, prompt, seed: String(own.settings.seed) });
  writeSide(fields, '', own);
  if (other) writeSide(fields, OTHER, other);
  return MARK + fields;
}

/**
 * Settings that are off are left out.
 * @param {URLSearchParams} fields
 * @param {string} before each name
 * @param {Side} side
 */
function writeSide(fields, before, { settings, ids }) {
  fields.set(`${before}strategy`, settings.strategy);
  for (const { key, off } of DIALS) if (settings[key] !== off) fields.set(before + key, String(settings[key]));
  const { order, scope, stop } = plainSettings();
  if (settings.order.join('.') !== order.join('.')) fields.set(`${before}order`, settings.order.join('.'));
  if (settings.scope !== scope) fields.set(`${before}scope`, settings.scope);
  if (settings.stop !== stop) fields.set(`${before}stop`, settings.stop);
  if (ids.length) fields.set(`${before}ids`, ids.map((id) => id.toString(36)).join('.'));
}

/**
 * What a fragment stores, or null if it isn't such a link. Links are untrusted: every value is checked. One that was made
 * before a setting was there leaves it off.
 * @param {string} fragment
 * @returns {Playing | null}
 */
export function readLink(fragment) {
  if (!fragment.startsWith(MARK)) return null;
  const fields = new URLSearchParams(fragment.slice(MARK.length, MARK.length + LONGEST));
  const own = readSide(fields, '');
  const other = fields.has(`${OTHER}strategy`) ? readSide(fields, OTHER) : null;
  if (other) other.settings.seed = own.settings.seed;
  return { model: fields.get('model') ?? '', prompt: cutPrompt(fields.get('prompt') ?? ''), ...own, other };
}

/**
 * @param {URLSearchParams} fields
 * @param {string} before each name
 * @returns {Side}
 */
function readSide(fields, before) {
  const settings = plainSettings();
  const text = (/** @type {string} */ key) => fields.get(before + key) ?? '';
  settings.strategy = STRATEGIES.find(([name]) => name === text('strategy'))?.[0] ?? settings.strategy;
  settings.order = orderFrom(text('order'));
  settings.scope = text('scope') === 'written' ? 'written' : 'all';
  settings.stop = text('stop').slice(0, MAX_STOP);
  /** @type {(key: DialKey | 'seed', from: number, to: number) => void} */
  const number = (key, from, to) => {
    const value = Number(fields.get(before + key) ?? NaN);
    if (Number.isFinite(value)) settings[key] = Math.min(Math.max(value, from), to);
  };
  for (const { key, from, to, off } of DIALS) number(key, Math.min(from, off), to ?? 2 ** 16);
  number('seed', 0, 2 ** 31);
  for (const key of /** @type {const} */ (['k', 'noRepeat', 'beams', 'length', 'seed'])) {
    settings[key] = Math.round(settings[key]);
  }
  const written = text('ids').split('.').slice(0, MAX_WRITTEN);
  const ids = written.filter((id) => /^[0-9a-z]{1,4}$/.test(id)).map((id) => parseInt(id, 36));
  return { settings, ids };
}
