// ./dev bench [--deep] [--shared] [--repositories] [--pull-requests] [--enrich] [--embeddings]: the floor and the road in one run, on this machine, now. Every ratio is of figures from the same run.
// --deep: the expensive parts too. --shared: only NATS, PostgreSQL and the peers. --repositories: only repo-clone beside git. --pull-requests: only export-pr, and so on.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { join } from 'node:path';
import { bench, build, cpuMs, deep, finished, folder, json, resident, row, start, until, workers } from './tools.mjs';
import { startGitHub } from '../support/github.mjs';
import { embeddings } from './embed.mjs';
import { enriching } from './enrich.mjs';
import { repositories } from './repositories.mjs';
import { shared } from './shared.mjs';

const tool = join(build, 'bench/bench-load');
const load = (host, callers, jobs, wait, task = 'noop-1') => json(tool, ['load', String(host.port), String(callers), String(jobs), wait ? '1' : '0', JSON.stringify({ task })]);

async function road() {
  const plugins = join(build, 'bench-plugins');
  const floor = await json(tool, ['floor', folder]);
  row('floor: one commit that is on disk (SQLite, WAL, FULL)', `${floor.commit_us} µs`);
  row('floor: a round trip over a socket pair', `${floor.round_trip_us} µs`);
  const host = await start('road', plugins);
  row('ready, 12 plugins probed', `${host.readyMs.toFixed(0)} ms (to reach: 150)`);
  row('host resident, idle', `${resident(host.child.pid).toFixed(1)} MB (to reach: under 15)`);
  await load(host, 8, 2000, true);
  const one = await load(host, 1, 3000, true);
  const least = 2 * floor.commit_us + floor.round_trip_us;
  row('road, 1 caller, from POST to result: p50, p99', `${one.p50_us} µs, ${one.p99_us} µs (to reach: 800)`);
  row('  its p50 over two commits and a round trip', `${(one.p50_us / least).toFixed(2)}`);
  const many = await load(host, 64, 60_000, true);
  row('road, 64 callers, from POST to result', `${many.per_second} jobs/s, p50 ${many.p50_us} µs, p99 ${many.p99_us} µs (to reach: 10000)`);
  const before = await finished(host, 'noop-1');
  const began = Date.now();
  const accepted = await load(host, 64, 60_000, false);
  await until(async () => await finished(host, 'noop-1') >= before + 60_000);
  row('accepted, 64 callers', `${accepted.per_second} jobs/s; all done at ${(60_000 / ((Date.now() - began) / 1000)).toFixed(0)} jobs/s`);
  row('host resident, after 125,000 jobs', `${resident(host.child.pid).toFixed(1)} MB`);
  row('worker resident', `${resident(workers(host)[0]).toFixed(1)} MB`);
  await host.stop();
  if (deep) {
    const crowded = await start('deep', plugins, { EXPORTD_PLUGIN_NOOP_2_ENABLED: 'no' });
    const second = async () => (await load(crowded, 64, 60_000, true), (await load(crowded, 64, 60_000, true)).per_second);
    await load(crowded, 64, 1000, false, 'noop-2');
    const few = await second();
    for (let i = 0; i < 10; i++) await load(crowded, 64, 100_000, false, 'noop-2');
    const lots = await second();
    row('road with 1,000 and with 1,000,000 jobs waiting', `${few}, ${lots} jobs/s; ratio ${(lots / few).toFixed(2)} (to reach: 0.9)`);
    await crowded.stop();
  }
}

