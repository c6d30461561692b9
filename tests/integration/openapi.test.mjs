// /openapi.json: lint-clean by Spectral, and true: Prism stands before a real host and holds every request and answer against it.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import http from 'node:http';
import { afterwards, patience, source, startHost, startReceiver, temporaryFolder, until } from '../support/host.mjs';
import { freePort } from '../support/servers.mjs';

const modules = join(source, 'tests/node_modules');

test('Spectral finds nothing to say about it', async t => {
  const host = await startHost(t, { plugins: ['noop'] });
  const { json, headers, text } = await host.get('/openapi.json');
  assert.match(headers['content-type'], /^application\/json/);
  assert.match(json.info.version, /^\d+\.\d+\.\d+$/);
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'openapi.json'), text);
  writeFileSync(join(folder, 'rules.yaml'), 'extends: ["spectral:oas"]\n');
  const linted = spawnSync(process.execPath, [join(modules, '@stoplight/spectral-cli/dist/index.js'), 'lint', join(folder, 'openapi.json'), '-r', join(folder, 'rules.yaml'), '--fail-severity=hint'], { encoding: 'utf8', timeout: patience });
  assert.equal(linted.status, 0, linted.stdout + linted.stderr);
});

/** Prism before the host: what isn't as the document says becomes an answer 500 with the violations. */
async function startPrism(t, host) {
  const folder = temporaryFolder(t);
  const document = (await host.get('/openapi.json')).json;
  document.servers = [{ url: host.url }];
  writeFileSync(join(folder, 'openapi.json'), JSON.stringify(document));
  const port = await freePort();
  const prism = spawn(process.execPath, [join(modules, '@stoplight/prism-cli/dist/index.js'), 'proxy', join(folder, 'openapi.json'), host.url, '--errors', '--port', String(port), '--host', '127.0.0.1'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  prism.stdout.on('data', chunk => { said += chunk; });
  prism.stderr.on('data', chunk => { said += chunk; });
  const ended = new Promise(done => prism.on('close', done));
  afterwards(t, async () => { prism.kill('SIGKILL'); await ended; });
  await until(() => said.includes('Prism is listening') || prism.exitCode !== null, `Prism's start: ${said}`);
  assert.equal(prism.exitCode, null, said);
  return { port, said: () => said };
}

test('what a host really answers is what it says, for every path and status that it can be brought to', async t => {
  const receiver = await startReceiver(t, () => 503);
  const host = await startHost(t, { plugins: ['noop', 'misbehave', 'export-json'], conf: { 'h.conf': '[http]\nmax_body = 100K\n[webhook]\nallow = 127.0.0.0/8\nsecret = a-secret\n[worker]\nworkers = 1\n' } });
  const prism = await startPrism(t, host);
  const seen = new Set();
  const ask = (method, path, { body, headers = {} } = {}) => new Promise((done, fail) => {
    const request = http.request({ host: '127.0.0.1', port: prism.port, method, path, agent: false, timeout: patience, headers: { ...(body ? { 'content-type': 'application/json' } : {}), ...headers } }, response => {
      const chunks = [];
      response.on('data', chunk => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const violations = response.headers['sl-violations'];
        assert.equal(violations, undefined, `${method} ${path}: ${violations}\n${text}`);
        assert.doesNotMatch(text, /stoplight\.io\/prism/, `${method} ${path}: ${text}`);
        let json;
        try { json = JSON.parse(text); } catch { /* no JSON */ }
        seen.add(`${method} ${path.replace(/\?.*/, '').replace(/(jobs|artifacts|deliveries)\/[^/]+/, '$1/*')} ${response.statusCode}`);
        done({ status: response.statusCode, json, text });
      });
    });
    request.on('error', fail);
    request.on('timeout', () => request.destroy(new Error(`${method} ${path}: no answer\n${prism.said()}`)));
    request.end(body ? (typeof body === 'string' ? body : JSON.stringify(body)) : undefined);
  });
  const repro = JSON.parse(readFileSync(join(source, 'tests/data/search-4711.json')));
  const expect = async (status, ...what) => { const answer = await ask(...what); assert.equal(answer.status, status, `${what.slice(0, 2).join(' ')}: ${answer.text}`); return answer; };
  await expect(202, 'POST', '/process', { body: { jobId: 'one', task: 'report/json', data: { repro: { ...repro, files: [] } }, callbackUrl: receiver.url } });
  const { result } = await host.finished('one');
  await expect(200, 'POST', '/process', { body: { jobId: 'one', task: 'report/json', data: { repro: { ...repro, files: [] } }, callbackUrl: receiver.url } });
  await expect(409, 'POST', '/process', { body: { jobId: 'one', task: 'noop' } });
  await expect(200, 'POST', '/process', { body: { jobId: 'two', task: 'noop' }, headers: { prefer: 'wait=20' } });
  await expect(200, 'POST', '/process', { body: { jobId: 'three', task: 'give_up', priority: 3, maxAttempts: 1 }, headers: { prefer: 'wait=20' } });
  await expect(404, 'POST', '/process', { body: { task: 'nothing' } });
  await expect(422, 'POST', '/process', { body: { task: 'report/json', data: { repro: {} } } });
  await expect(202, 'POST', '/process', { body: { jobId: 'slow', task: 'pause_ms', data: { ms: 20000 } } });
  await expect(202, 'POST', '/process', { body: { jobId: 'later', task: 'noop', runAt: '2099-01-01T00:00:00Z' } });
  await until(async () => (await host.get('/jobs/slow')).json.status === 'running', 'the slow job');
  for (const id of ['one', 'two', 'three', 'slow', 'later']) await expect(200, 'GET', `/jobs/${id}`);
  await expect(200, 'GET', '/jobs/one?data=yes');
  await expect(404, 'GET', '/jobs/none');
  await expect(200, 'GET', '/jobs?limit=2');
  await expect(200, 'GET', '/jobs?state=failed&route=give_up');
  await expect(409, 'POST', '/jobs/two/retry');
  await expect(409, 'DELETE', '/jobs/two');
  await expect(404, 'DELETE', '/jobs/none');
  await expect(202, 'DELETE', '/jobs/slow');
  await expect(202, 'DELETE', '/jobs/later');
  await host.finished('slow');
  await expect(202, 'POST', '/jobs/three/retry');
  await expect(404, 'POST', '/jobs/none/retry');
  await expect(200, 'GET', '/jobs/one/events');
  await expect(404, 'GET', '/jobs/none/events');
  await expect(200, 'GET', `/artifacts/one/${encodeURIComponent(result.artifacts[0].name)}`);
  await expect(404, 'GET', '/artifacts/one/none');
  const deliveries = await expect(200, 'GET', '/deliveries');
  assert.ok(deliveries.json.deliveries.length > 0);
  await expect(200, 'GET', '/deliveries?state=dead');
  await expect(202, 'POST', `/deliveries/${deliveries.json.deliveries[0].id}/retry`);
  await expect(404, 'POST', '/deliveries/none/retry');
  await expect(200, 'GET', '/plugins');
  await expect(200, 'POST', '/reload');
  writeFileSync(join(host.conf, 'bad.conf'), '[http]\nlisen = 1\n', { mode: 0o640 });
  await expect(422, 'POST', '/reload');
  for (const path of ['/healthz', '/readyz', '/metrics', '/openapi.json']) await expect(200, 'GET', path);
  // A body that Prism itself would refuse goes to the host alone; its problem is held against the schema by hand.
  for (const [status, request] of [[400, { body: '{', headers: { 'content-type': 'application/json' } }], [413, { body: { task: 'noop', data: { text: 'x'.repeat(200_000) } } }], [415, { body: 'x', headers: { 'content-type': 'text/plain' } }]]) {
    const { status: answered, json } = await host.request('POST', '/process', request);
    assert.equal(answered, status);
    for (const member of ['type', 'title', 'status', 'code', 'detail']) assert.notEqual(json[member], undefined);
  }
  // Every path and method of the document was asked for.
  const { json: document } = await host.get('/openapi.json');
  for (const [path, methods] of Object.entries(document.paths))
    for (const method of Object.keys(methods).filter(name => ['get', 'post', 'delete'].includes(name))) {
      const shape = new RegExp(`^${method.toUpperCase()} ${path.replace(/\{[^}]+\}/g, '[^/ ]+').replaceAll('/', '\\/')} `);
      assert.ok([...seen].some(line => shape.test(line)), `${method} ${path} was not asked for: ${[...seen].join(', ')}`);
    }
});

test('every path that the host knows is in it', async t => {
  const host = await startHost(t, { plugins: ['noop'] });
  const { json: document } = await host.get('/openapi.json');
  const { json } = await host.get('/nothing/of/the/kind');
  const known = json.detail.match(/\/[a-zA-Z/.]+/g).map(path => path.replace(/\bID\b|\bJOB\b|\bNAME\b/g, '*').replace(/\.$/, ''));
  const described = Object.keys(document.paths).map(path => path.replace(/\{[^}]+\}/g, '*'));
  for (const path of known) assert.ok(described.includes(path), `${path} is not described`);
});
