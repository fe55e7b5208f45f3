// Judges a number or a choice, given as text, as lmbook/exercises/judging.py and reading.py do: the tests compare them
// letter by letter. The sentences are Python's.

/** @typedef {Record<string, string>} Sentences what is said, by name, with places such as {given} to fill */

/**
 * @typedef {object} Item an exercise as Exercise.page gives it: what judging needs of it
 * @property {string} [unit]
 * @property {string[]} [units] what may stand behind the number, in small letters
 * @property {number} [answer]
 * @property {number} [digits]
 * @property {number} [tolerance] how far from the answer is right
 * @property {number} [near] how far from it is close
 * @property {number[]} [rounded] the answer to fewer digits than asked for
 * @property {{ answer: number, tolerance: number, reason: string }[]} [mistakes]
 * @property {{ upto: number, text: string }[]} [bands] what is said to a predicted number
 * @property {{ text: string, reason: string, right: boolean }[]} [choices]
 * @property {string} [right]
 */

/** @typedef {'right' | 'wrong' | 'unreadable'} State */
/** @typedef {{ state: State, text: string }} Judgement */

export const LETTERS = 'abcdefgh';
const LONGEST = 80; // characters of an answer
const EDGES = /^[ \t\n\r\f\v\u00a0\u2009\u202f\ufeff]+|[ \t\n\r\f\v\u00a0\u2009\u202f\ufeff]+$/g;
const PER_CENT = ['%', 'per cent', 'percent'];
const NUMBER = /(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?/iy;
const THOUSANDS = /(?<![0-9.,])[1-9][0-9]{0,2}(?:([,_ '’])[0-9]{3})(?:\1[0-9]{3})*(?![0-9,_'’]| [0-9])/g;
const BEFORE = /^(?:[=≈~]|(?:about|around|roughly|ca\.?) ) */i;
const CALL = /(log10|log2|log|ln|exp|sqrt) *(?=[(0-9.])/iy;
/** @type {Record<string, (x: number) => number>} */
const FUNCTIONS = {
  log10: Math.log10,
  log2: Math.log2,
  log: Math.log,
  ln: Math.log,
  exp: Math.exp,
  sqrt: Math.sqrt,
};

/** Thrown for a text that has no value; its message is the name of a sentence. */
class Unreadable extends Error {}

/** @param {string} text */
const strip = (text) => text.replace(EDGES, '');

/**
 * @param {string} sentence
 * @param {Record<string, string>} [values] of its places
 */
export function fill(sentence, values = {}) {
  return sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]).trim();
}

/**
 * How an answer is asked for: "in bits", or "as a share of one".
 * @param {string} unit
 * @param {Sentences} sentences
 */
export function askedIn(unit, sentences) {
  return Object.hasOwn(sentences, `in ${unit}`) ? sentences[`in ${unit}`] : fill(sentences.in, { unit });
}

/** @param {number} value */
function finite(value) {
  if (!Number.isFinite(value)) throw new Unreadable('not a number');
  return value;
}

/** Computes the formula at the beginning of a text: sums, products, powers, brackets, logarithms. */
class Calculation {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.place = 0;
  }

  /** @returns {[number, string]} the value, and the rest of the text */
  result() {
    const value = this.sum();
    const rest = strip(this.text.slice(this.place)).replace(/\.+$/, '');
    if (/[0-9]/.test(rest)) throw new Unreadable('no number');
    return [value, rest];
  }

  /**
   * Reads one of `signs`; "" if none stands here.
   * @param {...string} signs
   */
  take(...signs) {
    while (this.text[this.place] === ' ') this.place++;
    const sign = signs.find((one) => this.text.startsWith(one, this.place)) ?? '';
    this.place += sign.length;
    return sign;
  }

  /** @param {RegExp} pattern */
  match(pattern) {
    pattern.lastIndex = this.place;
    const found = pattern.exec(this.text);
    if (found) this.place = pattern.lastIndex;
    return found;
  }

  /** @returns {number} */
  sum() {
    let value = this.product();
    for (let sign = this.take('+', '-'); sign; sign = this.take('+', '-')) {
      const next = this.product();
      value = finite(sign === '+' ? value + next : value - next);
    }
    return value;
  }

  /** @returns {number} */
  product() {
    let value = this.signed();
    for (let sign = this.take('*', '·', '/'); sign; sign = this.take('*', '·', '/')) {
      const next = this.signed();
      if (sign === '/' && next === 0) throw new Unreadable('by zero');
      value = finite(sign === '/' ? value / next : value * next);
    }
    return value;
  }

  /** @returns {number} */
  signed() {
    const sign = this.take('+', '-');
    const value = this.power();
    return sign === '-' ? -value : value;
  }

  /** @returns {number} */
  power() {
    const base = this.atom();
    return this.take('**', '^') ? finite(Math.pow(base, this.signed())) : base;
  }

  /** @returns {number} */
  atom() {
    if (this.take('(')) {
      const value = this.sum();
      if (!this.take(')')) throw new Unreadable('no number');
      return value;
    }
    const call = this.match(CALL);
    if (call) return finite(FUNCTIONS[call[1].toLowerCase()](this.atom()));
    const number = this.match(NUMBER);
    if (!number) throw new Unreadable('no number');
    return finite(Number(number[0]));
  }
}

