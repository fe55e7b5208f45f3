// The playground: a prompt, a model that answers in the page, and everything that stands between logits and a token.
import { softmax } from './filters.js';
import { announcer, button, frame, h, newId, plural, segments } from './kit.js';
import { loadInSteps } from './models.js';
import { ownCorner } from './playground_own.js';
import { dialView, distributionView, textView } from './playground_parts.js';
import { beamSteps, greedyDecode, logSoftmax } from './search.js';
import { inSlices, pause } from './slices.js';
import {
  chooseToken,
  cutPrompt,
  DIALS,
  MAX_PROMPT,
  MAX_WRITTEN,
  plainSettings,
  readLink,
  readPrompt,
} from './writing.js';
import { shapeLogits, STRATEGIES, unitOf, writeLink } from './writing.js';

const OWN = 'Your own text';
const PACE = { words: 130, word: 130, char: 40, byte: 25, bpe: 90 }; // milliseconds between two tokens of Play
const DELAY = 250; // after the last change of a prompt or a dial, before the state is kept

// A text that a model is writing: the ids of the prompt, and then tokens [{id, p}], p as the model itself gave it.
// `cursor` is the place whose distribution is asked for: after the last token, or before one that was written.
class Writing {
  constructor(net, promptIds) {
    Object.assign(this, { net, promptIds, tokens: [], cursor: 0, past: [], session: net.session([]) });
    this.speed = { tokens: 0, time: 0 };
  }

  ids(length = this.cursor) {
    return [...this.promptIds, ...this.tokens.slice(0, length).map(({ id }) => id)];
  }

  logits() {
    const [ids, start] = [this.ids(), performance.now()];
    const isNext = ids.length === this.session.ids.length + 1;
    const { logits } = this.session.follow(ids);
    if (isNext) this.speed = { tokens: this.speed.tokens + 1, time: this.speed.time + performance.now() - start };
    return logits;
  }

  get room() {
    return Math.min(this.net.contextLength - this.ids().length, MAX_WRITTEN - this.cursor);
  }

  // Writes `ids` at the cursor, in place of what stood there.
  write(ids) {
    this.past.push(this.tokens);
    this.tokens = this.tokens.slice(0, this.cursor);
    for (const id of ids) {
      this.tokens.push({ id, p: softmax(this.logits())[id] });
      this.cursor += 1;
    }
  }

  undo() {
    this.tokens = this.past.pop() ?? this.tokens;
    this.cursor = this.tokens.length;
  }

  // Mean −log P of the written tokens, in nats.
  surprise() {
    return this.tokens.reduce((sum, { p }) => sum - Math.log(p), 0) / this.tokens.length;
  }
}

