// Reload: new conf.d and new plugins are taken in while jobs run, and nothing of them is lost or done twice.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, copyFileSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { install, installMarked } from '../support/editions.mjs';
import { afterwards, build, run, sanitized, startHost, startReceiver, temporaryFolder, until } from '../support/host.mjs';

const configure = (host, file, text) => writeFileSync(join(host.conf, file), text, { mode: 0o640 });
const reload = host => run(['reload', '-c', host.conf, '--url', host.url]);
const edition = async (host, data = {}) => (await host.runJob({ task: 'edition', data })).result;

test('a running job finishes on the old build, the next one starts on the new', async t => {
  const host = await startHost(t, { plugins: ['edition'] });
  const slow = await host.process_({ task: 'edition', data: { sleep_ms: 1500 } });
  await until(async () => (await host.get(`/jobs/${slow.json.jobId}`)).json.status === 'running', 'the start of the slow job');
  install(host, 1);
  assert.equal((await edition(host)).edition, 'edition-000000', 'before the reload, nothing is new, in a new worker too');
  const { code, stdout, stderr } = reload(host);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^reloaded: 1 plugins, 1 routes$/m);
  assert.equal((await edition(host)).edition, 'edition-000001');
  const old = await host.finished(slow.json.jobId);
  assert.equal(old.status, 'completed');
  assert.equal(old.result.edition, 'edition-000000');
  assert.equal(old.attempts, 1);
});

test('a file that is written over in place disturbs no worker', async t => {
  const host = await startHost(t, { plugins: ['edition'] });
  assert.equal((await edition(host)).edition, 'edition-000000');
  install(host, 2, { inPlace: true });
  assert.equal((await edition(host)).edition, 'edition-000000');
  assert.equal(reload(host).code, 0);
  assert.equal((await edition(host)).edition, 'edition-000002');
  assert.equal(await host.metric('exportd_worker_crashes_total{plugin="edition"}') ?? 0, 0);
});

test('a plugin finds a library that lies beside it, though it runs from a copy', async t => {
  const host = await startHost(t, { plugins: ['noop'] });
  for (const name of ['origin.so', 'libexportd-test-beside.so.1']) {
    copyFileSync(join(build, 'test-plugins-beside', name), join(host.plugins, name));
    chmodSync(join(host.plugins, name), 0o755);
  }
  const { json } = await host.request('POST', '/reload');
  assert.deepEqual(json.failures, []);
  const job = await host.runJob({ task: 'missing-dependency', data: {} });
  assert.equal(job.status, 'completed', JSON.stringify(job));
});

test('a new .so and its .conf, and a reload, are all that a new export type takes; without it, its jobs wait', async t => {
  const host = await startHost(t, { plugins: ['noop'] });
  assert.equal((await host.process_({ task: 'edition', data: {} })).status, 404);
  install(host, 0);
  configure(host, 'edition.conf', '[plugin edition]\ngreeting = good day\n');
  assert.equal(reload(host).code, 0);
  assert.deepEqual(await edition(host), { edition: 'edition-000000', greeting: 'good day' });

  // Jobs that wait when it is taken away: one in the store behind a worker that is busy.
  configure(host, 'edition.conf', '[plugin edition]\nworkers = 1\n');
  assert.equal(reload(host).code, 0);
  const first = await host.process_({ task: 'edition', data: { sleep_ms: 4000 } });
  const second = await host.process_({ task: 'edition', data: {} });
  rmSync(join(host.plugins, 'edition.so'));
  assert.equal(reload(host).code, 0, 'the section of a plugin that is not there is no mistake: packages leave it');
  assert.equal((await host.finished(first.json.jobId)).status, 'completed', 'what ran, ran on');
  const waiting = await until(async () => {
    const { json } = await host.get(`/jobs/${second.json.jobId}`);
    return json.waitingFor && json;
  }, 'the job that waits');
  assert.equal(waiting.status, 'pending');
  assert.match(waiting.waitingFor, /plugin/);
  assert.equal(waiting.attempts, 0);
  await until(async () => await host.metric('exportd_route_waits_for_plugin{route="edition"}') === 1, 'the metric');
  assert.match(host.log, /jobs wait for edition, which no plugin of this host offers/);
  assert.equal((await host.process_({ task: 'edition', data: {} })).status, 404);
  assert.equal((await host.runJob({ task: 'noop', data: {} })).status, 'completed', 'the others work on');
  install(host, 3);
  assert.equal(reload(host).code, 0);
  const done = await host.finished(second.json.jobId);
  assert.equal(done.result.edition, 'edition-000003');
  assert.equal(done.attempts, 1);
  assert.equal(await host.metric('exportd_route_waits_for_plugin{route="edition"}'), 0);
});

