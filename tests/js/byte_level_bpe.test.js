import assert from 'node:assert/strict';
import { byteLevelTokenizer } from '../../lmbook/widgets/core/byte_level_bpe.js';
import { seededRandom } from '../../lmbook/widgets/core/random.js';

/** @import { Message, Vocabulary } from '../../lmbook/widgets/core/byte_level_bpe.js' */

// GPT-2's spelling of bytes: these characters stand for themselves, the other bytes are U+0100, U+0101, … in order.
const VISIBLE = [['!', '~'], ['¡', '¬'], ['®', 'ÿ']].flatMap(([first, last]) => {
  const [low, high] = [first.charCodeAt(0), last.charCodeAt(0)];
  return Array.from({ length: high - low + 1 }, (_, i) => low + i);
});
const HIDDEN = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !VISIBLE.includes(byte));
const BYTES = Array.from(
  { length: 256 },
  (_, byte) => String.fromCharCode(VISIBLE.includes(byte) ? byte : 256 + HIDDEN.indexOf(byte)),
);

/**
 * A tokenizer of all bytes, in order, then of the merged tokens, then of special ones.
 * @param {string[]} merges
 * @param {string[]} [special]
 * @param {Partial<Vocabulary>} [changes]
 */
function make(merges, special = [], changes = {}) {
  const merged = [...new Set(merges.map((merge) => merge.replace(' ', '')))];
  const tokens = [...BYTES, ...merged, ...special];
  const specialIds = special.map((_, i) => 256 + merged.length + i);
  return byteLevelTokenizer({ tokens, merges, specialIds, eosTokenId: 0, chatTemplate: '', ...changes });
}

/** @param {string} text */
const bytesOf = (text) => [...new TextEncoder().encode(text)];

Deno.test('every byte has its character', () => {
  const tokenizer = make([]);
  assert.deepEqual(tokenizer.tokens, Array.from({ length: 256 }, (_, byte) => [byte]));
  const text = 'Ä😀 \u00ad\u007f\u0000 ~!\u00a0';
  assert.deepEqual(tokenizer.encode(text), { ids: bytesOf(text), problem: null, unknown: null, at: -1 });
  assert.equal(tokenizer.decode(bytesOf(text)), text);
  assert.deepEqual([65, 32, 0xc3].map(tokenizer.label), ['A', '␣', '\\xC3']);
  assert.equal(tokenizer.kind, 'pretrained');
});

/**
 * Merges as the definition says: of all neighbours the pair learned first, at its first place, until none is left.
 * @param {string} text
 * @param {string[]} merges
 */
function mergeLiterally(text, merges) {
  const parts = [...text];
  for (;;) {
    const ranks = parts.slice(1).map((part, t) => merges.indexOf(`${parts[t]} ${part}`));
    const learned = ranks.filter((rank) => rank >= 0);
    if (learned.length === 0) return parts;
    const t = ranks.indexOf(Math.min(...learned));
    parts.splice(t, 2, parts[t] + parts[t + 1]);
  }
}

Deno.test('merging equals a literal reading of the rule', () => {
  const random = seededRandom(7);
  const pick = (/** @type {number} */ n) => Math.floor(random() * n);
  for (let trial = 0; trial < 150; trial++) {
    const tokens = ['a', 'b', 'c'];
    /** @type {string[]} */
    const merges = [];
    for (let n = 0; n < 25; n++) {
      const [left, right] = [tokens[pick(tokens.length)], tokens[pick(tokens.length)]];
      if (left.length + right.length > 8 || merges.includes(`${left} ${right}`)) continue;
      merges.push(`${left} ${right}`);
      if (!tokens.includes(left + right)) tokens.push(left + right);
    }
    const { decode, encode } = make(merges);
    const text = Array.from({ length: 1 + pick(60) }, () => 'abc'[pick(3)]).join('');
    const expected = mergeLiterally(text, merges);
    for (let again = 0; again < 2; again++) { // the second time from what is remembered
      assert.deepEqual(encode(text).ids.map((id) => decode([id])), expected, merges.join());
    }
  }
});

