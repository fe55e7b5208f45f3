import assert from 'node:assert/strict';
import { askedIn, fill, judge, LETTERS, readNumber } from '../../lmbook/widgets/core/judging.js';
import table from '../exercises/answers.json' with { type: 'json' };

/** @import { Item } from '../../lmbook/widgets/core/judging.js' */

/** Sentences that show which one it is, and what their places were filled with. */
const SENTENCES = {
  in: 'in {unit}',
  'in share': 'as a share of one',
  'not a number': 'not a number: {given}',
  comma: 'comma: {given}',
  'no number': 'no number: {given}',
  'by zero': 'by zero: {given}',
  unit: 'unit: asked {asked}, got {rest}',
  'no unit': 'no unit: {rest}',
  'no per cent': 'no per cent: {given}',
  'per cent or share': 'per cent or share: {given}',
  'no share': 'no share: {given}',
  predicted: 'predicted {given}, it is {answer}: {text}',
  right: 'right: {why}',
  close: 'close: {digits} digits',
  small: 'small: {given}',
  large: 'large: {given}',
  'no choice': 'no choice: {given}, from {first} to {last}',
  empty: 'empty',
  long: 'long: {length}, most {most}',
};

/** @type {(text: string, item?: Item) => number} the value of a text that can be read */
const valueOf = (text, item = {}) => {
  const { value, problem } = readNumber(text, item, SENTENCES);
  assert.equal(problem, '', text);
  return value;
};
/** @type {(text: string, item?: Item) => string} */
const problemOf = (text, item = {}) => {
  const { value, problem } = readNumber(text, item, SENTENCES);
  assert.ok(Number.isNaN(value), text);
  return problem;
};

Deno.test('places of a sentence are filled', () => {
  assert.equal(fill('{a} and {b} and {a}', { a: '1', b: '2' }), '1 and 2 and 1');
  assert.equal(fill(' no places ,'), 'no places ,');
  assert.equal(askedIn('bits', SENTENCES), 'in bits');
  assert.equal(askedIn('share', SENTENCES), 'as a share of one');
});

/** @type {[string, number][]} */
const CALCULATIONS = [
  ['2', 2],
  [' \t\n\r\f\v\u00a0\u202f\ufeff2\ufeff\u202f\u00a0\v\f\r\n\t ', 2],
  ['12.50', 12.5],
  ['3.', 3],
  ['.5', 0.5],
  ['1e3', 1000],
  ['2.5E-2', 0.025],
  ['1e+2', 100],
  ['-3', -3],
  ['−3', -3],
  ['+3', 3],
  ['2 + 3 - 4', 1],
  ['7-2-1', 4],
  ['2*3/4', 1.5],
  ['2*0', 0],
  ['2 · 3', 6],
  ['1\u00a0+\u202f1', 2],
  ['2+3*4', 14],
  ['(2+3)*4', 20],
  ['( 2 )', 2],
  ['2^3', 8],
  ['2**3', 8],
  ['2^-1', 0.5],
  ['2^3^2', 512],
  ['-2^2', -4],
  ['2 - -3', 5],
  ['2*-3', -6],
  ['3--2', 5],
  ['log(1)', 0],
  ['ln 1', 0],
  ['LN(1)', 0],
  ['log2(8)', 3],
  ['log10(100)', 2],
  ['exp(0)', 1],
  ['exp(1)', Math.E],
  ['log(2)', Math.LN2],
  ['ln(2)', Math.LN2],
  ['sqrt(9)', 3],
  ['sqrt 16', 4],
  ['log2 .5', -1],
  ['-log2(0.25)', 2],
  ['1/(1+1)', 0.5],
  ['0.5*log2(4)+1', 2],
];

for (const [text, want] of CALCULATIONS) {
  Deno.test(`${JSON.stringify(text)} is ${want}`, () => assert.equal(valueOf(text), want));
}