const SIGNS = [['−', '-'], ['₂', '2'], ['₁₀', '10'], ['÷', '/'], ['½', '(1/2)'], ['¼', '(1/4)'], ['¾', '(3/4)']];
// A comma that can only stand before decimals: thousands have three digits and don't begin with 0.
const DECIMALS = /^[+-]?(0,[0-9]+|[0-9]+,([0-9][0-9]?|[0-9]{4,}))(?![0-9,.])/;
const RAISED = '⁻⁰¹²³⁴⁵⁶⁷⁸⁹';

/**
 * The text with one sign for each thing, digits without gaps, and nothing before the number.
 * @param {string} text
 * @param {boolean} grouped whether 219,136 has its thousands apart; elsewhere a comma may be a decimal point
 */
function inOneForm(text, grouped) {
  const signs = SIGNS.reduce((before, [other, sign]) => before.replaceAll(other, sign), text);
  const spaced = signs.replace(/[\u00a0\u2009\u202f]/g, ' ').replace(BEFORE, '');
  const times = spaced.replace(/×(?= *[^ ])|(?<=[0-9)]) *x *(?=[0-9(])/g, '*');
  const plain = times.replace(
    /[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+/g,
    (all) => `^${[...all].map((one) => '-0123456789'[RAISED.indexOf(one)]).join('')}`,
  );
  const whole = plain.replace(THOUSANDS, (all, gap) => grouped || gap !== ',' ? all.replaceAll(gap, '') : all);
  return !grouped && DECIMALS.test(whole) ? whole.replace(',', '.') : whole;
}

/**
 * The value of what was typed and "", or NaN and what is wrong with it.
 * @param {string} given
 * @param {Item} item
 * @param {Sentences} sentences
 * @returns {{ value: number, problem: string }}
 */
export function readNumber(given, item, sentences) {
  /**
   * @param {string} name
   * @param {Record<string, string>} [values]
   */
  const wrong = (name, values = { given }) => ({ value: NaN, problem: fill(sentences[name], values) });
  const { unit = '', units = [], answer = 0 } = item;
  const text = inOneForm(strip(given), Math.abs(answer) >= 1000);
  if (/^[+-]?(nan|inf|infinity|∞)$/i.test(text)) return wrong('not a number');
  if (/^[+-]?[0-9.]*,/.test(text)) return wrong('comma');
  try {
    const [value, rest] = new Calculation(text).result();
    const told = rest.toLowerCase().replace(/ *([/ ]) */g, '$1');
    if (PER_CENT.includes(told) && ['', '%', 'share', 'probability'].includes(unit)) {
      return { value: unit === '%' ? value : value / 100, problem: '' };
    }
    if (!rest || units.includes(told)) return { value, problem: '' };
    return unit ? wrong('unit', { asked: askedIn(unit, sentences), rest }) : wrong('no unit', { rest });
  } catch (error) {
    if (error instanceof Unreadable) return wrong(error.message);
    throw error;
  }
}

/**
 * The name of what is said to a predicted share that can't be meant, or "". It isn't accepted, because a prediction
 * can't be changed later.
 * @param {string} unit
 * @param {string} given
 * @param {number} value
 */
function beyond(unit, given, value) {
  if (unit === '%' && !(value >= 0 && value <= 100)) return 'no per cent';
  if (unit === '%' && value > 0 && value <= 1 && !/(%|cent)\.*$/.test(given)) return 'per cent or share';
  return (unit === 'share' || unit === 'probability') && !(value >= 0 && value <= 1) ? 'no share' : '';
}

/**
 * @param {Item} item
 * @param {string} given
 * @param {Sentences} sentences
 * @returns {Judgement}
 */
function judgeNumber(item, given, sentences) {
  const { answer = NaN, tolerance = 0, near = 0, bands = [], mistakes = [], rounded = [], digits = 0 } = item;
  const { value, problem } = readNumber(given, item, sentences);
  if (problem) return { state: 'unreadable', text: problem };
  const off = Math.abs(value - answer);
  if (bands.length) {
    const trouble = beyond(item.unit ?? '', given, value);
    if (trouble) return { state: 'unreadable', text: fill(sentences[trouble], { given }) };
    const band = bands.find((b) => value <= b.upto) ?? bands[bands.length - 1];
    const text = fill(sentences.predicted, { given, answer: String(answer), text: band.text });
    return { state: off <= tolerance ? 'right' : 'wrong', text };
  }
  if (off <= tolerance) return { state: 'right', text: fill(sentences.right, { why: item.right ?? '' }) };
  /** @type {Judgement} */
  const close = { state: 'wrong', text: fill(sentences.close, { digits: String(digits) }) };
  if (rounded.some((one) => Math.abs(value - one) <= 1e-9 * Math.abs(one))) return close;
  const known = mistakes.find((m) => Math.abs(value - m.answer) <= m.tolerance);
  if (known) return { state: 'wrong', text: known.reason };
  if (off <= near) return close;
  return { state: 'wrong', text: fill(sentences[value < answer ? 'small' : 'large'], { given }) };
}

/**
 * @param {NonNullable<Item['choices']>} choices
 * @param {string} given
 * @param {Sentences} sentences
 * @returns {Judgement}
 */
function judgeChoice(choices, given, sentences) {
  const letters = LETTERS.slice(0, choices.length);
  const letter = given.toLowerCase().replace(/^[().]+|[().]+$/g, '');
  if (letter.length !== 1 || !letters.includes(letter)) {
    const text = fill(sentences['no choice'], { given, first: letters[0], last: letters[letters.length - 1] });
    return { state: 'unreadable', text };
  }
  const choice = choices[letters.indexOf(letter)];
  if (choice.right) return { state: 'right', text: fill(sentences.right, { why: choice.reason }) };
  return { state: 'wrong', text: choice.reason };
}

/**
 * Whether an answer is right, and why.
 * @param {Item} item
 * @param {string} answer as it was typed, or the letter of a choice
 * @param {Sentences} sentences
 * @returns {Judgement}
 */
export function judge(item, answer, sentences) {
  const given = strip(answer);
  if (!given) return { state: 'unreadable', text: sentences.empty };
  const { length } = [...given];
  if (length > LONGEST) {
    return { state: 'unreadable', text: fill(sentences.long, { most: String(LONGEST), length: String(length) }) };
  }
  return item.choices ? judgeChoice(item.choices, given, sentences) : judgeNumber(item, given, sentences);
}
