// What a reader can try with one click: a change of the default run, and perhaps a second run to lay beside it.
import { DEFAULT_RUN } from '../core/laboratory_settings.js';

/** @import { Settings } from '../core/laboratory_settings.js' */

/** @typedef {{ name: string, runs: Partial<Settings>[], ask: string }} Story */

const { parts } = DEFAULT_RUN;

/** @type {Story[]} */
export const STORIES = [
  {
    name: 'The leak',
    runs: [{ steps: 150, parts: { ...parts, mask: false } }],
    ask:
      'Without the mask each token sees the one that it is to predict. Watch the loss fall below the exact floor, and read what the model writes.',
  },
  {
    name: 'A rate too high',
    runs: [{ rate: 1, steps: 150 }],
    ask: 'The rate is 1 instead of 0.006. Does the loss fall at all, and when?',
  },
  {
    name: 'One layer against two',
    runs: [{ layers: 1 }, {}],
    ask: 'First one layer, then two with all else equal. How much is the second layer worth?',
  },
  {
    name: 'No positions',
    runs: [{ parts: { ...parts, positions: false } }],
    ask: 'Nothing tells the model in which order the words before it stand. Is it better than a 3-gram?',
  },
];
