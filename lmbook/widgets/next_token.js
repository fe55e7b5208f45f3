// The next-token demo: two models of one language, side by side, after the words so far.
import { sampleFrom, seededRandom } from './core/random.js';
import { readModels } from './core/toy_models.js';
import { joinWords, nearestWord, splitWords } from './core/words.js';
import { announcer, button, formatProb, frame, h, live, newId, plural, readText, roving, setBar } from './kit/kit.js';

// The words worth a line: the likeliest under either model, by exact probability, then by the bigram's, then by id.
export function chooseWords(p, q, count) {
  const height = (w) => Math.max(p[w], q[w]);
  const all = Array.from(p, (_, w) => w);
  const chosen = all.sort((a, b) => height(b) - height(a) || a - b).slice(0, count);
  return chosen.sort((a, b) => p[b] - p[a] || q[b] - q[a] || a - b);
}

function makeRow(choose) {
  const word = h('b');
  const bars = [h('span', { class: 'lmw-bar' }), h('span', { class: 'lmw-bar lmw-of-other' })];
  const numbers = [h('span', { class: 'lmw-num' }), h('span', { class: 'lmw-num' })];
  const cells = [word, bars[0], numbers[0], bars[1], numbers[1]];
  const node = choose
    ? h('button', { type: 'button', class: 'lmw-row', onclick: choose }, cells)
    : h('div', { class: 'lmw-row lmw-rest' }, cells);
  return { node, word, bars, numbers };
}

function fillRow(row, label, p, q, scale) {
  row.word.textContent = label;
  [p, q].forEach((value, i) => {
    setBar(row.bars[i], value / scale);
    row.numbers[i].textContent = value === 0 || value === 1 ? String(value) : value.toFixed(4); // never wider
  });
  row.node.dataset.exact = p;
  row.node.dataset.bigram = q;
}

function render({ model, el }) {
  const { vocab, exact, ngramDist } = readModels(model, 2);
  const count = Math.min(model.get('num_words'), vocab.length);
  let random = seededRandom(model.get('seed'));
  let shown = null;

  const messageId = newId('message');
  const input = h('input', {
    type: 'text',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    maxlength: 2000,
    'aria-describedby': messageId,
  });
  const message = h('p', { class: 'lmw-message', id: messageId });
  const undo = button('Undo', () => setWords(shown.wrong ? shown.ids : shown.ids.slice(0, -1)), {
    title: 'Take the last word away',
  });
  const restart = button('Start again', () => {
    random = seededRandom(model.get('seed'));
    setText(model.get('start'));
  });
  const sampleTitle = `Draw the next word at random (seed ${
    model.get('seed')
  }: the same words after each “Start again”)`;
  const sampler = (name, which) =>
    button('Sample', () => append(sampleFrom(shown[which], random())), {
      'aria-label': `Sample from the ${name}`,
      title: sampleTitle,
      'data-sample': name,
    });
  const [reads, readsLast] = [h('small'), h('small')];
  const rows = Array.from({ length: count }, (_, i) => makeRow(() => append(shown.words[i])));
  const rest = makeRow(null);
  const list = h(
    'ol',
    { 'aria-label': 'Words that may come next; press one to continue the text' },
    rows.map((row) => h('li', {}, row.node)),
  );

  const root = frame(
    el,
    'next-token',
    'Next-token demo',
    h(
      'div',
      { class: 'lmw-line' },
      h('label', { class: 'lmw-field' }, h('span', {}, 'The text so far: press a word below, or type'), input),
      undo,
      restart,
    ),
    message,
    h(
      'div',
      { class: 'lmw-head' },
      h('span', { class: 'lmw-quiet' }, 'What comes next?'),
      h('div', {}, h('span', { class: 'lmw-exact' }, 'Exact language', reads), sampler('exact language', 'p')),
      h('div', {}, h('span', { class: 'lmw-other' }, 'Bigram', readsLast), sampler('bigram', 'q')),
    ),
    list,
    rest.node,
  );
  root.classList.add('lmw-next');
  roving(list);
  const heard = announcer(root);

  const setText = (text) => {
    model.set('prefix', text);
    model.save_changes();
  };
  const setWords = (ids) => setText(joinWords(ids.map((id) => vocab[id])));
  const append = (word) => setWords([...shown.ids, word]);

  function say(text, wrong = false) {
    message.textContent = text;
    message.classList.toggle('lmw-wrong', wrong);
  }

  function draw() {
    if (input.value !== model.get('prefix')) {
      input.value = model.get('prefix');
      input.scrollLeft = input.scrollWidth;
    }
    const { ids, pending, problem } = readText(input.value, vocab, { splitWords, nearestWord });
    const p = exact.dist(ids);
    const q = ngramDist(ids, 2);
    const words = chooseWords(p, q, count);
    shown = { ids, p, q, words, wrong: problem || pending.length };
    const scale = Math.max(...words.map((w) => Math.max(p[w], q[w])));
    const possible = exact.isPossible(ids);
    words.forEach((w, i) => {
      fillRow(rows[i], vocab[w], p[w], q[w], scale);
      rows[i].node.dataset.word = vocab[w];
      rows[i].node.classList.toggle('lmw-never', p[w] === 0);
      rows[i].node.title = `${vocab[w]}: exact ${p[w].toFixed(6)}, bigram ${q[w].toFixed(6)}`;
      rows[i].node.setAttribute(
        'aria-label',
        `${vocab[w]}: exact ${p[w] === 0 ? 'never' : formatProb(p[w])}, bigram ${formatProb(q[w])}`,
      );
    });
    const left = (probs) => vocab.reduce((sum, _, w) => (words.includes(w) ? sum : sum + probs[w]), 0);
    const others = vocab.length - count;
    fillRow(rest, `${others} others`, left(p), left(q), scale);
    rest.node.title = `The other ${plural(others, 'word')} of the vocabulary together`;
    rest.node.hidden = others === 0;
    reads.textContent = ids.length ? `reads all ${plural(ids.length, 'word')}` : 'a text begins';
    readsLast.textContent = `reads only “${ids.length ? vocab[ids.at(-1)] : '.'}”`;
    undo.disabled = input.value.trim() === '';
    root.dataset.prefix = joinWords(ids.map((id) => vocab[id]));
    if (problem) say(problem, true);
    else if (pending.length) say(`… ${pending.slice(0, 6).join(', ')}${pending.length > 6 ? ', …' : ''}`);
    else if (!possible) {
      say(
        'This language can’t produce these words (P = 0). After them every word is equally likely, by convention.',
        true,
      );
    } else say('Struck out: words that the exact language never says here.');
    const best = words[0];
    heard.say(
      problem ||
        `After “${root.dataset.prefix}”: most likely “${vocab[best]}”, exact ${formatProb(p[best])}, bigram ${
          formatProb(q[best])
        }.`,
    );
  }

  input.addEventListener('input', () => setText(input.value));
  return live(root, model, ['prefix'], draw, heard.stop);
}

export default { render };
