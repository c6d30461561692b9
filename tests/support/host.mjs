// Starts a real exportd on a free port and a temporary folder, and stops it. For the whole-program tests and the demo.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, writeFileSync, rmSync, existsSync, symlinkSync, copyFileSync, chmodSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import http from 'node:http';

export const source = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const build = resolve(process.env.EXPORTD_BUILD ?? join(source, 'build-test'));
export const sanitized = existsSync(join(build, 'CMakeCache.txt')) && build.includes('asan');
export const exportd = join(build, 'exportd');

/** Seconds that things may take at the most: sanitizers are slow, and machines are shared. */
export const patience = sanitized ? 60_000 : 30_000;

const endings = new WeakMap();

/** Does it at the end of the test, what came last first, whatever else fails there; node's runner leaves out the hooks behind one that throws. */
export function afterwards(t, what) {
  if (!t) return;
  if (!endings.has(t)) {
    endings.set(t, []);
    t.after(async () => {
      const failures = [];
      for (const ending of endings.get(t).reverse()) {
        try { await ending(); } catch (error) { failures.push(error); }
      }
      if (failures.length > 0) throw failures[0];
    });
  }
  endings.get(t).push(what);
}

export function temporaryFolder(t) {
  const folder = mkdtempSync(join(tmpdir(), 'exportd-test-'));
  afterwards(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const hosts = new Set(); // that this process has started, and not stopped yet

/** The last that each host said which still runs, and what it refused: a test that waits in vain is to tell why at its first failure. */
function lastWords() {
  const disk = statfsSync(tmpdir());
  const said = [...hosts].map(host => `\nthe host at ${host.url} refused: ${host.refusals.join(' ') || 'nothing'}; it said:\n${host.log.slice(-3000)}`);
  return `\n${Math.round(disk.bavail * disk.bsize / 1e6)} MB of disk are free${said.join('')}`;
}

/** Polls until what() gives something truthy, and returns it. */
export async function until(what, description = 'it', limitMs = patience) {
  const end = Date.now() + limitMs;
  for (;;) {
    const value = await what();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${description}: not within ${limitMs} ms${lastWords()}`);
    await new Promise(done => setTimeout(done, 20));
  }
}

/** A folder with some of the tests' own plugins: names without .so. */
export function pluginFolder(folder, names) {
  const plugins = join(folder, 'plugins');
  mkdirSync(plugins, { recursive: true, mode: 0o755 });
  for (const name of names) {
    const shipped = join(build, 'plugins', `${name}.so`);
    copyFileSync(existsSync(shipped) ? shipped : join(build, 'test-plugins', `${name}.so`), join(plugins, `${name}.so`));
    chmodSync(join(plugins, `${name}.so`), 0o755);
  }
  return plugins;
}

/** conf: {file: text}. Written into folder/conf.d. */
export function confFolder(folder, conf) {
  const path = join(folder, 'conf.d');
  mkdirSync(path, { recursive: true, mode: 0o755 });
  for (const [name, text] of Object.entries(conf)) writeFileSync(join(path, name), text, { mode: 0o640 });
  return path;
}

/** This process' environment without what exportd reads. */
export function ownEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(EXPORTD_|S3_|(DATABASE|NATS|REDIS)_URL$)/.test(name)));
}

/** Runs the program to its end. */
export function run(args, { env = {}, input, cwd } = {}) {
  const clean = ownEnvironment();
  const own = { XDG_CACHE_HOME: '/dev/null' }; // not that of who runs the tests
  const done = spawnSync(exportd, args, { env: { ...clean, ...own, ...env }, input, cwd, encoding: 'utf8', maxBuffer: 1 << 28, timeout: 4 * patience });
  return { code: done.status, signal: done.signal, stdout: done.stdout, stderr: done.stderr };
}

/**
 * A running host. options: folder (else a temporary one), plugins (names of plugins, or a folder), conf ({file: text}), env.
 * Stopped, and checked for sanitizer findings, at the end of the test.
 */
export class Host {
  constructor(t, options = {}) {
    this.t = t;
    this.folder = options.folder ?? temporaryFolder(t);
    afterwards(t, () => this.stop());
    this.state = join(this.folder, 'state');
    this.plugins = Array.isArray(options.plugins) ? pluginFolder(this.folder, options.plugins) : options.plugins ?? join(build, 'plugins');
    this.conf = confFolder(this.folder, options.conf ?? {});
    this.env = options.env ?? {};
    this.prefix = options.prefix ?? []; // a program that starts the host
    this.log = '';
    this.refusals = []; // answers from 500 on, the last of them
  }

  async start() {
    const clean = ownEnvironment();
    const command = [...this.prefix, exportd, 'serve', '-c', this.conf];
    this.process = spawn(command[0], command.slice(1), {
      env: { ...clean, EXPORTD_HTTP_LISTEN: '127.0.0.1:0', EXPORTD_HOST_STATE: this.state, EXPORTD_HOST_PLUGINS: this.plugins, ...this.env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const child = this.process;
    hosts.add(this);
    child.stderr.on('data', chunk => { this.log += chunk; });
    this.exited = new Promise(done => child.on('close', (code, signal) => { child.ended = true; hosts.delete(this); done({ code, signal }); }));
    const mark = this.log.length;
    await until(() => child.ended || /ready at (http:\S+)/.test(this.log.slice(mark)), 'the start of the host');
    if (child.ended) throw new Error(`the host did not start:\n${this.log}`);
    this.url = /ready at (http:\S+)/.exec(this.log.slice(mark))[1];
    return this;
  }

  /** kill -9. */
  async kill() {
    this.process.kill('SIGKILL');
    await this.exited;
  }

  async stop() {
    if (!this.process || this.process.ended) return;
    this.process.kill('SIGTERM');
    const timer = setTimeout(() => this.process.kill('SIGKILL'), patience);
    const end = await this.exited;
    clearTimeout(timer);
    if (end.signal || end.code !== 0 || /AddressSanitizer|LeakSanitizer|runtime error:/.test(this.log))
      throw new Error(`the host ended with code ${end.code}, signal ${end.signal}:\n${this.log.slice(-6000)}`);
  }

  /** An HTTP request; returns {status, headers, text, json}. */
  request(method, path, { body, headers = {}, timeout = patience } = {}) {
    const url = new URL(this.url);
    return new Promise((done, fail) => {
      const request = http.request({ host: url.hostname, port: url.port, method, path, timeout, agent: false,
        headers: { ...(body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body) ? { 'content-type': 'application/json' } : {}), ...headers } });
      request.on('response', response => {
        const chunks = [];
        response.on('data', chunk => chunks.push(chunk));
        response.on('end', () => {
          const bytes = Buffer.concat(chunks);
          let json;
          try { json = JSON.parse(bytes.toString()); } catch { /* not JSON */ }
          if (response.statusCode >= 500) this.refusals = [...this.refusals.slice(-4), `${method} ${path}: ${response.statusCode} ${bytes.toString().slice(0, 300)}`];
          done({ status: response.statusCode, headers: response.headers, bytes, text: bytes.toString(), json });
        });
        response.on('error', fail);
      });
      request.on('timeout', () => request.destroy(new Error(`${method} ${path}: no answer`)));
      request.on('error', fail);
      if (body !== undefined) request.write(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
      request.end();
    });
  }

  get(path, options) { return this.request('GET', path, options); }

  /** Hands a job in; waits for nothing. */
  process_(body, options) { return this.request('POST', '/process', { body, ...options }); }

  /** Hands a job in, waits until it is over, and returns it as GET /jobs/ID has it. */
  async runJob(body) {
    const accepted = await this.process_(body);
    if (accepted.status !== 202 && accepted.status !== 200) throw new Error(`${accepted.status}: ${accepted.text}`);
    return this.finished(accepted.json.jobId);
  }

  async finished(id, limitMs = patience) {
    return until(async () => {
      const { json } = await this.get(`/jobs/${encodeURIComponent(id)}`);
      return ['completed', 'failed', 'cancelled'].includes(json?.status) && json;
    }, `the end of the job ${id}`, limitMs);
  }

  async metric(name) {
    const { text } = await this.get('/metrics');
    const line = text.split('\n').find(l => l.startsWith(name) && /^[ {]/.test(l.slice(name.length)));
    return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1));
  }
}

/** Starts a host and resolves when it is ready. */
export function startHost(t, options) { return new Host(t, options).start(); }

/** Receives callbacks. answer(request, response, body): what to answer; 200 by default. received: [{headers, body, json}]. */
export async function startReceiver(t, answer) {
  const received = [];
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', chunk => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      let json;
      try { json = JSON.parse(body); } catch { /* not JSON */ }
      received.push({ headers: request.headers, url: request.url, body, json, at: Date.now() });
      if (answer) answer(request, response, received.length);
      else response.end('ok');
    });
  });
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  const close = () => new Promise(done => { server.close(done); server.closeAllConnections?.(); });
  afterwards(t, close);
  return { url: `http://127.0.0.1:${server.address().port}`, received, server, close };
}
