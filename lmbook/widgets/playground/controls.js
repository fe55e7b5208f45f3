// The controls of a playground, their layout, and how a state is drawn. player.js does what they ask for.
import { softmax } from '../core/filters.js';
import {
  announcer,
  button,
  dropDown,
  field,
  frame,
  h,
  line,
  newId,
  plural,
  quiet,
  segments,
  setOptions,
} from '../kit/kit.js';
import { messageLine } from '../kit/text_field.js';
import { dialView, distributionView, textView } from './parts.js';
import { DIALS, MAX_PROMPT, shapeLogits, STRATEGIES } from './settings.js';

/** @import { DialKey, Settings, Strategy } from './settings.js' */
/** @import { Writing } from './text.js' */

/** @typedef {{ writing: Writing | null, settings: Settings, prompt: string, isBusy: boolean }} PlayState */
/** @typedef {ReturnType<typeof playgroundControls>} Controls */
/** @typedef {ReturnType<typeof makeParts>} Parts */

/**
 * What the reader can do.
 * @typedef {object} Act
 * @property {(name: string) => void} useModel
 * @property {(words: string) => void} setPrompt
 * @property {(place: number) => void} lookAt
 * @property {(id: number) => void} take
 * @property {() => void} step
 * @property {() => void} play
 * @property {() => void} undo
 * @property {() => void} again
 * @property {() => void} dice
 * @property {() => void} share
 * @property {(...setting: [DialKey, number] | ['strategy', Strategy]) => void} turn
 * @property {() => void} rest
 */

/**
 * @param {HTMLElement} el
 * @param {{ names: string[], corner: HTMLElement, isShareable: boolean }} given `corner` is the place where a reader's
 *     own text is counted
 * @param {Act} act
 */
export function playgroundControls(el, { names, corner, isShareable }, act) {
  const parts = makeParts(names, act);
  const root = layOut(el, parts, corner, isShareable);
  const heard = announcer(root);

  /**
   * @param {string} words
   * @param {boolean} [isWrong]
   */
  function say(words, isWrong = false) {
    parts.message.tell(words, isWrong);
    if (words) heard.say(words);
  }

  /**
   * @param {string} name
   * @param {string} words about the model
   * @param {string[]} prompts to pick from
   * @param {boolean} isOwn whether it is the reader's own text
   */
  function drawModel(name, words, prompts, isOwn) {
    const { models, note, picker } = parts;
    models.select(name);
    corner.hidden = !isOwn;
    note.textContent = words;
    note.hidden = !words;
    parts.pick.hidden = prompts.length < 2;
    /** @type {[string, string][]} */
    const options = prompts.map((prompt) => [prompt, prompt]);
    setOptions(picker, [['', 'your own'], ...options]);
  }

  /** @param {string} prompt */
  function drawPrompt(prompt) {
    const { area, picker } = parts;
    if (area.value !== prompt) area.value = prompt;
    picker.value = prompt;
    if (picker.selectedIndex < 0) picker.value = '';
  }

  /** @param {PlayState} state */
  const buttons = (state) => drawButtons(parts, state);
  /** @param {PlayState} state */
  const settings = (state) => drawSettings(root, parts, state);
  /** @param {PlayState} state */
  function draw(state) {
    drawButtons(parts, state);
    drawText(root, parts, state);
    drawSettings(root, parts, state);
  }

  /** @param {number} share */
  const progress = (share) => {
    parts.bar.value = share;
  };
  const clear = () => (heard.stop(), root.remove());
  return { root, say, progress, draw, drawModel, drawPrompt, drawButtons: buttons, drawSettings: settings, clear };
}

/**
 * @param {string[]} names
 * @param {Act} act
 */
function makeParts(names, act) {
  const message = messageLine({ id: newId('message') });
  const picker = dropDown((prompt) => prompt && act.setPrompt(prompt));
  /** @type {[string, string][]} */
  const choices = names.map((name) => [name, name]);
  return {
    message,
    area: promptArea(message.node.id, act.setPrompt),
    picker,
    pick: h('label', { class: 'lmp-pick' }, h('span', {}, 'or pick one'), picker),
    models: segments('Who writes?', choices, act.useModel),
    note: quiet(),
    text: textView(act.lookAt),
    tally: h('p', { class: 'lmw-quiet lmp-tally' }),
    step: button('Step', act.step, { class: 'lmw-button lmp-main' }),
    play: button('Play', act.play),
    undo: button('Undo', act.undo),
    again: button('Start again', act.again),
    dice: button('New dice', act.dice),
    link: button('Copy link', act.share),
    bar: h('progress', { max: 1, value: 0, hidden: true, 'aria-label': 'Progress' }),
    strategies: segments(
      'How is a token chosen?',
      STRATEGIES,
      (/** @type {Strategy} */ value) => act.turn('strategy', value),
    ),
    dials: DIALS.map((dial) => ({ ...dial, view: dialView(dial, act.turn) })),
    plain: button('Set to rest', act.rest),
    table: distributionView(act.take),
  };
}

