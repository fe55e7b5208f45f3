// Text to ids and back, as lmbook/tokenizer.py does it: words, characters, bytes, byte pairs; and the words of the toy
// language. What can't be read is said precisely, so that a view can show it beside the field.
import { joinWords, nearestWord, WORDS } from './words.js';
import { cutPieces, mergePair } from './pieces.js';

const MAX_REMEMBERED = 100_000; // pieces whose ids a byte-pair tokenizer keeps

// Every tokenizer: {kind, tokens, encode, decode, label}. `encode(text)` gives {ids, problem, unknown, at}: where
// something can't be read, `ids` are those before it, `problem` a sentence about it, `unknown` the word or character
// itself, at place `at` of the string; where all is well, problem is null. `label(id)` is a token for the eye.
export function loadTokenizer(json) {
  const state = typeof json === 'string' ? JSON.parse(json) : json;
  const made = {
    words: toyWordTokenizer,
    word: wordTokenizer,
    char: charTokenizer,
    byte: () => byteTokenizer([]),
    bpe: byteTokenizer,
  }[state.kind];
  if (!made) throw new TypeError(`no tokenizer is of the kind ${JSON.stringify(state.kind)}`);
  return { kind: state.kind, ...made(state.tokens ?? state.merges) };
}

const readAll = (ids) => ({ ids, problem: null, unknown: null, at: -1 });

// Python's repr for one character, roughly: “é” (U+00E9).
function nameCharacter(char) {
  const number = `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
  return /[\p{L}\p{N}\p{P}\p{S}]/u.test(char) ? `“${char}” (${number})` : number;
}

const shorten = (word) => (word.length > 40 ? `${word.slice(0, 39)}…` : word);

const VISIBLE = { ' ': '␣', '\n': '↵', '\t': '⇥' };
// Spaces and controls made visible; everything else as it is.
function showSpaces(text) {
  return text.replace(/[\s\p{C}]/gu, (char) => VISIBLE[char] ?? `⟨${char.codePointAt(0).toString(16).toUpperCase()}⟩`);
}

// ---- Words and characters -------------------------------------------------------------------------------------------

// The toy language: small letters, punctuation marks are words, and a word that it doesn't have is a problem.
function toyWordTokenizer(tokens) {
  const index = new Map(tokens.map((word, id) => [word, id]));
  function encode(text) {
    const ids = [];
    for (const { 0: word, index: at } of text.toLowerCase().matchAll(WORDS)) {
      if (!index.has(word)) {
        const near = nearestWord(word, tokens);
        const where = `Word ${ids.length + 1}, “${shorten(word)}”`;
        const problem = `${where}, is not among the ${tokens.length} words of the language`;
        return { ids, problem: problem + (near ? `; did you mean “${near}”?` : '.'), unknown: word, at };
      }
      ids.push(index.get(word));
    }
    return readAll(ids);
  }
  return { tokens, encode, decode: (ids) => joinWords(ids.map((id) => tokens[id])), label: (id) => tokens[id] };
}

// A word with the space before it. Words never seen in training are all read as <unk>, id 0: no problem, but told.
function wordTokenizer(tokens) {
  const index = new Map(tokens.map((word, id) => [word, id]));
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
  return {
    tokens,
    encode,
    decode: (ids) => ids.map((id) => tokens[id]).join(''),
    label: (id) => showSpaces(tokens[id]),
  };
}

// A character is a Unicode code point, which may take two places of a JavaScript string.
function charTokenizer(tokens) {
  const index = new Map(tokens.map((char, id) => [char, id]));
  function encode(text) {
    const ids = [];
    let at = 0;
    for (const char of text) {
      const id = index.get(char);
      if (id === undefined) {
        const where = `Character ${ids.length + 1}, ${nameCharacter(char)}`;
        const problem = `${where}, is not among the ${tokens.length} characters that the model knows.`;
        return { ids, problem, unknown: char, at };
      }
      ids.push(id);
      at += char.length;
    }
    return readAll(ids);
  }
  return {
    tokens,
    encode,
    decode: (ids) => ids.map((id) => tokens[id]).join(''),
    label: (id) => showSpaces(tokens[id]),
  };
}

// ---- Bytes and byte pairs -------------------------------------------------------------------------------------------

// Ids 0 … 255 are the bytes of UTF-8; each merge of two tokens makes one more, unless its bytes are a token already.
function byteTokenizer(merges) {
  const tokens = Array.from({ length: 256 }, (_, b) => [b]);
  const known = new Map(tokens.map((token, id) => [String(token), id]));
  const pairs = new Map(); // left · 2^20 + right -> [rank, id]
  merges.forEach(([left, right], rank) => {
    const token = [...tokens[left], ...tokens[right]];
    if (!known.has(String(token))) known.set(String(token), tokens.push(token) - 1);
    pairs.set(left * 2 ** 20 + right, [rank, known.get(String(token))]);
  });
  const remembered = new Map();

  // Inside a piece the earliest merge that applies is done first, wherever it applies, until none does.
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

  function encode(text) {
    const ids = [];
    const half = /\p{Cs}/u.exec(text); // half a character, which UTF-8 has no bytes for
    const whole = half ? text.slice(0, half.index) : text;
    for (const piece of merges.length ? cutPieces(whole) : [whole]) {
      if (remembered.size >= MAX_REMEMBERED) remembered.clear();
      if (!remembered.has(piece)) remembered.set(piece, encodePiece(piece));
      for (const id of remembered.get(piece)) ids.push(id);
    }
    if (!half) return readAll(ids);
    const problem = `${nameCharacter(half[0])} at place ${
      half.index + 1
    } is half of a character; its other half is missing.`;
    return { ids, problem, unknown: half[0], at: half.index };
  }
  return {
    tokens,
    encode,
    decode: (ids) => decodeUtf8(ids.flatMap((id) => tokens[id])),
    label: (id) => spellBytes(tokens[id]),
  };
}

// Bytes that spell no valid UTF-8, as a model may well write, become U+FFFD.
function decodeUtf8(numbers) {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array(numbers));
}

// “é” where the bytes spell whole characters, else “\xC3”.
function spellBytes(numbers) {
  const text = decodeUtf8(numbers);
  if (!text.includes('\ufffd')) return showSpaces(text);
  return numbers.map((b) => `\\x${b.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}
