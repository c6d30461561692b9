// NATS in and out, with a real nats-server and an independent client: the contract to the letter; what can't become a job; servers and hosts
// that die; servers without JetStream, with credentials, TLS, and streams that others made.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAccount, createOperator, createUser } from 'nkeys.js';
import { Host, patience, pluginFolder, run, sanitized, source, startHost, startReceiver, temporaryFolder, until } from '../support/host.mjs';
import { Caller, startNats } from '../support/nats.mjs';

const repro = join(source, 'tests/data/search-4711.json');
const plugins = ['noop', 'misbehave'];

/** A host's options that reach this server. */
function at(server, options = {}) {
  const { nats = '', ...rest } = options;
  return { plugins, ...rest, conf: { 'nats.conf': `[nats]\nurl = ${server.url}\n${nats}`, ...options.conf } };
}

/** A folder of repros with one in it, under that id. */
function reproFolder(t, id) {
  const folder = join(temporaryFolder(t), 'repros');
  mkdirSync(folder);
  copyFileSync(repro, join(folder, `${id}.json`));
  return folder;
}

const missing = async host => (await host.get('/readyz')).json.missing.filter(text => text.startsWith('nats: ')).join('\n');
const ready = host => until(async () => await missing(host) === '', 'the connection to NATS');
const command = (host, ...args) => run([...args, '-c', host.conf], { env: { EXPORTD_HOST_STATE: host.state } });
/** Starts a host and waits until it takes requests. */
async function connected(t, options) {
  const host = await startHost(t, options);
  await ready(host);
  return host;
}

const count = (text, what) => text.split(what).length - 1;

test('docker and report in both formats are answered to the letter', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const reproId = randomUUID();
  const host = await connected(t, at(server, {
    plugins: ['export-docker', 'export-pdf', 'export-json'],
    conf: { 'repros.conf': `[repros]\nfolder = ${reproFolder(t, reproId)}\n[route report]\ndefault = pdf\n` },
  }));
  const all = { repo_url: 'https://github.com/owner/repo', branch_name: 'bug-repro-123', platform: 'codesandbox' };
  for (const [type, options, media] of [
    ['docker', { ...all, format: 'pdf' }, /gzip|tar/],
    ['report', { ...all, format: 'pdf' }, /^application\/pdf$/],
    ['report', { ...all, format: 'json' }, /^application\/json/],
    ['report', { format: 'json', platform: null, repo_url: null }, /^application\/json/],
    ['report', { format: null }, /^application\/pdf$/],
    ['report/json', undefined, /^application\/json/],
  ]) {
    const request = caller.request(type, { repro_id: reproId, options });
    const { subject, id, json } = await caller.answer(request.export_id);
    assert.equal(subject, 'export.completed', JSON.stringify(json));
    assert.deepEqual(Object.keys(json), ['export_id', 'repro_id', 'export_type', 'result']);
    assert.deepEqual({ export_id: json.export_id, repro_id: json.repro_id, export_type: json.export_type },
      { export_id: request.export_id, repro_id: reproId, export_type: type });
    assert.match(id, /^msg_/);
    assert.ok(json.result.artifacts.length > 0);
    for (const artifact of json.result.artifacts) {
      assert.deepEqual(Object.keys(artifact).sort(), ['bytes', 'media_type', 'name', 'sha256', 'url']);
      const { status, bytes } = await host.get(new URL(artifact.url).pathname);
      assert.equal(status, 200);
      assert.equal(createHash('sha256').update(bytes).digest('hex'), artifact.sha256);
    }
    assert.match(json.result.artifacts[0].media_type, media);
    const { json: deliveries } = await host.get(`/deliveries?job=${request.export_id}`);
    assert.deepEqual(deliveries.deliveries.map(({ subject: to, url }) => ({ to, url })), [{ to: 'export.completed', url: undefined }]);
  }
  await until(async () => (await host.metric('exportd_nats_answers_total')) === 6, 'all confirmations');
  assert.match(command(host, 'deliveries').stdout, /TO\b[^]*export\.completed/);
});

test('an export_id in upper case is echoed as it came, and is the job of that UUID', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const host = await connected(t, at(server));
  const id = randomUUID();
  caller.request('noop', { export_id: id.toUpperCase(), trace: { from: 'elsewhere' } });
  const { json } = await caller.answer(id.toUpperCase());
  assert.deepEqual(json.result, {});
  assert.equal((await host.get(`/jobs/${id}`)).json.status, 'completed');
});

test('an inline repro needs no repro_id', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  await connected(t, at(server, { plugins: ['export-json'] }));
  const request = { export_id: randomUUID(), export_type: 'report', options: { format: 'json' }, repro: JSON.parse(readFileSync(repro)) };
  caller.publish('export.request', request);
  const { subject, json } = await caller.answer(request.export_id);
  assert.equal(subject, 'export.completed', JSON.stringify(json));
  assert.deepEqual(Object.keys(json), ['export_id', 'export_type', 'result']);
});

