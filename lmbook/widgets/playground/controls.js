// The controls of a playground, their layout, and how a state is drawn. player.js does what they ask for.
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
import { DIALS, MAX_PROMPT, STRATEGIES } from './settings.js';

/** @import { DialKey, Settings, Strategy } from './settings.js' */
/** @import { Wanted } from './desk.js' */
/** @import { PlayerState, Seen } from './player.js' */
/** @import { Writing } from './text.js' */

/** @typedef {{ writing: Writing | null, settings: Settings, prompt: string, isBusy: boolean, seen: Seen | null,
 *   vocabSize: number }} PlayState `seen` is drawn; `writing` may be ahead of it */
/** @typedef {ReturnType<typeof playgroundControls>} Controls */
/** @typedef {ReturnType<typeof makeParts>} Parts */

/**
 * What the reader can do.
 * @typedef {object} Act
 * @property {(name: string) => void} useModel
 * @property {(words: string) => void} setPrompt
 * @property {(place: number) => void} lookAt
 * @property {(id: number) => void} take
 * @property {(wanted: Partial<Wanted>) => void} want
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
 * @param {{ names: string[], corners: Map<string, HTMLElement>, isShareable: boolean }} given `corners` are the places
 *     where a reader makes or loads a model, by its name
 * @param {Act} act
 */
export function playgroundControls(el, { names, corners, isShareable }, act) {
  const parts = makeParts(names, act);
  const root = layOut(el, parts, [...corners.values()], isShareable);
  const heard = announcer(root);

  /**
   * @param {string} words
   * @param {boolean} [isWrong]
   */
  function say(words, isWrong = false) {
    parts.message.tell(words, isWrong);
    if (words) heard.say(words);
  }

  /** @type {(name: string, words: string, prompts: string[]) => void} */
  const model = (name, words, prompts) => drawModel(parts, corners, name, words, prompts);

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
  const dials = (state) => drawDials(parts, state);
  /** @param {PlayState} state */
  function draw(state) {
    drawButtons(parts, state);
    drawText(parts, state);
    drawDials(parts, state);
    drawTable(root, parts, state);
  }

  /**
   * @param {PlayerState} state
   * @param {string} model
   * @param {number} rate tokens per second, 0 if it isn't known
   */
  function drawState(state, model, rate) {
    Object.assign(root.dataset, { state, model, tokensPerSecond: rate.toFixed(1) });
    if (state === 'running' || state === 'loading') return;
    parts.bar.hidden = true;
    parts.bar.value = 0;
  }

  /** @param {number} share */
  const progress = (share) => {
    parts.bar.hidden = false;
    parts.bar.value = share;
  };
  const clear = () => (heard.stop(), root.remove());
  const parted = { drawModel: model, drawButtons: buttons, drawDials: dials };
  return { root, say, progress, draw, drawPrompt, drawState, clear, ...parted };
}

/**
 * @param {Parts} parts
 * @param {Map<string, HTMLElement>} corners
 * @param {string} name
 * @param {string} words about the model
 * @param {string[]} prompts to pick from
 */
function drawModel({ models, note, pick, picker }, corners, name, words, prompts) {
  models.select(name);
  for (const [of, corner] of corners) corner.hidden = of !== name;
  note.textContent = words;
  note.hidden = !words;
  pick.hidden = prompts.length < 2;
  /** @type {[string, string][]} */
  const options = prompts.map((prompt) => [prompt, prompt]);
  setOptions(picker, [['', 'your own'], ...options]);
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
    table: distributionView(act),
  };
}

/**
 * @param {HTMLElement} el
 * @param {Parts} parts
 * @param {HTMLElement[]} corners
 * @param {boolean} isShareable
 */
function layOut(el, parts, corners, isShareable) {
  const { message, area, pick, models, note, text, tally, bar, strategies, dials, plain, table } = parts;
  const buttons = [parts.step, parts.play, parts.undo, parts.again, parts.dice, ...(isShareable ? [parts.link] : [])];
  const root = frame(
    el,
    'playground',
    'Playground',
    models.node,
    note,
    ...corners,
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
function drawButtons({ step, play, undo, again, dice }, { writing, settings, isBusy }) {
  const isSearch = settings.strategy === 'beam';
  play.textContent = isBusy ? 'Stop' : 'Play';
  step.textContent = isSearch ? 'Search' : 'Step';
  step.disabled = !writing;
  play.disabled = !writing && !isBusy;
  play.hidden = isSearch && !isBusy;
  undo.disabled = !writing?.past.length;
  again.disabled = !writing?.tokens.length;
  dice.hidden = settings.strategy !== 'sample';
}

/**
 * @param {Parts} parts
 * @param {PlayState} state
 */
function drawDials({ strategies, dials, plain }, { settings, vocabSize }) {
  strategies.select(settings.strategy);
  for (const { key, of, view } of dials) {
    view.node.hidden = of !== settings.strategy;
    view.draw(settings[key], vocabSize);
  }
  plain.hidden = settings.strategy === 'greedy';
}

/**
 * @param {HTMLElement} root
 * @param {Parts} parts
 * @param {PlayState} state
 */
function drawTable(root, { table }, { seen }) {
  if (!seen) return table.empty('Next token: the prompt can’t be read yet.');
  table.draw(seen.table, seen.ids[seen.cursor] ?? -1);
  const { promptIds, ids, cursor } = seen;
  Object.assign(root.dataset, {
    left: seen.table.left,
    ids: [...promptIds, ...ids.slice(0, cursor)].join(' '),
    cursor,
  });
}

/**
 * @param {Parts} parts
 * @param {PlayState} state
 */
function drawText({ text, tally }, { seen, writing, prompt }) {
  const tokens = seen?.tokens.map((token, i) => ({ ...token, p: seen.shares[i] })) ?? [];
  text.draw(seen?.prompt ?? prompt, tokens, seen?.cursor ?? 0);
  if (!seen || !writing || !tokens.length) {
    tally.textContent = 'Nothing is written yet: Step writes one token, Play goes on.';
    return;
  }
  const nats = seen.shares.reduce((sum, p) => sum - Math.log(p), 0) / tokens.length;
  const measured = `${nats.toFixed(2)} nats each: perplexity ${Math.exp(nats).toFixed(2)}.`;
  const speed = seen.rate ? ` The model makes ${Math.round(seen.rate).toLocaleString('en')} a second.` : '';
  tally.textContent = `${plural(tokens.length, 'token')} written, ${measured}${speed}`;
}
