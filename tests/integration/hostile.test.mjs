// A plugin that attacks: the host's promises hold all the same.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, sanitized, startHost, until } from '../support/host.mjs';

const start = (t, lines = '', options = {}) => startHost(t, {
  plugins: ['hostile', 'noop'],
  conf: { 'p.conf': `[plugin hostile]\nworkers = 1\ntimeout = 2s\ngrace = 200ms\n${lines}\n[jobs]\nmax_attempts = 1\nmax_result = 4M\n` },
  ...options,
});

// A frame's bytes, in hexadecimal.
function frame(type, payload = '', { length = Buffer.byteLength(payload), lease = 0n } = {}) {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(length, 0);
  head.writeUInt32LE(type, 4);
  head.writeBigUInt64LE(lease, 8);
  return Buffer.concat([head, Buffer.from(payload)]).toString('hex');
}
const READY = 3, REFUSED = 4, LOG = 5, PROGRESS = 6, RESULT = 7, CRASH = 8;

test('a worker that refuses in the middle of a job loses its place at once', async t => {
  const host = await start(t);
  const job = await host.runJob({ task: 'say', data: { bytes: frame(REFUSED, '{"code":"x","message":"no"}'), ms: 60000 } });
  assert.equal(job.errorCode, 'worker_protocol', job.error);
  assert.equal((await host.runJob({ task: 'say', data: {} })).status, 'completed');
});

test('frames that can not be are the end of their worker, and of nothing else', async t => {
  const host = await start(t);
  const bad = [frame(0), frame(1), frame(9), frame(READY, '{}'), frame(READY, '{"manifest":{}}'), frame(LOG, '', { length: 0xffffffff }), frame(LOG, '', { length: (1 << 20) + 1 }), 'ff'.repeat(64)];
  for (const bytes of bad) {
    const job = await host.runJob({ task: 'say', data: { bytes, ms: 60000 } });
    assert.equal(job.errorCode, 'worker_protocol', `${bytes.slice(0, 40)}: ${job.error}`);
  }
  const huge = await host.runJob({ task: 'say', data: { bytes: frame(RESULT, '', { length: 1 << 30 }), ms: 60000 } });
  assert.equal(huge.errorCode, 'result_too_large', huge.error);
  const ignored = [frame(RESULT, 'x'.repeat(16), { lease: 12345n }), frame(CRASH, 'x'.repeat(32)), frame(CRASH), frame(LOG), frame(LOG, '\u0001a\u0000b'), frame(PROGRESS, 'x'.repeat(8))];
  for (const bytes of ignored) {
    const job = await host.runJob({ task: 'say', data: { bytes } });
    assert.equal(job.status, 'completed', `${bytes.slice(0, 40)}: ${job.error}`);
  }
});

test('a forged result is checked as any other', async t => {
  const host = await start(t, 'recycle = 1'); // else what it forges may be in time for its next job
  const forge = data => host.runJob({ task: 'forge_result', data: { status: 0, result: '{}', ...data } });
  assert.deepEqual((await forge({ result: '{"a":1}' })).result, { a: 1 });
  for (const data of [{ result: '[1]' }, { result: '{' }, { result: '{"a":"\\u0000"}' }, { rest: 'x' }, { rest: '{"artifacts":[1]}' }, { status: 7 },
    { rest: '{"artifacts":[{"path":1,"name":"a","media_type":"b"}]}' }, { depth: 100000 }])
    assert.equal((await forge(data)).errorCode, 'worker_protocol', JSON.stringify(data));
  assert.equal((await forge({ rest: '{"artifacts":[{"path":"../../store.db","name":"a","media_type":"b"}]}' })).errorCode, 'artifact_invalid');
  assert.equal((await forge({ rest: '{"artifacts":[{"path":"/etc/passwd","name":"a","media_type":"b"}]}' })).errorCode, 'artifact_invalid');
  assert.equal((await forge({ rest: '{"artifacts":{"path":1}}' })).status, 'completed');
  const deep = await forge({ depth: 2000 });
  assert.equal(deep.status, 'completed', deep.error);
});