test('a plugin that waits for its package can be cancelled, and outlives a restart', async t => {
  const host = await startHost(t, { plugins: ['edition', 'noop'], conf: { 'e.conf': '[plugin edition]\nworkers = 1\n' } });
  const busy = await host.process_({ task: 'edition', data: { sleep_ms: 600_000 } });
  const ids = [];
  for (let i = 0; i < 3; i++) ids.push((await host.process_({ task: 'edition', data: {} })).json.jobId);
  rmSync(join(host.plugins, 'edition.so'));
  rmSync(join(host.conf, 'e.conf'));
  assert.equal(reload(host).code, 0);
  for (const id of [busy.json.jobId, ids[0]]) assert.equal((await host.request('DELETE', `/jobs/${id}`)).status, 202);
  assert.equal((await host.finished(busy.json.jobId)).status, 'cancelled');
  assert.equal((await host.finished(ids[0])).status, 'cancelled');
  await host.stop();
  await host.start();
  await until(async () => (await host.get(`/jobs/${ids[1]}`)).json.waitingFor, 'the job after the restart');
  install(host, 4);
  host.process.kill('SIGHUP');
  for (const id of ids.slice(1)) assert.equal((await host.finished(id)).result.edition, 'edition-000004');
});

test('a configuration with a mistake changes nothing, and says what is wrong', async t => {
  const host = await startHost(t, { plugins: ['edition'], conf: { 'e.conf': '[plugin edition]\ngreeting = one\n' } });
  configure(host, 'e.conf', '[plugin edition]\ngreeting = two\ngreting = three\n');
  install(host, 5);
  const refused = await host.request('POST', '/reload');
  assert.equal(refused.status, 422);
  assert.equal(refused.headers['content-type'], 'application/problem+json');
  assert.equal(refused.json.code, 'config_invalid');
  assert.equal(refused.json.reloaded, false);
  assert.match(refused.json.problems[0].place, /e\.conf:3$/);
  assert.match(refused.json.problems[0].message, /did you mean "greeting"/);
  assert.deepEqual(await edition(host), { edition: 'edition-000000', greeting: 'one' });
  host.process.kill('SIGHUP');
  await until(() => host.log.match(/error +reload: .*nothing was reloaded/g)?.length === 2, 'the second refusal');
  configure(host, 'e.conf', 'not a setting\n');
  const { code, stderr } = reload(host);
  assert.equal(code, 2);
  assert.match(stderr, /e\.conf:1: /);
  assert.match(stderr, /nothing was reloaded/);
  configure(host, 'e.conf', '[plugin edition]\ngreeting = two\n');
  assert.equal(reload(host).code, 0);
  assert.deepEqual(await edition(host), { edition: 'edition-000005', greeting: 'two' });
});

test('a build that crashes while it is probed leaves the one from before in place', async t => {
  const host = await startHost(t, { plugins: ['edition', 'noop'] });
  for (const broken of ['crash-on-load', 'no-block', 'undefined-symbol']) {
    copyFileSync(join(build, 'broken-plugins', `${broken}.so`), join(host.plugins, 'edition.so.new'));
    chmodSync(join(host.plugins, 'edition.so.new'), 0o755);
    renameSync(join(host.plugins, 'edition.so.new'), join(host.plugins, 'edition.so'));
    const { json, status } = await host.request('POST', '/reload');
    assert.equal(status, 200);
    assert.equal(json.failures.length, 1, broken);
    assert.match(json.failures[0].error, /edition\.so: .*; the build from before is kept$/s);
    assert.doesNotMatch(json.failures[0].error, /state\/plugins/, 'nobody knows the name of the copy');
    assert.equal((await edition(host)).edition, 'edition-000000');
  }
  assert.match(reload(host).stderr, /the build from before is kept/);
  install(host, 6);
  assert.doesNotMatch(reload(host).stderr, /kept/);
  assert.equal((await edition(host)).edition, 'edition-000006');
  // A new file that never worked is only put aside.
  copyFileSync(join(build, 'broken-plugins', 'crash-on-load.so'), join(host.plugins, 'other.so'));
  const { json } = await host.request('POST', '/reload');
  assert.equal(json.plugins, 2);
  assert.doesNotMatch(json.failures[0].error, /kept/);
});

