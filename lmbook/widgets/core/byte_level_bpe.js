// The tokenizer of a pretrained model, as in lmbook.tokenizer.pretrained: a published byte-level BPE vocabulary, and
// its chat format.
//
// The text of a special token is that token. Elsewhere each digit stands alone, the rest is cut into words, and inside
// a word's bytes the pair of tokens that was learned first is merged first.
import { FileProblem } from './gguf.js';
import { decodeUtf8, findHalf, MAX_REMEMBERED, nameCharacter, readAll, spellBytes } from './tokenizers.js';

/** @import { Codec } from './tokenizers.js' */
/** @typedef {{ role: string, content: string }} Message */

/**
 * @typedef {object} Vocabulary the parts as a GGUF file stores them
 * @property {string[]} tokens a byte spelled as one character
 * @property {string[]} merges two tokens with a space between them, in the order learned
 * @property {number[]} specialIds of tokens that never come from merging
 * @property {number} eosTokenId
 * @property {string} chatTemplate
 */

/** @typedef {Codec & { kind: 'pretrained', eosTokenId: number, specialIds: number[], chat: (messages: Message[],
 *   options?: { addGenerationPrompt?: boolean }) => string }} PretrainedTokenizer */

const ROLES = ['system', 'user', 'assistant'];
const DIGITS = /\p{N}|\P{N}+/gu;
const PIECE =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const PAIR = 2 ** 20; // the key of a pair is left · 2²⁰ + right
const PLACE = 2 ** 26; // the key of a possible merge is rank · 2²⁶ + place

/**
 * @param {Vocabulary} vocabulary
 * @returns {PretrainedTokenizer}
 * @throws {FileProblem} if the parts don't fit together
 */
export function byteLevelTokenizer(vocabulary) {
  const { specialIds, eosTokenId, chatTemplate } = vocabulary;
  const index = indexTokens(vocabulary.tokens);
  const pairs = rankPairs(vocabulary.merges, index);
  const tokens = spellTokens(vocabulary.tokens, specialIds);
  const single = tokensOfBytes(tokens);
  const special = anyOf(specialIds.map((id) => vocabulary.tokens[id]));
  const utf8 = new TextEncoder();
  /** @type {Map<string, number[]>} */
  const remembered = new Map();

  /** @param {string} piece */
  function encodePiece(piece) {
    const known = remembered.get(piece);
    if (known) return known;
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    const ids = mergeAll(Array.from(utf8.encode(piece), (byte) => single[byte]), pairs);
    remembered.set(piece, ids);
    return ids;
  }

  /**
   * @param {string} text
   * @param {number[]} ids
   */
  function encodePlain(text, ids) {
    for (const [segment] of text.matchAll(DIGITS)) {
      for (const [piece] of segment.matchAll(PIECE)) {
        for (const id of encodePiece(piece)) ids.push(id);
      }
    }
  }

  /** @param {string} text */
  function encode(text) {
    const { problem, unknown, at } = findHalf(text) ?? findMissing(text, single) ?? readAll([]);
    const whole = problem === null ? text : text.slice(0, at);
    /** @type {number[]} */
    const ids = [];
    let end = 0;
    for (const { 0: found, index: start } of whole.matchAll(special)) {
      encodePlain(whole.slice(end, start), ids);
      ids.push(/** @type {number} */ (index.get(found)));
      end = start + found.length;
    }
    encodePlain(whole.slice(end), ids);
    return { ids, problem, unknown, at };
  }

  return {
    kind: 'pretrained',
    ...{ tokens, encode, eosTokenId, specialIds },
    decode: (ids) => decodeUtf8(ids.flatMap((id) => tokens[id])),
    label: (id) => spellBytes(tokens[id]),
    chat: (messages, options) => writeChat(chatTemplate, messages, options),
  };
}

/**
 * Matches any of the texts, the longest where several begin at one place.
 * @param {string[]} texts
 */
function anyOf(texts) {
  const longestFirst = texts.filter((text) => text !== '').sort((a, b) => b.length - a.length);
  const patterns = longestFirst.map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
  return new RegExp(patterns.join('|') || '(?!)', 'gu');
}

/** @param {string[]} tokens */
function indexTokens(tokens) {
  const index = new Map(tokens.map((token, id) => [token, id]));
  if (index.size < tokens.length) throw new FileProblem('the file is damaged: its tokenizer has a token twice');
  return index;
}

/**
 * [rank, merged token] of each pair that merges.
 * @param {string[]} merges
 * @param {Map<string, number>} index
 */
function rankPairs(merges, index) {
  /** @type {Map<number, [rank: number, id: number]>} */
  const pairs = new Map();
  merges.forEach((merge, rank) => {
    const [first, second, ...more] = merge.split(' ');
    const [left, right, id] = [first, second ?? '', first + (second ?? '')].map((token) => index.get(token));
    if (
      left === undefined || right === undefined || id === undefined || more.length || pairs.has(left * PAIR + right)
    ) {
      throw new FileProblem(`the file is damaged: its tokenizer has the merge ${JSON.stringify(merge.slice(0, 40))}`);
    }
    pairs.set(left * PAIR + right, [rank, id]);
  });
  return pairs;
}

