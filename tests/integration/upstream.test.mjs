// Two hosts: the first takes jobs and hands them to the second ([upstream] in conf.d), whose callbacks end them. Either may go at any time.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import http from 'node:http';
import { afterwards, confFolder, Host, pluginFolder, run, startHost, startReceiver, temporaryFolder, until } from '../support/host.mjs';
import { freePort, Postgres } from '../support/servers.mjs';

const SECRET = 'between-the-two';
const quick = 'backoff = 10ms\nbackoff_max = 50ms\nmax_attempts = 6\n';
const webhook = { EXPORTD_WEBHOOK_ALLOW: '127.0.0.1', EXPORTD_WEBHOOK_SECRET: SECRET, EXPORTD_WEBHOOK_BACKOFF: '50ms', EXPORTD_WEBHOOK_BACKOFF_MAX: '200ms' };
const tasks = 'stepper-one walker-one trip nothing-here';
const trip = '[pipeline trip]\nsteps = stepper-one, walker-one\n';
const ran = (host, step) => (host.log.match(new RegExp(`ran ${step},`, 'g')) ?? []).length;

/** The host that does the work, on a port that stays the same. */
async function startWorker(t, options = {}) {
  const port = await freePort();
  const host = await startHost(t, { plugins: ['stepper', 'walker'], conf: { 'p.conf': trip, 'jobs.conf': `[jobs]\n${quick}` }, ...options,
    env: { ...webhook, EXPORTD_HTTP_LISTEN: `127.0.0.1:${port}`, ...options.env } });
  return { host, url: `http://127.0.0.1:${port}` };
}

/** The host in front. Its own port stays the same too: callbacks come in there. */
async function startFront(t, url, { plugins = ['noop'], lines = '', env = {}, ...options } = {}) {
  const port = await freePort();
  return startHost(t, { plugins, conf: { 'u.conf': `[upstream]\ntasks = ${tasks}\n${lines}`, 'jobs.conf': `[jobs]\n${quick}`, ...options.conf }, ...options,
    env: { ...webhook, EXPORTD_HTTP_LISTEN: `127.0.0.1:${port}`, ...(url ? { REPO_WORKER_API_URL: url } : {}), ...env } });
}

test('a job goes to the other host and ends by its callback; the caller hears of it once', async t => {
  const worker = await startWorker(t);
  const front = await startFront(t, worker.url);
  const { url, received } = await startReceiver(t);
  const { status } = await front.process_({ jobId: 'one', task: 'stepper-one', callbackUrl: url, data: { line: 'hello' } });
  assert.equal(status, 202);
  const job = await front.finished('one');
  assert.equal(job.status, 'completed', job.error);
  assert.equal(job.result.notes, 'stepper-one hello\n');
  assert.equal((await worker.host.get('/jobs/one')).json.status, 'completed');
  await until(() => received.length > 0, 'the callback');
  await new Promise(done => setTimeout(done, 300));
  assert.equal(received.length, 1);
  assert.deepEqual([received[0].json.jobId, received[0].json.status, received[0].json.result], ['one', 'completed', job.result]);
  assert.equal(ran(worker.host, 'stepper-one'), 1);
  assert.deepEqual(await Promise.all(['jobs', 'done_total', 'refused_total'].map(name => front.metric(`exportd_upstream_${name}`))), [0, 1, 0]);
  assert.equal(await worker.host.metric('exportd_upstream_jobs'), undefined);
});

test('a pipeline goes there as a whole; a failure there is a failure here, with its words', async t => {
  const worker = await startWorker(t);
  const front = await startFront(t, worker.url, { plugins: ['stepper', 'walker'], conf: { 'p.conf': trip, 'jobs.conf': `[jobs]\n${quick}`, 'u.conf': `[upstream]\ntasks = ${tasks}\n` } });
  const job = await front.runJob({ task: 'trip', data: { line: 'x', 'walker-one': { line: 'y' } } });
  assert.equal(job.result.steps[1].result.notes, 'stepper-one x\nwalker-one y\n');
  assert.equal(ran(front, 'stepper-one'), 0);
  const failed = await front.runJob({ task: 'trip', data: { 'walker-one': { refuse: true } } });
  assert.deepEqual([failed.status, failed.errorCode, failed.attempts], ['failed', 'never', 1]);
  assert.match(failed.error, /step 2 of 2, walker-one: not at all/);
  const other = await front.runJob({ task: 'stepper-two' });
  assert.equal(other.status, 'completed', 'what isn\'t among the tasks runs here');
  assert.equal(ran(front, 'stepper-two'), 1);
});

