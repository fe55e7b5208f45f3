// Where a model that is trained keeps its numbers: in the memory of the kernels, all of it taken before the first step.

/** @import { Parameter, Place } from './gradients.js' */
/** @import { Kernels } from './kernels.js' */

/** @param {number[]} shape */
export function numbersOf(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * Takes memory for several arrays of float32 numbers. Views come later, when the memory has its size: see placesOf.
 * @template {string} Name
 * @param {Kernels} kernels
 * @param {Record<Name, number>} sizes
 */
export function takeAll(kernels, sizes) {
  const names = /** @type {Name[]} */ (Object.keys(sizes));
  return names.map((name) => ({ name, size: sizes[name], at: kernels.take(4 * sizes[name]) }));
}

/**
 * @template {string} Name
 * @param {Kernels} kernels
 * @param {{ name: Name, size: number, at: number }[]} taken
 */
export function placesOf(kernels, taken) {
  const places = taken.map(({ name, size, at }) => [name, { at, view: kernels.floats(at, size) }]);
  return /** @type {Record<Name, Place>} */ (Object.fromEntries(places));
}

/**
 * Parameters one after another, from `valuesAt` on; their derivatives from `gradientsAt` on.
 * @param {[string, number[]][]} shapes
 * @param {number} valuesAt
 * @param {number} gradientsAt
 * @param {Kernels} kernels
 * @returns {Parameter[]}
 */
export function placeParameters(shapes, valuesAt, gradientsAt, kernels) {
  let start = 0;
  return shapes.map(([name, shape]) => {
    const [at, gradAt, size] = [valuesAt + 4 * start, gradientsAt + 4 * start, numbersOf(shape)];
    start += size;
    return { name, shape, at, gradAt, value: kernels.floats(at, size), grad: kernels.floats(gradAt, size) };
  });
}
