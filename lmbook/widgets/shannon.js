// Shannon's game: guess the next letter until it is right; the numbers of guesses bound the entropy of English.
import { announcer, button, frame, h, live, plural, roving, setBar, setter } from './kit/kit.js';

const ALPHABET = ' abcdefghijklmnopqrstuvwxyz';
const KEY_ROWS = ['qwertyuiop', 'asdfghjkl', 'zxcvbnm', ' '];
const ENOUGH = 100; // Shannon (1951) scored 100 letters for each length of context
const CHART_TO = 10; // the chart's last column is "10 or more"

const nameOf = (letter) => (letter === ' ' ? 'space' : letter);
const draws = (letter) => (letter === ' ' ? '␣' : letter);

// From the numbers of guesses, each 1 … 27, that a reader needed: bounds on the entropy in bits per letter.
// q_i is the share of letters found at guess i. Upper: −Σ q_i log2 q_i, the entropy of the guess numbers, from which
// the text can be rebuilt. Lower: Σ i (q_i − q_{i+1}) log2 i. Source: Shannon (1951), section 5, equation 17.
export function shannonBounds(guesses, alphabetSize = 27) {
  const q = new Float64Array(alphabetSize + 2);
  for (const g of guesses) q[g] += 1 / guesses.length;
  let [upper, lower, square] = [0, 0, 0];
  for (let i = 1; i <= alphabetSize; i++) {
    lower += i * (q[i] - q[i + 1]) * Math.log2(i);
    if (q[i] === 0) continue;
    upper -= q[i] * Math.log2(q[i]);
    square += q[i] * Math.log2(q[i]) ** 2;
  }
  const standardError = guesses.length ? Math.sqrt(Math.max(square - upper ** 2, 0) / guesses.length) : 0;
  return { upper, lower, standardError, q };
}

function makeChart(label) {
  const bars = Array.from({ length: CHART_TO }, () => [h('i'), h('i')]);
  const axis = bars.map((_, i) => h('span', {}, i + 1 < CHART_TO ? String(i + 1) : `${CHART_TO}+`));
  const columns = h(
    'div',
    { class: 'lmw-chart', role: 'img' },
    bars.map((two) => h('div', {}, two)),
  );
  const node = h(
    'div',
    {},
    h('p', { class: 'lmw-quiet' }, label),
    columns,
    h('div', { class: 'lmw-axis', 'aria-hidden': 'true' }, axis),
  );
  const draw = (reader, ngram) => {
    const tally = (guesses) => bars.map((_, i) => guesses.filter((g) => Math.min(g, CHART_TO) === i + 1).length);
    const [mine, its] = [tally(reader), tally(ngram)];
    const highest = Math.max(...mine, ...its, 1);
    bars.forEach(([a, b], i) => {
      setBar(a, mine[i] / highest);
      setBar(b, its[i] / highest);
    });
    columns.setAttribute(
      'aria-label',
      `Letters found at guess 1 to ${CHART_TO} or more: you ${mine.join(', ')}; the n-gram ${its.join(', ')}`,
    );
  };
  return { node, draw };
}

// The reader's and the n-gram's results on the letters played so far.
function makeScores() {
  const cell = (name) => h('td', { class: 'lmw-num', 'data-score': name }, '–');
  const rows = [
    ['Right at the first guess', cell('you-first'), cell('ngram-first')],
    ['Guesses per letter', cell('you-mean'), cell('ngram-mean')],
    ['Upper bound, bits per letter', cell('you-upper'), cell('ngram-upper')],
    ['Lower bound, bits per letter', cell('you-lower'), cell('ngram-lower')],
    ['Cross-entropy, bits per letter', h('td', { class: 'lmw-num' }, 'unknown'), cell('ngram-bits')],
  ];
  const head = h(
    'tr',
    {},
    h('th', { scope: 'col' }, 'On all letters you have played'),
    h('th', { scope: 'col', class: 'lmw-num lmw-exact' }, 'You'),
    h('th', { scope: 'col', class: 'lmw-num lmw-other' }, 'n-gram'),
  );
  const node = h(
    'table',
    {},
    h('thead', {}, head),
    h(
      'tbody',
      {},
      rows.map(([label, ...cells]) => h('tr', {}, h('th', { scope: 'row' }, label), cells)),
    ),
  );
  const write = (name, value, digits = 4) => {
    const target = [...node.querySelectorAll('td')].find((one) => one.dataset.score === name);
    if (!target) throw new RangeError(`the table has no score ${name}`);
    target.textContent = value === null ? '–' : (value < 0 ? '−' : '') + Math.abs(value).toFixed(digits);
    target.dataset.value = String(value ?? '');
  };
  return { node, write };
}

