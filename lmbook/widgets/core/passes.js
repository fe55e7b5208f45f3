// A transformer forward and back: the operations of gradients.js in their order, for one row of text at a time.
//
// Backward, dx is always the derivative by the residual stream where we are: an addition gives it to both of its sides
// unchanged, so the stream keeps it, and each branch adds its own.
import {
  addUp,
  attend,
  attendBackward,
  embed,
  embedBackward,
  linear,
  linearBackward,
  rmsNorm,
  rmsNormBackward,
  swiglu,
  swigluBackward,
  turn,
} from './gradients.js';

/** @import { Parameter } from './gradients.js' */
/** @import { LayerWork, TrainableTransformer } from './trainable.js' */

/**
 * Logits of the first T ids of `model.inputs`, in `model.work.logits`; what the way back needs stays in the layers.
 * @param {TrainableTransformer} model
 * @param {number} T
 */
export function forwardPass(model, T) {
  const { D, F, E, heads, parts, fast: kernels, work, layers, shape, rotary, weights } = model;
  shape.T = T;
  embed(layers[0].x.view, weights.embedding, model.inputs, T);
  for (let l = 0; l < layers.length; l++) {
    const [layer, block] = [layers[l], weights.blocks[l]];
    const next = l + 1 < layers.length ? layers[l + 1].x : work.last;
    normStream(model, layer.normed.view, layer.x.view, block.attentionNorm, T);
    linear(kernels, layer.qkv, layer.normed, block.qkv, T);
    if (parts.positions) turn(layer.qkv.view, rotary, T, D + 2 * model.KE, heads, E, 1);
    attend(kernels, layer.context, layer.shares, layer.qkv, shape);
    linear(kernels, work.added, layer.context, block.out, T);
    joinStream(model, layer.middle.view, layer.x.view, T);
    normStream(model, layer.normedMiddle.view, layer.middle.view, block.feedForwardNorm, T);
    linear(kernels, layer.wide, layer.normedMiddle, block.gateUp, T);
    swiglu(kernels, layer.hidden, layer.gates, layer.wide, T, F);
    linear(kernels, work.added, layer.hidden, block.down, T);
    joinStream(model, next.view, layer.middle.view, T);
  }
  normStream(model, work.normed.view, work.last.view, weights.norm, T);
  linear(kernels, work.logits, work.normed, weights.unembedding, T);
}

/**
 * Adds to the derivative of every weight; `model.work.logits` holds the derivatives by the logits of the last pass.
 * @param {TrainableTransformer} model
 * @param {number} T
 */
export function backwardPass(model, T) {
  const { D, fast: kernels, work, layers, weights } = model;
  const { dx, dNormed } = work;
  dx.view.fill(0, 0, T * D);
  dNormed.view.fill(0, 0, T * D);
  linearBackward(kernels, dNormed, work.logits, work.normed, weights.unembedding, T);
  normStreamBackward(model, work.last.view, weights.norm, T);
  for (let l = layers.length - 1; l >= 0; l--) {
    feedForwardBackward(model, layers[l], weights.blocks[l], T);
    attentionBackward(model, layers[l], weights.blocks[l], T);
  }
  embedBackward(weights.embedding, dx.view, model.inputs, T);
}

/**
 * @param {TrainableTransformer} model
 * @param {LayerWork} layer
 * @param {TrainableTransformer['weights']['blocks'][0]} block
 * @param {number} T
 */
function feedForwardBackward(model, layer, block, T) {
  const { D, F, fast: kernels, parts, work: { dx, dHidden, dWide, dNormed } } = model;
  dHidden.view.fill(0, 0, T * F);
  dWide.view.fill(0, 0, 2 * T * F);
  dNormed.view.fill(0, 0, T * D);
  linearBackward(kernels, dHidden, dx, layer.hidden, block.down, T);
  swigluBackward(dWide.view, dHidden.view, layer.gates.view, layer.wide.view, T, F);
  linearBackward(kernels, dNormed, dWide, layer.normedMiddle, block.gateUp, T);
  if (!parts.residuals) dx.view.fill(0, 0, T * D);
  normStreamBackward(model, layer.middle.view, block.feedForwardNorm, T);
}

/**
 * @param {TrainableTransformer} model
 * @param {LayerWork} layer
 * @param {TrainableTransformer['weights']['blocks'][0]} block
 * @param {number} T
 */
function attentionBackward(model, layer, block, T) {
  const { D, E, KE, heads, fast: kernels, parts, shape, rotary, work } = model;
  const { dx, dContext, dShares, dQkv, dNormed } = work;
  dContext.view.fill(0, 0, T * D);
  dQkv.view.fill(0, 0, T * (D + 2 * KE));
  dNormed.view.fill(0, 0, T * D);
  linearBackward(kernels, dContext, dx, layer.context, block.out, T);
  attendBackward(kernels, dQkv, dContext, layer.shares, dShares, layer.qkv, shape);
  if (parts.positions) turn(dQkv.view, rotary, T, D + 2 * KE, heads, E, -1);
  linearBackward(kernels, dNormed, dQkv, layer.normed, block.qkv, T);
  if (!parts.residuals) dx.view.fill(0, 0, T * D);
  normStreamBackward(model, layer.x.view, block.attentionNorm, T);
}

/**
 * @param {TrainableTransformer} model
 * @param {Float32Array} y
 * @param {Float32Array} x
 * @param {Parameter} weight
 * @param {number} T
 */
function normStream({ parts, eps, D }, y, x, weight, T) {
  if (parts.norms) rmsNorm(y, x, weight, T, eps);
  else for (let i = 0; i < T * D; i++) y[i] = x[i];
}

/**
 * @param {TrainableTransformer} model
 * @param {Float32Array} x
 * @param {Parameter} weight
 * @param {number} T
 */
function normStreamBackward({ parts, eps, D, work: { dx, dNormed } }, x, weight, T) {
  if (parts.norms) rmsNormBackward(dx.view, dNormed.view, x, weight, T, eps);
  else addUp(dx.view, dx.view, dNormed.view, T * D);
}

/**
 * A branch's output, in `work.added`, joins the stream; without a residual path it takes its place.
 * @param {TrainableTransformer} model
 * @param {Float32Array} y
 * @param {Float32Array} x
 * @param {number} T
 */
function joinStream({ parts, D, work: { added } }, y, x, T) {
  if (parts.residuals) addUp(y, x, added.view, T * D);
  else for (let i = 0; i < T * D; i++) y[i] = added.view[i];
}
