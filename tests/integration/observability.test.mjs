// What an operator sees: metrics that Prometheus takes, and a log in which every line of a job names it and its attempt.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { connect, headers as natsHeaders } from 'nats';
import { startHost, startReceiver, until } from '../support/host.mjs';
import { startNats } from '../support/nats.mjs';

/** {name: [{labels: {…}, value}]}, as the text format is specified. */
function parse(text) {
  const samples = {};
  for (const line of text.split('\n')) {
    if (!line || line.startsWith('#')) continue;
    const [, name, labels = '', value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? assert.fail(line);
    (samples[name] ??= []).push({ labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(m => [m[1], m[2]])), value: Number(value) });
  }
  return samples;
}

const find = (samples, name, labels = {}) => samples[name]?.find(sample => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))?.value;

test('the metrics are such as promtool takes, and count what happened', async t => {
  const host = await startHost(t, { plugins: ['misbehave', 'noop'], conf: { 'w.conf': '[plugin misbehave]\nworkers = 1\ntimeout = 700ms\ngrace = 100ms\n[jobs]\nbackoff = 10ms\nbackoff_max = 20ms\n' } });
  for (let i = 0; i < 5; i++) await host.runJob({ task: 'noop' });
  await host.runJob({ task: 'pause_ms', data: { ms: 300 } });
  assert.equal((await host.runJob({ task: 'segfault', maxAttempts: 2 })).errorCode, 'worker_crashed');
  assert.equal((await host.runJob({ task: 'loop', maxAttempts: 1 })).errorCode, 'worker_timeout');
  const { text, headers } = await host.get('/metrics');
  assert.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
  const checked = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);
  assert.equal(checked.stdout + checked.stderr, '');
  const samples = parse(text);
  assert.equal(find(samples, 'exportd_jobs_finished_total', { route: 'noop', state: 'completed' }), 5);
  assert.equal(find(samples, 'exportd_jobs_finished_total', { route: 'segfault', state: 'failed' }), 1);
  assert.equal(find(samples, 'exportd_job_retries_total', { route: 'segfault' }), 1);
  assert.equal(find(samples, 'exportd_worker_losses_total', { plugin: 'misbehave', cause: 'worker_crashed' }), 2);
  assert.equal(find(samples, 'exportd_worker_losses_total', { plugin: 'misbehave', cause: 'worker_timeout' }), 1);
  for (const name of ['wait', 'attempt', 'duration']) assert.equal(find(samples, `exportd_job_${name}_seconds_count`, { route: 'noop' }), 5, name);
  assert.equal(find(samples, 'exportd_job_attempt_seconds_count', { route: 'segfault' }), 2);
  assert.equal(find(samples, 'exportd_job_wait_seconds_count', { route: 'segfault' }), 1, 'only the first start counts');
  const slow = find(samples, 'exportd_job_attempt_seconds_sum', { route: 'pause_ms' });
  assert.ok(slow >= 0.3 && slow < 30, `${slow}`);
  assert.equal(find(samples, 'exportd_job_attempt_seconds_bucket', { route: 'pause_ms', le: '0.25' }), 0);
  assert.equal(find(samples, 'exportd_job_attempt_seconds_bucket', { route: 'pause_ms', le: '+Inf' }), 1);
  assert.ok(find(samples, 'exportd_store_commit_seconds_count') > 10);
  assert.equal(find(samples, 'exportd_store_commit_seconds_count'), find(samples, 'exportd_store_batch_operations_count'));
  assert.equal(find(samples, 'exportd_store_batch_operations_sum'), find(samples, 'exportd_store_operations_total'));
  assert.ok(find(samples, 'exportd_workers_resident_bytes', { plugin: 'noop' }) > 0);
  assert.notEqual(find(samples, 'exportd_sandbox_seccomp'), undefined);
});

test('every line of the JSON log is an object, and those of a job name it and its attempt', async t => {
  const host = await startHost(t, { plugins: ['misbehave', 'noop'], conf: { 'h.conf': '[host]\nlog_json = yes\nlog_detail = misbehave:error, noop:debug\n[jobs]\nbackoff = 10ms\nbackoff_max = 20ms\n' } });
  const { json } = await host.process_({ jobId: 'crasher', task: 'segfault', maxAttempts: 2, data: {} });
  await host.finished(json.jobId);
  const lines = await until(() => {
    const all = host.log.trim().split('\n').map(line => JSON.parse(line));
    return all.filter(line => line.job === 'crasher').length >= 2 && all;
  }, 'the lines of the job');
  for (const line of lines) {
    assert.match(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.ok(['debug', 'info', 'warning', 'error'].includes(line.level));
    assert.equal(typeof line.part, 'string');
    assert.equal(typeof line.message, 'string');
    assert.equal(line.attempt === undefined, line.job === undefined, JSON.stringify(line));
  }
  assert.deepEqual(lines.filter(line => line.job === 'crasher').map(line => line.attempt), [1, 2]);
});

const parent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

test('a traceparent goes from the request to the plugin and the callback, also over a restart', async t => {
  let open = false;
  const receiver = await startReceiver(t, () => (open ? 200 : 503));
  const host = await startHost(t, { plugins: ['edition'], conf: { 'w.conf': '[webhook]\nallow = 127.0.0.0/8\nbackoff = 100ms\nbackoff_max = 200ms\n' } });
  const asked = await host.process_({ task: 'edition', data: {}, callbackUrl: receiver.url }, { headers: { 'content-type': 'application/json', traceparent: parent } });
  assert.equal((await host.finished(asked.json.jobId)).result.trace, parent);
  await until(() => receiver.received.length > 0, 'the first try');
  await host.stop();
  open = true;
  const before = receiver.received.length;
  await host.start();
  await until(() => receiver.received.length > before, 'the callback after the restart');
  for (const { headers } of receiver.received) assert.equal(headers.traceparent, parent);
  // One that is none is not handed on; it is no reason to refuse the job.
  const bad = await host.process_({ task: 'edition', data: {}, callbackUrl: receiver.url }, { headers: { 'content-type': 'application/json', traceparent: 'made-up' } });
  assert.equal((await host.finished(bad.json.jobId)).result.trace, undefined);
  const id = bad.json.jobId;
  const told = await until(() => receiver.received.find(({ json }) => json.jobId === id), 'its callback');
  assert.equal(told.headers.traceparent, undefined);
});

test('a traceparent in a message\'s headers comes back with the answer', async t => {
  const nats = await startNats(t);
  const host = await startHost(t, { plugins: ['edition'], env: { NATS_URL: nats.url } });
  await until(async () => await host.metric('exportd_nats_jetstream') === 1, 'the stream'); // before it is there, a request is nobody's
  const caller = await connect({ servers: nats.url });
  try {
    const answers = caller.subscribe('task.*', { max: 4 });
    const seen = new Map();
    const collecting = (async () => { for await (const message of answers) if (message.subject === 'task.completed') seen.set(message.json().jobId, message); })();
    await caller.flush();
    const traced = natsHeaders();
    traced.set('traceparent', parent);
    caller.publish('task.request', JSON.stringify({ jobId: 'traced', task: 'edition', data: {} }), { headers: traced });
    caller.publish('task.request', JSON.stringify({ jobId: 'plain', task: 'edition', data: {} }));
    await until(() => seen.size === 2, 'both answers');
    assert.equal(seen.get('traced').headers.get('traceparent'), parent);
    assert.equal(seen.get('traced').json().result.trace, parent);
    assert.equal(seen.get('plain').headers.get('traceparent'), '');
    answers.unsubscribe();
    await collecting;
  } finally {
    await caller.close();
  }
});