// Every two of these signs can merge, so the tokens of a text of two signs show whether it is one piece.
const SIGNS = [' ', '\n', 'a', 's', '1', '!', "'"];
const SPELLED = SIGNS.map((sign) => BYTES[sign.charCodeAt(0)]);
const PAIRS = make(SPELLED.flatMap((first) => SPELLED.map((second) => `${first} ${second}`)));

Deno.test('a space goes with what follows, a digit stands alone', () => {
  const joined = SIGNS.flatMap((first) => SIGNS.map((second) => first + second))
    .filter((text) => PAIRS.encode(text).ids.length === 1);
  const expected = ['  ', ' \n', '\n ', '\n\n', ' a', ' s', ' !', " '", 'aa', 'as', 'sa', 'ss', '!!', "!'", "'!", "''"];
  assert.deepEqual(joined.sort(), [...expected, "'s"].sort());
});

Deno.test('pieces of several signs', () => {
  /** @param {string} text */
  const cut = (text) => PAIRS.encode(text).ids.map((id) => PAIRS.decode([id]));
  assert.deepEqual(cut('  a'), [' ', ' a']); // the last space goes with the word
  assert.deepEqual(cut('a  1'), ['a', '  ', '1']);
  assert.deepEqual(cut("a's"), ['a', "'s"]);
  assert.deepEqual(cut("!'s"), ["!'", 's']);
  assert.deepEqual(cut("'sa"), ["'s", 'a']);
  for (const ending of ["'t", "'re", "'ve", "'m", "'ll", "'d"]) {
    const spelled = make([`' ${ending[1]}`]);
    assert.equal(spelled.encode(`x${ending}`).ids[1], 256, ending);
    assert.equal(spelled.encode(`x!${ending}`).ids[1], 33, ending);
  }
  assert.equal(make(["' x"]).encode("y'x").ids.length, 3);
  const letters = make(['r e', 'v e', 'l l']);
  for (const ending of ["'rex", "'vex", "'llx"]) assert.equal(letters.encode(ending).ids.length, 3, ending);
});

Deno.test('digits of every script stand alone', () => {
  const half = String.fromCharCode(0xc2, 0xbd); // ½ in UTF-8
  const [first, second] = [...half].map((char) => BYTES[char.charCodeAt(0)]);
  const tokenizer = make([`${first} ${second}`, `${first}${second} ${first}${second}`]);
  assert.deepEqual(tokenizer.encode('½½').ids, [256, 256]);
});

Deno.test('the text of a special token is that token, the longest where several begin', () => {
  const { encode, decode, label } = make([], ['<|a|>', '', '<|a|>b', 'x.y', '(a', '\\d']);
  assert.deepEqual(encode('<|a|>').ids, [256]);
  assert.deepEqual(encode('1<|a|>b<|a|>2').ids, [49, 258, 256, 50]);
  assert.deepEqual(encode('xzyx.y').ids, [...bytesOf('xzy'), 259]);
  assert.deepEqual(encode('3\\d(a').ids, [51, 261, 260]);
  assert.equal(decode([49, 258, 256, 50]), '1<|a|>b<|a|>2');
  assert.equal(label(256), '<|a|>');
  assert.deepEqual(make([], ['日']).encode('日x').ids, [256, 120]);
  assert.deepEqual(make([], ['']).encode('xy').ids, [120, 121]);
});

Deno.test('what can not be read is named, and what was before it is read', () => {
  const { encode } = make([], ['<|a|>']);
  const half = encode('ab\ud83d');
  assert.deepEqual([half.ids, half.at], [[97, 98], 2]);
  assert.match(half.problem ?? '', /^U\+D83D at place 3 is half of a character/);

  const tokens = BYTES.filter((_, byte) => byte !== 0x9f && byte !== 0x62); // no 😀, no b
  const few = byteLevelTokenizer({ tokens, merges: [], specialIds: [], eosTokenId: 0, chatTemplate: '' });
  assert.deepEqual(few.encode('a'), { ids: [97], problem: null, unknown: null, at: -1 });
  const problem = 'Character 2, “😀” (U+1F600), has no token in this model.';
  assert.deepEqual(few.encode('a😀b'), { ids: [97], problem, unknown: '😀', at: 1 });
  const after = few.encode('ééb');
  assert.equal(after.problem, 'Character 3, “b” (U+0062), has no token in this model.');
  assert.equal(after.at, 2);
  const rest = BYTES.filter((char) => char !== 'b');
  const one = byteLevelTokenizer({ tokens: rest, merges: [], specialIds: [], eosTokenId: 0, chatTemplate: '' });
  assert.deepEqual([one.encode('ab').unknown, one.encode('ac').unknown], ['b', null]);
});

