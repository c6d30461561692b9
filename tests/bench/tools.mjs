// What the parts of the bench share: programs that are started and certainly ended, the host, and the layout of a figure.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export const build = resolve(process.argv[2]);
export const deep = process.argv.includes('--deep');
export const folder = mkdtempSync(join(tmpdir(), 'exportd-bench-'));
const ticks = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout);

export const row = (label, value) => console.log(`${label.padEnd(58)} ${value}`);
export const median = figures => [...figures].sort((a, b) => a - b)[figures.length >> 1];
export const resident = pid => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
export const cpuMs = pid => { const f = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' '); return (Number(f[11]) + Number(f[12])) * 1000 / ticks; };

const children = new Set();
const endings = [];

/** To be done when the bench ends, however it ends; what was begun last is ended first. */
export function atEnd(what) { endings.push(what); }

/** spawn(), and the child doesn't outlive the bench. */
export function launch(program, args, options) {
  const child = spawn(program, args, options);
  children.add(child);
  child.ended = new Promise(done => {
    child.once('close', code => { children.delete(child); done(code); });
    child.once('error', error => { children.delete(child); child.failure = error; done(-1); });
  });
  return child;
}

/** Asks it to end, and makes it after ten seconds. */
export async function stop(child) {
  if (!children.has(child)) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await child.ended;
  clearTimeout(timer);
}

/** Runs a program to its end, and returns what it wrote. */
export async function run(program, args, options = {}) {
  const child = launch(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let out = '', log = '';
  child.stdout.on('data', chunk => { out += chunk; });
  child.stderr.on('data', chunk => { log += chunk; });
  const code = await child.ended;
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: ${child.failure?.message ?? log}`);
  return out;
}

export const json = async (program, args) => JSON.parse(await run(program, args));

/** A host with a state folder of its own. */
export async function start(name, plugins, env = {}) {
  const state = join(folder, name);
  mkdirSync(state, { recursive: true });
  const began = process.hrtime.bigint();
  const child = launch(join(build, 'exportd'), ['serve'], {
    env: { PATH: process.env.PATH, EXPORTD_HTTP_LISTEN: '127.0.0.1:0', EXPORTD_HOST_STATE: state, EXPORTD_HOST_PLUGINS: plugins, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const host = { child, log: '', stop: () => { host.stopped = true; return stop(child); } };
  child.ended.then(code => { // nobody awaits this: it ends the bench
    if (host.port && !host.stopped && !ending) throw new Error(`the host ended by itself (${code ?? child.signalCode}):\n${host.log.slice(-4000)}`);
  });
  host.port = await new Promise((done, fail) => {
    child.stderr.on('data', chunk => {
      host.log += chunk;
      const ready = /ready at http:\/\/127\.0\.0\.1:(\d+)/.exec(host.log);
      if (ready) done(Number(ready[1]));
    });
    child.ended.then(() => fail(new Error(host.log)));
  });
  host.readyMs = Number(process.hrtime.bigint() - began) / 1e6;
  return host;
}

export const workers = host => readdirSync('/proc').filter(pid => /^\d+$/.test(pid)).filter(pid => {
  try { return readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(`exportd-worker\0${host.child.pid}\0`); } catch { return false; }
});

/** One figure of /metrics, 0 where it isn't there yet. */
export async function metric(host, name) {
  const text = await (await fetch(`http://127.0.0.1:${host.port}/metrics`)).text();
  const line = text.split('\n').find(entry => entry.startsWith(`${name} `));
  return line ? Number(line.slice(name.length + 1)) : 0;
}

export const finished = (host, task) => metric(host, `exportd_jobs_finished_total{route="${task}",state="completed"}`);

export async function until(what, limitMs = 120_000) {
  const end = Date.now() + limitMs;
  while (!await what()) {
    if (Date.now() > end) throw new Error(`not within ${limitMs / 1000} s: ${what}`);
    await new Promise(next => setTimeout(next, 20));
  }
}

let ending;
function end() {
  return ending ??= (async () => {
    await Promise.all([...children].map(stop));
    for (const what of endings.reverse()) await what();
    rmSync(folder, { recursive: true, force: true });
  })();
}

/** Runs the parts one after the other; nothing of theirs is left when it is over, also after Ctrl-C. */
export async function bench(...parts) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, async () => {
      if (ending) return;
      await end();
      process.exit(128 + constants.signals[signal]);
    });
  process.on('uncaughtException', async error => {
    if (!ending) console.error(error);
    await end();
    process.exit(1);
  });
  process.on('exit', () => { for (const child of children) child.kill('SIGKILL'); });
  try {
    for (const part of parts) await part();
  } catch (error) {
    if (!ending) throw error; // else it failed because all is being ended
    await new Promise(() => {});
  } finally {
    await end();
  }
}