test('what a running host can not change is named, and the rest is taken', async t => {
  const host = await startHost(t, { plugins: ['edition'], conf: { 'h.conf': '[http]\nmax_body = 1M\n' } });
  configure(host, 'h.conf', '[http]\nmax_body = 2K\ntimeout = 7s\n[s3]\nregion = eu-north-1\n[jobs]\nmax_attempts = 2\n');
  const { code, stderr } = reload(host);
  assert.equal(code, 0);
  assert.match(stderr, /h\.conf:3: warning: "timeout" in \[http\].*takes effect at the next start/);
  assert.match(stderr, /h\.conf:5: warning: "region" in \[s3\]/);
  assert.equal(stderr.match(/takes effect at the next start/g).length, 2);
  assert.equal((await host.process_({ task: 'edition', data: { text: 'x'.repeat(3000) } })).status, 413);
  const job = await host.runJob({ task: 'edition', data: {} });
  assert.equal(job.maxAttempts, 2);
});

test('a callback that waits goes out with the new secret, a token is changed, and the log speaks louder', async t => {
  let open = false;
  const receiver = await startReceiver(t, () => (open ? 200 : 503));
  const host = await startHost(t, { plugins: ['edition'], conf: { 'w.conf': '[webhook]\nallow = 127.0.0.0/8\nbackoff = 200ms\n' } });
  await host.process_({ task: 'edition', data: {}, callbackUrl: receiver.url });
  await until(() => receiver.received.length > 0, 'the first try');
  assert.equal(receiver.received[0].headers['webhook-signature'], undefined);
  configure(host, 'w.conf', '[webhook]\nallow = 127.0.0.0/8\nbackoff = 200ms\nsecret = a-secret-of-the-test\n[http]\ntoken = abcdefgh\n[host]\nlog_level = debug\n');
  assert.equal((await host.request('POST', '/reload')).status, 200);
  open = true;
  const before = receiver.received.length;
  await until(() => receiver.received.length > before && receiver.received.at(-1).headers['webhook-signature'], 'the signed callback');
  assert.equal((await host.get('/jobs')).status, 401);
  assert.equal((await host.get('/jobs', { headers: { authorization: 'Bearer abcdefgh' } })).status, 200);
  configure(host, 'w.conf', '[http]\ntoken = ijklmnop\n');
  const { code, stderr } = reload(host);
  assert.equal(code, 1);
  assert.match(stderr, /SIGHUP/, 'the command knows only the new token');
});

test('a pipeline goes on at its step with the new build', async t => {
  const host = await startHost(t, { plugins: ['edition', 'stepper'], conf: { 'p.conf': '[pipeline two]\nsteps = edition, edition\n[worker]\nworkers = 1\n' } });
  const whole = await host.process_({ task: 'two', data: { edition: { sleep_ms: 2500 } } });
  const id = whole.json.jobId;
  await until(async () => (await host.get(`/jobs/${id}`)).json.status === 'running', 'the first step');
  install(host, 7);
  assert.equal(reload(host).code, 0);
  const job = await host.finished(id);
  assert.equal(job.status, 'completed', JSON.stringify(job));
  assert.deepEqual(job.result.steps.map(step => step.result.edition), ['edition-000000', 'edition-000007']);
  assert.equal(job.attempts, 1);
});

test('kill -9 in the middle of a reload: the next start has the new build, every job, and no old copies', async t => {
  const host = await startHost(t, { plugins: ['edition', 'noop'] });
  install(host, 8);
  installMarked(host, 'sluggish', { arrives: 4000 });
  const slow = await host.process_({ task: 'edition', data: { sleep_ms: 3000 } });
  await until(async () => (await host.get(`/jobs/${slow.json.jobId}`)).json.status === 'running', 'the start of the slow job');
  const asked = host.request('POST', '/reload').then(() => 'answered', () => 'broken off');
  await new Promise(done => setTimeout(done, 300));
  await host.kill();
  assert.equal(await asked, 'broken off');
  await host.start();
  const job = await host.finished(slow.json.jobId);
  assert.equal(job.status, 'completed');
  assert.equal(job.result.edition, 'edition-000008');
  assert.deepEqual(readdirSync(join(host.state, 'plugins')), ['1']);
});

