// ./dev bench [--deep]: the floor and the road in one run, on this machine, now. Every ratio is of figures from the same run.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { tmpdir } from 'node:os';
import { join, resolve, dirname } from 'node:path';

const build = resolve(process.argv[2]);
const deep = process.argv.includes('--deep');
const folder = mkdtempSync(join(tmpdir(), 'exportd-bench-'));
const tool = join(build, 'bench/bench-load');
const ticks = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout);

function json(program, args) {
  const done = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (done.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${done.stderr}`);
  return JSON.parse(done.stdout);
}

async function start(name, plugins, env = {}) {
  const state = join(folder, name);
  mkdirSync(state);
  const began = process.hrtime.bigint();
  const child = spawn(join(build, 'exportd'), ['serve'], {
    env: { PATH: process.env.PATH, EXPORTD_HTTP_LISTEN: '127.0.0.1:0', EXPORTD_HOST_STATE: state, EXPORTD_HOST_PLUGINS: plugins, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  const port = await new Promise((done, fail) => {
    child.stderr.on('data', chunk => {
      log += chunk;
      const ready = /ready at http:\/\/127\.0\.0\.1:(\d+)/.exec(log);
      if (ready) done(Number(ready[1]));
    });
    child.on('exit', () => fail(new Error(log)));
  });
  const readyMs = Number(process.hrtime.bigint() - began) / 1e6;
  child.removeAllListeners('exit');
  return { child, port, readyMs, stop: () => new Promise(done => { child.on('exit', done); child.kill('SIGTERM'); }) };
}

const load = (host, callers, jobs, wait, task = 'noop-1') => json(tool, ['load', String(host.port), String(callers), String(jobs), wait ? '1' : '0', JSON.stringify({ task })]);
const resident = pid => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
const cpuMs = pid => { const f = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' '); return (Number(f[11]) + Number(f[12])) * 1000 / ticks; };
const workers = host => readdirSync('/proc').filter(pid => /^\d+$/.test(pid)).filter(pid => {
  try { return readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(`exportd-worker\0${host.child.pid}\0`); } catch { return false; }
});
const row = (label, value) => console.log(`${label.padEnd(58)} ${value}`);

async function done(host, task, count) {
  for (;;) {
    const text = await (await fetch(`http://127.0.0.1:${host.port}/metrics`)).text();
    const line = text.split('\n').find(l => l.startsWith(`exportd_jobs_finished_total{route="${task}",state="completed"}`));
    if (Number(line?.split(' ').at(-1)) >= count) return;
    await new Promise(next => setTimeout(next, 20));
  }
}

async function road() {
  const plugins = join(build, 'bench-plugins');
  const floor = json(tool, ['floor', folder]);
  row('floor: one commit that is on disk (SQLite, WAL, FULL)', `${floor.commit_us} µs`);
  row('floor: a round trip over a socket pair', `${floor.round_trip_us} µs`);
  const host = await start('road', plugins);
  row('ready, 12 plugins probed', `${host.readyMs.toFixed(0)} ms (to reach: 150)`);
  row('host resident, idle', `${resident(host.child.pid).toFixed(1)} MB (to reach: under 15)`);
  load(host, 8, 2000, true);
  const one = load(host, 1, 3000, true);
  const least = 2 * floor.commit_us + floor.round_trip_us;
  row('road, 1 caller, from POST to result: p50, p99', `${one.p50_us} µs, ${one.p99_us} µs (to reach: 800)`);
  row('  its p50 over two commits and a round trip', `${(one.p50_us / least).toFixed(2)}`);
  const many = load(host, 64, 60_000, true);
  row('road, 64 callers, from POST to result', `${many.per_second} jobs/s, p50 ${many.p50_us} µs, p99 ${many.p99_us} µs (to reach: 10000)`);
  const before = Number((await (await fetch(`http://127.0.0.1:${host.port}/metrics`)).text()).match(/finished_total\{route="noop-1",state="completed"\} (\d+)/)[1]);
  const began = Date.now();
  const accepted = load(host, 64, 60_000, false);
  await done(host, 'noop-1', before + 60_000);
  row('accepted, 64 callers', `${accepted.per_second} jobs/s; all done at ${(60_000 / ((Date.now() - began) / 1000)).toFixed(0)} jobs/s`);
  row('host resident, after 125,000 jobs', `${resident(host.child.pid).toFixed(1)} MB`);
  row('worker resident', `${resident(workers(host)[0]).toFixed(1)} MB`);
  await host.stop();
  if (deep) {
    const crowded = await start('deep', plugins, { EXPORTD_PLUGIN_NOOP_2_ENABLED: 'no' });
    load(crowded, 64, 1000, false, 'noop-2');
    const few = [1, 2].map(() => load(crowded, 64, 60_000, true).per_second)[1];
    for (let i = 0; i < 10; i++) load(crowded, 64, 100_000, false, 'noop-2');
    const lots = [1, 2].map(() => load(crowded, 64, 60_000, true).per_second)[1];
    row('road with 1,000 and with 1,000,000 jobs waiting', `${few}, ${lots} jobs/s; ratio ${(lots / few).toFixed(2)} (to reach: 0.9)`);
    await crowded.stop();
  }
}

async function exporters() {
  const repro = JSON.parse(readFileSync('tests/data/bootstrap-20184.json', 'utf8'));
  const host = await start('exporters', join(build, 'plugins'), { EXPORTD_WORKER_WORKERS: '1' });
  const post = async (task, data) => {
    const answer = await fetch(`http://127.0.0.1:${host.port}/process`, { method: 'POST', headers: { 'content-type': 'application/json', prefer: 'wait=60' }, body: JSON.stringify({ task, data: { ...data, repro } }) });
    const job = await answer.json();
    if (job.status !== 'completed') throw new Error(JSON.stringify(job));
    return job;
  };
  const measure = async (task, data, times) => {
    await post(task, data);
    const pid = workers(host).find(worker => readFileSync(`/proc/${worker}/cmdline`, 'utf8').includes(data.format ?? 'docker'));
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
  await host.stop();
}

try {
  await road();
  await exporters();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
