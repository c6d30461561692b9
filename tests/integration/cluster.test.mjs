// Hosts that share PostgreSQL and NATS: the contract with its tables, hosts that die, stop and come back, limits and cancels across hosts, a database
// that goes away, repros out of the callers' table.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { install } from '../support/editions.mjs';
import { run, source, startHost, until, confFolder, temporaryFolder } from '../support/host.mjs';
import { Postgres } from '../support/servers.mjs';
import { Caller, startNats } from '../support/nats.mjs';

const bug = JSON.parse(readFileSync(join(source, 'tests/data/search-4711.json')));
const quick = { 'store.conf': '[store]\nlease = 2s\n' };

/** One server for the tests of this file, and a database for each. */
let server;
before(async () => { server = await new Postgres(null).start(); });
after(() => server?.close());
let number = 0;
async function database() {
  const name = `test_${++number}`;
  await server.query(`CREATE DATABASE ${name}`);
  return server.at(name);
}

async function insertRepro(db, repro = bug, id = repro.id) {
  await db.query('INSERT INTO repros (id, title, description, bug, steps, test, files, dependencies, environment, stability, validation, runs, screenshots, created_at) '
    + 'VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)',
  [id, repro.title, repro.description, ...['bug', 'steps', 'test', 'files', 'dependencies', 'environment', 'stability', 'validation', 'runs', 'screenshots']
    .map(key => repro[key] === undefined ? null : JSON.stringify(repro[key])), repro.created_at]);
  return id;
}

const ready = host => until(async () => (await host.get('/readyz')).json.missing.every(line => !/nats|store/.test(line)), 'the engines');

test('the contract to the letter, with the row of exports in step', async t => {
  const db = await database();
  const nats = await startNats(t);
  const caller = await Caller.connect(t, nats.url);
  const env = { DATABASE_URL: db.url, NATS_URL: nats.url };
  const conf = { 'routes.conf': '[route report]\ndefault = pdf\n' };
  const first = await startHost(t, { env, conf });
  await ready(first);
  const reproId = await insertRepro(db, bug, randomUUID());
  await first.stop();

  // Published while no host runs.
  const requests = [['docker', {}], ['report', { format: 'pdf' }], ['report', { format: 'json' }], ['report', {}]]
    .map(([type, options]) => caller.request(type, { repro_id: reproId, options }));
  const lost = caller.request('report', { options: { format: 'pdf' } });
  const unknown = caller.request('hologram', { repro_id: reproId });
  const host = await startHost(t, { env, conf });
  for (const request of requests) {
    const { subject, id, json } = await caller.answer(request.export_id);
    assert.equal(subject, 'export.completed', JSON.stringify(json));
    assert.match(id, /^msg_/);
    assert.deepEqual(Object.keys(json), ['export_id', 'repro_id', 'export_type', 'result']);
    assert.deepEqual([json.export_id, json.repro_id, json.export_type], [request.export_id, reproId, request.export_type]);
    const [artifact] = json.result.artifacts;
    const { status, bytes } = await host.get(new URL(artifact.url).pathname);
    assert.equal(status, 200);
    assert.equal(bytes.length, artifact.bytes);
    const [row] = await db.query('SELECT * FROM exports WHERE id = $1', [request.export_id]);
    assert.deepEqual([row.repro_id, row.export_type, row.status, row.error_message], [reproId, request.export_type, 'completed', null]);
    assert.deepEqual(row.result, json.result);
    assert.deepEqual(row.options, request.options);
    assert.ok(row.updated_at >= row.created_at);
  }
  const failed = await caller.answer(lost.export_id);
  assert.equal(failed.subject, 'export.failed');
  assert.deepEqual(Object.keys(failed.json), ['export_id', 'repro_id', 'export_type', 'error']);
  assert.deepEqual({ ...failed.json.error, message: '' }, { code: 'repro_not_found', message: '', retryable: false, attempts: 1 });
  const refused = await caller.answer(unknown.export_id);
  assert.equal(refused.subject, 'export.failed');
  assert.equal(refused.json.error.code, 'route_unknown');
  const [row] = await db.query('SELECT status, error_message FROM exports WHERE id = $1', [unknown.export_id]);
  assert.equal(row.status, 'failed');
  assert.match(row.error_message, /hologram/);
});

