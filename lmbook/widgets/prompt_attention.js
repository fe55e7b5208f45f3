// The attention of a real model on a reader's prompt: any head of any layer.
import { headName, largeMap } from './attention_heads.js';
import { field, h, line, slider } from './kit/kit.js';
import { wordRow } from './kit/sentence.js';
import { messageLine } from './kit/text_field.js';

/**
 * A token with signs for its white space.
 * @param {string} text
 */
export function showToken(text) {
  return text.replace(/ /g, '␣').replace(/\n/g, '↵').replace(/\t/g, '⇥') || '∅';
}

/** @param {unknown} problem */
export const sentenceOf = (problem) => (problem instanceof Error ? problem.message : String(problem));

/** @typedef {{ shares: Float32Array, layers: number, heads: number, words: string[] }} Attention */

/**
 * A slider from 1 to a number that is known later.
 * @param {string} name
 * @param {() => void} onmove
 */
function countSlider(name, onmove) {
  const label = h('span');
  const input = slider([1, 1, 1], () => (tell(), onmove()));
  const tell = () => (label.textContent = `${name} ${input.value} of ${input.max}`);
  return {
    node: field(label, input),
    get place() {
      return Number(input.value) - 1;
    },
    /** @param {number} most */
    limit(most) {
      input.max = String(most);
      tell();
    },
  };
}

/**
 * Any head's attention: the words, of which one looks back at the others, and the head's map. It asks once it is open.
 * @param {(then: (attention: Attention) => void, fail: (problem: unknown) => void) => void} request
 */
export function attentionPart(request) {
  /** @type {Attention | null} */
  let seen = null;
  let chosen = 0;
  const [layer, head] = ['Layer', 'Head'].map((name) => countSlider(name, () => draw()));
  const row = wordRow('The prompt: the chosen token looks back', ['model'], (place) => {
    chosen = place;
    draw();
  });
  const map = largeMap();
  const { node: message, tell } = messageLine();
  const body = h('div', { class: 'lmw-attention' }, line(layer.node, head.node), row.node, map.node);
  const node = h('details', { class: 'lmw-part' }, h('summary', {}, 'What its heads look at'), message, body);
  node.addEventListener('toggle', () => refresh());
  body.hidden = true;

  function draw() {
    if (!seen) return;
    const T = seen.words.length;
    const at = (layer.place * seen.heads + head.place) * T * T;
    const shares = seen.shares.subarray(at, at + T * T);
    const words = seen.words.map(showToken);
    row.write(words.map((word, s) => {
      if (s > chosen) return { word, number: '', shares: [0], look: 'lmw-later', say: `${word}: hidden from here` };
      const number = shares[chosen * T + s].toFixed(2);
      const say = `${word}: ${number} of the attention`;
      return { word, number, shares: [Number(number)], pressed: s === chosen, current: s === chosen, say };
    }));
    map.node.style.setProperty('--rows', String(T));
    map.draw(words, shares, { layer: layer.place, head: head.place, t: chosen });
    const name = headName({ layer: layer.place, head: head.place });
    const best = shares.subarray(chosen * T, chosen * T + chosen + 1).reduce((b, x, s, all) => (x > all[b] ? s : b), 0);
    tell(
      `From “${words[chosen]}”, head ${name} looks most at “${words[best]}”: ${shares[chosen * T + best].toFixed(2)}.`,
    );
    Object.assign(node.dataset, { head: name, from: chosen, most: best });
  }
  /** @param {Attention} attention */
  function show(attention) {
    seen = attention;
    chosen = attention.words.length - 1;
    layer.limit(attention.layers);
    head.limit(attention.heads);
    body.hidden = false;
    draw();
  }
  function refresh() {
    if (!node.open) return;
    request(show, (problem) => {
      body.hidden = true; // what it shows is of another prompt
      tell(sentenceOf(problem), true);
    });
  }
  return { node, refresh };
}
