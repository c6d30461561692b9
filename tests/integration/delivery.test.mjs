// Callbacks: what receivers get, and what receivers that are down, slow, redirecting, endless or not allowed do to the host: nothing.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { Webhook } from 'standardwebhooks';
import { afterwards, patience, run, startHost, startReceiver, until } from '../support/host.mjs';

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const plugins = ['noop', 'misbehave'];

/** conf.d with fast retries that may reach this machine. webhook: lines that are added, or that take the place of these. */
function conf(webhook = {}, more = '') {
  const lines = { secret, allow: '127.0.0.1', backoff: '20ms', backoff_max: '100ms', ...webhook };
  const text = Object.entries(lines).filter(([, value]) => value !== null).map(([key, value]) => `${key} = ${value}\n`).join('');
  return { 'webhook.conf': `[webhook]\n${text}`, 'more.conf': `[jobs]\nmax_attempts = 1\n${more}` };
}

async function deliveriesOf(host, jobId) {
  const { json } = await host.get(`/deliveries?job=${encodeURIComponent(jobId)}`);
  return json.deliveries;
}

/** Waits until the job's newest delivery is as wanted. */
function delivery(host, jobId, wanted, limitMs = patience) {
  const good = typeof wanted === 'function' ? wanted : found => found.status === wanted;
  return until(async () => {
    const [newest] = await deliveriesOf(host, jobId);
    return newest && good(newest) && newest;
  }, `the delivery of ${jobId}`, limitMs);
}

async function submit(host, body) {
  const answer = await host.process_(body);
  assert.ok(answer.status === 202 || answer.status === 200, answer.text);
  return answer.json.jobId;
}

function command(host, ...args) {
  return run([...args, '-c', host.conf], { env: { EXPORTD_HOST_STATE: host.state } });
}

/** A TCP server that answers each connection with what talk(socket) does; counts connections. */
async function startRaw(t, talk, address = '127.0.0.1') {
  const sockets = new Set();
  const server = net.createServer(socket => {
    raw.connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    talk(socket);
  });
  const raw = { connections: 0, sockets };
  await new Promise(done => server.listen(0, address, done));
  raw.port = server.address().port;
  raw.url = `http://127.0.0.1:${raw.port}/`;
  afterwards(t, () => new Promise(done => { server.close(done); for (const socket of sockets) socket.destroy(); }));
  return raw;
}

/** Calls whenAsked once the request's head and body have come. */
function afterRequest(socket, whenAsked) {
  let text = '';
  socket.on('data', chunk => {
    text += chunk;
    const head = text.indexOf('\r\n\r\n');
    const length = /content-length: (\d+)/i.exec(text)?.[1];
    if (head >= 0 && text.length >= head + 4 + Number(length)) {
      text = '';
      whenAsked();
    }
  });
}

