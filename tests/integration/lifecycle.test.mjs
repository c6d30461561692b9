// Starting, stopping, dying, and what the host does where its folder, its port or its disk won't have it.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, closeSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, unlinkSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterwards, Host, build, confFolder, exportd, patience, pluginFolder, run, source, startHost, startReceiver, temporaryFolder, until } from '../support/host.mjs';

const plugins = ['noop', 'misbehave'];
const isRoot = process.getuid() === 0;
const repro = JSON.parse(readFileSync(join(source, 'tests/data/search-4711.json')));

const statusOf = async (host, id) => (await host.get(`/jobs/${id}`)).json.status;
const running = (host, id) => until(async () => await statusOf(host, id) === 'running', `the start of ${id}`);

function workersOf(pid) {
  return execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n').filter(line => line.includes(`exportd-worker ${pid} `)).map(line => parseInt(line, 10));
}

/** Processor time that these processes have used together. */
function cpuTicksOf(pids) {
  return pids.reduce((sum, pid) => {
    try {
      return sum + Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')[11]);
    } catch {
      return sum; // it is gone
    }
  }, 0);
}

/** `exportd serve` that must not start. */
function refusedServe(t, { conf = {}, env = {}, folder = temporaryFolder(t), plugins: names = ['noop'] } = {}) {
  const done = run(['serve', '-c', confFolder(folder, conf)], {
    env: { EXPORTD_HTTP_LISTEN: '127.0.0.1:0', EXPORTD_HOST_PLUGINS: pluginFolder(folder, names), EXPORTD_HOST_STATE: join(folder, 'state'), ...env },
  });
  assert.equal(done.code, 2, `${done.signal} ${done.stderr}`);
  assert.doesNotMatch(done.stderr, /Sanitizer|runtime error/);
  return done.stderr;
}

async function accept(host, body) {
  const answer = await host.process_(body);
  assert.equal(answer.status, 202, answer.text);
}

test('SIGTERM: no more is taken, running jobs end, waiting ones are kept, exit code 0', async t => {
  const receiver = await startReceiver(t);
  const host = await startHost(t, { plugins, conf: { 'w.conf': '[worker]\nworkers = 1\n[webhook]\nallow = 127.0.0.1\n' } });
  await accept(host, { jobId: 'runs', task: 'pause_ms', data: { ms: 4000 }, callbackUrl: receiver.url });
  await running(host, 'runs');
  for (let i = 0; i < 10; i++) await accept(host, { jobId: `waits-${i}`, task: 'echo', data: { i } });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  afterwards(t, () => agent.destroy());
  const url = new URL(host.url);
  const ask = (method, path, body) => new Promise((done, fail) => {
    const request = http.request({ agent, host: url.hostname, port: url.port, method, path, headers: { 'content-type': 'application/json' } }, response => {
      let text = '';
      response.on('data', chunk => { text += chunk; });
      response.on('end', () => done({ status: response.statusCode, text }));
      response.on('error', fail);
    });
    request.on('error', fail);
    request.end(body && JSON.stringify(body));
  });
  assert.equal((await ask('GET', '/readyz')).status, 200);
  host.process.kill('SIGTERM');
  await until(() => /stopping: no more jobs are taken/.test(host.log), 'the stop');
  // A connection that was open already is told; a new one finds nobody.
  const late = await ask('POST', '/process', { jobId: 'late', task: 'noop' }).catch(error => ({ status: error.code }));
  assert.ok([503, 'ECONNRESET', 'ECONNREFUSED'].includes(late.status), String(late.status));
  await assert.rejects(host.process_({ jobId: 'later', task: 'noop' }), { code: 'ECONNREFUSED' });
  assert.deepEqual(await host.exited, { code: 0, signal: null });
  assert.deepEqual(workersOf(host.process.pid), []);
  assert.ok(!existsSync(join(host.state, 'address')), 'its address is forgotten');

  await host.start();
  const job = (await host.get('/jobs/runs')).json;
  assert.equal(job.status, 'completed');
  assert.equal(job.attempts, 1);
  for (let i = 0; i < 10; i++) {
    const kept = await host.finished(`waits-${i}`);
    assert.equal(kept.status, 'completed');
    assert.equal(kept.attempts, 1);
  }
  await until(() => receiver.received.length > 0, 'its callback');
  assert.equal((await host.get('/jobs/late')).status, 404);
});