/** @type {[string, string, Item?][]} */
const UNREADABLE = [
  ['x', 'no number: x'],
  ['--2', 'no number: --2'],
  ['2 sqrt(4)', 'no number: 2 sqrt(4)'],
  ['2 3', 'no number: 2 3'],
  ['2\u00a03', 'no number: 2\u00a03'],
  ['info', 'no number: info'],
  ['(2', 'no number: (2'],
  ['2+', 'no number: 2+'],
  ['logs(2)', 'no number: logs(2)'],
  ['.', 'no number: .'],
  ['1/0', 'by zero: 1/0'],
  ['0/0', 'by zero: 0/0'],
  ['log(0)', 'not a number: log(0)'],
  ['log(0-1)', 'not a number: log(0-1)'],
  ['1e999', 'not a number: 1e999'],
  ['10^999', 'not a number: 10^999'],
  ['1e308*10', 'not a number: 1e308*10'],
  ['1e308+1e308', 'not a number: 1e308+1e308'],
  ['(0-8)^0.5', 'not a number: (0-8)^0.5'],
  ...['nan', 'NaN', 'inf', '-inf', '+Infinity', '∞'].map((
    t,
  ) => /** @type {[string, string]} */ ([t, `not a number: ${t}`])),
  ['1,500', 'comma: 1,500'],
  ['-1.5,', 'comma: -1.5,'],
  ['1,000', 'comma: 1,000'],
  ['1,000', 'comma: 1,000', { answer: 999 }],
  ['10,00', 'comma: 10,00', { answer: 1000 }],
  ['1,0000', 'comma: 1,0000', { answer: 1000 }],
  ['1,000,00', 'comma: 1,000,00', { answer: 1000 }],
  ['0,000', 'comma: 0,000', { answer: 1000 }],
  ['2 apples', 'no unit: apples'],
  ['2 apples', 'unit: asked in bits, got apples', { unit: 'bits', units: ['bits', 'bit'] }],
  ['2 apples', 'unit: asked as a share of one, got apples', { unit: 'share' }],
  ['2%', 'unit: asked in bits, got %', { unit: 'bits' }],
  ['2 infinity', 'no unit: infinity'],
];

for (const [text, problem, item] of UNREADABLE) {
  Deno.test(`${text} can not be read: ${problem}, ${JSON.stringify(item)}`, () => {
    assert.equal(problemOf(text, item), problem);
  });
}

Deno.test('thousands may be apart where the answer is in thousands', () => {
  assert.equal(valueOf('1,000', { answer: 1000 }), 1000);
  assert.equal(valueOf('10,000', { answer: 1000 }), 10000);
  assert.equal(valueOf('219,136', { answer: -3892 }), 219136);
  assert.equal(valueOf('1,219,136 + 2,000', { answer: 1e6 }), 1221136);
});

Deno.test('units', () => {
  const bits = { unit: 'bits', units: ['bits', 'bit', 'bits/token', 'bits a token'] };
  const texts = ['2', '2 bits', '2Bit', '2 bits / token', '2 bits /token', '2 bits/ token', '2 bits  a token'];
  assert.deepEqual(texts.map((text) => valueOf(text, bits)), Array(7).fill(2));
  for (const unit of ['', 'share', 'probability']) {
    assert.deepEqual(
      ['50%', '50 %', '50 per cent', '50 Percent'].map((text) => valueOf(text, { unit })),
      Array(4).fill(0.5),
    );
  }
  assert.deepEqual(['50%', '50 percent', '50'].map((text) => valueOf(text, { unit: '%' })), [50, 50, 50]);
});

/** @type {Record<string, string[]>} */
const UNITS = table.units;

for (const [given, unit, answer, value] of /** @type {[string, string, number, number][]} */ (table.read)) {
  Deno.test(`“${given}” is read as ${value} where ${unit || 'a plain number'} is asked for`, () => {
    assert.ok(Math.abs(valueOf(given, { unit, units: UNITS[unit], answer }) - value) <= 1e-12 * Math.abs(value));
  });
}

for (const [given, unit, answer, sentence] of /** @type {[string, string, number, string][]} */ (table.refused)) {
  Deno.test(`“${given}” is refused where ${unit || 'a plain number'} is asked for: ${sentence}`, () => {
    assert.equal(problemOf(given, { unit, units: UNITS[unit], answer }).split(':')[0], sentence);
  });
}

for (const [given, unit, state] of table.predicted) {
  Deno.test(`“${given}” as a prediction in ${unit} is ${state}`, () => {
    const item = { unit, units: UNITS[unit], answer: 100, tolerance: 1e-7, bands: [{ upto: 200, text: 'so' }] };
    assert.equal(judge(item, given, SENTENCES).state, state);
  });
}

Deno.test('an error that is none of the text’s is not hidden', () => {
  const sentences = {
    /** @returns {string} */
    get in() {
      throw new Error('broken');
    },
    broken: 'hidden',
  };
  assert.throws(() => readNumber('2 x', { unit: 'bits' }, sentences), { message: 'broken' });
});

/** @type {(answer: string, item: Item) => [string, string]} */
const judged = (answer, item) => {
  const { state, text } = judge(item, answer, SENTENCES);
  return [state, text];
};

