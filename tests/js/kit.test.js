import assert from 'node:assert/strict';
import { formatLog } from '../../lmbook/widgets/kit/kit.js';

Deno.test('a logarithm has its sign, and none where nothing is left of it', () => {
  assert.deepEqual([-1.25, 0.5, -Infinity].map((x) => formatLog(x, 2)), ['−1.25', '0.50', '−∞']);
  assert.deepEqual([-0.004, 0, -0].map((x) => formatLog(x, 2)), ['0.00', '0.00', '0.00']);
});
