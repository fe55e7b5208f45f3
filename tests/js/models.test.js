import assert from 'node:assert/strict';
import {
  loadInSteps,
  loadModel,
  loadModels,
  ngramModel,
  roundingNote,
  TableModel,
} from '../../lmbook/widgets/core/models.js';
import { NGramCounts } from '../../lmbook/widgets/core/ngram.js';

/** @import { ExactModel, Header, NGramModel, PackedNGram } from '../../lmbook/widgets/core/models.js' */

const TEXT = [0, 1, 0, 2, 0, 1];
const OFFSET = 2;

/**
 * Bytes behind others that aren't read, in a view that begins behind one more.
 * @param {ArrayBufferView[]} arrays
 */
function packed(...arrays) {
  const bytes = arrays.flatMap((
    { buffer, byteOffset, byteLength },
  ) => [...new Uint8Array(buffer, byteOffset, byteLength)]);
  return new DataView(Uint8Array.of(99, ...Array(OFFSET).fill(99), ...bytes, 99).buffer, 1);
}

const NAMED = {
  name: 'small',
  tokenizer: { kind: /** @type {const} */ ('char'), tokens: ['a', 'b', 'c'] },
  vocab_size: 3,
  start: [],
  offset: OFFSET,
};
/** @type {PackedNGram} */
const NGRAM = { ...NAMED, kind: 'ngram', order: 2, row_length: 3, num_ids: 6, id_bytes: 1 };

Deno.test('n-grams from ids of one byte and of two', () => {
  const want = new NGramCounts(3, 2).read(TEXT, 3);
  const cases = /** @type {const} */ ([[1, Uint8Array.from(TEXT)], [2, Uint16Array.from(TEXT)]]);
  for (const [id_bytes, ids] of cases) {
    const model = /** @type {NGramModel} */ (loadModel({ ...NGRAM, id_bytes }, packed(ids)));
    assert.deepEqual([model.kind, model.name, model.order, model.vocabSize], ['ngram', 'small', 2, 3]);
    assert.deepEqual([model.rounding, model.contextLength], [null, Infinity]);
    assert.deepEqual(model.tokenizer.encode('cab').ids, [2, 0, 1]);
    assert.deepEqual(model.dist([1, 0]), want.dist([1, 0], 2));
    assert.deepEqual(model.dist([]), want.dist([], 2));
    assert.deepEqual([[0], [0, 1], [0, 2]].map((gram) => model.counts.count(gram)), [3, 2, 0]);
  }
});

Deno.test('what stands before every text', () => {
  const want = new NGramCounts(3, 2).read(TEXT, 3);
  const model = loadModel({ ...NGRAM, start: [1] }, packed(Uint8Array.from(TEXT)));
  assert.deepEqual(model.dist([]), want.dist([1], 2));
  assert.deepEqual(model.dist([2]), want.dist([1, 2], 2));
  const counted = ngramModel(want, 1);
  assert.deepEqual([counted.dist([]), counted.start, counted.order], [want.dist([], 1), [], 1]);
  assert.equal(counted.counts, want);
});

Deno.test('the exact language', () => {
  // State 0: a (3/4) leads to 0, c (1/4) to 1; state 1: b leads to 0; state 2 is dead.
  const tables = {
    row_starts: Uint32Array.of(0, 2, 3, 6),
    row_words: Uint8Array.of(0, 2, 1, 0, 1, 2),
    row_next: Uint16Array.of(0, 1, 0, 2, 2, 2),
    row_log_probs: Float64Array.of(Math.log(0.75), Math.log(0.25), 0, ...Array(3).fill(-Math.log(3))),
  };
  const sizes = Object.fromEntries(Object.entries(tables).map(([name, { byteLength }]) => [name, byteLength]));
  /** @type {Header} */
  const header = { ...NAMED, kind: 'automaton', sizes, rounding: { largest: 0, nats: 0 } };
  const [model, second] =
    /** @type {ExactModel[]} */ (loadModels([header, { ...header, start: [2] }], packed(...Object.values(tables))));
  assert.deepEqual([model.kind, model.name, model.vocabSize, model.rounding], [
    'automaton',
    'small',
    3,
    header.rounding,
  ]);
  assert.ok(Math.abs(model.dist([0])[0] - 0.75) < 1e-12);
  assert.deepEqual([...model.dist([0, 2])], [0, 1, 0]);
  assert.deepEqual([...second.dist([])], [0, 1, 0]);
  assert.deepEqual([model.automaton.isPossible([0, 2]), model.automaton.isPossible([1])], [true, false]);
});

