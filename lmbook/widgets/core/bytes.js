// Numbers that come from Python as bytes.

// A bytes trait arrives as a DataView of little-endian numbers; typed arrays want their own aligned copy.
export function unpack(view, ArrayType) {
  return new ArrayType(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}
