// The operations of a transformer and their derivatives, by hand: what a framework does when it trains.
//
// L is the loss, and dx stands for ∂L/∂x, in comments and in names. A forward function writes its output. A backward
// function is given dy, the derivative by that output, and adds to the derivatives by the inputs: what is used twice
// has the sum of both. So these are set to 0 beforehand.
//
// A row of text is computed at a time: T tokens. V words, D width, H query heads, K key/value heads, E numbers a head,
// F width of the feed-forward part. Matrices are stored row by row.
import { LEAST_POWER, quickExp, softmaxInPlace } from './exponential.js';

/** @import { TrainingProducts } from './training_kernels.js' */

/** @typedef {{ at: number, view: Float32Array }} Place numbers in the memory of the kernels */
/** @typedef {{ T: number, H: number, K: number, E: number, causal: boolean }} AttentionShape */

/**
 * A weight of the model with its derivative, both in the memory of the kernels.
 * @typedef {object} Parameter
 * @property {string} name as in lmbook's state_dict
 * @property {number[]} shape
 * @property {number} at
 * @property {Float32Array} value
 * @property {number} gradAt
 * @property {Float32Array} grad
 * @property {Place | null} [across] the matrix transposed, for the forward product
 */

// Taken at a time: queries, so that a causal block leaves out what it doesn't see; tokens, whose numbers then stay in
// the processor's cache.
export const QUERIES_TOGETHER = 16;
const TOKENS_TOGETHER = 64;

// ---- Embedding: x_t = W[id_t], a row of the table for each token -----------------------------------------------------
//
//   dW[w] = Σ dx_t over the places t where word w stands

/** @type {(x: Float32Array, table: Parameter, ids: Int32Array, T: number) => void} */
export function embed(x, { value, shape: [, D] }, ids, T) {
  for (let t = 0; t < T; t++) {
    for (let i = 0; i < D; i++) x[t * D + i] = value[ids[t] * D + i];
  }
}

/** @type {(table: Parameter, dx: Float32Array, ids: Int32Array, T: number) => void} */
export function embedBackward({ grad, shape: [, D] }, dx, ids, T) {
  for (let t = 0; t < T; t++) {
    for (let i = 0; i < D; i++) grad[ids[t] * D + i] += dx[t * D + i];
  }
}

// ---- RMSNorm: y_i = r · x_i · w_i with r = 1 / √(mean of x² + ε) -----------------------------------------------------
//
//   dw_i = Σ_t dy_i · r · x_i
//   ∂r/∂x_i = −r³ x_i / D, so with g_i = dy_i · w_i:   dx_i = r · (g_i − x_i · r² · mean of g · x)

/** @type {(x: Float32Array, at: number, D: number, eps: number) => number} */
function inverseRoot(x, at, D, eps) {
  let squares = 0;
  for (let i = at; i < at + D; i++) squares += x[i] * x[i];
  return 1 / Math.sqrt(squares / D + eps);
}

/** @type {(y: Float32Array, x: Float32Array, weight: Parameter, T: number, eps: number) => void} */
export function rmsNorm(y, x, { value, shape: [D] }, T, eps) {
  for (let at = 0; at < T * D; at += D) {
    const r = inverseRoot(x, at, D, eps);
    for (let i = 0; i < D; i++) y[at + i] = r * x[at + i] * value[i];
  }
}

/** @type {(dx: Float32Array, dy: Float32Array, x: Float32Array, weight: Parameter, T: number, eps: number) => void} */
export function rmsNormBackward(dx, dy, x, { value, grad, shape: [D] }, T, eps) {
  for (let at = 0; at < T * D; at += D) {
    const r = inverseRoot(x, at, D, eps);
    let sum = 0;
    for (let i = 0; i < D; i++) {
      sum += dy[at + i] * value[i] * x[at + i];
      grad[i] += dy[at + i] * r * x[at + i];
    }
    const share = (r * r * sum) / D;
    for (let i = 0; i < D; i++) dx[at + i] += r * (dy[at + i] * value[i] - x[at + i] * share);
  }
}

// ---- Linear product: y = x · Wᵀ, that is y_tr = Σ_c x_tc · W_rc ------------------------------------------------------
//
//   dx = dy · W        dx_tc = Σ_r dy_tr · W_rc
//   dW = dyᵀ · x       dW_rc = Σ_t dy_tr · x_tc

/** @type {(kernels: { run: TrainingProducts }, y: Place, x: Place, weight: Parameter, T: number) => void} */
export function linear({ run }, y, x, { at, shape: [R, C], across }, T) {
  if (!across) return run.products(y.at, 4 * R, x.at, 4 * C, T, at, 4 * C, R, C);
  y.view.fill(0, 0, T * R);
  run.combine(y.at, 4 * R, x.at, 4 * C, 4, T, across.at, 4 * R, C, R); // the fastest of the products
}

