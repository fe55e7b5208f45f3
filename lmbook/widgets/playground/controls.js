// What a playground shows: all its controls, laid out, and how a state of it is drawn. What they do is playground.js.
import { softmax } from '../core/filters.js';
import { announcer, button, frame, h, newId, plural, segments } from '../kit/kit.js';
import { dialView, distributionView, textView } from './parts.js';
import { DIALS, MAX_PROMPT, shapeLogits, STRATEGIES } from './settings.js';

// `act` holds what the reader can do: {useModel, setPrompt, lookAt, take, step, play, undo, again, dice, share, turn,
// rest}. `corner` is the place where a reader's own text is counted.
export function playgroundControls(el, { names, corner, isShareable }, act) {
  const message = h('p', { class: 'lmw-message', id: newId('message') });
  const field = promptField(message, act.setPrompt);
  const picker = h('select', { onchange: () => picker.value && act.setPrompt(picker.value) });
  const models = segments('Who writes?', names.map((name) => [name, name]), act.useModel);
  const note = h('p', { class: 'lmw-quiet' });
  const text = textView(act.lookAt);
  const tally = h('p', { class: 'lmw-quiet lmp-tally' });
  const stepButton = button('Step', act.step, { class: 'lmw-button lmp-main' });
  const playButton = button('Play', act.play);
  const undoButton = button('Undo', act.undo);
  const againButton = button('Start again', act.again);
  const diceButton = button('New dice', act.dice);
  const linkButton = button('Copy link', act.share);
  const bar = h('progress', { max: 1, value: 0, hidden: true, 'aria-label': 'Progress' });
  const strategies = segments('How is a token chosen?', STRATEGIES, (value) => act.turn('strategy', value));
  const dials = DIALS.map((dial) => ({ ...dial, view: dialView(dial, act.turn) }));
  const plain = button('Set to rest', act.rest);
  const dialBox = h('div', { class: 'lmp-dials' }, dials.map(({ view }) => view.node), plain);
  const table = distributionView(act.take);
  const buttons = [stepButton, playButton, undoButton, againButton, diceButton, ...(isShareable ? [linkButton] : [])];
  const ask = h(
    'div',
    { class: 'lmw-line lmp-ask' },
    h('label', { class: 'lmw-field' }, h('span', {}, 'Your prompt'), field),
    h('label', { class: 'lmp-pick' }, h('span', {}, 'or pick one'), picker),
  );
  const root = frame(
    el,
    'playground',
    'Playground',
    models.node,
    note,
    corner,
    ask,
    message,
    text.node,
    tally,
    h('div', { class: 'lmw-line' }, buttons, bar),
    strategies.node,
    h('div', { class: 'lmp-columns' }, dialBox, table.node),
  );
  root.classList.add('lmw-playground');
  const heard = announcer(root);

  function say(words, isWrong = false) {
    message.textContent = words;
    message.classList.toggle('lmw-wrong', isWrong);
    if (words) heard.say(words);
  }

  function drawModel(name, words, prompts) {
    models.select(name);
    note.textContent = words;
    note.hidden = !words;
    picker.parentNode.hidden = prompts.length < 2;
    picker.replaceChildren(h('option', { value: '' }, 'your own'), ...prompts.map((p) => h('option', { value: p }, p)));
  }

  function drawPrompt(prompt) {
    if (field.value !== prompt) field.value = prompt;
    picker.value = prompt;
    if (picker.selectedIndex < 0) picker.value = '';
  }

  function drawButtons({ writing, settings, isBusy }) {
    const isSearch = settings.strategy === 'beam';
    playButton.textContent = isBusy ? 'Stop' : 'Play';
    stepButton.textContent = isSearch ? 'Search' : 'Step';
    stepButton.disabled = !writing;
    playButton.disabled = !writing && !isBusy;
    playButton.hidden = isSearch && !isBusy;
    undoButton.disabled = !writing?.past.length;
    againButton.disabled = !writing?.tokens.length;
    diceButton.hidden = settings.strategy !== 'sample';
    bar.hidden = !isBusy || playButton.hidden;
    if (!isBusy) bar.value = 0;
  }

  function drawSettings({ writing, settings }) {
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
    const left = after.reduce((count, p) => count + (p > 0), 0);
    const where = chosen < 0 ? 'Next token' : `In place of “${tokenizer.label(chosen)}”`;
    const heading = `${where}: ${left} of ${after.length} left`;
    table.draw({ heading, label: tokenizer.label, before: softmax(logits), after, chosen });
    Object.assign(root.dataset, { left, ids: writing.ids().join(' '), cursor: writing.cursor });
  }

  function drawText({ writing, prompt }) {
    const spelled = writing?.spelled() ?? { prompt, tokens: [] };
    text.draw(spelled.prompt, spelled.tokens, writing?.cursor ?? 0);
    if (!spelled.tokens.length) {
      tally.textContent = 'Nothing is written yet: Step writes one token, Play goes on.';
      return;
    }
    const [nats, rate] = [writing.surprise(), writing.rate];
    const measured = `${nats.toFixed(2)} nats each: perplexity ${Math.exp(nats).toFixed(2)}.`;
    const speed = rate ? ` The model makes ${Math.round(rate).toLocaleString('en')} a second.` : '';
    tally.textContent = `${plural(spelled.tokens.length, 'token')} written, ${measured}${speed}`;
    root.dataset.rate = rate;
  }

  function draw(state) {
    drawButtons(state);
    drawText(state);
    drawSettings(state);
  }

  const progress = (share) => (bar.value = share);
  const clear = () => (heard.stop(), root.remove());
  return { root, say, progress, draw, drawModel, drawPrompt, drawButtons, drawSettings, clear };
}

// Where the prompt is written. A pasted book never gets into the field itself: to lay it out would take seconds.
function promptField(message, onprompt) {
  const field = h('textarea', {
    rows: 2,
    spellcheck: 'false',
    autocapitalize: 'none',
    dir: 'auto',
    'aria-describedby': message.id,
    oninput: () => onprompt(field.value),
  });
  field.addEventListener('paste', (event) => {
    const pasted = event.clipboardData?.getData('text/plain') ?? '';
    if (pasted.length < MAX_PROMPT) return;
    event.preventDefault();
    onprompt(pasted);
  });
  return field;
}
