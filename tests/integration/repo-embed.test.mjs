// compute-embeddings: chunks and vectors of real repositories, by hashed n-grams, real word vectors and an OpenAI-compatible server; files, rows, the cache.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import npyjs from 'npyjs';
import OpenAI from 'openai';
import { afterwards, confFolder, pluginFolder, run, source, startHost, temporaryFolder, until } from '../support/host.mjs';
import { git } from '../support/git.mjs';
import { freePort, Postgres } from '../support/servers.mjs';

const KEY = 'sk-never-to-be-seen-9f31', PASSWORD = 'pw-never-to-be-seen-77';
const modules = join(source, 'tests/node_modules');
const PLUGINS = ['repo-clone', 'repo-embed'];
const conf = (folder, lines = '', more = '') => ({
  'p.conf': `[plugin repo-clone]\nschemes = https file\nread = ${folder}\ncache = git\n[plugin repo-embed]\ncache = embeddings\nnetwork = yes\nsecrets = EMBEDDINGS_API_KEY? EMBEDDINGS_DATABASE_URL?\n${lines}\n`,
  'jobs.conf': `[jobs]\nbackoff = 20ms\nbackoff_max = 100ms\nmax_attempts = 3\n${more}`,
});

function write(folder, files) {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
}

function commit(folder) {
  git(folder, 'add', '-A', '-f');
  git(folder, 'commit', '-q', '-m', 'A change');
}

/** A repository of these files, {path: text}; returns its folder. */
function repository(folder, files) {
  const path = mkdtempSync(join(folder, 'repo-'));
  execFileSync('chmod', ['755', path]);
  write(path, files);
  git(path, 'init', '-q', '-b', 'main');
  commit(path);
  return path;
}

const start = (t, folder, lines, options = {}) => startHost(t, { plugins: PLUGINS, conf: conf(folder, lines, options.more), env: options.env ?? {} });
const embed = (host, path, data = {}) => host.runJob({ task: 'compute-embeddings', data: { repo_url: `file://${path}`, ...data } });
async function done(host, path, data) {
  const job = await embed(host, path, data);
  assert.equal(job.status, 'completed', JSON.stringify(job));
  return { id: job.jobId ?? job.id, ...job.result };
}
async function fails(host, path, data) {
  const job = await embed(host, path, data);
  assert.equal(job.status, 'failed', JSON.stringify(job));
  return job;
}

/** The three files of a job: {matrix: [[…]], lines, index, npy}; checked against each other. */
async function files(host, result) {
  const get = async name => (await host.get(`/artifacts/${result.id}/${name}`)).bytes;
  const npy = await get('embeddings.npy'), jsonl = (await get('embeddings.jsonl')).toString(), index = JSON.parse(await get('embeddings.index.json'));
  const { data, shape, dtype, fortranOrder } = new npyjs().parse(npy.buffer.slice(npy.byteOffset, npy.byteOffset + npy.length));
  assert.deepEqual([dtype, fortranOrder, shape], ['f4', false, [result.chunks, result.embedder.dimensions]].map((x, i) => (i === 0 ? dtype : x)));
  assert.ok(data instanceof Float32Array);
  const matrix = Array.from({ length: shape[0] }, (_, i) => data.subarray(i * shape[1], (i + 1) * shape[1]));
  const lines = jsonl.split('\n').filter(Boolean).map(line => JSON.parse(line));
  assert.equal(lines.length, result.chunks);
  lines.forEach((line, i) => assert.equal(line.row, i));
  assert.equal(index.schema, 'exportd.embeddings/1');
  assert.equal(index.chunks, result.chunks);
  assert.equal(Object.keys(index.files).length, result.files);
  for (const [path, [first, count]] of Object.entries(index.files))
    for (let row = first; row < first + count; row++) assert.equal(lines[row].file, path);
  assert.equal(Object.values(index.files).reduce((sum, [, count]) => sum + count, 0), result.chunks);
  return { matrix, lines, index, npy, jsonl };
}

const cosine = (a, b) => {
  let ab = 0, aa = 0, bb = 0;
  for (let i = 0; i < a.length; i++) { ab += a[i] * b[i]; aa += a[i] * a[i]; bb += b[i] * b[i]; }
  return ab / Math.sqrt(aa * bb);
};
const sha256 = text => createHash('sha256').update(text).digest('hex');
const paragraphs = (name, count) => Array.from({ length: count }, (_, i) => `## ${name} ${i}\n\n${`The ${name} number ${i} is said to be of some use. `.repeat(12)}\n\n`).join('');

