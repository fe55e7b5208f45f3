import assert from 'node:assert/strict';
import { checkSettings, infoOf, Run } from '../../lmbook/widgets/core/laboratory.js';
import { DEFAULT_RUN } from '../../lmbook/widgets/core/laboratory_settings.js';
import { loadModel } from '../../lmbook/widgets/core/models.js';
import { readSafetensors, writeSafetensors } from '../../lmbook/widgets/core/safetensors.js';
import { TrainingSession } from '../../lmbook/widgets/core/training_session.js';
import { loadTrained } from '../../lmbook/widgets/core/trained_model.js';
import { letterText } from '../../lmbook/widgets/core/training_text.js';

/** @import { Settings } from '../../lmbook/widgets/core/laboratory_settings.js' */
/** @import { Update } from '../../lmbook/widgets/core/training_session.js' */

const TEXT = letterText('to be or not to be that is the question\n'.repeat(100));
const SMALL = { layers: 1, width: 8, heads: 2, context: 16, vectors: 4, hidden: 8, batch: 4, steps: 20, warmup: 2 };

/** @param {object} [change] */
const settingsOf = (change = {}) => /** @type {Settings} */ ({ ...DEFAULT_RUN, ...SMALL, ...change });

/** @param {object} [change] */
const begin = (change) => new Run(settingsOf(change), TEXT);

/**
 * @template T
 * @param {Generator<unknown, T, void>} steps
 */
function finish(steps) {
  for (;;) {
    const { value, done } = steps.next();
    if (done) return /** @type {T} */ (value);
  }
}

Deno.test('settings that no run can have are refused with value and limit', () => {
  const refused = (/** @type {object} */ change, /** @type {string} */ message) =>
    assert.throws(() => checkSettings(settingsOf(change), 20), { name: 'RangeError', message });
  refused({ model: 'giant' }, 'the model must be one of transformer, window, given, got giant');
  refused({ optimiser: '' }, 'the optimiser must be one of adamw, sgd, got ');
  refused({ layers: 0 }, 'the number of layers must be a whole number from 1 to 6, got 0');
  refused({ context: 129 }, 'the context must be a whole number from 4 to 128, got 129');
  refused({ batch: 2.5 }, 'the number of rows in a batch must be a whole number from 1 to 64, got 2.5');
  refused({ steps: NaN }, 'the number of steps must be a whole number from 1 to 20000, got NaN');
  refused({ rate: 0 }, 'the rate must be in (0, 100], got 0');
  refused({ rate: NaN }, 'the rate must be in (0, 100], got NaN');
  refused({ warmup: 20 }, 'the warm-up must be below the number of steps, 20; got 20');
  refused({ width: 12, heads: 4 }, 'the width must be a multiple of twice the 4 heads, got 12');
  refused({ parts: { ...DEFAULT_RUN.parts, rows: 0 } }, 'the part “rows” must be true or false, got 0');
  refused({ model: 'given' }, 'there is no configuration, this text has 20');
  const large = 'a model in the page may have 4,000,000 weights, this one would have 4,825,344';
  refused({ layers: 6, width: 256, heads: 4 }, large);
  checkSettings(settingsOf({ model: 'window', width: 12, heads: 4 }), 20);
});

Deno.test('the same seed gives the same run, another seed another one', () => {
  const losses = (/** @type {number} */ seed) => {
    const run = begin({ seed });
    return [run.step(), run.step(), run.step()];
  };
  assert.deepEqual(losses(1), losses(1));
  assert.notDeepEqual(losses(1), losses(2));
});

Deno.test('every unseen token counts once, whatever the context', () => {
  const models = [128, 30, 16].map((context) => {
    const run = begin({ model: 'window', window: 1, context });
    return finish(run.unseenLoss());
  });
  const run = begin({ model: 'window', window: 1 });
  let [sum, count] = [0, 0];
  TEXT.unseen.forEach((id, at) => {
    if (at % 129 === 0) return;
    sum -= Math.log(run.next([TEXT.unseen[at - 1]])[id]);
    count += 1;
  });
  for (const loss of models) assert.ok(Math.abs(loss - sum / count) < 1e-5);
});

Deno.test('each switch and each choice reaches the model', () => {
  const losses = [
    {},
    ...Object.keys(DEFAULT_RUN.parts).map((part) => ({ parts: { ...DEFAULT_RUN.parts, [part]: false } })),
    { layers: 2 },
    { model: 'window' },
    { optimiser: 'sgd', rate: 0.1 },
    { warmup: 9 },
    { batch: 3 },
  ].map((change) => {
    const run = begin(change);
    for (let i = 0; i < 3; i++) run.step();
    return run.step();
  });
  assert.equal(new Set(losses).size, losses.length);
});

Deno.test('expectations never see what follows, even without the mask', () => {
  const run = begin({ parts: { ...DEFAULT_RUN.parts, mask: false } });
  const [a, b] = [[1, 2, 3, 4], [1, 2, 3, 5]].map((ids) => run.expectations(ids));
  assert.deepEqual(a, b);
  assert.equal(a.length, 3);
  assert.ok(Math.abs(a[2].reduce((sum, p) => sum + p) - 1) < 1e-9);
});

