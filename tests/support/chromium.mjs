// Chromium, as Debian has it, and a server that keeps what a browser posts to it.
import { existsSync } from 'node:fs';
import http from 'node:http';
import { chromium } from 'playwright-core';
import { afterwards, patience } from './host.mjs';

const program = '/usr/bin/chromium';

export const whyNoChromium = existsSync(program) ? false : 'chromium is not installed (apt-get install chromium)';

/** A browser that asks nobody but whom the test names. */
export async function startChromium(t) {
  const browser = await chromium.launch({
    executablePath: program,
    timeout: patience,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
  });
  afterwards(t, () => browser.close());
  return browser;
}

/** A page of its own; options: as newContext() takes them. What goes wrong in it is in page.problems. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.problems = [];
  page.on('console', message => { if (message.type() === 'error') page.problems.push(message.text()); });
  page.on('pageerror', error => page.problems.push(String(error)));
  return page;
}

/** Keeps every POST, byte for byte. */
export async function startFormReceiver(t) {
  const posts = [];
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', chunk => chunks.push(chunk));
    request.on('end', () => {
      if (request.method === 'POST') posts.push({ url: request.url, headers: request.headers, body: Buffer.concat(chunks) });
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end('<!doctype html><title>received</title><p>received</p>');
    });
  });
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  afterwards(t, () => new Promise(done => { server.close(done); server.closeAllConnections(); }));
  return { url: `http://127.0.0.1:${server.address().port}`, posts };
}

/** A post's fields in their order: [[name, value]…]. */
export const fieldsOf = post => [...new URLSearchParams(post.body.toString())];

/** The hidden fields as the page holds them, before a browser makes line ends CR LF. The page must not post by itself. */
export const hiddenFields = page => page.$$eval('form input[type=hidden]', inputs => inputs.map(input => [input.name, input.value]));

/** Says where two texts begin to differ, or nothing. */
export function difference(actual, expected) {
  if (actual === expected) return '';
  let at = 0;
  while (at < actual.length && actual[at] === expected[at]) at++;
  const part = text => JSON.stringify(text.slice(Math.max(0, at - 60), at + 60));
  return `at ${at} of ${actual.length} and ${expected.length}: ${part(actual)} and not ${part(expected)}`;
}
