// Python in the page: Pyodide, and of lmbook what judges a function. It runs a reader's code and sends what it prints.
import { answerCalls } from './answering.js';

/**
 * @typedef {object} Book what site/python_files.py writes
 * @property {Record<string, string>} files paths and texts of modules
 * @property {Record<string, unknown>} exercises their entries, by their ids
 */
/**
 * @typedef {object} Page what of lmbook.exercises.page is called
 * @property {(entry: string) => void} prepare
 * @property {(seconds: number) => string} too_long
 * @property {(entry: string, code: string, write: (text: string) => void, seconds: number) => string} run
 */

const BEGIN = [
  'import sys',
  'sys.path.insert(0, "/book")',
  'from lmbook.exercises import page',
  'from play import explain, play',
  'explain()',
  '[page, play]',
].join('\n');

/** @typedef {(code: string, write: (text: string) => void) => string} Play site/play.py's */

/** @type {{ page: Page, play: Play, exercises: Record<string, string> } | null} */
let python = null;

function ready() {
  if (!python) throw new Error('Python isn’t loaded.');
  return python;
}

answerCalls({
  /**
   * @param {{ place: string, book: string }} addresses of Pyodide's folder and of the book's modules
   */
  async start({ place, book }) {
    const [{ loadPyodide }, answer] = await Promise.all([import(`${place}pyodide.mjs`), fetch(book)]);
    if (!answer.ok) throw new Error(`The site has no ${book}.`);
    const pyodide = await loadPyodide({ indexURL: place });
    const { files, exercises } = /** @type {Book} */ (await answer.json());
    for (const [path, text] of Object.entries(files)) {
      const whole = `/book/${path}`;
      pyodide.FS.mkdirTree(whole.slice(0, whole.lastIndexOf('/')));
      pyodide.FS.writeFile(whole, text);
    }
    const entries = Object.entries(exercises).map(([id, entry]) => [id, JSON.stringify(entry)]);
    const [page, play] = pyodide.runPython(BEGIN);
    python = { page, play, exercises: Object.fromEntries(entries) };
  },

  /**
   * What takes time before the reader's code begins; the sentence says later that it took too long.
   * @param {{ id: string, seconds: number }} task
   */
  prepare({ id, seconds }) {
    const { page, exercises } = ready();
    page.prepare(exercises[id]);
    return { sentence: page.too_long(seconds) };
  },

  /** @param {{ id: string, code: string, seconds: number }} task */
  run({ id, code, seconds }, { progress }) {
    const { page, exercises } = ready();
    return JSON.parse(page.run(exercises[id], code, progress, seconds));
  },

  /** @param {{ code: string }} task any code */
  play({ code }, { progress }) {
    return JSON.parse(ready().play(code, progress));
  },
});
