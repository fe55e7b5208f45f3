import assert from 'node:assert/strict';
import { readSafetensors, writeSafetensors } from '../../lmbook/widgets/core/safetensors.js';

const TENSORS = [
  { name: 'a.weight', shape: [2, 3], value: Float32Array.from([1, -2, 0.5, 3e-9, 1e30, -0]) },
  { name: 'b', shape: [1], value: Float32Array.from([7]) },
];

/**
 * A file with this header and these numbers.
 * @param {string} header
 * @param {number} [numbers]
 */
function file(header, numbers = 0) {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + numbers);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

Deno.test('what is written is read, to the last bit', () => {
  const bytes = writeSafetensors(TENSORS, { info: 'ü "x"' });
  assert.deepEqual(readSafetensors(bytes), { tensors: TENSORS, metadata: { info: 'ü "x"' } });
  const within = new Uint8Array(bytes.length + 3);
  within.set(bytes, 3); // a view that begins within its buffer, at no multiple of 4
  assert.deepEqual(readSafetensors(within.subarray(3)).tensors, TENSORS);
});

Deno.test('half precision is read', () => {
  const bytes = file('{"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}', 4);
  bytes.set([0x00, 0x3c, 0x00, 0xc1], bytes.length - 4);
  assert.deepEqual([...readSafetensors(bytes).tensors[0].value], [1, -2.5]);
});

Deno.test('a foreign, cut or damaged file gives a sentence', () => {
  const refused = (/** @type {Uint8Array} */ bytes, /** @type {RegExp} */ message) =>
    assert.throws(() => readSafetensors(bytes), { name: 'TypeError', message });
  const whole = writeSafetensors(TENSORS);
  refused(new Uint8Array(3), /no safetensors file: it has no header/);
  refused(new TextEncoder().encode('GGUF and more of it'), /no safetensors file: it has no header/);
  refused(whole.subarray(0, 60), /the file is cut: its header has \d+ bytes, and 52 are there/);
  refused(whole.subarray(0, whole.length - 1), /the file is cut: b ends at byte 28, and 27 are there/);
  refused(file('[1]'), /its header is no JSON object/);
  refused(file('{"a'), /its header is no JSON object/);
  refused(file('{"a":3}'), /its entry for a says no shape and place/);
  refused(file('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}'), /its entry for a says no shape/);
  refused(file('{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}', 4), /a is stored as BF16, F32 and F16/);
  refused(file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', 4), /a takes 8 bytes, not 4/);
  refused(
    file('{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'),
    /a ends at byte 4000000000/,
  );
});