test('a host that dies is noticed, and its job runs elsewhere within 10 seconds', async t => {
  const db = await database();
  const env = { DATABASE_URL: db.url };
  const dying = await startHost(t, { plugins: ['misbehave'], env });
  await dying.process_({ jobId: 'long', task: 'pause_ms', data: { ms: 4000 } });
  await until(async () => (await dying.get('/jobs/long')).json.status === 'running', 'the start of the job');
  const other = await startHost(t, { plugins: ['misbehave'], env });
  await new Promise(done => setTimeout(done, 300));
  await dying.kill();
  const killed = Date.now();
  await until(async () => (await db.query('SELECT 1 FROM exportd.queue WHERE lease > 0 AND losses = 1')).length === 1, 'the start elsewhere', 20_000);
  assert.ok(Date.now() - killed < 10_000, `${Date.now() - killed} ms`);
  const job = await other.finished('long');
  assert.equal(job.status, 'completed');
  assert.equal(job.attempts, 1, 'a host that dies costs no attempt');
});

test('a host that wakes after its leases have passed can\'t write', async t => {
  const db = await database();
  const env = { DATABASE_URL: db.url };
  const asleep = await startHost(t, { plugins: ['misbehave'], env, conf: quick });
  await asleep.process_({ jobId: 'j', task: 'pause_ms', data: { ms: 4000 } });
  await until(async () => (await asleep.get('/jobs/j')).json.status === 'running', 'the start of the job');
  const other = await startHost(t, { plugins: ['misbehave'], env, conf: quick });
  asleep.process.kill('SIGSTOP'); // its worker goes on, and ends: its result waits in the socket
  const job = await other.finished('j');
  assert.equal(job.status, 'completed');
  const [before] = await db.query('SELECT lease, finished_at, host FROM exportd.jobs');
  asleep.process.kill('SIGCONT');
  await until(async () => await asleep.metric('exportd_stale_ends_total') > 0, 'the refusal of what it wrote');
  assert.deepEqual((await db.query('SELECT lease, finished_at, host FROM exportd.jobs'))[0], before);
  assert.equal((await db.query('SELECT count(*) AS n FROM exportd.finished'))[0].n, '1');
  assert.match(asleep.log, /old lease|lease ran out|runs at another host/);
  assert.equal((await asleep.runJob({ jobId: 'next', task: 'pause_ms', data: { ms: 1 } })).status, 'completed');
});

test('a worker that wakes late is of no use to anybody', async t => {
  const db = await database();
  const conf = { 'worker.conf': '[worker]\ntimeout = 3s\ngrace = 100ms\nworkers = 1\n', 'jobs.conf': '[jobs]\nbackoff = 10ms\nbackoff_max = 10ms\n' };
  const host = await startHost(t, { plugins: ['misbehave'], env: { DATABASE_URL: db.url }, conf });
  await host.process_({ jobId: 'j', task: 'pause_ms', data: { ms: 1000 } });
  await until(async () => (await host.get('/jobs/j')).json.status === 'running', 'the start of the job');
  const worker = Number(execFileSync('pgrep', ['-f', `^exportd-worker ${host.process.pid} `], { encoding: 'utf8' }).split('\n')[0]);
  process.kill(worker, 'SIGSTOP');
  const job = await host.finished('j');
  try { process.kill(worker, 'SIGCONT'); } catch { /* killed, as it should be */ }
  assert.equal(job.status, 'completed');
  assert.equal(job.attempts, 2);
  const leases = await db.query('SELECT lease FROM exportd.jobs');
  assert.equal(leases.length, 1);
  assert.equal((await db.query('SELECT count(*) AS n FROM exportd.finished'))[0].n, '1');
});

test('a limit holds over all hosts', async t => {
  const db = await database();
  const conf = { 'plugin.conf': '[plugin misbehave]\nlimit = 2\nworkers = 4\n' };
  const hosts = [];
  for (let i = 0; i < 2; i++) hosts.push(await startHost(t, { plugins: ['misbehave'], env: { DATABASE_URL: db.url }, conf }));
  for (let i = 0; i < 12; i++) await hosts[i % 2].process_({ jobId: `j${i}`, task: 'pause_ms', data: { ms: 250 } });
  let most = 0;
  await until(async () => {
    const [{ leased, left }] = await db.query('SELECT count(*) FILTER (WHERE lease > 0) AS leased, count(*) AS left FROM exportd.queue');
    most = Math.max(most, Number(leased));
    return left === '0';
  }, 'the end of the jobs');
  assert.equal(most, 2);
  for (let i = 0; i < 12; i++) assert.equal((await hosts[0].finished(`j${i}`)).status, 'completed');
});

