/**
 * Firefox for the tests: each line of input is a visit, each line of output what came of it.
 *
 *   node firefox.mjs <path of Firefox> <folder of node_modules>
 *   {"url": "…", "body": "return document.title", "data": null}  ->  {"value": "…", "problems": []}
 *
 * `body` is that of an async function of `data`, run in the page; an empty `url` is a blank page. Problems are
 * what the page logged as an error or threw, and whatever it asked another host for.
 */
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [, , executablePath, modules] = process.argv;
const puppeteer = createRequire(`${modules}/`)('puppeteer-core');
const args = ['--width=1280', '--height=900']; // Firefox 140 has no command for a page's orientation
const defaultViewport = null;
const browser = await puppeteer.launch({ browser: 'firefox', executablePath, args, defaultViewport });

/** @param {string} origin @param {string} url */
const isOwn = (origin, url) => url.startsWith(origin) || /^(data|blob|about):/.test(url);

/** @param {{ origin: string, url: string, body: string, data: unknown }} visit */
async function visit({ origin, url, body, data }) {
  const page = await browser.newPage();
  /** @type {string[]} */
  const problems = [];
  page.on('console', (message) => message.type() === 'error' && problems.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => problems.push(`error: ${error.message}`));
  page.on('request', (request) => isOwn(origin, request.url()) || problems.push(`request: ${request.url()}`));
  if (url) await page.goto(url);
  try {
    const AsyncFunction = (async () => {}).constructor;
    return { value: await page.evaluate(AsyncFunction('data', body), data), problems };
  } catch (error) {
    return { problems: [...problems, `${error}`] };
  } finally {
    await page.close();
  }
}

console.log(JSON.stringify(await browser.version()));
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await visit(JSON.parse(line))));
}
await browser.close();