test('a long message keeps what fits, in whole characters', async t => {
  const host = await start(t);
  for (const shift of [0, 1]) {
    const events = [];
    const { json } = await host.process_({ task: 'long_error', data: { shift, ms: 700 } });
    const stream = host.get(`/jobs/${json.jobId}/events`);
    await until(async () => {
      const job = (await host.get(`/jobs/${json.jobId}`)).json;
      return job.stage?.includes('éé') || job.status === 'failed';
    });
    const job = await host.finished(json.jobId);
    assert.match(job.error ?? '', /^y?é{900,}$|^x*y?é{900,}$/, `shift ${shift}`);
    for (const block of (await stream).text.trim().split('\n\n')) events.push(JSON.parse(/^data: (.*)$/m.exec(block)[1]));
    for (const event of events) assert.notDeepEqual(event, {});
  }
});

for (const lacking of [null, 'namespaces']) test(`a worker whose connection is clung to gives its place back${lacking ? `, without ${lacking}` : ''}`, async t => {
  const host = await start(t, 'exec = yes', { prefix: lacking ? [join(build, 'tools/without'), lacking] : [] });
  for (const task of ['cling', 'leave_child']) {
    const job = await host.runJob({ task, data: { ms: 20000 } });
    assert.equal(job.status, 'failed', task);
    assert.equal((await host.runJob({ task: 'say', data: {} })).status, 'completed');
  }
});

test('the memory of what a job started counts', { skip: sanitized && 'the sanitizer takes memory of its own' }, async t => {
  const host = await start(t, 'exec = yes\nmemory = 96M');
  const job = await host.runJob({ task: 'child_memory', data: { megabytes: 200 } });
  assert.equal(job.errorCode, 'worker_memory', job.error);
});

for (const lacking of [null, 'landlock'])
  test(`no signal reaches the host by way of the kernel${lacking ? `, without ${lacking}` : ''}`, async t => {
    const host = await start(t, '', { prefix: lacking ? [join(build, 'tools/without'), lacking] : [] });
    const job = await host.runJob({ task: 'signal_by_owner' });
    assert.deepEqual(job.result, { owner: 'EPERM', signal: 'EPERM', ioctl: 'EPERM', written: true }, job.error);
  });

for (const lacking of [null, 'landlock']) test(`files outside the workspace keep their mode and their bytes${lacking ? `, without ${lacking}` : ''}`, async t => {
  const host = await start(t, '', { prefix: lacking ? [join(build, 'tools/without'), lacking] : [] });
  const path = join(host.folder, 'precious');
  writeFileSync(path, 'precious');
  chmodSync(path, 0o600);
  const { result } = await host.runJob({ task: 'touch_paths', data: { path } });
  assert.equal(statSync(path).size, 8);
  assert.equal(statSync(path).mode & 0o777, 0o600, JSON.stringify(result));
  for (const [call, outcome] of Object.entries(result)) assert.ok(['EPERM', 'EACCES'].includes(outcome), `${call}: ${outcome}`);
});

for (const [what, data] of [['large', { files: 20, kilobytes: 1024 }], ['small', { files: 4000, kilobytes: 0 }]])
  test(`many ${what} files end their worker, though each is within the limit`, async t => {
    const host = await start(t, '', { conf: { 'p.conf': '[plugin hostile]\nworkers = 1\ntimeout = 20s\ndisk = 8M\n[jobs]\nmax_attempts = 1\n' } });
    const job = await host.runJob({ task: 'many_files', data: { ...data, ms: 15000 } });
    assert.equal(job.errorCode, 'worker_disk', job.error);
    assert.match(job.error, /raise \[plugin hostile\] disk/);
    assert.equal((await host.runJob({ task: 'many_files', data: { files: 5, kilobytes: 1024, ms: 1500 } })).status, 'completed');
  });
