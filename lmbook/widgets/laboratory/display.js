// What the laboratory shows of a run, and the buttons that move it on.
import { button, dropDown, field, h, line, quiet, setOptions } from '../kit/kit.js';
import { lossPicture } from './chart.js';
import { samplePanel, sentencePanel } from './panels.js';

/** @import { Bench } from './bench.js' */

const FILE_LIMIT = 64e6; // bytes of a file of weights

/**
 * What the newest numbers say, as a sentence.
 * @param {Bench} bench
 */
export function report({ state, problem, newest, goal, floor, run, isStopping }) {
  if (problem) return problem;
  if (isStopping) return 'Stopping after the step that has begun …';
  if (state === 'idle') return 'Nothing is trained yet.';
  if (state === 'loading') return 'Drawing the text and counting its n-grams …';
  const { steps = 0, loss, unseen, gradientLength = 0, tokensPerSecond } = newest;
  const parts = [`Step ${steps} of ${Math.max(goal, steps)}`];
  if (loss !== undefined) parts.push(`loss ${loss.toFixed(3)} on its batches`);
  if (unseen !== undefined) parts.push(`${unseen.toFixed(3)} on unseen text${againstFloor(unseen, floor)}`);
  if (steps) parts.push(`gradient ${gradientLength.toFixed(2)} long`);
  if (tokensPerSecond) parts.push(`${Math.round(tokensPerSecond).toLocaleString('en')} tokens a second`);
  return run ? `${parts.join('; ')}.` : '';
}

/**
 * @param {number} unseen
 * @param {number | null} floor
 */
function againstFloor(unseen, floor) {
  if (floor === null) return '';
  if (unseen >= floor) return `, ${(unseen - floor).toFixed(3)} above the exact floor`;
  return `, ${(floor - unseen).toFixed(3)} below the exact floor, where no honest model can be`;
}

/**
 * The buttons that begin and end work, and which of them can be pressed.
 * @param {Record<'train' | 'stop' | 'goOn' | 'step' | 'again' | 'keep', () => void>} acts
 */
export function runButtons(acts) {
  const nodes = {
    train: button('Train', acts.train, { class: 'lmw-button lmp-main' }),
    stop: button('Stop', acts.stop),
    goOn: button('Go on', acts.goOn),
    step: button('One step', acts.step),
    again: button('Again with another seed', acts.again),
    keep: button('Keep this run', acts.keep),
  };
  /** @param {Bench} bench */
  function draw(bench) {
    nodes.train.disabled = bench.isBusy;
    nodes.stop.disabled = !bench.isBusy;
    nodes.goOn.disabled = nodes.step.disabled = bench.isBusy || !bench.canGoOn;
    nodes.again.disabled = bench.isBusy || !bench.settings;
    nodes.keep.disabled = !bench.run || bench.kept.includes(bench.run) || bench.isFull;
    nodes.keep.title = bench.isFull ? 'The picture is full: remove a run first' : '';
  }
  /** The button to go on from, for the keyboard. */
  function focus() {
    const { stop, goOn, train } = nodes;
    [stop, goOn, train].find((one) => !one.disabled)?.focus();
  }
  return { node: line(Object.values(nodes)), draw, focus };
}

/**
 * The runs that were kept, each with a button that takes it out of the picture.
 * @param {(run: Bench['kept'][0]) => void} ondrop
 */
function keptList(ondrop) {
  const node = h('ul', { class: 'lml-runs', 'aria-label': 'Runs that were kept' });
  /** @type {Bench['kept'] | null} */
  let drawn = null;
  /** @param {Bench} bench */
  function draw({ kept }) {
    if (drawn !== kept) node.replaceChildren(...kept.map(item));
    drawn = kept;
    kept.forEach((run, i) => {
      const end = run.unseen.points.at(-1)?.[1]; // a run that was kept may have gone on
      const text = `${run.name}: ${end === undefined ? '–' : end.toFixed(3)} after ${run.steps} steps`;
      node.children[i].children[0].textContent = text;
    });
  }
  /** @type {(run: Bench['kept'][0], i: number) => HTMLElement} */
  function item(run, i) {
    const drop = button('Remove', () => ondrop(run), { 'aria-label': `Remove the run ${run.name}` });
    return h('li', {}, h('span', { class: `lml-key-kept lml-kept-${i}` }), drop);
  }
  return { node, draw };
}