function scoreInto(write, who, guesses) {
  const n = guesses.length;
  const { upper, lower } = shannonBounds(guesses);
  write(`${who}-first`, n ? guesses.filter((g) => g === 1).length / n : null);
  write(`${who}-mean`, n ? guesses.reduce((a, b) => a + b, 0) / n : null);
  write(`${who}-upper`, n ? upper : null);
  write(`${who}-lower`, n ? lower : null);
}

function verdict(guesses) {
  const n = guesses.length;
  if (n === 0) return 'Guess the next letter. Each letter you find is one observation.';
  const { upper, standardError } = shannonBounds(guesses);
  const range = `Your upper bound is ${upper.toFixed(2)} ± ${standardError.toFixed(2)} bits (standard error).`;
  if (n < ENOUGH) {
    return `${
      plural(n, 'letter')
    } so far: too few for your bounds to mean much; they may even cross. Shannon used ${ENOUGH} letters: ${
      ENOUGH - n
    } to go. ${range}`;
  }
  return `${n} letters, as many as Shannon used or more. ${range}`;
}

function makeKeys(guess) {
  const keys = new Map();
  const rows = KEY_ROWS.map((row) =>
    h(
      'div',
      {},
      [...row].map((letter) => {
        const key = button(letter === ' ' ? 'space' : letter, () => guess(letter), { 'data-letter': letter });
        key.classList.add('lmw-key');
        key.classList.toggle('lmw-space', letter === ' ');
        key.addEventListener('pointerdown', (event) => event.preventDefault()); // typing stays where it was
        keys.set(letter, key);
        return key;
      }),
    )
  );
  return { keys, node: h('div', { class: 'lmw-keys', role: 'group', 'aria-label': 'Letters to guess' }, rows) };
}

