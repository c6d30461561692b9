// Jobs that are sent ahead to a worker whose last ones were short: each runs once, wherever it ends up.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, startHost, until } from '../support/host.mjs';

const settings = (workers, more = '') => `[plugin brisk]\ncache = brisk\nworkers = ${workers}\n${more}[jobs]\nmax_attempts = 1\n`;
const start = (t, workers, more) => startHost(t, { plugins: ['brisk'], conf: { 'b.conf': settings(workers, more) } });
const running = host => host.metric('exportd_jobs_running');
const begun = host => readFileSync(join(host.state, 'cache/brisk/begun'), 'utf8').trim().split('\n').sort();

let serial = 0;
/** Hands in jobs of these data, and returns their ids. */
async function hand(host, list) {
  const ids = list.map(() => `job-${++serial}`);
  for (let i = 0; i < ids.length; i += 40)
    await Promise.all(ids.slice(i, i + 40).map((jobId, k) => host.process_({ jobId, task: 'brisk', data: list[i + k] })));
  return ids;
}

/** The last that were handed in, as the host took them: on several connections they overtake each other. */
async function asTaken(host, ids) {
  const { json: { jobs } } = await host.get(`/jobs?limit=${ids.length}`);
  const taken = jobs.map(({ jobId }) => jobId).reverse();
  assert.deepEqual([...taken].sort(), [...ids].sort());
  return taken;
}

const short = count => Array.from({ length: count }, () => ({}));

/** Until some were sent ahead: more run than there are workers. Returns the ids of the jobs that it took. */
async function warm(host, workers) {
  const ids = [];
  await until(async () => {
    const blocking = Array.from({ length: workers }, () => ({ ms: 300 }));
    const these = await hand(host, [...blocking, ...short(600)]);
    ids.push(...these);
    let most = 0, last;
    do {
      most = Math.max(most, await running(host));
      last = (await host.get(`/jobs/${these.at(-1)}`)).json;
    } while (last.status !== 'completed');
    return most > workers;
  }, 'jobs that are sent ahead');
  for (const id of ids) assert.equal((await host.finished(id)).status, 'completed', id);
  return ids;
}

const workerOf = host => Number(execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n')
  .find(line => line.includes(`exportd-worker ${host.process.pid} brisk`)).trim().split(' ')[0]);

const ends = (host, ids) => Promise.all(ids.map(id => host.finished(id)));

test('short jobs are sent ahead, and each runs once, one after the other', async t => {
  const host = await start(t, 1);
  const ids = await warm(host, 1);
  assert.deepEqual(begun(host), ids.sort());
  assert.equal(await running(host), 0);
  assert.equal(await host.metric('exportd_workers_started_total{plugin="brisk"}'), 1);
});

test('those behind a long job run elsewhere meanwhile', async t => {
  const host = await start(t, 2);
  const ids = await warm(host, 2);
  for (let round = 0; round < 3; round++) {
    const list = short(120);
    list[40] = { ms: 4000 };
    const these = await hand(host, list);
    ids.push(...these);
    const all = await ends(host, these), long = all[40];
    assert.ok(all.every(job => job.status === 'completed'));
    for (const job of all) if (job !== long) assert.ok(job.processedAt < long.processedAt, `${job.jobId} waited for ${long.jobId}`);
  }
  assert.deepEqual(begun(host), ids.sort());
});

test('a crash costs the job that crashed, and none behind it', async t => {
  const host = await start(t, 1);
  const ids = await warm(host, 1);
  const list = short(200).map((data, i) => (i % 25 === 24 ? { crash: true } : data));
  const these = await hand(host, list);
  const all = await ends(host, these);
  all.forEach((job, i) => assert.equal(job.status, list[i].crash ? 'failed' : 'completed', `${job.jobId}: ${job.errorCode}`));
  assert.ok(all.every(job => job.attempts === 1));
  assert.deepEqual(begun(host), [...ids, ...these].sort());
});

test('a worker that is killed takes one job with it', async t => {
  const host = await start(t, 1);
  const ids = await warm(host, 1);
  const list = short(120);
  list[30] = { ms: 60_000 };
  const these = await hand(host, list);
  await until(() => begun(host).includes(these[30]), 'the long job');
  process.kill(workerOf(host), 'SIGKILL');
  const all = await ends(host, these);
  all.forEach((job, i) => assert.equal(job.status, i === 30 ? 'failed' : 'completed', `${job.jobId}: ${job.errorCode}`));
  assert.deepEqual(begun(host), [...ids, ...these].sort());
});