function render({ model, el }) {
  const headers = model.get('headers');
  const about = new Map(model.get('about').map((entry) => [entry.name, entry]));
  const names = headers.map(({ name }) => name);
  const hasOwn = model.get('own_text');
  const nets = new Map(); // by name, once they are loaded
  const prompts = new Map([[OWN, ''], ...names.map((name) => [name, about.get(name).prompts[0]])]);
  const kept = model.get('state');
  let settings = { ...plainSettings(), ...kept.settings };
  let current = names.includes(kept.model) ? kept.model : names[0];
  let writing = null; // null while the prompt can't be read
  let busy = null; // the AbortController of what is running: play, search or loading
  let keeper = null;

  const isShareable = Boolean(el.closest('.lm-widget')); // a page of the book, whose address leads back here
  const message = h('p', { class: 'lmw-message', id: newId('message') });
  const field = h('textarea', {
    rows: 2,
    spellcheck: 'false',
    autocapitalize: 'none',
    dir: 'auto',
    'aria-describedby': message.id,
    oninput: () => setPrompt(field.value),
  });
  field.addEventListener('paste', (event) => {
    const pasted = event.clipboardData?.getData('text/plain') ?? '';
    if (pasted.length < MAX_PROMPT) return;
    event.preventDefault();
    setPrompt(pasted);
  });
  const picker = h('select', { onchange: () => picker.value && setPrompt(picker.value) });
  const models = segments('Who writes?', [...names, ...(hasOwn ? [OWN] : [])].map((n) => [n, n]), (n) => useModel(n));
  const note = h('p', { class: 'lmw-quiet' });
  const text = textView((place) => lookAt(place));
  const tally = h('p', { class: 'lmw-quiet lmp-tally' });
  const stepButton = button('Step', () => step(), { class: 'lmw-button lmp-main' });
  const playButton = button('Play', () => (busy ? stop() : play()));
  const undoButton = button('Undo', () => change(() => writing.undo()));
  const againButton = button('Start again', () => change(startAgain));
  const diceButton = button('New dice', () => turn('seed', (settings.seed % 9999) + 1));
  const linkButton = button('Copy link', () => share());
  const strategies = segments('How is a token chosen?', STRATEGIES, (value) => (stop(), turn('strategy', value)));
  const dials = DIALS.map((dial) => ({ ...dial, view: dialView(dial, turn) }));
  const plain = button('Set to rest', () => rest());
  const dialBox = h('div', { class: 'lmp-dials' }, dials.map(({ view }) => view.node), plain);
  const table = distributionView((id) => change(() => take(id)));
  const corner = ownCorner(OWN, (net) => (nets.set(OWN, net), useModel(OWN)));
  const bar = h('progress', { max: 1, value: 0, hidden: true, 'aria-label': 'Progress' });

  const root = frame(
    el,
    'playground',
    'Playground',
    models.node,
    note,
    corner.node,
    h(
      'div',
      { class: 'lmw-line lmp-ask' },
      h('label', { class: 'lmw-field' }, h('span', {}, 'Your prompt'), field),
      h('label', { class: 'lmp-pick' }, h('span', {}, 'or pick one'), picker),
    ),
    message,
    text.node,
    tally,
    h(
      'div',
      { class: 'lmw-line' },
      stepButton,
      playButton,
      undoButton,
      againButton,
      diceButton,
      ...(isShareable ? [linkButton] : []),
      bar,
    ),
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

  // ---- What the reader does -------------------------------------------------------------------------------------

  async function useModel(name, { prompt = prompts.get(name), ids = [] } = {}) {
    stop();
    current = name;
    models.select(name);
    corner.node.hidden = name !== OWN;
    drawNote();
    writing = null;
    if (name !== OWN && !nets.has(name)) await load(name);
    if (current !== name) return; // the reader has gone on to another
    const known = about.get(name)?.prompts ?? [];
    picker.parentNode.hidden = known.length < 2;
    picker.replaceChildren(h('option', { value: '' }, 'your own'), ...known.map((p) => h('option', { value: p }, p)));
    drawNote();
    setPrompt(prompt, ids);
  }

  async function load(name) {
    const header = headers[names.indexOf(name)];
    say('Loading …');
    await run(async (signal) => {
      const onProgress = (share) => (say('Counting its text …'), bar.value = share);
      nets.set(name, await inSlices(loadInSteps(header, model.get('weights')), { onProgress, signal }));
    });
  }

  // A new prompt; `ids` continue it, as far as the model knows them and has room.
  function setPrompt(words, ids = []) {
    stop();
    const prompt = cutPrompt(words);
    prompts.set(current, prompt);
    if (field.value !== prompt) field.value = prompt;
    picker.value = (about.get(current)?.prompts ?? []).includes(prompt) ? prompt : '';
    const net = nets.get(current);
    const read = net ? readPrompt(net, prompt) : { problem: current === OWN ? 'Count a text first.' : 'Not loaded.' };
    writing = read.problem ? null : new Writing(net, read.ids);
    const cut = words.length > MAX_PROMPT
      ? `Of ${words.length.toLocaleString('en')} characters the first ${MAX_PROMPT.toLocaleString('en')} were taken. `
      : '';
    if (writing && ids.length) writing.write(ids.filter((id) => id < net.vocabSize).slice(0, writing.room));
    say(cut + (read.problem || read.note), Boolean(read.problem));
    draw();
  }

  function turn(key, value) {
    settings = { ...settings, [key]: value };
    drawButtons();
    drawDials();
    drawDistribution();
    keep();
  }

  function rest() {
    const { strategy, seed } = settings;
    settings = { ...plainSettings(), strategy, seed };
    turn('strategy', strategy);
  }

  function lookAt(place) {
    stop();
    writing.cursor = place === writing.cursor ? writing.tokens.length : place;
    draw();
  }

  // Undo, start again, take a token: whatever changes the text at once.
  function change(act) {
    stop();
    if (!writing) return;
    say('');
    act();
    draw();
    keep();
  }

  function take(id) {
    if (writing.room < 1) sayFull();
    else writing.write([id]);
  }

  function startAgain() {
    writing.cursor = 0;
    writing.write([]);
  }

  function sayFull() {
    const limit = writing.cursor >= MAX_WRITTEN
      ? `${MAX_WRITTEN} tokens are written, which is as far as a playground goes`
      : `The context is full: this model reads at most ${unitOf(writing.net, writing.net.contextLength)}`;
    say(`${limit}. Undo, start again, or shorten the prompt.`, true);
  }

  // One token, or what a beam search finds. Returns whether there can be more.
  function writeOne() {
    if (writing.room < 1) return sayFull(), false;
    writing.write([chooseToken(writing.logits(), settings, writing.ids().length)]);
    say('');
    draw();
    return true;
  }

  function step() {
    stop();
    if (!writing) return;
    if (settings.strategy === 'beam') run(search);
    else writeOne();
    keep();
  }

  function play() {
    if (!writing) return;
    run(async (signal) => {
      if (settings.strategy === 'beam') return await search(signal);
      while (writing && writeOne()) {
        await pause(PACE[writing.net.tokenizer.kind]);
        signal.throwIfAborted();
      }
    });
  }

  // Looks for the likeliest continuation, and tells how far greedy decoding gets.
  async function search(signal) {
    if (writing.room < 1) return sayFull();
    const [{ net }, prompt] = [writing, writing.ids()];
    const length = Math.min(settings.length, writing.room);
    const onProgress = (
      step,
    ) => (say(`Beam search: ${step.length} of ${plural(length, 'token')}`), bar.value = step.length / length);
    const found = await inSlices(beamSteps(net, prompt, settings.beams, length), { onProgress, signal });
    const session = net.session(prompt);
    const greedy = greedyDecode(net, prompt, length).slice(prompt.length);
    const logP = greedy.reduce((sum, id) => {
      const more = logSoftmax(session.logits)[id];
      session.push(id);
      return sum + more;
    }, 0);
    writing.write(found.ids.slice(prompt.length));
    draw();
    const [best, plainly] = [found.logProb, logP].map((x) => `−${Math.abs(x).toFixed(2)}`);
    say(`${plural(settings.beams, 'beam')}, ${plural(length, 'token')}: log P = ${best}. Greedy comes to ${plainly}.`);
  }

  // ---- Running, stopping, sharing ------------------------------------------------------------------------------

  async function run(work) {
    stop();
    const mine = busy = new AbortController();
    drawButtons();
    try {
      await work(mine.signal);
    } catch (error) {
      if (error.name !== 'AbortError') say(error.message, true);
    }
    if (busy === mine) busy = null;
    drawButtons();
    keep();
  }

  function stop() {
    busy?.abort();
    busy = null;
    drawButtons();
  }

  function stateNow() {
    const ids = writing ? writing.tokens.map(({ id }) => id) : [];
    return { model: current, prompt: prompts.get(current), ids, settings };
  }

  function keep() {
    clearTimeout(keeper);
    keeper = setTimeout(() => {
      model.set('state', stateNow());
      model.save_changes();
    }, DELAY);
  }

  async function share() {
    history.replaceState(null, '', writeLink(stateNow()));
    const own = current === OWN ? ' It doesn’t carry your text, which stays in this page.' : '';
    try {
      await navigator.clipboard.writeText(location.href);
      say(`The link is copied, and stands in the address bar.${own}`);
    } catch {
      say(`The link stands in the address bar.${own}`);
    }
  }

  function openLink() {
    const link = isShareable ? readLink(location.hash) : null;
    if (!link) return false;
    settings = link.settings;
    const isKnown = names.includes(link.model) || (hasOwn && link.model === OWN);
    useModel(isKnown ? link.model : names[0], link).then(() => {
      if (!isKnown) say(`There is no model “${link.model.slice(0, 40)}” here; this is ${names[0]}.`, true);
      if (link.model === OWN && !nets.has(OWN)) say('This link was made with a text that it doesn’t carry: paste one.');
    });
    root.scrollIntoView({ block: 'nearest' });
    return true;
  }

  // ---- Drawing --------------------------------------------------------------------------------------------------

  function draw() {
    drawButtons();
    drawDials();
    if (writing) {
      const { tokenizer } = writing.net;
      const start = writing.promptIds;
      let before = tokenizer.decode(start);
      const tokens = writing.tokens.map(({ id, p }, i) => {
        const whole = tokenizer.decode([...start, ...writing.tokens.slice(0, i + 1).map((token) => token.id)]);
        const added = whole.slice(before.length);
        before = whole;
        return { text: added, label: tokenizer.label(id), p };
      });
      text.draw(tokenizer.decode(start), tokens, writing.cursor);
    } else {
      text.draw(prompts.get(current), [], 0);
    }
    drawTally();
    drawDistribution();
  }

  function drawTally() {
    const count = writing?.tokens.length ?? 0;
    if (!count) return tally.replaceChildren('Nothing is written yet: Step writes one token, Play goes on.');
    const nats = writing.surprise();
    const { tokens, time } = writing.speed;
    const speed = tokens > 5 && time > 0
      ? ` The model makes ${Math.round((1000 * tokens) / time).toLocaleString('en')} a second.`
      : '';
    tally.textContent = `${plural(count, 'token')} written, ${nats.toFixed(2)} nats each: perplexity ${
      Math.exp(nats).toFixed(2)
    }.${speed}`;
    root.dataset.rate = tokens ? (1000 * tokens) / time : 0;
  }

  function drawDistribution() {
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

  function drawDials() {
    strategies.select(settings.strategy);
    for (const { key, of, view } of dials) {
      view.node.hidden = of !== settings.strategy;
      view.draw(settings[key], writing?.net.vocabSize ?? 100);
    }
    plain.hidden = settings.strategy === 'greedy';
  }

  function drawButtons() {
    const isSearch = settings.strategy === 'beam';
    playButton.textContent = busy ? 'Stop' : 'Play';
    stepButton.textContent = isSearch ? 'Search' : 'Step';
    stepButton.disabled = !writing;
    playButton.disabled = !writing && !busy;
    playButton.hidden = isSearch && !busy;
    undoButton.disabled = !writing?.past.length;
    againButton.disabled = !writing?.tokens.length;
    diceButton.hidden = settings.strategy !== 'sample';
    bar.hidden = !busy || playButton.hidden;
    if (!busy) bar.value = 0;
  }

  function drawNote() {
    const net = nets.get(current);
    const words = about.get(current)?.note ?? '';
    note.textContent = [words, net?.rounding ? roundingSentence(net.rounding) : ''].filter(Boolean).join(' ');
    note.hidden = !note.textContent;
  }

  const onhash = () => openLink();
  addEventListener('hashchange', onhash);
  if (!openLink()) useModel(current, kept.model === current ? kept : {});
  return () => {
    stop();
    corner.stop();
    clearTimeout(keeper);
    removeEventListener('hashchange', onhash);
    heard.stop();
    root.remove();
  };
}

// How far the page's model is from the original: what lmbook.widgets.packing measured.
export function roundingSentence({ largest, nats }) {
  if (largest === 0) return 'Its weights are stored in 16 bits and run here as they are.';
  const mean = nats < 1e-7 ? 'less than 10⁻⁷' : nats.toExponential(0).replace('-', '−');
  return `Here its weights have 16 bits: that moves no probability by more than ${
    largest.toPrecision(1)
  }; the mean divergence is ${mean} nats a token.`;
}

export default { render };