test('a request published while no host runs is answered once one does, and a caller that is away finds the answer in the stream', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const options = at(server, { folder: temporaryFolder(t) });
  const first = await connected(t, options);
  await first.stop();
  const requests = Array.from({ length: 20 }, () => caller.request('noop'));
  await caller.client.flush();
  await startHost(t, options);
  for (const { export_id: id } of requests) assert.equal((await caller.answer(id)).subject, 'export.completed');
  const manager = await caller.manager();
  await until(async () => (await manager.streams.info('EXPORTD')).state.messages === 0, 'the acknowledgements');
  const { config, state } = await manager.streams.info('EXPORTD_ANSWERS');
  assert.equal(state.messages, 20);
  assert.deepEqual(config.subjects, ['export.completed', 'export.failed', 'task.completed', 'task.failed']);
  assert.equal(config.retention, 'limits');
  const consumer = await manager.consumers.info('EXPORTD', 'exportd');
  assert.equal(consumer.config.ack_policy, 'explicit');
  assert.equal(consumer.config.max_deliver, -1);
});

test('what can\'t become a job is answered on export.failed and kept as a dead letter', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const host = await connected(t, at(server, { conf: { 'http.conf': '[http]\nmax_body = 64K\n', 'repros.conf': `[repros]\nfolder = ${reproFolder(t, 'known')}\n` },
    plugins: ['noop', 'misbehave', 'export-json'] }));
  const ids = { export_id: randomUUID(), repro_id: randomUUID() };
  const wellFormed = (members, drop) => {
    const body = { export_id: randomUUID(), repro_id: randomUUID(), export_type: 'noop', options: {}, ...members };
    delete body[drop];
    return body;
  };
  const cases = [
    ['unknown type', wellFormed({ export_type: 'hologram' }), 'route_unknown', /no plugin offers the task "hologram"; the routes are:.*report\/json/],
    ['unknown format', wellFormed({ export_type: 'report', options: { format: 'docx' } }), 'route_unknown', /json/],
    ['no repro_id', wellFormed({}, 'repro_id'), 'request_invalid', /repro_id/],
    ['no type', wellFormed({}, 'export_type'), 'request_invalid', /export_type/],
    ['no export_id', wellFormed({}, 'export_id'), 'request_invalid', /export_id/],
    ['no UUID', wellFormed({ export_id: 'seventeen' }), 'request_invalid', /export_id/],
    ['options of a wrong type', wellFormed({ options: [1] }), 'request_invalid', /options/],
    ['an option that doesn\'t exist', wellFormed({ export_type: 'report', options: { format: 'json', colour: 'red' } }), 'options_invalid', /\/options\/colour/],
    ['a slip of the pen', wellFormed({ optoins: {} }, 'options'), 'request_invalid', /did you mean "options"/],
    ['no object', [1, 2], 'request_invalid', /JSON object/],
    ['no JSON', '{"export_id": ', 'json_invalid', /no JSON/],
    ['nothing', '', 'json_invalid', /no JSON/],
    ['no UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x00, 0x7d]), 'json_invalid', /no JSON/],
    ['a key twice', `{"export_id": "${ids.export_id}", "repro_id": "${ids.repro_id}", "repro_id": "x"}`, 'json_invalid', /duplicate/],
    ['too deep', `{"export_id": "${randomUUID()}", "options": ${'['.repeat(100)}${']'.repeat(100)}}`, 'json_too_deep', /deeper than 64/],
    ['abysmal', '['.repeat(60000), 'json_too_deep', /deeper than 64/],
    ['too large', JSON.stringify(wellFormed({ note: 'x'.repeat(100_000) })), 'message_too_large', /max_body/],
  ];
  for (const [what, body, code, message] of cases) {
    const before = caller.messages.length;
    caller.publish('export.request', body);
    const { subject, id, json } = await until(() => caller.messages[before], `the answer to ${what}`);
    assert.equal(subject, 'export.failed', what);
    assert.match(id, /^msg_/);
    assert.equal(json.error.code, code, `${what}: ${json.error.message}`);
    assert.match(json.error.message, message, what);
    assert.deepEqual(Object.keys(json.error), ['code', 'message', 'retryable', 'attempts']);
    assert.equal(json.error.retryable, false);
    for (const member of ['export_id', 'repro_id', 'export_type'])
      if (typeof body === 'object' && typeof body[member] === 'string') assert.equal(json[member], body[member], `${what}: ${member}`);
  }
  const { json: { jobs } } = await host.get('/jobs?state=failed&limit=100');
  assert.equal(jobs.length, cases.length);
  assert.equal(await host.metric('exportd_dead_letters_total'), cases.length);
  for (const { jobId, errorCode } of jobs) {
    const { json: { data, route } } = await host.get(`/jobs/${jobId}?data=yes`);
    assert.equal(route, '');
    assert.equal(data.subject, 'export.request');
    const kept = data.message ?? Buffer.from(data.message_base64, 'base64').toString('latin1');
    if (errorCode === 'message_too_large') assert.equal(kept.length, 65536);
    else assert.ok(cases.some(([, body]) => kept === (typeof body === 'string' ? body : Buffer.isBuffer(body) ? body.toString('latin1') : JSON.stringify(body))), kept.slice(0, 200));
  }
  const { stdout } = command(host, 'jobs', '--dead');
  assert.match(stdout, /hologram/);
  assert.match(stdout, /no plugin offers/);

  // A repro that doesn't exist is found out when the job runs.
  const request = caller.request('report', { options: { format: 'json' } });
  const { subject, json } = await caller.answer(request.export_id);
  assert.equal(subject, 'export.failed');
  assert.deepEqual({ ...json, error: { ...json.error, message: '' } },
    { export_id: request.export_id, repro_id: request.repro_id, export_type: 'report', error: { code: 'repro_not_found', message: '', retryable: false, attempts: 1 } });
  await until(async () => (await (await caller.manager()).streams.info('EXPORTD')).state.messages === 0, 'the acknowledgements');
});