test('a worker that sleeps while what is behind its job is recalled does that job when it wakes', async t => {
  const host = await start(t, 1);
  const ids = await warm(host, 1);
  for (let round = 0; round < 3; round++) {
    const pid = workerOf(host);
    process.kill(pid, 'SIGSTOP');
    const these = await hand(host, short(40));
    ids.push(...these);
    const last = (await asTaken(host, these)).at(-1);
    if (round > 0) await host.request('DELETE', `/jobs/${last}`); // one that waits here, or in the worker
    await new Promise(done => setTimeout(done, 500)); // the host looks five times a second
    process.kill(pid, 'SIGCONT');
    const all = await ends(host, these);
    all.forEach(job => assert.equal(job.status, round > 0 && job.jobId === last ? 'cancelled' : 'completed', `${job.jobId}: ${job.errorCode}`));
    if (round > 0) ids.splice(ids.indexOf(last), 1);
  }
  assert.deepEqual(begun(host), ids.sort());
});

test('one behind a long job can be cancelled at once, and never begins', async t => {
  const host = await start(t, 1);
  await warm(host, 1);
  const these = await hand(host, [...short(20), { ms: 5000 }, ...short(30)]);
  await until(() => begun(host).includes(these[20]), 'the long job');
  const taken = await asTaken(host, these);
  const target = taken[taken.indexOf(these[20]) + 5]; // there are eleven behind it at least
  await host.request('DELETE', `/jobs/${target}`);
  assert.equal((await host.finished(target)).status, 'cancelled');
  assert.equal((await host.get(`/jobs/${these[20]}`)).json.status, 'running');
  const all = await ends(host, these);
  all.forEach(job => assert.equal(job.status, job.jobId === target ? 'cancelled' : 'completed', job.jobId));
  assert.ok(!begun(host).includes(target));
});

test('a long job that is cancelled takes none with it that is behind it', async t => {
  const host = await start(t, 1);
  const ids = await warm(host, 1);
  for (let round = 0; round < 3; round++) {
    const these = await hand(host, [...short(20), { ms: 60_000 }, ...short(30)]);
    ids.push(...these);
    await until(() => begun(host).includes(these[20]), 'the long job');
    await host.request('DELETE', `/jobs/${these[20]}`);
    const all = await ends(host, these);
    all.forEach((job, i) => assert.equal(job.status, i === 20 ? 'cancelled' : 'completed', job.jobId));
  }
  assert.deepEqual(begun(host), ids.sort());
});

test('short jobs that are cancelled while they run by are cancelled or completed, and no other is', async t => {
  const host = await start(t, 1);
  await warm(host, 1);
  const these = await hand(host, short(200));
  const chosen = new Set(these.filter((_, i) => i % 3 === 0));
  const more = hand(host, short(200));
  await Promise.all([...chosen].map(id => host.request('DELETE', `/jobs/${id}`)));
  const all = await ends(host, [...these, ...await more]);
  for (const job of all) assert.ok(job.status === 'completed' || chosen.has(job.jobId) && job.status === 'cancelled', `${job.jobId}: ${job.status} ${job.errorCode}`);
  const counts = new Map();
  for (const id of begun(host)) counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const job of all.filter(({ status }) => status === 'completed')) assert.equal(counts.get(job.jobId), 1, job.jobId);
});

test('what is ahead when the host stops goes back to the store, and runs once after the next start', async t => {
  const host = await start(t, 1);
  const ids = await warm(host, 1);
  const these = await hand(host, [...short(20), { ms: 2000 }, ...short(30)]);
  await until(() => begun(host).includes(these[20]), 'the long job');
  await host.stop();
  await host.start();
  for (const job of await ends(host, these)) assert.equal(job.status, 'completed', job.jobId);
  assert.deepEqual(begun(host), [...ids, ...these].sort());
});

/** Without the sandbox, in which a plugin can't even see where its turns are. */
const startOpen = (t, more) => startHost(t, { plugins: ['brisk'], env: { EXPORTD_HOST_SANDBOX: 'off' }, conf: { 'b.conf': settings(1, more) } });