test('a cancel reaches the job at another host', async t => {
  const db = await database();
  const runner = await startHost(t, { plugins: ['misbehave'], env: { DATABASE_URL: db.url } });
  const other = await startHost(t, { plugins: ['noop'], env: { DATABASE_URL: db.url } });
  await runner.process_({ jobId: 'j', task: 'pause_ms', data: { ms: 60_000 } });
  await until(async () => (await other.get('/jobs/j')).json.status === 'running', 'the start of the job');
  assert.equal((await other.request('DELETE', '/jobs/j')).status, 202);
  assert.equal((await other.finished('j')).status, 'cancelled');
});

test('who waits at one host hears of a job that ends at another', async t => {
  const db = await database();
  const runner = await startHost(t, { plugins: ['misbehave'], env: { DATABASE_URL: db.url } });
  const asked = await startHost(t, { plugins: ['misbehave'], env: { DATABASE_URL: db.url } });
  await runner.process_({ jobId: 'j', task: 'pause_ms', data: { ms: 1500 } });
  const answer = await asked.process_({ jobId: 'j', task: 'pause_ms', data: { ms: 1500 } }, { headers: { Prefer: 'wait=20' } });
  assert.equal(answer.status, 200);
  assert.equal(answer.json.status, 'completed');
  assert.equal(answer.headers['preference-applied'], 'wait');
});

test('jobs that one host can\'t take go to another, soon', async t => {
  const db = await database();
  const busy = await startHost(t, { plugins: ['misbehave'], env: { DATABASE_URL: db.url }, conf: { 'worker.conf': '[worker]\nworkers = 1\n' } });
  const free = await startHost(t, { plugins: ['misbehave'], env: { DATABASE_URL: db.url }, conf: { 'worker.conf': '[worker]\nworkers = 4\n' } });
  for (let i = 0; i < 30; i++) await busy.process_({ jobId: `j${i}`, task: 'pause_ms', data: { ms: 200 } });
  for (let i = 0; i < 30; i++) await busy.finished(`j${i}`);
  const rows = await db.query('SELECT host, count(*) AS n FROM exportd.jobs GROUP BY host');
  assert.equal(rows.length, 2, JSON.stringify(rows));
  await until(async () => await free.metric('exportd_jobs_waiting') === 0, 'the count of what waits');
});

test('without its database a host says so, loses nothing, and goes on', async t => {
  const own = await new Postgres(t).start();
  const host = await startHost(t, { plugins: ['noop', 'misbehave'], env: { DATABASE_URL: own.url } });
  await host.process_({ jobId: 'running', task: 'pause_ms', data: { ms: 600 } });
  await until(async () => (await host.get('/jobs/running')).json.status === 'running', 'the start of the job');
  await own.stop('immediate');
  const refused = await host.process_({ jobId: 'meanwhile', task: 'noop' });
  assert.equal(refused.status, 503);
  assert.match(refused.json.detail, /database/);
  const state = await until(async () => { const got = await host.get('/readyz'); return got.status === 503 && got; }, 'the end of readiness');
  assert.ok(state.json.missing.some(line => line.startsWith('store: ')), JSON.stringify(state.json));
  await new Promise(done => setTimeout(done, 1000)); // the job has ended meanwhile
  await own.start();
  assert.equal((await host.finished('running')).status, 'completed');
  assert.equal((await host.runJob({ jobId: 'after', task: 'noop' })).status, 'completed');
  await until(async () => (await host.get('/readyz')).status === 200, 'readiness');
});