/**
 * @type {(kernels: { run: TrainingProducts }, dx: Place, dy: Place, x: Place, weight: Parameter,
 *   T: number) => void}
 */
export function linearBackward({ run }, dx, dy, x, { at, gradAt, shape: [R, C] }, T) {
  for (let t = 0; t < T; t += TOKENS_TOGETHER) {
    const count = Math.min(TOKENS_TOGETHER, T - t);
    run.combine(dx.at + 4 * t * C, 4 * C, dy.at + 4 * t * R, 4 * R, 4, count, at, 4 * C, R, C);
    run.combine(gradAt, 4 * C, dy.at + 4 * t * R, 4, 4 * R, R, x.at + 4 * t * C, 4 * C, count, C);
  }
}

// ---- Rotary positions: numbers i and i + E/2 of a head are a point, turned by the angle position × frequency ---------
//
//   (a, b) → (a cos − b sin, b cos + a sin). A rotation's derivative turns dy back by the same angle (sign −1).

/**
 * Turns the first `heads` heads of each token where they lie; a token has `step` numbers.
 * @param {Float32Array} x
 * @param {{ cos: Float32Array, sin: Float32Array }} tables
 * @param {number} T
 * @param {number} step
 * @param {number} heads
 * @param {number} E
 * @param {1 | -1} sign
 */
export function turn(x, { cos, sin }, T, step, heads, E, sign) {
  const half = E / 2;
  for (let t = 0; t < T; t++) {
    for (let head = t * step; head < t * step + heads * E; head += E) {
      for (let i = 0; i < half; i++) {
        const a = x[head + i];
        const b = x[head + half + i];
        const c = cos[t * half + i];
        const s = sin[t * half + i] * sign;
        x[head + i] = a * c - b * s;
        x[head + half + i] = b * c + a * s;
      }
    }
  }
}

// ---- Attention: P = softmax(q · kᵀ / √E), context = P · v, for each head ---------------------------------------------
//
//   dv = Pᵀ · dc        dP = dc · vᵀ
//   softmax, in a row:  dS_s = P_s · (dP_s − Σ_u P_u · dP_u)
//   dq = dS · k / √E    dk = dSᵀ · q / √E
//
// What a causal token doesn't see has P = 0, and so no derivative. Queries are taken by blocks, whose later keys are
// left out: half of the work.

/**
 * @param {{ run: TrainingProducts }} kernels
 * @param {Place} context (T, D)
 * @param {Place} shares P, (H, T, T); of a causal model only what the blocks see is written
 * @param {Place} qkv (T, D + 2KE)
 * @param {AttentionShape} shape
 */
export function attend({ run }, context, shares, qkv, { T, H, K, E, causal }) {
  const [D, KE] = [H * E, K * E];
  const step = 4 * (D + 2 * KE);
  context.view.fill(0, 0, T * D);
  for (let head = 0; head < H; head++) {
    const q = qkv.at + 4 * head * E;
    const k = qkv.at + 4 * (D + Math.floor((head * K) / H) * E); // several query heads may share a key/value head
    for (let first = 0; first < T; first += QUERIES_TOGETHER) {
      const count = Math.min(QUERIES_TOGETHER, T - first);
      const block = causal ? first + count : T;
      const row = (head * T + first) * T;
      run.products(shares.at + 4 * row, 4 * T, q + first * step, step, count, k, step, block, E);
      for (let t = 0; t < count; t++) {
        const seen = causal ? first + t + 1 : T;
        softmaxInPlace(run, shares, row + t * T, seen, 1 / Math.sqrt(E));
        for (let s = seen; s < block; s++) shares.view[row + t * T + s] = 0;
      }
      const out = context.at + 4 * (first * D + head * E);
      run.combine(out, 4 * D, shares.at + 4 * row, 4 * T, 4, count, k + 4 * KE, step, block, E);
    }
  }
}

/**
 * @param {{ run: TrainingProducts }} kernels
 * @param {Place} dQkv
 * @param {Place} dContext
 * @param {Place} shares
 * @param {Place} dShares room for QUERIES_TOGETHER · T numbers
 * @param {Place} qkv
 * @param {AttentionShape} shape
 */