test('hashed n-grams: files that agree, said to be what they are, and nothing embedded twice', async t => {
  const folder = temporaryFolder(t);
  const path = repository(folder, { 'README.md': `# Tools\n\n${paragraphs('hammer', 5)}`, 'src/pump.c': `/* The pump. */\n${Array.from({ length: 30 }, (_, i) => `int pump_${i}(int pressure)\n{\n    return pressure * ${i} + valve(${i});\n}\n`).join('\n')}`,
    'copy/pump.c': 'int one(void);\n', 'again/pump.c': 'int one(void);\n', 'umlaut/ä ö.txt': 'Grüße aus Köln\n' });
  const host = await start(t, folder);
  const first = await done(host, path, { text: true, vectors_in_jsonl: true, query: ['where is the pressure of the pump computed?', 'hammer number 3'], top: 3 });
  assert.equal(first.embedder.kind, 'hashed-ngrams');
  assert.match(first.embedder.note, /hashed words and character n-grams/);
  assert.equal(first.embedder.dimensions, 384);
  assert.equal(first.repository.commit, git(path, 'rev-parse', 'HEAD'));
  assert.deepEqual([first.files, first.repeated, first.reused, first.complete, first.embedded], [5, 1, 0, true, first.chunks - 1]);
  const { matrix, lines, npy, jsonl } = await files(host, first);
  const text = Object.fromEntries(['README.md', 'src/pump.c', 'copy/pump.c', 'again/pump.c', 'umlaut/ä ö.txt'].map(name => [name, readFileSync(join(path, name))]));
  for (const line of lines) {
    const piece = text[line.file].subarray(line.start_byte, line.end_byte);
    assert.equal(piece.toString(), line.text);
    assert.equal(sha256(piece), line.hash);
    assert.equal(line.start_line, text[line.file].subarray(0, line.start_byte).toString().split('\n').length);
    assert.deepEqual([...matrix[line.row]], line.vector.map(Math.fround));
    assert.ok(Math.abs(cosine(matrix[line.row], matrix[line.row]) - 1) < 1e-6 && Math.abs(line.vector.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-4);
  }
  assert.ok(lines.some(line => line.title === 'Tools > hammer 3'), JSON.stringify(lines.map(line => line.title)));
  assert.deepEqual(first.nearest.map(({ chunks }) => chunks.length), [3, 3]);
  assert.equal(first.nearest[0].chunks[0].file, 'src/pump.c');
  assert.equal(first.nearest[1].chunks[0].title, 'Tools > hammer 3');
  for (const { chunks } of first.nearest) assert.deepEqual(chunks.map(({ score }) => score), chunks.map(({ score }) => score).sort((a, b) => b - a));

  const second = await done(host, path, { text: true, vectors_in_jsonl: true });
  assert.deepEqual([second.embedded, second.reused, second.repeated], [0, first.embedded, 1]);
  const again = await files(host, second);
  assert.ok(npy.equals(again.npy));
  assert.equal(jsonl, again.jsonl);

  write(path, { 'src/pump.c': readFileSync(join(path, 'src/pump.c'), 'utf8').replace('pump_29(int pressure)', 'pump_29(int force)'), 'moved.md': readFileSync(join(path, 'README.md')) });
  rmSync(join(path, 'README.md'));
  commit(path);
  const third = await done(host, path);
  assert.deepEqual([third.embedded, third.reused, third.chunks], [1, first.embedded - 1, first.chunks]);
  assert.equal((await done(host, path, { chunk_bytes: 400, overlap_bytes: 50 })).chunks > 2 * first.chunks, true);
});

test('a hostile repository: what is no text is left out and counted, what is odd is embedded', async t => {
  const folder = temporaryFolder(t);
  const big = 'a line that is repeated\n'.repeat(60_000);
  const path = repository(folder, {
    'binary.dat': Buffer.concat([Buffer.from('text and then'), Buffer.alloc(10), Buffer.from('more')]), 'noise.txt': Buffer.from(Array.from({ length: 3000 }, (_, i) => 128 + (i * 37) % 128)),
    'latin1.c': Buffer.from('/* Gr\xfc\xdfe aus K\xf6ln, und noch viel mehr Text, der keine Umlaute hat */\nint main(void) { return 0; }\n', 'latin1'),
    'large.txt': big, 'app.min.js': 'x', 'package-lock.json': '{}', 'node_modules/a/index.js': 'module.exports = 1;\n', 'empty.txt': '', 'blank.txt': ' \n\t\n',
    'generated.go': '// Code generated by protoc. DO NOT EDIT.\npackage a\n', 'one-line.json': `{"a":"${'word € '.repeat(20_000)}"}`, 'deep.json': '['.repeat(100_000), 'quote.js': '`'.repeat(5000) + '\n{'.repeat(5000),
    'crlf.py': 'def a():\r\n    return 1\r\n', 'no-newline.md': '# A', [`${'d/'.repeat(60)}deep.txt`]: 'deep down\n', 'bidi.md': 'a \u202e b\n',
  });
  symlinkSync('/etc/passwd', join(path, 'link'));
  symlinkSync('latin1.c', join(path, 'inside.c'));
  commit(path);
  const host = await start(t, folder);
  const result = await done(host, path, { text: true });
  assert.deepEqual(result.skipped, { vendored: 1, generated: 3, too_large: 1, binary: 2, empty: 2 });
  assert.equal(result.files, 9); // a link that leads out is checked out as a file with its target in it
  assert.ok(result.notes.some(note => /in 1 files, bytes that are not UTF-8/.test(note)), JSON.stringify(result.notes));
  const { lines } = await files(host, result);
  assert.ok(lines.every(line => line.end_byte - line.start_byte <= 1500));
  assert.match(lines.find(line => line.file === 'latin1.c').text, /Gr\?\?e aus K\?ln/);
  for (const name of ['one-line.json', 'deep.json', 'quote.js']) {
    const size = readFileSync(join(path, name)).length;
    let reached = 0;
    for (const line of lines.filter(({ file }) => file === name)) {
      assert.ok(line.start_byte <= reached, `${name}: a gap before ${line.start_byte}`);
      reached = line.end_byte;
    }
    assert.equal(reached, size, name);
  }
  const all = await done(host, path, { include_generated: true });
  assert.deepEqual(all.skipped, { too_large: 1, binary: 2, empty: 2 });

  const none = repository(folder, { 'a.bin': Buffer.alloc(20) });
  const nothing = await done(host, none, { query: ['anything'] });
  assert.deepEqual([nothing.chunks, nothing.files, nothing.nearest], [0, 0, [{ query: 'anything', chunks: [] }]]);
  await files(host, nothing);
});

test('bounds: what is beyond them is left out, counted and said', async t => {
  const folder = temporaryFolder(t);
  const path = repository(folder, Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`f${String(i).padStart(2, '0')}.md`, paragraphs(`thing ${i}`, 6)])));
  const host = await start(t, folder, 'max_chunks = 10\n');
  const few = await done(host, path);
  assert.deepEqual([few.chunks, few.complete], [10, false]);
  assert.ok(few.skipped.over_limit > 15);
  assert.match(few.notes.join(), /max_chunks/);
  await files(host, few);
  const other = await start(t, folder, 'max_files = 3\nmax_file_bytes = 100K\n');
  const three = await done(other, path);
  assert.deepEqual([three.files, three.skipped, three.complete], [3, { over_limit: 17 }, false]);
  for (const [data, message] of [[{ chunk_bytes: 300, overlap_bytes: 101 }, /overlap_bytes is 101; with chunk_bytes = 300 it takes 0 to 100/], [{ embedder: 'word-vectors' }, /set vectors in \[plugin repo-embed\]/],
    [{ embedder: 'endpoint' }, /set endpoint in/], [{ query: Array(17).fill('x') }, /17 questions; it takes 16/], [{ query: ['  '] }, /query 1 is empty/], [{ into: 'postgres' }, /: into = postgres needs EMBEDDINGS_DATABASE_URL/]]) {
    const job = await fails(other, path, data);
    assert.equal(job.errorCode, 'option_invalid', JSON.stringify(job));
    assert.match(job.error, message);
  }
});