test('a database that hangs is given up after [store] timeout', async t => {
  const own = await new Postgres(t).start();
  const host = await startHost(t, { plugins: ['noop'], env: { DATABASE_URL: own.url }, conf: { 'store.conf': '[store]\ntimeout = 1s\n' } });
  const backends = await own.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'exportd'");
  for (const { pid } of backends) process.kill(pid, 'SIGSTOP');
  const answer = await host.process_({ jobId: 'j', task: 'noop' }, { timeout: 20_000 });
  for (const { pid } of backends) process.kill(pid, 'SIGCONT');
  assert.equal(answer.status, 503);
  assert.match(answer.json.detail, /no answer|reached/);
  await until(async () => (await host.process_({ jobId: 'j', task: 'noop' })).status < 300, 'the new connection');
  assert.equal((await host.finished('j')).status, 'completed');
});

test('reloads while requests flow: each is answered once, those of after by the new build, and none is lost while the plugin is away', async t => {
  const db = await database(), nats = await startNats(t);
  const caller = await Caller.connect(t, nats.url);
  const host = await startHost(t, { plugins: ['edition', 'noop'], env: { DATABASE_URL: db.url, NATS_URL: nats.url }, conf: { 'e.conf': '[plugin edition]\nworkers = 2\n' } });
  await ready(host);
  const reproId = await insertRepro(db, bug, randomUUID()), requests = [];
  let over = false;
  const ask = (options = {}) => { requests.push(caller.request('edition', { repro_id: reproId, options })); return requests.at(-1).export_id; };
  const flow = (async () => {
    for (let i = 0; !over; i++) {
      if (requests.length - caller.messages.length < 50) ask({ sleep_ms: i % 7 === 0 ? 100 : 0 });
      await new Promise(done => setTimeout(done, 2));
    }
  })();
  const editionOf = async id => (await caller.answer(id)).json.result.edition;
  for (let number = 1; number <= 4; number++) {
    install(host, number);
    const { status, text } = await host.request('POST', '/reload');
    assert.equal(status, 200, text);
    assert.equal(await editionOf(ask()), `edition-00000${number}`);
  }
  over = true;
  await flow;
  for (const { export_id: id } of requests) assert.match(await editionOf(id), /^edition-00000[0-4]$/);
  for (const { export_id: id } of requests) assert.equal(caller.answers(id).length, 1, id);
  assert.ok(requests.length > 20, `${requests.length}`);
  const rows = await db.query('SELECT status, count(*) AS n FROM exports GROUP BY status');
  assert.deepEqual(rows, [{ status: 'completed', n: String(requests.length) }]);
  assert.deepEqual(await db.query('SELECT DISTINCT attempts FROM exportd.jobs'), [{ attempts: 1 }]);

  // What is due while its plugin is away waits for it; what is asked for then is refused.
  const later = await host.process_({ jobId: 'later', task: 'edition', runAt: new Date(Date.now() + 4000).toISOString() });
  assert.equal(later.status, 202);
  rmSync(join(host.plugins, 'edition.so'));
  assert.equal((await host.request('POST', '/reload')).status, 200);
  const refused = await caller.answer(ask());
  assert.deepEqual([refused.subject, refused.json.error.code], ['export.failed', 'route_unknown']);
  await until(async () => (await host.get('/jobs/later')).json.waitingFor, 'the job that waits');
  install(host, 5);
  assert.equal((await host.request('POST', '/reload')).status, 200);
  assert.equal((await host.finished('later')).result.edition, 'edition-000005');
  assert.equal(await editionOf(ask()), 'edition-000005');
});

test('a repro comes out of the callers\' table, by whatever query', async t => {
  const db = await database();
  const host = await startHost(t, { env: { DATABASE_URL: db.url } });
  const id = await insertRepro(db, bug, randomUUID());
  const job = await host.runJob({ jobId: 'a', task: 'report', data: { format: 'json', repro_id: id } });
  assert.equal(job.status, 'completed', JSON.stringify(job));
  const none = await host.runJob({ jobId: 'b', task: 'report', data: { format: 'json', repro_id: randomUUID() } });
  assert.equal(none.errorCode, 'repro_not_found');
  const odd = await host.runJob({ jobId: 'c', task: 'report', data: { format: 'json', repro_id: "'; DROP TABLE repros; --" } });
  assert.equal(odd.errorCode, 'repro_not_found');
  await db.query('CREATE TABLE bugs (key text PRIMARY KEY, document jsonb)');
  await db.query('INSERT INTO bugs VALUES ($1, $2)', ['BUG-1', JSON.stringify(bug)]);
  await host.stop(); // any host of the database may run a job, by its own query
  const own = await startHost(t, { env: { DATABASE_URL: db.url }, conf: { 'repros.conf': '[repros]\nquery = SELECT document FROM bugs WHERE key = $1\n' } });
  const found = await own.runJob({ jobId: 'd', task: 'report', data: { format: 'json', repro_id: 'BUG-1' } });
  assert.equal(found.status, 'completed', JSON.stringify(found));
  await own.stop();
  const wrong = await startHost(t, { env: { DATABASE_URL: db.url }, conf: { 'repros.conf': '[repros]\nquery = SELECT nothing FROM nowhere WHERE x = $1\n' } });
  const failed = await wrong.runJob({ jobId: 'e', task: 'report', data: { format: 'json', repro_id: 'BUG-1' } });
  assert.equal(failed.errorCode, 'repro_query');
  assert.match(failed.error, /nowhere/);
});

