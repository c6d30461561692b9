// The blackboard: a hash for each job and a message at each change, seen by an independent client; and that nothing ever waits for Redis.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createClient } from 'redis';
import { afterwards, startHost, until, run, confFolder, temporaryFolder } from '../support/host.mjs';
import { Redis } from '../support/servers.mjs';

async function client(t, url) {
  const redis = createClient({ url, socket: { reconnectStrategy: 50 } });
  redis.on('error', () => { /* it is killed on purpose */ });
  await redis.connect();
  afterwards(t, () => redis.destroy());
  return redis;
}

const connected = host => until(async () => await host.metric('exportd_redis_connected') === 1, 'the connection to Redis');
const missing = async host => (await host.get('/readyz')).json.missing;

test('a job is a hash with a time to live, and each change a message', async t => {
  const server = await new Redis(t).start();
  const host = await startHost(t, { plugins: ['noop', 'misbehave'], env: { REDIS_URL: `${server.url}/2` }, conf: { 'redis.conf': '[redis]\nttl = 1h\nprefix = board:\n' } });
  await connected(host);
  const redis = await client(t, `${server.url}/2`);
  const listener = await client(t, `${server.url}/2`);
  const heard = [];
  await listener.subscribe('board:events', text => heard.push(JSON.parse(text)));
  await host.runJob({ jobId: 'Ünïcode +[1]', task: 'pause_ms', data: { ms: 50 } });
  const last = await until(() => heard.find(event => event.event === 'completed'), 'the last message');
  assert.deepEqual(heard.filter(event => event.event !== 'progress').map(event => event.event), ['pending', 'started', 'completed']);
  assert.equal(last.jobId, 'Ünïcode +[1]');
  assert.equal(last.status, 'completed');
  assert.equal(last.route, 'pause_ms');
  assert.equal(last.result, undefined, 'results stay in the store');
  const hash = await redis.hGetAll('board:job:Ünïcode +[1]');
  assert.equal(hash.status, 'completed');
  assert.equal(hash.progress, '1');
  assert.equal(hash.attempts, '1');
  assert.equal(hash.route, 'pause_ms');
  assert.match(hash.updatedAt, /^\d{4}-\d\d-\d\dT/);
  const ttl = await redis.pTTL('board:job:Ünïcode +[1]');
  assert.ok(ttl > 3_500_000 && ttl <= 3_600_000, String(ttl));
});

test('a failed job says why, a retried one that it waits', async t => {
  const server = await new Redis(t).start();
  const host = await startHost(t, { plugins: ['misbehave'], env: { REDIS_URL: server.url }, conf: { 'jobs.conf': '[jobs]\nbackoff = 10ms\nbackoff_max = 10ms\n' } });
  await connected(host);
  const redis = await client(t, server.url);
  const listener = await client(t, server.url);
  const heard = [];
  await listener.subscribe('exportd:events', text => heard.push(JSON.parse(text)));
  const job = await host.runJob({ jobId: 'f', task: 'flaky', data: { times: 1 } });
  assert.equal(job.status, 'completed');
  await until(() => heard.some(event => event.event === 'completed'), 'the end');
  const retry = heard.find(event => event.event === 'retry');
  assert.equal(retry.status, 'pending');
  assert.ok(retry.error);
  await host.runJob({ jobId: 'c', task: 'flaky', data: { times: 99 }, maxAttempts: 1 });
  const hash = await until(async () => { const got = await redis.hGetAll('exportd:job:c'); return got.status === 'failed' && got; }, 'the failure in the hash');
  assert.ok(hash.error);
  assert.ok(hash.errorCode);
});

test('killed in mid-run, jobs go on, and the board comes back', async t => {
  const server = await new Redis(t).start();
  const host = await startHost(t, { plugins: ['noop', 'misbehave'], env: { REDIS_URL: server.url } });
  await connected(host);
  const before = Array.from({ length: 40 }, (_, i) => host.process_({ jobId: `a${i}`, task: 'pause_ms', data: { ms: 20 } }));
  await server.kill();
  await Promise.all(before);
  for (let i = 0; i < 40; i++) assert.equal((await host.finished(`a${i}`)).status, 'completed');
  await until(async () => (await missing(host)).some(line => line.startsWith('redis:')), 'the line on /readyz');
  assert.equal((await host.get('/readyz')).status, 200, 'a host without its blackboard is ready');
  assert.equal((await host.runJob({ jobId: 'between', task: 'noop' })).status, 'completed');
  assert.ok(await host.metric('exportd_redis_dropped_total') > 0);
  await server.start();
  await connected(host);
  await host.runJob({ jobId: 'after', task: 'noop' });
  const redis = await client(t, server.url);
  await until(async () => (await redis.hGet('exportd:job:after', 'status')) === 'completed', 'the hash after the restart');
  assert.equal(host.log.match(/Redis can't be told/g).length, 1, 'its absence is said once');
});

test('a Redis that takes connections and never answers holds nothing up', async t => {
  const server = await new Redis(t).start();
  const host = await startHost(t, { plugins: ['noop'], env: { REDIS_URL: server.url }, conf: { 'redis.conf': '[redis]\ntimeout = 300ms\n' } });
  await connected(host);
  server.child.kill('SIGSTOP');
  afterwards(t, () => server.child.kill('SIGCONT'));
  const began = Date.now();
  for (let i = 0; i < 200; i++) await host.process_({ jobId: `j${i}`, task: 'noop' });
  assert.equal((await host.finished('j199')).status, 'completed');
  assert.ok(Date.now() - began < 20_000);
  await host.stop();
});

test('the host starts without Redis, and with a wrong password says so without showing it', async t => {
  const server = await new Redis(t).start({ requirepass: 'right' });
  const away = await startHost(t, { plugins: ['noop'], env: { REDIS_URL: 'redis://127.0.0.1:1' } });
  assert.equal((await away.runJob({ jobId: 'a', task: 'noop' })).status, 'completed');
  const wrong = `redis://:not-the-password@127.0.0.1:${server.port}`;
  const host = await startHost(t, { plugins: ['noop'], env: { REDIS_URL: wrong } });
  await until(() => /Redis refuses this host/.test(host.log), 'the refusal in the log');
  assert.doesNotMatch(host.log, /not-the-password/);
  const checked = run(['check', '-c', confFolder(temporaryFolder(t), {})], { env: { REDIS_URL: wrong } });
  assert.match(checked.stderr, /Redis refuses this host/);
  assert.doesNotMatch(checked.stderr + checked.stdout, /not-the-password/);
  const right = await startHost(t, { plugins: ['noop'], env: { REDIS_URL: `redis://:right@127.0.0.1:${server.port}/1` } });
  await connected(right);
  assert.match(run(['check', '-c', confFolder(temporaryFolder(t), {})], { env: { REDIS_URL: `redis://:right@127.0.0.1:${server.port}` } }).stdout, /redis: it answers/);
});
