// The models that a widget carries, all with one face, so that what works with one works with each.
import { unpack } from './bytes.js';
import { NGramCounts } from './ngram.js';
import { Automaton } from './toy_language.js';
import { TableSession } from './session.js';
import { loadTokenizer } from './tokenizers.js';
import { loadTransformer } from './transformer.js';

// From the headers and the bytes of lmbook.widgets.packing. Each model has
//   name, tokenizer, vocabSize, contextLength   (tokens that a prefix may have; Infinity where there is no limit)
//   dist(prefix)      Float64Array (V): P(next token | prefix)
//   session(prefix)   a text that grows: {ids, logits, dist(), push(id), truncate(n), follow(ids), clone()}
// A masked transformer has neither of the last two; its `logits(ids)` say what stands in each place.
export function loadModels(headers, view) {
  return headers.map((header) => loadModel(header, view));
}

export function loadModel(header, view) {
  const steps = loadInSteps(header, view);
  for (;;) {
    const { value, done } = steps.next();
    if (done) return value;
  }
}

// The same bit by bit: yields the share that is done, where there is much to count.
export function* loadInSteps(header, view) {
  const load = { transformer: loadTransformer, ngram: loadNGram, automaton: loadAutomaton }[header.kind];
  if (!load) throw new TypeError(`no model is of the kind ${JSON.stringify(header.kind)}`);
  const model = header.kind === 'ngram' ? yield* load(header, view) : load(header, view);
  return Object.assign(model, {
    kind: header.kind,
    name: header.name,
    rounding: header.rounding ?? null, // {largest, nats}: how far the float16 weights are from those of Python
    tokenizer: loadTokenizer(header.tokenizer),
  });
}

function* loadNGram({ vocab_size, order, row_length, num_ids, id_bytes, offset, start }, view) {
  const ids = part(view, offset, num_ids * id_bytes, id_bytes === 1 ? Uint8Array : Uint16Array);
  const counts = new NGramCounts(vocab_size, order);
  yield* counts.readInSteps(ids, row_length);
  return ngramModel(counts, order, start);
}

function loadAutomaton({ vocab_size, sizes, offset, start }, view) {
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

function part(view, offset, numBytes, ArrayType) {
  return unpack(new DataView(view.buffer, view.byteOffset + offset, numBytes), ArrayType);
}

// The model that `counts` make at one order; for a text that was counted in the page: name and tokenizer are yours.
export function ngramModel(counts, order, start = []) {
  return Object.assign(new TableModel(counts.vocabSize, (prefix) => counts.dist(prefix, order), start), {
    counts,
    order,
  });
}

// A model that looks its distribution up: it has no cache, and needs none.
export class TableModel {
  constructor(vocabSize, lookUp, start = []) {
    Object.assign(this, { vocabSize, lookUp, start, contextLength: Infinity });
  }

  check(ids) {
    const stranger = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < this.vocabSize));
    if (stranger !== undefined) throw new RangeError(`id ${stranger} is outside the vocabulary of ${this.vocabSize}`);
  }

  dist(prefix) {
    this.check(prefix);
    return this.lookUp([...this.start, ...prefix]);
  }

  session(prefix = []) {
    return new TableSession(this, prefix);
  }
}

// How far a page's model is from the original: what lmbook.widgets.packing measured.
export function roundingNote({ largest, nats }) {
  if (largest === 0) return 'Its weights are stored in 16 bits and run here as they are.';
  const mean = nats < 1e-7 ? 'less than 10⁻⁷' : nats.toExponential(0).replace('-', '−');
  return `Here its weights have 16 bits: that moves no probability by more than ${
    largest.toPrecision(1)
  }; the mean divergence is ${mean} nats a token.`;
}