/**
 * @param {HTMLElement} el
 * @param {Parts} parts
 * @param {HTMLElement} corner
 * @param {boolean} isShareable
 */
function layOut(el, parts, corner, isShareable) {
  const { message, area, pick, models, note, text, tally, bar, strategies, dials, plain, table } = parts;
  const buttons = [parts.step, parts.play, parts.undo, parts.again, parts.dice, ...(isShareable ? [parts.link] : [])];
  const root = frame(
    el,
    'playground',
    'Playground',
    models.node,
    note,
    corner,
    h(
      'div',
      { class: 'lmw-line lmp-ask' },
      field('Your prompt', area),
      pick,
    ),
    message.node,
    text.node,
    tally,
    line(buttons, bar),
    strategies.node,
    h(
      'div',
      { class: 'lmp-columns' },
      h('div', { class: 'lmp-dials' }, dials.map(({ view }) => view.node), plain),
      table.node,
    ),
  );
  root.classList.add('lmw-playground');
  return root;
}

/**
 * The field of the prompt. A long pasted text is cut before it gets into the field: its layout would take seconds.
 * @param {string} messageId
 * @param {(words: string) => void} onprompt
 */
function promptArea(messageId, onprompt) {
  const area = h('textarea', {
    rows: 2,
    spellcheck: 'false',
    autocapitalize: 'none',
    dir: 'auto',
    'aria-describedby': messageId,
    oninput: () => onprompt(area.value),
  });
  area.addEventListener('paste', (/** @type {ClipboardEvent} */ event) => {
    const pasted = event.clipboardData?.getData('text/plain') ?? '';
    if (pasted.length < MAX_PROMPT) return;
    event.preventDefault();
    onprompt(pasted);
  });
  return area;
}

/**
 * @param {Parts} parts
 * @param {PlayState} state
 */
function drawButtons({ step, play, undo, again, dice, bar }, { writing, settings, isBusy }) {
  const isSearch = settings.strategy === 'beam';
  play.textContent = isBusy ? 'Stop' : 'Play';
  step.textContent = isSearch ? 'Search' : 'Step';
  step.disabled = !writing;
  play.disabled = !writing && !isBusy;
  play.hidden = isSearch && !isBusy;
  undo.disabled = !writing?.past.length;
  again.disabled = !writing?.tokens.length;
  dice.hidden = settings.strategy !== 'sample';
  bar.hidden = !isBusy || play.hidden;
  if (!isBusy) bar.value = 0;
}

/**
 * @param {HTMLElement} root
 * @param {Parts} parts
 * @param {PlayState} state
 */
function drawSettings(root, { strategies, dials, plain, table }, { writing, settings }) {
  strategies.select(settings.strategy);
  for (const { key, of, view } of dials) {
    view.node.hidden = of !== settings.strategy;
    view.draw(settings[key], writing?.net.vocabSize ?? 100);
  }
  plain.hidden = settings.strategy === 'greedy';
  if (!writing) return table.empty('Next token: the prompt can’t be read yet.');
  const { tokenizer } = writing.net;
  const logits = writing.logits();
  const chosen = writing.tokens[writing.cursor]?.id ?? -1;
  const after = softmax(shapeLogits(logits, settings));
  const left = after.reduce((count, p) => count + (p > 0 ? 1 : 0), 0);
  const where = chosen < 0 ? 'Next token' : `In place of “${tokenizer.label(chosen)}”`;
  const heading = `${where}: ${left} of ${after.length} left`;
  table.draw({ heading, label: tokenizer.label, before: softmax(logits), after, chosen });
  Object.assign(root.dataset, { left, ids: writing.ids().join(' '), cursor: writing.cursor });
}

/**
 * @param {HTMLElement} root
 * @param {Parts} parts
 * @param {PlayState} state
 */
function drawText(root, { text, tally }, { writing, prompt }) {
  const spelled = writing?.spelled() ?? { prompt, tokens: [] };
  text.draw(spelled.prompt, spelled.tokens, writing?.cursor ?? 0);
  if (!writing || !spelled.tokens.length) {
    tally.textContent = 'Nothing is written yet: Step writes one token, Play goes on.';
    return;
  }
  const [nats, rate] = [writing.surprise(), writing.rate];
  const measured = `${nats.toFixed(2)} nats each: perplexity ${Math.exp(nats).toFixed(2)}.`;
  const speed = rate ? ` The model makes ${Math.round(rate).toLocaleString('en')} a second.` : '';
  tally.textContent = `${plural(spelled.tokens.length, 'token')} written, ${measured}${speed}`;
  root.dataset.rate = String(rate);
}
