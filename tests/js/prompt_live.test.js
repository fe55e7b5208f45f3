import assert from 'node:assert/strict';
import { newestOnly } from '../../lmbook/widgets/prompt_live.js';

/** Questions that wait until they are answered, and what became of them. */
function desk() {
  /** @type {{ question: string, signal: AbortSignal, answer: (value: string) => void,
   *   refuse: (problem: Error) => void }[]} */
  const asked = [];
  /** @type {string[]} */
  const heard = [];
  const { put, stop } = newestOnly(
    (/** @type {string} */ question, signal) =>
      new Promise((/** @type {(value: string) => void} */ answer, refuse) =>
        asked.push({ question, signal, answer, refuse })
      ),
    (answer) => heard.push(answer),
    (problem) => heard.push(`no ${/** @type {Error} */ (problem).message}`),
  );
  return { put, stop, asked, heard };
}
const settle = () => new Promise((resolve) => setTimeout(resolve));

Deno.test('a question stops the one before, whose answer is not shown', async () => {
  const { put, asked, heard } = desk();
  for (const question of ['a', 'b', 'c']) put(question);
  assert.deepEqual(asked.map(({ question, signal }) => [question, signal.aborted]), [
    ['a', true],
    ['b', true],
    ['c', false],
  ]);
  for (const { question, answer } of asked) answer(question.toUpperCase());
  await settle();
  assert.deepEqual(heard, ['C']);
});

Deno.test('only the newest failure is told, and nothing of a question that was stopped', async () => {
  const { put, stop, asked, heard } = desk();
  put('a');
  put('b');
  asked[0].refuse(new Error('a'));
  asked[1].refuse(new Error('b'));
  await settle();
  put('c');
  stop();
  asked[2].refuse(new Error('c'));
  put('d');
  asked[3].answer('D');
  await settle();
  assert.deepEqual(heard, ['no b', 'D']);
});
