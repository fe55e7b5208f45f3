// The laboratory's work: a text is taken, runs begin, train and are looked at, all away from the page's own thread.
import { infoOf } from '../core/laboratory.js';
import { inSlices } from '../core/slices.js';
import { Automaton } from '../core/toy_language.js';
import { TrainingSession } from '../core/training_session.js';
import { givenText, letterText, toyText } from '../core/training_text.js';
import { answerCalls, Handover } from './answering.js';

/** @import { Settings } from '../core/laboratory_settings.js' */
/** @import { TransformerConfig } from '../core/transformer.js' */
/** @import { Tables } from '../core/toy_language.js' */
/** @import { Caller } from './answering.js' */

/** @typedef {{ kind: 'words' | 'word' | 'char', tokens: string[] }} Names */
/**
 * What a run reads, as the page sends it; a configuration from Python may go with it.
 * @typedef {({ kind: 'toy', tables: Tables, words: string[], sentences: string[] }
 *   | { kind: 'letters', text: string, unseen: string }
 *   | { kind: 'given', ids: Uint16Array, rowLength: number, names: Names })
 *   & { config?: TransformerConfig | null }} Source
 */

const LISTEN_EVERY = 50; // milliseconds after which this worker listens
const session = new TrainingSession();

/** @param {Source} source */
function textOf(source) {
  if (source.kind === 'toy') return toyText(new Automaton(source.tables), source.words, source.sentences);
  if (source.kind === 'letters') return letterText(source.text, source.unseen);
  return givenText(source.ids, source.rowLength, source.names);
}

answerCalls({
  /**
   * @param {Source} source
   * @param {Caller} caller
   */
  take: (source, { signal }) =>
    inSlices(session.take(textOf(source), source.config ?? null), { signal, slice: LISTEN_EVERY }),
  /** @param {Settings} settings */
  begin: (settings) => session.begin(settings),
  /** @param {string} sentence */
  look: (sentence) => session.look(sentence),
  /**
   * @param {{ count?: number }} steps
   * @param {Caller} caller
   */
  train: ({ count }, { signal, progress }) =>
    inSlices(session.train((update) => progress(update), count), { signal, slice: LISTEN_EVERY }),
  news: () => session.latest(),
  save() {
    const bytes = session.save();
    return new Handover(bytes, [bytes.buffer]);
  },
  /** @param {string} name */
  pack: (name) => session.pack(name),
  /** @param {Uint8Array} bytes */
  info: (bytes) => infoOf(bytes),
  /** @param {{ settings: Settings, bytes: Uint8Array }} file */
  open: ({ settings, bytes }) => session.open(settings, bytes),
});