test('no room for the copies: at a start the files themselves are run, at a reload the builds from before stay', async t => {
  const folder = temporaryFolder(t), state = join(folder, 'state');
  mkdirSync(state);
  if (process.getuid() !== 0 || spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'exportd-test', state]).status !== 0) return t.skip('needs the right to mount a tmpfs');
  afterwards(t, () => spawnSync('umount', ['-l', state]));
  const host = await startHost(t, { folder, plugins: ['edition'] });
  const filler = join(state, 'filler');
  const fill = () => { try { for (;;) appendFileSync(filler, Buffer.alloc(4096)); } catch (error) { assert.equal(error.code, 'ENOSPC'); } };
  assert.equal((await edition(host)).edition, 'edition-000000');
  fill();
  install(host, 1);
  const { json } = await host.request('POST', '/reload');
  assert.equal(json.reloaded, true, JSON.stringify(json));
  assert.match(json.failures[0].error, /edition\.so can't be copied to .*No space left.*the build from before is kept/s);
  rmSync(filler);
  assert.equal((await edition(host)).edition, 'edition-000000');
  await host.stop();
  writeFileSync(filler, Buffer.alloc(64 * 1024)); // gives the store room for its own files
  const big = join(host.plugins, 'edition.so');
  appendFileSync(big, Buffer.alloc(8 << 20)); // no copy of it has room
  await host.start();
  assert.match(host.log, /edition\.so: warning: it runs from the file itself.*No space left/);
  assert.equal((await edition(host)).edition, 'edition-000001');
});

test('many wishes at once are two reloads at the most, and each hears how it ended', async t => {
  const host = await startHost(t, { plugins: ['edition'] });
  const answers = await Promise.all(Array.from({ length: 20 }, () => host.request('POST', '/reload')));
  for (const answer of answers) assert.deepEqual([answer.status, answer.json.reloaded], [200, true]);
  assert.ok(host.log.match(/reloaded after/g).length < 20, 'they shared reloads');
  assert.ok(readdirSync(join(host.state, 'plugins')).length <= 3, 'old copies go');
});

test('a host that others can reach keeps its token, whatever the new address is', async t => {
  const host = await startHost(t, { plugins: ['noop'], conf: { 'h.conf': '[http]\ntoken = abcdefgh\n' }, env: { EXPORTD_HTTP_LISTEN: '0.0.0.0:0' } });
  const authorization = { authorization: 'Bearer abcdefgh' };
  host.url = host.url.replace('0.0.0.0', '127.0.0.1');
  configure(host, 'h.conf', '[http]\n');
  const refused = await host.request('POST', '/reload', { headers: authorization });
  assert.equal(refused.status, 422, refused.text);
  assert.match(refused.json.problems[0].message, /there is no token/);
  assert.equal((await host.get('/jobs')).status, 401);
});

test('the address that is not taken excuses no missing token', async t => {
  const folder = temporaryFolder(t);
  const host = await startHost(t, { folder, plugins: ['noop'], conf: { 'h.conf': '[http]\nlisten = 0.0.0.0:0\ntoken = abcdefgh\n' }, env: { EXPORTD_HTTP_LISTEN: undefined } });
  host.url = host.url.replace('0.0.0.0', '127.0.0.1');
  configure(host, 'h.conf', '[http]\nlisten = 127.0.0.1:0\n');
  const refused = await host.request('POST', '/reload', { headers: { authorization: 'Bearer abcdefgh' } });
  assert.equal(refused.status, 422, refused.text);
  assert.equal((await host.get('/jobs')).status, 401);
});

test('a stop while a reload waits for a slow plugin: who asked hears of it, and nothing further begins', async t => {
  const host = await startHost(t, { plugins: ['noop'] });
  installMarked(host, 'sluggish', { arrives: 4000 });
  const asked = [host.request('POST', '/reload'), host.request('POST', '/reload')];
  await new Promise(done => setTimeout(done, 300));
  host.process.kill('SIGHUP');
  const stopped = host.stop();
  for (const answer of await Promise.all(asked)) assert.deepEqual([answer.status, answer.json.code], [503, 'stopping']);
  await stopped;
  assert.doesNotMatch(host.log, /reloaded after/);
});