test('a request that comes twice is one job with one answer; another body under its id is a conflict', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const host = await connected(t, at(server));
  const request = caller.request('noop');
  await caller.answer(request.export_id);
  caller.publish('export.request', request);
  caller.publish('export.request', `  ${JSON.stringify(request)}\n`);
  await until(async () => (await host.metric('exportd_nats_requests_total')) === 3, 'the repetitions');
  caller.publish('export.request', { ...request, repro_id: randomUUID() });
  const conflict = await until(() => caller.answers(request.export_id)[1], 'the answer to the conflict');
  assert.equal(conflict.subject, 'export.failed');
  assert.equal(conflict.json.error.code, 'job_conflict');
  assert.equal(caller.answers(request.export_id).length, 2);
  assert.equal((await host.get(`/jobs/${request.export_id}`)).json.status, 'completed');
  const { json: { jobs } } = await host.get('/jobs');
  assert.equal(jobs.length, 2);
  const dead = jobs.find(job => job.errorCode === 'job_conflict');
  const { stderr, code } = command(host, 'retry', dead.jobId);
  assert.equal(code, 0, stderr); // it is a job of its own now
});

test('a dead letter runs once what it lacked is there', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const host = await connected(t, at(server, { plugins: ['noop'] }));
  const request = caller.request('echo', { options: { format: null } });
  assert.equal((await caller.answer(request.export_id)).json.error.code, 'route_unknown');
  const refused = command(host, 'retry', request.export_id);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /no plugin offers the task "echo"/);
  assert.equal((await host.request('POST', `/jobs/${request.export_id}/retry`)).status, 409);
  await host.stop();
  pluginFolder(host.folder, ['misbehave']);
  await host.start();
  const accepted = command(host, 'retry', request.export_id);
  assert.equal(accepted.code, 0, accepted.stderr);
  const answer = await until(() => caller.answers(request.export_id)[1], 'the second answer');
  assert.equal(answer.subject, 'export.completed');
  assert.deepEqual(answer.json, { export_id: request.export_id, repro_id: request.repro_id, export_type: 'echo', result: { data: { repro_id: request.repro_id } } });
  const { json: job } = await host.get(`/jobs/${request.export_id}?data=yes`);
  assert.equal(job.route, 'echo');
  assert.deepEqual(job.data, { repro_id: request.repro_id });
});

test('task.request takes the HTTP shape and answers on task.completed, and to callbackUrl too', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const receiver = await startReceiver(t);
  const host = await connected(t, at(server, { conf: { 'webhook.conf': '[webhook]\nallow = 127.0.0.1\n', 'nats.conf': `[nats]\nurl = ${server.url}\n`, 'jobs.conf': '[jobs]\nmax_attempts = 1\n' } }));
  caller.publish('task.request', { jobId: 'one', task: 'echo', data: { n: 1 } });
  const { subject, json } = await caller.answer('one');
  assert.equal(subject, 'task.completed');
  assert.deepEqual(Object.keys(json), ['jobId', 'status', 'result', 'processedAt', 'duration']);
  assert.deepEqual(json.result, { data: { n: 1 } });
  caller.publish('task.request', { jobId: 'two', task: 'refuse', callbackUrl: receiver.url });
  const failed = await caller.answer('two');
  assert.equal(failed.subject, 'task.failed');
  assert.deepEqual(Object.keys(failed.json), ['jobId', 'status', 'error', 'errorCode', 'processedAt']);
  await until(() => receiver.received.length === 1, 'the callback');
  assert.deepEqual(receiver.received[0].json, failed.json);
  caller.publish('task.request', { jobId: 'three', task: 'hologram' });
  assert.equal((await caller.answer('three')).json.errorCode, 'route_unknown');
  const before = caller.messages.length;
  caller.publish('task.request', { task: 'noop' });
  const nameless = await until(() => caller.messages[before], 'the answer to the nameless task');
  assert.equal(nameless.subject, 'task.completed');
  assert.equal((await host.get(`/jobs/${nameless.json.jobId}`)).json.status, 'completed');
});

