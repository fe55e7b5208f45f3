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
import { messageLine, textInput } from '../kit/text_field.js';
import { chainView } from './chain.js';
import { listingView, logTable } from './findings.js';
import { distributionView, textView } from './parts.js';
import { MAX_PROMPT, MAX_STOP, SIDES, STRATEGIES } from './settings.js';

/** @import { ChainActs } from './chain.js' */
/** @import { Scope, Settings, Strategy } from './settings.js' */
/** @import { SideNumber, Wanted } from './desk.js' */
/** @import { Listing, Side } from './player.js' */
/** @import { PlayerState } from './runner.js' */
/** @import { Seen } from './sight.js' */

/**
 * @typedef {object} PlayState
 * @property {Side[]} texts one, or two that are compared; `seen` is drawn, `writing` may be ahead of it
 * @property {SideNumber} active whose settings and distribution are shown
 * @property {boolean} isPaired
 * @property {string} prompt
 * @property {boolean} isBusy
 * @property {Settings} settings
 * @property {Seen | null} seen
 * @property {Listing | null} listing
 * @property {number} vocabSize
 */
/** @typedef {ReturnType<typeof playgroundControls>} Controls */
/** @typedef {ReturnType<typeof makeParts>} Parts */

const LUCK = 'Same luck: at each place both draw with the same random number. As long as texts and settings agree, ' +
  'so do the tokens; where they part first, the settings did it.';

/**
 * What the reader can do.
 * @typedef {object} ReaderActs
 * @property {(name: string) => void} useModel
 * @property {(words: string) => void} setPrompt
 * @property {(side: SideNumber, place: number) => void} lookAt
 * @property {(id: number) => void} take
 * @property {(place: number) => void} takeListed
 * @property {(wanted: Partial<Wanted>) => void} want
 * @property {() => void} step
 * @property {() => void} play
 * @property {() => void} undo
 * @property {() => void} again
 * @property {() => void} dice
 * @property {() => void} pair
 * @property {(side: SideNumber) => void} show
 * @property {() => void} share
 * @property {(...setting: ['strategy', Strategy] | ['scope', Scope] | ['stop', string]) => void} set
 * @property {() => void} rest
 */
/** @typedef {ReaderActs & ChainActs} Act */

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
    drawTexts(parts, state);
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
    texts: /** @type {SideNumber[]} */ ([0, 1]).map((side) => sideView(side, act)),
    rows: h('div', { class: 'lmp-texts' }),
    luck: quiet(LUCK),
    sides: segments('Settings and distribution of', [[0, SIDES[0]], [1, SIDES[1]]], act.show),
    step: button('Step', act.step, { class: 'lmw-button lmp-main' }),
    play: button('Play', act.play),
    undo: button('Undo', act.undo),
    again: button('Start again', act.again),
    dice: button('New dice', act.dice),
    pair: button('Compare', act.pair, { 'aria-pressed': 'false' }),
    link: button('Copy link', act.share),
    bar: h('progress', { max: 1, value: 0, hidden: true, 'aria-label': 'Progress' }),
    strategies: segments(
      'How is a token chosen?',
      STRATEGIES,
      (/** @type {Strategy} */ value) => act.set('strategy', value),
    ),
    chain: chainView(act),
    ...textSettings(act),
    plain: button('Set to rest', act.rest),
    table: distributionView(act),
    listing: listingView(act.takeListed),
    logs: logTable(),
  };
}

/**
 * Settings that are no sliders: what penalties count, and where a text stops.
 * @param {Act} act
 */
function textSettings(act) {
  /** @type {[Scope, string][]} */
  const scopes = [['all', 'prompt too'], ['written', 'text only']];
  const stop = textInput(MAX_STOP, (typed) => act.set('stop', typed), { autocapitalize: 'none', 'data-stop': '' });
  const hint = 'Stop strings, with | between several; \\n is a line break';
  return {
    scope: segments('Penalties count', scopes, (/** @type {Scope} */ value) => act.set('scope', value)),
    stop,
    stopField: field(hint, stop),
  };
}

/**
 * One of two texts: its name, where there are two, the text, and what is measured on it.
 * @param {SideNumber} side
 * @param {Act} act
 */
function sideView(side, act) {
  const name = h('p', { class: 'lmp-name' }, SIDES[side]);
  const text = textView(`Text ${SIDES[side]}`, (place) => act.lookAt(side, place));
  const tally = h('p', { class: 'lmw-quiet lmp-tally' });
  return { node: h('div', { 'data-side': SIDES[side] }, name, text.node, tally), name, text, tally };
}

/**
 * @param {HTMLElement} el
 * @param {Parts} parts
 * @param {HTMLElement[]} corners
 * @param {boolean} isShareable
 */