test('a completed job calls back exactly as documented, and the signature verifies', async t => {
  const host = await startHost(t, { plugins, conf: conf() });
  const receiver = await startReceiver(t);
  await submit(host, { jobId: 'job123', task: 'echo', data: { text: 'Grüße 🔎', deep: { a: [1, 2.5, null, true] } }, callbackUrl: `${receiver.url}/hook?x=1` });
  const [got] = await until(() => receiver.received.length && receiver.received, 'the callback');
  assert.deepEqual(Object.keys(got.json), ['jobId', 'status', 'result', 'processedAt', 'duration']);
  assert.equal(got.json.jobId, 'job123');
  assert.equal(got.json.status, 'completed');
  assert.deepEqual(got.json.result, { data: { text: 'Grüße 🔎', deep: { a: [1, 2.5, null, true] } } });
  assert.match(got.json.processedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.ok(Number.isInteger(got.json.duration) && got.json.duration >= 0);
  assert.equal(got.url, '/hook?x=1');
  assert.equal(got.headers['content-type'], 'application/json');
  assert.match(got.headers['webhook-id'], /^msg_[0-9a-f-]{36}$/);
  assert.ok(Math.abs(Number(got.headers['webhook-timestamp']) - Date.now() / 1000) < 60);
  assert.match(got.headers['webhook-signature'], /^v1,[A-Za-z0-9+/]{43}=$/);
  assert.match(got.headers['user-agent'], /^exportd\//);
  assert.deepEqual(new Webhook(secret).verify(got.body, got.headers), got.json);
  assert.throws(() => new Webhook(secret).verify(got.body.replace('job123', 'job124'), got.headers), /signature/i);
  assert.throws(() => new Webhook(secret).verify(got.body, { ...got.headers, 'webhook-id': 'msg_other' }), /signature/i);
  const { json: job } = await host.get('/jobs/job123');
  assert.equal(job.processedAt, got.json.processedAt);
  const arrived = await delivery(host, 'job123', 'delivered');
  assert.equal(arrived.id, got.headers['webhook-id']);
  assert.equal(arrived.attempts, 1);
});

test('a failed job calls back exactly as documented', async t => {
  const host = await startHost(t, { plugins, conf: conf() });
  const receiver = await startReceiver(t);
  await submit(host, { jobId: 'bad', task: 'refuse', callbackUrl: receiver.url });
  const [got] = await until(() => receiver.received.length && receiver.received, 'the callback');
  assert.deepEqual(Object.keys(got.json), ['jobId', 'status', 'error', 'errorCode', 'processedAt']);
  assert.equal(got.json.status, 'failed');
  assert.equal(got.json.errorCode, 'refused');
  assert.match(got.json.error, /it never works/);
  new Webhook(secret).verify(got.body, got.headers);
});

test('a cancelled job calls back as failed, with the code cancelled', async t => {
  const host = await startHost(t, { plugins, conf: conf({}, '[worker]\nworkers = 1\n') });
  const receiver = await startReceiver(t);
  await submit(host, { jobId: 'runs', task: 'obey_cancel', callbackUrl: receiver.url });
  await until(async () => (await host.get('/jobs/runs')).json.status === 'running', 'its start');
  await submit(host, { jobId: 'waits', task: 'echo', callbackUrl: receiver.url });
  for (const id of ['waits', 'runs']) assert.equal((await host.request('DELETE', `/jobs/${id}`)).status, 202);
  await until(() => receiver.received.length === 2, 'both callbacks');
  for (const got of receiver.received) {
    assert.deepEqual(Object.keys(got.json), ['jobId', 'status', 'error', 'errorCode', 'processedAt']);
    assert.equal(got.json.status, 'failed');
    assert.equal(got.json.errorCode, 'cancelled');
    new Webhook(secret).verify(got.body, got.headers);
  }
  assert.deepEqual(receiver.received.map(got => got.json.jobId).sort(), ['runs', 'waits']);
});

test('a secret that is plain text signs with its bytes', async t => {
  const host = await startHost(t, { plugins, conf: conf({ secret: 'correct horse battery staple' }) });
  const receiver = await startReceiver(t);
  await submit(host, { task: 'noop', callbackUrl: receiver.url });
  const [got] = await until(() => receiver.received.length && receiver.received, 'the callback');
  new Webhook('correct horse battery staple', { format: 'raw' }).verify(got.body, got.headers);
});

test('without a secret callbacks go unsigned, and the log says so', async t => {
  const host = await startHost(t, { plugins, conf: conf({ secret: null }) });
  const receiver = await startReceiver(t);
  await submit(host, { task: 'noop', callbackUrl: receiver.url });
  const [got] = await until(() => receiver.received.length && receiver.received, 'the callback');
  assert.equal(got.headers['webhook-signature'], undefined);
  assert.ok(got.headers['webhook-id'] && got.headers['webhook-timestamp']);
  assert.match(host.log, /unsigned: set \[webhook\] secret/);
});

test('the secret is nowhere in the log or in what the host tells', async t => {
  const host = await startHost(t, { plugins, conf: { ...conf({ retry_for: '0s' }), 'host.conf': '[host]\nlog_level = debug\n' } });
  const receiver = await startReceiver(t, (request, response) => { response.statusCode = 500; response.end(); });
  await submit(host, { jobId: 'told', task: 'echo', callbackUrl: receiver.url });
  await delivery(host, 'told', 'dead');
  const bare = secret.slice('whsec_'.length);
  const told = await Promise.all(['/jobs/told', '/jobs', '/deliveries', '/plugins', '/readyz', '/metrics'].map(async path => (await host.get(path)).text));
  for (const text of [host.log, ...told]) assert.ok(!text.includes(bare));
});

test('a receiver that is down, then up: its callback arrives, with one webhook-id throughout', async t => {
  const host = await startHost(t, { plugins, conf: conf() });
  const gone = await startReceiver(t);
  await gone.close();
  await submit(host, { jobId: 'early', task: 'noop', callbackUrl: gone.url });
  const waiting = await delivery(host, 'early', found => found.attempts >= 2);
  assert.equal(waiting.status, 'waiting');
  assert.match(waiting.lastError, /connect/i);
  const received = [];
  const server = http.createServer((request, response) => { received.push(request.headers); request.resume(); response.end(); });
  await new Promise(done => server.listen(Number(new URL(gone.url).port), '127.0.0.1', done));
  afterwards(t, () => new Promise(done => { server.close(done); server.closeAllConnections?.(); }));
  const arrived = await delivery(host, 'early', 'delivered');
  assert.equal(received[0]['webhook-id'], waiting.id);
  assert.equal(arrived.id, waiting.id);
  assert.equal(received.length, 1);
});

test('only 2xx arrive; what else is answered is tried again until it works', async t => {
  const host = await startHost(t, { plugins, conf: conf() });
  const statuses = [500, 404, 429, 204];
  const receiver = await startReceiver(t, (request, response, count) => { response.statusCode = statuses[count - 1] ?? 500; response.end(); });
  await submit(host, { jobId: 'tries', task: 'noop', callbackUrl: receiver.url });
  const arrived = await delivery(host, 'tries', 'delivered');
  assert.equal(arrived.attempts, 4);
  assert.equal(receiver.received.length, 4);
  assert.equal(new Set(receiver.received.map(got => got.headers['webhook-id'])).size, 1);
  assert.equal(new Set(receiver.received.map(got => got.body)).size, 1, 'each time the same body');
  for (const got of receiver.received) new Webhook(secret).verify(got.body, got.headers);
});

test('redirects are not followed: each is a failure, and their target is never asked', async t => {
  const host = await startHost(t, { plugins, conf: conf({ retry_for: '0s' }) });
  const target = await startReceiver(t);
  for (const status of [301, 302, 303, 307, 308]) {
    const receiver = await startReceiver(t, (request, response) => { response.writeHead(status, { location: `${target.url}/moved` }); response.end(); });
    await submit(host, { jobId: `moved-${status}`, task: 'noop', callbackUrl: receiver.url });
    const dead = await delivery(host, `moved-${status}`, 'dead');
    assert.match(dead.lastError, new RegExp(`answered ${status}, a redirect.*final URL`));
    assert.equal(receiver.received.length, 1);
  }
  assert.equal(target.received.length, 0);
});

test('Retry-After is honoured, as seconds and as a date', async t => {
  const host = await startHost(t, { plugins, conf: conf() });
  const later = [];
  const forms = { seconds: () => '3', date: () => new Date(Date.now() + 4000).toUTCString() };
  for (const [form, value] of Object.entries(forms)) {
    const receiver = await startReceiver(t, (request, response, count) => {
      if (count === 1) response.writeHead(503, { 'retry-after': value() });
      response.end();
    });
    await submit(host, { jobId: form, task: 'noop', callbackUrl: receiver.url });
    later.push([form, receiver]);
  }
  for (const [form, receiver] of later) {
    await until(() => receiver.received.length === 2, `the second attempt of ${form}`);
    const waited = receiver.received[1].at - receiver.received[0].at;
    assert.ok(waited >= (form === 'seconds' ? 2900 : 1900), `${form}: it waited ${waited} ms`);
  }
});

test('a Retry-After that is nonsense is passed over', async t => {
  const host = await startHost(t, { plugins, conf: conf() });
  for (const value of ['-5', 'soon', '99999999999999999999', '']) {
    const receiver = await startReceiver(t, (request, response, count) => {
      if (count === 1) response.writeHead(value.startsWith('9') ? 410 : 503, { 'retry-after': value });
      response.end();
    });
    const id = await submit(host, { task: 'noop', callbackUrl: receiver.url });
    await delivery(host, id, value.startsWith('9') ? 'dead' : 'delivered');
  }
});

test('410 is final; exportd deliveries shows it, and retry sends it again under the same webhook-id', async t => {
  const host = await startHost(t, { plugins, conf: conf() });
  let open = false;
  const receiver = await startReceiver(t, (request, response) => { response.statusCode = open ? 200 : 410; response.end(); });
  await submit(host, { jobId: 'gone', task: 'noop', callbackUrl: receiver.url });
  await submit(host, { jobId: 'none', task: 'noop' });
  const dead = await delivery(host, 'gone', 'dead');
  assert.equal(dead.attempts, 1);
  assert.match(dead.lastError, /410/);
  const listed = command(host, 'deliveries', '--dead');
  assert.equal(listed.code, 0, listed.stderr);
  assert.match(listed.stdout, /DELIVERY +JOB +STATUS/);
  assert.ok(listed.stdout.includes(dead.id) && listed.stdout.includes('410'));
  assert.deepEqual(JSON.parse(command(host, 'deliveries', '--dead', '--json').stdout).deliveries.map(found => found.id), [dead.id]);
  open = true;
  const again = command(host, 'deliveries', 'retry', dead.id);
  assert.equal(again.code, 0, again.stderr);
  await delivery(host, 'gone', 'delivered');
  assert.deepEqual(receiver.received.map(got => got.headers['webhook-id']), [dead.id, dead.id]);
  new Webhook(secret).verify(receiver.received[1].body, receiver.received[1].headers);
  assert.equal(JSON.parse(command(host, 'deliveries', '--dead', '--json').stdout).deliveries.length, 0);
  const unknown = command(host, 'deliveries', 'retry', 'msg_nobody');
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /no delivery of that id/);
});

test('a receiver that never works is given up when retry_for has passed, after growing waits', async t => {
  const host = await startHost(t, { plugins, conf: conf({ retry_for: '3s', backoff: '100ms', backoff_max: '10s' }) });
  const receiver = await startReceiver(t, (request, response) => { response.statusCode = 500; response.end(); });
  await submit(host, { jobId: 'never', task: 'noop', callbackUrl: receiver.url });
  const dead = await delivery(host, 'never', 'dead');
  assert.ok(dead.attempts >= 2, String(dead.attempts));
  assert.equal(receiver.received.length, dead.attempts);
  assert.equal(dead.lastError, 'the receiver answered 500');
  assert.match(host.log, /given up, send it again with: exportd deliveries retry/);
  assert.equal(await host.metric('exportd_deliveries_dead_total'), 1);
});

test('one job has one webhook-id; its retry has another', async t => {
  const host = await startHost(t, { plugins, conf: conf() });
  const receiver = await startReceiver(t, (request, response, count) => { response.statusCode = count % 2 ? 500 : 200; response.end(); });
  await submit(host, { jobId: 'again', task: 'refuse', callbackUrl: receiver.url });
  await delivery(host, 'again', 'delivered');
  const retried = command(host, 'retry', 'again');
  assert.equal(retried.code, 0, retried.stderr);
  await until(async () => {
    const all = await deliveriesOf(host, 'again');
    return all.length === 2 && all.every(found => found.status === 'delivered');
  }, 'the second callback');
  const ids = receiver.received.map(got => got.headers['webhook-id']);
  assert.equal(ids.length, 4);
  assert.equal(ids[0], ids[1]);
  assert.equal(ids[2], ids[3]);
  assert.notEqual(ids[0], ids[2]);
});

test('an answer without end is cut, and its 2xx counts', async t => {
  const host = await startHost(t, { plugins, conf: conf({ max_response: '64K' }) });
  const block = Buffer.alloc(65536, 'x');
  let sent = 0;
  const endless = await startRaw(t, socket => afterRequest(socket, () => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    const pour = () => { while (!socket.destroyed && socket.write(`10000\r\n${block}\r\n`)) sent += block.length; };
    socket.on('drain', pour);
    pour();
  }));
  await submit(host, { jobId: 'endless', task: 'noop', callbackUrl: endless.url });
  assert.equal((await delivery(host, 'endless', 'delivered')).attempts, 1);
  await until(() => endless.sockets.size === 0, 'the end of the connection');
  assert.ok(sent < 64 << 20, `it read ${sent} bytes`);
});