test('what the other host refuses, or where there is none, runs here', async t => {
  const worker = await startWorker(t, { plugins: ['noop'], conf: {} });
  const refused = await startFront(t, worker.url, { plugins: ['stepper'] });
  assert.equal((await refused.runJob({ task: 'stepper-one', data: { line: 'x' } })).result.notes, 'stepper-one x\n');
  assert.match(refused.log, /runs here: the upstream answered 4\d\d: no plugin offers/);
  const gone = await startFront(t, `http://127.0.0.1:${await freePort()}`, { plugins: ['stepper'] });
  assert.equal((await gone.runJob({ task: 'stepper-one', data: { line: 'x' } })).result.notes, 'stepper-one x\n');
  assert.match(gone.log, /runs here: the upstream can't be reached/);
  assert.equal(await gone.metric('exportd_upstream_refused_total'), 1);
  const page = http.createServer((request, response) => { request.resume(); response.end('<h1>Welcome</h1>'); });
  await new Promise(done => page.listen(0, '127.0.0.1', done));
  afterwards(t, () => { page.close(); page.closeAllConnections(); });
  const misled = await startFront(t, `http://127.0.0.1:${page.address().port}`, { plugins: ['stepper'] });
  assert.equal((await misled.runJob({ task: 'stepper-one', data: { line: 'x' } })).result.notes, 'stepper-one x\n');
  const mute = http.createServer(request => request.resume());
  await new Promise(done => mute.listen(0, '127.0.0.1', done));
  afterwards(t, () => { mute.close(); mute.closeAllConnections(); });
  const waiting = await startFront(t, `http://127.0.0.1:${mute.address().port}`, { plugins: ['stepper'], lines: 'timeout = 300ms\n' });
  assert.equal((await waiting.runJob({ task: 'stepper-one', data: { line: 'x' } })).result.notes, 'stepper-one x\n');
  const none = await startFront(t, undefined, { plugins: ['stepper'] });
  assert.equal((await none.runJob({ task: 'stepper-one', data: { line: 'x' } })).status, 'completed');
  assert.doesNotMatch(none.log, /upstream/);
});

test('what nobody can do is simulated where conf.d says so, and a clear failure where it doesn\'t', async t => {
  const away = `http://127.0.0.1:${await freePort()}`;
  const plain = await startFront(t, away);
  const job = await plain.runJob({ task: 'nothing-here', data: { any: 'thing' } });
  assert.deepEqual([job.status, job.errorCode, job.attempts], ['failed', 'upstream_unreachable', 6]);
  assert.match(job.error, /can't be reached.*no plugin here offers nothing-here/);
  for (const url of [away, undefined]) {
    const simulating = await startFront(t, url, { lines: 'simulate = yes\n' });
    const { result, status } = await simulating.runJob({ task: 'nothing-here', data: {} });
    assert.deepEqual([status, result], ['completed', { simulated: true, task: 'nothing-here' }]);
  }
  const without = await startFront(t, undefined);
  assert.equal((await without.process_({ task: 'nothing-here', data: {} })).status, 404);
});

test('the development host is the one where USE_DEV_CLOUDRUN_WORKER says so', async t => {
  const worker = await startWorker(t);
  const env = { REPO_WORKER_API_URL_DEV: worker.url, USE_DEV_CLOUDRUN_WORKER: 'true' };
  const front = await startFront(t, `http://127.0.0.1:${await freePort()}`, { env });
  assert.equal((await front.runJob({ task: 'stepper-one' })).status, 'completed');
  const off = await startFront(t, `http://127.0.0.1:${await freePort()}`, { env: { ...env, USE_DEV_CLOUDRUN_WORKER: 'false' } });
  assert.equal((await off.runJob({ task: 'stepper-one' })).errorCode, 'upstream_unreachable');
});

test('the other host killed in the middle: the job ends when it is back', async t => {
  const worker = await startWorker(t);
  const front = await startFront(t, worker.url);
  await front.process_({ jobId: 'k', task: 'stepper-one', data: { wait_ms: 2000 } });
  await until(() => ran(worker.host, 'stepper-one') === 1, 'its start there');
  await worker.host.kill();
  await worker.host.start();
  const job = await front.finished('k');
  assert.equal(job.status, 'completed', job.error);
});

test('the front host killed or stopped in the middle: the callback finds it again, or it asks', async t => {
  for (const how of ['kill', 'stop']) {
    const worker = await startWorker(t);
    const front = await startFront(t, worker.url);
    const { url, received } = await startReceiver(t);
    await front.process_({ jobId: 'f', task: 'stepper-one', callbackUrl: url, data: { wait_ms: 500 } });
    await until(() => ran(worker.host, 'stepper-one') === 1, 'its start there');
    const began = Date.now();
    await front[how]();
    if (how === 'stop') assert.ok(Date.now() - began < 5000, 'it doesn\'t wait for the other host');
    await until(async () => (await worker.host.get('/jobs/f')).json.status === 'completed', 'its end there');
    await front.start();
    const job = await front.finished('f');
    assert.equal(job.status, 'completed', job.error);
    assert.equal(ran(worker.host, 'stepper-one'), 1, 'it was done once');
    await until(() => received.length > 0, 'the callback');
    await new Promise(done => setTimeout(done, 300));
    assert.equal(received.length, 1);
  }
});

test('a callback that never comes: the job is tried again, and what was done is not done twice', async t => {
  const worker = await startWorker(t, { env: { EXPORTD_WEBHOOK_ALLOW: '', EXPORTD_WEBHOOK_RETRY_FOR: '0s' } }); // its callbacks go nowhere
  const front = await startFront(t, worker.url, { lines: 'wait = 500ms\n' });
  const job = await front.runJob({ task: 'stepper-one', data: { line: 'x' } });
  assert.equal(job.status, 'completed', job.error);
  assert.equal(job.attempts, 2);
  assert.equal(ran(worker.host, 'stepper-one'), 1);
  assert.match(front.log, /upstream_silent: no callback came/);
});

test('the other host gone for good: the fallback does it', async t => {
  const worker = await startWorker(t);
  const front = await startFront(t, worker.url, { plugins: ['stepper'], lines: 'wait = 700ms\n' });
  await front.process_({ jobId: 'g', task: 'stepper-one', data: { line: 'x', wait_ms: 2000 } });
  await until(() => ran(worker.host, 'stepper-one') === 1, 'its start there');
  await worker.host.kill();
  const job = await front.finished('g');
  assert.equal(job.status, 'completed', job.error);
  assert.equal(ran(front, 'stepper-one'), 1);
});

test('a retry here is a retry there', async t => {
  const worker = await startWorker(t);
  const front = await startFront(t, worker.url);
  const failed = await front.runJob({ jobId: 'again', task: 'stepper-one', maxAttempts: 1, data: { refuse: true } });
  assert.equal(failed.errorCode, 'never');
  assert.equal((await front.request('POST', '/jobs/again/retry')).status, 202);
  await until(() => ran(worker.host, 'stepper-one') === 2, 'the second try there');
  assert.equal((await front.finished('again')).errorCode, 'never');
});

test('a host that is its own upstream does not start', async t => {
  const port = await freePort();
  const host = new Host(t, { plugins: ['noop'], env: { ...webhook, EXPORTD_HTTP_LISTEN: `127.0.0.1:${port}`, REPO_WORKER_API_URL: `http://127.0.0.1:${port}` } });
  await assert.rejects(host.start(), /\[upstream\] url is http:\S+, this host itself/);
});

test('a cancel here is a cancel there', async t => {
  const worker = await startWorker(t);
  const front = await startFront(t, worker.url);
  await front.process_({ jobId: 'c', task: 'stepper-one', data: { wait_ms: 60_000 } });
  await until(() => ran(worker.host, 'stepper-one') === 1, 'its start there');
  await front.request('DELETE', '/jobs/c');
  assert.equal((await front.finished('c')).status, 'cancelled');
  assert.equal((await worker.host.finished('c')).status, 'cancelled');
});

function sign(body, { secret = SECRET, at = Math.floor(Date.now() / 1000), id = 'msg_1' } = {}) {
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret);
  const signature = createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64');
  return { 'content-type': 'application/json', 'webhook-id': id, 'webhook-timestamp': String(at), 'webhook-signature': `v1,bm9wZQ== v1,${signature}` };
}

test('callbacks are believed only with the right signature, and only about jobs that are there', async t => {
  const silent = http.createServer((request, response) => { request.resume(); response.writeHead(202, { 'content-type': 'application/json' }).end('{"status":"pending"}'); });
  await new Promise(done => silent.listen(0, '127.0.0.1', done));
  afterwards(t, () => { silent.close(); silent.closeAllConnections(); });
  const front = await startFront(t, `http://127.0.0.1:${silent.address().port}`, { env: { EXPORTD_HTTP_TOKEN: 'a-token' }, plugins: ['stepper'] });
  const bearer = { authorization: 'Bearer a-token' };
  const path = '/api/cloudrun/callback';
  const send = (body, headers) => front.request('POST', path, { body, headers });
  await front.request('POST', '/process', { body: { jobId: 's', task: 'stepper-one' }, headers: bearer });
  const good = JSON.stringify({ jobId: 's', status: 'completed', result: { by: 'callback' } });
  const old = Math.floor(Date.now() / 1000) - 1000;
  for (const headers of [{}, sign(good, { secret: 'another' }), sign(`${good} `), sign(good, { at: old }), { ...sign(good), 'webhook-id': 'other' }, { ...sign(good), 'webhook-timestamp': 'now' }]) {
    const { status, json } = await send(good, { 'content-type': 'application/json', ...headers });
    assert.deepEqual([status, json.code], [401, 'signature_invalid']);
  }
  assert.equal((await send('nonsense', sign('nonsense'))).status, 400);
  assert.equal((await send('{}', sign('{}'))).status, 400);
  const unknown = JSON.stringify({ jobId: 'none', status: 'completed' });
  assert.equal((await send(unknown, sign(unknown))).status, 410);
  assert.equal((await front.get('/jobs/s', { headers: bearer })).json.status, 'running');
  assert.equal((await send(good, sign(good))).status, 200);
  await until(async () => (await front.get('/jobs/s', { headers: bearer })).json.status === 'completed', 'the end');
  assert.deepEqual((await front.get('/jobs/s', { headers: bearer })).json.result, { by: 'callback' });
  assert.equal((await send(good, sign(good))).status, 200, 'a second time it changes nothing');
});

test('hosts that share a store: a callback that comes to another one ends the job', async t => {
  const postgres = await new Postgres(t).start();
  await postgres.query('CREATE DATABASE two');
  const worker = await startWorker(t);
  const env = { DATABASE_URL: postgres.at('two').url };
  const first = await startFront(t, worker.url, { env });
  const second = await startFront(t, worker.url, { env });
  // The worker's callbacks for the first one's jobs go to the second.
  await first.stop();
  first.env.EXPORTD_HTTP_PUBLIC_URL = second.url;
  await first.start();
  const jobs = await Promise.all(Array.from({ length: 20 }, (_, i) => first.runJob({ jobId: `j${i}`, task: 'stepper-one', data: { line: `n${i}` } })));
  for (const [i, job] of jobs.entries()) assert.equal(job.result?.notes, `stepper-one n${i}\n`, JSON.stringify(job));
  assert.equal(ran(worker.host, 'stepper-one'), 20);
});

test('an upstream without a secret is a mistake; check asks it whether it lives', async t => {
  const folder = temporaryFolder(t);
  const worker = await startWorker(t);
  const check = (text, env = {}) => run(['check', '-c', confFolder(folder, { 'u.conf': text })], { env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, ['noop']), EXPORTD_HOST_STATE: folder, ...env } });
  const without = check(`[upstream]\nurl = ${worker.url}\n`);
  assert.match(without.stderr, /u.conf:2: warning: there is no secret to know the callbacks of \[upstream\] by/);
  assert.match(check(`[upstream]\nurl = ${worker.url}\n`, { EXPORTD_UPSTREAM_SECRET: 'x' }).stdout, /upstream: http\S+ lives/);
  const dead = check(`[upstream]\nurl = http://127.0.0.1:1\n`, { EXPORTD_UPSTREAM_SECRET: 'x' });
  assert.match(dead.stderr, /u.conf:2: http:\/\/127.0.0.1:1: /);
  for (const path of ['api', '/', '/a//b', '/../x', '/a b', '/a/'])
    assert.match(check(`[upstream]\ncallback_path = ${path}\n`).stderr, /u.conf:2: "callback_path" in \[upstream\]/);
});

