// Numbers from Python as bytes, little-endian.

/**
 * A bytes trait arrives as a DataView; typed arrays need an aligned copy.
 * @template T
 * @param {DataView} view
 * @param {new (buffer: ArrayBufferLike) => T} ArrayType
 */
export function unpack(view, ArrayType) {
  return new ArrayType(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

/**
 * Half-precision numbers have a sign bit, 5 bits of exponent and 10 of fraction. Moved to a float32's places, they only
 * need another exponent bias: a factor of 2^112, for subnormal numbers too.
 * @param {DataView} view
 * @param {number} offset
 * @param {number} length
 */
export function readFloat16(view, offset, length) {
  const bits = new Int32Array(length);
  const floats = new Float32Array(bits.buffer);
  for (let i = 0; i < length; i++) {
    const half = view.getUint16(offset + 2 * i, true);
    bits[i] = ((half & 0x8000) << 16) | ((half & 0x7fff) << 13);
    floats[i] *= 2 ** 112;
  }
  return floats;
}
