// NATS servers and hosts that die, fall silent, come late, or have no JetStream.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { afterwards, patience, sanitized, startHost, until } from '../support/host.mjs';
import { Caller, at, connected, count, missing, ready, startNats } from '../support/nats.mjs';

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

/** A way to the server that holds back what the host says from the mark on: {url, holds(): whether it does, release()}. */
async function holdFrom(t, server, mark) {
  let open = false;
  const waiting = [], ends = [];
  const way = net.createServer(host => {
    const peer = net.connect(server.port, '127.0.0.1');
    ends.push(host, peer);
    for (const [from, to] of [[host, peer], [peer, host]]) from.on('error', () => to.destroy()).on('close', () => to.destroy());
    peer.pipe(host);
    host.on('data', bytes => {
      if (open || (waiting.length === 0 && !bytes.includes(mark))) return peer.write(bytes);
      return waiting.push(() => peer.write(bytes));
    });
  });
  await new Promise(done => way.listen(0, '127.0.0.1', done));
  afterwards(t, () => { way.close(); for (const end of ends) end.destroy(); });
  const release = () => { open = true; for (const write of waiting) write(); };
  return { url: `nats://127.0.0.1:${way.address().port}`, holds: () => waiting.length > 0, release };
}

test('without a stream that keeps requests, a host is not ready before the server knows that it takes them', async t => {
  const server = await startNats(t, { jetstream: false });
  const caller = await Caller.connect(t, server.url);
  const way = await holdFrom(t, server, 'SUB export.request');
  const host = await startHost(t, at(way, { nats: 'jetstream = off\n' }));
  await until(way.holds, 'the subscription');
  assert.match(await missing(host), /not confirmed the subscriptions/);
  way.release();
  await ready(host);
  assert.equal((await caller.answer(caller.request('noop').export_id)).subject, 'export.completed');
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
