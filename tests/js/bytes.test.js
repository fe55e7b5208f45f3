import assert from 'node:assert/strict';
import { readFloat16, unpack } from '../../lmbook/widgets/core/bytes.js';

Deno.test('numbers are read where a view begins, even at an odd place', () => {
  const bytes = Uint8Array.of(9, 9, 9, 1, 0, 2, 0, 9, 9);
  assert.deepEqual(unpack(new DataView(bytes.buffer, 3, 4), Uint16Array), Uint16Array.of(1, 2));
});

Deno.test('half-precision numbers', () => {
  const bits = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x8000, 0x7bff); // 1, −2, the tiniest, −0, the largest
  const floats = readFloat16(new DataView(bits.buffer), 2, 4);
  assert.deepEqual([...floats], [-2, 2 ** -24, -0, 65504]);
});