test('SIGHUP before the host is ready does not end it', async t => {
  const host = await startHost(t, { plugins: ['noop'] });
  await host.stop();
  installMarked(host, 'sluggish', { arrives: 4000 });
  const started = host.start();
  const handled = () => [...readFileSync(`/proc/${host.process.pid}/status`, 'utf8').matchAll(/^Sig(?:Ign|Cgt):.*([0-9a-f])$/gm)].some(([, digit]) => parseInt(digit, 16) & 1);
  await until(handled, 'its program, and not node\'s child before it');
  host.process.kill('SIGHUP');
  await started;
  assert.equal((await host.runJob({ task: 'sluggish', data: {} })).status, 'completed');
});

test('a worker that does not end by itself is killed, though a reload and then a stop came meanwhile; and it counts among the workers', async t => {
  const host = await startHost(t, { plugins: ['noop'], conf: { 'w.conf': '[worker]\nworkers = 1\ngrace = 1500ms\n' } });
  installMarked(host, 'sluggish', { leaves: 60000 });
  assert.equal(reload(host).code, 0);
  for (let i = 0; i < 3; i++) {
    assert.equal((await host.runJob({ task: 'sluggish', data: {} })).status, 'completed');
    assert.equal(await host.metric('exportd_workers{plugin="sluggish"}'), 1);
    assert.equal(reload(host).code, 0);
  }
  const began = Date.now();
  await host.stop();
  assert.ok(Date.now() - began < 20_000, 'it is killed after its grace');
});

test('a plugin that has to come first is away: the task waits for it, and does not run alone', async t => {
  const host = await startHost(t, { plugins: ['stepper', 'walker', 'noop'] });
  const offered = async () => (await host.get('/plugins')).json.plugins.flatMap(plugin => plugin.routes.map(route => route.route));
  assert.ok((await offered()).includes('walker-after'));
  const before = await host.runJob({ task: 'walker-after', data: {} });
  assert.equal(before.status, 'completed', JSON.stringify(before));
  const later = await host.process_({ task: 'walker-after', data: {}, runAt: new Date(Date.now() + 1500).toISOString() });
  rmSync(join(host.plugins, 'stepper.so'));
  const { json } = await host.request('POST', '/reload');
  assert.ok(json.warnings.some(({ message }) => /walker-after.*stepper-one has to come first/.test(message)), JSON.stringify(json));
  assert.ok(!(await offered()).includes('walker-after'));
  await until(async () => (await host.get(`/jobs/${later.json.jobId}`)).json.waitingFor, 'the job that waits');
  await new Promise(done => setTimeout(done, 2000));
  assert.equal((await host.get(`/jobs/${later.json.jobId}`)).json.status, 'pending');
  copyFileSync(join(build, 'test-plugins', 'stepper.so'), join(host.plugins, 'stepper.so'));
  chmodSync(join(host.plugins, 'stepper.so'), 0o755);
  assert.equal(reload(host).code, 0);
  const after = await host.finished(later.json.jobId);
  assert.deepEqual(after.result, before.result);
});

test('the steps of a pipeline change places: each keeps its options', async t => {
  const host = await startHost(t, { plugins: ['misbehave', 'noop'], conf: { 'p.conf': '[pipeline both]\nsteps = echo, noop\n' } });
  const job = await host.process_({ task: 'both', data: { echo: { for: 'echo' }, noop: { for: 'noop' } }, runAt: new Date(Date.now() + 1500).toISOString() });
  configure(host, 'p.conf', '[pipeline both]\nsteps = noop, echo\n');
  assert.equal(reload(host).code, 0);
  const done = await host.finished(job.json.jobId);
  assert.equal(done.status, 'completed', JSON.stringify(done));
  assert.equal(done.result.steps[1].step, 'echo');
  assert.equal(done.result.steps[1].result.data.for, 'echo');
});

test('a new file takes no route and no name of a plugin that was there before', async t => {
  const host = await startHost(t, { plugins: ['edition'] });
  installMarked(host, 'edition', { edition: 9 }, { as: 'a-backup' });
  const { json } = await host.request('POST', '/reload');
  assert.equal(json.plugins, 1);
  assert.match(json.failures[0].file, /a-backup\.so$/);
  assert.equal((await edition(host)).edition, 'edition-000000');
});