function layOut(el, parts, corners, isShareable) {
  const { message, area, pick, models, note, rows, bar, luck, sides, strategies, chain, scope, stopField } = parts;
  const { step, play, undo, again, dice, pair, link, plain, table, listing, logs } = parts;
  const buttons = [step, play, undo, again, dice, pair, ...(isShareable ? [link] : [])];
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
    rows,
    line(buttons, bar),
    luck,
    sides.node,
    strategies.node,
    h(
      'div',
      { class: 'lmp-columns' },
      h('div', { class: 'lmp-dials' }, chain.node, scope.node, stopField, plain),
      h('div', {}, listing.node, table.node, logs.node),
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
function drawButtons({ step, play, undo, again, dice, pair, luck, sides }, { texts, active, isPaired, isBusy }) {
  const strategies = texts.map(({ settings }) => settings.strategy);
  const hasWriting = texts.every(({ writing }) => writing !== null);
  play.textContent = isBusy ? 'Stop' : 'Play';
  step.textContent = strategies.every((one) => one === 'beam') ? 'Search' : 'Step';
  step.disabled = !hasWriting;
  play.disabled = !hasWriting && !isBusy;
  play.hidden = strategies.includes('beam') && !isBusy;
  undo.disabled = !texts.some(({ writing }) => writing?.past.length);
  again.disabled = !texts.some(({ writing }) => writing?.tokens.length);
  dice.hidden = !strategies.includes('sample');
  pair.setAttribute('aria-pressed', String(isPaired));
  pair.textContent = isPaired ? `Keep ${SIDES[active]} only` : 'Compare';
  luck.hidden = sides.node.hidden = !isPaired;
  sides.select(active);
}

/**
 * @param {Parts} parts
 * @param {PlayState} state
 */
function drawDials({ strategies, chain, scope, stop, stopField, plain }, { settings, vocabSize }) {
  strategies.select(settings.strategy);
  chain.draw(settings, vocabSize);
  scope.select(settings.scope);
  if (stop.value !== settings.stop) stop.value = settings.stop;
  scope.node.hidden = stopField.hidden = settings.strategy === 'beam';
  plain.hidden = false;
}

/**
 * @param {HTMLElement} root
 * @param {Parts} parts
 * @param {PlayState} state
 */
function drawTable(root, { table, listing: found, logs }, { texts, active, seen, listing }) {
  found.draw(listing);
  logs.draw(seen, texts[active].writing?.tokens ?? []);
  if (!seen?.table) {
    for (const key of ['left', 'ids', 'cursor']) delete root.dataset[key];
    const why = seen ? 'the text isn’t read to its end; Step and Play read on' : 'the prompt can’t be read yet';
    return table.empty(`Next token: ${why}.`);
  }
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
function drawTexts({ texts: views, rows }, { texts, prompt, isPaired }) {
  const shown = views.slice(0, texts.length);
  if (rows.children.length !== shown.length) rows.replaceChildren(...shown.map(({ node }) => node));
  shown.forEach(({ name, text, tally }, n) => {
    name.hidden = !isPaired;
    const { seen } = texts[n];
    const tokens = seen?.tokens.map((token, i) => ({ ...token, p: seen.shares[i] })) ?? [];
    const first = seen?.judgement ? seen.judgement.first : -1;
    text.draw(seen?.prompt ?? prompt, tokens, seen?.cursor ?? 0, first - (seen?.promptIds.length ?? 0));
    tally.textContent = seen?.tokens.length
      ? [measured(seen), verdict(seen)].filter(Boolean).join(' ')
      : 'Nothing is written yet: Step writes one token, Play goes on.';
  });
}

/** @param {Seen} seen */
function measured({ tokens, shares, rate }) {
  const nats = shares.reduce((sum, p) => sum - Math.log(p), 0) / tokens.length;
  const speed = rate ? ` The model makes ${Math.round(rate).toLocaleString('en')} a second.` : '';
  const told = `${nats.toFixed(2)} nats each: perplexity ${Math.exp(nats).toFixed(2)}.`;
  return `${plural(tokens.length, 'token')} written, ${told}${speed}`;
}

/**
 * What the exact language says of a text; "" where there is none.
 * @param {Seen} seen
 */
function verdict({ judgement, promptIds, tokens }) {
  if (!judgement) return '';
  const at = judgement.first - promptIds.length;
  if (judgement.first < 0) return 'The exact language can produce all of it.';
  if (at < 0) return 'The exact language can’t produce the prompt.';
  return `The exact language can’t produce word ${at + 1}, “${tokens[at].label}”, here.`;
}