describe('word vectors', () => {
  let folder, path, text;

  // Real ones: fastText's own program, on what packages of the tests say of themselves.
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'exportd-test-'));
    execFileSync('chmod', ['755', folder]);
    const told = ['ajv', 'braces', 'chokidar', 'debug', 'fast-xml-parser', 'js-yaml', 'lz-string', 'nanoid', 'nats', 'picomatch', 'pino', 'playwright-core', 'qs', 'rate-limiter-flexible', 'semver', 'uuid', 'yargs', 'yargs-parser']
      .flatMap(name => readdirSync(join(modules, name), { recursive: true }).filter(file => /(\.md|\.d\.ts)$/.test(file) && !/(^|\/)node_modules\/|licen[cs]e/i.test(file)).sort().map(file => readFileSync(join(modules, name, file), 'utf8')));
    writeFileSync(join(folder, 'corpus'), told.join('\n').replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase().replace(/[^a-z0-9\n]+/g, ' '));
    const trained = spawnSync('fasttext', ['skipgram', '-input', 'corpus', '-output', 'real', '-dim', '48', '-minn', '0', '-maxn', '0', '-epoch', '4', '-minCount', '3', '-thread', '1', '-verbose', '0'], { cwd: folder, encoding: 'utf8' });
    assert.equal(trained.status, 0, trained.stderr ?? String(trained.error));
    text = readFileSync(join(folder, 'real.vec'), 'utf8');
    path = mkdtempSync(join(folder, 'repo-'));
    execFileSync('chmod', ['755', path]);
    for (const name of ['yargs', 'nanoid', 'chokidar', 'rate-limiter-flexible', 'lz-string', 'ajv', 'js-yaml', 'negotiator'])
      cpSync(join(modules, name), join(path, name), { recursive: true, filter: from => !from.slice(modules.length + name.length + 2).includes('node_modules') });
    git(path, 'init', '-q', '-b', 'main');
    commit(path);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('nearest are the chunks that are about what is asked', async t => {
    const host = await start(t, folder, `vectors = ${join(folder, 'real.vec')}\nmemory = 1G\n`);
    const queries = { 'parse command line arguments': 'yargs', 'generate a random unique identifier': 'nanoid', 'watch the file system for changes': 'chokidar', 'limit the rate of requests': 'rate-limiter-flexible',
      'compress a string': 'lz-string', 'validate data against a schema': 'ajv', 'show help for the options of a program': 'yargs' };
    const result = await done(host, path, { query: Object.keys(queries), top: 5 });
    assert.deepEqual([result.embedder.kind, result.embedder.model, result.embedder.dimensions], ['word-vectors', 'real.vec', 48]);
    for (const { query, chunks } of result.nearest) {
      const found = chunks.map(({ file }) => file.split('/')[0]);
      assert.ok(found.filter(name => name === queries[query]).length >= 2 && found.slice(0, 2).includes(queries[query]), `${query}: ${JSON.stringify(chunks)}`);
    }
    const { matrix } = await files(host, result);
    for (const { query, chunks } of result.nearest.slice(0, 2)) {
      const [{ result: { nearest: [{ chunks: [alone] }] } }] = [await embed(host, path, { query: [query], top: 1 })];
      assert.deepEqual(alone, chunks[0]);
      assert.ok(Math.abs(cosine(matrix[alone.row], matrix[alone.row]) - 1) < 1e-6);
    }
  });

  test('the binary format gives the same vectors, and a damaged file is named with its place', async t => {
    const [head, ...rows] = text.trimEnd().split('\n');
    const binary = Buffer.concat([Buffer.from(`${head}\n`), ...rows.map(row => { const [word, ...numbers] = row.trim().split(' '); return Buffer.concat([Buffer.from(`${word} `), Buffer.from(new Float32Array(numbers.map(Number)).buffer), Buffer.from('\n')]); })]);
    write(folder, { 'real.bin': binary, 'cut.bin': binary.subarray(0, 100_000), 'cut.vec': text.slice(0, 100_000), 'bad.vec': text.replace(/^((?:.*\n){6}\S+) \S+/, '$1 zero'), 'none.vec': 'not\nvectors\n' });
    const small = repository(folder, { 'a.md': paragraphs('package', 10), 'b.js': 'export function parseArguments(argv) {\n  return argv.slice(2);\n}\n', 'c.txt': 'qqqqzzzz\n' });
    const of = async name => { const host = await start(t, folder, `vectors = ${join(folder, name)}\n`); return files(host, await done(host, small)); };
    const [fromText, fromBinary] = [await of('real.vec'), await of('real.bin')];
    assert.ok(fromText.npy.equals(fromBinary.npy));
    assert.ok(fromText.matrix.at(-1).every(x => x === 0), 'no word of it is known');
    for (const [name, message] of [['cut.bin', /cut\.bin, byte \d+: word \d+ of \d+ and its 48 numbers were to come/], ['cut.vec', /cut\.vec, line \d+: a word and 48 numbers|cut\.vec has \d+ words where its first line promises/],
      ['bad.vec', /bad\.vec, line 7: a word and 48 numbers/], ['none.vec', /none\.vec, line 1: .* word2vec's text or binary format/]]) {
      const host = await start(t, folder, `vectors = ${join(folder, name)}\n`);
      const job = await fails(host, small);
      assert.equal(job.errorCode, 'vectors_invalid');
      assert.match(job.error, message);
    }
  });
});

