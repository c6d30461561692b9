// What the SDK promises a plugin beyond one attempt: a wait before the next, and a folder that stays.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { confFolder, pluginFolder, run, startHost, temporaryFolder } from '../support/host.mjs';

const quick = '[jobs]\nbackoff = 10ms\nbackoff_max = 20ms\nmax_attempts = 4\n';

test('a plugin that says when to come back is asked no sooner', async t => {
  const host = await startHost(t, { plugins: ['patient'], conf: { 'jobs.conf': quick } });
  const job = await host.runJob({ task: 'come_back', data: { attempts: 3, after_ms: 400 } });
  assert.equal(job.status, 'completed', job.error);
  assert.equal(job.attempts, 3);
  const { json } = await host.get(`/jobs/${job.jobId}`);
  assert.ok(Date.parse(json.processedAt) - Date.parse(json.createdAt) >= 800, JSON.stringify(json));
});

test('a wait that is shorter than the backoff does not shorten it', async t => {
  const host = await startHost(t, { plugins: ['patient'], conf: { 'jobs.conf': '[jobs]\nbackoff = 600ms\nmax_attempts = 2\n' } });
  const began = Date.now();
  const job = await host.runJob({ task: 'come_back', data: { attempts: 2, after_ms: 1 } });
  assert.equal(job.status, 'completed', job.error);
  assert.ok(Date.now() - began >= 300, 'half of the backoff is the least that jitter leaves');
});

test('what the last attempt asks for is no reason to try again', async t => {
  const host = await startHost(t, { plugins: ['patient'], conf: { 'jobs.conf': quick } });
  const job = await host.runJob({ task: 'come_back', data: { attempts: 9, after_ms: 1 } });
  assert.deepEqual([job.status, job.errorCode, job.attempts], ['failed', 'rate_limited', 4]);
});

test('a cache stays from worker to worker and from host to host, and nothing beside it can be written', async t => {
  const conf = { 'plugin.conf': '[plugin patient]\ncache = shared\nrecycle = 1\n' };
  const host = await startHost(t, { plugins: ['patient'], conf });
  for (const bytes of [1, 2, 3]) assert.equal((await host.runJob({ task: 'remember' })).result.bytes, bytes);
  const { result } = await host.runJob({ task: 'remember', data: { file: 'other' } });
  assert.equal(result.folder, join(host.state, 'cache', 'shared'));
  const outside = await host.runJob({ task: 'remember', data: { file: '../beside' } });
  assert.equal(outside.errorCode, 'refused');
  assert.match(outside.error, /Permission denied/);
  assert.ok(!existsSync(join(host.state, 'cache', 'beside')));
  await host.stop();
  await host.start();
  assert.equal((await host.runJob({ task: 'remember' })).result.bytes, 4);
  assert.equal(readFileSync(join(host.state, 'cache', 'shared', 'bytes'), 'utf8'), '....');
});

test('without the grant there is no cache, and check says so', async t => {
  const host = await startHost(t, { plugins: ['patient'] });
  const job = await host.runJob({ task: 'remember' });
  assert.equal(job.errorCode, 'no_cache');
  assert.match(host.log + run(['check', '-c', host.conf], { env: { EXPORTD_HOST_PLUGINS: host.plugins, EXPORTD_HOST_STATE: host.state } }).stderr,
    /plugin patient asks for cache, which isn't granted.*cache = NAME/);
});

test('a cache whose name would lead out of its folder is refused', t => {
  const folder = temporaryFolder(t);
  const conf = confFolder(folder, { 'plugin.conf': '[plugin patient]\ncache = ..\n' });
  const { code, stderr } = run(['check', '-c', conf], { env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, ['patient']), EXPORTD_HOST_STATE: join(folder, 'state') } });
  assert.equal(code, 1);
  assert.match(stderr, /plugin.conf:2: .*cache.*does not begin with a dot/);
});

test('exportd run has the cache of the state folder, else the person\'s own, and does without where there is neither', t => {
  const folder = temporaryFolder(t);
  const conf = confFolder(folder, { 'plugin.conf': '[plugin patient]\ncache = shared\n' });
  const env = { EXPORTD_HOST_PLUGINS: pluginFolder(folder, ['patient']), EXPORTD_HOST_STATE: folder };
  const first = run(['run', 'remember', '-c', conf, '-o', join(folder, 'out')], { env });
  assert.equal(first.code, 0, first.stderr);
  assert.equal(JSON.parse(run(['run', 'remember', '-c', conf, '-o', join(folder, 'out')], { env }).stdout).bytes, 2);
  const without = run(['run', 'remember', '-c', conf, '-o', join(folder, 'out')], { env: { ...env, EXPORTD_HOST_STATE: join(folder, 'none') } });
  assert.equal(without.code, 1);
  assert.match(without.stderr, /no_cache|no cache is granted/);
  const own = { EXPORTD_HOST_PLUGINS: pluginFolder(folder, ['patient']), EXPORTD_HOST_STATE: join(folder, 'nothing'), XDG_CACHE_HOME: join(folder, 'own') };
  for (const bytes of [1, 2]) {
    const done = run(['run', 'remember', '-c', conf, '-o', folder], { env: own });
    assert.deepEqual(JSON.parse(done.stdout), { bytes, folder: join(folder, 'own/exportd/shared') }, done.stderr);
  }
});
