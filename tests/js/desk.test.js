import assert from 'node:assert/strict';
import { TableModel } from '../../lmbook/widgets/core/models.js';
import { beamSearch } from '../../lmbook/widgets/core/search.js';
import { Desk, deskHere, work } from '../../lmbook/widgets/playground/desk.js';
import { Automaton } from '../../lmbook/widgets/core/toy_language.js';
import { judgeText, Writing } from '../../lmbook/widgets/playground/text.js';
import { plainSettings } from '../../lmbook/widgets/playground/settings.js';

/** @import { DeskMethod, DeskModel } from '../../lmbook/widgets/playground/desk.js' */

const V = 1201; // more than a view shows, so that beam search leaves most out

/** P(id | prefix): some order of 1 … V over their sum, with a tie. @param {number[]} prefix */
function dist(prefix) {
  const turn = 7 * prefix.reduce((sum, id, t) => sum + (t + 1) * id, 1);
  const shares = Float64Array.from({ length: V }, (_, id) => 1 + (id * 1009 + turn) % V);
  shares[5] = shares[9];
  return shares.map((share) => share / shares.reduce((a, b) => a + b, 0));
}

const tokenizer = {
  kind: 'pretrained',
  encode: (/** @type {string} */ text) => ({ ids: text.split(' ').map(Number), problem: null, unknown: null, at: -1 }),
  decode: (/** @type {number[]} */ ids) => ids.map((id) => ` ${id}`).join(''),
  label: (/** @type {number} */ id) => `␣T${id}`,
};
const rest = { tokenizer, rounding: null, kind: 'ngram', name: 'table' };
const net = /** @type {DeskModel} */ (/** @type {unknown} */ (Object.assign(new TableModel(V, dist), rest)));

/** @param {Generator<any, any, void>} steps */
function finish(steps) {
  let step = steps.next();
  while (!step.done) step = steps.next();
  return step.value;
}

/** @param {DeskMethod} method @param {...any} args */
const ask = (method, ...args) => finish(work(new Desk(net), method, args));

/** @param {number[]} prefix the ids, likeliest first */
const inOrder = (prefix) => {
  const probs = dist(prefix);
  return [...probs.keys()].sort((a, b) => probs[b] - probs[a] || a - b);
};

/** @param {{ from?: number, count?: number, find?: string }} wanted @param {object} [settings] */
const look = ({ from = 0, count = 10, find = '' }, settings = {}) =>
  ask('look', {
    promptIds: [3, 4],
    ids: [8, 2, 6],
    cursor: 1,
    settings: { ...plainSettings(), ...settings },
    wanted: { from, count, find },
    side: 0,
  });

Deno.test('a look has the text, and the likeliest tokens at its cursor', () => {
  const { prompt, tokens, table } = look({}, { k: 4 });
  assert.equal(prompt, ' 3 4');
  assert.deepEqual(tokens, [8, 2, 6].map((id) => ({ text: ` ${id}`, label: `␣T${id}` })));
  const [order, probs] = [inOrder([3, 4, 8]), dist([3, 4, 8])];
  assert.deepEqual(table.lines.map((/** @type {any} */ line) => line.id), order.slice(0, 10));
  const sum = order.slice(0, 4).reduce((all, id) => all + probs[id], 0);
  table.lines.forEach((/** @type {any} */ { id, label, place, before, after }, /** @type {number} */ n) => {
    assert.deepEqual([label, place], [`␣T${id}`, n + 1]);
    assert.ok(Math.abs(before - probs[id]) < 1e-12);
    assert.ok(Math.abs(after - (n < 4 ? probs[id] / sum : 0)) < 1e-12);
  });
  assert.deepEqual([table.chosen, table.left, table.total, table.found], ['␣T2', 4, V, V]);
  const others = order.slice(10).reduce((all, id) => all + probs[id], 0);
  assert.ok(Math.abs(table.rest[0] - others) < 1e-12);
  assert.equal(table.rest[1], 0);
  assert.ok(Math.abs(table.scale - probs[order[0]] / sum) < 1e-12);
});

Deno.test('the list goes on to its end', () => {
  const order = inOrder([3, 4, 8]);
  for (const from of [128, V - 30]) {
    const { lines, rest: [left] } = look({ from, count: 128 }).table;
    assert.deepEqual(lines.map((/** @type {any} */ line) => line.id), order.slice(from, from + 128));
    const shown = lines.reduce((/** @type {number} */ sum, /** @type {any} */ line) => sum + line.before, 0);
    assert.ok(Math.abs(left + shown - 1) < 1e-12);
  }
});

Deno.test('a token is found by a part of its text', () => {
  const order = inOrder([3, 4, 8]);
  const withPart = order.filter((id) => String(id).startsWith('40'));
  const { lines, found, total } = look({ find: ' t40' }).table;
  assert.deepEqual(lines.map((/** @type {any} */ line) => line.id), withPart.slice(0, 10));
  assert.deepEqual([found, total], [withPart.length, V]);
  for (const { id, place } of lines) assert.ok(Math.abs(place - 1 - order.indexOf(id)) <= 1); // 5 and 9 share a place
  assert.deepEqual(look({ find: 'nowhere' }).table.lines, []);
});

