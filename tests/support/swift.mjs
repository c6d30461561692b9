// Starts OpenStack Swift with its S3 door (s3api) as one account, container, object and proxy server, each a process of
// the test's own on a free port, with all that they keep in a temporary folder. Needs no root and no service manager.
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { source, until } from './host.mjs';
import { freePort } from './servers.mjs';

export const accessKey = 'test:tester';
export const secretKey = 'open/sesame+please';
export const readerKey = 'test:reader'; // of the same account, without any right
export const readerSecret = 'only-looking';

function must(command, args, options) {
  const done = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (done.status > 1 || done.status === null) throw new Error(`${command} ${args.join(' ')}: ${done.stdout}${done.stderr}${done.error ?? ''}`);
}

/** Ports on which nobody listens; they aren't those that the kernel hands to other tests meanwhile. */
export async function freePorts(count) {
  const ports = new Set();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}

/** Swift keeps what it knows of an object in extended attributes; not every file system has those of users. */
function folderWithAttributes() {
  for (const root of [tmpdir(), '/var/tmp', '/dev/shm', source]) {
    if (!existsSync(root)) continue;
    let folder;
    try { folder = mkdtempSync(join(root, 'exportd-swift-')); } catch { continue; }
    const probe = 'import os,sys; os.setxattr(sys.argv[1], "user.swift.metadata", b"x" * 2000)';
    if (spawnSync('/usr/bin/python3', ['-c', probe, folder]).status === 0) return folder;
    rmSync(folder, { recursive: true, force: true });
  }
  throw new Error('no temporary folder has user extended attributes, which Swift needs; set TMPDIR to one that has');
}

export class Swift {
  async start() {
    this.folder = folderWithAttributes();
    this.log = '';
    this.servers = {};
    chmodSync(this.folder, 0o755);
    const [proxy, account, container, object, memcache] = await freePorts(5);
    this.ports = { proxy, account, container, object };
    this.endpoint = `http://127.0.0.1:${proxy}`;
    this.#write(memcache);
    for (const name of ['account', 'container', 'object']) {
      const ring = join(this.folder, `${name}.builder`);
      must('swift-ring-builder', [ring, 'create', '1', '1', '0'], { cwd: this.folder });
      must('swift-ring-builder', [ring, 'add', `r1z1-127.0.0.1:${this.ports[name]}/disk`, '1'], { cwd: this.folder });
      must('swift-ring-builder', [ring, 'rebalance'], { cwd: this.folder });
    }
    for (const name of ['account', 'container', 'object', 'proxy']) this.#spawn(name);
    for (const name of ['account', 'container', 'object', 'proxy']) await this.#ready(name);
    return this;
  }

  #write(memcache) {
    const user = userInfo().username;
    const own = (name, more) => `[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = ${this.ports[name]}\nworkers = 0\nuser = ${user}\n` +
      `swift_dir = ${this.folder}\ndevices = ${join(this.folder, 'devices')}\nmount_check = false\ndb_preallocation = off\n` +
      `disable_fallocate = true\nlog_level = INFO\nlog_address = ${join(this.folder, 'no-syslog')}\n${more}`;
    mkdirSync(join(this.folder, 'devices', 'disk'), { recursive: true });
    mkdirSync(join(this.folder, 'cache'));
    writeFileSync(join(this.folder, 'swift.conf'), '[swift-hash]\nswift_hash_path_suffix = tests\nswift_hash_path_prefix = tests\n');
    for (const name of ['account', 'container', 'object'])
      writeFileSync(join(this.folder, `${name}-server.conf`), own(name,
        `\n[pipeline:main]\npipeline = ${name}-server\n\n[app:${name}-server]\nuse = egg:swift#${name}\nrecon_cache_path = ${join(this.folder, 'cache')}\n`));
    writeFileSync(join(this.folder, 'proxy-server.conf'), own('proxy', `
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:${memcache}
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
storage_domain = localhost
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = ${secretKey} .admin
user_test_reader = ${readerSecret}
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
`));
  }

  #spawn(name) {
    const child = spawn(`swift-${name}-server`, [join(this.folder, `${name}-server.conf`), '-v'], { cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.on('data', chunk => { this.log += chunk; });
    child.stderr.on('data', chunk => { this.log += chunk; });
    child.exited = new Promise(done => child.on('close', (code, signal) => { child.ended = true; done({ code, signal }); }));
    child.on('error', error => { this.log += error; child.ended = true; });
    this.servers[name] = child;
  }

  async #ready(name) {
    await until(() => new Promise((done, fail) => {
      if (this.servers[name].ended) fail(new Error(`swift-${name}-server did not start:\n${this.log}`));
      const socket = connect(this.ports[name], '127.0.0.1', () => { socket.destroy(); done(true); });
      socket.on('error', () => done(false));
    }), `swift-${name}-server`);
  }

  /** kill -9 of the one that speaks S3. */
  async killProxy() {
    this.servers.proxy.kill('SIGKILL');
    await this.servers.proxy.exited;
  }

  async startProxy() {
    this.#spawn('proxy');
    await this.#ready('proxy');
  }

  async stop() {
    for (const child of Object.values(this.servers ?? {})) child.kill('SIGKILL');
    await Promise.all(Object.values(this.servers ?? {}).map(child => child.exited));
    if (this.folder) rmSync(this.folder, { recursive: true, force: true });
  }
}
