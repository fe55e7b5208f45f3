import assert from 'node:assert/strict';
import { repack } from '../../lmbook/widgets/core/blocks.js';
import { readFloat16 } from '../../lmbook/widgets/core/bytes.js';
import { Kernels } from '../../lmbook/widgets/core/kernels.js';
import { seededRandom } from '../../lmbook/widgets/core/random.js';
import { readTransformer } from '../../lmbook/widgets/core/transformer.js';

const BOTH = [false, true]; // WebAssembly, plain JavaScript

/**
 * Numbers between −1 and 1 in the memory, with 9s before and behind them, which nobody may read or write.
 * @param {Kernels} kernels
 * @param {number} length
 * @param {() => number} random
 */
function place(kernels, length, random) {
  const at = kernels.take(4 * (length + 8)) + 16;
  kernels.floats(at - 16, length + 8).fill(9);
  const numbers = Float32Array.from({ length }, () => 2 * random() - 1);
  kernels.floats(at, length).set(numbers);
  return { at, numbers };
}

/**
 * @param {ArrayLike<number>} got
 * @param {ArrayLike<number>} want
 * @param {number} limit
 * @param {string} what
 */
function assertNear(got, want, limit, what) {
  assert.equal(got.length, want.length);
  for (let i = 0; i < want.length; i++) {
    assert.ok(Math.abs(got[i] - want[i]) <= limit, `${what}: number ${i} is ${got[i]}, not ${want[i]}`);
  }
}

/**
 * @param {number} length
 * @param {(i: number) => number} term
 */
function sum(length, term) {
  let total = 0;
  for (let i = 0; i < length; i++) total += term(i);
  return total;
}

