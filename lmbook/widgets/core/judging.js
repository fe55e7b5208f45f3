// Judges a number or a choice, given as text, as lmbook/exercises/judging.py does: the tests compare them letter by
// letter. `sentences` are Python's; `item` is an exercise as Exercise.page gives it.

export const LETTERS = 'abcdefgh';
const NUMBER = '[+-]?(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:e[+-]?[0-9]+)?';
const WHOLE = new RegExp(`^(${NUMBER})(?:\\s*/\\s*(${NUMBER}))?\\s*([^0-9]*)$`, 'i');

export function fill(sentence, values = {}) {
  return sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]).trim();
}

export function readNumber(given, unit, sentences) {
  const wrong = (name, values = { given }) => ({ value: NaN, problem: fill(sentences[name], values) });
  const text = given.trim().replaceAll('−', '-');
  if (/^[+-]?(nan|inf|infinity|∞)$/i.test(text)) return wrong('not a number');
  if (/^[+-]?[0-9.]*,/.test(text)) return wrong('comma');
  const match = WHOLE.exec(text);
  if (!match) return wrong('no number');
  const [top, bottom, rest] = [Number(match[1]), Number(match[2] ?? 1), match[3].trim()];
  if (bottom === 0) return wrong('by zero');
  const value = top / bottom;
  if (!Number.isFinite(value)) return wrong('not a number');
  if (rest === '%' && !unit.startsWith('%')) return { value: value / 100, problem: '' };
  if (rest && !`${unit} `.startsWith(`${rest} `) && `${rest}s` !== unit.split(' ')[0]) {
    return unit ? wrong('unit', { unit, rest }) : wrong('no unit', { rest });
  }
  return { value, problem: '' };
}

function judgeNumber(item, given, sentences) {
  const { value, problem } = readNumber(given, item.unit ?? '', sentences);
  if (problem) return { state: 'unreadable', text: problem };
  const off = Math.abs(value - item.answer);
  if (item.bands?.length) {
    const band = item.bands.find((b) => value <= b.upto) ?? item.bands.at(-1);
    const text = fill(sentences.predicted, { given, answer: String(item.answer), text: band.text });
    return { state: off <= item.tolerance ? 'right' : 'wrong', text };
  }
  if (off <= item.tolerance) return { state: 'right', text: fill(sentences.right, { why: item.right ?? '' }) };
  const known = item.mistakes?.find((m) => Math.abs(value - m.answer) <= m.tolerance);
  if (known) return { state: 'wrong', text: known.reason };
  if (off <= item.near) return { state: 'wrong', text: fill(sentences.close, { digits: item.digits }) };
  return { state: 'wrong', text: fill(sentences[value < item.answer ? 'small' : 'large'], { given }) };
}

function judgeChoice(item, given, sentences) {
  const letters = LETTERS.slice(0, item.choices.length);
  const letter = given.toLowerCase().replace(/^[().]+|[().]+$/g, '');
  if (letter.length !== 1 || !letters.includes(letter)) {
    return {
      state: 'unreadable',
      text: fill(sentences['no choice'], { given, first: letters[0], last: letters.at(-1) }),
    };
  }
  const choice = item.choices[letters.indexOf(letter)];
  if (choice.right) return { state: 'right', text: fill(sentences.right, { why: choice.reason }) };
  return { state: 'wrong', text: choice.reason };
}

// What an answer is worth: {state, text}, the state one of right, wrong, unreadable.
export function judge(item, answer, sentences) {
  const given = answer.trim();
  if (!given) return { state: 'unreadable', text: sentences.empty };
  return item.choices ? judgeChoice(item, given, sentences) : judgeNumber(item, given, sentences);
}
