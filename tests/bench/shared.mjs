// The road over engines that hosts share: NATS in, PostgreSQL, a worker, PostgreSQL, NATS out. Its floors, and other job queues on the same servers.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CALLERS, peers } from './peers.mjs';
import { Postgres, Redis } from '../support/servers.mjs';
import { Nats } from '../support/nats.mjs';
import { atEnd, build, finished, folder, json, median, metric, resident, row, run, start, until } from './tools.mjs';

const tool = join(build, 'bench/bench-nats');
const plugins = join(build, 'bench-plugins');

const load = (nats, jobs, underWay) => json(tool, ['load', nats.url, 'noop-1', String(jobs), String(underWay)]);

/** One INSERT of about a job's size, one commit each, one client. */
async function commitMs(postgres) {
  const script = join(folder, 'commit.sql');
  writeFileSync(script, "INSERT INTO floor (body) VALUES (repeat('x', 200));\n");
  await postgres.query('CREATE TABLE floor (id bigserial PRIMARY KEY, body text)');
  const text = await run(join(postgres.bin, 'pgbench'), ['-n', '-M', 'prepared', '-c', '1', '-T', '4', '-f', script, postgres.url]);
  await postgres.query('DROP TABLE floor');
  return Number(/latency average = ([\d.]+) ms/.exec(text)[1]);
}

/** A host whose engines are connected, which may be a moment after it is ready. */
async function startConnected(name, env) {
  const host = await start(name, plugins, env);
  await until(async () => await metric(host, 'exportd_nats_jetstream') === 1, 30_000);
  if (env.REDIS_URL) await until(async () => await metric(host, 'exportd_redis_connected') === 1, 30_000);
  return host;
}

async function memory(postgres, nats, redis) {
  const host = await startConnected('engines', { DATABASE_URL: postgres.url, NATS_URL: nats.url, REDIS_URL: redis.url });
  row('host resident, idle, NATS, PostgreSQL, Redis connected', `${resident(host.child.pid).toFixed(1)} MB`);
  await host.stop();
}

/** A database for one part: what that leaves to be cleaned up disturbs no other. */
async function own(postgres, name) {
  await postgres.query(`CREATE DATABASE ${name}`);
  return postgres.at(name).url;
}

/** One job at a time and the floor under it take turns: the machine is not equally fast from one second to the next. */
async function oneByOne(nats) {
  const turns = [];
  for (let turn = 0; turn < 7; turn++) {
    const floor = await json(tool, ['floor', nats.url, '4000']);
    turns.push({ ...await load(nats, 1000, 1), floor_us: floor.p50_us });
  }
  const ratios = turns.map(turn => turn.p50_us / turn.floor_us);
  return { p50: median(turns.map(turn => turn.p50_us)), p99: median(turns.map(turn => turn.p99_us)), over: median(ratios), least: Math.min(...ratios), most: Math.max(...ratios) };
}

async function road(postgres, nats) {
  const host = await startConnected('shared', { DATABASE_URL: await own(postgres, 'road'), NATS_URL: nats.url });
  await load(nats, 5000, 64);
  const { p50, p99, over, least, most } = await oneByOne(nats);
  row('NATS in and out, PostgreSQL, 1 under way: p50, p99', `${p50} µs, ${p99} µs`);
  row('  its p50 over a NATS request and reply, in turns', `${over.toFixed(1)}; ${least.toFixed(1)} to ${most.toFixed(1)} in 7 turns (to reach: 6)`);
  for (const underWay of [512, CALLERS]) {
    const many = await load(nats, 60_000, underWay);
    row(`NATS in and out, PostgreSQL, ${underWay} under way`, `${many.per_second} jobs/s, p50 ${many.p50_us} µs, p99 ${many.p99_us} µs (to reach: 5000)`);
  }
  row(`exportd, ${CALLERS} callers, publish to last answer`, `${(await full(nats)).toFixed(0)} jobs/s`);
  row('host resident, after 190,000 jobs', `${resident(host.child.pid).toFixed(1)} MB`);
  await host.stop();
  await postgres.query('DROP DATABASE road WITH (FORCE)');
}