function render({ model, el }) {
  const passages = model.get('passages');
  let tried = new Set(); // wrong guesses for the letter that is next
  let position = '';

  const current = () => passages[model.get('passage')];
  const results = () => model.get('guesses')[model.get('passage')];
  const place = () => current().given + results().length;
  const set = setter(model);
  const setResults = (list) =>
    set({ guesses: model.get('guesses').map((old, i) => (i === model.get('passage') ? list : old)) });

  const choice = h(
    'select',
    { onchange: () => set({ passage: Number(choice.value) }) },
    passages.map((one, i) => h('option', { value: i }, one.name)),
  );
  const reveal = button('Show the letter', () => place() < current().text.length && found(27), {
    title: 'Counts as 27 guesses',
  });
  const reset = button('Start again', () => {
    tried = new Set();
    setResults([]);
    draw();
  });
  const letters = h('div', { class: 'lmw-letters', 'aria-hidden': 'true' });
  const spoken = h('p', { class: 'lmw-heard' });
  const board = h(
    'div',
    {
      class: 'lmw-text',
      tabindex: 0,
      role: 'group',
      'aria-label': 'The passage. Type a letter or the space bar to guess what comes next.',
    },
    letters,
    spoken,
  );
  const message = h('p', { class: 'lmw-message' });
  const keyboard = makeKeys(guess);
  const scores = makeScores();
  const chart = makeChart('Letters found at each number of guesses');
  const advice = h('p', { class: 'lmw-quiet' });
  const root = frame(
    el,
    'shannon',
    'Shannon’s guessing game',
    h(
      'div',
      { class: 'lmw-line' },
      h('label', { class: 'lmw-field' }, h('span', {}, 'Passage'), choice),
      reveal,
      reset,
    ),
    board,
    message,
    keyboard.node,
    advice,
    scores.node,
    chart.node,
    h(
      'p',
      { class: 'lmw-quiet' },
      'Under each letter: ',
      h('span', { class: 'lmw-exact' }, 'your guesses'),
      ' and ',
      h('span', { class: 'lmw-other' }, 'the n-gram’s'),
      '. “Show the letter” counts as 27 guesses.',
    ),
  );
  root.classList.add('lmw-shannon');
  roving(keyboard.node);
  const heard = announcer(root);

  function found(count) {
    const rank = current().ranks[results().length];
    const letter = current().text[place()];
    message.textContent = `${count === 27 && tried.size < 26 ? 'It was' : 'Right:'} “${nameOf(letter)}”, ${
      count === 27 ? 'counted as 27 guesses' : `guess ${count}`
    }; the n-gram needed ${rank}.`;
    heard.say(message.textContent);
    tried = new Set();
    setResults([...results(), count]);
  }

  function guess(letter) {
    if (place() >= current().text.length) return;
    if (letter === current().text[place()]) return found(tried.size + 1);
    message.textContent = tried.has(letter)
      ? `“${nameOf(letter)}” was tried already; it isn’t counted again.`
      : `Not “${nameOf(letter)}”. Guess ${tried.size + 2}:`;
    tried.add(letter);
    heard.say(message.textContent);
    drawKeys();
  }

  function drawKeys() {
    for (const [letter, key] of keyboard.keys) key.setAttribute('aria-disabled', String(tried.has(letter)));
  }

  function drawLetters() {
    const { text, given, ranks } = current();
    const cells = [...text.slice(0, place())].map((letter, i) => {
      const played = i >= given;
      const counts = played ? [String(results()[i - given]), String(ranks[i - given])] : ['', ''];
      return h(
        'span',
        { class: played ? 'lmw-letter' : 'lmw-letter lmw-given' },
        draws(letter),
        counts.map((count) => h('small', {}, count)),
      );
    });
    const open = place() < text.length;
    if (open) cells.push(h('span', { class: 'lmw-letter lmw-cursor' }, '?', h('small'), h('small')));
    letters.replaceChildren(...cells);
    board.scrollTop = board.scrollHeight;
    spoken.textContent = `The passage so far: ${text.slice(0, place())}${open ? ', next letter unknown' : ', the end'}`;
    reveal.disabled = !open;
  }

  function draw() {
    const here = `${model.get('passage')}:${results().length}`;
    if (here !== position) tried = new Set();
    position = here;
    const { text, given, log2_probs: log2 } = current();
    const n = results().length;
    const mine = model.get('guesses').flat(); // the scores are over all passages: more letters, surer bounds
    const playedOf = (name) => passages.flatMap((one, i) => one[name].slice(0, model.get('guesses')[i].length));
    const its = playedOf('ranks');
    choice.value = String(model.get('passage'));
    drawLetters();
    drawKeys();
    scoreInto(scores.write, 'you', mine);
    scoreInto(scores.write, 'ngram', its);
    scores.write(
      'ngram-bits',
      mine.length ? -playedOf('log2_probs').reduce((a, b) => a + b, 0) / mine.length : null,
    );
    chart.draw(mine, its);
    const whole = -log2.reduce((a, b) => a + b, 0) / log2.length;
    advice.textContent = `${verdict(mine)} Over this whole passage (${
      plural(text.length - given, 'letter')
    }) the n-gram’s cross-entropy is ${whole.toFixed(4)} bits per letter.`;
    if (n === 0 && tried.size === 0) {
      message.textContent = 'Type a letter, or press one. The space is a letter too.';
    }
    if (n === text.length - given) message.textContent += ' That was the last letter.';
    root.dataset.played = n;
  }

  // Letters count wherever the focus is, except where a select wants them; the space bar presses a focused button.
  root.addEventListener('keydown', (event) => {
    const target = event.target instanceof Element ? event.target : root;
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest('select')) return;
    const letter = event.key.toLowerCase();
    if (letter.length !== 1 || !ALPHABET.includes(letter)) return;
    if (letter === ' ' && target.closest('button')) return;
    event.preventDefault();
    guess(letter);
  });
  board.addEventListener('pointerdown', () => board.focus());

  return live(root, model, ['passage', 'guesses'], draw, heard.stop);
}

export default { render };
