// Three hosts on one PostgreSQL and one NATS, and no peace: hosts are killed with -9 and started again, NATS is killed, PostgreSQL is stopped with
// -m immediate, all in the middle of 5,000 jobs. No job is lost, each is finished once in the store, each is answered with one message id, none has two
// leases at once.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect, AckPolicy, DeliverPolicy } from 'nats';
import { afterwards, Host, patience, sanitized, until } from '../support/host.mjs';
import { Postgres, Server, answers, freePort } from '../support/servers.mjs';

const JOBS = Number(process.env.CLUSTER_JOBS ?? (sanitized ? 1500 : 5000));
const KILLS = 14;
const AHEAD = 400; // requests that are published and not yet over, at the most

class Nats extends Server {
  constructor(t) { super(t, 'nobody'); }

  async start() {
    this.port ??= await freePort();
    this.launch('nats-server', ['-js', '-sd', `${this.folder}/js`, '-a', '127.0.0.1', '-p', String(this.port)]);
    await until(() => answers(this.port), 'the start of NATS');
    return this;
  }

  get url() { return `nats://127.0.0.1:${this.port}`; }
}

/** Writes down every change of a lease that no host may make, and every end. */
const audit = `
  CREATE SCHEMA audit;
  CREATE TABLE audit.violations (what text);
  CREATE TABLE audit.ends (sequence bigint);
  CREATE FUNCTION audit.lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF OLD.lease > 0 AND NEW.lease > 0 AND NEW.lease <> OLD.lease THEN
      INSERT INTO audit.violations VALUES (format('job %s went from lease %s straight to %s', OLD.sequence, OLD.lease, NEW.lease));
    ELSIF NEW.lease > 0 AND NEW.lease < (SELECT coalesce(max(lease), 0) FROM audit.leases WHERE sequence = NEW.sequence) THEN
      INSERT INTO audit.violations VALUES (format('job %s got lease %s, which is older than one it had', OLD.sequence, NEW.lease));
    END IF;
    IF NEW.lease > 0 AND OLD.lease = 0 THEN INSERT INTO audit.leases VALUES (NEW.sequence, NEW.lease); END IF;
    RETURN NEW; END $$;
  CREATE TABLE audit.leases (sequence bigint, lease bigint);
  CREATE INDEX ON audit.leases (sequence);
  CREATE FUNCTION audit.ended() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit.ends VALUES (NEW.sequence); RETURN NEW; END $$;
  CREATE TRIGGER lease BEFORE UPDATE OF lease ON exportd.queue FOR EACH ROW EXECUTE FUNCTION audit.lease();
  CREATE TRIGGER ended AFTER INSERT ON exportd.finished FOR EACH ROW EXECUTE FUNCTION audit.ended();`;

function makeJob(number) {
  const jobId = `job-${number}`;
  switch (number % 8) {
    case 0: return { jobId, task: 'pause_ms', data: { ms: 5 + number % 60 } };
    case 1: return { jobId, task: 'flaky', data: { times: 1 } };
    case 2: return { jobId, task: 'echo', data: { number } };
    default: return { jobId, task: 'noop' };
  }
}

/** Where the jobs are that didn't end: what the store has of them, what the stream has, and what the hosts say. */
async function whatIsLeft(postgres, client, hosts) {
  const ended = new Set((await postgres.query('SELECT id FROM exportd.jobs WHERE state > 0')).map(row => row.id));
  const left = {
    counts: await postgres.query('SELECT state, count(*) FROM exportd.jobs GROUP BY state'),
    finished: await postgres.query('SELECT count(*) FROM exportd.finished'),
    others: await postgres.query("SELECT id, state, error_message FROM exportd.jobs WHERE id NOT LIKE 'job-%' LIMIT 5"),
    queue: await postgres.query('SELECT * FROM exportd.queue LIMIT 5'),
    waiting: await postgres.query('SELECT id FROM exportd.jobs JOIN exportd.queue USING (sequence) LIMIT 5'),
    unknown: Array.from({ length: JOBS }, (_, i) => `job-${i}`).filter(id => !ended.has(id)).slice(0, 20),
  };
  const manager = await client.jetstreamManager();
  for await (const stream of manager.streams.list()) {
    left[stream.config.name] = stream.state;
    for await (const consumer of manager.consumers.list(stream.config.name)) left[`${stream.config.name} ${consumer.name}`] = consumer;
  }
  for (const [i, host] of hosts.entries()) {
    const { text } = await host.get('/metrics');
    left[`host ${i}`] = [...text.split('\n').filter(line => /^exportd_(jobs|worker|store|nats)/.test(line) && !/ 0$/.test(line)), ...host.log.slice(-3000).split('\n')];
    for (const { id } of left.waiting) left[`host ${i}: ${id}`] = (await host.get(`/jobs/${id}`)).json;
  }
  return JSON.stringify(left, null, 1);
}

const pause = ms => new Promise(done => setTimeout(done, ms));