test('jobs that outlast drain_timeout are put back, without a lost attempt', async t => {
  const host = await startHost(t, { plugins, conf: { 'w.conf': '[worker]\nworkers = 2\n[host]\ndrain_timeout = 300ms\n[jobs]\nmax_attempts = 1\n' } });
  for (const id of ['long', 'deaf']) await accept(host, { jobId: id, task: id === 'deaf' ? 'ignore_sigterm' : 'pause_ms', data: { ms: 600_000 } });
  for (const id of ['long', 'deaf']) await running(host, id);
  for (let i = 0; i < 5; i++) await accept(host, { jobId: `waits-${i}`, task: 'echo' });
  await host.stop();
  assert.match(host.log, /2 jobs still run; they are stopped, and will run again/);
  assert.deepEqual(workersOf(host.process.pid), []);
  await host.start();
  for (const id of ['long', 'deaf']) {
    await running(host, id);
    assert.equal((await host.get(`/jobs/${id}`)).json.attempts, 1);
    assert.equal((await host.request('DELETE', `/jobs/${id}`)).status, 202);
  }
  for (const id of ['long', 'deaf']) assert.equal((await host.finished(id)).status, 'cancelled');
  for (let i = 0; i < 5; i++) assert.equal((await host.finished(`waits-${i}`)).status, 'completed');
});

test('a second signal ends the host at once; the job runs again at the next start', async t => {
  const host = await startHost(t, { plugins, conf: { 'w.conf': '[host]\ndrain_timeout = 1h\n' } });
  await accept(host, { jobId: 'long', task: 'pause_ms', data: { ms: 600_000 } });
  await running(host, 'long');
  host.process.kill('SIGINT');
  await until(() => /stopping/.test(host.log), 'the stop');
  host.process.kill('SIGTERM');
  assert.deepEqual(await host.exited, { code: 143, signal: null });
  await until(() => workersOf(host.process.pid).length === 0, 'the end of the workers');
  await host.start();
  await running(host, 'long');
  assert.equal((await host.get('/jobs/long')).json.attempts, 1);
  await host.request('DELETE', '/jobs/long');
  await host.finished('long');
});

test('a second host on the same state folder is refused, and the first does not notice', async t => {
  const host = await startHost(t, { plugins });
  await accept(host, { jobId: 'runs', task: 'pause_ms', data: { ms: 1500 } });
  await running(host, 'runs');
  const said = refusedServe(t, { env: { EXPORTD_HOST_STATE: host.state } });
  assert.match(said, new RegExp(`another exportd \\(process ${host.process.pid}\\) holds the state folder ${host.state}; stop it first, or .*\\[host\\] state`));
  assert.equal((await host.finished('runs')).status, 'completed');
  assert.ok(existsSync(join(host.state, 'address')));
});

