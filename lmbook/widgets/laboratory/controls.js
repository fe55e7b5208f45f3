// The settings of a run, as controls: what is read, which model, how it learns, and the switches that break it.
import { DEFAULT_RUN, OWN_LIMIT } from '../core/laboratory_settings.js';
import { dropDown, field, h, line, quiet } from '../kit/kit.js';
import { textSource } from '../playground/own_corner.js';

/** @import { Settings } from '../core/laboratory_settings.js' */

/** @typedef {keyof typeof DEFAULT_RUN.parts} Part */

/** @type {[Part, string][]} */
const SWITCHES = [
  ['mask', 'causal mask'],
  ['positions', 'positions'],
  ['residuals', 'residual paths'],
  ['norms', 'norms'],
  ['rows', 'attention stays in its row'],
];
/** @type {Record<string, [name: string, values: number[]]>} */
const CHOICES = {
  layers: ['Layers', [1, 2, 3, 4]],
  width: ['Width', [16, 32, 64, 96, 128]],
  heads: ['Heads', [1, 2, 4, 8]],
  context: ['Context, tokens', [8, 16, 32, 64, 128]],
  window: ['Window, tokens', [1, 2, 3, 4, 6, 8, 12, 16]],
  vectors: ['Width of a token', [8, 16, 32, 64]],
  hidden: ['Hidden units', [32, 64, 128, 256, 512]],
};
/** @type {Record<string, string>} */
const NUMBERS = {
  rate: 'Learning rate',
  warmup: 'Warm-up, steps',
  steps: 'Steps',
  batch: 'Rows in a batch',
  seed: 'Seed',
};
/** @type {Record<string, string[]>} the controls of each model */
const OF_MODEL = {
  transformer: ['layers', 'width', 'heads', 'context'],
  window: ['window', 'vectors', 'hidden'],
  given: [],
};

/**
 * @param {[source: string, name: string][]} sources
 * @param {boolean} hasGiven whether there is a configuration from Python
 */
export function settingsForm(sources, hasGiven) {
  const own = textSource(() => {});
  const limit = quiet(`A run reads the first ${OWN_LIMIT.toLocaleString('en')} characters.`);
  const ownText = h('div', { hidden: true }, own.node, line(own.file, own.clear), limit, own.message);
  const source = dropDown(arrange, sources);
  /** @type {[string, string][]} */
  const models = [['transformer', 'Transformer'], ['window', 'Window of tokens']];
  if (hasGiven) models.unshift(['given', 'Your configuration']);
  const model = dropDown(arrange, models);
  const optimiser = dropDown(() => {}, [['adamw', 'AdamW'], ['sgd', 'SGD']]);
  const inputs = { ...choiceInputs(), ...numberInputs() };
  const [parts, switches] = partSwitches();
  const fields = Object.fromEntries(
    Object.entries(inputs).map(([key, { name, node }]) => [key, field(name, node)]),
  );
  const shape = line(field('Model', model), Object.keys(CHOICES).map((key) => fields[key]));
  const learning = line(field('Optimiser', optimiser), Object.keys(NUMBERS).map((key) => fields[key]));
  const node = h('div', { class: 'lml-settings' }, line(field('Text', source)), ownText, shape, learning, switches);

  function arrange() {
    ownText.hidden = source.value !== 'own';
    for (const key of Object.keys(CHOICES)) fields[key].hidden = !OF_MODEL[model.value].includes(key);
    switches.hidden = model.value === 'window';
  }

  /** @returns {Settings} */
  function read() {
    const numbers = Object.fromEntries(Object.entries(inputs).map(([key, { node }]) => [key, numberIn(node.value)]));
    const chosen = { model: model.value, optimiser: optimiser.value };
    return /** @type {any} */ ({ ...DEFAULT_RUN, ...numbers, ...chosen, parts: parts.read() });
  }

  /** @param {Partial<Settings>} settings */
  function write(settings) {
    for (const [key, value] of Object.entries(settings)) {
      if (key === 'parts') parts.write(/** @type {Settings['parts']} */ (value));
      else if (key === 'model') model.value = String(value);
      else if (key === 'optimiser') optimiser.value = String(value);
      else if (inputs[key]) writeValue(inputs[key].node, String(value));
    }
    arrange();
  }
  write({ ...DEFAULT_RUN, model: hasGiven ? 'given' : 'transformer' });
  return { node, read, write, source: () => source.value, setSource, ownText: own.text };

  /** @param {string} value */
  function setSource(value) {
    source.value = value;
    arrange();
  }
}