test('200 jobs, both hosts killed again and again: each ends once, as it was done', async t => {
  const worker = await startWorker(t);
  const patient = 'backoff = 10ms\nbackoff_max = 300ms\nmax_attempts = 100\n'; // a start takes long where much else runs
  const front = await startFront(t, worker.url, { conf: { 'u.conf': `[upstream]\ntasks = ${tasks}\nwait = 1s\n`, 'jobs.conf': `[jobs]\n${patient}` } });
  const { url, received } = await startReceiver(t);
  for (let i = 0; i < 200; i++) {
    const { status, text } = await front.process_({ jobId: `m${i}`, task: 'stepper-one', callbackUrl: url, data: { line: `n${i}`, wait_ms: 20 } });
    assert.equal(status, 202, text);
  }
  for (let round = 0; round < 3; round++) {
    for (const host of [front, worker.host]) {
      await new Promise(done => setTimeout(done, 250));
      await host.kill();
      await host.start();
    }
  }
  for (let i = 0; i < 200; i++) {
    const job = await front.finished(`m${i}`);
    assert.equal(job.result?.notes, `stepper-one n${i}\n`, JSON.stringify(job));
  }
  await until(() => new Set(received.map(({ json }) => json.jobId)).size === 200, 'all callbacks');
  const ids = new Map();
  for (const { headers, json } of received) ids.set(json.jobId, (ids.get(json.jobId) ?? new Set()).add(headers['webhook-id']));
  for (const [job, messages] of ids) assert.equal(messages.size, 1, `${job} was told under one id`);
});