test('a request is acknowledged once it is on disk, while its job still runs', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const host = await connected(t, at(server));
  caller.publish('task.request', { jobId: 'long', task: 'pause_ms', data: { ms: 600_000 } });
  await until(async () => (await host.get('/jobs/long')).json.status === 'running', 'the start of the job');
  const manager = await caller.manager();
  await until(async () => (await manager.streams.info('EXPORTD')).state.messages === 0, 'the acknowledgement', 10_000); // a pull would bring it along after 30 s
  assert.equal((await manager.consumers.info('EXPORTD', 'exportd')).num_ack_pending, 0);
  assert.equal((await host.get('/jobs/long')).json.status, 'running');
  await host.request('DELETE', '/jobs/long');
  assert.equal((await caller.answer('long')).json.errorCode, 'cancelled');
});

test('progress is told at most once in progress_every, each under an id of its own', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  await connected(t, at(server, { nats: 'progress_every = 1h\n' }));
  const { export_id: id, repro_id } = caller.request('progress_flood');
  await caller.answer(id);
  const told = caller.messages.filter(({ subject }) => subject === 'export.progress');
  assert.ok(told.length >= 1 && told.length <= 2, `${told.length} told`); // the first and, before the answer, the last
  assert.deepEqual(Object.keys(told[0].json), ['export_id', 'repro_id', 'export_type', 'progress', 'stage']);
  assert.equal(told[0].json.repro_id, repro_id);
  assert.equal(new Set(told.map(one => one.id)).size, told.length);
  assert.ok(told[0].id.startsWith(`${id}:1:`));
  assert.ok(caller.messages.findIndex(({ subject }) => subject === 'export.completed') > caller.messages.indexOf(told.at(-1)));
});

test('a server that is killed and comes back in mid-run costs nothing but time', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const host = await connected(t, at(server));
  const requests = Array.from({ length: 150 }, () => caller.request('pause_ms', { options: { ms: 10 } }));
  await caller.client.flush();
  await until(() => caller.messages.length > 20, 'some answers');
  await server.kill();
  await until(async () => /not connected/.test(await missing(host)), 'what /readyz says');
  assert.equal(await host.metric('exportd_nats_connected'), 0);
  await server.start();
  await ready(host);
  await caller.back(); // what was said meanwhile is in the stream
  const manager = await caller.manager();
  const heard = async () => {
    const ids = new Map();
    const { state } = await manager.streams.info('EXPORTD_ANSWERS');
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await manager.streams.getMessage('EXPORTD_ANSWERS', { seq });
      const id = message.json().export_id;
      ids.set(id, [...ids.get(id) ?? [], message.header.get('Nats-Msg-Id')]);
    }
    return ids;
  };
  const ids = await until(async () => { const all = await heard(); return all.size === requests.length && all; }, 'all answers', 2 * patience);
  for (const [id, found] of ids) assert.equal(new Set(found).size, 1, `${id} has one Nats-Msg-Id`);
  assert.equal(count(host.log, 'the connection was lost'), 1);
  assert.ok(await host.metric('exportd_nats_connects_total') >= 2);
  await until(async () => (await manager.streams.info('EXPORTD')).state.messages === 0, 'the acknowledgements', 2 * patience);
});

test('a server that falls silent is left, and found again when it speaks', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const host = await connected(t, at(server, { nats: 'timeout = 500ms\n' }));
  await caller.answer(caller.request('noop').export_id);
  server.child.kill('SIGSTOP');
  await until(async () => /not connected/.test(await missing(host)), 'the end of patience');
  assert.equal((await host.runJob({ jobId: 'meanwhile', task: 'noop' })).status, 'completed');
  server.child.kill('SIGCONT');
  await ready(host);
  await caller.back();
  assert.equal((await caller.answer(caller.request('noop').export_id)).subject, 'export.completed');
});

