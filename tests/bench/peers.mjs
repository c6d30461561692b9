// Other job queues on the same servers, in the same run. Each runs a no-op job, with the settings that its documentation gives for throughput, and
// enqueues over its own door, one job a call, each call awaited, by as many callers as exportd has for the figure that stands against theirs. Measured is the full road: from the
// first enqueue to the end of the last job, as the queue itself has it. One process enqueues, others work.
import { dirname, join } from 'node:path';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { launch, median, row, stop, until } from './tools.mjs';

const here = join(dirname(fileURLToPath(import.meta.url)), 'peers');
const packaged = join(here, `node_modules/node-linux-${process.arch}/bin/node`);
const node = existsSync(packaged) ? packaged : process.execPath;
export const CALLERS = 256;

export const versionOf = name => JSON.parse(readFileSync(join(here, 'node_modules', name, 'package.json'), 'utf8')).version;

async function begin(name, role, address, settings) {
  const child = launch(node, [join(here, 'peer.mjs'), name, role, address, JSON.stringify(settings)], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], env: { PATH: process.env.PATH, NODE_ENV: 'production' } });
  let log = '';
  child.stderr.on('data', chunk => { log += chunk; });
  child.next = key => new Promise((done, fail) => {
    const hear = message => { if (message[key] !== undefined) { child.off('message', hear); done(message[key]); } };
    child.on('message', hear);
    child.ended.then(() => fail(new Error(`${name}: ${role} ended: ${log}`)));
  });
  await child.next('ready');
  return child;
}

/** Jobs a second on the full road. */
export async function throughput(name, address, settings, jobs) {
  const working = [];
  const enqueuing = await begin(name, 'enqueue', address, settings);
  for (let i = 0; i < settings.processes; i++) working.push(await begin(name, 'work', address, settings));
  const completed = working.map(() => 0);
  working.forEach((child, i) => child.on('message', message => { completed[i] = message.completed ?? completed[i]; }));
  const sum = () => completed.reduce((a, b) => a + b, 0);
  const road = async count => {
    const target = sum() + count, began = performance.now();
    enqueuing.send({ enqueue: count });
    await enqueuing.next('enqueued');
    const enqueued = performance.now() - began;
    await until(() => sum() >= target);
    return { perSecond: count / (performance.now() - began) * 1000, enqueuedPerSecond: count / enqueued * 1000 };
  };
  await road(Math.ceil(jobs / 4)); // until it is warm
  const result = await road(jobs);
  await Promise.all([enqueuing, ...working].map(stop));
  return result;
}

/** From the enqueue to the end of one job at a time, in one process: the median, in ms. */
export async function single(name, address, settings, jobs) {
  const child = await begin(name, 'single', address, settings);
  for (const count of [Math.ceil(jobs / 4), jobs]) {
    child.send({ single: count });
    child.took = await child.next('took');
  }
  await stop(child);
  return median(child.took);
}

/**
 * The settings beside callers, all else as it comes:
 * graphile-worker: those of its page on performance (localQueue, batched completions, concurrency 24, a pool of one more).
 * pg-boss: batches of 250, fetched on at once while they are full, else at the shortest interval that it allows. Its NOTIFY halves its throughput here,
 *   and shortens the road of a single job from half an interval to some ms; so it is on for that figure only.
 * BullMQ: 50 at once in the worker, as its page on concurrency has it (100, 300 and a second process were slower here); done jobs are removed.
 */
const graphile = { connections: 10, processes: 1, worker: { concurrentJobs: 24, maxPoolSize: 25, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } };
const boss = { connections: 10, processes: 1, boss: {}, queue: {}, work: { batchSize: 250, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true } };
const all = [
  { name: 'graphile-worker', settings: graphile, jobs: 5000 },
  { name: 'pg-boss', settings: boss, low: { ...boss, boss: { useListenNotify: true }, queue: { notify: true } }, jobs: 12_000 },
  { name: 'bullmq', label: 'BullMQ', settings: { processes: 1, job: { removeOnComplete: true }, worker: { concurrency: 50 } }, jobs: 40_000 },
];

async function address(postgres, redis, name, database) {
  if (name === 'bullmq') return String(redis.port);
  await postgres.query(`CREATE DATABASE ${database}`);
  return postgres.at(database).url;
}

/** The full road of one queue, on a database of its own. */
async function full(postgres, redis, { name, settings, jobs }) {
  try {
    return await throughput(name, await address(postgres, redis, name, 'peer_road'), { ...settings, callers: CALLERS }, jobs);
  } finally {
    await postgres.query('DROP DATABASE IF EXISTS peer_road WITH (FORCE)');
  }
}

async function oneByOne(postgres, redis, { name, settings, low = settings }) {
  try {
    return await single(name, await address(postgres, redis, name, 'peer_single'), { ...low, callers: 1 }, 200);
  } finally {
    await postgres.query('DROP DATABASE IF EXISTS peer_single WITH (FORCE)');
  }
}

/** Measures each. Returns the best of them: its label, and what measures its full road once more, in jobs a second. */
export async function peers(postgres, redis) {
  let best = { perSecond: 0 };
  for (const peer of all) {
    const label = `${peer.label ?? peer.name} ${versionOf(peer.name)}`;
    try {
      const road = await full(postgres, redis, peer);
      const ms = await oneByOne(postgres, redis, peer);
      row(`${label}, ${CALLERS} callers, enqueue to end`, `${road.perSecond.toFixed(0)} jobs/s (enqueued at ${road.enqueuedPerSecond.toFixed(0)}/s); one by one p50 ${(ms * 1000).toFixed(0)} µs`);
      if (road.perSecond > best.perSecond) best = { label, perSecond: road.perSecond, again: async () => (await full(postgres, redis, peer)).perSecond };
    } catch (error) {
      row(label, `could not be measured: ${error.message}`);
      process.exitCode = 1;
    }
  }
  return best;
}