/** An OpenAI-compatible server. behave(request body, number): {status, headers, body} instead of an answer, or nothing. */
async function startOpenAI(t, { behave = () => undefined, dimensions = 24, maxBytes = Infinity, lists = false } = {}) {
  const requests = [];
  const vectorOf = (text, size) => Array.from({ length: size }, (_, i) => Math.fround(Math.sin(createHash('md5').update(text).digest().readUInt32LE(i % 12) / 1e6 + i)));
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', chunk => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks));
      requests.push({ url: request.url, method: request.method, headers: request.headers, body, at: Date.now() });
      const say = (status, answer, headers = {}) => { response.writeHead(status, { 'content-type': 'application/json', ...headers }); response.end(typeof answer === 'string' ? answer : JSON.stringify(answer)); };
      const odd = behave(body, requests.length);
      if (odd) return say(odd.status, odd.body ?? { error: { message: 'odd' } }, odd.headers);
      if (request.headers.authorization !== `Bearer ${KEY}`) return say(401, { error: { message: `Incorrect API key provided: ${request.headers.authorization}`, code: 'invalid_api_key' } });
      const input = [body.input].flat();
      if (input.some(text => typeof text !== 'string' || text === '')) return say(400, { error: { message: "'$.input' is invalid." } });
      if (input.some(text => Buffer.byteLength(text) > maxBytes)) return say(400, { error: { message: "This model's maximum context length is 8192 tokens, however you requested 9000 tokens" } });
      const size = body.dimensions ?? dimensions;
      const data = input.map((text, index) => ({ object: 'embedding', index, embedding: body.encoding_format === 'base64' && !lists ? Buffer.from(new Float32Array(vectorOf(text, size)).buffer).toString('base64') : vectorOf(text, size) })).reverse();
      return say(200, { object: 'list', data, model: body.model, usage: { prompt_tokens: 3 * input.length, total_tokens: 3 * input.length } });
    });
  });
  await new Promise(ready => server.listen(0, '127.0.0.1', ready));
  afterwards(t, () => new Promise(closed => { server.close(closed); server.closeAllConnections(); }));
  return { url: `http://127.0.0.1:${server.address().port}/v1`, requests, vectorOf };
}

