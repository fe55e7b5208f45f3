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
  player.current = 'slow';
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
    player.take(id);
    await answer();
  }
  assert.deepEqual(written(), [[3, 1], [4, 1 / 2]]);
});

Deno.test('what the reader does meanwhile comes first, and the token is not written elsewhere', async () => {
  const { player, answer, written } = await playerWithSlowModel();
  for (const id of [3, 4]) {
    player.take(id);
    await answer();
  }
  player.take(2);
  player.undo(); // takes back the choice alone
  await answer();
  assert.deepEqual(written(), [[3, 1], [4, 1 / 2]]);
  player.take(2);
  player.lookAt(0, 0);
  await answer();
  assert.deepEqual(written(), [[3, 1], [4, 1 / 2]]);
  player.take(2);
  player.again();
  await answer();
  assert.deepEqual(written(), []);
});
