// The models of a widget, all with the same interface.
import { unpack } from './bytes.js';
import { NGramCounts } from './ngram.js';
import { Automaton } from './toy_language.js';
import { TableSession } from './session.js';
import { loadTokenizer } from './tokenizers.js';
import { readTransformer } from './transformer.js';

/** @import { ByteMerges, TokenList, Tokenizer } from './tokenizers.js' */
/** @import { TrainedModel } from './trained_model.js' */
/** @import { Transformer, TransformerHeader } from './transformer.js' */

/** @typedef {{ largest: number, nats: number }} Rounding how far the float16 weights are from those of Python */

/**
 * @typedef {object} Packed what the headers of lmbook.widgets.packing have in common
 * @property {string} name
 * @property {number} vocab_size
 * @property {TokenList | ByteMerges} tokenizer
 * @property {number[]} start
 * @property {number} offset where its numbers begin
 * @property {Rounding} [rounding]
 */

/** @typedef {{ order: number, row_length: number, num_ids: number, id_bytes: number }} NGramHeader */
/** @typedef {{ sizes: Record<string, number> }} AutomatonHeader bytes of each table */
/** @typedef {Packed & TransformerHeader & { kind: 'transformer' }} PackedTransformer */
/** @typedef {Packed & NGramHeader & { kind: 'ngram' }} PackedNGram */
/** @typedef {Packed & AutomatonHeader & { kind: 'automaton' }} PackedAutomaton */
/** @typedef {PackedTransformer | PackedNGram | PackedAutomaton} Header */

/** @typedef {{ name: string, tokenizer: Tokenizer, rounding: Rounding | null }} Named */
/** @typedef {Transformer & Named & { kind: 'transformer' }} TransformerModel */
/** @typedef {TableModel & Named & { kind: 'ngram', counts: NGramCounts, order: number }} NGramModel */
/** @typedef {TableModel & Named & { kind: 'automaton', automaton: Automaton }} ExactModel */

/**
 * Each model has
 *   name, tokenizer, vocabSize, contextLength   (tokens that a prefix may have; Infinity: no limit)
 *   dist(prefix)      Float64Array (V): P(next token | prefix)
 *   session(prefix)   a text that grows: {ids, logits, dist(), push(id), truncate(n), follow(ids), clone()}
 * A masked transformer has neither of the last two; its `logits(ids)` predict the token in each place.
 * @typedef {TransformerModel | NGramModel | ExactModel | TrainedModel} Model
 */

/**
 * The models of a widget, from the headers and the bytes of lmbook.widgets.packing.
 * @param {Header[]} headers
 * @param {DataView} view
 */
export function loadModels(headers, view) {
  return headers.map((header) => loadModel(header, view));
}

/**
 * @param {Header} header
 * @param {DataView} view
 */
export function loadModel(header, view) {
  const steps = loadInSteps(header, view);
  for (;;) {
    const { value, done } = steps.next();
    if (done) return value;
  }
}

/**
 * The same in steps: yields the share that is done, if there is much to count.
 * @param {Header} header
 * @param {DataView} view
 * @returns {Generator<number, Model, void>}
 */
export function* loadInSteps(header, view) {
  const named = () => {
    const { name, rounding = null, tokenizer } = header;
    return { name, rounding, tokenizer: loadTokenizer(tokenizer) };
  };
  switch (header.kind) {
    case 'transformer':
      return Object.assign(readTransformer(header, view), named(), { kind: header.kind });
    case 'ngram':
      return Object.assign(yield* loadNGram(header, view), named(), { kind: header.kind });
    case 'automaton':
      return Object.assign(loadAutomaton(header, view), named(), { kind: header.kind });
    default:
      throw new TypeError(`no model is of the kind ${JSON.stringify(/** @type {{ kind: unknown }} */ (header).kind)}`);
  }
}

/**
 * @param {PackedNGram} header
 * @param {DataView} view
 */
function* loadNGram({ vocab_size, order, row_length, num_ids, id_bytes, offset, start }, view) {
  const numBytes = num_ids * id_bytes;
  const ids = id_bytes === 1 ? part(view, offset, numBytes, Uint8Array) : part(view, offset, numBytes, Uint16Array);
  const counts = new NGramCounts(vocab_size, order);
  yield* counts.readInSteps(ids, row_length);
  return ngramModel(counts, order, start);
}

/**
 * @param {PackedAutomaton} header
 * @param {DataView} view
 */
function loadAutomaton({ vocab_size, sizes, offset, start }, view) {
  /**
   * @template T
   * @param {string} name
   * @param {new (buffer: ArrayBufferLike) => T} ArrayType
   */
  const take = (name, ArrayType) => {
    const table = part(view, offset, sizes[name], ArrayType);
    offset += sizes[name];
    return table;
  };
  const automaton = new Automaton({
    vocabSize: vocab_size,
    rowStarts: take('row_starts', Uint32Array),
    words: take('row_words', Uint8Array),
    next: take('row_next', Uint16Array),
    logProbs: take('row_log_probs', Float64Array),
  });
  return Object.assign(new TableModel(vocab_size, (prefix) => automaton.dist(prefix), start), { automaton });
}

/**
 * @template T
 * @param {DataView} view
 * @param {number} offset
 * @param {number} numBytes
 * @param {new (buffer: ArrayBufferLike) => T} ArrayType
 */
function part(view, offset, numBytes, ArrayType) {
  return unpack(new DataView(view.buffer, view.byteOffset + offset, numBytes), ArrayType);
}

/**
 * The model of one order from `counts`, for a text that was counted in the page; the caller adds name and tokenizer.
 * @param {NGramCounts} counts
 * @param {number} order
 * @param {number[]} [start]
 */
export function ngramModel(counts, order, start = []) {
  const model = new TableModel(counts.vocabSize, (prefix) => counts.dist(prefix, order), start);
  return Object.assign(model, { counts, order });
}

/** A model that looks its distribution up and needs no cache. */
export class TableModel {
  /**
   * @param {number} vocabSize
   * @param {(prefix: number[]) => Float64Array} lookUp
   * @param {number[]} [start] ids that stand before every prefix
   */
  constructor(vocabSize, lookUp, start = []) {
    this.vocabSize = vocabSize;
    this.lookUp = lookUp;
    this.start = start;
    this.contextLength = Infinity;
  }

  /** @param {number[]} ids */
  check(ids) {
    const stranger = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < this.vocabSize));
    if (stranger !== undefined) throw new RangeError(`id ${stranger} is outside the vocabulary of ${this.vocabSize}`);
  }

  /** @param {number[]} prefix */
  dist(prefix) {
    this.check(prefix);
    return this.lookUp([...this.start, ...prefix]);
  }

  /** @param {number[]} [prefix] */
  session(prefix = []) {
    return new TableSession(this, prefix);
  }
}

/**
 * How far a page's model is from the original, as measured by lmbook.widgets.packing.
 * @param {Rounding} rounding
 */
export function roundingNote({ largest, nats }) {
  if (largest === 0) return 'Its weights are stored in 16 bits and run here as they are.';
  const mean = nats < 1e-7 ? 'less than 10⁻⁷' : nats.toExponential(0).replace('-', '−');
  return `Here its weights have 16 bits: that moves no probability by more than ${
    largest.toPrecision(1)
  }; the mean divergence is ${mean} nats a token.`;
}
