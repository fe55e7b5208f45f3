// The playground: a prompt, a model that runs in the page, and all filters and searches between logits and a token.
// player.js has the behaviour, controls.js the display; this file connects them and stores the state in the address.
import { playgroundControls } from './controls.js';
import { ownCorner } from './own_corner.js';
import { deskHere, deskInWorker } from './desk.js';
import { Player } from './player.js';
import { OWN } from './shelf.js';
import { SMOLLM2 } from '../core/smollm2.js';
import { FROM_LABORATORY, withHandedOver } from '../kit/handover.js';
import { setter } from '../kit/kit.js';
import { Smollm2Corner } from '../kit/smollm2_corner.js';
import { readLink, writeLink } from './link.js';

/** What a link to these models doesn't carry. */
const STAYS = new Map([
  [OWN, ' It doesn’t carry your text, which stays in this page.'],
  [FROM_LABORATORY, ' It doesn’t carry your model, which stays in this tab: elsewhere the link opens another.'],
]);
const DELAY = 250; // milliseconds after the last change of a prompt or a dial, before the state is stored

/** @import { Drawn } from '../kit/kit.js' */

/** @param {Drawn} widget */
function render({ model, el }) {
  const set = setter(model);
  const kept = model.get('state');
  const isShareable = Boolean(el.closest('.lm-widget')); // a page of the book, whose address leads back here
  const own = { headers: model.get('headers'), weights: model.get('weights'), about: model.get('about') };
  const carried = { ...(isShareable ? withHandedOver(own) : own), judges: model.get('judges') ?? [] };
  const names = carried.headers.map((/** @type {{ name: string }} */ { name }) => name);
  if (model.get('smollm2') && !names.includes(SMOLLM2.name)) names.push(SMOLLM2.name);
  if (model.get('own_text')) names.push(OWN);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let keeper;
  const keep = () => {
    clearTimeout(keeper);
    keeper = setTimeout(() => set({ state: player.playing }), DELAY);
  };
  const corner = ownCorner(OWN, (net) => player.useLoaded(OWN, deskHere(net)));
  const real = new Smollm2Corner('model', {
    onload: (worker, { about }) => player.useLoaded(SMOLLM2.name, deskInWorker(worker, about)),
    onstate: (state) => player.showLoading(state),
  });
  const corners = new Map([[OWN, corner.node], [SMOLLM2.name, real.node]]);
  const view = playgroundControls(el, { names, corners, isShareable }, {
    useModel: (name) => player.useModel(name),
    setPrompt: (words) => (player.setPrompt(words), keep()),
    lookAt: (side, place) => player.editor.lookAt(side, place),
    take: (id) => player.editor.take(id),
    takeListed: (place) => player.editor.takeListed(place),
    want: (wanted) => player.want(wanted),
    step: () => player.runner.step(),
    play: () => player.runner.play(),
    undo: () => player.editor.undo(),
    again: () => player.editor.again(),
    dice: () => player.dice(),
    share: () => shareLink(player),
    pair: () => player.pair(),
    show: (side) => player.show(side),
    turn: (key, value) => player.turn(key, value),
    set: (key, value) => player.turn(key, value),
    move: (key, by) => player.move(key, by),
    rest: () => player.rest(),
  });
  const player = new Player(carried, kept, view, keep);
  const onhash = () => isShareable && openLink(player, names);
  addEventListener('hashchange', onhash);
  if (!onhash()) player.useModel(player.current, kept.model === player.current ? kept : {});
  return () => {
    player.stop();
    corner.stop();
    real.stop();
    clearTimeout(keeper);
    removeEventListener('hashchange', onhash);
    view.clear();
  };
}

/**
 * Puts the state into the page's address, and into the clipboard if the browser allows it.
 * @param {Player} player
 */
async function shareLink({ view, current, playing }) {
  history.replaceState(null, '', writeLink(playing));
  const own = STAYS.get(current) ?? '';
  try {
    await navigator.clipboard.writeText(location.href);
    view.say(`The link is copied, and stands in the address bar.${own}`);
  } catch {
    view.say(`The link stands in the address bar.${own}`);
  }
}

/**
 * Takes the state from the page's address; returns whether there was one.
 * @param {Player} player
 * @param {string[]} names of the models that a reader can choose
 */
function openLink(player, names) {
  const link = readLink(location.hash);
  if (!link) return false;
  const isKnown = names.includes(link.model);
  player.follow(isKnown ? link.model : names[0], link).then(() => {
    const { view, current, desk } = player;
    if (!isKnown) view.say(`There is no model “${link.model.slice(0, 40)}” here; this is ${names[0]}.`, true);
    if (desk) return;
    if (current === OWN) view.say('This link was made with a text that it doesn’t carry: paste one.');
    if (current === SMOLLM2.name) view.say('This link was made with SmolLM2: load it to see what it wrote.');
  });
  player.view.root.scrollIntoView({ block: 'nearest' });
  return true;
}

export default { render };
