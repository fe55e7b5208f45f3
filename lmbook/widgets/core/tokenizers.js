// Text to ids and back, as in lmbook.tokenizer: words, characters, bytes, byte pairs; and the words of the toy
// language. A problem names what can't be read, so that a view can show it beside the field.
import { joinWords, nearestWord, WORDS } from './words.js';
import { cutPieces, mergePair } from './pieces.js';

export const MAX_REMEMBERED = 100_000; // pieces whose ids a byte-pair tokenizer keeps

/**
 * A text as a tokenizer reads it. If something can't be read, `ids` are those before it, `problem` is a sentence about
 * it, `unknown` the word or character, `at` its place in the string; otherwise `problem` is null.
 * @typedef {{ ids: number[], problem: string | null, unknown: string | null, at: number }} Reading
 */

/**
 * @typedef {object} Codec
 * @property {string[] | number[][]} tokens texts, or the bytes of each
 * @property {(text: string) => Reading} encode
 * @property {(ids: number[]) => string} decode
 * @property {(id: number) => string} label a token as it is shown
 */

/** @typedef {'words' | 'word' | 'char' | 'byte' | 'bpe' | 'pretrained'} TokenizerKind */
/** @typedef {Codec & { kind: TokenizerKind }} Tokenizer */
/** @typedef {{ kind: 'words' | 'word' | 'char', tokens: string[] }} TokenList */
/** @typedef {{ kind: 'byte' } | { kind: 'bpe', merges: [number, number][] }} ByteMerges */

/**
 * From the JSON of lmbook.tokenizer, or the parsed object.
 * @param {string | TokenList | ByteMerges} json
 * @returns {Tokenizer}
 */
export function loadTokenizer(json) {
  const state = typeof json === 'string' ? JSON.parse(json) : json;
  return { kind: state.kind, ...makeCodec(state) };
}

/**
 * @param {TokenList | ByteMerges} state
 * @returns {Codec}
 */
function makeCodec(state) {
  switch (state.kind) {
    case 'words':
      return toyWordTokenizer(state.tokens);
    case 'word':
      return wordTokenizer(state.tokens);
    case 'char':
      return charTokenizer(state.tokens);
    case 'byte':
      return byteTokenizer([]);
    case 'bpe':
      return byteTokenizer(state.merges);
    default:
      throw new TypeError(
        `no tokenizer is of the kind ${JSON.stringify(/** @type {{ kind: unknown }} */ (state).kind)}`,
      );
  }
}

/** @type {(ids: number[]) => Reading} */
export const readAll = (ids) => ({ ids, problem: null, unknown: null, at: -1 });

/** @param {string} char */
const hexOf = (char) => (char.codePointAt(0) ?? 0).toString(16).toUpperCase();

/**
 * Python's repr for one character, roughly: “é” (U+00E9).
 * @param {string} char
 */
export function nameCharacter(char) {
  const number = `U+${hexOf(char).padStart(4, '0')}`;
  return /[\p{L}\p{N}\p{P}\p{S}]/u.test(char) ? `“${char}” (${number})` : number;
}

/** @param {string} word */
const shorten = (word) => (word.length > 40 ? `${word.slice(0, 39)}…` : word);

/** @type {Record<string, string>} */
const VISIBLE = { ' ': '␣', '\n': '↵', '\t': '⇥' };
/**
 * Spaces and controls made visible; everything else as it is.
 * @param {string} text
 */
function showSpaces(text) {
  return text.replace(/[\s\p{C}]/gu, (char) => VISIBLE[char] ?? `⟨${hexOf(char)}⟩`);
}

// ---- Words and characters -------------------------------------------------------------------------------------------

/**
 * Tokens that are texts: the id of each, and the text of `ids`.
 * @param {string[]} tokens
 */
function tokenList(tokens) {
  /** @param {number[]} ids */
  const decode = (ids) => ids.map((id) => tokens[id]).join('');
  /** @param {number} id */
  const label = (id) => showSpaces(tokens[id]);
  return { index: new Map(tokens.map((token, id) => [token, id])), tokens, decode, label };
}

/**
 * The toy language: lower case, punctuation marks are words, an unknown word is a problem.
 * @param {string[]} tokens
 * @returns {Codec}
 */
function toyWordTokenizer(tokens) {
  const index = new Map(tokens.map((word, id) => [word, id]));
  /** @param {string} text */
  function encode(text) {
    const ids = [];
    for (const { 0: word, index: at } of text.toLowerCase().matchAll(WORDS)) {
      const id = index.get(word);
      if (id === undefined) {
        const near = nearestWord(word, tokens);
        const where = `Word ${ids.length + 1}, “${shorten(word)}”`;
        const problem = `${where}, is not among the ${tokens.length} words of the language`;
        return { ids, problem: problem + (near ? `; did you mean “${near}”?` : '.'), unknown: word, at };
      }
      ids.push(id);
    }
    return readAll(ids);
  }
  return { tokens, encode, decode: (ids) => joinWords(ids.map((id) => tokens[id])), label: (id) => tokens[id] };
}