test('migrate and check say what they find, and never a password', async t => {
  const db = await database();
  const conf = confFolder(temporaryFolder(t), {});
  const env = { DATABASE_URL: db.url, EXPORTD_HOST_STATE: temporaryFolder(t) };
  assert.match(run(['check', '-c', conf], { env }).stdout, /store: PostgreSQL 1\d, schema 0 of \d/);
  const migrated = run(['migrate', '-c', conf], { env });
  assert.equal(migrated.code, 0, migrated.stderr);
  assert.match(migrated.stdout, /exports are kept in step/);
  assert.deepEqual(run(['migrate', '-c', conf], { env }).stdout, migrated.stdout);
  assert.match(run(['check', '-c', conf], { env }).stdout, /store: PostgreSQL 1\d, schema \d; exports are kept in step/);
  for (const url of ['postgresql://exportd:not-the-password@127.0.0.1:1/x', 'postgresql://nobody:not-the-password@127.0.0.1:' + server.port + '/none']) {
    for (const command of ['check', 'migrate', 'serve']) {
      const done = run([command, '-c', conf], { env: { ...env, DATABASE_URL: url } });
      assert.notEqual(done.code, 0);
      assert.match(done.stderr, /database can't be reached/);
      assert.doesNotMatch(done.stdout + done.stderr, /not-the-password/);
    }
  }
  const wrong = run(['check', '-c', conf], { env: { ...env, DATABASE_URL: 'mysql://host/db' } });
  assert.match(wrong.stderr, /no URL of PostgreSQL/);
});

test('a user without the right to make a schema is told what to grant', async t => {
  const db = await database();
  await db.query('CREATE ROLE little LOGIN');
  const conf = confFolder(temporaryFolder(t), {});
  const url = db.url.replace('exportd@', 'little@');
  const done = run(['migrate', '-c', conf], { env: { DATABASE_URL: url } });
  assert.equal(done.code, 1);
  assert.match(done.stderr, /schema exportd/);
  assert.match(done.stderr, /CREATE on the database/);
});

test('a user who may not move the leases is told so, and his jobs wait for the disk', async t => {
  const db = await database(), nats = await startNats(t);
  await (await startHost(t, { plugins: ['noop'], env: { DATABASE_URL: db.url } })).stop(); // it makes the schema
  await db.query('CREATE ROLE worker LOGIN');
  await db.query('GRANT USAGE ON SCHEMA exportd TO worker');
  await db.query('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA exportd, public TO worker');
  await db.query('GRANT USAGE ON ALL SEQUENCES IN SCHEMA exportd TO worker');
  const env = { DATABASE_URL: db.url.replace('exportd@', 'worker@'), NATS_URL: nats.url };
  const host = await startHost(t, { plugins: ['noop'], env });
  await ready(host);
  assert.match(host.log, /don't begin before they are on disk: .*permission denied.*; grant UPDATE on the sequence/);
  const caller = await Caller.connect(t, nats.url);
  caller.publish('task.request', { jobId: 'alone', task: 'noop' });
  assert.equal((await caller.answer('alone')).json.status, 'completed');
  await host.stop();
  await db.query('GRANT UPDATE ON SEQUENCE exportd.leases TO worker');
  const again = await startHost(t, { plugins: ['noop'], env });
  assert.doesNotMatch(again.log, /grant UPDATE/);
});
