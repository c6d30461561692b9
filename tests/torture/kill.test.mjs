// kill -9 of the host in the middle of 1,000 jobs, ten times over: every accepted job ends exactly once in the store, and every callback
// arrives, with one webhook-id per job.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { Host, patience, source, startReceiver, until } from '../support/host.mjs';

const JOBS = 1000;
const KILLS = 10;
const CALLERS = 16;
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const repro = JSON.parse(readFileSync(join(source, 'tests/data/search-4711.json')));

/** A port that stays the same over all starts, below those that the kernel hands to clients. */
async function freePort() {
  for (;;) {
    const port = 20000 + Math.floor(Math.random() * 10000);
    const server = net.createServer();
    const free = await new Promise(done => server.once('error', () => done(false)).listen(port, '127.0.0.1', () => done(true)));
    if (free) {
      await new Promise(done => server.close(done));
      return port;
    }
  }
}

function makeJob(number, callbackUrl) {
  const base = { jobId: `job-${number}`, callbackUrl };
  switch (number % 10) {
    case 0: return { ...base, task: 'report', data: { format: 'json', repro: { ...repro, id: `repro-${number}` } } };
    case 1: case 2: case 3: return { ...base, task: 'pause_ms', data: { ms: 1 + number % 30 } };
    case 4: case 5: return { ...base, task: 'flaky', data: { times: 1 } };
    case 6: return { ...base, task: 'echo', data: { number } };
    default: return { ...base, task: 'noop' };
  }
}

const attemptsOf = number => [4, 5].includes(number % 10) ? 2 : 1;

function workersOf(pid) {
  return execFileSync('ps', ['-eo', 'args='], { encoding: 'utf8' }).split('\n').filter(line => line.includes(`exportd-worker ${pid} `));
}

test(`kill -9, ${KILLS} times over in the middle of ${JOBS} jobs`, { timeout: 10 * patience }, async t => {
  const receiver = await startReceiver(t);
  const host = new Host(t, {
    plugins: ['noop', 'misbehave', 'export-json'],
    env: { EXPORTD_HTTP_LISTEN: `127.0.0.1:${await freePort()}` },
    conf: {
      'jobs.conf': '[jobs]\nbackoff = 10ms\nbackoff_max = 50ms\n',
      'webhook.conf': `[webhook]\nsecret = ${secret}\nallow = 127.0.0.1\nbackoff = 10ms\nbackoff_max = 50ms\n`,
    },
  });
  await host.start();

  // Callers believe nothing but an answer that came whole; else they send the same request again.
  let next = 0, accepted = 0, resubmitted = 0;
  async function caller() {
    while (next < JOBS) {
      const body = makeJob(next++, receiver.url);
      await until(async () => {
        try {
          const { status, text } = await host.process_(body);
          if (status === 202 || status === 200) return true;
          assert.ok(status >= 500, `${status}: ${text}`);
        } catch (error) {
          if (error instanceof assert.AssertionError) throw error;
        }
        resubmitted++;
        return false;
      }, `acceptance of ${body.jobId}`);
      accepted++;
    }
  }
  const callers = Promise.all(Array.from({ length: CALLERS }, caller));

  const dead = [];
  for (let i = 1; i <= KILLS; i++) {
    await until(() => accepted >= Math.min(i * JOBS / (KILLS + 2), JOBS), `job ${i * JOBS / (KILLS + 2)}`);
    await new Promise(done => setTimeout(done, Math.random() * 40));
    const { pid } = host.process;
    await host.kill();
    dead.push(pid);
    await until(() => workersOf(pid).length === 0, 'the end of the dead host\'s workers');
    await host.start();
  }
  await callers;
  assert.equal(accepted, JOBS);
  t.diagnostic(`${resubmitted} requests were sent again`);

  const reports = [];
  for (let number = 0; number < JOBS; number++) {
    const job = await host.finished(`job-${number}`, 2 * patience);
    assert.equal(job.status, 'completed', JSON.stringify(job));
    assert.equal(job.attempts, attemptsOf(number), `job-${number}: a host that dies costs no attempt`);
    if (job.route === 'report/json') reports.push(job);
    if (job.task === 'echo') assert.deepEqual(job.result, { data: { number } });
  }
  assert.equal(reports.length, JOBS / 10);

  // One row each, and nothing besides.
  const ids = [];
  for (let path = '/jobs?limit=400'; path;) {
    const { json } = await host.get(path);
    ids.push(...json.jobs.map(job => job.jobId));
    path = json.next && `/jobs?limit=400&before=${json.next}`;
  }
  assert.equal(ids.length, JOBS);
  assert.equal(new Set(ids).size, JOBS);
  for (const state of ['pending', 'running', 'failed', 'cancelled'])
    assert.deepEqual((await host.get(`/jobs?state=${state}`)).json.jobs, [], state);

  // At least one callback each, all with the one webhook-id that the store has for it.
  const webhookIds = new Map();
  await until(() => new Set(receiver.received.map(got => got.json.jobId)).size === JOBS, 'the last callback');
  for (const got of receiver.received) {
    const told = new Webhook(secret).verify(got.body, got.headers);
    assert.equal(told.status, 'completed');
    webhookIds.set(told.jobId, (webhookIds.get(told.jobId) ?? new Set()).add(got.headers['webhook-id']));
  }
  for (const id of ids) {
    assert.equal(webhookIds.get(id).size, 1, `${id} has one webhook-id`);
    const deliveries = await until(async () => {
      const { json } = await host.get(`/deliveries?job=${id}`);
      return json.deliveries.every(delivery => delivery.status === 'delivered') && json.deliveries;
    }, `the delivery of ${id}`);
    assert.deepEqual(deliveries.map(delivery => delivery.id), [...webhookIds.get(id)]);
  }
  t.diagnostic(`${receiver.received.length} callbacks for ${JOBS} jobs`);

  for (const job of reports) {
    assert.ok(job.result.artifacts.length > 0);
    for (const artifact of job.result.artifacts) {
      assert.ok(artifact.url.startsWith(`${host.url}/`), artifact.url);
      const { status, bytes } = await host.get(new URL(artifact.url).pathname);
      assert.equal(status, 200);
      assert.equal(bytes.length, artifact.bytes);
      assert.equal(createHash('sha256').update(bytes).digest('hex'), artifact.sha256);
    }
  }

  for (const pid of dead) assert.deepEqual(workersOf(pid), [], 'no worker outlives its host');
  await until(() => !existsSync(join(host.state, 'work.old')), 'the removal of old workspaces');
  const own = new RegExp(`-${host.process.pid}-\\d+$`);
  for (const name of readdirSync(join(host.state, 'work'))) assert.match(name, own, 'a workspace of a dead host is left');
  for (const name of readdirSync(join(host.state, 'artifacts'))) assert.match(name, /^job-\d+0$|^job-0$/);
});
