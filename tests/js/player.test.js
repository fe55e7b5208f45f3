import assert from 'node:assert/strict';
import { Player } from '../../lmbook/widgets/playground/player.js';

const V = 5;
const LOOK = { prompt: '', tokens: [], judgement: null, table: null, rate: 0 };

/** A player whose model takes its time: `answer()` lets it say what it knows of the tokens that were chosen. */
async function playerWithSlowModel() {
  /** @type {(() => void)[]} */
  const waiting = [];
  const desk = {
    about: { tokenizer: { kind: 'char' }, contextLength: 99, vocabSize: V, rounding: null },
    /**
     * @param {string} method
     * @param {any[]} args
     */
    async ask(method, [first, added]) {
      if (method === 'read') return { ids: [0], problem: '', note: '' };
      if (method !== 'probabilities') return LOOK;
      await new Promise((resolve) => waiting.push(() => resolve(null)));
      return added.map(() => 1 / first.length); // so that it shows which text was asked about
    },
  };
  const view = new Proxy({}, { get: () => () => {} });
  const carried = { headers: [], judges: [], weights: new DataView(new ArrayBuffer(0)), about: [] };
  const player = new Player(/** @type {any} */ (carried), {}, /** @type {any} */ (view), () => {});
  player.shelf.current = 'slow';
  await player.useLoaded('slow', /** @type {any} */ (desk));
  const answer = async () => {
    for (const go of waiting.splice(0)) go();
    await new Promise((resolve) => setTimeout(resolve));
  };
  return { player, answer, written: () => player.side.writing?.tokens.map(({ id, p }) => [id, p]) };
}

Deno.test('a token that was chosen is written once the model has answered', async () => {
  const { player, answer, written } = await playerWithSlowModel();
  for (const id of [3, 4]) {
    player.editor.take(id);
    await answer();
  }
  assert.deepEqual(written(), [[3, 1], [4, 1 / 2]]);
});

Deno.test('what the reader does meanwhile comes first, and the token is not written elsewhere', async () => {
  const { player, answer, written } = await playerWithSlowModel();
  for (const id of [3, 4]) {
    player.editor.take(id);
    await answer();
  }
  player.editor.take(2);
  player.editor.undo(); // takes back the choice alone
  await answer();
  assert.deepEqual(written(), [[3, 1], [4, 1 / 2]]);
  player.editor.take(2);
  player.editor.lookAt(0, 0);
  await answer();
  assert.deepEqual(written(), [[3, 1], [4, 1 / 2]]);
  player.editor.take(2);
  player.editor.again();
  await answer();
  assert.deepEqual(written(), []);
});

/** A player whose model reads a text in two parts, and what was drawn; `read()` lets it read the next part. */
function playerWithLongPrompt() {
  /** @type {(() => void)[]} */
  const waiting = [];
  const part = (/** @type {AbortSignal} */ signal) =>
    new Promise((resolve, reject) => {
      waiting.push(() => resolve(null));
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  const desk = {
    about: { tokenizer: { kind: 'char' }, contextLength: 99, vocabSize: V, rounding: null },
    /** @param {string} method @param {any[]} args @param {any} options */
    async ask(method, [first, added], { signal, onProgress }) {
      if (method === 'read') return { ids: Array.from(first, Number), problem: '', note: '' };
      if (method === 'spelled') return { prompt: '', tokens: [], judgement: null };
      await part(signal);
      onProgress(0.5);
      await part(signal);
      return method === 'look' ? { ...LOOK, table: {} } : added.map(() => 0.5);
    },
  };
  /** @type {any[]} */
  const drawn = [];
  /** @type {[isBusy: boolean, state: string, said: string]} */
  const last = [false, '', ''];
  const acts = {
    draw: (/** @type {any} */ { texts }) => drawn.push(texts[0].seen),
    drawButtons: (/** @type {any} */ { isBusy }) => (last[0] = isBusy),
    drawState: (/** @type {string} */ state) => (last[1] = state),
    say: (/** @type {string} */ said) => (last[2] = said),
  };
  const view = new Proxy(acts, { get: (some, key) => /** @type {any} */ (some)[key] ?? (() => {}) });
  const carried = { headers: [], judges: [], weights: new DataView(new ArrayBuffer(0)), about: [] };
  const player = new Player(/** @type {any} */ (carried), {}, /** @type {any} */ (view), () => {});
  player.shelf.current = 'long';
  player.shelf.desks.set('long', /** @type {any} */ (desk));
  const settle = () => new Promise((resolve) => setTimeout(resolve));
  const read = async () => {
    await settle();
    for (const go of waiting.splice(0)) go();
    await settle();
  };
  return { player, read, settle, last, drawn };
}

Deno.test('Stop gives up a long prompt that is being read, and what is done next reads on', async () => {
  const { player, read, settle, last, drawn } = playerWithLongPrompt();
  player.setPrompt('012');
  await settle();
  assert.deepEqual(last.slice(0, 2), [false, 'running']); // nothing to stop yet: it may be short
  await read();
  assert.deepEqual(last.slice(0, 2), [true, 'running']);
  player.runner.play();
  await settle();
  assert.deepEqual(last, [false, 'stopped', 'Stopped.']);
  assert.deepEqual([drawn.length, drawn[0].promptIds, drawn[0].table], [1, [0, 1, 2], null]);
  player.look();
  await read();
  assert.equal(last[0], true);
  await read();
  assert.deepEqual([last[0], drawn.length, drawn[1].table], [false, 2, {}]);
});

Deno.test('where a link’s continuation is given up, the prompt stays', async () => {
  const { player, read, settle, last, drawn } = playerWithLongPrompt();
  player.setPrompt('012', [[3, 4]]);
  await read();
  player.runner.play();
  await settle();
  assert.deepEqual(last.slice(0, 2), [false, 'stopped']);
  assert.deepEqual([drawn[0].promptIds, drawn[0].ids, player.side.writing?.ids()], [[0, 1, 2], [], [0, 1, 2]]);
});

Deno.test('another prompt takes the place of one that is being read', async () => {
  const { player, read, last, drawn } = playerWithLongPrompt();
  player.setPrompt('012');
  await read();
  player.setPrompt('34');
  await read();
  await read();
  assert.deepEqual([last[0], drawn.map(({ promptIds }) => promptIds)], [false, [[3, 4]]]);
});
