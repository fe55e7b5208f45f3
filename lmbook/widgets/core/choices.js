// The order in which a reader is shown the choices of a question.
import { seededRandom } from './random.js';

/**
 * The places 0 … count − 1 in an order that depends on the reader's seed and on the question alone; without a seed in
 * their own order.
 * @param {string} id of the question
 * @param {number} count
 * @param {number | null} seed
 */
export function choiceOrder(id, count, seed) {
  const order = Array.from({ length: count }, (_, i) => i);
  if (seed === null) return order;
  // FNV-1a, begun at the seed: questions of neighbouring names have unlike orders.
  const hash = [...id].reduce((sum, sign) => Math.imul(sum ^ (sign.codePointAt(0) ?? 0), 16777619), seed);
  const random = seededRandom(hash);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