for (const plain of BOTH) {
  const name = plain ? 'plain' : 'simd';

  Deno.test(`${name}: a matrix times vectors, of all small shapes`, () => {
    const random = seededRandom(1);
    for (const [T, R, C] of [[1, 1, 1], [1, 3, 5], [2, 4, 4], [3, 7, 23], [5, 13, 64], [1, 6, 3], [2, 2, 8]]) {
      const kernels = new Kernels({ plain });
      assert.equal(kernels.simd, !plain);
      const [xStep, wStep, outStep] = [C + 3, C + 1, R + 2];
      const x = place(kernels, T * xStep, random);
      const w = place(kernels, R * wStep, random);
      const out = place(kernels, T * outStep, random);
      kernels.run.products(out.at, 4 * outStep, x.at, 4 * xStep, T, w.at, 4 * wStep, R, C);
      const want = out.numbers.map((before, i) => {
        const [t, r] = [Math.floor(i / outStep), i % outStep];
        return r < R ? sum(C, (c) => x.numbers[t * xStep + c] * w.numbers[r * wStep + c]) : before;
      });
      assertNear(kernels.floats(out.at, T * outStep), want, 1e-5, `${T} × ${R} × ${C}`);
      assert.deepEqual([...kernels.floats(out.at + 4 * T * outStep, 4)], [9, 9, 9, 9]);
    }
  });

  Deno.test(`${name}: both products of the backward pass`, () => {
    const random = seededRandom(2);
    for (const [T, R, C] of [[1, 1, 1], [3, 5, 16], [2, 7, 23], [5, 3, 4], [7, 2, 41], [11, 13, 6]]) {
      const kernels = new Kernels({ plain });
      const [dy, w, x] = [T * R, R * C, T * C].map((size) => place(kernels, size, random));
      const [dx, dw] = [T * C, R * C].map((size) => place(kernels, size, random));
      kernels.run.combine(dx.at, 4 * C, dy.at, 4 * R, 4, T, w.at, 4 * C, R, C); // dX += dY · W
      kernels.run.combine(dw.at, 4 * C, dy.at, 4, 4 * R, R, x.at, 4 * C, T, C); // dW += dYᵀ · X
      const wantX = dx.numbers.map((before, i) =>
        before + sum(R, (r) => dy.numbers[Math.floor(i / C) * R + r] * w.numbers[r * C + (i % C)])
      );
      const wantW = dw.numbers.map((before, i) =>
        before + sum(T, (t) => dy.numbers[t * R + Math.floor(i / C)] * x.numbers[t * C + (i % C)])
      );
      assertNear(kernels.floats(dx.at, T * C), wantX, 1e-5, `dX ${T} × ${R} × ${C}`);
      assertNear(kernels.floats(dw.at, R * C), wantW, 1e-5, `dW ${T} × ${R} × ${C}`);
      assert.deepEqual([...kernels.floats(dx.at + 4 * T * C, 4)], [9, 9, 9, 9]);
    }
  });

  Deno.test(`${name}: weights in blocks give what the weights written out give`, () => {
    const random = seededRandom(3);
    for (const kind of /** @type {const} */ (['q4', 'q8'])) {
      for (const [T, R, B] of [[1, 4, 1], [3, 12, 2], [2, 8, 5], [50, 4, 1]]) {
        const kernels = new Kernels({ plain });
        const { matrix, weights } = placeBlocks(kernels, kind, R, B, random);
        const C = 32 * B;
        const x = place(kernels, T * C, random);
        if (T === 3) { // zeros, and numbers too small for the scale to be inverted
          kernels.floats(x.at, 32).fill(x.numbers.fill(0, 0, 32)[0]);
          kernels.floats(x.at, 64).fill(x.numbers.fill(1e-35, 32, 64)[32], 32);
        }
        const out = place(kernels, T * R, random);
        kernels.prepareBlocks(C, T);
        kernels.multiply(out.at, 4 * R, x.at, 4 * C, T, [matrix]);
        for (let i = 0; i < T * R; i++) {
          const term = (/** @type {number} */ c) => x.numbers[Math.floor(i / R) * C + c] * weights[(i % R) * C + c];
          const limit = 1e-33 + 2e-7 * sum(C, (c) => Math.abs(term(c)));
          assertNear(kernels.floats(out.at + 4 * i, 1), [sum(C, term)], limit, `${kind}, ${T} × ${R} × ${C}, ${i}`);
        }
        assert.deepEqual([...kernels.floats(out.at + 4 * T * R, 4)], [9, 9, 9, 9]);
        const row = new Float32Array(C + 2).fill(7);
        kernels.copyRow(row, 1, matrix, R - 1);
        assert.deepEqual([...row], [7, ...weights.subarray((R - 1) * C), 7]);
      }
    }
  });

  Deno.test(`${name}: NaN comes through blocks, and more than was prepared is refused`, () => {
    const random = seededRandom(4);
    const kernels = new Kernels({ plain });
    const { matrix } = placeBlocks(kernels, 'q8', 4, 2, random);
    const [x, out] = [place(kernels, 64, random), place(kernels, 4, random)];
    kernels.prepareBlocks(64, 1);
    kernels.floats(x.at, 64)[40] = NaN;
    kernels.multiply(out.at, 16, x.at, 256, 1, [matrix]);
    assert.deepEqual([...kernels.floats(out.at, 4)], [NaN, NaN, NaN, NaN]);
    const message = 'no room was prepared for 2 tokens of 64 numbers';
    assert.throws(() => kernels.multiply(out.at, 16, x.at, 256, 2, [matrix]), { name: 'RangeError', message });
  });

  Deno.test(`${name}: what is taken is zero, apart, and stays while the memory grows`, () => {
    const kernels = new Kernels({ plain });
    const first = kernels.take(5);
    kernels.floats(first, 1)[0] = 3;
    const second = kernels.take(1_000_000);
    assert.ok(second >= first + 5 && second % 64 === 0);
    assert.equal(kernels.floats(first, 1)[0], 3);
    assert.ok(kernels.floats(second, 250_000).every((number) => number === 0));
    assert.throws(() => kernels.take(2 ** 40), /the browser has no \d+ MB of memory for this model/);
  });
}

/**
 * A matrix as a file has it, with what its blocks mean, written out by the format's own words.
 * @param {Kernels} kernels
 * @param {'q4' | 'q8'} kind
 * @param {number} rows
 * @param {number} blocks
 * @param {() => number} random
 * @param {Parameters<typeof repack>[5]} [order]
 */
