// NATS in and out, with a real nats-server and an independent client: the contract to the letter; what can't become a job; dead letters, progress,
// and work that hosts share.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pluginFolder, run, source, startHost, startReceiver, temporaryFolder, until } from '../support/host.mjs';
import { Caller, at, connected, count, ready, startNats } from '../support/nats.mjs';

const repro = join(source, 'tests/data/search-4711.json');

/** A folder of repros with one in it, under that id. */
function reproFolder(t, id) {
  const folder = join(temporaryFolder(t), 'repros');
  mkdirSync(folder);
  copyFileSync(repro, join(folder, `${id}.json`));
  return folder;
}

const command = (host, ...args) => run([...args, '-c', host.conf], { env: { EXPORTD_HOST_STATE: host.state } });

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

test('two hosts share the work', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const hosts = [await startHost(t, at(server, { nats: 'batch = 4\n' })), await startHost(t, at(server, { nats: 'batch = 4\n' }))];
  for (const host of hosts) await ready(host);
  const requests = [];
  let shares = [0, 0];
  for (let round = 0; round < 10 && Math.min(...shares) <= 30; round++) { // one may stand still for the whole of a round
    requests.push(...Array.from({ length: 300 }, () => caller.request('noop')));
    for (const { export_id: id } of requests) assert.equal((await caller.answer(id)).subject, 'export.completed');
    shares = await Promise.all(hosts.map(host => host.metric('exportd_nats_requests_total')));
    assert.equal(shares[0] + shares[1], requests.length);
  }
  assert.ok(Math.min(...shares) > 30, `${shares}`);
  for (const { export_id: id } of requests) assert.equal(caller.answers(id).length, 1);
});

test('what a full queue has no room for waits, and goes back to the server when the host stops', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const full = await connected(t, at(server, { nats: 'ack_wait = 1h\n', conf: { 'jobs.conf': '[jobs]\nqueue_limit = 2\n', 'worker.conf': '[plugin misbehave]\nworkers = 1\n' } }));
  const requests = Array.from({ length: 30 }, () => caller.request('pause_ms', { options: { ms: 150 } }));
  await until(async () => (await full.metric('exportd_nats_requests_held')) > 5, 'requests that wait');
  await caller.answer(requests[5].export_id); // some get in, a second apart
  assert.equal(count(full.log, 'requests wait until the store takes them'), 1);
  await full.stop();
  const heir = await startHost(t, at(server, { nats: 'ack_wait = 1h\n' }));
  const started = requests.filter(({ export_id: id }) => caller.answers(id).length === 0);
  await until(async () => (await heir.metric('exportd_nats_requests_total')) >= started.length - 3, 'what was handed back');
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