test('an answer that stalls or breaks off in its body has arrived', async t => {
  const host = await startHost(t, { plugins, conf: conf({ timeout: '1s' }) });
  const stalling = await startRaw(t, socket => afterRequest(socket, () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf')));
  const breaking = await startRaw(t, socket => afterRequest(socket, () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf')));
  await submit(host, { jobId: 'stalls', task: 'noop', callbackUrl: stalling.url });
  await submit(host, { jobId: 'breaks', task: 'noop', callbackUrl: breaking.url });
  assert.equal((await delivery(host, 'stalls', 'delivered')).attempts, 1);
  assert.equal((await delivery(host, 'breaks', 'delivered')).attempts, 1);
});

test('what is no HTTP, breaks off before a status, or has a head without end is a failure', async t => {
  const host = await startHost(t, { plugins, conf: conf({ retry_for: '0s', timeout: '2s' }) });
  const answers = {
    nonsense: socket => socket.end('\0\x01\x02 hello\r\n\r\n'),
    closes: socket => socket.destroy(),
    smtp: socket => socket.end('220 mail.example ESMTP\r\n'),
    endless: socket => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const pour = () => { while (!socket.destroyed && socket.write(`X-More: ${'y'.repeat(1000)}\r\n`)); };
      socket.on('drain', pour);
      pour();
    },
  };
  for (const [name, answer] of Object.entries(answers)) {
    const raw = await startRaw(t, socket => afterRequest(socket, () => answer(socket)));
    await submit(host, { jobId: name, task: 'noop', callbackUrl: raw.url });
    const dead = await delivery(host, name, 'dead');
    assert.ok(dead.lastError, name);
  }
  assert.equal((await host.get('/healthz')).status, 200);
});

test('a receiver that hangs times out, and holds up no other', async t => {
  const host = await startHost(t, { plugins, conf: conf({ timeout: '4s', retry_for: '0s' }) });
  const hanging = await startRaw(t, () => {});
  const good = await startReceiver(t);
  for (let i = 0; i < 8; i++) await submit(host, { jobId: `hangs-${i}`, task: 'noop', callbackUrl: hanging.url });
  await until(() => hanging.connections > 0, 'the connection');
  const ids = await Promise.all(Array.from({ length: 100 }, (_, i) => submit(host, { jobId: `good-${i}`, task: 'noop', callbackUrl: good.url })));
  await until(() => good.received.length === ids.length, 'the good ones');
  assert.equal(new Set(good.received.map(got => got.json.jobId)).size, ids.length);
  const first = await delivery(host, 'hangs-0', 'dead');
  assert.match(first.lastError, /time/i);
});

test('a pile of callbacks to a receiver that hangs holds up no other', async t => {
  const host = await startHost(t, { plugins, conf: conf({ timeout: '20s', concurrency: '8' }) });
  const hanging = await startRaw(t, () => {});
  const good = await startReceiver(t);
  for (let i = 0; i < 60; i++) await submit(host, { jobId: `hangs-${i}`, task: 'noop', callbackUrl: hanging.url });
  for (let i = 0; i < 60; i++) await host.finished(`hangs-${i}`);
  await until(() => hanging.connections >= 6, 'the connections');
  for (let i = 0; i < 30; i++) await submit(host, { jobId: `good-${i}`, task: 'noop', callbackUrl: good.url });
  await until(() => good.received.length === 30, 'the good ones');
  assert.equal(await host.metric('exportd_delivery_failures_total'), 0, 'before the first attempt timed out');
});

test('addresses that are not public are refused without a connection, however they are written', async t => {
  const host = await startHost(t, { plugins, conf: conf({ allow: null, retry_for: '0s' }) });
  const target = await startRaw(t, () => {}, '::');
  const { port } = target;
  const hosts = ['127.0.0.1', '127.1', '127.255.255.254', 'localhost', 'LOCALHOST.', 'x.localhost', '2130706433', '0x7f000001', '017700000001', '0x7f.1', '0177.0.0.1',
    '[::1]', '[0:0:0:0:0:0:0:1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]', '[64:ff9b::127.0.0.1]', '[2002:7f00:1::]', '0.0.0.0', '0', '[::]',
    '169.254.169.254', '10.0.0.1', '172.16.0.1', '192.168.1.1', '100.64.0.1', '224.0.0.1', '255.255.255.255', '[fe80::1]', '[fc00::1]', '[ff02::1]', 'user:pass@127.0.0.1'];
  const ids = await Promise.all(hosts.map((name, i) => submit(host, { jobId: `guard-${i}`, task: 'noop', callbackUrl: `http://${name}:${port}/` })));
  for (const [i, id] of ids.entries()) {
    const dead = await delivery(host, id, 'dead');
    assert.match(dead.lastError, /is not public; to allow it, add it to \[webhook\] allow|resolve/, `${hosts[i]}: ${dead.lastError}`);
    if (!/localhost/i.test(hosts[i])) assert.match(dead.lastError, /is not public/, `${hosts[i]}: ${dead.lastError}`);
  }
  assert.equal(target.connections, 0);
});

test('allow takes addresses and blocks, v4 and v6, and only those', async t => {
  const receiver = await startReceiver(t);
  const { port } = new URL(receiver.url);
  for (const [allow, open] of [['127.0.0.0/8', true], ['10.0.0.0/8, 127.0.0.1', true], ['127.0.0.1/32', true], ['127.0.0.2', false], ['128.0.0.0/1', false], ['::1', false], ['::/0', false]]) {
    const host = await startHost(t, { plugins, conf: conf({ allow, retry_for: '0s' }) });
    const id = await submit(host, { task: 'noop', callbackUrl: `http://127.0.0.1:${port}/` });
    assert.equal((await delivery(host, id, found => found.status !== 'waiting')).status, open ? 'delivered' : 'dead', allow);
    await host.stop();
  }
});

test('a name with a refused and an allowed address reaches the allowed one', async t => {
  const receiver = await startReceiver(t);
  const host = await startHost(t, { plugins, conf: conf({ allow: '127.0.0.1', retry_for: '0s' }) });
  const id = await submit(host, { task: 'noop', callbackUrl: `http://localhost:${new URL(receiver.url).port}/` });
  await delivery(host, id, 'delivered');
});

test('a proxy in the environment is not used', async t => {
  const proxy = await startReceiver(t);
  const receiver = await startReceiver(t);
  const env = Object.fromEntries(['http_proxy', 'https_proxy', 'all_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'].map(name => [name, proxy.url]));
  const host = await startHost(t, { plugins, conf: conf({ retry_for: '0s' }), env: { ...env, no_proxy: '', NO_PROXY: '' } });
  const allowed = await submit(host, { task: 'noop', callbackUrl: receiver.url });
  await delivery(host, allowed, 'delivered');
  const refused = await submit(host, { task: 'noop', callbackUrl: 'http://10.1.2.3/' });
  await delivery(host, refused, 'dead');
  assert.equal(receiver.received.length, 1);
  assert.equal(proxy.received.length, 0);
});

test('credentials in the URL go to the receiver, and not into the log', async t => {
  const host = await startHost(t, { plugins, conf: conf({}) });
  const receiver = await startReceiver(t, (request, response, count) => { response.statusCode = count === 1 ? 500 : 200; response.end(); });
  const id = await submit(host, { task: 'noop', callbackUrl: receiver.url.replace('http://', 'http://anna:pa%24%24word@') });
  await delivery(host, id, 'delivered');
  assert.equal(receiver.received[1].headers.authorization, `Basic ${Buffer.from('anna:pa$$word').toString('base64')}`);
  assert.ok(!host.log.includes('word@') && !host.log.includes('pa$$word'));
});

test('a large result arrives whole', async t => {
  const host = await startHost(t, { plugins, conf: conf() });
  const receiver = await startReceiver(t);
  const text = 'Ü'.repeat(1_500_000);
  await submit(host, { task: 'echo', data: { text }, callbackUrl: receiver.url });
  const [got] = await until(() => receiver.received.length && receiver.received, 'the callback');
  assert.equal(got.json.result.data.text, text);
  new Webhook(secret).verify(got.body, got.headers);
});

for (const [what, end] of [['SIGTERM', host => host.stop()], ['kill -9', host => host.kill()]]) {
  test(`callbacks that wait at a ${what} arrive after the next start, with their webhook-ids`, async t => {
    const host = await startHost(t, { plugins, conf: conf({ backoff: '1s', backoff_max: '1s' }) });
    let open = false;
    const hung = [];
    const receiver = await startReceiver(t, (request, response) => {
      if (open) response.end();
      else if (receiver.received.length % 2) hung.push(response);
      else { response.statusCode = 503; response.end(); }
    });
    const ids = Array.from({ length: 20 }, (_, i) => `pending-${i}`);
    for (const jobId of ids) await submit(host, { jobId, task: 'echo', callbackUrl: receiver.url });
    for (const id of ids) await host.finished(id);
    await until(() => receiver.received.length >= 10, 'some attempts');
    await end(host);
    open = true;
    const before = receiver.received.length;
    await host.start();
    const arrived = () => receiver.received.slice(before);
    await until(() => new Set(arrived().map(got => got.json.jobId)).size === ids.length, 'all callbacks');
    for (const id of ids) await delivery(host, id, 'delivered');
    const idsOf = new Map();
    for (const got of receiver.received) {
      new Webhook(secret).verify(got.body, got.headers);
      idsOf.set(got.json.jobId, (idsOf.get(got.json.jobId) ?? new Set()).add(got.headers['webhook-id']));
    }
    for (const id of ids) assert.equal(idsOf.get(id).size, 1, id);
  });
}