test('large answers wait in the outbox, not in memory, while a server takes none', async t => {
  const ANSWERS = 300, BYTES = 900_000;
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const host = await connected(t, at(server, { conf: { 'worker.conf': '[plugin misbehave]\nworkers = 1\n' } }));
  const first = caller.request('pause_ms', { options: { ms: 1000 } });
  const requests = Array.from({ length: ANSWERS }, () => caller.request('fill_result', { options: { bytes: BYTES } }));
  await until(async () => await host.metric('exportd_nats_requests_total') === ANSWERS + 1, 'the requests');
  server.child.kill('SIGSTOP');
  await until(async () => await host.metric('exportd_jobs_finished_total{route="fill_result",state="completed"}') === ANSWERS, 'the jobs', 2 * patience);
  await until(() => /didn't confirm it in time/.test(host.log), 'answers that time out');
  const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${host.process.pid}/status`, 'utf8'))[1]);
  t.diagnostic(`${resident >> 10} MiB resident with ${(ANSWERS * BYTES) >> 20} MiB of answers`);
  if (!sanitized) assert.ok(resident < 250 << 10, `${resident} kB resident`);
  server.child.kill('SIGCONT');
  await ready(host);
  await caller.back();
  for (const { export_id: id } of [first, ...requests]) assert.equal((await caller.answer(id)).subject, 'export.completed');
});

test('a host starts without a server, and connects when there is one', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  await server.kill();
  const host = await startHost(t, at(server));
  await until(async () => /not connected: .*[a-z]/.test(await missing(host)), 'what /readyz says');
  assert.equal((await host.get('/readyz')).status, 200);
  assert.equal((await host.runJob({ jobId: 'meanwhile', task: 'noop' })).status, 'completed');
  await server.start();
  await ready(host);
  await caller.back();
  assert.equal((await caller.answer(caller.request('noop').export_id)).subject, 'export.completed');
  assert.equal(count(host.log, 'no connection to'), 1);
});

test('a host that is killed with requests under way loses none', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const host = await connected(t, at(server, { nats: 'ack_wait = 1s\n' }));
  const requests = [];
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 100; i++) requests.push(caller.request('pause_ms', { options: { ms: 3 } }));
    await caller.client.flush();
    const enough = caller.messages.length + 30;
    await until(() => caller.messages.length >= enough, 'some answers');
    await host.kill();
    await host.start();
  }
  for (const { export_id: id } of requests) assert.equal((await caller.answer(id, 2 * patience)).subject, 'export.completed');
  for (const { export_id: id } of requests)
    assert.equal(new Set(caller.answers(id).map(answer => answer.id)).size, 1, `${id} has one Nats-Msg-Id`);
  const { json: { jobs } } = await host.get('/jobs?limit=1000');
  assert.equal(jobs.length, requests.length);
  assert.ok(jobs.every(job => job.status === 'completed'));
});

test('without JetStream requests are taken at most once, with one warning', async t => {
  const server = await startNats(t, { jetstream: false });
  const caller = await Caller.connect(t, server.url);
  const host = await startHost(t, at(server));
  await until(async () => /at most once/.test(await missing(host)), 'what /readyz says');
  const requests = Array.from({ length: 50 }, () => caller.request('noop'));
  for (const { export_id: id } of requests) assert.equal((await caller.answer(id)).subject, 'export.completed');
  await until(async () => (await host.metric('exportd_nats_answers_total')) === 50, 'the confirmations');
  const before = await host.metric('exportd_nats_connects_total');
  await server.restart();
  await until(async () => (await host.metric('exportd_nats_connects_total')) > before && /at most once/.test(await missing(host)), 'the new connection');
  assert.equal(count(host.log, 'has no JetStream'), 1);
  await server.restart({ jetstream: true });
  await ready(host);
  await until(async () => (await host.metric('exportd_nats_jetstream')) === 1, 'JetStream');
  await caller.back();
  assert.equal((await caller.answer(caller.request('noop').export_id)).subject, 'export.completed');
  assert.equal((await (await caller.manager()).streams.info('EXPORTD')).state.last_seq, 1);
});

test('jetstream = required takes nothing without it; off takes at most once without a warning', async t => {
  const server = await startNats(t, { jetstream: false });
  const caller = await Caller.connect(t, server.url);
  const host = await startHost(t, at(server, { nats: 'jetstream = required\n' }));
  await until(async () => /JetStream.*required.*-js/.test(await missing(host)), 'what /readyz says');
  const { export_id: lost } = caller.request('noop');
  const off = await connected(t, at(server, { nats: 'jetstream = off\n' }));
  const { export_id: id } = caller.request('noop');
  assert.equal((await caller.answer(id)).subject, 'export.completed');
  assert.equal(caller.answers(lost).length, 0);
  assert.equal(await host.metric('exportd_nats_requests_total'), 0);
  assert.doesNotMatch(off.log, /warning nats/);
  await off.stop();
  await server.restart({ jetstream: true });
  await ready(host);
  await caller.back();
  assert.equal((await caller.answer(caller.request('noop').export_id)).subject, 'export.completed');
});

/** A JWT as NATS has it, signed by an NKey. */
function sign(issuer, subject, name, nats) {
  const encode = value => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { jti: randomUUID(), iat: Math.floor(Date.now() / 1000), iss: issuer.getPublicKey(), name, sub: subject.getPublicKey(), nats: { version: 2, ...nats } };
  const text = `${encode({ typ: 'JWT', alg: 'ed25519-nkey' })}.${encode(claims)}`;
  return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString('base64url')}`;
}

const seedOf = key => Buffer.from(key.getSeed()).toString();

function operatorMode() {
  const operator = createOperator(), account = createAccount(), system = createAccount(), user = createUser(), stranger = createUser();
  const limits = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1, mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const creds = (jwt, key) => `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${seedOf(key)}\n------END USER NKEY SEED------\n`;
  const jwt = sign(account, user, 'exportd', { type: 'user', subs: -1, data: -1, payload: -1 });
  return {
    conf: `operator: ${sign(operator, operator, 'O', { type: 'operator', system_account: system.getPublicKey() })}\nsystem_account: ${system.getPublicKey()}\nresolver: MEMORY\n`
      + `resolver_preload: {\n ${account.getPublicKey()}: ${sign(operator, account, 'A', { type: 'account', limits })}\n ${system.getPublicKey()}: ${sign(operator, system, 'S', { type: 'account', limits: { ...limits, mem_storage: 0, disk_storage: 0, streams: 0, consumer: 0 } })}\n}\n`,
    right: creds(jwt, user), wrong: creds(jwt, stranger),
  };
}

for (const [kind, make] of Object.entries({
  'user and password': () => ({ conf: 'authorization { user: exporter, password: "opensesame17" }', right: 'user = exporter\npassword = opensesame17', wrong: 'user = exporter\npassword = opensesame18' }),
  'user and password in the URL': () => ({ conf: 'authorization { user: exporter, password: "opensesame17" }', inUrl: ['exporter:opensesame17', 'exporter:opensesame18'] }),
  token: () => ({ conf: 'authorization { token: "opensesame17" }', right: 'token = opensesame17', wrong: 'token = opensesame18' }),
  'token in the URL': () => ({ conf: 'authorization { token: "opensesame17" }', inUrl: ['opensesame17', 'opensesame18'] }),
  NKey: folder => {
    const [right, wrong] = [createUser(), createUser()];
    writeFileSync(join(folder, 'right'), `${seedOf(right)}\n`);
    writeFileSync(join(folder, 'wrong'), seedOf(wrong));
    return { conf: `authorization { users: [ { nkey: ${right.getPublicKey()} } ] }`, right: `nkey_seed = ${join(folder, 'right')}`, wrong: `nkey_seed = ${join(folder, 'wrong')}`, secrets: [seedOf(right), seedOf(wrong)] };
  },
  'creds file': folder => {
    const mode = operatorMode();
    writeFileSync(join(folder, 'right'), mode.right);
    writeFileSync(join(folder, 'wrong'), mode.wrong);
    return { conf: mode.conf, right: `creds_file = ${join(folder, 'right')}`, wrong: `creds_file = ${join(folder, 'wrong')}`, secrets: [mode.right.split('\n')[1]] };
  },
})) {
  test(`credentials: ${kind}`, async t => {
    const { conf, right, wrong, inUrl, secrets = ['opensesame'] } = make(temporaryFolder(t));
    const server = await startNats(t, { conf });
    const options = (lines, who) => ({ plugins, conf: { 'nats.conf': `[nats]\nurl = nats://${who ? `${who}@` : ''}127.0.0.1:${server.port}\n${lines ?? ''}\n` } });
    const good = await startHost(t, options(right, inUrl?.[0]));
    await ready(good);
    assert.equal(await good.metric('exportd_nats_jetstream'), 1);
    const bad = await startHost(t, options(wrong, inUrl?.[1]));
    await until(async () => /not connected: .*(authorization|authentication)/i.test(await missing(bad)), 'the refusal');
    await until(() => count(server.log, /authentication error/i) > 2 || count(server.log, 'uthentication') > 2, 'further attempts');
    assert.equal(count(bad.log, 'no connection to'), 1);
    await good.stop();
    await bad.stop();
    for (const secret of secrets)
      for (const host of [good, bad]) assert.ok(!host.log.includes(secret), host.log);
  });
}

test('the permissions that docs/nats.md lists are enough', async t => {
  const text = readFileSync(join(source, 'docs/nats.md'), 'utf8').replaceAll('\n', ' ');
  const [, publish, subscribe, make] = /needs: publish to (.*?); subscribe to (.*?) \(without.*?publish to (.*?)\.\s*$/.exec(text);
  const names = part => [...part.matchAll(/`(.*?)`/g)].map(([, name]) => `"${name}"`).join(', ');
  const conf = more => `authorization { users: [ { user: open, password: open }, { user: exporter, password: tight, permissions: { publish: [${names(publish + more)}], subscribe: [${names(subscribe)}] } } ] }`;
  const server = await startNats(t, { conf: conf(make) });
  const caller = await Caller.connect(t, server.url, { user: 'open', pass: 'open' });
  const host = await connected(t, at(server, { nats: 'user = exporter\npassword = tight\n' }));
  await caller.answer(caller.request('noop').export_id);
  await server.restart({ conf: conf('') }); // streams and consumer are there by now
  await ready(host);
  await caller.back();
  await caller.answer(caller.request('noop').export_id);
  assert.doesNotMatch(host.log, /complains/);
});

test('a credential file that isn\'t there or holds no seed is refused at the start', async t => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'empty'), 'nothing');
  for (const [lines, message] of [
    [`nkey_seed = ${folder}/none`, /nkey_seed: .*none: No such file/],
    [`nkey_seed = ${folder}/empty`, /empty holds no user's NKey seed/],
    [`creds_file = ${folder}/none`, /creds_file: .*none can't be read/],
    [`ca_file = ${folder}/none`, /ca_file: .*none can't be read/],
    [`certificate_file = ${folder}/empty`, /belong together/],
  ]) {
    const host = new Host(t, { plugins: ['noop'], conf: { 'nats.conf': `[nats]\nurl = nats://127.0.0.1:1\n${lines}\n` } });
    await assert.rejects(host.start(), error => message.test(error.message), lines);
  }
});

function certificates(t) {
  const folder = temporaryFolder(t);
  const openssl = (...args) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const path = name => join(folder, name);
  for (const authority of ['ca', 'other']) {
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${authority}.key`, '-out', `${authority}.pem`, '-days', '2', '-subj', `/CN=${authority}`);
  }
  for (const [name, alternative] of [['server', 'IP:127.0.0.1,DNS:localhost'], ['elsewhere', 'DNS:elsewhere.example'], ['client', 'DNS:exportd']]) {
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    writeFileSync(path(`${name}.ext`), `subjectAltName=${alternative}\n`);
    openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`, '-out', `${name}.pem`);
  }
  execFileSync('chmod', ['-R', 'a+rX', folder]);
  return path;
}

test('TLS: the right authority, the wrong one, another name, a certificate of its own', async t => {
  const path = certificates(t);
  const tls = (name, more = '') => ({ conf: `tls { cert_file: "${path(`${name}.pem`)}", key_file: "${path(`${name}.key`)}", timeout: 5 ${more} }` });
  const server = await startNats(t, tls('server'));
  const options = (lines, scheme = 'tls') => ({ plugins, conf: { 'nats.conf': `[nats]\nurl = ${scheme}://127.0.0.1:${server.port}\n${lines}\n` } });
  const good = await startHost(t, options(`ca_file = ${path('ca.pem')}`));
  await ready(good);
  const caller = await Caller.connect(t, `tls://127.0.0.1:${server.port}`, { tls: { caFile: path('ca.pem') } });
  const big = Array.from({ length: 300 }, () => caller.request('noop', { note: 'x'.repeat(5000) }));
  for (const { export_id: id } of big) assert.equal((await caller.answer(id)).subject, 'export.completed');
  const strict = await startHost(t, options(`ca_file = ${path('other.pem')}`));
  await until(async () => /not connected: .*(certificate|SSL)/i.test(await missing(strict)), 'the refusal of an unknown authority');
  await strict.stop();
  await good.stop();

  await server.restart(tls('elsewhere'));
  const named = await startHost(t, options(`ca_file = ${path('ca.pem')}`));
  await until(async () => /not connected: .*(name|IP|mismatch)/i.test(await missing(named)), 'the refusal of another name');
  await named.stop();

  await server.restart(tls('server', `, ca_file: "${path('ca.pem')}", verify: true`));
  const mutual = await startHost(t, options(`ca_file = ${path('ca.pem')}\ncertificate_file = ${path('client.pem')}\nkey_file = ${path('client.key')}`));
  await ready(mutual);
  await mutual.stop();

  await server.restart({ conf: '' });
  const plain = await startHost(t, options('tls = yes', 'nats'));
  await until(async () => /not connected: .*secure/i.test(await missing(plain)), 'the refusal of a server without TLS');
});

test('streams that others made are used as they are', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const manager = await caller.manager();
  await manager.streams.add({ name: 'EVERYTHING', subjects: ['export.>'], storage: 'file' });
  await manager.streams.add({ name: 'TASKS', subjects: ['task.request'], storage: 'memory', retention: 'workqueue' });
  const host = await connected(t, at(server));
  const { export_id: id } = caller.request('noop');
  assert.equal((await caller.answer(id)).subject, 'export.completed');
  caller.publish('task.request', { jobId: 'one', task: 'noop' });
  assert.equal((await caller.answer('one')).subject, 'task.completed');
  assert.equal((await manager.consumers.info('EVERYTHING', 'exportd')).config.filter_subject, 'export.request');
  assert.ok(await manager.consumers.info('TASKS', 'exportd-tasks'));
  await assert.rejects(manager.streams.info('EXPORTD'));
  assert.deepEqual((await manager.streams.info('EXPORTD_ANSWERS')).config.subjects, ['task.completed', 'task.failed']);
  assert.equal(await host.metric('exportd_nats_requests_total'), 2, 'answers aren\'t taken for requests');
  await until(async () => (await host.metric('exportd_nats_answers_total')) === 2, 'the confirmations');
});

test('a consumer of that name that is of no use is told with the mend, and used when it is gone', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const manager = await caller.manager();
  await manager.streams.add({ name: 'EXPORTD', subjects: ['export.request', 'task.request'], retention: 'workqueue' });
  await manager.consumers.add('EXPORTD', { durable_name: 'exportd', ack_policy: 'explicit', deliver_subject: 'somewhere' });
  const host = await startHost(t, at(server));
  await until(async () => /consumer exportd of the stream EXPORTD is of no use: it pushes.*nats consumer rm EXPORTD exportd/.test(await missing(host)), 'the complaint');
  assert.equal(count(host.log, 'is of no use'), 1);
  const { export_id: id } = caller.request('noop');
  await manager.consumers.delete('EXPORTD', 'exportd');
  await ready(host);
  assert.equal((await caller.answer(id)).subject, 'export.completed');
  // Deleted while it is in use: it is made again.
  await manager.consumers.delete('EXPORTD', 'exportd');
  const second = caller.request('noop');
  assert.equal((await caller.answer(second.export_id)).subject, 'export.completed');
});