test('where no plugin is left, a job that waits can still be cancelled', async t => {
  const host = await startHost(t, { plugins: ['edition'] });
  const { json } = await host.process_({ task: 'edition', data: {}, runAt: '2099-01-01T00:00:00Z' });
  rmSync(join(host.plugins, 'edition.so'));
  assert.equal(reload(host).code, 0);
  assert.equal((await host.request('DELETE', `/jobs/${json.jobId}`)).status, 202);
  assert.equal((await host.finished(json.jobId)).status, 'cancelled');
  assert.equal(await host.metric('exportd_jobs_finished_total{route="edition",state="cancelled"}'), 1);
});

test('a limit that a reload brings holds for the jobs that wait in memory', async t => {
  const host = await startHost(t, { plugins: ['edition'], conf: { 'e.conf': '[plugin edition]\nworkers = 4\n' } });
  const ids = [];
  for (let i = 0; i < 12; i++) ids.push((await host.process_({ task: 'edition', data: { sleep_ms: 150 } })).json.jobId);
  configure(host, 'e.conf', '[plugin edition]\nworkers = 4\nlimit = 1\n');
  assert.equal(reload(host).code, 0);
  let most = 0, over = false;
  await until(async () => await host.metric('exportd_jobs_running') <= 1, 'the end of those that ran at the reload');
  const watching = (async () => { while (!over) most = Math.max(most, await host.metric('exportd_jobs_running')); })();
  for (const id of ids) assert.equal((await host.finished(id)).status, 'completed');
  over = true;
  await watching;
  assert.ok(most <= 1, `${most} at once`);
});

test('a secret in a line that can not be read is not repeated', async t => {
  const host = await startHost(t, { plugins: ['noop'] });
  configure(host, 's.conf', '[secrets]\nGITHUB TOKEN = ghp_topsecret\n');
  const { status, text } = await host.request('POST', '/reload');
  assert.equal(status, 422);
  assert.doesNotMatch(text + host.log, /topsecret/);
});

test('a reload that is under way when the host stops ends with it', async t => {
  const host = await startHost(t, { plugins: ['edition'] });
  for (let i = 0; i < 3; i++) host.process.kill('SIGHUP');
  await host.stop();
  assert.match(host.log, /stopped/);
});

test('100 reloads under load, the plugin exchanged each time: no job lost, none run twice, memory flat', async t => {
  const rounds = sanitized ? 30 : 100;
  const host = await startHost(t, { plugins: ['edition'], conf: { 'e.conf': '[plugin edition]\ncache = ran\nworkers = 2\n' } });
  const ids = [], counts = new Map();
  let stop = false, made = 0;
  const caller = async () => {
    while (!stop) {
      const { status, json } = await host.process_({ jobId: `job-${made++}`, task: 'edition', data: { sleep_ms: made % 5 ? 0 : 20 } });
      assert.equal(status, 202);
      ids.push(json.jobId);
    }
  };
  const callers = Array.from({ length: 4 }, caller);
  const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${host.process.pid}/status`, 'utf8'))[1]);
  let early;
  for (let round = 1; round <= rounds; round++) {
    install(host, round);
    const { status, json } = await host.request('POST', '/reload');
    assert.equal(status, 200);
    assert.deepEqual(json.failures, []);
    if (round === Math.ceil(rounds / 4)) early = resident();
  }
  const late = resident();
  stop = true;
  await Promise.all(callers);
  const editions = new Set();
  for (const id of ids) {
    const job = await host.finished(id);
    assert.equal(job.status, 'completed', JSON.stringify(job));
    assert.equal(job.attempts, 1, id);
    editions.add(job.result.edition);
  }
  for (const id of readdirSync(join(host.state, 'cache', 'ran'))) counts.set(id, statSync(join(host.state, 'cache', 'ran', id)).size);
  assert.equal(counts.size, ids.length);
  for (const [id, count] of counts) assert.equal(count, 1, `${id} ran ${count} times`);
  t.diagnostic(`${ids.length} jobs, ${editions.size} builds seen, resident ${early} kB after a quarter, ${late} kB at the end`);
  assert.ok(editions.size > rounds / 4, `only ${editions.size} builds ran`);
  if (!sanitized) assert.ok(late < early * 1.3 + 4096, `resident: ${early} kB, then ${late} kB`);
  await until(() => readdirSync(join(host.state, 'plugins')).length <= 2, 'the old copies to go');
});