Deno.test('it writes beyond its context, the same with the same seed', () => {
  const run = begin();
  const ids = finish(run.write([3], 30, 1));
  assert.equal(ids.length, 31);
  assert.deepEqual(finish(run.write([3], 30, 1)), ids);
  assert.notDeepEqual(finish(run.write([3], 30, 2)), ids);
});

Deno.test('a saved run is opened again, and nothing else is', () => {
  const run = begin();
  for (let i = 0; i < 3; i++) run.step();
  const bytes = run.save();
  assert.equal(infoOf(bytes)?.settings.width, 8);
  assert.equal(infoOf(writeSafetensors(run.model.parameters)), null);
  const again = begin({ seed: 2 });
  again.open(bytes);
  assert.deepEqual(again.model.values, run.model.values);
  const before = again.model.values.slice();
  const refused = (/** @type {Uint8Array} */ file, /** @type {RegExp} */ message) =>
    assert.throws(() => again.open(file), { message });
  refused(begin({ width: 16 }).save(), /embedding\.weight is \d+ × 8 in this model, \d+ × 16 in the file/);
  refused(begin({ model: 'window' }).save(), /embedding\.weight is 14 × 8 in this model, 15 × 4 in the file/);
  refused(writeSafetensors(run.model.parameters.slice(0, 2)), /the file has no blocks\.0/);
  refused(begin({ layers: 2 }).save(), /the file has 14 tensors, this model 8/);
  const { tensors } = readSafetensors(bytes);
  tensors[3].value[0] = NaN;
  refused(writeSafetensors(tensors), /blocks\.0\.attention\.out\.weight has a number in the file that isn’t finite/);
  assert.deepEqual(again.model.values, before);
});

Deno.test('what goes to the playground is the same model in 16 bits', () => {
  const run = begin();
  for (let i = 0; i < 3; i++) run.step();
  const { header, bytes } = run.pack('mine');
  const net = loadModel(/** @type {any} */ (header), new DataView(bytes.buffer));
  assert.equal(net.name, 'mine');
  assert.equal(net.tokenizer.decode([...TEXT.seen.subarray(0, 5)]), 'to be');
  const [mine, its] = [run.next([3, 1, 4]), net.dist([3, 1, 4])];
  mine.forEach((p, id) => assert.ok(Math.abs(p - its[id]) < 1e-3));
});

Deno.test('a window, and a network without one of its parts, go there too', () => {
  const without = Object.keys(DEFAULT_RUN.parts).map((part) => ({ parts: { ...DEFAULT_RUN.parts, [part]: false } }));
  for (const change of [{ model: 'window' }, ...without]) {
    const run = begin(change);
    for (let i = 0; i < 3; i++) run.step();
    const { header, bytes } = run.pack('mine');
    const behind = new DataView(Uint8Array.of(7, 7, ...bytes).buffer);
    const net = loadTrained(/** @type {any} */ ({ ...header, offset: 2 }), behind);
    const session = net.session([3, 1, 4, 1, 5]);
    for (const prefix of [[3], [3, 1, 4], [3, 1, 4, 1, 5]]) {
      const its = session.follow(prefix).dist();
      run.next(prefix).forEach((p, id) => assert.ok(Math.abs(p - its[id]) < 1e-3, JSON.stringify(change)));
    }
    assert.throws(() => net.dist([]), { message: /needs a token/ });
  }
});

/** @param {object} [change] */
function opened(change) {
  const session = new TrainingSession();
  const described = finish(session.take(TEXT));
  session.begin(settingsOf(change));
  /** @type {Update[]} */
  const updates = [];
  return { session, described, updates, report: (/** @type {Update} */ update) => updates.push(update) };
}

Deno.test('a session trains, reports every step once, looks and writes', () => {
  const { session, described, updates, report } = opened();
  assert.deepEqual(described.levels.length, 5);
  assert.equal(finish(session.train(report)), 'done');
  const losses = updates.flatMap(({ losses }) => losses);
  assert.deepEqual(losses.map(([step]) => step), Array.from({ length: 20 }, (_, i) => i + 1));
  const unseen = updates.flatMap(({ unseen = [] }) => unseen);
  assert.equal(unseen.length, 21); // before the first step, and after each twentieth of the run
  assert.ok(unseen[20] < unseen[0]);
  assert.equal(updates.filter(({ sample }) => sample).length, 6);
  assert.equal(updates.at(-1)?.expected?.length, 23);
  assert.equal(updates.at(-1)?.loss, losses.slice(-10).reduce((sum, [, loss]) => sum + loss, 0) / 10);
  assert.equal(finish(session.train(report)), 'done'); // go on: as many again
  assert.equal(session.run?.steps, 40);
});

Deno.test('a stopped session goes on where it was', () => {
  const { session, updates, report } = opened();
  const steps = session.train(report);
  while (session.run?.steps !== 7) steps.next();
  assert.equal(session.latest().steps, 7);
  assert.equal(finish(session.train(report, 1)), 'stopped');
  assert.equal(session.run?.steps, 8);
  finish(session.train(report));
  const whole = opened();
  finish(whole.session.train(whole.report));
  assert.equal(updates.at(-1)?.unseen, whole.updates.at(-1)?.unseen);
});

Deno.test('a run that bursts says at which step', () => {
  const { session, report } = opened();
  finish(session.train(report, 3));
  session.run?.model.values.fill(1e30);
  assert.throws(() => finish(session.train(report)), { name: 'RangeError', message: /^At step 4 the loss is NaN/ });
});
