// sandbox/codesandbox: with a key, without one, and offline; against what CodeSandbox published (see support/codesandbox.mjs).
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CodeSandbox } from '@codesandbox/sdk';
import { confFolder, source, startHost, temporaryFolder, until } from '../support/host.mjs';
import { fieldsOf, hiddenFields, openPage, startChromium, startFormReceiver, whyNoChromium } from '../support/chromium.mjs';
import { decodeParameters, getParameters, imported, runBeside, startCodeSandbox, typeProblems } from '../support/codesandbox.mjs';

const read = name => JSON.parse(readFileSync(join(source, 'tests/data', `${name}.json`), 'utf8'));
const bootstrap = read('bootstrap-20184');
const search = read('search-4711');
const smallest = { id: '1', title: 't', test: { path: 'tests/a.spec.js', code: '' }, environment: { playwright: '1.65.1' } };
const png = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1]).toString('base64');
const key = 'csb_v1_Secret-Of-This-Test_42';
const odd = {
  ...smallest,
  title: '</title><script>alert(1)</script> "q" \u2028 😀 検索',
  test: { path: 'tests/[id] +%5B/a&b "c" \'d\' $(e), f.spec.js', code: '// </script> \u2028\u2029 😀\r\nconst a = "\u0001\u007f";\n' },
  files: [
    { path: 'a/[...slug].js', content: '検索 😀 é e\u0301 \u{10FFFF} \uFEFF\u0085' },
    { path: 'percent%20and+plus&.txt', content: '\\u0041 \\ " \b\f\n\r\t' },
    { path: 'ünï/検索😀.txt', content: '' },
  ],
};

const section = (codesandbox, more = '') => `[plugin export-codesandbox]\nnetwork = yes\nsecrets = CSB_API_KEY?\n${codesandbox ? `api = ${codesandbox.url}\nweb = ${codesandbox.url}\n` : ''}${more}`;

/** `exportd run` with that CodeSandbox. */
async function exported(t, repro, { codesandbox, options = [], env = {}, conf = '' } = {}) {
  const out = temporaryFolder(t);
  writeFileSync(join(out, 'repro.json'), JSON.stringify(repro));
  const folder = confFolder(out, { 'p.conf': section(codesandbox, conf) });
  const done = await runBeside(['run', 'sandbox/codesandbox', '-c', folder, '--repro', join(out, 'repro.json'), '-o', join(out, 'o'), ...options.flatMap(o => ['--option', o])], { env });
  assert.doesNotMatch(done.stderr, /Sanitizer|runtime error:/);
  const result = done.code === 0 ? JSON.parse(done.stdout) : undefined;
  return { done, result, page: result?.page && join(out, 'o', result.page) };
}

/** What the repro says must be in the sandbox, and how the sandbox must run. files: {path: content}. */
function checkFiles(files, repro, { version = '1.65.1' } = {}) {
  for (const { path, content, encoding } of repro.files ?? []) if (encoding !== 'base64') assert.equal(files[path], content, path);
  assert.equal(files[repro.test.path], repro.test.code);
  assert.equal(JSON.parse(files['package.json']).devDependencies['@playwright/test'], version);
  const container = JSON.parse(files['.devcontainer/devcontainer.json']);
  assert.equal(container.image, `mcr.microsoft.com/playwright:v${version}-noble`);
  const { setupTasks, tasks } = JSON.parse(files['.codesandbox/tasks.json']);
  assert.deepEqual(setupTasks.map(task => task.command), ['npm install']);
  assert.deepEqual(Object.keys(tasks), ['test', 'test-often', 'list', 'report']);
  assert.equal(tasks.test.runAtStart, true);
  assert.equal(tasks.report.preview.port, 9323);
  // What a shell makes of the command is the test's path, as a regular expression.
  const [, , , word] = execFileSync('sh', ['-c', `printf '%s\\0' ${tasks.test.command}`], { encoding: 'utf8' }).split('\0');
  assert.match(repro.test.path, new RegExp(`^${word}$`));
  assert.ok(files['README.md'].includes(container.image));
}