/**
 * A word with the space before it. Unknown words are read as <unk>, id 0: reported in `unknown`, but no problem.
 * @param {string[]} list
 * @returns {Codec}
 */
function wordTokenizer(list) {
  const { index, ...codec } = tokenList(list);
  /** @param {string} text */
  function encode(text) {
    const read = readAll([]);
    let at = 0;
    for (const piece of cutPieces(text)) {
      if (!index.has(piece) && read.unknown === null) Object.assign(read, { unknown: piece, at });
      read.ids.push(index.get(piece) ?? 0);
      at += piece.length;
    }
    return read;
  }
  return { ...codec, encode };
}

/**
 * A character is a Unicode code point, which may take two places of a JavaScript string.
 * @param {string[]} list
 * @returns {Codec}
 */
function charTokenizer(list) {
  const { index, ...codec } = tokenList(list);
  /** @param {string} text */
  function encode(text) {
    const ids = [];
    let at = 0;
    for (const char of text) {
      const id = index.get(char);
      if (id === undefined) {
        const where = `Character ${ids.length + 1}, ${nameCharacter(char)}`;
        const problem = `${where}, is not among the ${list.length} characters that the model knows.`;
        return { ids, problem, unknown: char, at };
      }
      ids.push(id);
      at += char.length;
    }
    return readAll(ids);
  }
  return { ...codec, encode };
}

// ---- Bytes and byte pairs -------------------------------------------------------------------------------------------

/**
 * The first half of a character, which UTF-8 has no bytes for, as the problem of a text.
 * @param {string} text
 * @returns {Reading | null}
 */
export function findHalf(text) {
  const half = /\p{Cs}/u.exec(text);
  if (!half) return null;
  const where = `${nameCharacter(half[0])} at place ${half.index + 1}`;
  const problem = `${where} is half of a character; its other half is missing.`;
  return { ids: [], problem, unknown: half[0], at: half.index };
}

/**
 * Ids 0 … 255 are the bytes of UTF-8; each merge of two tokens adds one, unless its bytes are a token already.
 * @param {[number, number][]} merges
 * @returns {Codec}
 */
function byteTokenizer(merges) {
  const tokens = Array.from({ length: 256 }, (_, b) => [b]);
  const known = new Map(tokens.map((token, id) => [String(token), id]));
  /** @type {Map<number, [rank: number, id: number]>} */
  const pairs = new Map(); // the key is left · 2^20 + right
  merges.forEach(([left, right], rank) => {
    const token = [...tokens[left], ...tokens[right]];
    const id = known.get(String(token)) ?? tokens.push(token) - 1;
    known.set(String(token), id);
    pairs.set(left * 2 ** 20 + right, [rank, id]);
  });
  /** @type {Map<string, number[]>} */
  const remembered = new Map();

  /**
   * Inside a piece the earliest learned merge that applies is done first, wherever it applies, until none does.
   * @param {string} piece
   */
  function encodePiece(piece) {
    let ids = [...new TextEncoder().encode(piece)];
    for (;;) {
      let best = null;
      for (let t = 1; t < ids.length; t++) {
        const pair = pairs.get(ids[t - 1] * 2 ** 20 + ids[t]);
        if (pair && (!best || pair[0] < best[0])) best = pair;
      }
      if (!best) return ids;
      ids = mergePair(ids, ...merges[best[0]], best[1]);
    }
  }

  /** @param {string} text */
  function encode(text) {
    /** @type {number[]} */
    const ids = [];
    const half = findHalf(text);
    const whole = half ? text.slice(0, half.at) : text;
    for (const piece of merges.length ? cutPieces(whole) : [whole]) {
      if (remembered.size >= MAX_REMEMBERED) remembered.clear();
      const found = remembered.get(piece) ?? encodePiece(piece);
      remembered.set(piece, found);
      for (const id of found) ids.push(id);
    }
    return half ? { ...half, ids } : readAll(ids);
  }
  return {
    tokens,
    encode,
    decode: (ids) => decodeUtf8(ids.flatMap((id) => tokens[id])),
    label: (id) => spellBytes(tokens[id]),
  };
}

/**
 * Bytes that are not valid UTF-8, which a model may write, become U+FFFD.
 * @param {number[]} numbers
 */
export function decodeUtf8(numbers) {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array(numbers));
}

/**
 * “é” if the bytes are whole characters, otherwise “\xC3”.
 * @param {number[]} numbers
 */
export function spellBytes(numbers) {
  const text = decodeUtf8(numbers);
  if (!text.includes('\ufffd')) return showSpaces(text);
  return numbers.map((b) => `\\x${b.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}