/**
 * The bytes of each token. Bytes that are visible characters in Latin-1 stand for themselves; the other 68 are spelled
 * U+0100, U+0101, … in order.
 * @param {string[]} spelled
 * @param {number[]} specialIds
 */
function spellTokens(spelled, specialIds) {
  const byteOf = new Int16Array(0x144).fill(-1); // by the character's code
  let hidden = 256;
  for (let byte = 0; byte < 256; byte++) {
    const isVisible = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    byteOf[isVisible ? byte : hidden++] = byte;
  }
  const special = new Set(specialIds);
  const utf8 = new TextEncoder();
  return spelled.map((token, id) => {
    if (special.has(id)) return [...utf8.encode(token)];
    return Array.from({ length: token.length }, (_, i) => {
      const byte = byteOf[token.charCodeAt(i)] ?? -1;
      if (byte < 0) throw new FileProblem(`the file is damaged: token ${id} has ${nameCharacter(token[i])}`);
      return byte;
    });
  });
}

/**
 * The token of each byte; −1 if it has none.
 * @param {number[][]} tokens
 */
function tokensOfBytes(tokens) {
  const single = new Int32Array(256).fill(-1);
  tokens.forEach((bytes, id) => {
    if (bytes.length === 1) single[bytes[0]] = id;
  });
  return single;
}

/**
 * The first character with a byte that has no token.
 * @param {string} text
 * @param {Int32Array} single
 */
function findMissing(text, single) {
  const missing = single.reduce((all, id, byte) => (id < 0 ? all.add(byte) : all), new Set());
  if (missing.size === 0) return null;
  const utf8 = new TextEncoder();
  if (utf8.encode(text).every((byte) => !missing.has(byte))) return null;
  let [at, count] = [0, 0];
  for (const char of text) {
    count++;
    if (utf8.encode(char).some((byte) => missing.has(byte))) {
      const problem = `Character ${count}, ${nameCharacter(char)}, has no token in this model.`;
      return { ids: [], problem, unknown: char, at };
    }
    at += char.length;
  }
  return null;
}

/**
 * Merges neighbours, the pair learned first at its first place, until none is left that was learned. Possible merges
 * wait in a heap, so that n bytes without a space take time n · log n.
 * @param {number[]} ids
 * @param {Map<number, [rank: number, id: number]>} pairs
 */
function mergeAll(ids, pairs) {
  const next = ids.map((_, t) => t + 1); // places are linked, so that a merge moves nothing
  const before = ids.map((_, t) => t - 1);
  const waiting = new Heap();
  /** @param {number} t */
  const pairAt = (t) => t >= 0 && next[t] < ids.length ? pairs.get(ids[t] * PAIR + ids[next[t]]) : undefined;
  /** @param {number} t */
  const consider = (t) => {
    const pair = pairAt(t);
    if (pair) waiting.push(pair[0] * PLACE + t);
  };
  for (let t = 0; t < ids.length; t++) consider(t);
  for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
    const t = key % PLACE;
    const pair = ids[t] < 0 ? undefined : pairAt(t);
    if (pair?.[0] !== Math.floor(key / PLACE)) continue; // another merge was here meanwhile
    const gone = next[t];
    ids[t] = pair[1];
    ids[gone] = -1;
    next[t] = next[gone];
    if (next[t] < ids.length) before[next[t]] = t;
    consider(before[t]);
    consider(t);
  }
  return ids.filter((id) => id >= 0);
}

/** Numbers, the smallest first. */
class Heap {
  /** @type {number[]} */
  keys = [];

  /** @param {number} key */
  push(key) {
    const { keys } = this;
    let i = keys.push(key) - 1;
    for (let up = (i - 1) >> 1; i > 0 && keys[up] > key; i = up, up = (i - 1) >> 1) keys[i] = keys[up];
    keys[i] = key;
  }

  pop() {
    const { keys } = this;
    const [first] = keys;
    const last = keys.pop();
    if (keys.length === 0 || last === undefined) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child + 1 < keys.length && keys[child + 1] < keys[child]) child++;
      if (child >= keys.length || keys[child] >= last) break;
      keys[i] = keys[child];
      i = child;
    }
    keys[i] = last;
    return first;
  }
}

/**
 * A conversation as text, in the format that the model was trained on. If the first message is not from the system, the
 * file's default system message is put before it.
 * @param {string} template
 * @param {Message[]} messages
 * @param {{ addGenerationPrompt?: boolean }} [options] whether to end with the beginning of the assistant's answer
 */
function writeChat(template, messages, { addGenerationPrompt = true } = {}) {
  if (messages.length === 0) throw new RangeError('a chat needs at least 1 message');
  const wrong = messages.find(({ role, content }) => !ROLES.includes(role) || typeof content !== 'string');
  if (wrong) {
    const found = JSON.stringify(wrong);
    throw new TypeError(`a message has a role, one of ${ROLES.join(', ')}, and a text as content: ${found}`);
  }
  const standard = /<\|im_start\|>system\n(.*?)<\|im_end\|>/s.exec(template)?.[1];
  if (standard === undefined) throw new FileProblem('the file has no chat template that this page knows');
  const first = messages[0].role === 'system' ? [] : [{ role: 'system', content: standard }];
  const turns = [...first, ...messages].map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`);
  return turns.join('') + (addGenerationPrompt ? '<|im_start|>assistant\n' : '');
}
