// Training in the page: first weights, and a step. A worker calls these again and again; nothing is allocated in a step.
import { seededNormal } from './random.js';

/** @import { AdamW, SGD } from './optimisers.js' */
/** @import { Batch, TrainableTransformer } from './trainable.js' */
/** @import { TrainableWindow } from './window.js' */

/**
 * First weights, of the distribution that lmbook draws from: matrices from N(0, 1 / columns), the last of each branch
 * with that variance divided by 2 · num_layers, norms 1.
 * @param {TrainableTransformer} model
 * @param {number} seed
 */
export function initialise({ parameters, config }, seed) {
  const normal = seededNormal(seed);
  for (const { name, shape, value } of parameters) {
    if (shape.length === 1) {
      value.fill(1);
      continue;
    }
    const added = name.endsWith('attention.out.weight') || name.endsWith('feed_forward.down.weight');
    const spread = Math.sqrt(1 / shape[1] / (added ? 2 * config.num_layers : 1));
    for (let i = 0; i < value.length; i++) value[i] = spread * normal();
  }
}

/**
 * One step on a batch: the mean loss before it, nats per token. `optimiser.gradientLength` is the gradient's length.
 * @param {TrainableTransformer | TrainableWindow} model
 * @param {AdamW | SGD} optimiser of this model
 * @param {Batch} batch
 */
export function trainStep(model, optimiser, batch) {
  if (optimiser.model !== model) throw new TypeError('the optimiser holds the weights of another model');
  const loss = model.lossAndGradients(batch);
  optimiser.step();
  return loss;
}