test('answers = (empty) makes no stream, and answers arrive all the same', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const host = await connected(t, at(server, { nats: 'answers =\n' }));
  const requests = Array.from({ length: 50 }, () => caller.request('noop'));
  for (const { export_id: id } of requests) assert.equal((await caller.answer(id)).subject, 'export.completed');
  await until(async () => (await host.metric('exportd_nats_answers_total')) === 50, 'the confirmations');
  const names = await (await caller.manager()).streams.names().next();
  assert.deepEqual(names, ['EXPORTD']);
  assert.equal(await host.metric('exportd_nats_answers_waiting'), 0);
});

test('two hosts share the work', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const hosts = [await startHost(t, at(server, { nats: 'batch = 4\n' })), await startHost(t, at(server, { nats: 'batch = 4\n' }))];
  for (const host of hosts) await ready(host);
  const requests = Array.from({ length: 300 }, () => caller.request('noop'));
  for (const { export_id: id } of requests) assert.equal((await caller.answer(id)).subject, 'export.completed');
  for (const { export_id: id } of requests) assert.equal(caller.answers(id).length, 1);
  const shares = await Promise.all(hosts.map(host => host.metric('exportd_nats_requests_total')));
  assert.equal(shares[0] + shares[1], 300);
  assert.ok(Math.min(...shares) > 30, `${shares}`);
});