/**
 * Weights to a file and back, and to the playground.
 * @param {() => Promise<Uint8Array<ArrayBuffer>>} save
 * @param {(bytes: Uint8Array) => void} open
 * @param {(() => Promise<void>) | null} leave takes the model to the playground, where there is one
 * @param {(text: string) => void} refuse
 */
export function filePart(save, open, leave, refuse) {
  const saver = button('Save the weights', async () => {
    const url = URL.createObjectURL(new Blob([await save()], { type: 'application/octet-stream' }));
    h('a', { href: url, download: 'laboratory.safetensors' }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  });
  const input = h('input', { type: 'file', accept: '.safetensors' });
  input.addEventListener('change', async () => {
    const file = input.files?.[0];
    input.value = '';
    if (!file) return;
    if (file.size > FILE_LIMIT) {
      return refuse(`The file has ${(file.size / 1e6).toFixed(0)} MB, a model of this page has at most 64.`);
    }
    open(new Uint8Array(await file.arrayBuffer()));
  });
  const leaver = button('Take it to the playground', async () => {
    try {
      await leave?.();
    } catch (error) {
      refuse(error instanceof Error ? error.message : String(error));
    }
  });
  leaver.hidden = !leave;
  const node = line(saver, leaver, h('label', { class: 'lmp-file' }, h('span', {}, 'or open saved weights'), input));
  /** @param {Bench} bench */
  function draw(bench) {
    saver.disabled = leaver.disabled = !bench.canGoOn;
    input.disabled = bench.isBusy;
  }
  return { node, draw };
}

/**
 * What is drawn of a bench: everything below the settings.
 * @param {Bench} bench
 * @param {(sentence: string) => void} onlook
 */
export function display(bench, onlook) {
  const [chart, sentence, sample] = [lossPicture(), sentencePanel(), samplePanel()];
  const kept = keptList((run) => bench.drop(run));
  const choice = dropDown(onlook);
  const choiceField = field('A sentence to look at', choice);
  choiceField.hidden = true;
  const leftOut = quiet();
  /** @type {unknown[]} */
  let drawn = [];
  /** @param {string} told */
  function draw(told) {
    const { run, floor, levels, goal, looked, described } = bench;
    chart.draw({ run, kept: bench.kept, floor, levels, goal });
    chart.tell(run ? `The loss of a run. ${told}` : 'No run yet.');
    kept.draw(bench);
    if (drawn[0] !== described) {
      setOptions(choice, (described?.sentences ?? []).map((text) => [text, text]));
      choiceField.hidden = !described;
      const share = (100 * (described?.leftOut ?? 0)).toFixed(1);
      leftOut.textContent = described?.leftOut
        ? `The ${described.tokens.length} most frequent letters are read; the others, ${share} % of the text, are left out.`
        : '';
    }
    choice.disabled = bench.isBusy;
    if (drawn[1] !== looked && looked && described) sentence.show(described.tokens, looked);
    if (bench.sample) sample.show(bench.sample.step, bench.sample.text);
    else sample.node.hidden = true;
    drawn = [described, looked];
  }
  return { node: h('div', {}, chart.node, leftOut, kept.node, choiceField, sentence.node, sample.node), draw };
}

/**
 * What anyone who tests the widget reads.
 * @param {HTMLElement} root
 * @param {Bench} bench
 */
export function carry(root, { state, newest, floor }) {
  const { steps = 0, loss, unseen, tokensPerSecond } = newest;
  const write = (/** @type {number | null | undefined} */ number) => (number ?? '') === '' ? '' : String(number);
  Object.assign(root.dataset, {
    ...{ state, step: String(steps), loss: write(loss), unseenLoss: write(unseen), floor: write(floor) },
    tokensPerSecond: write(tokensPerSecond),
  });
}
