// The playground: a prompt, a model that answers in the page, and everything that stands between logits and a token.
// Here is what happens; what is seen of it is playground_controls.js.
import { plural } from '../kit/kit.js';
import { loadInSteps, roundingNote } from '../core/models.js';
import { playgroundControls } from './controls.js';
import { ownCorner } from './own_corner.js';
import { searchSteps, Writing } from './text.js';
import { inSlices, pause } from '../core/slices.js';
import { chooseToken, cutPrompt, MAX_PROMPT, MAX_WRITTEN, plainSettings } from './settings.js';
import { readLink, readPrompt, unitOf, writeLink } from './settings.js';

const OWN = 'Your own text';
const PACE = { words: 130, word: 130, char: 40, byte: 25, bpe: 90 }; // milliseconds between two tokens of Play
const DELAY = 250; // after the last change of a prompt or a dial, before the state is kept

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
  const corner = ownCorner(OWN, (net) => (nets.set(OWN, net), useModel(OWN)));
  const view = playgroundControls(
    el,
    { names: [...names, ...(hasOwn ? [OWN] : [])], corner: corner.node, isShareable },
    {
      useModel: (name) => useModel(name),
      setPrompt: (words) => (setPrompt(words), keep()),
      lookAt,
      take: (id) => change(() => (writing.room < 1 ? sayFull() : writing.write([id]))),
      step,
      play: () => (busy ? (stop(), view.say('Stopped.')) : play()),
      undo: () => change(() => writing.undo()),
      again: () => change(() => (writing.cursor = 0, writing.write([]))),
      dice: () => turn('seed', (settings.seed % 9999) + 1),
      share,
      turn,
      rest: () => turn('strategy', settings.strategy, plainSettings()),
    },
  );
  const state = () => ({ writing, settings, prompt: prompts.get(current), isBusy: Boolean(busy) });

  // ---- Which model, which prompt ---------------------------------------------------------------------------------

  async function useModel(name, { prompt = prompts.get(name), ids = [] } = {}) {
    stop();
    current = name;
    corner.node.hidden = name !== OWN;
    writing = null;
    showModel();
    if (name !== OWN && !nets.has(name)) await load(name);
    if (current !== name) return; // the reader has gone on to another
    showModel();
    setPrompt(prompt, ids);
  }

  function showModel() {
    const { note = '', prompts: known = [] } = about.get(current) ?? {};
    const rounding = nets.get(current)?.rounding;
    view.drawModel(current, [note, rounding ? roundingNote(rounding) : ''].filter(Boolean).join(' '), known);
  }

  async function load(name) {
    const header = headers[names.indexOf(name)];
    view.say('Loading …');
    await run(async (signal) => {
      const onProgress = (share) => (view.say('Counting its text …'), view.progress(share));
      nets.set(name, await inSlices(loadInSteps(header, model.get('weights')), { onProgress, signal }));
    });
  }

  // A new prompt; `ids` continue it, as far as the model knows them and has room.
  function setPrompt(words, ids = []) {
    stop();
    const prompt = cutPrompt(words);
    prompts.set(current, prompt);
    view.drawPrompt(prompt);
    const net = nets.get(current);
    const read = net ? readPrompt(net, prompt) : { problem: current === OWN ? 'Count a text first.' : 'Not loaded.' };
    writing = read.problem ? null : new Writing(net, read.ids);
    const cut = words.length > MAX_PROMPT
      ? `Of ${words.length.toLocaleString('en')} characters the first ${MAX_PROMPT.toLocaleString('en')} were taken. `
      : '';
    if (writing && ids.length) writing.write(ids.filter((id) => id < net.vocabSize).slice(0, writing.room));
    view.say(cut + (read.problem || read.note), Boolean(read.problem));
    view.draw(state());
  }

  // ---- What the reader does to a text ----------------------------------------------------------------------------

  // One setting, or all of `others` but the seed.
  function turn(key, value, others = settings) {
    if (key === 'strategy') stop();
    settings = { ...others, seed: settings.seed, [key]: value };
    view.drawButtons(state());
    view.drawSettings(state());
    keep();
  }

  function lookAt(place) {
    stop();
    writing.cursor = place === writing.cursor ? writing.tokens.length : place;
    view.draw(state());
  }

  // Undo, start again, take a token: whatever changes the text at once.
  function change(act) {
    stop();
    if (!writing) return;
    view.say('');
    act();
    view.draw(state());
    keep();
  }

  function sayFull() {
    const limit = writing.cursor >= MAX_WRITTEN
      ? `${MAX_WRITTEN} tokens are written, which is as far as a playground goes`
      : `The context is full: this model reads at most ${unitOf(writing.net, writing.net.contextLength)}`;
    view.say(`${limit}. Undo, start again, or shorten the prompt.`, true);
  }

  // One token more. Returns whether there was room.
  function writeOne() {
    if (writing.room < 1) return sayFull(), false;
    writing.write([chooseToken(writing.logits(), settings, writing.ids().length)]);
    view.say('');
    view.draw(state());
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
      while (writing && writeOne()) {
        await pause(PACE[writing.net.tokenizer.kind]);
        signal.throwIfAborted();
      }
    });
  }

  // Looks for the likeliest continuation, and tells how far greedy decoding gets.
  async function search(signal) {
    if (writing.room < 1) return sayFull();
    const { beams } = settings;
    const length = Math.min(settings.length, writing.room);
    const onProgress = (done) => {
      view.say(`Beam search: ${done} of ${plural(length, 'token')}`);
      view.progress(done / length);
    };
    const found = await inSlices(searchSteps(writing.net, writing.ids(), beams, length), { onProgress, signal });
    writing.write(found.ids);
    view.draw(state());
    const [best, plainly] = [found.logProb, found.greedy].map((x) => `−${Math.abs(x).toFixed(2)}`);
    view.say(`${plural(beams, 'beam')}, ${plural(length, 'token')}: log P = ${best}. Greedy comes to ${plainly}.`);
  }

  // ---- Running, stopping, sharing ------------------------------------------------------------------------------

  async function run(work) {
    stop();
    const mine = busy = new AbortController();
    view.drawButtons(state());
    try {
      await work(mine.signal);
    } catch (error) {
      if (error.name !== 'AbortError') view.say(error.message, true);
    }
    if (busy === mine) busy = null;
    view.drawButtons(state());
    keep();
  }

  function stop() {
    busy?.abort();
    busy = null;
    view.drawButtons(state());
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
      view.say(`The link is copied, and stands in the address bar.${own}`);
    } catch {
      view.say(`The link stands in the address bar.${own}`);
    }
  }

  function openLink() {
    const link = isShareable ? readLink(location.hash) : null;
    if (!link) return false;
    settings = link.settings;
    const isKnown = names.includes(link.model) || (hasOwn && link.model === OWN);
    useModel(isKnown ? link.model : names[0], link).then(() => {
      if (!isKnown) view.say(`There is no model “${link.model.slice(0, 40)}” here; this is ${names[0]}.`, true);
      if (current === OWN && !nets.has(OWN)) {
        view.say('This link was made with a text that it doesn’t carry: paste one.');
      }
    });
    view.root.scrollIntoView({ block: 'nearest' });
    return true;
  }

  const onhash = () => openLink();
  addEventListener('hashchange', onhash);
  if (!openLink()) useModel(current, kept.model === current ? kept : {});
  return () => {
    stop();
    corner.stop();
    clearTimeout(keeper);
    removeEventListener('hashchange', onhash);
    view.clear();
  };
}

export default { render };