Deno.test('a transformer that adds nothing to its embeddings', () => {
  const config = {
    vocab_size: 2,
    extra_input_ids: 0,
    d_model: 2,
    num_heads: 1,
    num_kv_heads: 1,
    num_layers: 1,
    d_ff: 1,
    context_length: 3,
    norm_eps: 0,
    rope_base: 100,
    tie_embeddings: true,
    causal: true,
  };
  const zeros = (/** @type {number} */ count) => Array(count).fill(0);
  // Embeddings 1 1 and 1 −1; norms of 1; queries, keys and values, then the way out; the same for the feed-forward part.
  const weights = [1, 1, 1, -1, 1, 1, ...zeros(12 + 4), 1, 1, ...zeros(4 + 2), 1, 1];
  /** @type {Header} */
  const header = { ...NAMED, kind: 'transformer', vocab_size: 2, config };
  const model = loadModel(header, packed(Float16Array.from(weights)));
  assert.deepEqual([model.kind, model.name, model.rounding, model.vocabSize], ['transformer', 'small', null, 2]);
  assert.deepEqual(model.tokenizer.encode('b').ids, [1]);
  assert.deepEqual([...model.session([0]).logits], [2, 0]);
  assert.deepEqual([...model.session([0, 1]).logits], [0, 2]);
});

Deno.test('counting tells how far it is', () => {
  const steps = loadInSteps(NGRAM, packed(Uint8Array.from(TEXT)));
  assert.deepEqual([steps.next(), steps.next()], [{ value: 0, done: false }, { value: 1 / 3, done: false }]);
});

Deno.test('an unknown kind is refused', () => {
  const header = /** @type {any} */ ({ ...NAMED, kind: 'oracle' });
  const message = 'no model is of the kind "oracle"';
  assert.throws(() => loadModel(header, packed()), { name: 'TypeError', message });
});

Deno.test('a model that looks up refuses strange ids', () => {
  /** @type {number[][]} */
  const asked = [];
  const model = new TableModel(3, (prefix) => {
    asked.push(prefix);
    return Float64Array.of(0.5, 0.25, 0.25);
  }, [2]);
  assert.deepEqual([...model.session([0, 1]).dist()].map((p) => p.toFixed(12)), [
    '0.500000000000',
    '0.250000000000',
    '0.250000000000',
  ]);
  assert.deepEqual(asked, [[2, 0, 1]]);
  assert.deepEqual([...new TableModel(2, (prefix) => Float64Array.from(prefix)).dist([1, 0])], [1, 0]);
  assert.deepEqual(model.session().ids, []);
  assert.deepEqual([...model.dist([])], [0.5, 0.25, 0.25]);
  for (const id of [3, -1, 0.5, NaN]) {
    const error = { name: 'RangeError', message: `id ${id} is outside the vocabulary of 3` };
    assert.throws(() => model.dist([0, id]), error);
    assert.throws(() => model.session([id]), error);
  }
});

Deno.test('how far float16 is from the original', () => {
  assert.equal(
    roundingNote({ largest: 0, nats: 0 }),
    'Its weights are stored in 16 bits and run here as they are.',
  );
  assert.equal(
    roundingNote({ largest: 0.00123, nats: 2.4e-6 }),
    'Here its weights have 16 bits: that moves no probability by more than 0.001; ' +
      'the mean divergence is 2e−6 nats a token.',
  );
  assert.match(roundingNote({ largest: 0.5, nats: 1e-7 }), /by more than 0\.5; the mean divergence is 1e−7 nats/);
  assert.match(roundingNote({ largest: 0.5, nats: 9e-8 }), /the mean divergence is less than 10⁻⁷ nats a token\.$/);
});