test('a plugin that lies about what it has begun fails its own jobs, after their time, and no others', async t => {
  const host = await startOpen(t, 'timeout = 1s\n');
  let met = false;
  for (let round = 0; round < 10 && !met; round++) { // on a slow machine, none may be sent ahead just then
    await warm(host, 1);
    const these = await hand(host, [...short(20), { scribble: 1e15, ms: 60_000 }, ...short(30)]);
    const taken = await asTaken(host, these), at = taken.indexOf(these[20]);
    const all = await ends(host, taken);
    const failed = all.map((job, i) => (job.status === 'failed' ? i : -1)).filter(i => i >= 0);
    assert.equal(failed[0], at);
    assert.ok(failed.length <= 9, `${failed}`); // itself, and those that were sent ahead
    assert.equal(failed.at(-1), at + failed.length - 1, 'those behind it');
    for (const i of failed.slice(1)) assert.equal(all[i].errorCode, 'worker_timeout');
    assert.ok(failed.slice(1).every(i => !begun(host).includes(taken[i])));
    met = failed.length > 1;
  }
  assert.ok(met, 'none was ever sent ahead behind the one that lies');
  assert.equal((await ends(host, await hand(host, short(100)))).filter(job => job.status === 'completed').length, 100);
});

test('a plugin that takes back what it has begun delays its own jobs, and each still runs once', async t => {
  const host = await startOpen(t, 'timeout = 1s\n');
  const ids = await warm(host, 1);
  const these = await hand(host, [...short(20), { scribble: 0 }, ...short(30), { scribble: 0 }, ...short(30)]);
  for (const job of await ends(host, these)) assert.equal(job.status, 'completed', `${job.jobId}: ${job.errorCode}`);
  assert.deepEqual(begun(host), [...ids, ...these].sort());
});

test('a worker that sleeps through a reload ends once it wakes, and what it was sent is done', async t => {
  const host = await start(t, 1);
  const ids = await warm(host, 1);
  for (let round = 0; round < 4; round++) {
    const pid = workerOf(host);
    const waking = hand(host, short(60));
    process.kill(pid, 'SIGSTOP'); // in the middle of them
    writeFileSync(join(host.conf, 'b.conf'), settings(1, `timeout = ${60 + round}s\n`));
    const { code, stderr } = run(['reload', '-c', host.conf, '--url', host.url]);
    assert.equal(code, 0, stderr);
    await new Promise(done => setTimeout(done, 500)); // what it has not begun is recalled
    process.kill(pid, 'SIGCONT');
    const these = await waking;
    ids.push(...these);
    for (const job of await ends(host, these)) assert.equal(job.status, 'completed', `${job.jobId}: ${job.errorCode}`);
    await until(() => !existsSync(`/proc/${pid}`), 'the end of the old worker');
  }
  assert.deepEqual(begun(host), ids.sort());
});

test('a worker from before a reload ends also where all that it was sent is taken back', async t => {
  const host = await startOpen(t, 'timeout = 1s\n');
  const ids = await warm(host, 1);
  for (let round = 0; round < 2; round++) {
    const pid = workerOf(host);
    const these = await hand(host, Array.from({ length: 60 }, (_, i) => (i % 6 === 0 ? { scribble: 0 } : {}))); // each is a moment in which the next is not begun
    ids.push(...these);
    writeFileSync(join(host.conf, 'b.conf'), settings(1, `timeout = ${2 + round}s\n`));
    const { code, stderr } = run(['reload', '-c', host.conf, '--url', host.url]);
    assert.equal(code, 0, stderr);
    for (const job of await ends(host, these)) assert.equal(job.status, 'completed', `${job.jobId}: ${job.errorCode}`);
    await until(() => !existsSync(`/proc/${pid}`), 'the end of the old worker');
  }
  assert.deepEqual(begun(host), ids.sort());
});

test('results that a busy host has not read yet count, though their worker has meanwhile used too much memory', async t => {
  const host = await start(t, 1, 'memory = 100M\n');
  const go = join(host.state, 'cache/brisk/go');
  const ids = await warm(host, 1);
  let met = false;
  for (let round = 0; round < 10 && !met; round++) {
    const these = await hand(host, [...short(20), { hold: true }, ...short(2), { take: 300, ms: 60_000 }, ...short(30)]);
    ids.push(...these);
    await until(() => begun(host).includes(these[20]), 'the job that waits');
    host.process.kill('SIGSTOP'); // before it takes back what it sent ahead, or this round shows nothing
    writeFileSync(go, '');
    await new Promise(done => setTimeout(done, 1000));
    met = begun(host).includes(these[23]);
    host.process.kill('SIGCONT');
    const all = await ends(host, these);
    all.forEach((job, i) => assert.equal(job.status, i === 23 ? 'failed' : 'completed', `${job.jobId}: ${job.errorCode}`));
    assert.equal(all[23].errorCode, 'worker_memory');
    rmSync(go);
  }
  assert.ok(met, 'the host was never stopped in time');
  assert.deepEqual(begun(host), ids.sort());
});