test('a port in use is named, with the mend', async t => {
  const server = net.createServer();
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  afterwards(t, () => server.close());
  const address = `127.0.0.1:${server.address().port}`;
  const folder = temporaryFolder(t);
  assert.match(refusedServe(t, { folder, env: { EXPORTD_HTTP_LISTEN: address } }), new RegExp(`can't listen at ${address}: Address already in use.*\\[http\\] listen`));
  assert.match(refusedServe(t, { folder, env: { EXPORTD_HTTP_LISTEN: '192.0.2.1:8080', EXPORTD_HTTP_TOKEN: 'sesame-sesame' } }), /can't listen at 192\.0\.2\.1:8080: Cannot assign/);
  await startHost(t, { folder, plugins: ['noop'] });
});

test('a state folder that can not be one is refused with its cause', async t => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'file');
  writeFileSync(file, 'hello\n');
  const cases = [[file, /file: not a folder; set \[host\] state/], [join(file, 'below'), /file\/below.*(not a folder|Not a directory).*\[host\] state|file.*not a folder/], ['/proc/exportd', /\/proc\/exportd can't be made: .*\[host\] state/]];
  for (const [state, message] of cases) assert.match(refusedServe(t, { env: { EXPORTD_HOST_STATE: state } }), message);
  mkdirSync(join(folder, 'part'));
  writeFileSync(join(folder, 'part', 'artifacts'), 'hello\n');
  assert.match(refusedServe(t, { env: { EXPORTD_HOST_STATE: join(folder, 'part') } }), /part\/artifacts: not a folder; move it away, or set \[host\] state/);
});

test('a state folder that this user may not write to is refused', async t => {
  const folder = temporaryFolder(t);
  const state = join(folder, 'state');
  mkdirSync(state, { mode: 0o555 });
  const env = { PATH: process.env.PATH, EXPORTD_HTTP_LISTEN: '127.0.0.1:0', EXPORTD_HOST_STATE: state, EXPORTD_HOST_PLUGINS: pluginFolder(folder, ['noop']) };
  const user = isRoot ? { uid: 65534, gid: 65534 } : {};
  chmodSync(folder, 0o755);
  const conf = confFolder(folder, {});
  if (spawnSync(exportd, ['--version'], user).status !== 0) return t.skip('nobody may run this build');
  const done = spawnSync(exportd, ['serve', '-c', conf], { env, encoding: 'utf8', timeout: patience, ...user });
  assert.equal(done.status, 2, done.stderr);
  assert.match(done.stderr, /exportd\.lock: Permission denied; the user that runs exportd must be able to write there/);
});

test('a store that is none, is cut, or is from a newer version is refused, and left as it is', async t => {
  const host = await startHost(t, { plugins: ['noop'] });
  for (let i = 0; i < 50; i++) await accept(host, { jobId: `job-${i}`, task: 'noop', data: { fill: 'x'.repeat(2000) } });
  await host.finished('job-49');
  await host.stop();
  const store = join(host.state, 'store.db');
  const whole = readFileSync(store);
  const refuse = (bytes, message) => {
    writeFileSync(store, bytes);
    assert.match(refusedServe(t, { env: { EXPORTD_HOST_STATE: host.state } }), message);
    assert.deepEqual(readFileSync(store).subarray(0, 4096), bytes.subarray(0, 4096));
  };
  refuse(Buffer.from('this is a text and no database\n'.repeat(400)), /store\.db: file is not a database; .*\[host\] state.*backup/);
  const newer = Buffer.from(whole);
  newer.writeUInt32BE(99, 60); // PRAGMA user_version
  refuse(newer, /store\.db: written by a newer exportd \(schema 99, and this one knows \d+\); install that version again/);
  refuse(whole.subarray(0, 10_000), /store\.db: .*(malformed|not a database).*backup/);
  writeFileSync(store, whole);
  await host.start();
  assert.equal((await host.get('/jobs?limit=100')).json.jobs.length, 50);
});

test('[host] sandbox = off is told by /readyz and the log', async t => {
  const host = await startHost(t, { plugins, conf: { 'h.conf': '[host]\nsandbox = off\n' } });
  const { status, json } = await host.get('/readyz');
  assert.equal(status, 200);
  assert.equal(json.sandbox.enabled, false);
  assert.ok(json.missing.includes('sandbox: switched off in conf.d'));
  assert.match(host.log, /switched off: plugins can do all that this user can/);
  const { result } = await host.runJob({ task: 'read_files', data: { paths: ['/etc/passwd'] } });
  assert.equal(result['/etc/passwd'], 'read');
});

test('finished jobs go after their retention, with their artifacts; failed ones stay longer', async t => {
  const host = await startHost(t, { plugins: ['misbehave', 'export-json'], conf: { 'j.conf': '[jobs]\nretention = 1s\nretention_failed = 1h\nmax_attempts = 1\n' } });
  const job = await host.runJob({ jobId: 'report', task: 'report', data: { format: 'json', repro } });
  assert.equal(job.status, 'completed', job.error);
  assert.equal((await host.runJob({ jobId: 'failed', task: 'refuse' })).status, 'failed');
  await until(async () => (await host.get('/jobs/report')).status === 404, 'the removal of the job');
  await until(() => !existsSync(join(host.state, 'artifacts', 'report')), 'the removal of its artifacts');
  assert.equal((await host.get(new URL(job.result.artifacts[0].url).pathname)).status, 404);
  assert.equal((await host.get('/jobs/failed')).status, 200);
  await accept(host, { jobId: 'report', task: 'echo' });
});

test('a job whose callback has not arrived is kept beyond its retention', async t => {
  let open = false;
  const receiver = await startReceiver(t, (request, response) => { response.statusCode = open ? 200 : 503; response.end(); });
  const host = await startHost(t, { plugins, conf: { 'j.conf': '[jobs]\nretention = 1s\n[webhook]\nallow = 127.0.0.1\nbackoff = 1s\nbackoff_max = 1s\n' } });
  await accept(host, { jobId: 'told', task: 'noop', callbackUrl: receiver.url });
  await host.finished('told');
  await host.runJob({ jobId: 'other', task: 'noop' });
  await until(async () => (await host.get('/jobs/other')).status === 404, 'the removal of the other job');
  await until(() => receiver.received.length >= 4, 'more attempts');
  assert.equal((await host.get('/jobs/told')).status, 200);
  open = true;
  await until(async () => (await host.get('/jobs/told')).status === 404, 'the removal of the job');
});

test('cancelling a running job outlives a kill -9', async t => {
  const receiver = await startReceiver(t);
  const host = await startHost(t, { plugins, conf: { 'w.conf': '[worker]\ngrace = 5m\n[webhook]\nallow = 127.0.0.1\n' } });
  await accept(host, { jobId: 'deaf', task: 'loop', callbackUrl: receiver.url });
  await until(() => cpuTicksOf(workersOf(host.process.pid)) >= 10, 'a loop under way');
  assert.equal((await host.request('DELETE', '/jobs/deaf')).status, 202);
  assert.equal(await statusOf(host, 'deaf'), 'running', 'it does not listen');
  await host.kill();
  await until(() => workersOf(host.process.pid).length === 0, 'the end of the workers');
  await host.start();
  const job = await host.finished('deaf');
  assert.equal(job.status, 'cancelled');
  await until(() => receiver.received.length > 0, 'its callback');
  assert.equal(receiver.received[0].json.errorCode, 'cancelled');
});

test('jobs whose plugin is gone wait for it, and can be cancelled', async t => {
  const host = await startHost(t, { plugins, conf: { 'w.conf': '[worker]\nworkers = 1\n' } });
  await accept(host, { jobId: 'blocker', task: 'pause_ms', data: { ms: 600_000 }, priority: 100 });
  await running(host, 'blocker');
  for (const id of ['stays', 'goes']) await accept(host, { jobId: id, task: 'echo' });
  await host.kill();
  const plugin = join(host.plugins, 'misbehave.so');
  unlinkSync(plugin);
  await host.start();
  assert.equal((await host.runJob({ task: 'noop' })).status, 'completed');
  assert.equal(await statusOf(host, 'stays'), 'pending');
  for (const id of ['goes', 'blocker']) assert.equal((await host.request('DELETE', `/jobs/${id}`)).status, 202);
  for (const id of ['goes', 'blocker']) assert.equal((await host.finished(id)).status, 'cancelled');
  await host.stop();
  copyFileSync(join(build, 'test-plugins', 'misbehave.so'), plugin);
  chmodSync(plugin, 0o755);
  await host.start();
  assert.equal((await host.finished('stays')).status, 'completed');
});

test('jobs that come while others wait don\'t go before them', async t => {
  const host = await startHost(t, { plugins, conf: { 'w.conf': '[worker]\nworkers = 1\n' } });
  const COUNT = 900, handed = []; // twice as fast as they are done, from when the host knows how fast that is
  for (let i = 0; i < COUNT; i++) {
    handed.push(accept(host, { jobId: `job-${i}`, task: 'pause_ms', data: { ms: 3 } }));
    if (i % 30 === 29) await new Promise(next => setTimeout(next, 50));
  }
  await Promise.all(handed);
  await until(async () => await host.metric('exportd_jobs_finished_total{route="pause_ms",state="completed"}') === COUNT, 'the last job');
  const { json } = await host.get(`/jobs?limit=${COUNT}`);
  assert.equal(json.jobs.length, COUNT);
  let latest = 0;
  for (const job of json.jobs.sort((a, b) => Date.parse(a.startedAt) - Date.parse(b.startedAt))) {
    const accepted = Date.parse(job.createdAt);
    assert.ok(accepted > latest - 400, `${job.jobId}, accepted at ${job.createdAt}, began after one of ${latest - accepted} ms later`);
    latest = Math.max(latest, accepted);
  }
});

test('a job that falls due is not passed by for ever by those of another route of its plugin', async t => {
  const host = await startHost(t, { plugins, conf: { 'w.conf': '[worker]\nworkers = 1\n' } });
  let over = false;
  const caller = async () => {
    while (!over) {
      const answer = await fetch(`${host.url}/process`, { method: 'POST', headers: { 'content-type': 'application/json', prefer: 'wait=30' }, body: JSON.stringify({ task: 'pause_ms', data: { ms: 4 } }) });
      await answer.text();
    }
  };
  const callers = Array.from({ length: 50 }, caller); // so many are always under way: more than half of what the host has in memory of them
  await new Promise(next => setTimeout(next, 1000));
  await accept(host, { jobId: 'due', task: 'echo', runAt: Date.now() + 300, data: {} });
  try {
    await until(async () => await statusOf(host, 'due') === 'completed', 'the job that fell due');
  } finally {
    over = true;
    await Promise.all(callers);
  }
});

test('20,000 queued jobs are drained after a restart', { timeout: 6 * patience }, async t => {
  const jobs = 20_000;
  const host = await startHost(t, { plugins, conf: { 'w.conf': '[worker]\nworkers = 1\n' } });
  await accept(host, { jobId: 'blocker', task: 'pause_ms', data: { ms: 600_000 }, priority: 100 });
  await running(host, 'blocker');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
  afterwards(t, () => agent.destroy());
  const url = new URL(host.url);
  const submit = number => new Promise((done, fail) => {
    const request = http.request({ agent, host: url.hostname, port: url.port, method: 'POST', path: '/process', headers: { 'content-type': 'application/json' } }, response => {
      response.resume();
      response.on('end', () => (response.statusCode === 202 ? done() : fail(new Error(String(response.statusCode)))));
      response.on('error', fail);
    });
    request.on('error', fail);
    request.end(JSON.stringify({ jobId: `job-${number}`, task: 'echo', data: { number } }));
  });
  let next = 0;
  await Promise.all(Array.from({ length: 32 }, async () => { while (next < jobs) await submit(next++); }));
  await host.kill();
  await host.start();
  assert.equal((await host.request('DELETE', '/jobs/blocker')).status, 202);
  await until(async () => await host.metric('exportd_jobs_finished_total{route="echo",state="completed"}') === jobs, 'the end of all jobs', 4 * patience);
  assert.equal(await host.metric('exportd_stale_ends_total'), 0);
  for (const number of [0, 1, 9_999, jobs - 1]) assert.deepEqual((await host.get(`/jobs/job-${number}`)).json.result, { data: { number } });
  assert.deepEqual((await host.get('/jobs?state=pending')).json.jobs, []);
});

/** A host whose state folder is a small file system of its own; null where this user or this machine may not mount one. */
async function hostOnSmallDisk(t, megabytes, options) {
  const folder = mkdtempSync(join(tmpdir(), 'exportd-test-'));
  const state = join(folder, 'state');
  mkdirSync(state);
  const mounted = isRoot && spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'exportd-test', state]).status === 0;
  const host = mounted && new Host(t, { folder, ...options });
  afterwards(t, () => {
    if (mounted) spawnSync('umount', ['-l', state]);
    rmSync(folder, { recursive: true, force: true });
  });
  return host && host.start();
}

