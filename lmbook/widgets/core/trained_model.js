// A model of the laboratory that isn't the book's transformer, as a playground needs it: a window of tokens, or a
// network that was trained without one of its parts. It computes each distribution from the beginning.
import { readFloat16 } from './bytes.js';
import { softmax } from './filters.js';
import { TableModel } from './models.js';
import { loadTokenizer } from './tokenizers.js';
import { TrainableTransformer } from './trainable.js';
import { TrainableWindow } from './window.js';

/** @import { Named, Packed } from './models.js' */
/** @import { Parts } from './trainable.js' */
/** @import { TransformerConfig } from './transformer.js' */
/** @import { WindowConfig } from './window.js' */

/** @typedef {{ model: 'window', config: WindowConfig }} WindowHeader */
/** @typedef {{ model: 'transformer', config: TransformerConfig, parts: Parts }} BrokenHeader */
/** @typedef {Packed & { kind: 'trained' } & (WindowHeader | BrokenHeader)} PackedTrained */

/** @typedef {TableModel & Named & { kind: 'trained' }} TrainedModel */

/**
 * @param {PackedTrained} header that of `Run.pack`
 * @param {DataView} view
 * @returns {TrainedModel}
 */
export function loadTrained(header, view) {
  const net = header.model === 'window'
    ? new TrainableWindow(header.config)
    : new TrainableTransformer(header.config, { parts: header.parts });
  net.values.set(readFloat16(new DataView(view.buffer, view.byteOffset + header.offset), 0, net.values.length));
  /** @param {number[]} prefix */
  const next = (prefix) => {
    if (!prefix.length) throw new RangeError('the model predicts from what stands there: it needs a token');
    const rows = net.logits(header.model === 'window' ? prefix.slice(-header.config.window) : prefix);
    return softmax(rows[rows.length - 1]);
  };
  const named = { name: header.name, tokenizer: loadTokenizer(header.tokenizer), rounding: null, kind: header.kind };
  return Object.assign(new TableModel(header.vocab_size, next), named, { contextLength: net.contextLength });
}