Deno.test('a number: right, close, a known mistake, too small or too large', () => {
  const item = {
    answer: 2.5,
    tolerance: 0.125,
    near: 0.5,
    digits: 3,
    right: 'so it is',
    rounded: [2, 4],
    mistakes: [{ answer: 3, tolerance: 0.25, reason: 'you added' }, {
      answer: 7,
      tolerance: 0,
      reason: 'you multiplied',
    }],
  };
  for (const text of ['2.5', '2.375', '2.625', ' 5/2 ']) {
    assert.deepEqual(judged(text, item), ['right', 'right: so it is']);
  }
  for (const text of ['2', '4']) assert.deepEqual(judged(text, item), ['wrong', 'close: 3 digits']); // rounded
  for (const text of ['2.75', '3', '3.25']) assert.deepEqual(judged(text, item), ['wrong', 'you added']);
  assert.deepEqual(judged('7', item), ['wrong', 'you multiplied']);
  for (const text of ['2.7', '2.25']) assert.deepEqual(judged(text, item), ['wrong', 'close: 3 digits']);
  assert.deepEqual(judged('1.9', item), ['wrong', 'small: 1.9']);
  assert.deepEqual(judged('3.5', item), ['wrong', 'large: 3.5']);
  assert.deepEqual(judged('x', item), ['unreadable', 'no number: x']);
  assert.deepEqual(judged('3', { answer: 2.5, near: 0.5 }), ['wrong', 'close: 0 digits']);
  assert.deepEqual(judged('3', { answer: 2.5 }), ['wrong', 'large: 3']);
  assert.deepEqual(judged('2', { answer: 2 }), ['right', 'right:']);
  assert.deepEqual(judged('5', {}), ['wrong', 'large: 5']);
  assert.deepEqual(judged('4.00000000001', { answer: 9, rounded: [4], digits: 2 }), ['wrong', 'close: 2 digits']);
  assert.deepEqual(judged('4.00000001', { answer: 9, rounded: [4] }), ['wrong', 'small: 4.00000001']);
  assert.deepEqual(judged('0', { answer: 9, rounded: [0], digits: 2 }), ['wrong', 'close: 2 digits']);
  assert.deepEqual(judged('5', { answer: 9, rounded: [0] }), ['wrong', 'small: 5']);
  assert.deepEqual(judged('-4', { answer: 9, rounded: [-4], digits: 2 }), ['wrong', 'close: 2 digits']);
});

Deno.test('a prediction', () => {
  const item = { answer: 40, tolerance: 5, bands: [{ upto: 10, text: 'few' }, { upto: 50, text: 'some' }] };
  assert.deepEqual(judged('10', item), ['wrong', 'predicted 10, it is 40: few']);
  assert.deepEqual(judged('11', item), ['wrong', 'predicted 11, it is 40: some']);
  assert.deepEqual(judged('45', item), ['right', 'predicted 45, it is 40: some']);
  assert.deepEqual(judged('46', item), ['wrong', 'predicted 46, it is 40: some']);
  assert.deepEqual(judged('99', item), ['wrong', 'predicted 99, it is 40: some']);
  const share = { ...item, unit: 'share', answer: 0.4 };
  assert.deepEqual(judged('1', share), ['right', 'predicted 1, it is 0.4: few']);
  assert.deepEqual(judged('0', share), ['right', 'predicted 0, it is 0.4: few']);
  for (const unit of ['share', 'probability']) {
    for (const text of ['1.1', '-0.1', '40', '140%']) {
      assert.deepEqual(judged(text, { ...share, unit }), ['unreadable', `no share: ${text}`]);
    }
  }
  const percent = { ...item, unit: '%' };
  assert.deepEqual(judged('100', percent), ['wrong', 'predicted 100, it is 40: some']);
  assert.deepEqual(judged('0', percent), ['wrong', 'predicted 0, it is 40: few']);
  for (const text of ['101', '-1']) assert.deepEqual(judged(text, percent), ['unreadable', `no per cent: ${text}`]);
  for (const text of ['1', '0.4']) {
    assert.deepEqual(judged(text, percent), ['unreadable', `per cent or share: ${text}`]);
  }
  for (const text of ['1%', '0.4 per cent', '1.1']) {
    assert.deepEqual(judged(text, percent), ['wrong', `predicted ${text}, it is 40: few`]);
  }
});

Deno.test('a choice', () => {
  const choices = ['no', 'yes', 'never'].map((text) => ({ text, reason: `why ${text}`, right: text === 'yes' }));
  for (const text of ['b', 'B', '(b)', 'b.', ' b) ', '(.B.)', 'b \v\n\v ']) {
    assert.deepEqual(judged(text, { choices }), ['right', 'right: why yes']);
  }
  assert.deepEqual(judged('a', { choices }), ['wrong', 'why no']);
  assert.deepEqual(judged('c', { choices }), ['wrong', 'why never']);
  for (const text of ['d', 'ab', '()', '2', 'a b']) {
    assert.deepEqual(judged(text, { choices }), ['unreadable', `no choice: ${text}, from a to c`]);
  }
  assert.equal(LETTERS, 'abcdefgh');
});

Deno.test('nothing, and too much', () => {
  assert.deepEqual(judged(' \n', { answer: 1 }), ['unreadable', 'empty']);
  assert.deepEqual(judged('1'.repeat(81), { answer: 1 }), ['unreadable', 'long: 81, most 80']);
  assert.deepEqual(judged('👍'.repeat(80), { answer: 1 }), ['unreadable', `no number: ${'👍'.repeat(80)}`]);
  assert.deepEqual(judged('0'.repeat(79) + '1', { answer: 1 }), ['right', 'right:']);
});
