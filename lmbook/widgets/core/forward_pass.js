// One forward pass of a transformer with every tensor kept, and parts that can be switched off: to look at, not to be
// fast. transformer.js computes the same numbers in less room; here each line is one formula, in double precision.
//
// T tokens, V words, D width, H query heads, K key/value heads, E numbers a head, F width of the feed-forward part.

/** @import { Kernels, Matrix } from './kernels.js' */
/** @import { Block, Transformer } from './transformer.js' */

/**
 * A tensor as PyTorch has it, row by row; −∞ is a score that the causal mask hides.
 * @typedef {{ name: string, shape: number[], data: Float64Array }} Tensor
 */

/** The tensors of a block in the order in which they are made. */
export const BLOCK_PARTS = [
  ...['attention_norm', 'query', 'key', 'value', 'rotated_query', 'rotated_key', 'scores', 'weights', 'context'],
  ...['attention', 'after_attention', 'feed_forward_norm', 'gate', 'up', 'gated', 'feed_forward', 'output'],
];

/**
 * The names of all tensors: "embedding", "1.query" in the first block, …, "norm", "logits", "probabilities".
 * @param {number} numLayers
 */
export function tensorNames(numLayers) {
  const blocks = Array.from({ length: numLayers }, (_, layer) => BLOCK_PARTS.map((part) => `${layer + 1}.${part}`));
  return ['embedding', ...blocks.flat(), 'norm', 'logits', 'probabilities'];
}

/**
 * What can be switched off: each head, each feed-forward part, the rotation by position, the causal mask.
 * @param {Pick<Transformer, 'L' | 'H'>} net
 */
export function switchNames({ L, H }) {
  const layers = Array.from({ length: L }, (_, layer) => layer + 1);
  const blocks = layers.flatMap((layer) => [
    ...Array.from({ length: H }, (_, head) => `head ${layer}.${head + 1}`),
    `feed-forward ${layer}`,
  ]);
  return [...blocks, 'positions', 'mask'];
}

// ---- Formulas ---------------------------------------------------------------------------------------------------------

/**
 * Rows of x times the matrices, whose rows follow each other: (T, columns) → (T, rows).
 * @param {Kernels} kernels
 * @param {Float64Array} x
 * @param {Matrix[]} matrices
 */
function product(kernels, x, matrices) {
  const { columns } = matrices[0];
  const [T, rows] = [x.length / columns, matrices.reduce((sum, matrix) => sum + matrix.rows, 0)];
  const [out, weights] = [new Float64Array(T * rows), new Float64Array(columns)];
  let at = 0;
  for (const matrix of matrices) {
    for (let row = 0; row < matrix.rows; row++, at++) {
      kernels.copyRow(weights, 0, matrix, row);
      for (let t = 0; t < T; t++) {
        let sum = 0;
        for (let i = 0; i < columns; i++) sum += x[t * columns + i] * weights[i];
        out[t * rows + at] = sum;
      }
    }
  }
  return out;
}

/**
 * RMSNorm of each row.
 * @param {Float64Array} x
 * @param {Float32Array} weight
 * @param {number} eps
 */
function normed(x, weight, eps) {
  const D = weight.length;
  const out = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += D) {
    let squares = 0;
    for (let i = 0; i < D; i++) squares += x[row + i] ** 2;
    for (let i = 0; i < D; i++) out[row + i] = x[row + i] / Math.sqrt(squares / D + eps) * weight[i];
  }
  return out;
}

/**
 * Softmax of each row of `width` numbers.
 * @param {Float64Array} x
 * @param {number} width
 */
function softmaxed(x, width) {
  const out = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += width) {
    const top = x.subarray(row, row + width).reduce((a, b) => Math.max(a, b), -Infinity);
    let total = 0;
    for (let i = row; i < row + width; i++) total += out[i] = Math.exp(x[i] - top);
    for (let i = row; i < row + width; i++) out[i] /= total;
  }
  return out;
}

/**
 * @param {Float64Array} a
 * @param {Float64Array} b
 */
const added = (a, b) => a.map((value, i) => value + b[i]);

