import assert from 'node:assert/strict';
import { newestOnly } from '../../lmbook/widgets/prompt_live.js';

/** Questions that wait until they are answered, and what became of them. */
function desk() {
  /** @type {{ question: string, answer: (value: string) => void, refuse: (problem: Error) => void }[]} */
  const asked = [];
  /** @type {string[]} */
  const heard = [];
  const ask = newestOnly(
    (/** @type {string} */ question) =>
      new Promise((/** @type {(value: string) => void} */ answer, refuse) => asked.push({ question, answer, refuse })),
    (answer) => heard.push(answer),
    (problem) => heard.push(`no ${/** @type {Error} */ (problem).message}`),
  );
  return { ask, asked, heard };
}
const settle = () => new Promise((resolve) => setTimeout(resolve));

Deno.test('of the questions asked meanwhile only the last is put, and older answers are not shown', async () => {
  const { ask, asked, heard } = desk();
  for (const question of ['a', 'b', 'c']) ask(question);
  assert.deepEqual(asked.map(({ question }) => question), ['a']);
  asked[0].answer('A');
  await settle();
  assert.deepEqual([asked.map(({ question }) => question), heard], [['a', 'c'], []]);
  asked[1].answer('C');
  await settle();
  assert.deepEqual(heard, ['C']);
});

Deno.test('after a failure the next question is put, and only the newest failure is told', async () => {
  const { ask, asked, heard } = desk();
  ask('a');
  ask('b');
  asked[0].refuse(new Error('a'));
  await settle();
  asked[1].refuse(new Error('b'));
  await settle();
  ask('c');
  asked[2].answer('C');
  await settle();
  assert.deepEqual(heard, ['no b', 'C']);
});