function fillDisk(path) {
  const file = openSync(join(path, 'filler'), 'w');
  for (const size of [65536, 4096, 1]) {
    const block = Buffer.alloc(size, 'x');
    try {
      for (;;) if (writeSync(file, block) < size) break;
    } catch (error) {
      assert.equal(error.code, 'ENOSPC');
    }
  }
  closeSync(file);
}

test('a full disk: nothing is accepted that is not kept, and all goes on once there is space', async t => {
  const receiver = await startReceiver(t);
  const host = await hostOnSmallDisk(t, 16, { plugins: ['noop', 'misbehave', 'export-json'], conf: { 'w.conf': '[worker]\nworkers = 2\n[jobs]\nbackoff = 200ms\nbackoff_max = 1s\nmax_attempts = 50\n[webhook]\nallow = 127.0.0.1\n' } });
  if (!host) return t.skip('needs the right to mount a tmpfs');
  const accepted = [];
  const fill = 'x'.repeat(50_000);
  for (const id of ['runs-0', 'runs-1']) {
    await accept(host, { jobId: id, task: 'pause_ms', data: { ms: 1500 }, callbackUrl: receiver.url });
    await running(host, id);
    accepted.push(id);
  }
  fillDisk(host.state);
  let refusals = 0;
  for (let i = 0; refusals < 20; i++) {
    const task = i % 3 ? 'echo' : 'report';
    const data = task === 'report' ? { format: 'json', repro } : { i, fill };
    const answer = await host.process_({ jobId: `job-${i}`, task, data, callbackUrl: receiver.url });
    assert.ok([202, 507, 503].includes(answer.status), answer.text);
    if (answer.status === 202) {
      accepted.push(`job-${i}`);
      continue;
    }
    refusals++;
    assert.match(answer.headers['content-type'], /^application\/problem\+json/);
    assert.match(answer.json.detail, /full.*free space on the disk that holds \[host\] state/);
  }
  assert.equal((await host.get('/healthz')).status, 200);
  assert.equal((await host.get('/jobs/runs-0')).status, 200, 'what is there can be read');
  await until(() => /not on disk yet, and is tried again/.test(host.log), 'an end that finds no space');
  unlinkSync(join(host.state, 'filler'));
  for (const id of accepted) assert.equal((await host.finished(id)).status, 'completed', id);
  await until(() => new Set(receiver.received.map(got => got.json.jobId)).size === accepted.length, 'all callbacks');
  assert.deepEqual(receiver.received.map(got => got.json.jobId).filter(id => !accepted.includes(id)), []);
  assert.equal((await host.runJob({ jobId: 'after', task: 'echo', data: { fill } })).status, 'completed');
});

test('a host on a full disk can be stopped, and its jobs run at the next start', async t => {
  const host = await hostOnSmallDisk(t, 8, { plugins, conf: { 'h.conf': '[host]\ndrain_timeout = 2s\n' } });
  if (!host) return t.skip('needs the right to mount a tmpfs');
  await accept(host, { jobId: 'runs', task: 'pause_ms', data: { ms: 300 } });
  await running(host, 'runs');
  fillDisk(host.state);
  while ((await host.process_({ task: 'echo', data: { fill: 'x'.repeat(20_000) } })).status === 202);
  await host.stop();
  unlinkSync(join(host.state, 'filler'));
  await host.start();
  assert.equal((await host.finished('runs')).status, 'completed');
});