/**
 * (T, count · width), some columns of it from `from` on → (count, T, width).
 * @param {Float64Array} x
 * @param {number} columns of x
 * @param {number} from
 * @param {number} count
 * @param {number} width
 */
function byHead(x, columns, from, count, width) {
  const T = x.length / columns;
  const out = new Float64Array(count * T * width);
  for (let head = 0; head < count; head++) {
    for (let t = 0; t < T; t++) {
      const start = t * columns + from + head * width;
      out.set(x.subarray(start, start + width), (head * T + t) * width);
    }
  }
  return out;
}

// ---- The pass ---------------------------------------------------------------------------------------------------------

/**
 * Every tensor of the pass over `ids`, by name.
 * @param {Transformer} net
 * @param {number[]} ids
 * @param {readonly string[]} [off] what is switched off, of switchNames
 * @returns {Map<string, Tensor>}
 */
export function forwardPass(net, ids, off = []) {
  net.check(ids, 0);
  const { D, vocabSize: V, L, eps, kernels, weights } = net;
  const T = ids.length;
  /** @type {Map<string, Tensor>} */
  const pass = new Map();
  /** @type {Keep} */
  const keep = (name, shape, data) => {
    pass.set(name, { name, shape, data });
    return data;
  };
  const embedded = new Float64Array(T * D);
  ids.forEach((id, t) => kernels.copyRow(embedded, t * D, weights.embedding, id));
  let x = keep('embedding', [T, D], embedded);
  for (let layer = 0; layer < L; layer++) {
    const block = weights.blocks[layer];
    /** @type {Keep} */
    const keepHere = (part, shape, data) => keep(`${layer + 1}.${part}`, shape, data);
    const isOff = (/** @type {string} */ part) => off.includes(part);
    x = keepHere('after_attention', [T, D], added(x, attend(net, layer, x, keepHere, isOff)));
    x = keepHere('output', [T, D], added(x, feedForward(net, block, x, keepHere, isOff(`feed-forward ${layer + 1}`))));
  }
  const last = keep('norm', [T, D], normed(x, weights.norm, eps));
  const logits = keep('logits', [T, V], product(kernels, last, [weights.unembedding]));
  keep('probabilities', [T, V], softmaxed(logits, V));
  return pass;
}

/** @typedef {(name: string, shape: number[], data: Float64Array) => Float64Array} Keep stores a tensor, returns its data */

/**
 * The attention of a block: what it adds to x, (T, D).
 * @param {Transformer} net
 * @param {number} layer
 * @param {Float64Array} x
 * @param {Keep} keep
 * @param {(part: string) => boolean} isOff
 */
function attend(net, layer, x, keep, isOff) {
  const { D, H, K, E, KE, eps, kernels, weights } = net;
  const block = weights.blocks[layer];
  const T = x.length / D;
  const input = keep('attention_norm', [T, D], normed(x, block.attentionNorm, eps));
  const qkv = product(kernels, input, block.qkv);
  const query = keep('query', [H, T, E], byHead(qkv, D + 2 * KE, 0, H, E));
  const key = keep('key', [K, T, E], byHead(qkv, D + 2 * KE, D, K, E));
  const value = keep('value', [K, T, E], byHead(qkv, D + 2 * KE, D + KE, K, E));
  const turn = (/** @type {Float64Array} */ heads) => isOff('positions') ? heads.slice() : rotated(net, heads, T);
  const turnedQuery = keep('rotated_query', [H, T, E], turn(query));
  const turnedKey = keep('rotated_key', [K, T, E], turn(key));
  const hides = net.causal && !isOff('mask');
  const scores = keep('scores', [H, T, T], scoresOf(net, turnedQuery, turnedKey, T, hides));
  const shares = keep('weights', [H, T, T], softmaxed(scores, T));
  const context = mixed(net, shares, value, T);
  for (let head = 0; head < H; head++) {
    if (isOff(`head ${layer + 1}.${head + 1}`)) context.fill(0, head * T * E, (head + 1) * T * E);
  }
  keep('context', [H, T, E], context);
  const joined = new Float64Array(T * D);
  for (let head = 0; head < H; head++) {
    for (let t = 0; t < T; t++) {
      joined.set(context.subarray((head * T + t) * E, (head * T + t + 1) * E), t * D + head * E);
    }
  }
  return keep('attention', [T, D], product(kernels, joined, block.out));
}