describe('an endpoint', () => {
  const small = folder => repository(folder, { 'a.md': paragraphs('lamp', 40), 'b.c': 'int main(void)\n{\n    return 0;\n}\n' });
  const host = (t, folder, api, lines = '', options = {}) => start(t, folder, `endpoint = ${api.url}/\nmodel = test-model\n${lines}`, { ...options, env: { EMBEDDINGS_API_KEY: KEY, ...options.env } });
  const unseen = (h, ...more) => { for (const text of [h.log, ...more.map(value => JSON.stringify(value))]) assert.ok(!text.includes('never-to-be-seen'), text.slice(0, 2000)); };

  test('the vectors are those that the API\'s own client gets', async t => {
    const folder = temporaryFolder(t), path = small(folder), api = await startOpenAI(t);
    const h = await host(t, folder, api, 'batch_count = 10\n');
    const result = await done(h, path, { text: true });
    const batches = api.requests.length;
    assert.deepEqual([result.embedder.kind, result.embedder.model, result.embedder.dimensions, result.embedder.requests, result.embedder.tokens], ['endpoint', 'test-model', 24, Math.ceil(result.chunks / 10), 3 * result.chunks]);
    assert.equal(batches, result.embedder.requests);
    for (const { body, url, method } of api.requests) assert.deepEqual([method, url, body.model, body.encoding_format, body.input.length <= 10, 'dimensions' in body], ['POST', '/v1/embeddings', 'test-model', 'base64', true, false]);
    const { matrix, lines } = await files(h, result);
    const client = new OpenAI({ apiKey: KEY, baseURL: api.url });
    const theirs = await client.embeddings.create({ model: 'test-model', input: lines.map(({ text }) => text) });
    assert.equal(theirs.data.length, lines.length);
    for (const { index, embedding } of theirs.data) assert.deepEqual(Array.from(matrix[index]), Array.from(embedding));
    const again = await done(h, path);
    assert.deepEqual([again.embedded, again.reused, again.embedder.requests, again.embedder.dimensions], [0, result.chunks, 0, 24]);
    unseen(h, result, again);
    assert.equal(spawnSync('grep', ['-r', 'never-to-be-seen', h.state]).status, 1, 'the key is nowhere on the disk');
  });

  test('fewer dimensions, lists of numbers, batches by bytes', async t => {
    const folder = temporaryFolder(t), path = small(folder), api = await startOpenAI(t, { lists: true });
    const h = await host(t, folder, api, 'dimensions = 8\nbatch_bytes = 4K\n');
    const result = await done(h, path, { text: true, query: ['lamp 7'] });
    assert.equal(result.embedder.dimensions, 8);
    const { matrix, lines } = await files(h, result);
    lines.forEach((line, i) => assert.deepEqual(Array.from(matrix[i]), api.vectorOf(line.text, 8)));
    for (const { body } of api.requests) assert.ok(body.dimensions === 8 && body.input.reduce((sum, text) => sum + Buffer.byteLength(text), 0) <= 4096);
    assert.equal(api.requests.at(-1).body.input.length, 1);
    const vector = api.vectorOf('lamp 7', 8);
    const best = lines.map((line, i) => [cosine(matrix[i], vector), i]).sort((a, b) => b[0] - a[0])[0];
    assert.equal(result.nearest[0].chunks[0].row, best[1]);
    assert.ok(Math.abs(result.nearest[0].chunks[0].score - best[0]) < 1e-5);
  });

  test('a server that knows no encoding_format is asked without it', async t => {
    const folder = temporaryFolder(t), path = small(folder);
    const api = await startOpenAI(t, { behave: body => body.encoding_format && { status: 422, body: { detail: 'extra fields not permitted: encoding_format' } } });
    const h = await host(t, folder, api, 'batch_count = 20\n');
    const result = await done(h, path);
    assert.equal(result.embedded, result.chunks);
    assert.equal(api.requests.filter(({ body }) => body.encoding_format).length, 1);
  });

  test('a busy service is waited for; for long the job comes again, and what was embedded is not paid twice', async t => {
    const folder = temporaryFolder(t), path = small(folder);
    let patient = 0;
    const api = await startOpenAI(t, { behave: (_, number) => {
      if (number === 2) return { status: 429, headers: { 'retry-after': '1' } };
      if (number === 4) return { status: 503 };
      if (number === 6 && patient++ === 0) return { status: 429, headers: { 'retry-after': '9' } };
    } });
    const h = await host(t, folder, api, 'batch_count = 12\nrequests_per_minute = 600\n');
    const began = Date.now();
    const result = await done(h, path);
    assert.ok(Date.now() - began > 9500, String(Date.now() - began));
    assert.ok(result.reused >= 24 && result.embedded + result.reused === result.chunks, JSON.stringify(result));
    assert.ok(api.requests[2].at - api.requests[1].at >= 1000);
    for (let i = 1; i < api.requests.length; i++) assert.ok(api.requests[i].at - api.requests[i - 1].at >= 90, 'no more than 600 a minute');
    const asked = api.requests.flatMap(({ body }, i) => ([2, 4, 6].includes(i + 1) ? [] : body.input));
    assert.equal(new Set(asked).size, asked.length);
  });

  test('what is too long is sent in halves', async t => {
    const folder = temporaryFolder(t), path = repository(folder, { 'long.txt': `${'ein Wörtchen '.repeat(110)}\n`, 'short.txt': 'kurz\n' });
    const api = await startOpenAI(t, { maxBytes: 800 });
    const h = await host(t, folder, api);
    const result = await done(h, path, { text: true });
    const { matrix, lines } = await files(h, result);
    assert.ok(result.embedder.splits >= 1);
    assert.deepEqual(Array.from(matrix.at(-1)), api.vectorOf('kurz\n', 24));
    const whole = lines[0].text, parts = [...new Set(api.requests.flatMap(({ body }) => body.input))].filter(part => part !== whole && whole.startsWith(part) && Buffer.byteLength(part) <= 800);
    const rest = whole.slice(parts[0].length), weight = Buffer.byteLength(parts[0]) / Buffer.byteLength(whole);
    const mean = api.vectorOf(parts[0], 24).map((x, i) => x * weight + api.vectorOf(rest, 24)[i] * (1 - weight));
    assert.ok(Math.abs(cosine(mean, matrix[0]) - 1) < 1e-6);
    const stubborn = await startOpenAI(t, { maxBytes: 3 });
    const job = await fails(await host(t, folder, stubborn), path);
    assert.equal(job.errorCode, 'input_too_long');
  });

  test('each refusal has its code and its mend, and the key is in none', async t => {
    const folder = temporaryFolder(t), path = small(folder);
    const two = (...data) => ({ status: 200, body: { data } });
    const cases = [
      [{ status: 401, body: { error: { message: `Incorrect API key provided: ${KEY}` } } }, 'service_unauthorized', /EMBEDDINGS_API_KEY/], [{ status: 403, body: { error: { message: KEY } } }, 'service_forbidden', /EMBEDDINGS_API_KEY/],
      [{ status: 404, body: { error: { message: 'The model `test-model` does not exist' } } }, 'model_not_found', /it says .*does not exist.*model in \[plugin repo-embed\]/], [{ status: 400, body: { error: { message: `bad ${KEY}` } } }, 'service_refused', /\(400\); see/],
      [{ status: 302, headers: { location: 'http://127.0.0.1:1/' } }, 'redirect_refused', /not followed/], [{ status: 429, body: { error: { code: 'insufficient_quota', message: 'no money' } } }, 'quota_exceeded', /account/],
      [{ status: 200, body: 'not json' }, 'answer_invalid', /no list "data"/], [two({ index: 0, embedding: [1, 2] }), 'answer_invalid', /1 vectors for \d+ texts/],
    ];
    let current;
    const api = await startOpenAI(t, { behave: () => current });
    const h = await host(t, folder, api);
    for (const [answer, code, message] of cases) {
      current = answer;
      const job = await fails(h, path);
      assert.equal(job.errorCode, code, JSON.stringify(job));
      assert.match(job.error, message);
      unseen(h, job);
    }
    current = undefined;
    const keyless = await host(t, folder, api, '', { env: { EMBEDDINGS_API_KEY: '' } });
    const job = await fails(keyless, path);
    assert.match(job.error, /without a key \(401\); set EMBEDDINGS_API_KEY/);
    // A model that changed its mind.
    const first = await done(h, path);
    const other = await startOpenAI(t, { dimensions: 30 });
    assert.equal(first.embedder.dimensions, 24);
    current = two(...[0].map(index => ({ index, embedding: api.vectorOf('x', 30) })));
    const changed = await fails(h, repository(folder, { 'new.txt': 'something new\n' }));
    assert.equal(changed.errorCode, 'dimensions_changed');
    assert.ok(other.requests.length === 0);
  });
});