Deno.test('parts that do not fit together are refused', () => {
  const first = BYTES[0];
  const damaged = 'the file is damaged: ';
  /** @type {[() => void, string][]} */
  const cases = [
    [() => make([], [], { tokens: [...BYTES, first] }), 'its tokenizer has a token twice'],
    [() => make(['a b', 'a b']), 'its tokenizer has the merge "a b"'],
    [() => make(['a b c']), 'its tokenizer has the merge "a b c"'],
    [() => make([], [], { merges: ['a'] }), 'its tokenizer has the merge "a"'],
    [() => make([], [], { merges: ['a b'] }), 'its tokenizer has the merge "a b"'],
    [() => make([], ['b日'], { merges: ['b 日'] }), 'its tokenizer has the merge "b 日"'],
    [() => make([], ['日b'], { merges: ['日 b'] }), 'its tokenizer has the merge "日 b"'],
    [() => make([], [], { merges: ['x'.repeat(90)] }), `its tokenizer has the merge "${'x'.repeat(40)}"`],
    [() => make([], ['a日'], { specialIds: [] }), 'token 256 has “日” (U+65E5)'],
    [() => make([], ['a b'], { specialIds: [] }), 'token 256 has U+0020'],
  ];
  for (const [call, message] of cases) assert.throws(call, { name: 'FileProblem', message: damaged + message });
  make(['a b', 'ab a'], ['日']); // and these fit
});

Deno.test('a conversation in the format of the model', () => {
  const chatTemplate = 'x<|im_start|>system\nBe\nkind.<|im_end|>y<|im_end|>';
  const { chat } = make([], [], { chatTemplate });
  /** @type {Message[]} */
  const messages = [{ role: 'user', content: 'Hi' }, { role: 'assistant', content: 'Yes?' }];
  const told = '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYes?<|im_end|>\n';
  const standard = '<|im_start|>system\nBe\nkind.<|im_end|>\n';
  assert.equal(chat(messages), `${standard}${told}<|im_start|>assistant\n`);
  assert.equal(chat(messages, { addGenerationPrompt: false }), standard + told);
  const own = { role: 'system', content: 'Be brief.' };
  assert.equal(
    chat([own, ...messages], { addGenerationPrompt: false }),
    `<|im_start|>system\nBe brief.<|im_end|>\n${told}`,
  );
});

Deno.test('what is no conversation is refused', () => {
  const { chat } = make([], [], { chatTemplate: '<|im_start|>system\n<|im_end|>' });
  const one = { role: 'user', content: 'Hi' };
  assert.equal(chat([one], { addGenerationPrompt: false }).match(/<\|im_start\|>/g)?.length, 2); // no words are a text too
  assert.throws(() => chat([]), { name: 'RangeError', message: 'a chat needs at least 1 message' });
  const role = { role: 'robot', content: 'Hi' };
  const content = /** @type {Message} */ (/** @type {unknown} */ ({ role: 'user', content: 5 }));
  const rule = 'a message has a role, one of system, user, assistant, and a text as content: ';
  for (const wrong of [role, content]) {
    assert.throws(() => chat([one, wrong]), { name: 'TypeError', message: rule + JSON.stringify(wrong) });
  }
  const message = 'the file has no chat template that this page knows';
  assert.throws(() => make([]).chat([one]), { name: 'FileProblem', message });
});

Deno.test('a text without a space takes time in proportion to its length', () => {
  const { encode } = make(['a a', 'aa aa', 'aaaa aaaa']);
  const begin = performance.now();
  assert.equal(encode('a'.repeat(2 ** 18)).ids.length, 2 ** 15);
  assert.ok(performance.now() - begin < 20_000); // taking each pair from the middle of a list would take minutes
});