/**
 * The number that a text says; a text that says none stays one, for the sentence that refuses it.
 * @param {string} text
 */
function numberIn(text) {
  const number = text.trim() === '' ? NaN : Number(text);
  return Number.isNaN(number) ? text.trim() || 'nothing' : number;
}

/**
 * A value that isn't among the choices, from a file, becomes one.
 * @param {HTMLSelectElement | HTMLInputElement} node
 * @param {string} value
 */
function writeValue(node, value) {
  if (node instanceof HTMLSelectElement && ![...node.options].some((option) => option.value === value)) {
    node.append(h('option', { value }, value));
  }
  node.value = value;
}

/** @returns {Record<string, { name: string, node: HTMLSelectElement | HTMLInputElement }>} */
function choiceInputs() {
  return Object.fromEntries(
    Object.entries(CHOICES).map(([key, [name, values]]) => [key, {
      name,
      node: dropDown(() => {}, values.map((value) => [value, String(value)])),
    }]),
  );
}

/** @returns {Record<string, { name: string, node: HTMLInputElement }>} */
function numberInputs() {
  return Object.fromEntries(
    Object.entries(NUMBERS).map(([key, name]) => [key, {
      name,
      node: h('input', { type: 'text', inputmode: 'decimal', autocomplete: 'off', class: 'lml-number' }),
    }]),
  );
}

/** @returns {[{ read: () => Settings['parts'], write: (parts: Partial<Settings['parts']>) => void }, HTMLElement]} */
function partSwitches() {
  const boxes = SWITCHES.map(([, name]) => {
    const box = h('input', { type: 'checkbox' });
    return { box, node: h('label', { class: 'lml-switch' }, box, h('span', {}, name)) };
  });
  const node = h(
    'fieldset',
    { class: 'lml-switches' },
    h('legend', {}, 'Parts of the transformer; take one away and watch'),
    boxes.map((box) => box.node),
  );
  const read = () => /** @type {Settings['parts']} */ (Object.fromEntries(
    SWITCHES.map(([part], i) => [part, boxes[i].box.checked]),
  ));
  /** @param {Partial<Settings['parts']>} parts */
  const write = (parts) => SWITCHES.forEach(([part], i) => (boxes[i].box.checked = parts[part] ?? true));
  return [{ read, write }, node];
}

/**
 * What of a run's settings isn't as usual, in a few words: "1 layer", "no positions".
 * @param {Settings} settings
 */
export function nameOfRun(settings) {
  const { model, parts, optimiser } = settings;
  const shape = model === 'given'
    ? 'your configuration'
    : model === 'window'
    ? `window of ${settings.window}`
    : `${settings.layers} × ${settings.width}`;
  const gone = model === 'window' ? [] : SWITCHES.filter(([part]) => !parts[part]).map(([part]) => LACKS[part]);
  const more = [
    ...(optimiser === 'sgd' ? ['SGD'] : []),
    ...(settings.rate === DEFAULT_RUN.rate ? [] : [`rate ${settings.rate}`]),
    ...(settings.context === DEFAULT_RUN.context || model !== 'transformer' ? [] : [`context ${settings.context}`]),
    ...(settings.batch === DEFAULT_RUN.batch ? [] : [`${settings.batch} rows`]),
    `seed ${settings.seed}`,
  ];
  return [shape, ...gone, ...more].join(', ');
}

/** @type {Record<Part, string>} */
const LACKS = {
  mask: 'no mask',
  positions: 'no positions',
  residuals: 'no residual paths',
  norms: 'no norms',
  rows: 'across the batch',
};