/** Starts a host again as whoever looks after it would: until it stands. */
async function revive(host, stopped) {
  for (;;) {
    try {
      return await host.start();
    } catch (error) {
      if (!/store_unreachable|can't be reached|starting up|shutting down|recovery/.test(String(error.message)) || stopped()) throw error;
      await pause(200);
    }
  }
}

test(`three hosts, ${JOBS} jobs, and hosts, NATS and PostgreSQL that die`, { timeout: 20 * patience }, async t => {
  const postgres = await new Postgres(t).start();
  const nats = await new Nats(t).start();
  const conf = {
    'jobs.conf': '[jobs]\nbackoff = 10ms\nbackoff_max = 100ms\nmax_host_losses = 1000\n',
    'nats.conf': '[nats]\nack_wait = 3s\ntimeout = 2s\n',
    'store.conf': '[store]\nlease = 3s\ntimeout = 5s\n',
    'worker.conf': '[worker]\nidle = 10m\n',
  };
  const env = { DATABASE_URL: postgres.url, NATS_URL: nats.url };
  const hosts = Array.from({ length: 3 }, () => new Host(t, { plugins: ['noop', 'misbehave'], env, conf }));
  let over = false;
  afterwards(t, () => { over = true; });
  for (const host of hosts) await host.start();
  await postgres.query(audit);

  // A caller believes nothing but the acknowledgement of JetStream; else it publishes the same request again.
  const client = await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 50, waitOnFirstConnect: true,
    timeout: 2000 }); // for a connection to a server that is killed just then
  afterwards(t, () => client.close());
  const stream = client.jetstream({ timeout: 1000 });
  let next = 0, published = 0, again = 0, ended = 0;
  async function caller() {
    while (next < JOBS) {
      const job = makeJob(next++);
      await until(() => published - ended < AHEAD, 'room for more requests', 20 * patience); // so that requests come all the time
      for (;;) {
        try {
          await stream.publish('task.request', JSON.stringify(job));
          break;
        } catch {
          again++;
          await pause(50);
        }
      }
      published++;
    }
  }
  const callers = Promise.all(Array.from({ length: 16 }, caller));
  const finished = async () => {
    try {
      return ended = Number((await postgres.query('SELECT count(*) AS n FROM exportd.finished'))[0].n);
    } catch {
      return -1; // it is away
    }
  };

  const poller = setInterval(finished, 100);
  afterwards(t, () => clearInterval(poller));

  let kills = 0;
  for (let i = 1; i <= KILLS; i++) {
    await until(async () => await finished() >= Math.min(i * JOBS / (KILLS + 2), JOBS), `job ${i * JOBS / (KILLS + 2)} of ${JOBS}`, 3 * patience);
    await pause(Math.random() * 100);
    if (i % 5 === 0) {
      await postgres.restart('immediate');
    } else if (i % 5 === 3) {
      await nats.kill();
      await pause(Math.random() * 500);
      await nats.start();
    } else {
      const host = hosts[Math.floor(Math.random() * 3)];
      if (!host.process.ended) await host.kill();
      kills++;
      await pause(Math.random() * 500);
      await revive(host, () => over);
    }
  }
  await callers;
  assert.equal(published, JOBS);
  t.diagnostic(`${kills} hosts were killed; ${again} requests were published again`);

  await until(async () => await finished() === JOBS, 'the end of all jobs', 4 * patience).catch(async error => {
    throw new Error(`${error.message}; ${await whatIsLeft(postgres, client, hosts)}`);
  });
  const [counts] = await postgres.query(`SELECT (SELECT count(*) FROM exportd.jobs) AS jobs, (SELECT count(*) FROM exportd.jobs WHERE state = 2) AS completed,
    (SELECT count(*) FROM exportd.queue) AS queued, (SELECT count(*) FROM audit.ends) AS ends, (SELECT count(DISTINCT sequence) FROM audit.ends) AS ended,
    (SELECT count(DISTINCT job_id) FROM exportd.deliveries) AS told, (SELECT count(*) FROM exportd.deliveries) AS messages`);
  const failed = await postgres.query('SELECT id, state, error_code, error_message FROM exportd.jobs WHERE state <> 2 LIMIT 5');
  assert.deepEqual(failed, []);
  for (const [what, count] of Object.entries(counts)) assert.equal(Number(count), what === 'queued' ? 0 : JOBS, what);
  assert.deepEqual(await postgres.query('SELECT what FROM audit.violations LIMIT 5'), []);
  const [leases] = await postgres.query('SELECT count(*) AS n FROM audit.leases');
  t.diagnostic(`${leases.n} claims beside those by insert; ${(await postgres.query('SELECT sum(losses) AS n FROM exportd.jobs'))[0].n} losses`);

  // The answers' stream has at least one for each, all with the one id that the store has.
  await until(async () => Number((await postgres.query('SELECT count(*) AS n FROM exportd.outbox'))[0].n) === 0, 'the last answer', 3 * patience);
  const manager = await client.jetstreamManager();
  await manager.consumers.add('EXPORTD_ANSWERS', { durable_name: 'test', ack_policy: AckPolicy.None, deliver_policy: DeliverPolicy.All });
  const messages = await (await client.jetstream().consumers.get('EXPORTD_ANSWERS', 'test')).consume({ max_messages: 1000 });
  const { state } = await manager.streams.info('EXPORTD_ANSWERS');
  const ids = new Map();
  let seen = 0;
  for await (const message of messages) {
    const body = message.json();
    assert.equal(body.status, 'completed');
    ids.set(body.jobId, (ids.get(body.jobId) ?? new Set()).add(message.headers.get('Nats-Msg-Id')));
    if (++seen === state.messages) break;
  }
  assert.equal(ids.size, JOBS, 'each job was answered');
  const stored = new Map((await postgres.query('SELECT job_id, id FROM exportd.deliveries')).map(row => [row.job_id, row.id]));
  for (const [job, set] of ids) assert.deepEqual([...set], [stored.get(job)], job);
  t.diagnostic(`${seen} answers in the stream`);
});
