// What a plugin may do wrong costs its own attempt, and nothing else.
import { test, before, after, describe } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { Host, build, sanitized, until } from '../support/host.mjs';

const conf = {
  'worker.conf': '[worker]\ntimeout = 3s\ngrace = 300ms\nmemory = 128M\nworkers = 2\ndisk = 32M\n',
  'plugin.conf': '[plugin misbehave]\nsecrets = GRANTED\n[secrets]\nGRANTED = open sesame\nDENIED = shut\n',
  'jobs.conf': '[jobs]\nmax_attempts = 1\nmax_result = 4M\n',
};

describe('a plugin that misbehaves', () => {
  const cleanups = [];
  const context = { after: cleanup => cleanups.push(cleanup) };
  let host, pid;
  before(async () => {
    host = new Host(context, { plugins: ['misbehave', 'noop'], conf, env: { SECRET_OF_THE_HOST: 'x' } });
    await host.start();
    pid = host.process.pid;
  });
  after(async () => { for (const cleanup of cleanups.reverse()) await cleanup(); });

  // Runs it beside well-behaved jobs, which must not notice.
  async function misbehave(task, data = {}) {
    const others = Array.from({ length: 5 }, () => host.runJob({ task: 'noop', data: {} }));
    const job = await host.runJob({ task, data });
    for (const other of await Promise.all(others)) assert.equal(other.status, 'completed');
    assert.equal((await host.get('/healthz')).status, 200);
    assert.equal(host.process.exitCode, null, 'the host is up');
    assert.equal(host.process.pid, pid);
    return job;
  }

  const fatal = [
    ['segfault', 'worker_crashed', /SIGSEGV.*NULL pointer/],
    ['give_up', 'worker_crashed', /SIGABRT.*last words: misbehave: an assertion failed/],
    ['leave', 'worker_exited', /exit code 0 in the middle of the job/],
    ['loop', 'worker_timeout', /longer than its timeout of 3 s; raise \[plugin misbehave\] timeout/],
    ['overflow', 'worker_crashed', /SIGSEGV.*stack overflowed/],
    ['hang_up', 'worker_disconnected', /closed its connection/],
    ['garbage', 'worker_protocol', /garbage/],
    ['speech_flood', 'worker_flooded', /64 MB/],
    ['ignore_sigterm', 'worker_timeout', /timeout of 3 s/],
    ['huge_result', 'result_too_large', /raise \[jobs\] max_result/],
    ['memory_shared', 'worker_memory', /limit of 128 MB/],
  ];
  for (const [task, code, message] of fatal) {
    test(`${task} ends as ${code}`, { skip: sanitized && task === 'overflow' && 'the sanitizer has stacks of its own' }, async () => {
      const job = await misbehave(task);
      assert.equal(job.status, 'failed');
        assert.equal(job.errorCode, code, job.error);
      assert.match(job.error, message);
    });
  }

  test('endless memory ends at its limit, whether malloc is asked or not', async () => {
    const asked = await misbehave('memory');
    assert.ok(['out_of_memory', 'worker_memory'].includes(asked.errorCode), asked.error);
    const unchecked = await misbehave('memory_unchecked');
    assert.equal(unchecked.errorCode, 'worker_memory', unchecked.error);
  });

  test('a file beyond the limit ends the worker', async () => {
    const job = await misbehave('fill_disk');
    assert.equal(job.errorCode, 'worker_disk', job.error);
    assert.match(job.error, /raise \[plugin misbehave\] disk/);
  });

  test('closing all descriptors loses the attempt', async () => {
    const job = await misbehave('close_descriptors');
    assert.equal(job.status, 'failed');
    assert.ok(['worker_exited', 'worker_disconnected'].includes(job.errorCode), job.error);
  });

  test('a fork bomb makes no process without the exec grant', async () => {
    assert.deepEqual((await misbehave('fork_bomb')).result, { made: 0 });
  });

  test('1 GB of log and a flood of progress are cut, and the jobs go on', async () => {
    assert.equal((await misbehave('log_flood')).status, 'completed');
    assert.ok(host.log.length < 32 << 20);
    assert.equal((await misbehave('progress_flood')).status, 'completed');
  });

  test('an end with a lease that is not its own changes nothing', async () => {
    assert.deepEqual((await misbehave('forge')).result, { forged: 'no' });
  });

  test('no socket opens without the network grant', async () => {
    assert.deepEqual((await misbehave('connect_out')).result, { socket: 'EACCES', connect: 'EACCES', unix: false });
  });

  test('files of the system, of the host and of other jobs can not be read or written', async () => {
    const other = join(host.state, 'work');
    const paths = ['/etc/passwd', '/etc/shadow', '/root', '/proc/self/environ', `/proc/${pid}/environ`, host.state, join(host.state, 'store.db'), host.conf, other,
      ...readdirSync(other).filter(name => !name.startsWith('misbehave')).map(name => join(other, name))];
    const { result } = await misbehave('read_files', { paths });
    for (const path of paths) assert.equal(result[path], 'EACCES', path);
    const targets = ['/etc/exportd-test', '/tmp/exportd-test', '/dev/shm/exportd-test', join(host.state, 'x')];
    const written = (await misbehave('write_files', { paths: targets })).result;
    for (const path of targets) assert.equal(written[path], 'EACCES', path);
  });

  test('the environment is the worker\'s own', async () => {
    const { result } = await misbehave('environment');
    const names = result.environment.map(entry => entry.split('=')[0]).sort();
    assert.deepEqual(names, ['HOME', 'LANG', 'LD_BIND_NOW', 'PATH', 'TMPDIR']);
    assert.equal(result.proc, false);
  });

  test('only granted secrets are there', async () => {
    assert.deepEqual((await misbehave('secrets')).result, { granted: true, denied: false });
    assert.ok(!host.log.includes('sesame'));
  });

  test('the host can not be killed', async () => {
    assert.deepEqual((await misbehave('kill_host')).result, { kill: 'EPERM' });
  });

  for (const kind of ['symlink', 'hardlink', 'folder', 'missing', 'dotdot']) {
    test(`an artifact that is a ${kind} is refused`, async () => {
      const job = await misbehave('bad_artifact', { kind });
      assert.equal(job.status, 'failed');
      assert.equal(job.errorCode, 'artifact_invalid', job.error);
    });
  }

  test('workspaces are removed, however deep their litter', async () => {
    const { result } = await misbehave('leave_litter');
    await until(() => !existsSync(result.workspace), 'the removal of the workspace');
  });

  test('escapes in a message are harmless in the log', async () => {
    const job = await misbehave('refuse');
    assert.match(job.error, /red/);
    assert.ok(!host.log.includes('\x1b'));
  });

  test('cancelling stops a job that listens, and one that does not', async () => {
    for (const task of ['obey_cancel', 'loop']) {
      const { json } = await host.process_({ task, data: {} });
      await until(async () => (await host.get(`/jobs/${json.jobId}`)).json.status === 'running', 'its start');
      assert.equal((await host.request('DELETE', `/jobs/${json.jobId}`)).status, 202);
      const job = await host.finished(json.jobId);
      assert.equal(job.status, 'cancelled', job.error);
      assert.equal(job.errorCode, 'cancelled');
    }
  });

  test('no process of theirs is left', async () => {
    await until(() => {
      const list = execFileSync('ps', ['-eo', 'ppid=,stat=,comm='], { encoding: 'utf8' });
      return !list.split('\n').some(line => line.trim().startsWith(`${pid} Z`));
    }, 'the end of zombies');
  });
});

