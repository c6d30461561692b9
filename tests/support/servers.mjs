// Real servers from Debian's packages, each on a free port, in a temporary folder, as an ordinary user, stopped at the end of the test.
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import net from 'node:net';
import { afterwards, patience, until } from './host.mjs';

const root = process.getuid() === 0;

/** A port that stays the same over restarts, below those that the kernel hands to clients. */
export async function freePort() {
  for (;;) {
    const port = 20000 + Math.floor(Math.random() * 10000);
    const server = net.createServer();
    const free = await new Promise(done => server.once('error', () => done(false)).listen(port, '127.0.0.1', () => done(true)));
    if (!free) continue;
    await new Promise(done => server.close(done));
    return port;
  }
}

function idOf(user) {
  const line = readFileSync('/etc/passwd', 'utf8').split('\n').find(entry => entry.startsWith(`${user}:`));
  const [, , uid, gid] = line.split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

/** A folder that an ordinary user owns, and how to become that user. */
function folderFor(t, user) {
  const folder = mkdtempSync(join(tmpdir(), 'exportd-server-'));
  chmodSync(folder, 0o755);
  if (!root) return { folder, as: {} };
  const as = idOf(user);
  chownSync(folder, as.uid, as.gid);
  return { folder, as };
}

export const answers = port => new Promise(done => {
  const socket = net.connect(port, '127.0.0.1');
  socket.once('connect', () => { socket.destroy(); done(true); });
  socket.once('error', () => done(false));
});

export class Server {
  constructor(t, user) {
    Object.assign(this, folderFor(t, user));
    this.log = '';
    afterwards(t, () => this.close());
  }

  /** For those who use it without a test. */
  async close() {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  launch(program, args) {
    const child = spawn(program, args, { ...this.as, cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => { this.log += chunk; });
    this.ended = new Promise(done => child.on('close', code => { child.over = true; done(code); }));
    return child;
  }

  async signal(name) {
    if (!this.child || this.child.over) return;
    this.child.kill(name);
    await this.ended;
  }

  kill() { return this.signal('SIGKILL'); }
}

export class Postgres extends Server {
  constructor(t) {
    super(t, 'postgres');
    const versions = '/usr/lib/postgresql';
    this.bin = join(versions, readdirSync(versions).sort((a, b) => a - b).at(-1), 'bin');
    this.data = join(this.folder, 'data');
  }

  async start(settings = this.settings ?? {}) {
    this.settings = settings;
    this.port ??= await freePort();
    if (!existsSync(this.data)) {
      const made = spawnSync(join(this.bin, 'initdb'), ['-D', this.data, '-U', 'exportd', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'],
        { ...this.as, cwd: this.folder, encoding: 'utf8' });
      if (made.status !== 0) throw new Error(made.stderr);
    }
    const all = { port: this.port, listen_addresses: '127.0.0.1', unix_socket_directories: this.folder, ...settings };
    this.launch(join(this.bin, 'postgres'), ['-D', this.data, ...Object.entries(all).flatMap(([key, value]) => ['-c', `${key}=${value}`])]);
    await until(() => {
      if (this.child.over) throw new Error(`PostgreSQL did not start:\n${this.log}`);
      return spawnSync(join(this.bin, 'pg_isready'), ['-q', '-h', '127.0.0.1', '-p', String(this.port), '-t', '1'], { cwd: this.folder }).status === 0;
    }, 'the start of PostgreSQL', patience * 2);
    return this;
  }

  get url() { return `postgresql://exportd@127.0.0.1:${this.port}/postgres`; }

  /** One of the server's databases: {url, query}. */
  at(name) {
    const url = this.url.replace(/postgres$/, name);
    return { url, query: (text, values) => this.query(text, values, url) };
  }

  /** mode: fast (SIGINT) or immediate (SIGQUIT). */
  stop(mode = 'fast') { return this.signal(mode === 'immediate' ? 'SIGQUIT' : 'SIGINT'); }

  async restart(mode) {
    await this.stop(mode);
    await this.start();
  }

  async close() {
    await this.stop('immediate'); // it takes its processes and its shared memory along
    await super.close();
  }

  /** The rows of one statement, over an independent client. */
  async query(text, values, url = this.url) {
    const { default: pg } = await import('pg');
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => { /* the server may go: the query says so */ });
    await client.connect();
    try {
      return (await client.query(text, values)).rows;
    } finally {
      await client.end().catch(() => { /* it is gone already */ });
    }
  }
}

export class Redis extends Server {
  constructor(t) { super(t, 'nobody'); }

  async start(settings = this.settings ?? {}) {
    this.settings = settings;
    this.port ??= await freePort();
    const all = { port: this.port, bind: '127.0.0.1', dir: this.folder, save: '', ...settings };
    this.launch('/usr/bin/redis-server', Object.entries(all).flatMap(([key, value]) => [`--${key}`, String(value)]));
    await until(async () => {
      if (this.child.over) throw new Error(`Redis did not start:\n${this.log}`);
      return answers(this.port);
    }, 'the start of Redis');
    return this;
  }

  get url() { return `redis://127.0.0.1:${this.port}`; }
}
