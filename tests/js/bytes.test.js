import assert from 'node:assert/strict';
import { readFloat16, unpack, writeFloat16 } from '../../lmbook/widgets/core/bytes.js';

Deno.test('numbers are read where a view begins, even at an odd place', () => {
  const bytes = Uint8Array.of(9, 9, 9, 1, 0, 2, 0, 9, 9);
  assert.deepEqual(unpack(new DataView(bytes.buffer, 3, 4), Uint16Array), Uint16Array.of(1, 2));
});

Deno.test('half-precision numbers', () => {
  const bits = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x8000, 0x7bff); // 1, −2, the tiniest, −0, the largest
  const floats = readFloat16(new DataView(bits.buffer), 2, 4);
  assert.deepEqual([...floats], [-2, 2 ** -24, -0, 65504]);
});

Deno.test('every half-precision number is written as it was read', () => {
  const view = new DataView(new ArrayBuffer(2 * 65_536));
  for (let half = 0; half < 65_536; half++) view.setUint16(2 * half, half, true);
  const numbers = readFloat16(view, 0, 65_536);
  const finite = [...numbers.keys()].filter((half) => (half & 0x7c00) !== 0x7c00);
  const bytes = writeFloat16(numbers.filter((_, half) => (half & 0x7c00) !== 0x7c00));
  const again = new DataView(bytes.buffer);
  finite.forEach((half, i) => assert.equal(again.getUint16(2 * i, true), half));
});

Deno.test('other numbers become the nearest, and of two the even one', () => {
  const numbers = [1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -11 + 2 ** -20, -0.1, 65_504, 2 ** -25, 3 * 2 ** -25];
  const bytes = writeFloat16(Float32Array.from(numbers));
  const read = readFloat16(new DataView(bytes.buffer), 0, numbers.length);
  assert.deepEqual([...read], [1, 1 + 2 ** -9, 1 + 2 ** -10, -0.0999755859375, 65_504, 0, 2 ** -23]);
  assert.throws(() => writeFloat16(Float32Array.from([1, 1e5])), {
    message: '16 bits hold numbers up to 65504, not 100000',
  });
  assert.throws(() => writeFloat16(Float32Array.from([NaN])), { message: /not NaN/ });
});
