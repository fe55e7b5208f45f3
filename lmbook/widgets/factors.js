// What the chain-rule explorer computes: the factors of a sentence, where exact and n-gram part, and why.
import { editDistance } from './core/words.js';
import { formatProb, plural } from './kit/kit.js';

const FEW = 50; // fewer occurrences of a context leave its shares off by a tenth or more
const CLOSE = 0.1; // factors within 10 % of each other count as equal

// One entry a word: exact and n-gram P(word | words before), and whether the exact language allows the words before.
export function factorise(models, ids, order) {
  return ids.map((word, t) => {
    const before = ids.slice(0, t);
    const { exact } = models;
    return {
      word,
      p: exact.dist(before)[word],
      q: models.ngramDist(before, order)[word],
      defined: exact.isPossible(before),
    };
  });
}

// log P in nats up to and with each word; −∞ from the first impossible one on.
export function runningLogs(factors) {
  let [exact, ngram] = [0, 0];
  return factors.map(({ p, q }) => {
    exact += Math.log(p);
    ngram += Math.log(q);
    return { exact, ngram };
  });
}

// The place where exact and n-gram differ by the largest ratio; −1 where they nowhere differ by more than 10 %. At the
// first word they differ by convention, the n-gram having read a full stop: that counts only where it is impossible.
export function widestGap(factors) {
  let [widest, place] = [CLOSE, -1];
  factors.forEach(({ p, q }, t) => {
    const counts = t > 0 || p === 0;
    const gap = counts ? Math.abs(Math.log(p) - Math.log(q)) : 0;
    if (gap > widest) [widest, place] = [gap, t];
  });
  return place;
}

// Looks for one earlier word beyond the n-gram's sight that decides: with another word in its place the exact
// probability would be on the n-gram's side. Of several the nearest in spelling is told: “gull” for “gulls”.
export function decidingWord({ vocab, exact }, ids, t, order, q) {
  const word = ids[t];
  const p = exact.dist(ids.slice(0, t))[word];
  const onOtherSide = (r) => (q > p ? r > 2 * p : r < p / 2);
  let best = null;
  for (let j = 0; j < t - (order - 1); j++) {
    for (let other = 0; other < vocab.length; other++) {
      if (other === ids[j]) continue;
      const prefix = [...ids.slice(0, j), other, ...ids.slice(j + 1, t)];
      if (!exact.isPossible(prefix)) continue;
      const r = exact.dist(prefix)[word];
      if (!onOtherSide(r)) continue;
      const distance = editDistance(vocab[ids[j]], vocab[other]);
      if (!best || distance < best.distance || (distance === best.distance && j > best.place)) {
        best = { place: j, other, probability: r, distance };
      }
    }
  }
  return best;
}

// Why exact and n-gram differ at word t, in sentences.
export function explain(models, ids, t, order) {
  const { vocab, exact, ngrams, stop } = models;
  const before = ids.slice(0, t);
  const word = vocab[ids[t]];
  const p = exact.dist(before)[ids[t]];
  const q = models.ngramDist(before, order)[ids[t]];
  const name = `${order}-gram`;
  if (!exact.isPossible(before)) {
    return `“${word}”: the words before it have probability 0 already. After them every word counts as equally likely, by convention.`;
  }
  const says = p === 0 ? 'the exact language never says it here (P = 0)' : `the exact probability is ${formatProb(p)}`;
  const opening = `“${word}”: ${says}, the ${name} gives ${formatProb(q)}.`;
  if (Math.abs(Math.log(p) - Math.log(q)) <= CLOSE) return `${opening} They agree within 10 %.`;
  const read = [...(stop < 0 ? [] : [stop]), ...before].slice(order > 1 ? 1 - order : Infinity);
  const sight = read.length
    ? `reads only “${read.map((id) => vocab[id]).join(' ')}” before it`
    : 'reads no word before it';
  if (t === 0 && order > 1) {
    return `${opening} A text begins here; the ${name} reads a full stop, and gives what follows one inside a text.`;
  }
  const decides = decidingWord(models, ids, t, order, q);
  if (decides) {
    const far = t - decides.place;
    return `${opening} What decides is “${vocab[ids[decides.place]]}”, ${
      far === 1 ? 'the word before' : `${far} words back`
    }: were it “${vocab[decides.other]}”, the exact probability would be ${
      formatProb(decides.probability)
    }. The ${name} ${sight} and can’t know.`;
  }
  if (!read.length) return `${opening} It ${sight}: it knows only how often a word occurs.`;
  const seen = ngrams.count(read);
  const after = ngrams.count([...read, ids[t]]);
  if (seen === 0) return `${opening} It ${sight}, which its training text never has: it goes by shorter contexts.`;
  const followed = `${opening} It ${sight}, which its training text has ${plural(seen, 'time')}`;
  if (after === 0) {
    return `${followed}, never followed by “${word}”: this is smoothing’s share for what it hasn’t seen.`;
  }
  const verdict = seen < FEW ? 'too few to tell exactly' : 'it averages over all texts that end so';
  return `${followed}, followed by “${word}” ${plural(after, 'time')}: ${verdict}.`;
}
