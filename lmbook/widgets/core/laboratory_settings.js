// The settings of a run in the laboratory; laboratory.js says which of them go together.

/** @typedef {typeof DEFAULT_RUN} Settings */

export const OWN_LIMIT = 1_000_000; // characters of a reader's own text that a run can read

/** The run that `lmbook.training.recipes` calls toy-causal, but for its length. `parts` are what can be switched off. */
export const DEFAULT_RUN = {
  model: /** @type {'transformer' | 'window' | 'given'} */ ('transformer'), // given: a configuration from Python
  layers: 2,
  width: 64,
  heads: 4,
  context: 128,
  window: 4,
  vectors: 32,
  hidden: 128,
  optimiser: /** @type {'adamw' | 'sgd'} */ ('adamw'),
  rate: 0.006,
  warmup: 30,
  steps: 300,
  batch: 16,
  seed: 1,
  parts: { mask: true, positions: true, residuals: true, norms: true, rows: true },
};