for (const prefix of [[], [join(build, 'tools/without'), 'namespaces']]) {
  test(`with the exec grant, all that a job started is gone with its worker${prefix.length ? ', without namespaces too' : ''}`, async t => {
    const host = await new Host(t, {
      plugins: ['misbehave'],
      prefix,
      conf: { 'p.conf': '[plugin misbehave]\nexec = yes\ntimeout = 2s\ngrace = 200ms\nmemory = 8G\n[jobs]\nmax_attempts = 1\n' },
    }).start();
    const count = () => execFileSync('ps', ['-eo', 'args='], { encoding: 'utf8' }).split('\n').filter(line => line.includes(`exportd-worker ${host.process.pid} `)).length;
    const job = await host.runJob({ task: 'escape' });
    assert.equal(job.status, 'completed', job.error);
    assert.equal(job.result.started, true);
    assert.equal(count(), 0, 'nothing of it is left when the job is over');
    const bomb = await host.runJob({ task: 'fork_bomb' });
    assert.equal(bomb.status, 'completed', bomb.error);
    assert.equal(count(), 0);
    const stubborn = await host.runJob({ task: 'ignore_sigterm' });
    assert.equal(stubborn.errorCode, 'worker_timeout', stubborn.error);
    assert.equal(count(), 0);
    await host.process_({ jobId: 'left', task: 'escape_and_stay' });
    await until(async () => (await host.get('/jobs/left')).json.progress === 0.5, 'its children');
    assert.ok(count() >= 3);
    await host.kill();
    await until(() => count() === 0, 'the end of what a killed host had started');
  });
}