Deno.test('tokens are chosen, and searched for', async () => {
  const settings = { ...plainSettings(), strategy: 'greedy' };
  const [best] = inOrder([3, 4]);
  const { id, p, drawn } = ask('choose', { ids: [3, 4], promptLength: 1 }, settings);
  assert.deepEqual([id, drawn], [best, 1]);
  assert.ok(Math.abs(p - dist([3, 4])[best]) < 1e-12);
  const told = ask('probabilities', [3, 4], [8, 2]);
  assert.ok(Math.abs(told[0] - dist([3, 4])[8]) < 1e-12 && Math.abs(told[1] - dist([3, 4, 8])[2]) < 1e-12);
  const { written, all, greedy } = ask('search', [3, 4], 3, 4);
  const { logProb } = all[0];
  const found = beamSearch(net, [3, 4], 3, 4);
  assert.deepEqual(all.map((/** @type {any} */ { ids }) => ids.length), [4, 4, 4]);
  assert.ok(all[0].logProb >= all[1].logProb && all[1].logProb >= all[2].logProb);
  const plainly = beamSearch(net, [3, 4], 1, 4).logProb;
  assert.ok(Math.abs(greedy - plainly) < 1e-12);
  assert.deepEqual([3, 4, ...written.map((/** @type {any} */ { id }) => id)], found.ids);
  const sum = written.reduce((/** @type {number} */ all, /** @type {any} */ { p }) => all + Math.log(p), 0);
  assert.ok(Math.abs(sum - logProb) < 1e-9 && Math.abs(logProb - found.logProb) < 1e-12);
  const desk = deskHere(net);
  assert.deepEqual((await desk.ask('search', [[3, 4], 3, 4])).written, written);
  assert.deepEqual((await desk.ask('read', ['3 4'])).ids, [3, 4]);
});

Deno.test('a long text is read in parts, which a worker can stop between', () => {
  const desk = new Desk(net);
  const steps = desk.reach(Array(100).fill(7));
  const lengths = [];
  for (let step = steps.next(); !step.done; step = steps.next()) lengths.push(desk.sessions[0].ids.length);
  assert.deepEqual([...lengths, desk.sessions[0].ids.length], [32, 64, 96, 100]);
});

Deno.test('a text beyond the context is read from a later place on', () => {
  const small = /** @type {DeskModel} */ (Object.assign(new TableModel(V, dist), rest, { contextLength: 8 }));
  const desk = new Desk(small);
  const ids = [1, 2, 3, 4, 5, 6, 7, 8, 9];
  const settings = { ...plainSettings(), strategy: /** @type {const} */ ('greedy') };
  assert.equal(finish(desk.choose({ ids, promptLength: 1 }, settings)).id, inOrder(ids.slice(2))[0]);
  assert.deepEqual(desk.sessions[0].ids, ids.slice(2));
  const { all } = finish(desk.search(ids, 2, 3));
  const found = beamSearch(net, ids.slice(4), 2, 3);
  assert.deepEqual(all[0].ids, found.ids.slice(5)); // five tokens of room for three
  assert.equal(finish(desk.search(ids, 1, 40)).written.length, 7);
});

Deno.test('two texts are read side by side', () => {
  const desk = new Desk(net);
  finish(desk.reach([1, 2, 3], 0));
  finish(desk.reach([1, 5], 1));
  assert.deepEqual(desk.sessions.map(({ ids }) => ids), [[1, 2, 3], [1, 5]]);
});

Deno.test('the exact language finds the first impossible word', () => {
  // Two words in turn: word 0 leads to state 1, word 1 back.
  const automaton = new Automaton({
    vocabSize: 2,
    rowStarts: Uint32Array.of(0, 1, 2, 2),
    words: Uint8Array.of(0, 1),
    next: Uint16Array.of(1, 0),
    logProbs: Float64Array.of(0, Math.log(0.5)),
  });
  assert.deepEqual(judgeText(automaton, [0], [1, 0]), { logProbs: [Math.log(0.5), 0], first: -1 });
  assert.deepEqual(judgeText(automaton, [0], [1, 1, 0]), { logProbs: [Math.log(0.5), -Infinity, NaN], first: 2 });
  assert.deepEqual(judgeText(automaton, [1], [0]), { logProbs: [NaN], first: 0 });
  const judged = new Desk(net, automaton).spelled([0], [1, 1]).judgement;
  assert.deepEqual(judged, { logProbs: [Math.log(0.5), -Infinity], first: 2 });
});

Deno.test('what one act wrote is undone at once', () => {
  const writing = new Writing([7]);
  writing.write([{ id: 1, p: 1 }], 1);
  for (const id of [2, 3]) writing.write([{ id, p: 1 }], 2);
  assert.deepEqual([writing.ids(), writing.lastAct], [[7, 1, 2, 3], 2]);
  const twin = writing.copy();
  writing.undo();
  assert.deepEqual([writing.ids(), writing.lastAct], [[7, 1], 1]);
  writing.undo();
  writing.undo();
  assert.deepEqual([writing.ids(), writing.lastAct, twin.ids(), twin.lastAct], [[7], 0, [7, 1, 2, 3], 0]);
});