export function attendBackward({ run }, dQkv, dContext, shares, dShares, qkv, { T, H, K, E, causal }) {
  const [D, KE] = [H * E, K * E];
  const step = 4 * (D + 2 * KE);
  for (let head = 0; head < H; head++) {
    const q = 4 * head * E;
    const k = 4 * (D + Math.floor((head * K) / H) * E);
    const v = k + 4 * KE;
    for (let first = 0; first < T; first += QUERIES_TOGETHER) {
      const count = Math.min(QUERIES_TOGETHER, T - first);
      const block = causal ? first + count : T;
      const row = (head * T + first) * T;
      const [P, dP, wide] = [shares.at + 4 * row, dShares.at, 4 * T];
      const [dc, mine] = [dContext.at + 4 * (first * D + head * E), q + first * step];
      run.combine(dQkv.at + v, step, P, 4, wide, block, dc, 4 * D, count, E);
      run.products(dP, wide, dc, 4 * D, count, qkv.at + v, step, block, E);
      for (let t = 0; t < count; t++) softmaxBackward(dShares.view, t * T, shares.view, row + t * T, block, E);
      run.combine(dQkv.at + mine, step, dP, wide, 4, count, qkv.at + k, step, block, E);
      run.combine(dQkv.at + k, step, dP, 4, wide, block, qkv.at + mine, step, count, E);
    }
  }
}

/**
 * dP becomes dS / √E, in place.
 * @param {Float32Array} dP
 * @param {number} at
 * @param {Float32Array} P
 * @param {number} from
 * @param {number} length
 * @param {number} E
 */
function softmaxBackward(dP, at, P, from, length, E) {
  const scale = 1 / Math.sqrt(E);
  let sum = 0;
  for (let s = 0; s < length; s++) sum += P[from + s] * dP[at + s];
  for (let s = 0; s < length; s++) dP[at + s] = P[from + s] * (dP[at + s] - sum) * scale;
}

// ---- SwiGLU: h = g · σ(g) · u, where a token's wide vector is g followed by u, and σ(g) = 1 / (1 + e^−g) -------------
//
//   σ' = σ · (1 − σ), so   dg = dh · u · σ · (1 + g · (1 − σ))        du = dh · g · σ

/**
 * @param {{ run: TrainingProducts }} kernels
 * @param {Place} h (T, F)
 * @param {Place} gates σ(g), for the way back; (T, F)
 * @param {Place} wide (T, 2F)
 * @param {number} T
 * @param {number} F
 */
export function swiglu({ run }, h, gates, wide, T, F) {
  const done = run.gates ? F & -4 : 0;
  for (let t = 0; t < T; t++) {
    const [own, g] = [t * F, 2 * t * F];
    run.gates?.(h.at + 4 * own, gates.at + 4 * own, wide.at + 4 * g, wide.at + 4 * (g + F), done / 4);
    for (let i = done; i < F; i++) {
      const share = wide.view[g + i] < LEAST_POWER ? 0 : 1 / (1 + quickExp(-wide.view[g + i]));
      gates.view[own + i] = share;
      h.view[own + i] = wide.view[g + i] * share * wide.view[g + F + i];
    }
  }
}

/**
 * @type {(dWide: Float32Array, dh: Float32Array, gates: Float32Array, wide: Float32Array, T: number,
 *   F: number) => void}
 */
export function swigluBackward(dWide, dh, gates, wide, T, F) {
  for (let t = 0; t < T; t++) {
    const [own, g] = [t * F, 2 * t * F];
    for (let i = 0; i < F; i++) {
      const s = gates[own + i];
      const d = dh[own + i] * s;
      dWide[g + i] += d * wide[g + F + i] * (1 + wide[g + i] * (1 - s));
      dWide[g + F + i] += d * wide[g + i];
    }
  }
}

// ---- Addition: y = x + f ---------------------------------------------------------------------------------------------
//
//   dx = dy   df = dy: the derivative goes both ways unchanged, so there is no backward function

/** @type {(y: Float32Array, x: Float32Array, f: Float32Array, length: number) => void} */
export function addUp(y, x, f, length) {
  for (let i = 0; i < length; i++) y[i] = x[i] + f[i];
}

// ---- Cross-entropy: the mean of −log P(target), P = softmax(z), over n targets ---------------------------------------
//
//   −log P_w = log Σ e^z − z_w, so   dz_v = (P_v − 1 if v is the target else P_v) / n

/**
 * The sum of −log P over T targets, in nats; the logits become their derivatives in place.
 * @param {{ run: TrainingProducts }} kernels
 * @param {Place} z (T, V)
 * @param {Int32Array} targets
 * @param {number} T
 * @param {number} V
 * @param {number} n targets of the whole batch
 */
export function crossEntropy({ run }, z, targets, T, V, n) {
  let loss = 0;
  for (let t = 0; t < T; t++) {
    const [at, target] = [t * V, t * V + targets[t]];
    loss -= z.view[target];
    loss += softmaxInPlace(run, z, at, V, 1);
    z.view[target] -= 1;
    for (let v = at; v < at + V; v++) z.view[v] /= n;
  }
  return loss;
}