/** Jobs a second from the first publish to the last answer: the figure that stands against the other queues' full road. */
const full = async (nats, jobs = 60_000) => (await json(tool, ['load', nats.url, 'noop-1', String(jobs), String(jobs), String(CALLERS)])).per_second;

/** Against the best of the other queues, in turns like oneByOne(). */
async function against(postgres, nats, best) {
  const host = await startConnected('against', { DATABASE_URL: await own(postgres, 'against'), NATS_URL: nats.url });
  const turns = [];
  for (let turn = 0; turn < 7; turn++) {
    await full(nats, 15_000); // until it is warm, as in throughput()
    turns.push({ ours: await full(nats), theirs: await best.again() });
  }
  await host.stop();
  await postgres.query('DROP DATABASE against WITH (FORCE)');
  const of = what => turns.map(what), ratios = of(turn => turn.ours / turn.theirs);
  row(`exportd over ${best.label}, in turns`, `${median(ratios).toFixed(2)}; ${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)} in ${turns.length} turns (to reach: 2); ${median(of(turn => turn.ours)).toFixed(0)} and ${median(of(turn => turn.theirs)).toFixed(0)} jobs/s`);
}

/**
 * 1,000 jobs are under way all the time, and nothing else waits; then the same with 200,000 behind them on the same route, at a lower priority, so that
 * each claim goes over the index that they are in. Where one of those runs because nothing else is there, it counts too.
 */
async function waiting(postgres, nats) {
  const LOTS = 200_000;
  const env = { DATABASE_URL: await own(postgres, 'waiting'), NATS_URL: nats.url };
  const figures = [];
  for (const behind of [0, LOTS]) {
    if (behind > 0) {
      const filling = await startConnected('filling', { ...env, EXPORTD_PLUGIN_NOOP_1_ENABLED: 'no' });
      await json(tool, ['fill', nats.url, 'noop-1', String(behind), '-100']);
      await until(async () => await finished(filling, 'noop-1') === 0 && await metric(filling, 'exportd_jobs_submitted_total{route="noop-1"}') >= behind);
      await filling.stop();
      await postgres.query('CHECKPOINT'); // writing the filling to its place is no part of the figure
    }
    const host = await startConnected('waiting', env);
    await load(nats, 5000, 1000);
    const before = await finished(host, 'noop-1');
    const { seconds } = await load(nats, 60_000, 1000);
    figures.push((await finished(host, 'noop-1') - before) / seconds);
    await host.stop();
  }
  await postgres.query('DROP DATABASE waiting WITH (FORCE)');
  row('with 1,000 and with 200,000 jobs waiting', `${figures.map(figure => figure.toFixed(0)).join(', ')} jobs/s; ratio ${(figures[1] / figures[0]).toFixed(2)} (to reach: 0.85)`);
}

export async function shared() {
  const postgres = new Postgres(null), nats = new Nats(null), redis = new Redis(null);
  for (const server of [postgres, nats, redis]) atEnd(() => server.close());
  await Promise.all([postgres.start(), nats.start(), redis.start({ appendonly: 'yes', appendfsync: 'always' })]);

  const floor = await json(tool, ['floor', nats.url, '20000']);
  row('floor: NATS request and reply, two C clients: p50, p99', `${floor.p50_us} µs, ${floor.p99_us} µs`);
  row('floor: one commit of PostgreSQL (pgbench, 1 INSERT)', `${(await commitMs(postgres) * 1000).toFixed(0)} µs`);
  await memory(postgres, nats, redis);
  await road(postgres, nats);
  await against(postgres, nats, await peers(postgres, redis));
  await waiting(postgres, nats);
}