for (const [name, repro] of [['bootstrap-20184', bootstrap], ['search-4711', search], ['odd contents and names', odd]]) {
  test(`${name}: with a key, the request is what @codesandbox/sdk's types allow, and what its client then lists`, { timeout: 120_000 }, async t => {
    const codesandbox = await startCodeSandbox(t, { key });
    const files = [...repro.files ?? [], { path: 'logo.png', content: png, encoding: 'base64' }];
    const { done, result } = await exported(t, { ...repro, files }, { codesandbox, env: { CSB_API_KEY: key } });
    assert.equal(done.code, 0, done.stderr);
    const [find, create] = codesandbox.requests;
    assert.equal(codesandbox.requests.length, 2);
    assert.equal(`${find.method} ${find.path}`, 'GET /sandbox');
    assert.equal(`${create.method} ${create.path}`, 'POST /sandbox');
    for (const request of [find, create]) {
      assert.equal(request.headers.authorization, `Bearer ${key}`);
      assert.equal(request.headers['x-csb-api-version'], '2023-07-01');
    }
    assert.equal(create.headers['content-type'], 'application/json');
    assert.deepEqual(typeProblems(create.json), []);
    assert.notDeepEqual(typeProblems({ ...create.json, privasy: 1 }), [], 'the check checks');
    const { title, privacy, runtime, tags } = create.json;
    assert.equal(privacy, 1);
    assert.equal(runtime, 'vm');
    assert.ok(title.length <= 255 && title.startsWith(repro.title.slice(0, 20)));
    assert.equal(find.query.get('tags'), tags[1]);
    const plain = Object.fromEntries(Object.entries(create.json.files).filter(([, file]) => !file.is_binary).map(([path, file]) => [path, file.code]));
    checkFiles(plain, repro);
    assert.deepEqual(create.json.files['logo.png'], { is_binary: true, binary_content: png });
    assert.equal(Object.keys(create.json.files).length, result.files);

    // Their client finds it by its tag, with the same request.
    const listed = await new CodeSandbox(key, { baseUrl: codesandbox.url }).sandbox.list({ tags: [tags[1]] });
    assert.deepEqual(listed.sandboxes.map(sandbox => sandbox.id), [result.sandbox_id]);
    const theirs = codesandbox.requests.at(-1);
    assert.equal(`${theirs.method} ${theirs.path} ${theirs.headers.authorization}`, `${find.method} ${find.path} ${find.headers.authorization}`);
    assert.equal(theirs.query.get('tags'), find.query.get('tags'));

    const file = encodeURIComponent(`/${repro.test.path}`).replace(/[!'()*]/g, letter => `%${letter.charCodeAt().toString(16).toUpperCase()}`);
    assert.equal(result.url, `${codesandbox.url}/p/sandbox/${result.sandbox_id}?file=${file}`);
    assert.equal(result.embed_url, `${codesandbox.url}/p/sandbox/${result.sandbox_id}?embed=1&file=${file}`);
    assert.equal(result.privacy, 'unlisted');
    assert.equal(result.way, 'api');
    assert.deepEqual(result.left_out, []);
  });

  test(`${name}: without a key, their own importer makes the same files of the request`, { timeout: 120_000 }, async t => {
    const codesandbox = await startCodeSandbox(t);
    const files = [...repro.files ?? [], { path: 'logo.png', content: png, encoding: 'base64' }];
    const { done, result } = await exported(t, { ...repro, files }, { codesandbox });
    assert.equal(done.code, 0, done.stderr);
    const [define] = codesandbox.requests;
    assert.equal(codesandbox.requests.length, 1);
    assert.equal(`${define.method} ${define.url}`, 'POST /api/v1/sandboxes/define?environment=server&json=1');
    assert.equal(define.headers.authorization, undefined);
    assert.equal(define.headers['content-type'], 'application/json');
    const seen = await imported(define.json.files);
    checkFiles(seen, repro);
    assert.equal(Object.keys(seen).length, result.files);
    assert.deepEqual(result.left_out, [{ path: 'logo.png', reason: 'not text' }]);
    assert.match(seen['README.md'], /1 file of the reproduction, not text, is left out/);
    assert.equal(result.way, 'define');
    assert.equal(result.sandbox_id, 'sb1x');
    assert.equal(result.privacy, 'public');
    assert.match(result.notes.join('\n'), /belongs to nobody/);
  });

  test(`${name}: offline, the parameters are those of codesandbox-import-utils, and nobody is asked`, { timeout: 120_000 }, async t => {
    const codesandbox = await startCodeSandbox(t);
    const long = await exported(t, repro, { codesandbox, options: ['offline=true'], conf: 'max_link = 1000000\n', env: { CSB_API_KEY: key } });
    assert.equal(long.done.code, 0, long.done.stderr);
    assert.equal(long.result.way, 'link');
    assert.equal(long.result.sandbox_id, null);
    const url = new URL(long.result.url);
    assert.equal(url.origin + url.pathname, `${codesandbox.url}/api/v1/sandboxes/define`);
    assert.equal(url.searchParams.get('environment'), 'server');
    assert.equal(long.result.embed_url, `${long.result.url}&embed=1`);
    const parameters = url.searchParams.get('parameters');
    const decoded = JSON.parse(decodeParameters(parameters));
    checkFiles(await imported(decoded.files), repro);
    // Control characters apart, which JSON may write in two ways, the text is the one that their own function compresses.
    if (repro !== odd) assert.equal(parameters, getParameters(decoded));

    const page = await exported(t, repro, { codesandbox, options: ['offline=true', 'opens_itself=false'] });
    assert.equal(page.result.way, 'page');
    assert.equal(page.result.url, null);
    assert.match(readFileSync(page.page, 'utf8'), new RegExp(`name="parameters" value="${parameters}"`));
    assert.equal(codesandbox.requests.length, 0);
  });
}

test('offline: a link where the project fits into the 2,000 characters that CodeSandbox documents', async t => {
  const { result } = await exported(t, smallest, { options: ['offline=true'], conf: 'max_link = 3500\n' });
  assert.equal(result.way, 'link');
  assert.ok(result.url.startsWith('https://codesandbox.io/api/v1/sandboxes/define?environment=server&parameters='));
  const short = await exported(t, smallest, { options: ['offline=true'], conf: `max_link = ${result.url.length}\n` });
  assert.equal(short.result.url, result.url);
  assert.equal(short.result.embed_url, null);
  assert.equal((await exported(t, smallest, { options: ['offline=true'], conf: `max_link = ${result.url.length - 1}\n` })).result.way, 'page');
});

test('the page posts by itself and by its button what codesandbox-import-utils would compress', { skip: whyNoChromium, timeout: 120_000 }, async t => {
  const receiver = await startFormReceiver(t);
  const browser = await startChromium(t);
  const { page: path, result } = await exported(t, search, { codesandbox: receiver, options: ['offline=true'] });
  assert.equal(result.page, 'repro-4711-codesandbox.html');
  const page = await openPage(browser);
  await page.goto(`file://${path}`);
  await until(() => receiver.posts.length === 1, 'the post of the page');
  const quiet = await openPage(browser, { javaScriptEnabled: false });
  await quiet.goto(`file://${path}`);
  const held = await hiddenFields(quiet);
  await quiet.click('text=Open in CodeSandbox');
  await until(() => receiver.posts.length === 2, 'the post of the button');
  assert.deepEqual([...page.problems, ...quiet.problems], []);
  const [itself, button] = receiver.posts;
  assert.equal(itself.url, '/api/v1/sandboxes/define');
  assert.ok(itself.body.equals(button.body));
  assert.deepEqual(fieldsOf(itself), held);
  const { environment, parameters, query } = Object.fromEntries(fieldsOf(itself));
  assert.equal(environment, 'server');
  assert.equal(query, 'file=%2Ftests%2Fregressions%2F4711.spec.js');
  assert.equal(parameters, getParameters(JSON.parse(decodeParameters(parameters))));
});

test('a megabyte of CJK and emoji, compressed, is what lz-string decodes', { timeout: 120_000 }, async t => {
  let text = '';
  for (let i = 0; text.length < 1 << 20; i++) text += `${i.toString(36)} 検索結果${String.fromCodePoint(0x1f300 + i % 600)} {"ключ": "значение"}\n`;
  const repro = { ...smallest, files: [{ path: 'data/large.txt', content: text }] };
  const { result } = await exported(t, repro, { options: ['offline=true'], conf: 'max_link = 100000000\n' });
  const parameters = new URL(result.url).searchParams.get('parameters');
  const decoded = JSON.parse(decodeParameters(parameters));
  assert.equal(decoded.files['data/large.txt'].content, text);
  assert.equal(parameters, getParameters(decoded));
});

test('options shape the sandbox', async t => {
  const codesandbox = await startCodeSandbox(t, { key });
  const { result } = await exported(t, bootstrap, {
    codesandbox, env: { CSB_API_KEY: key }, conf: 'folder = /bugs\nregistry = mirror.example/mcr\n',
    options: ['privacy=private', 'title=My\u0007 title', 'playwright_version=1.40.0', 'repeat=7', 'include_screenshots=true', 'distro=focal'],
  });
  const { json } = codesandbox.requests[1];
  assert.deepEqual(typeProblems(json), []);
  assert.equal(json.title, 'My title');
  assert.equal(json.privacy, 2);
  assert.equal(json.path, '/bugs');
  assert.equal(JSON.parse(json.files['.devcontainer/devcontainer.json'].code).image, 'mirror.example/mcr/playwright:v1.40.0-focal');
  assert.match(JSON.parse(json.files['.codesandbox/tasks.json'].code).tasks.test.command, /--repeat-each=7$/);
  assert.equal(JSON.parse(json.files['.codesandbox/template.json'].code).title, 'My title');
  assert.ok(json.files['screenshots/1-run-1.png'].is_binary);
  assert.equal(result.privacy, 'private');
  assert.equal(result.image, 'mirror.example/mcr/playwright:v1.40.0-focal');
});

test('what is not to be public is not sent without a key', async t => {
  const codesandbox = await startCodeSandbox(t);
  for (const given of [{ options: ['privacy=private'] }, { options: ['privacy=unlisted'] }, { conf: 'privacy = private\n' }, { options: ['privacy=private', 'offline=true'], env: { CSB_API_KEY: key } }]) {
    const { done } = await exported(t, smallest, { codesandbox, ...given });
    assert.equal(done.code, 1);
    assert.match(done.stderr, /key_missing: the sandbox is to be (private|unlisted), which takes a key/);
  }
  assert.equal(codesandbox.requests.length, 0);
  assert.equal((await exported(t, smallest, { codesandbox, conf: 'privacy = private\n', options: ['privacy=public'] })).result.privacy, 'public');
});

test('files by which CodeSandbox would choose another environment are kept aside', async t => {
  const codesandbox = await startCodeSandbox(t);
  const paths = ['.codesandbox/tasks.json', '.codesandbox/Dockerfile', '.devcontainer/devcontainer.json', '.devcontainer.json', 'sandbox.config.json', 'README.md'];
  await exported(t, { ...smallest, files: paths.map(path => ({ path, content: 'evil' })) }, { codesandbox });
  const { files } = codesandbox.requests[0].json;
  for (const path of paths) {
    assert.notEqual(files[path]?.content, 'evil');
    assert.equal(files[`exportd-kept/${path}`].content, 'evil');
  }
});

const many = (count, folder = 'many') => Array.from({ length: count }, (_, i) => ({ path: `${folder}/${i}.txt`, content: 'x' }));
const tooMuch = {
  'more than 500 files': [many(500), /repro_too_large: the project has 507 files, and max_files in \[plugin export-codesandbox\] is 500/],
  'more than 500 folders': [Array.from({ length: 60 }, (_, i) => ({ path: `${`d${i}/`.repeat(9)}x.txt`, content: '' })), /repro_too_large: the project has 54\d folders/],
  'a file over 5 MB': [[{ path: 'large.txt', content: 'x'.repeat((5 << 20) + 1) }], /repro_too_large: the file "large\.txt" is 5242881 bytes, and max_file_bytes/],
  'more than 16 MB': [Array.from({ length: 4 }, (_, i) => ({ path: `${i}.txt`, content: 'x'.repeat(5 << 20) })), /repro_too_large: the project's files are 2\d+ bytes, and max_bytes/],
  '20,001 files': [many(20_001), /too_large|too many/],
  'a path that leads out': [[{ path: '../x', content: '' }], /repro_unsafe/],
  'a newline in a path': [[{ path: 'a\nb', content: '' }], /repro_unsafe/],
};
for (const [what, [files, message]] of Object.entries(tooMuch))
  test(`${what}: refused before CodeSandbox is asked`, { timeout: 120_000 }, async t => {
    const codesandbox = await startCodeSandbox(t, { key });
    for (const env of [{}, { CSB_API_KEY: key }]) {
      const { done } = await exported(t, { ...smallest, files }, { codesandbox, env });
      assert.ok(done.code > 0); // 2 where the host's own limit comes first
      assert.match(done.stderr, message);
    }
    assert.equal(codesandbox.requests.length, 0);
  });

test('files that are left out do not count', async t => {
  const codesandbox = await startCodeSandbox(t);
  const film = { path: 'film.bin', content: Buffer.alloc(6 << 20).toString('base64'), encoding: 'base64' };
  const { result } = await exported(t, { ...smallest, files: [film] }, { codesandbox });
  assert.deepEqual(result.left_out.map(file => file.path), ['film.bin']);
});

// With a key: which request is refused, with what, and what comes of it.
const withKey = {
  'the list is answered with 401': ['GET', { status: 401, body: { errors: ['Unauthorized'] } }, /key_refused: CodeSandbox does not know the key in CSB_API_KEY \(status 401\): it says "Unauthorized"; make one at/],
  'the list is answered with 403': ['GET', { status: 403, body: {} }, /key_not_allowed: the key in CSB_API_KEY may not list the workspace's sandboxes.*scopes to read and to create/],
  'the creation is answered with 403': ['POST', { status: 403, body: {} }, /key_not_allowed: the key in CSB_API_KEY may not make a sandbox/],
  'the creation is answered with 404': ['POST', { status: 404, body: '<html>' }, /address_unknown: http:.* answers with status 404.*mend api in \[plugin export-codesandbox\]/],
  'the list is answered with a redirect': ['GET', { status: 302, headers: { location: 'https://elsewhere.example/' } }, /address_unknown: .* status 302/],
  'the creation is answered with 413': ['POST', { status: 413, body: 'too large' }, /sandbox_too_large: the project is too large for CodeSandbox \(status 413\)/],
  'the creation is answered with 422': ['POST', { status: 422, body: { errors: { title: ['is too \u001b[31mlong'] } } }, /sandbox_refused: CodeSandbox refused to make a sandbox \(status 422\): it says "is too long"; mend what it names/],
  'the creation is answered with 429': ['POST', { status: 429, headers: { 'retry-after': '3600' }, body: {} }, /rate_limited: CodeSandbox takes no more requests for now \(status 429\)/],
  'the creation is answered with 500': ['POST', { status: 500, body: 'oops' }, /service_failed: CodeSandbox could not make a sandbox \(status 500\)/],
  'the creation is answered with 503': ['POST', { status: 503, headers: { 'retry-after': '1' } }, /service_failed: .*\(status 503\)/],
  'the creation is answered without an id': ['POST', { status: 201, body: { data: {} } }, /answer_invalid: CodeSandbox' answer names no sandbox/],
  'the creation is answered with an id that is none': ['POST', { status: 201, body: { data: { id: '../x?y' } } }, /answer_invalid/],
  'the list is answered with none': ['GET', { status: 200, body: 'hello' }, /answer_invalid: CodeSandbox' answer is no list/],
};
for (const [what, [method, refusal, message]] of Object.entries(withKey))
  test(`${what}: a code and a sentence`, async t => {
    const codesandbox = await startCodeSandbox(t, { key, answer: request => request.method === method ? refusal : undefined });
    const { done } = await exported(t, smallest, { codesandbox, env: { CSB_API_KEY: key } });
    assert.equal(done.code, 1);
    assert.match(done.stderr, message);
    assert.doesNotMatch(done.stderr, /\u001b\[31m/);
    assert.ok(!(done.stderr + done.stdout).includes(key));
    assert.equal(codesandbox.requests.length, method === 'GET' ? 1 : 2);
  });

const withoutKey = {
  401: /sandbox_refused: CodeSandbox makes no sandbox for somebody without a key.*set the secret CSB_API_KEY, or ask for the option offline/,
  403: /sandbox_refused/,
  404: /address_unknown: .*mend web in \[plugin export-codesandbox\]/,
  413: /sandbox_too_large/,
  422: /sandbox_refused/,
  429: /rate_limited/,
  502: /service_failed/,
};
for (const [status, message] of Object.entries(withoutKey))
  test(`the define API answers with ${status}: a code and a sentence`, async t => {
    const codesandbox = await startCodeSandbox(t, { answer: () => ({ status: Number(status), body: '{}' }) });
    const { done } = await exported(t, smallest, { codesandbox });
    assert.equal(done.code, 1);
    assert.match(done.stderr, message);
    assert.equal(codesandbox.requests.length, 1);
  });

test('a key goes out over https, to a server on this machine, or not at all', async t => {
  for (const api of ['http://example.com', 'http://127.0.0.1.evil.example', 'http://localhost.evil.example:80/'])
    assert.match((await exported(t, smallest, { env: { CSB_API_KEY: key }, conf: `api = ${api}\n` })).done.stderr, /option_invalid: api in \[plugin export-codesandbox\] begins with http:\/\//);
  for (const bad of ['two words', 'line\r\nX-Evil: 1', 'ключ'])
    assert.match((await exported(t, smallest, { env: { CSB_API_KEY: bad } })).done.stderr, /key_invalid/);
});

test('a server that repeats the key is not quoted', async t => {
  const codesandbox = await startCodeSandbox(t, { key, answer: () => ({ status: 422, body: { errors: [`no such key: ${key}`] } }) });
  const { done } = await exported(t, smallest, { codesandbox, env: { CSB_API_KEY: key } });
  assert.match(done.stderr, /sandbox_refused/);
  assert.ok(!(done.stderr + done.stdout).includes(key));
});

test('without the network grant, and where nobody listens, the sentence says so', async t => {
  const codesandbox = await startCodeSandbox(t);
  const { done } = await exported(t, smallest, { conf: `web = ${codesandbox.url.replace(/\d+$/, '1')}\n` });
  assert.match(done.stderr, /service_unreachable: 127\.0\.0\.1:1 can't be reached: .*network = yes/);
});

/** A host with that CodeSandbox. */
const start = (t, codesandbox, { env = {}, conf = '' } = {}) => startHost(t, {
  plugins: ['export-codesandbox'],
  conf: { 'p.conf': `${section(codesandbox)}workers = 1\n${conf}\n[jobs]\nbackoff = 100ms\nbackoff_max = 100ms\n` },
  env: { CSB_API_KEY: undefined, ...env },
});

const workersOf = host => execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n').filter(line => line.includes(`exportd-worker ${host.process.pid} `)).map(line => parseInt(line, 10));

test('through the HTTP door: both reproductions, without a key', async t => {
  const codesandbox = await startCodeSandbox(t);
  const host = await start(t, codesandbox);
  for (const repro of [bootstrap, search]) {
    const job = await host.runJob({ task: 'sandbox', data: { platform: 'codesandbox', repro } });
    assert.equal(job.status, 'completed', job.error);
    assert.match(job.result.url, /\/p\/sandbox\/sb\dx\?file=%2Ftests%2Fregressions%2F/);
    checkFiles(await imported(codesandbox.sandboxes.at(-1).files), repro);
  }
});

test('a worker that is killed after CodeSandbox made the sandbox: the retry finds it, and there is one', { timeout: 120_000 }, async t => {
  let hold = true;
  const codesandbox = await startCodeSandbox(t, { key, answer: request => hold && request.method === 'POST' ? 'hang' : undefined });
  const host = await start(t, codesandbox, { env: { CSB_API_KEY: key } });
  const accepted = await host.process_({ jobId: 'job "один" 1', task: 'sandbox', data: { platform: 'codesandbox', repro: search } });
  assert.equal(accepted.status, 202, accepted.text);
  await until(() => codesandbox.sandboxes.length === 1, 'the sandbox');
  hold = false;
  for (const worker of workersOf(host)) process.kill(worker, 'SIGKILL');
  const job = await host.finished('job "один" 1');
  assert.equal(job.status, 'completed', job.error);
  assert.equal(codesandbox.sandboxes.length, 1);
  assert.equal(job.result.sandbox_id, codesandbox.sandboxes[0].id);
  assert.match(job.result.notes[0], /an earlier attempt of this job had made the sandbox/);
  const another = await host.runJob({ task: 'sandbox', data: { platform: 'codesandbox', repro: search } });
  assert.notEqual(another.result.sandbox_id, job.result.sandbox_id, 'another job has a sandbox of its own');
});

test('an answer that never comes: the retry finds the sandbox', { timeout: 120_000 }, async t => {
  let held = 0;
  const codesandbox = await startCodeSandbox(t, { key, answer: request => request.method === 'POST' && held++ === 0 ? 'hang' : undefined });
  const host = await start(t, codesandbox, { env: { CSB_API_KEY: key }, conf: 'request_timeout = 1s' });
  const job = await host.runJob({ task: 'sandbox', data: { platform: 'codesandbox', repro: search } });
  assert.equal(job.status, 'completed', job.error);
  assert.equal(codesandbox.sandboxes.length, 1);
  assert.equal(job.result.sandbox_id, codesandbox.sandboxes[0].id);
});

test('without a key the retry makes another, and says so', { timeout: 120_000 }, async t => {
  let hold = true;
  const codesandbox = await startCodeSandbox(t, { answer: () => hold ? 'hang' : undefined });
  const host = await start(t, codesandbox);
  const { json } = await host.process_({ task: 'sandbox', data: { platform: 'codesandbox', repro: search } });
  await until(() => codesandbox.sandboxes.length === 1, 'the sandbox');
  hold = false;
  for (const worker of workersOf(host)) process.kill(worker, 'SIGKILL');
  const job = await host.finished(json.jobId);
  assert.equal(job.result.sandbox_id, codesandbox.sandboxes[1].id);
  assert.match(job.result.notes.join('\n'), /an earlier attempt of this job may have made one too/);
});

const inAnHour = () => String(Math.floor(Date.now() / 1000) + 3600);
const waits = {
  'Retry-After': [{ status: 429, headers: { 'retry-after': '2' } }, 2000],
  'Retry-After with 503': [{ status: 503, headers: { 'retry-after': '2' } }, 2000],
  'the hourly limit of sandboxes': [{ status: 429, headers: { 'x-csb-sandbox-hourly-remaining': '0', 'x-csb-sandbox-hourly-reset': '2' } }, 2000],
};
for (const [what, [refusal, wait]] of Object.entries(waits))
  test(`${what} is kept to, and the job then completes`, { timeout: 120_000 }, async t => {
    const codesandbox = await startCodeSandbox(t, { key, answer: (request, count) => count === 2 ? refusal : undefined });
    const host = await start(t, codesandbox, { env: { CSB_API_KEY: key } });
    const job = await host.runJob({ task: 'sandbox', data: { platform: 'codesandbox', repro: smallest } });
    assert.equal(job.status, 'completed', job.error);
    assert.equal(codesandbox.sandboxes.length, 1);
    const pause = codesandbox.requests[2].at - codesandbox.requests[1].at;
    assert.ok(pause >= wait - 50, `${pause} ms`);
  });

test('a wait of an hour leaves the job waiting, not the worker', { timeout: 120_000 }, async t => {
  const codesandbox = await startCodeSandbox(t, { key, answer: () => ({ status: 429, headers: { 'x-csb-rate-hourly-remaining': '0', 'x-csb-rate-hourly-reset': inAnHour() } }) });
  const host = await start(t, codesandbox, { env: { CSB_API_KEY: key } });
  const { json } = await host.process_({ task: 'sandbox', data: { platform: 'codesandbox', repro: smallest } });
  await until(() => codesandbox.requests.length === 1);
  await new Promise(done => setTimeout(done, 1000));
  assert.equal(codesandbox.requests.length, 1, 'the backoff of 100 ms is not the one that counts');
  assert.equal((await host.get(`/jobs/${json.jobId}`)).json.status, 'pending');
});

/** All that a host wrote: its files, byte for byte. */
function bytesBelow(folder) {
  return Buffer.concat(readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? [bytesBelow(path)] : entry.isFile() && statSync(path).size ? [readFileSync(path)] : [];
  }));
}

test('the key is in no log, result, error, store, address or list of processes', { timeout: 120_000 }, async t => {
  let processes = '';
  const codesandbox = await startCodeSandbox(t, {
    key,
    answer: (request, count) => {
      processes += execFileSync('ps', ['-eo', 'args='], { encoding: 'utf8' });
      return count === 2 ? { status: 500, body: { errors: [`Bearer ${key}`] } } : count === 4 ? { status: 422, body: { errors: [`Bearer ${key}`] } } : undefined;
    },
  });
  const host = await start(t, codesandbox, { env: { CSB_API_KEY: key, EXPORTD_HOST_LOG_LEVEL: 'debug' } });
  const failed = await host.runJob({ task: 'sandbox', data: { platform: 'codesandbox', repro: smallest } });
  assert.equal(failed.errorCode, 'sandbox_refused');
  const job = await host.runJob({ task: 'sandbox', data: { platform: 'codesandbox', repro: smallest } });
  assert.equal(job.status, 'completed', job.error);
  const plugins = await host.get('/plugins');
  const metrics = await host.get('/metrics');
  await host.stop();
  assert.ok(processes.includes('exportd-worker'));
  assert.ok(codesandbox.requests.every(request => !request.url.includes(key) && !request.body.includes(key)));
  for (const [where, text] of Object.entries({ processes, log: host.log, job: JSON.stringify([failed, job]), plugins: plugins.text, metrics: metrics.text, store: bytesBelow(host.state).toString('latin1') }))
    assert.ok(!text.includes(key), where);
});

test('check and start do without the key', async t => {
  const folder = temporaryFolder(t);
  const done = await runBeside(['check', '-c', confFolder(folder, { 'p.conf': section() })], { env: { EXPORTD_HOST_STATE: join(folder, 'state') } });
  assert.equal(done.code, 0, done.stdout + done.stderr);
  assert.match(done.stdout, /^export-codesandbox: not set: CSB_API_KEY$/m);
  assert.doesNotMatch(done.stderr, /CSB_API_KEY/);
});

test('the same input sends the same bytes', async t => {
  const codesandbox = await startCodeSandbox(t);
  await exported(t, search, { codesandbox });
  await exported(t, search, { codesandbox, env: { TZ: 'Asia/Tokyo', LC_ALL: 'C' } });
  assert.equal(codesandbox.requests[1].body, codesandbox.requests[0].body);
});