async function exporters() {
  const repro = JSON.parse(readFileSync('tests/data/bootstrap-20184.json', 'utf8'));
  const host = await start('exporters', join(build, 'plugins'), { EXPORTD_WORKER_WORKERS: '1' });
  const post = async (task, data) => {
    const answer = await fetch(`http://127.0.0.1:${host.port}/process`, { method: 'POST', headers: { 'content-type': 'application/json', prefer: 'wait=60' }, body: JSON.stringify({ task, data: { repro, ...data } }) });
    const job = await answer.json();
    if (job.status !== 'completed') throw new Error(JSON.stringify(job));
    return job;
  };
  const measure = async (task, data, times) => {
    await post(task, data);
    const pid = workers(host).find(worker => readFileSync(`/proc/${worker}/cmdline`, 'utf8').includes(data.format ?? data.platform ?? 'docker'));
    const before = cpuMs(pid);
    for (let i = 0; i < times; i++) await post(task, data);
    return (cpuMs(pid) - before) / times;
  };
  row('PDF of bootstrap-20184, CPU in a warm worker', `${(await measure('report', { format: 'pdf' }, 40)).toFixed(1)} ms (to reach: 60)`);
  row('JSON of the same', `${(await measure('report', { format: 'json' }, 40)).toFixed(1)} ms`);
  const tarball = await measure('docker', { archive: 'tar.gz' }, 40);
  const job = await post('docker', { archive: 'tar.gz' });
  const bytes = Buffer.from(await (await fetch(job.result.artifacts[0].url)).arrayBuffer());
  const unpacked = join(folder, 'unpacked');
  mkdirSync(unpacked);
  spawnSync('tar', ['-x', '-C', unpacked], { input: gunzipSync(bytes) });
  const script = `for i in $(seq 40); do tar -cz -C ${unpacked} . >/dev/null; done; times`;
  const times = spawnSync('bash', ['-c', script], { encoding: 'utf8' }).stdout.trim().split('\n')[1].split(' ');
  const seconds = times.map(text => { const [, m, s] = /(\d+)m([\d.]+)s/.exec(text); return Number(m) * 60 + Number(s); });
  const tar = (seconds[0] + seconds[1]) * 1000 / 40;
  row('Docker tarball of the same, CPU in a warm worker', `${tarball.toFixed(1)} ms; tar -cz of its files ${tar.toFixed(1)} ms; ratio ${(tarball / tar).toFixed(2)} (to reach: 1)`);
  const sources = repro.files.map(file => file.content);
  const files = Array.from({ length: 496 }, (_, i) => ({ path: `src/part-${i % 20}/module-${i}.js`, content: sources[i % sources.length] }));
  const large = { ...repro, files: [...repro.files, ...files] };
  row('StackBlitz page of 500 files, CPU in a warm worker', `${(await measure('sandbox', { platform: 'stackblitz', repro: large }, 40)).toFixed(1)} ms (to reach: 20)`);
  await host.stop();
}

/** Against the tests' own GitHub, in a small repository and in a large one. */
async function pullRequests() {
  const sizes = { 'bench/small': 10, 'bench/large': 20_000 };
  const repositories = Object.fromEntries(Object.entries(sizes).map(([name, count]) => [name, { files: Object.fromEntries(Array.from({ length: count }, (_, i) => [`src/${i % 100}/f${i}.js`, `${i}\n`])) }]));
  const github = await startGitHub(null, { token: 'bench', repositories });
  const repro = JSON.parse(readFileSync('tests/data/bootstrap-20184.json', 'utf8'));
  const host = await start('pr', join(build, 'plugins'), { EXPORTD_WORKER_WORKERS: '1', GITHUB_TOKEN: 'bench', EXPORTD_PLUGIN_EXPORT_PR_NETWORK: 'yes', EXPORTD_PLUGIN_EXPORT_PR_SECRETS: 'GITHUB_TOKEN', EXPORTD_PLUGIN_EXPORT_PR_GITHUB_API: github.api });
  let number = 0;
  const open = async repo_url => {
    const answer = await fetch(`http://127.0.0.1:${host.port}/process`, { method: 'POST', headers: { 'content-type': 'application/json', prefer: 'wait=60' }, body: JSON.stringify({ task: 'pr', data: { repro, repo_url, branch_name: `b${++number}` } }) });
    const job = await answer.json();
    if (job.status !== 'completed') throw new Error(JSON.stringify(job));
  };
  const figures = [];
  for (const name of Object.keys(sizes)) {
    await open(name);
    const pid = workers(host).find(worker => readFileSync(`/proc/${worker}/cmdline`, 'utf8').includes('export-pr'));
    const [before, calls] = [cpuMs(pid), github.requests.length];
    for (let i = 0; i < 30; i++) await open(name);
    figures.push({ cpu: (cpuMs(pid) - before) / 30, calls: (github.requests.length - calls) / 30 });
  }
  row('pull request in a repository of 10 and of 20,000 files', `${figures.map(({ calls }) => calls).join(' and ')} round trips (to reach: 7), CPU in a warm worker ${figures.map(({ cpu }) => cpu.toFixed(1)).join(' and ')} ms (to reach: 10)`);
  await host.stop();
  github.close();
}

const only = { '--shared': shared, '--repositories': repositories, '--pull-requests': pullRequests, '--enrich': enriching, '--embeddings': embeddings };
const asked = Object.keys(only).filter(option => process.argv.includes(option)).map(option => only[option]);
await bench(...(asked.length > 0 ? asked : [road, exporters, pullRequests, repositories, enriching, embeddings, shared]));
