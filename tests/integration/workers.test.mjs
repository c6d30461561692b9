// Pools of workers, and kernels that lack a part of the sandbox.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { build, confFolder, exportd, patience, pluginFolder, startHost, temporaryFolder, until } from '../support/host.mjs';

const workersOf = host => execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n')
  .map(line => line.trim()).filter(line => line.includes(`exportd-worker ${host.process.pid} misbehave`)).map(line => Number(line.split(' ')[0]));

test('no worker runs until there is a job; then as many as there are jobs, up to workers; and they stay warm', async t => {
  const host = await startHost(t, { plugins: ['misbehave'], conf: { 'w.conf': '[plugin misbehave]\nworkers = 3\n' } });
  assert.equal(workersOf(host).length, 0);
  await host.runJob({ task: 'echo' });
  const [first] = workersOf(host);
  await host.runJob({ task: 'echo' });
  assert.deepEqual(workersOf(host), [first], 'the warm one is used again');
  for (let i = 0; i < 6; i++) await host.process_({ jobId: `p${i}`, task: 'pause_ms', data: { ms: 1000 } });
  await until(() => workersOf(host).length === 3, 'three workers');
  for (let i = 0; i < 6; i++) {
    assert.equal((await host.finished(`p${i}`)).status, 'completed');
    assert.ok(workersOf(host).length <= 3);
  }
});

test('workers are batch work, which does not push the host aside when it wakes up', async t => {
  const host = await startHost(t, { plugins: ['misbehave'] });
  await host.runJob({ task: 'echo' });
  const policyOf = pid => execFileSync('ps', ['-o', 'class=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  assert.deepEqual(workersOf(host).map(policyOf), ['B']);
  assert.equal(policyOf(host.process.pid), 'TS');
});

test('idle workers go', async t => {
  const host = await startHost(t, { plugins: ['misbehave'], conf: { 'w.conf': '[plugin misbehave]\nidle = 300ms\n' } });
  await host.runJob({ task: 'echo' });
  assert.equal(workersOf(host).length, 1);
  await until(() => workersOf(host).length === 0, 'the end of the idle worker');
  assert.equal((await host.runJob({ task: 'echo' })).status, 'completed');
});

test('a worker is replaced after recycle jobs', async t => {
  const host = await startHost(t, { plugins: ['misbehave'], conf: { 'w.conf': '[plugin misbehave]\nrecycle = 5\nworkers = 1\n' } });
  for (let i = 0; i < 20; i++) assert.equal((await host.runJob({ task: 'echo' })).status, 'completed');
  assert.equal(await host.metric('exportd_workers_started_total{plugin="misbehave"}'), 4);
  assert.equal(await host.metric('exportd_workers_crashed_total{plugin="misbehave"}'), 0);
});

for (const [part, what] of [['landlock', 'Landlock'], ['seccomp', 'seccomp']]) {
  test(`a kernel without ${what}: said at start and on /readyz, and refused where the sandbox is required`, async t => {
    const prefix = [join(build, 'tools/without'), part];
    const host = await startHost(t, { plugins: ['misbehave'], prefix });
    assert.equal(host.log.split('\n').filter(line => /warning +sandbox: this kernel has no/.test(line) && line.includes(what)).length, 1, host.log);
    const ready = await host.get('/readyz');
    assert.equal(ready.status, 200);
    assert.ok(ready.json.missing.some(text => text.includes(what)), ready.text);
    assert.equal((await host.runJob({ task: 'echo' })).status, 'completed', 'jobs run within what is left of it');
    const folder = temporaryFolder(t);
    const conf = confFolder(folder, { 'h.conf': '[host]\nsandbox = required\n' });
    const env = { PATH: process.env.PATH, EXPORTD_HOST_STATE: join(folder, 'state'), EXPORTD_HOST_PLUGINS: pluginFolder(folder, ['misbehave']), EXPORTD_HTTP_LISTEN: '127.0.0.1:0' };
    const refused = spawnSync(prefix[0], [part, exportd, 'serve', '-c', conf], { env, encoding: 'utf8', timeout: patience });
    assert.equal(refused.status, 2, refused.stderr);
    assert.match(refused.stderr, new RegExp(`no ${what}.*sandbox is required`));
    const checked = spawnSync(prefix[0], [part, exportd, 'check', '-c', conf], { env, encoding: 'utf8', timeout: patience });
    assert.equal(checked.status, 1, checked.stderr);
    assert.match(checked.stderr, new RegExp(what));
  });
}

test('with the whole sandbox, required starts', async t => {
  const host = await startHost(t, { plugins: ['misbehave'], conf: { 'h.conf': '[host]\nsandbox = required\n' } });
  const { json } = await host.get('/readyz');
  assert.equal(json.ready, true);
  assert.deepEqual(json.missing, []);
  assert.ok(json.sandbox.enabled && json.sandbox.landlock > 0 && json.sandbox.seccomp);
});
