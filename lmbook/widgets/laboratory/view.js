// The laboratory: settings, a run that is trained in a worker, and what it shows while it learns.
import { announcer, button, frame, h, line, quiet } from '../kit/kit.js';
import { FROM_LABORATORY, handOver } from '../kit/handover.js';
import { messageLine } from '../kit/text_field.js';
import { unpack } from '../core/bytes.js';
import { DEFAULT_RUN, OWN_LIMIT } from '../core/laboratory_settings.js';
import { Bench } from './bench.js';
import { nameOfRun, settingsForm } from './controls.js';
import { carry, display, filePart, report, runButtons } from './display.js';
import { STORIES } from './stories.js';

/** @import { Drawn, WidgetModel } from '../kit/kit.js' */
/** @import { Story } from './stories.js' */

/**
 * The texts of this widget: names, and what the worker is sent of each.
 * @param {WidgetModel} model
 */
function sourcesOf(model) {
  const [text, ids] = [model.get('text'), model.get('ids')];
  const config = model.get('config')?.vocab_size ? model.get('config') : null;
  const take = (/** @type {string} */ name, /** @type {new (buffer: ArrayBufferLike) => any} */ Numbers) =>
    unpack(model.get(name), Numbers);
  const toy = () => ({
    ...{ kind: 'toy', words: model.get('vocab'), sentences: model.get('sentences'), config },
    tables: {
      vocabSize: model.get('vocab').length,
      rowStarts: take('row_starts', Uint32Array),
      words: take('row_words', Uint8Array),
      next: take('row_next', Uint16Array),
      logProbs: take('row_log_probs', Float64Array),
    },
  });
  const given = () => ({
    ...{ kind: 'given', ids: take('ids', Uint16Array), rowLength: model.get('row_length') },
    ...{ names: model.get('names'), config },
  });
  /** @type {[string, string][]} */
  const names = [['toy', 'The toy language'], ['own', 'A text of your own, by letters']];
  if (text?.text) names.splice(1, 0, ['text', `${text.name}, by letters`]);
  if (ids?.byteLength) names.unshift(['given', 'Your ids']);
  /**
   * @param {string} key
   * @param {string} own
   */
  function source(key, own) {
    if (key === 'toy') return toy();
    if (key === 'given') return given();
    if (key === 'text') return { kind: 'letters', text: text.text, unseen: text.unseen, config };
    return { kind: 'letters', text: own.slice(0, OWN_LIMIT), unseen: '', config };
  }
  return { names, source, hasGiven: config !== null };
}

/** @param {Drawn} widget */
function render({ model, el }) {
  const { names, source, hasGiven } = sourcesOf(model);
  const form = settingsForm(names, hasGiven);
  const bench = new Bench(draw, nameOfRun);
  const now = () => {
    const [key, own] = [form.source(), form.ownText()];
    return /** @type {const} */ ([key === 'own' ? `own ${own}` : key, () => source(key, own)]);
  };
  const train = () => bench.train(form.read(), ...now());
  const status = messageLine();
  const stories = storyPart(form, bench, train);
  const buttons = runButtons({
    train: () => (stories.tell(''), train()),
    stop: () => bench.stop(),
    goOn: () => bench.goOn(),
    step: () => bench.goOn(1),
    again: () => (form.write({ ...bench.settings, seed: ((bench.settings?.seed ?? 0) + 1) % 2 ** 31 }), train()),
    keep: () => bench.keep(),
  });
  const open = async (/** @type {Uint8Array} */ bytes) => form.write(await bench.open(bytes, form.read(), ...now()));
  const leave = el.closest('.lm-widget') ? () => leaveFor(bench) : null; // a page of the book, beside the playground
  const files = filePart(() => bench.save(), open, leave, (text) => status.tell(text, true));
  const shown = display(bench, (sentence) => bench.look(sentence));
  const parts = [stories.node, form.node, buttons.node, status.node, shown.node, files.node];
  const root = frame(el, 'laboratory', 'Laboratory', parts);
  root.classList.add('lmw-laboratory');
  const heard = announcer(root);
  let said = '';

  function draw() {
    const focused = document.activeElement;
    const told = report(bench);
    status.tell(told, bench.state === 'failed');
    for (const part of [buttons, files, stories]) part.draw(bench);
    shown.draw(told);
    if (root.contains(focused) && focused?.matches(':disabled')) buttons.focus(); // its button can't be pressed any more
    carry(root, bench);
    // a listener hears of each change of state, and of each quarter of a run
    const quarter = `${bench.state} ${Math.floor((4 * (bench.newest.steps ?? 0)) / Math.max(bench.goal, 1))}`;
    if (quarter !== said) heard.say(told);
    said = quarter;
  }
  draw();
  return () => {
    bench.close();
    heard.stop();
    root.remove();
  };
}

/** @param {Bench} bench */
async function leaveFor(bench) {
  handOver(await bench.pack(FROM_LABORATORY));
  location.href = new URL('playground.html', location.href).href;
}

/**
 * The runs to try with one click.
 * @param {ReturnType<typeof settingsForm>} form
 * @param {Bench} bench
 * @param {() => Promise<void>} train
 */
function storyPart(form, bench, train) {
  const text = quiet('');
  const buttons = STORIES.map((one) => button(one.name, () => play(one)));
  const group = h('div', { role: 'group', 'aria-label': 'Runs to try' }, line(h('span', {}, 'Try'), buttons));
  /** @param {Story} story */
  async function play({ runs, ask }) {
    if (runs.length > 1 && bench.isFull) return tell('The picture is full: remove one of the runs first.');
    tell(ask);
    form.setSource('toy');
    for (const [i, change] of runs.entries()) {
      if (i > 0) bench.keep();
      form.write({ ...DEFAULT_RUN, ...change });
      await train();
      if (bench.state !== 'done') return;
    }
  }
  /** @param {Bench} bench */
  const draw = ({ isBusy }) => buttons.forEach((one) => (one.disabled = isBusy));
  const tell = (/** @type {string} */ told) => (text.textContent = told);
  return { node: h('div', {}, group, text), draw, tell };
}

export default { render };
