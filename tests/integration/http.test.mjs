// The HTTP door: what callers get, and what hostile ones get.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Host, startHost, run, source, until, temporaryFolder, confFolder, sanitized } from '../support/host.mjs';

const plugins = ['noop', 'misbehave'];

function residentKiB(host) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${host.process.pid}/status`, 'utf8'))[1]);
}

function assertProblem(answer, status, code) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers['content-type'], /^application\/problem\+json/);
  assert.equal(answer.json.status, status);
  assert.equal(answer.json.code, code, answer.text);
  assert.ok(answer.json.title && answer.json.detail);
}

test('a job: 202, then its state, then its result', async t => {
  const host = await startHost(t, { plugins });
  const accepted = await host.process_({ jobId: 'job123', task: 'echo', data: { greeting: 'Grüße 🔎' } });
  assert.equal(accepted.status, 202);
  assert.deepEqual(accepted.json, { jobId: 'job123', status: 'pending' });
  const job = await host.finished('job123');
  assert.equal(job.status, 'completed');
  assert.deepEqual(job.result, { data: { greeting: 'Grüße 🔎' } });
  assert.equal(job.attempts, 1);
  assert.match(job.processedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});

test('the same jobId with the same body answers with the job; with another, 409', async t => {
  const host = await startHost(t, { plugins });
  const body = { jobId: 'twice', task: 'echo', data: { a: 1, b: [1, 2] } };
  assert.equal((await host.process_(body)).status, 202);
  await host.finished('twice');
  const again = await host.process_({ data: { b: [1, 2], a: 1 }, task: 'echo', jobId: 'twice' });
  assert.equal(again.status, 200, 'the order of members is no difference');
  assert.equal(again.json.status, 'completed');
  assertProblem(await host.process_({ ...body, data: { a: 2 } }), 409, 'job_conflict');
  assert.equal((await host.get('/jobs')).json.jobs.length, 1);
});

test('Prefer: wait answers with the end of the job', async t => {
  const host = await startHost(t, { plugins });
  const answer = await host.process_({ jobId: 'w', task: 'echo', data: { x: 1 } }, { headers: { prefer: 'wait=20', 'content-type': 'application/json' } });
  assert.equal(answer.status, 200);
  assert.equal(answer.json.status, 'completed');
  assert.deepEqual(answer.json.result, { data: { x: 1 } });
  const short = await host.process_({ jobId: 'v', task: 'pause_ms', data: { ms: 5000 } }, { headers: { prefer: 'wait=0.3', 'content-type': 'application/json' } });
  assert.equal(short.status, 202);
  await host.request('DELETE', '/jobs/v');
  await host.finished('v');
});

test('what is wrong with a request is said', async t => {
  const host = await startHost(t, { plugins: ['noop', 'misbehave', 'export-json'] });
  const post = (body, headers = { 'content-type': 'application/json' }) => host.request('POST', '/process', { body, headers });
  assertProblem(await post('{'), 400, 'json_invalid');
  assertProblem(await post(''), 400, 'json_invalid');
  assertProblem(await post('{"task":"noop","task":"echo"}'), 400, 'json_invalid');
  assertProblem(await post(Buffer.from([...Buffer.from('{"task":"'), 0xff, 0xfe, ...Buffer.from('"}')])), 400, 'json_invalid');
  assertProblem(await post('{"task":"no\\u0000op"}'), 400, 'json_invalid');
  assertProblem(await post(Buffer.from('{"task":"no\0op"}')), 400, 'json_invalid');
  assertProblem(await post('['.repeat(100_000)), 400, 'json_too_deep');
  assertProblem(await post('{"a":'.repeat(100_000)), 400, 'json_too_deep');
  assertProblem(await post('[]'), 400, 'request_invalid');
  assertProblem(await post('{"jobId":"x"}'), 400, 'request_invalid');
  assertProblem(await post('{"task":"noop","data":[]}'), 400, 'request_invalid');
  assertProblem(await post('{"task":"noop","jobId":""}'), 400, 'request_invalid');
  assertProblem(await post('{"task":"noop","jobId":"a\\nb"}'), 400, 'request_invalid');
  assertProblem(await post(`{"task":"noop","jobId":"${'x'.repeat(201)}"}`), 400, 'request_invalid');
  assertProblem(await post('{"task":"noop","callbackUrl":"ftp://x/"}'), 400, 'request_invalid');
  assertProblem(await post('{"task":"noop","priority":101}'), 400, 'request_invalid');
  assertProblem(await post('{"task":"noop","runAt":"tomorrow"}'), 400, 'request_invalid');
  const typo = await post('{"task":"noop","callbackURL":"http://x/"}');
  assertProblem(typo, 400, 'request_invalid');
  assert.match(typo.json.detail, /did you mean "callbackUrl"/);
  const unknown = await post('{"task":"nothing"}');
  assertProblem(unknown, 404, 'route_unknown');
  assert.match(unknown.json.detail, /the routes are: .*noop/);
  assertProblem(await post('{"task":"report","data":{"format":"json"}}'), 400, 'request_invalid');
  const option = await post(JSON.stringify({ task: 'report', data: { format: 'json', prety: true, repro: { id: 'a', title: 'b', test: { code: 'c' } } } }));
  assertProblem(option, 422, 'options_invalid');
  assert.match(option.json.detail, /\/data\/prety.*did you mean "pretty"/);
  assertProblem(await post(JSON.stringify({ task: 'report', data: { format: 'json', repro: { id: 'a' } } })), 422, 'repro_invalid');
  assertProblem(await post('task=noop', { 'content-type': 'application/x-www-form-urlencoded' }), 415, 'media_type');
  assertProblem(await post('{"task":"noop"}', {}), 415, 'media_type');
  assertProblem(await host.get('/process'), 405, 'method_not_allowed');
  assert.equal((await host.get('/process')).headers.allow, 'POST');
  assertProblem(await host.request('PUT', '/jobs/x'), 405, 'method_not_allowed');
  assertProblem(await host.get('/nowhere'), 404, 'path_unknown');
  assertProblem(await host.get('/jobs/nobody'), 404, 'job_unknown');
  assertProblem(await host.request('DELETE', '/jobs/nobody'), 404, 'job_unknown');
  assertProblem(await host.request('POST', '/jobs/nobody/retry'), 404, 'job_unknown');
  assertProblem(await host.get('/artifacts/nobody/x.pdf'), 404, 'artifact_unknown');
  assertProblem(await host.get('/artifacts/..%2f..%2f/store.db'), 404, 'artifact_unknown');
  assertProblem(await host.get('/artifacts/x/..%2F..%2Fstore.db'), 404, 'artifact_unknown');
  assertProblem(await host.get('/jobs?state=odd'), 400, 'query_invalid');
  assertProblem(await host.get('/jobs?limit=-1'), 400, 'query_invalid');
  assertProblem(await host.get('/jobs/%00'), 400, 'path_invalid');
  assertProblem(await host.get('/jobs/%zz'), 400, 'path_invalid');
  assertProblem(await host.get('/healthz', { headers: { host: 'evil.example' } }), 421, 'host_unknown');
  assert.equal((await host.get('/healthz')).status, 200);
});

test('ids of any characters come back as they went', async t => {
  const host = await startHost(t, { plugins });
  for (const jobId of ['a/b', '../../etc', 'Größe 検索 🔎', '%41', 'a?b#c', '.', '..', '"quoted"']) {
    assert.equal((await host.process_({ jobId, task: 'noop' })).status, 202, jobId);
    const path = `/jobs/${encodeURIComponent(jobId).replace(/^\.+$/, dots => dots.replace(/\./g, '%2E'))}`;
    const { json } = await until(async () => { const a = await host.get(path); return a.json?.status === 'completed' && a; }, jobId);
    assert.equal(json.jobId, jobId);
  }
});

test('a body of 100 MB is refused at its head, chunked or not, and memory stays', async t => {
  const host = await startHost(t, { plugins, conf: { 'http.conf': '[http]\nmax_body = 1M\n' } });
  await host.runJob({ task: 'noop' });
  const before = residentKiB(host);
  const url = new URL(host.url);
  const refused = await new Promise((done, fail) => {
    const request = http.request({ host: url.hostname, port: url.port, method: 'POST', path: '/process', headers: { 'content-type': 'application/json', 'content-length': 100 << 20 } }, done);
    request.on('error', fail);
    request.flushHeaders();
  });
  assert.equal(refused.statusCode, 413);
  refused.destroy();
  const chunk = Buffer.alloc(64 << 10, 'x');
  const outcome = await new Promise(done => {
    const request = http.request({ host: url.hostname, port: url.port, method: 'POST', path: '/process', headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked' } }, response => done(response.statusCode));
    request.on('error', () => done('closed'));
    let sent = 0;
    const write = () => {
      while (sent < 100 << 20) {
        sent += chunk.length;
        if (!request.write(chunk)) return request.once('drain', write);
      }
      request.end();
    };
    write();
  });
  assert.ok(outcome === 413 || outcome === 'closed', String(outcome));
  const within = await host.request('POST', '/process', { body: Buffer.concat([Buffer.from('{"x":"'), Buffer.alloc(1 << 20, 'x'), Buffer.from('"}')]), headers: { 'content-type': 'application/json' } });
  assertProblem(within, 413, 'body_too_large');
  assert.equal((await host.get('/healthz')).status, 200);
  if (!sanitized) assert.ok(residentKiB(host) - before < 8 << 10, `memory grew by ${residentKiB(host) - before} KiB`);
});

test('the bodies of all callers together have a limit', async t => {
  const host = await startHost(t, { plugins, conf: { 'http.conf': '[http]\nmax_body = 1M\nmax_bodies = 2M\n' } });
  const url = new URL(host.url);
  const half = Buffer.alloc(900 << 10, ' ');
  const slow = await Promise.all(Array.from({ length: 2 }, () => new Promise(done => {
    const socket = net.connect(Number(url.port), url.hostname, () => {
      socket.write(`POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${1 << 20}\r\n\r\n`);
      socket.write(half, () => done(socket));
    });
  })));
  await until(async () => await host.metric('exportd_http_body_bytes') === 2 << 20, 'both bodies in memory');
  const body = JSON.stringify({ task: 'echo', data: { x: 'x'.repeat(300 << 10) } });
  assertProblem(await host.request('POST', '/process', { body, headers: { 'content-type': 'application/json' } }), 503, 'bodies_full');
  for (const socket of slow) socket.destroy();
  await until(async () => await host.metric('exportd_http_body_bytes') === 0, 'room again');
  assert.equal((await host.request('POST', '/process', { body, headers: { 'content-type': 'application/json' } })).status, 202);
});

test('callers that break off, say nonsense or nothing leave the host as it was', async t => {
  const host = await startHost(t, { plugins, conf: { 'http.conf': '[http]\ntimeout = 1s\n' } });
  const url = new URL(host.url);
  const say = text => new Promise(done => {
    const socket = net.connect(Number(url.port), url.hostname, () => socket.write(text));
    let answer = '';
    socket.on('data', chunk => { answer += chunk; });
    socket.on('close', () => done(answer));
    socket.on('error', () => done(answer));
    setTimeout(() => socket.destroy(), 4000).unref();
  });
  const answers = await Promise.all([
    say('\0\0\0\0\r\n\r\n'), say('GET / HTTP/9.9\r\n\r\n'), say(`GET /${'a'.repeat(100_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`),
    say('POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"task":'),
    say('POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n'), say('GET /healthz HTTP/1.1\r\n'),
  ]);
  for (const answer of answers) assert.ok(!/^HTTP\/1\.1 (200|5(?!05))/.test(answer), answer.slice(0, 100));
  // breaks off while the job is being written
  for (let i = 0; i < 50; i++) {
    const socket = net.connect(Number(url.port), url.hostname, () => {
      socket.end('POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nPrefer: wait=10\r\nContent-Length: 38\r\n\r\n{"task":"pause_ms","data":{"ms":1000}}');
      socket.destroySoon();
    });
    socket.on('error', () => {});
  }
  assert.equal((await host.runJob({ task: 'noop' })).status, 'completed');
});

test('cancel and retry', async t => {
  const host = await startHost(t, { plugins, conf: { 'w.conf': '[worker]\nworkers = 1\n[jobs]\nmax_attempts = 1\n' } });
  await host.process_({ jobId: 'first', task: 'pause_ms', data: { ms: 60_000 } });
  for (let i = 0; i < 5; i++) await host.process_({ jobId: `waits-${i}`, task: 'noop' });
  await host.process_({ jobId: 'behind', task: 'pause_ms', data: { ms: 1 } });
  const cancelled = await host.request('DELETE', '/jobs/behind');
  assert.equal(cancelled.status, 202);
  assert.equal((await host.finished('behind')).status, 'cancelled');
  await host.request('DELETE', '/jobs/first');
  assert.equal((await host.finished('first')).status, 'cancelled');
  assertProblem(await host.request('DELETE', '/jobs/first'), 409, 'job_finished');
  assert.equal((await host.request('POST', '/jobs/behind/retry')).status, 202);
  assert.equal((await host.finished('behind')).status, 'completed');
  assertProblem(await host.request('POST', '/jobs/behind/retry'), 409, 'job_finished');
});

test('a job that waits in memory is pending, and is cancelled at once', async t => {
  const host = await startHost(t, { plugins, conf: { 'w.conf': '[worker]\nworkers = 1\n' } });
  await host.process_({ jobId: 'runs', task: 'pause_ms', data: { ms: 60_000 } });
  await until(async () => (await host.get('/jobs/runs')).json.status === 'running', 'its start');
  for (let i = 0; i < 3; i++) await host.process_({ jobId: `waits-${i}`, task: 'pause_ms', data: { ms: 1 } });
  const { json: { jobs } } = await host.get('/jobs');
  assert.deepEqual(jobs.map(job => [job.jobId, job.status, job.attempts, 'startedAt' in job]).sort(), [
    ['runs', 'running', 1, true], ['waits-0', 'pending', 0, false], ['waits-1', 'pending', 0, false], ['waits-2', 'pending', 0, false]]);
  for (let i = 0; i < 20; i++) {
    await host.process_({ jobId: `next-${i}`, task: 'noop' });
    await host.process_({ jobId: `ready-${i}`, task: 'echo' });
    assert.equal((await host.request('DELETE', `/jobs/ready-${i}`)).status, 202);
    assert.equal((await host.finished(`ready-${i}`)).status, 'cancelled');
  }
  await host.request('DELETE', '/jobs/runs');
  assert.equal((await host.finished('runs')).status, 'cancelled');
});

test('RETRY is tried again with growing waits, until it works or max_attempts', async t => {
  const host = await startHost(t, { plugins, conf: { 'jobs.conf': '[jobs]\nbackoff = 20ms\nbackoff_max = 100ms\nmax_attempts = 4\n' } });
  const works = await host.runJob({ task: 'flaky', data: { times: 3 } });
  assert.equal(works.status, 'completed', works.error);
  assert.deepEqual(works.result, { attempt: 4 });
  const fails = await host.runJob({ task: 'flaky', data: { times: 9 } });
  assert.equal(fails.status, 'failed');
  assert.equal(fails.attempts, 4);
  assert.equal(fails.errorCode, 'not_yet');
  const never = await host.runJob({ task: 'refuse' });
  assert.equal(never.attempts, 1, 'FAIL is not tried again');
});

test('priorities and run_at', async t => {
  const host = await startHost(t, { plugins, conf: { 'w.conf': '[worker]\nworkers = 1\n' } });
  await host.process_({ jobId: 'blocker', task: 'pause_ms', data: { ms: 600_000 } });
  await until(async () => (await host.get('/jobs/blocker')).json.status === 'running', 'what the others wait behind');
  for (let i = 0; i < 6; i++) await host.process_({ jobId: `low-${i}`, task: 'pause_ms', priority: -5, data: { ms: 1 } });
  await host.process_({ jobId: 'high', task: 'pause_ms', priority: 50, data: { ms: 1 } });
  const at = Date.now() + 1500;
  await host.process_({ jobId: 'later', task: 'pause_ms', runAt: new Date(at).toISOString(), data: { ms: 1 } });
  await host.request('DELETE', '/jobs/blocker');
  const high = await host.finished('high');
  const last = await host.finished('low-5');
  assert.ok(high.startedAt <= last.startedAt, `${high.startedAt} ${last.startedAt}`);
  const later = await host.finished('later');
  assert.ok(Date.parse(later.startedAt) >= Math.floor(at / 1000) * 1000);
});

test('server-sent events tell a job\'s progress and its end', async t => {
  const host = await startHost(t, { plugins });
  await host.process_({ jobId: 'e', task: 'obey_cancel' });
  await until(async () => (await host.get('/jobs/e')).json.status === 'running', 'its start');
  const url = new URL(host.url);
  const events = [];
  const ended = new Promise((done, fail) => {
    http.get({ host: url.hostname, port: url.port, path: '/jobs/e/events' }, response => {
      assert.match(response.headers['content-type'], /^text\/event-stream/);
      let text = '';
      response.on('data', chunk => {
        text += chunk;
        let end;
        while ((end = text.indexOf('\n\n')) >= 0) {
          const frame = Object.fromEntries(text.slice(0, end).split('\n').map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]));
          text = text.slice(end + 2);
          if (frame.event) events.push({ event: frame.event, data: JSON.parse(frame.data) });
        }
      });
      response.on('end', done);
      response.on('error', fail);
    });
  });
  await until(() => events.length > 0, 'the first event');
  await host.request('DELETE', '/jobs/e');
  await ended;
  assert.equal(events[0].event, 'state');
  assert.equal(events.at(-1).event, 'cancelled');
  assert.equal(events.at(-1).data.errorCode, 'cancelled');
});

test('another address without a token is refused at start; with one, it is asked for', async t => {
  const folder = temporaryFolder(t);
  const conf = confFolder(folder, { 'http.conf': '[http]\nlisten = 0.0.0.0:0\n' });
  const refused = run(['serve', '-c', conf], { env: { EXPORTD_HOST_STATE: join(folder, 's') } });
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /http\.conf:2: .*token/);
  const host = await startHost(t, { plugins, conf: { 'http.conf': '[http]\ntoken = sesame-sesame\n' } });
  assertProblem(await host.get('/jobs'), 401, 'token_missing');
  assertProblem(await host.get('/jobs', { headers: { authorization: 'Bearer wrong' } }), 401, 'token_missing');
  assertProblem(await host.process_({ task: 'noop' }), 401, 'token_missing');
  assert.equal((await host.get('/jobs', { headers: { authorization: 'Bearer sesame-sesame' } })).status, 200);
  assert.equal((await host.get('/healthz')).status, 200);
});

test('repros are found by id in the folder that conf.d names', async t => {
  const host = await startHost(t, { plugins: ['export-json'], conf: { 'repros.conf': `[repros]\nfolder = ${join(source, 'tests/data')}\n`, 'jobs.conf': '[jobs]\nmax_attempts = 1\n' } });
  const job = await host.runJob({ task: 'report', data: { format: 'json', repro_id: 'bootstrap-20184' } });
  assert.equal(job.status, 'completed', job.error);
  const missing = await host.runJob({ task: 'report', data: { format: 'json', repro_id: 'nobody' } });
  assert.equal(missing.errorCode, 'repro_not_found');
  const outside = await host.runJob({ task: 'report', data: { format: 'json', repro_id: '../package' } });
  assert.equal(outside.errorCode, 'repro_not_found');
});

test('pages of jobs show each once, also where they ended in another order than they came', async t => {
  const host = await startHost(t, { plugins });
  await host.process_({ jobId: 'slow', task: 'pause_ms', data: { ms: 700 } });
  const wanted = Array.from({ length: 25 }, (_, i) => `quick-${i}`);
  for (const jobId of wanted) await host.process_({ jobId, task: 'noop' });
  for (const id of ['slow', ...wanted]) await host.finished(id);
  for (const query of ['', '&state=completed', '&state=completed&route=noop']) {
    const seen = [];
    for (let path = `/jobs?limit=4${query}`; path;) {
      const { json } = await host.get(path);
      seen.push(...json.jobs.map(job => job.jobId));
      path = json.next && `/jobs?limit=4${query}&before=${json.next}`;
    }
    assert.deepEqual(seen.sort(), [...wanted, ...query.endsWith('noop') ? [] : ['slow']].sort(), query);
  }
});