/**
 * Rotary positions: numbers i and i + E / 2 of a head are a point in the plane, turned by position × frequency.
 * @param {Transformer} net
 * @param {Float64Array} heads (heads, T, E)
 * @param {number} T
 */
function rotated({ E, rotary: { cos, sin } }, heads, T) {
  const out = new Float64Array(heads.length);
  const half = E / 2;
  for (let row = 0; row < heads.length; row += E) {
    const turn = (row / E) % T * half;
    for (let i = 0; i < half; i++) {
      const [a, b] = [heads[row + i], heads[row + i + half]];
      out[row + i] = a * cos[turn + i] - b * sin[turn + i];
      out[row + i + half] = b * cos[turn + i] + a * sin[turn + i];
    }
  }
  return out;
}

/**
 * query · key / √E for each head and pair of words; −∞ where the mask hides. Some query heads may share a key head.
 * @param {Transformer} net
 * @param {Float64Array} query
 * @param {Float64Array} key
 * @param {number} T
 * @param {boolean} hides
 */
function scoresOf({ H, K, E }, query, key, T, hides) {
  const out = new Float64Array(H * T * T).fill(-Infinity);
  for (let head = 0; head < H; head++) {
    const group = Math.floor(head * K / H);
    for (let t = 0; t < T; t++) {
      for (let s = 0; s < (hides ? t + 1 : T); s++) {
        let sum = 0;
        for (let i = 0; i < E; i++) sum += query[(head * T + t) * E + i] * key[(group * T + s) * E + i];
        out[(head * T + t) * T + s] = sum / Math.sqrt(E);
      }
    }
  }
  return out;
}

/**
 * Each word's sum of the values, by its weights: (H, T, E).
 * @param {Transformer} net
 * @param {Float64Array} shares
 * @param {Float64Array} value
 * @param {number} T
 */
function mixed({ H, K, E }, shares, value, T) {
  const out = new Float64Array(H * T * E);
  for (let head = 0; head < H; head++) {
    const group = Math.floor(head * K / H);
    for (let t = 0; t < T; t++) {
      for (let s = 0; s < T; s++) {
        const share = shares[(head * T + t) * T + s];
        for (let i = 0; i < E; i++) out[(head * T + t) * E + i] += share * value[(group * T + s) * E + i];
      }
    }
  }
  return out;
}

/**
 * The feed-forward part of a block: what it adds to x, (T, D).
 * @param {Transformer} net
 * @param {Block} block
 * @param {Float64Array} x
 * @param {Keep} keep
 * @param {boolean} off
 */
function feedForward({ D, F, eps, kernels }, block, x, keep, off) {
  const T = x.length / D;
  const input = keep('feed_forward_norm', [T, D], normed(x, block.feedForwardNorm, eps));
  const wide = product(kernels, input, block.gateUp);
  const gate = keep('gate', [T, F], byHead(wide, 2 * F, 0, 1, F));
  const up = keep('up', [T, F], byHead(wide, 2 * F, F, 1, F));
  const gated = keep('gated', [T, F], gate.map((g, i) => g / (1 + Math.exp(-g)) * up[i]));
  return keep('feed_forward', [T, D], off ? new Float64Array(T * D) : product(kernels, gated, block.down));
}

/**
 * From the exact distribution p to the logits of one place, in nats: the cross-entropy −Σ p log q, the entropy −Σ p log p
 * and their difference, the Kullback–Leibler divergence.
 * @param {Float64Array} p
 * @param {Float64Array} logits
 */
export function distanceOf(p, logits) {
  const top = Math.max(...logits);
  const logTotal = top + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
  let [crossEntropy, entropy] = [0, 0];
  p.forEach((share, w) => {
    if (share === 0) return;
    crossEntropy += share * (logTotal - logits[w]);
    entropy -= share * Math.log(share);
  });
  return { crossEntropy, entropy, divergence: Math.max(crossEntropy - entropy, 0) }; // never −10⁻¹⁶
}
