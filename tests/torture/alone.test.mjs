// One job at a time over NATS, each of which begins before PostgreSQL has it on disk, and a PostgreSQL that dies in the middle of that, again and again.
// What a crash takes away comes again out of the stream: each job ends once in the store, and is answered under one message id.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from 'nats';
import { afterwards, Host, patience, until } from '../support/host.mjs';
import { Nats } from '../support/nats.mjs';
import { Postgres } from '../support/servers.mjs';

const CRASHES = 8;
const pause = ms => new Promise(done => setTimeout(done, ms));

test('jobs that begin before they are on disk survive a database that crashes', { timeout: 10 * patience }, async t => {
  // Nobody but the host flushes the log, so that a crash takes all that it may.
  const postgres = await new Postgres(t).start({ wal_writer_delay: '10s', wal_writer_flush_after: '1GB' });
  const nats = await new Nats(t).start();
  const host = await new Host(t, {
    plugins: ['noop', 'misbehave'], env: { DATABASE_URL: postgres.url, NATS_URL: nats.url },
    conf: { 'nats.conf': '[nats]\nack_wait = 3s\n', 'store.conf': '[store]\nlease = 3s\ntimeout = 5s\n', 'jobs.conf': '[jobs]\nmax_host_losses = 1000\n' },
  }).start();
  await until(async () => /^exportd_nats_jetstream 1$/m.test((await host.get('/metrics')).text), 'the stream');
  const client = await connect({ servers: nats.url });
  afterwards(t, () => client.close());
  const stream = client.jetstream();
  const answers = new Map();
  const wakers = new Map();
  const subscription = client.subscribe('task.completed', { callback: (_, message) => {
    const { jobId, status } = message.json();
    assert.equal(status, 'completed');
    answers.set(jobId, (answers.get(jobId) ?? new Set()).add(message.headers.get('Nats-Msg-Id')));
    wakers.get(jobId)?.();
  } });
  afterwards(t, () => subscription.unsubscribe());

  let jobs = 0, over = false;
  async function caller() {
    while (!over) {
      const jobId = `alone-${jobs++}`, ms = jobs % 4;
      const answered = new Promise(done => wakers.set(jobId, done));
      await stream.publish('task.request', JSON.stringify(ms ? { jobId, task: 'pause_ms', data: { ms } } : { jobId, task: 'noop' }));
      await answered;
    }
  }
  const calling = caller();
  const inVain = () => host.log.match(/its end came with an old lease/g)?.length ?? 0;
  let crashes = 0;
  for (; crashes < CRASHES || (inVain() === 0 && crashes < 5 * CRASHES); crashes++) { // until one came in between
    const before = jobs;
    await until(() => jobs > before + 20, 'more jobs', 2 * patience);
    await pause(Math.random() * 20);
    await postgres.restart('immediate');
  }
  const before = jobs;
  await until(() => jobs > before + 20, 'more jobs', 2 * patience);
  over = true;
  await calling;
  await until(async () => (await postgres.query('SELECT 1 FROM exportd.queue UNION ALL SELECT 1 FROM exportd.outbox')).length === 0, 'the last of them', 2 * patience);

  assert.ok(inVain() > 0, 'no crash took a job away that had begun');
  const rows = await postgres.query('SELECT j.id, j.state, count(f.*) AS ends, count(d.*) AS messages, min(d.id) AS message FROM exportd.jobs j'
    + ' LEFT JOIN exportd.finished f USING (sequence) LEFT JOIN exportd.deliveries d ON d.job_sequence = j.sequence GROUP BY 1, 2');
  assert.equal(rows.length, jobs);
  for (const { id, state, ends, messages, message } of rows) {
    assert.deepEqual({ state: Number(state), ends: Number(ends), messages: Number(messages) }, { state: 2, ends: 1, messages: 1 }, id);
    assert.deepEqual([...answers.get(id)], [message], id);
  }
  const inDoubt = host.log.match(/may not be on disk/g)?.length ?? 0;
  t.diagnostic(`${jobs} jobs, ${crashes} crashes: ${inDoubt} times requests in doubt, ${inVain()} jobs that had ended in vain`);
});