describe('PostgreSQL', () => {
  const database = (t, folder, url, lines = '') => start(t, folder, lines, { env: { EMBEDDINGS_DATABASE_URL: url } });
  const sources = () => ({ 'a.md': paragraphs('lamp', 12), 'b\\t.c': 'int main(void)\n{\n    return 0;\n}\n', 'tab.txt': '\tfirst\\line\twith tabs\n' });

  async function check(query, h, path, type) {
    const both = await done(h, path, { into: 'both' });
    assert.deepEqual(both.postgres, { table: 'exportd_embeddings', type, written: both.chunks, kept: 0, removed: 0 });
    const { matrix, lines } = await files(h, both);
    const list = type === 'vector' ? 'embedding::real[]' : 'embedding';
    const rows = () => query(`SELECT repository, commit, model, file, start_byte, start_line, end_line, title, hash, ${list} AS embedding, xmin::text AS version FROM exportd_embeddings`);
    const key = row => `${row.file} ${row.start_byte}`;
    const before = new Map((await rows()).map(row => [key(row), row]));
    assert.equal(before.size, lines.length);
    for (const line of lines) {
      const row = before.get(key(line));
      assert.deepEqual([row.start_line, row.end_line, row.title, row.hash, row.model, row.commit], [line.start_line, line.end_line, line.title, line.hash, both.embedder.model, both.repository.commit]);
      const vector = typeof row.embedding === 'string' ? row.embedding.slice(1, -1).split(',').map(Number) : row.embedding;
      assert.deepEqual(vector.map(Math.fround), Array.from(matrix[line.row]));
    }
    const same = await done(h, path, { into: 'postgres' });
    assert.deepEqual([same.postgres.written, same.postgres.kept, same.postgres.removed, same.artifacts?.length ?? 0], [0, both.chunks, 0, 0]);
    write(path, { 'new.md': '# New\n\nsomething that was not here\n', 'a.md': paragraphs('lamp', 12).replace('lamp number 11', 'lamp number eleven') });
    rmSync(join(path, 'tab.txt'));
    commit(path);
    const next = await done(h, path, { into: 'postgres' });
    assert.deepEqual(next.postgres, { table: 'exportd_embeddings', type, written: 2, kept: both.chunks - 2, removed: 2 });
    const now = new Map((await rows()).map(row => [key(row), row]));
    assert.equal(now.size, next.chunks);
    assert.equal([...now].filter(([name, row]) => before.get(name)?.version === row.version).length, both.chunks - 2, 'rows that are right are not touched');
  }

  test('without pgvector: rows with real[], only what changed is written', async t => {
    const folder = temporaryFolder(t), path = repository(folder, sources()), server = await new Postgres(t).start();
    const h = await database(t, folder, server.url.replace('exportd@', `exportd:${PASSWORD}@`));
    await check((text, values) => server.query(text, values), h, path, 'real[]');
    // Two repositories lie beside each other.
    const other = await done(h, repository(folder, sources()), { into: 'postgres' });
    assert.equal(other.postgres.removed, 0);
    const [{ count }] = await server.query('SELECT count(DISTINCT repository)::int AS count FROM exportd_embeddings');
    assert.equal(count, 2);
    await server.query('CREATE TABLE odd (a int)');
    for (const [url, table, code, message] of [[server.url, 'odd', 'table_unsuitable', /column embedding as nothing/], [server.url, 'x"; DROP TABLE odd; --', 'option_invalid', /no table's name/],
      [server.url.replace('/postgres', '/nowhere'), 'a', 'database_unreachable', /"nowhere" does not exist/], [`postgresql://exportd:${PASSWORD}@127.0.0.1:1/x`, 'a', 'database_unreachable', /refused/],
      [`postgresql://exportd:${PASSWORD}@[/x`, 'a', 'option_invalid', /no PostgreSQL address/]]) {
      const odd = await database(t, folder, url, `table = ${table}\n`);
      const job = await fails(odd, path, { into: 'postgres' });
      assert.equal(job.errorCode, code, JSON.stringify(job));
      assert.match(job.error, message);
      assert.ok(!JSON.stringify(job).includes(PASSWORD) && !odd.log.includes(PASSWORD));
    }
    assert.equal((await server.query('SELECT count(*)::int AS count FROM odd'))[0].count, 0);
    assert.ok(!h.log.includes(PASSWORD));
  });

  /** Its rows as {file: count}. */
  const counts = async server => Object.fromEntries((await server.query('SELECT file, count(*)::int AS count FROM exportd_embeddings GROUP BY file ORDER BY file')).map(({ file, count }) => [file, count]));

  test('rows beside the subfolder stay, and those of files that were not read', async t => {
    const folder = temporaryFolder(t), server = await new Postgres(t).start();
    const path = repository(folder, { 'a/one.md': '# A\n\ntext\n', 'ab/one.md': '# AB\n\ntext\n', 'b/sub/one.md': '# B\n\ntext\n', 'top.md': '# Top\n\ntext\n' });
    const h = await database(t, folder, server.url), all = { 'a/one.md': 1, 'ab/one.md': 1, 'b/sub/one.md': 1, 'top.md': 1 };
    assert.equal((await done(h, path, { into: 'postgres' })).postgres.written, 4);
    assert.deepEqual(await counts(server), all);
    for (const subfolder of ['a', 'b/sub/', 'ab']) {
      const { postgres } = await done(h, path, { into: 'postgres', subfolder });
      assert.deepEqual([postgres.written, postgres.kept, postgres.removed], [0, 1, 0], subfolder);
    }
    assert.deepEqual(await counts(server), all);
    write(path, { 'a/one.md': '# A\n\nanother text\n', 'a/two.md': '# Two\n' });
    rmSync(join(path, 'ab/one.md'));
    commit(path);
    const { postgres } = await done(h, path, { into: 'postgres', subfolder: 'a' });
    assert.deepEqual([postgres.written, postgres.kept, postgres.removed], [2, 0, 1]);
    assert.deepEqual(await counts(server), { ...all, 'a/two.md': 1 });
    // Two files of six: the others are as they were, though one of them is gone.
    write(path, { 'a/one.md': '# A\n\none more text\n' });
    commit(path);
    const few = await done(await database(t, folder, server.url, 'max_files = 2\n'), path, { into: 'postgres' });
    assert.deepEqual([few.complete, few.postgres.written, few.postgres.kept, few.postgres.removed], [false, 1, 1, 1]);
    assert.deepEqual(await counts(server), { ...all, 'a/two.md': 1 });
    const whole = await done(h, path, { into: 'postgres' });
    assert.deepEqual([whole.complete, whole.postgres.written, whole.postgres.removed], [true, 0, 1]);
    assert.deepEqual(await counts(server), { 'a/one.md': 1, 'a/two.md': 1, 'b/sub/one.md': 1, 'top.md': 1 });
  });

  test('of a file that was read in part, the rows behind it stay', async t => {
    const folder = temporaryFolder(t), server = await new Postgres(t).start(), text = paragraphs('lamp', 12);
    const path = repository(folder, { 'a/a.md': text, 'a/b.md': text.replaceAll('lamp', 'pump') });
    const h = await database(t, folder, server.url);
    const first = await done(h, path, { into: 'postgres', subfolder: 'a' }), before = await counts(server), half = first.chunks / 2;
    write(path, { 'a/a.md': text.replaceAll('lamp', 'tool').slice(0, 400), 'a/b.md': text.replaceAll('lamp', 'wing') });
    commit(path);
    const few = await done(await database(t, folder, server.url, 'max_chunks = 3\n'), path, { into: 'postgres', subfolder: 'a' });
    assert.deepEqual([few.complete, few.chunks, few.postgres.written, few.postgres.removed], [false, 3, 3, half + 2]);
    assert.deepEqual(await counts(server), { 'a/a.md': 1, 'a/b.md': before['a/b.md'] });
  });

  test('a repository without chunks leaves no rows', async t => {
    const folder = temporaryFolder(t), path = repository(folder, { 'a.bin': Buffer.alloc(20) }), server = await new Postgres(t).start();
    const h = await database(t, folder, server.url);
    assert.deepEqual((await done(h, path, { into: 'postgres' })).postgres, { table: 'exportd_embeddings', written: 0, kept: 0, removed: 0 });
    assert.equal((await server.query("SELECT to_regclass('exportd_embeddings') AS made"))[0].made, null);
    write(path, { 'a.md': '# A\n\ntext\n' });
    commit(path);
    await done(h, path, { into: 'postgres' });
    await done(h, repository(folder, { 'other.md': 'other\n' }), { into: 'postgres' });
    rmSync(join(path, 'a.md'));
    commit(path);
    assert.deepEqual((await done(h, path, { into: 'postgres' })).postgres, { table: 'exportd_embeddings', type: 'real[]', written: 0, kept: 0, removed: 1 });
    assert.deepEqual(await counts(server), { 'other.md': 1 });
  });

  test('a repository whose rows are written keeps no other waiting', async t => {
    const folder = temporaryFolder(t), server = await new Postgres(t).start(), h = await database(t, folder, server.url, 'database_timeout = 20s\nworkers = 2\n');
    const path = repository(folder, { 'a.md': '# A\n\ntext\n' }), other = repository(folder, { 'a.md': '# A\n\ntext\n' });
    await done(h, path, { into: 'postgres' });
    write(path, { 'a.md': '# A\n\nanother text\n' });
    commit(path);
    const { default: pg } = await import('pg');
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT FROM exportd_embeddings FOR UPDATE'); // the first job's DELETE waits for this
      const { json: waiting } = await h.process_({ task: 'compute-embeddings', data: { repo_url: `file://${path}`, into: 'postgres' } });
      await until(async () => (await server.query("SELECT FROM pg_stat_activity WHERE application_name = 'exportd repo-embed' AND wait_event_type = 'Lock'")).length === 1, 'the wait for the row');
      const began = Date.now();
      assert.equal((await done(h, other, { into: 'postgres' })).postgres.written, 1);
      assert.ok(Date.now() - began < 10_000);
      await client.query('ROLLBACK');
      assert.equal((await h.finished(waiting.jobId)).result.postgres.removed, 1);
    } finally {
      await client.end();
    }
  });

  /** Passes everything on to the server, until what comes from a client is more than bytes: from then on nothing is taken, and the server's end is closed, so that no lock stays. */
  async function startStalling(t, server, bytes) {
    const sockets = [], state = { stalled: 0 };
    const relay = net.createServer(client => {
      let taken = 0;
      const there = net.connect(server.port, '127.0.0.1');
      sockets.push(client, there);
      for (const socket of [client, there]) socket.on('error', () => {});
      there.on('data', data => client.write(data)).on('close', () => { if (taken <= bytes) client.destroy(); });
      client.on('close', () => there.destroy());
      client.on('data', data => {
        taken += data.length;
        if (taken <= bytes) return there.write(data);
        client.pause();
        there.destroy();
        return state.stalled++;
      });
    });
    await new Promise(ready => relay.listen(0, '127.0.0.1', ready));
    afterwards(t, () => { for (const socket of sockets) socket.destroy(); relay.close(); });
    return Object.assign(state, { url: server.url.replace(String(server.port), String(relay.address().port)) });
  }

  test('a database that takes nothing more is given up in time, and so is a cancelled job', async t => {
    const folder = temporaryFolder(t), server = await new Postgres(t).start(), path = repository(folder, { 'a.md': paragraphs('lamp', 800), 'b.md': paragraphs('pump', 800) });
    // Far more than the sockets' buffers hold.
    const relay = await startStalling(t, server, 2_000_000), lines = 'dimensions = 4096\nchunk_bytes = 300\noverlap_bytes = 0\n';
    const impatient = await database(t, folder, relay.url, `${lines}database_timeout = 2s\n`);
    const job = await fails(impatient, path, { into: 'postgres' });
    assert.deepEqual([job.errorCode, relay.stalled], ['database_timeout', 3], JSON.stringify(job));
    const patient = await database(t, folder, relay.url, `${lines}grace = 10m\n`), before = relay.stalled;
    const { json } = await patient.process_({ task: 'compute-embeddings', data: { repo_url: `file://${path}`, into: 'postgres' } });
    await until(() => relay.stalled > before, 'the COPY');
    await patient.request('DELETE', `/jobs/${json.jobId}`);
    assert.equal((await patient.finished(json.jobId)).status, 'cancelled', 'by itself, and not after its grace');
    assert.doesNotMatch(patient.log, /killed/);
  });

  /** A real PostgreSQL with the real pgvector, in this process, behind a socket. It has no COPY from a client: that goes in as its /dev/blob. */
  async function startPgvector(t) {
    const { PGlite } = await import('@electric-sql/pglite');
    const { vector } = await import('@electric-sql/pglite-pgvector');
    const db = await PGlite.create({ extensions: { vector } }), port = await freePort();
    const message = (type, ...parts) => { const body = Buffer.concat(parts), head = Buffer.alloc(5); head.write(type); head.writeInt32BE(body.length + 4, 1); return Buffer.concat([head, body]); };
    const copies = [];
    const server = net.createServer(socket => {
      let waiting = Buffer.alloc(0), begun = false, copy = null, turn = Promise.resolve();
      const answer = async piece => {
        const type = begun ? String.fromCharCode(piece[0]) : '', sql = type === 'Q' ? piece.subarray(5, -1).toString() : '';
        begun = true;
        if (/^COPY .* FROM STDIN$/.test(sql)) {
          copy = { sql, data: [] };
          copies.push(sql);
          socket.write(message('G', Buffer.from([0, 0, 0])));
        } else if (type === 'd') {
          copy.data.push(piece.subarray(5));
        } else if (type === 'c') {
          await db.query(copy.sql.replace('STDIN', "'/dev/blob'"), [], { blob: new Blob(copy.data) });
          socket.write(Buffer.concat([message('C', Buffer.from('COPY 0\0')), message('Z', Buffer.from('T'))]));
        } else if (type === 'X') {
          socket.end();
        } else {
          socket.write(await db.execProtocolRaw(piece));
        }
      };
      socket.on('error', () => {});
      socket.on('data', chunk => {
        waiting = Buffer.concat([waiting, chunk]);
        for (;;) {
          const skip = begun ? 1 : 0, size = waiting.length >= skip + 4 ? waiting.readInt32BE(skip) + skip : Infinity;
          if (waiting.length < size) break;
          const piece = waiting.subarray(0, size);
          waiting = waiting.subarray(size);
          turn = turn.then(() => answer(piece)).catch(error => { console.error(error); socket.destroy(); });
        }
      });
    });
    await new Promise(ready => server.listen(port, '127.0.0.1', ready));
    afterwards(t, async () => { await new Promise(closed => server.close(closed)); await db.close(); });
    return { db, copies, url: `postgresql://postgres@127.0.0.1:${port}/postgres?sslmode=disable&gssencmode=disable` };
  }

  test('with pgvector: rows with vector, which its operators search', async t => {
    const folder = temporaryFolder(t), path = repository(folder, sources()), { db, url, copies } = await startPgvector(t);
    const h = await database(t, folder, url);
    await check(async text => (await db.query(text)).rows, h, path, 'vector');
    const { nearest: [{ chunks }] } = await done(h, path, { query: ['lamp 7'], top: 3 });
    const [{ embedding }] = (await db.query('SELECT embedding::text FROM exportd_embeddings WHERE file = $1 AND start_byte = 0', ['new.md'])).rows;
    const { rows } = await db.query('SELECT file FROM exportd_embeddings ORDER BY embedding <=> $1 LIMIT 1', [embedding]);
    assert.deepEqual([rows[0].file, chunks.length], ['new.md', 3]);
    const wider = await start(t, folder, 'dimensions = 100\n', { env: { EMBEDDINGS_DATABASE_URL: url } });
    const job = await fails(wider, path, { into: 'postgres' });
    assert.equal(job.errorCode, 'table_unsuitable');
    assert.equal(copies.length, 6);
    assert.match(job.error, /vector\(384\), and these vectors are vector\(100\); name another table/);
  });
});

test('from the command line', t => {
  const folder = temporaryFolder(t), path = repository(folder, { 'a.md': '# A\n\ntext\n' });
  const made = run(['run', 'compute-embeddings', '-c', confFolder(folder, conf(folder)), '--option', `repo_url=file://${path}`, '-o', join(folder, 'out')], { env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, PLUGINS), EXPORTD_HOST_STATE: join(folder, 'state') } });
  assert.equal(made.code, 0, made.stderr);
  assert.equal(JSON.parse(made.stdout).chunks, 1);
  assert.deepEqual(readdirSync(join(folder, 'out')).sort(), ['embeddings.index.json', 'embeddings.jsonl', 'embeddings.npy']);
});