test('what a full queue has no room for waits, and goes back to the server when the host stops', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const full = await connected(t, at(server, { conf: { 'jobs.conf': '[jobs]\nqueue_limit = 2\n', 'worker.conf': '[plugin misbehave]\nworkers = 1\n' } }));
  const requests = Array.from({ length: 30 }, () => caller.request('pause_ms', { options: { ms: 150 } }));
  await until(async () => (await full.metric('exportd_nats_requests_held')) > 5, 'requests that wait');
  await caller.answer(requests[5].export_id); // some get in, a second apart
  assert.equal(count(full.log, 'requests wait until the store takes them'), 1);
  await full.stop();
  const heir = await startHost(t, at(server));
  const left = Date.now();
  const started = requests.filter(({ export_id: id }) => caller.answers(id).length === 0);
  await until(async () => (await heir.metric('exportd_nats_requests_total')) >= started.length - 3, 'what was handed back');
  assert.ok(Date.now() - left < 20_000, 'without a wait for ack_wait');
});

test('an answer that is larger than the server takes is dead at once, with the mend', async t => {
  const server = await startNats(t, { conf: 'max_payload: 2048' });
  const caller = await Caller.connect(t, server.url);
  const reproId = randomUUID();
  const host = await connected(t, at(server, { plugins: ['export-json'], env: { EXPORTD_HTTP_PUBLIC_URL: `http://127.0.0.1/${'x'.repeat(2000)}` },
    conf: { 'repros.conf': `[repros]\nfolder = ${reproFolder(t, reproId)}\n` } }));
  const { export_id: id } = caller.request('report', { repro_id: reproId, options: { format: 'json' } });
  assert.equal((await host.finished(id)).status, 'completed');
  const dead = await until(async () => {
    const { json } = await host.get(`/deliveries?job=${id}`);
    return json.deliveries[0]?.status === 'dead' && json.deliveries[0];
  }, 'the dead answer');
  assert.match(dead.lastError, /the server takes 2048; raise max_payload/);
  await server.restart({ conf: 'max_payload: 65536' });
  await ready(host);
  await caller.back();
  const again = command(host, 'deliveries', 'retry', dead.id);
  assert.equal(again.code, 0, again.stderr);
  assert.equal((await caller.answer(id)).id, dead.id);
});
