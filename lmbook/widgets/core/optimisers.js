// How weights move along their derivatives: SGD and AdamW, a limit on the gradient's length, and warm-up with cosine
// decay, as in lmbook.training and torch.optim.

/** @import { Parameter } from './gradients.js' */

/**
 * What an optimiser needs of a model: all weights and all derivatives as one array each, in the parameters' order.
 * @typedef {{ values: Float32Array, gradients: Float32Array, parameters: Parameter[] }} Trainable
 */

/**
 * @typedef {object} StepOptions
 * @property {number} learningRate
 * @property {(step: number) => number} [schedule] factor of the learning rate at each step, from 0
 * @property {number} [maxGradNorm] a longer gradient is scaled down to this length
 */

/**
 * Step → factor: up for `warmup` steps, then down to `floor` along half a cosine, and there it stays.
 *
 * Source: Loshchilov and Hutter 2017, SGDR, section 3.
 * @param {number} warmup
 * @param {number} total
 * @param {number} [floor]
 */
export function warmupCosine(warmup, total, floor = 0.1) {
  if (!(warmup >= 0 && warmup < total)) {
    throw new RangeError(`warmup must be at least 0 and below total ${total}, got ${warmup}`);
  }
  checkWithin('floor', floor, floor >= 0 && floor <= 1, '[0, 1]');
  return (/** @type {number} */ step) => {
    if (step < warmup) return (step + 1) / warmup;
    const done = Math.min(1, (step - warmup) / (total - warmup));
    return floor + ((1 - floor) * (1 + Math.cos(Math.PI * done))) / 2;
  };
}

/**
 * Scales the gradient down to `limit` if it is longer, as torch's clip_grad_norm_; its length before.
 * @param {Float32Array} gradients
 * @param {number} limit
 */
export function clipLength(gradients, limit) {
  let squares = 0;
  for (let i = 0; i < gradients.length; i++) squares += gradients[i] * gradients[i];
  const length = Math.sqrt(squares);
  const factor = limit / (length + 1e-6);
  if (factor < 1) { for (let i = 0; i < gradients.length; i++) gradients[i] *= factor; }
  return length;
}

/** What both optimisers share. `steps` were taken; `gradientLength` is that of the last one, before any limit. */
class Optimiser {
  /**
   * @param {Trainable} model
   * @param {StepOptions} options
   */
  constructor(model, { learningRate, schedule = () => 1, maxGradNorm = Infinity }) {
    checkWithin('learningRate', learningRate, learningRate >= 0 && learningRate < Infinity, '[0, inf)');
    checkWithin('maxGradNorm', maxGradNorm, maxGradNorm > 0, '(0, inf]');
    this.model = model;
    this.learningRate = learningRate;
    this.schedule = schedule;
    this.maxGradNorm = maxGradNorm;
    this.steps = 0;
    this.gradientLength = 0;
  }

  /** Moves the model's weights once along its gradients. */
  step() {
    this.gradientLength = clipLength(this.model.gradients, this.maxGradNorm);
    const rate = this.learningRate * this.schedule(this.steps);
    this.steps += 1;
    this.update(rate);
  }

  /** @param {number} _rate */
  update(_rate) {
    throw new TypeError('an optimiser needs a rule by which weights move');
  }
}

/** Stochastic gradient descent: w ← w − rate · b with b ← momentum · b + dw. */
export class SGD extends Optimiser {
  /**
   * @param {Trainable} model
   * @param {StepOptions & { momentum?: number }} options
   */
  constructor(model, { momentum = 0, ...options }) {
    super(model, options);
    checkWithin('momentum', momentum, momentum >= 0 && momentum < 1, '[0, 1)');
    this.momentum = momentum;
    this.moved = new Float32Array(model.values.length);
  }

  /**
   * @override
   * @param {number} rate
   */
  update(rate) {
    const { momentum, moved, model: { values, gradients } } = this;
    for (let i = 0; i < values.length; i++) {
      moved[i] = momentum * moved[i] + gradients[i];
      values[i] -= rate * moved[i];
    }
  }
}

/**
 * @typedef {object} AdamWOptions torch's names and defaults
 * @property {[number, number]} [betas]
 * @property {number} [eps]
 * @property {number} [weightDecay]
 * @property {boolean} [decayVectors] false: matrices alone decay, as lmbook's decay_groups
 */

/**
 * AdamW: means m of dw and v of dw², divided by what the zeros at the start make them lack (1 − βᵗ), and a decay of the
 * weights that is no part of the gradient: w ← w · (1 − rate · decay) − rate · m / (√v + ε).
 *
 * Source: Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, algorithm 2.
 */
export class AdamW extends Optimiser {
  /**
   * @param {Trainable} model
   * @param {StepOptions & AdamWOptions} options
   */
  constructor(model, { betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01, decayVectors = true, ...options }) {
    super(model, options);
    for (const beta of betas) checkWithin('a beta', beta, beta >= 0 && beta < 1, '[0, 1)');
    checkWithin('eps', eps, eps >= 0 && eps < Infinity, '[0, inf)');
    checkWithin('weightDecay', weightDecay, weightDecay >= 0 && weightDecay < Infinity, '[0, inf)');
    this.betas = betas;
    this.eps = eps;
    this.weightDecay = weightDecay;
    this.decayVectors = decayVectors;
    this.means = new Float32Array(model.values.length);
    this.squares = new Float32Array(model.values.length);
  }

  /**
   * @override
   * @param {number} rate
   */
  update(rate) {
    let start = 0;
    for (const { shape, value } of this.model.parameters) {
      const decays = shape.length > 1 || this.decayVectors;
      this.move(rate, start, start + value.length, decays ? 1 - rate * this.weightDecay : 1);
      start += value.length;
    }
  }

  /**
   * @param {number} rate
   * @param {number} start
   * @param {number} end
   * @param {number} keep what the decay leaves of a weight
   */
  move(rate, start, end, keep) {
    const { betas: [beta1, beta2], eps, means, squares, steps, model: { values, gradients } } = this;
    const stride = rate / (1 - beta1 ** steps);
    const root = Math.sqrt(1 - beta2 ** steps);
    for (let i = start; i < end; i++) {
      const g = gradients[i];
      means[i] = beta1 * means[i] + (1 - beta1) * g;
      squares[i] = beta2 * squares[i] + (1 - beta2) * g * g;
      values[i] = values[i] * keep - (stride * means[i]) / (Math.sqrt(squares[i]) / root + eps);
    }
  }
}

/**
 * @param {string} name
 * @param {number} value
 * @param {boolean} within
 * @param {string} interval
 */
function checkWithin(name, value, within, interval) {
  if (!within) throw new RangeError(`${name} must be in ${interval}, got ${value}`);
}
