import assert from 'node:assert/strict';
import { readLink, writeLink } from '../../lmbook/widgets/playground/link.js';
import { orderFrom, plainSettings } from '../../lmbook/widgets/playground/settings.js';

/** @import { Playing } from '../../lmbook/widgets/playground/link.js' */
/** @import { Settings } from '../../lmbook/widgets/playground/settings.js' */

Deno.test('what a link says is read again', () => {
  const playing = {
    model: 'Shakespeare',
    prompt: '<script>alert(1)</script>\n& = # é 👍',
    ids: [0, 35, 36, 1000],
    settings: /** @type {Settings} */ ({
      ...plainSettings(),
      strategy: 'beam',
      seed: 7,
      temperature: 0.35,
      k: 4,
      p: 0.9,
      minP: 0.02,
      typical: 0.5,
      beams: 8,
      length: 40,
      repetition: 1.2,
      noRepeat: 3,
      sigma: 1.5,
      order: orderFrom('p.temperature'),
      scope: 'written',
      stop: '.|\\n&é',
    }),
    other: null,
  };
  assert.deepEqual(readLink(new URL(writeLink(playing), 'http://x/y').hash), playing);
  const other = { settings: { ...plainSettings(), seed: 7, temperature: 2, stop: 'x' }, ids: [3, 4] };
  assert.deepEqual(readLink(new URL(writeLink({ ...playing, other }), 'http://x/y').hash), { ...playing, other });
});

Deno.test('a link of the time before a setting still opens', () => {
  const old = '#play:model=Shakespeare&prompt=KATE&seed=4&strategy=sample&temperature=0.7&p=0.9&ids=1.a';
  const { settings, ...rest } = /** @type {Playing} */ (readLink(old));
  assert.deepEqual(rest, { model: 'Shakespeare', prompt: 'KATE', ids: [1, 10], other: null });
  assert.deepEqual(settings, { ...plainSettings(), seed: 4, temperature: 0.7, p: 0.9 });
});

Deno.test('what strangers write into a link is measured', () => {
  const odd = '#play:temperature=1e99&k=-3&p=0&minP=NaN&typical=Infinity&beams=1e9&length=2.6&seed=x&strategy=eval';
  const limits = { temperature: 2, k: 0, p: 0.05, beams: 8, length: 3 };
  assert.deepEqual(readLink(odd)?.settings, { ...plainSettings(), ...limits });
  const ids = readLink(`#play:ids=zz.-1.<b>.1e3.${'1.'.repeat(5000)}&prompt=a`)?.ids ?? [];
  assert.deepEqual(ids.slice(0, 3), [35 * 36 + 35, 1 * 36 ** 2 + 14 * 36 + 3, 1]);
  assert.ok(ids.length <= 400);
  assert.equal(readLink(`#play:prompt=${'x'.repeat(100_000)}`)?.prompt.length, 2000);
  assert.deepEqual(readLink('#play:'), { model: '', prompt: '', ids: [], settings: plainSettings(), other: null });
  assert.deepEqual([readLink('#other'), readLink('')], [null, null]);
});
