// The models of a playground: those that came from Python, which are unpacked when they are chosen, and those that the reader
// makes or loads. With each its prompt.
import { loadInSteps, loadModel } from '../core/models.js';
import { SMOLLM2 } from '../core/smollm2.js';
import { inSlices } from '../core/slices.js';
import { loadTrained } from '../core/trained_model.js';
import { deskHere } from './desk.js';

/** @import { Header, Model } from '../core/models.js' */
/** @import { PackedTrained } from '../core/trained_model.js' */
/** @import { CallOptions } from '../kit/worker.js' */
/** @import { AskedDesk } from './desk.js' */

/** @typedef {{ name: string, prompts: string[], note: string }} About */
/** @typedef {{ headers: (Header | PackedTrained)[], judges: Header[], weights: DataView, about: About[] }} Carried what came from Python */

export const OWN = 'Your own text';
/** @type {About} */
const ABOUT_REAL = {
  name: SMOLLM2.name,
  prompts: ['The capital of France is', 'Once upon a time', 'The three primary colours are'],
  note: 'A transformer of 134,515,008 weights that has read two trillion tokens of the web.',
};

export class Shelf {
  /**
   * @param {Carried} carried
   * @param {string | undefined} chosen
   */
  constructor({ headers, judges, weights, about }, chosen) {
    this.headers = headers;
    this.judges = judges;
    this.weights = weights;
    const abouts = [...about, ABOUT_REAL];
    this.about = new Map(abouts.map((entry) => [entry.name, entry]));
    this.names = headers.map(({ name }) => name);
    /** The model in use. */
    this.current = this.names.find((name) => name === chosen) ?? this.names[0];
    /** @type {Map<string, AskedDesk>} by name, once the model is loaded */
    this.desks = new Map();
    this.prompts = new Map([
      [OWN, ''],
      ...abouts.map(({ name, prompts }) => /** @type {const} */ ([name, prompts[0]])),
    ]);
    /** @type {Map<string, number[][]>} by name, what a link wrote on each side with a model that isn't loaded yet */
    this.links = new Map();
    /** @type {Set<string>} the models that are being loaded */
    this.loading = new Set();
  }

  get desk() {
    return this.desks.get(this.current);
  }

  get prompt() {
    return this.prompts.get(this.current) ?? '';
  }

  /** Whether the model in use came from Python and isn't unpacked yet. */
  get isPacked() {
    return this.names.includes(this.current) && !this.desk;
  }

  /** What the reader is told where the model in use isn't there. */
  get missing() {
    if (this.current === OWN) return 'Count a text first.';
    return this.current === SMOLLM2.name ? 'Load it first.' : 'Not loaded.';
  }

  /**
   * Unpacks a model that came from Python.
   * @param {string} name
   * @param {CallOptions} options
   */
  async load(name, { onProgress, signal }) {
    const header = this.headers[this.names.indexOf(name)];
    const net = header.kind === 'trained'
      ? loadTrained(header, this.weights)
      : await inSlices(loadInSteps(header, this.weights), { onProgress, signal });
    this.desks.set(name, deskHere(net, this.judgeOf(net)));
  }

  /**
   * The exact language of a model's words, if the page has it.
   * @param {Model | ReturnType<typeof loadTrained>} net
   */
  judgeOf(net) {
    if (net.kind === 'automaton') return net.automaton;
    const words = net.tokenizer.tokens.join(' ');
    for (const header of net.tokenizer.kind === 'words' ? this.judges : []) {
      const judge = loadModel(header, this.weights);
      if (judge.kind === 'automaton' && judge.tokenizer.tokens.join(' ') === words) return judge.automaton;
    }
    return null;
  }
}
