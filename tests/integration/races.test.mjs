// What comes at the worst moment: while a job is being claimed or pruned, while the host ends, while a name is looked up.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import { join } from 'node:path';
import { afterwards, build, patience, sanitized, startHost, startReceiver, until } from '../support/host.mjs';

/** A connection that sends requests again and again, without waiting for answers, until it is closed. */
function hammer(url, requests) {
  const { hostname, port } = new URL(url);
  const socket = net.connect(Number(port), hostname);
  let turn = 0;
  const more = () => { if (!socket.destroyed && socket.writable) socket.write(requests[turn++ % requests.length]); };
  socket.on('connect', () => { for (let i = 0; i < 4; i++) more(); });
  socket.on('data', more);
  socket.on('error', () => {});
  return socket;
}

const text = (method, path, body) => `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${body ? `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` : ''}\r\n${body ?? ''}`;

test('a cancel that is answered with 202 cancels, even while the job is being claimed', async t => {
  const host = await startHost(t, { plugins: ['misbehave'], conf: { 'w.conf': '[worker]\nworkers = 4\ntimeout = 60s\n[jobs]\nmax_attempts = 1\n' } });
  const { hostname, port } = new URL(host.url);
  const connect = () => new Promise(done => { const socket = net.connect(Number(port), hostname, () => done(socket.setNoDelay())); });
  const [first, second] = await Promise.all([connect(), connect()]);
  afterwards(t, () => { first.destroy(); second.destroy(); });
  const answer = socket => new Promise(done => socket.once('data', bytes => done(Number(bytes.toString().slice(9, 12)))));
  let waited = 0;
  const pad = 'x'.repeat(4 << 20); // so that the commit takes a while
  for (let round = 0; round < 12; round++) {
    const jobId = `round-${round}`;
    first.write(text('POST', '/process', JSON.stringify({ jobId, task: 'obey_cancel', data: { pad } })));
    const accepted = answer(first);
    let status;
    do {
      second.write(text('DELETE', `/jobs/${jobId}`));
      status = await answer(second);
    } while (status === 404);
    assert.equal(status, 202);
    await accepted;
    const began = Date.now();
    assert.equal((await host.finished(jobId)).status, 'cancelled', jobId);
    waited += Date.now() - began;
  }
  assert.ok(waited < 3000, `at once, and not at some later look into the store: ${waited} ms`);
});

for (const round of Array(sanitized ? 4 : 8).keys())
  test(`a host that ends under fire ends well, and in time (${round + 1})`, async t => {
    const receiver = await startReceiver(t, (request, response) => { response.statusCode = 500; response.end(); });
    const host = await startHost(t, {
      plugins: ['misbehave', 'noop'],
      conf: { 'w.conf': '[worker]\nworkers = 2\n[jobs]\nmax_attempts = 1\n[webhook]\nallow = 127.0.0.1\nbackoff = 10s\n[host]\ndrain_timeout = 2s\n' },
    });
    await host.runJob({ jobId: 'done', task: 'noop', data: {}, callbackUrl: receiver.url });
    const delivery = await until(async () => (await host.get('/deliveries')).json.deliveries[0], 'the delivery');
    for (let i = 0; i < 200; i++) await host.process_({ jobId: `waits-${i}`, task: 'pause_ms', data: { ms: 300 }, callbackUrl: receiver.url });
    const sockets = [];
    afterwards(t, () => { for (const socket of sockets) socket.destroy(); });
    for (let i = 0; i < 40; i++)
      sockets.push(hammer(host.url, [
        text('DELETE', `/jobs/waits-${i * 5}`), text('GET', '/jobs/done'), text('POST', `/deliveries/${delivery.id}/retry`), text('DELETE', '/jobs/nothing'), text('GET', '/metrics'),
        text('POST', `/jobs/waits-${i * 5}/retry`), text('GET', '/jobs'), text('GET', '/deliveries'), text('POST', '/process', JSON.stringify({ task: 'noop', data: {} })), text('GET', '/readyz'),
      ]));
    await new Promise(done => setTimeout(done, 300));
    const began = Date.now();
    host.process.kill('SIGTERM');
    const end = await Promise.race([host.exited, new Promise(done => setTimeout(done, Math.min(15000, patience), 'it runs on'))]);
    assert.deepEqual(end, { code: 0, signal: null }, host.log.slice(-3000));
    assert.doesNotMatch(host.log, /Sanitizer/);
    assert.ok(Date.now() - began < 7000, `${Date.now() - began} ms`);
  });

test('a name server that does not answer holds up neither the loop nor the end', { skip: sanitized && 'the sanitizer must be loaded first' }, async t => {
  const host = await startHost(t, { plugins: ['noop'], env: { LD_PRELOAD: join(build, 'tools/slow-dns.so') }, conf: { 'w.conf': '[webhook]\ntimeout = 1s\n' } });
  await host.runJob({ task: 'noop', data: {}, callbackUrl: 'http://slow.invalid/' });
  await until(async () => {
    const began = Date.now();
    await host.get('/healthz');
    assert.ok(Date.now() - began < 3000, `/healthz took ${Date.now() - began} ms`);
    return (await host.metric('exportd_delivery_failures_total')) > 0;
  }, 'the time limit of the callback');
  await host.runJob({ task: 'noop', data: {}, callbackUrl: 'http://slow.invalid/' });
  await until(async () => (await host.metric('exportd_deliveries_sending')) > 0, 'the second callback');
  const began = Date.now();
  await host.stop();
  assert.ok(Date.now() - began < 3000, `the end took ${Date.now() - began} ms`);
});

test('a job that takes the id of one that is being pruned keeps its artifacts', async t => {
  const host = await startHost(t, { plugins: ['export-json'], conf: { 'j.conf': '[jobs]\nretention = 1s\n[worker]\nworkers = 2\n' } });
  const repro = { id: '1', title: 'It breaks', test: { path: 'a.spec.js', code: '//' } };
  const submit = jobId => host.process_({ jobId, task: 'report', data: { format: 'json', repro } });
  const ids = Array.from({ length: 300 }, (_, i) => `job-${i}`);
  for (const id of ids) await submit(id);
  const last = ids.at(-1);
  await host.finished(last);
  for (let round = 0; round < 3; round++) {
    await until(async () => (await host.get(`/jobs/${last}`)).status === 404, 'its pruning');
    await submit(last);
    const job = await host.finished(last);
    await new Promise(done => setTimeout(done, 300));
    const { status } = await host.get(new URL(job.result.artifacts[0].url).pathname);
    if ((await host.get(`/jobs/${last}`)).status === 200) assert.equal(status, 200, 'the artifact of a job that is kept');
    for (const id of ids) await submit(id);
  }
});
