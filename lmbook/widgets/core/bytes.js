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

/**
 * The way back: numbers rounded to the nearest half-precision ones, of two equally near to the even one.
 * @param {Float32Array} numbers of at most 65,504
 */
export function writeFloat16(numbers) {
  const [bytes, scaled] = [new Uint8Array(2 * numbers.length), new Float32Array(1)];
  const view = new DataView(bytes.buffer);
  const bits = new Int32Array(scaled.buffer);
  for (let i = 0; i < numbers.length; i++) {
    if (!(Math.abs(numbers[i]) <= 65_504)) throw new RangeError(`16 bits hold numbers up to 65504, not ${numbers[i]}`);
    scaled[0] = Math.abs(numbers[i]) * 2 ** -112; // now the 13 bits to drop are the last ones
    const half = (bits[0] + 0x0fff + ((bits[0] >> 13) & 1)) >> 13;
    view.setUint16(2 * i, half | (numbers[i] < 0 || Object.is(numbers[i], -0) ? 0x8000 : 0), true);
  }
  return bytes;
}