function placeBlocks(kernels, kind, rows, blocks, random, order) {
  const size = kind === 'q4' ? 20 : 34;
  const at = kernels.take(rows * blocks * size);
  const view = new DataView(kernels.memory.buffer, at, rows * blocks * size);
  const weights = new Float32Array(rows * blocks * 32);
  for (let b = 0; b < rows * blocks; b++) {
    for (let i = 0; i < size; i++) view.setUint8(b * size + i, Math.floor(256 * random()));
    view.setUint16(b * size, b === 1 ? 3 : 0x2400 + Math.floor(1024 * random()), true); // d: 1/64 … 1/32, once 2⁻²³
    if (kind === 'q4') view.setUint16(b * size + 2, 0xb000 + Math.floor(1024 * random()), true); // m: about −1/8
    const [d] = readFloat16(view, b * size, 1);
    const [m] = kind === 'q4' ? readFloat16(view, b * size + 2, 1) : [0];
    for (let i = 0; i < 32; i++) {
      const byte = view.getUint8(b * size + 4 + (i % 16));
      const q = kind === 'q8' ? view.getInt8(b * size + 2 + i) : i < 16 ? byte & 15 : byte >> 4;
      weights[b * 32 + i] = Math.fround(d * q) + m;
    }
  }
  repack(view, 0, kind, rows, blocks, order);
  return { matrix: { kind, at, rows, columns: 32 * blocks }, weights };
}

Deno.test('rows can change places inside a span', () => {
  const source = (/** @type {number} */ row) => (row & 8) + ((row * 3) & 7);
  for (const kind of /** @type {const} */ (['q4', 'q8'])) {
    const kernels = new Kernels();
    const { matrix, weights } = placeBlocks(kernels, kind, 16, 3, seededRandom(5), { span: 8, source });
    const row = new Float32Array(96);
    for (let r = 0; r < 16; r++) {
      kernels.copyRow(row, 0, matrix, r);
      assert.deepEqual([...row], [...weights.subarray(96 * source(r), 96 * source(r) + 96)]);
    }
  }
});

/**
 * A small transformer with random weights.
 * @param {boolean} causal
 * @param {boolean} plain
 */
function tinyModel(causal, plain) {
  const random = seededRandom(6);
  const config = {
    ...{ vocab_size: 13, extra_input_ids: 0, d_model: 20, num_heads: 5, num_kv_heads: 1, num_layers: 2, d_ff: 11 },
    ...{ context_length: 71, norm_eps: 1e-5, rope_base: 500, tie_embeddings: false, causal },
  };
  const size = 2 * 13 * 20 + 2 * (20 + 28 * 20 + 20 * 20 + 20 + 22 * 20 + 20 * 11) + 20;
  const halves = Uint16Array.from(
    { length: size },
    () => 0x3000 + Math.floor(0x0a00 * random()) + 0x8000 * Math.round(random()),
  );
  return readTransformer({ config }, new DataView(halves.buffer), new Kernels({ plain }));
}

const IDS = Array.from({ length: 70 }, (_, t) => (t * t) % 13);

Deno.test('read at once, in pieces or one by one, the numbers are the same to the last bit', () => {
  for (const plain of BOTH) {
    const model = tinyModel(true, plain);
    const whole = model.session(IDS);
    const grown = model.session();
    for (const id of IDS) grown.push(id);
    const pieces = model.session(IDS.slice(0, 33)).follow(IDS);
    for (const other of [grown, pieces]) assert.deepEqual([...other.logits], [...whole.logits]);
    assert.deepEqual(whole.memory, grown.memory);
    const twin = whole.clone().truncate(5).push(3);
    assert.ok(
      twin.memory.slice(0, 5).every((kept, t) => kept === whole.memory[t]),
      'what two texts share is stored once',
    );
    assert.deepEqual([...twin.logits], [...model.session([...IDS.slice(0, 5), 3]).logits]);
    assert.equal(whole.memory.length, 70);
  }
});

Deno.test('a model says the same with and without WebAssembly', () => {
  for (const causal of BOTH) {
    const [fast, slow] = BOTH.map((plain) => tinyModel(causal, plain));
    assert.deepEqual([fast.kernels.simd, slow.kernels.simd], [true, false]);
    const [mine, other] = [fast.logits(IDS), slow.logits(IDS)];
    mine.forEach((row, t) => assertNear(row, other[t], 1e-5, `token ${t}`));
    const [a, b] = [fast.attention(IDS), slow.attention(IDS)];
    a.flat().forEach((head, i) => assertNear(head, b.flat()[i], 1e-6, 'attention'));
    for (let t = 0; t < 70; t++) assert.ok(Math.abs(sum(70, (s) => a[1][4][t * 70 + s]) - 1) < 1e-6);
  }
});
