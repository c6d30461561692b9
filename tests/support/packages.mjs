// Packages out of these sources, Debian roots to install them into, and hosts that run inside such a root.
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterwards, ownEnvironment, patience, source, until } from './host.mjs';

/** Runs a program to its end, and throws unless it ends well. Returns what it said. */
export function sh(program, args, { env = {}, ...options } = {}) {
  const done = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28, timeout: 10 * 60_000, env: { ...ownEnvironment(), ...env }, ...options });
  if (done.status !== 0)
    throw new Error(`${program} ${args.join(' ')}: ${done.error ?? `code ${done.status}, signal ${done.signal}`}\n${done.stdout}\n${done.stderr}`.slice(-8000));
  return done.stdout;
}

/** A copy of what packages are made of, in that folder. */
export function copySources(folder) {
  mkdirSync(folder, { recursive: true });
  for (const name of ['CMakeLists.txt', 'conf.d', 'host', 'packaging', 'plugins', 'sdk']) cpSync(join(source, name), join(folder, name), { recursive: true });
  return folder;
}

/** Builds the packages of a copy in its folder build-package; the time in them is epoch. Returns that folder. */
export function makePackages(sources, { epoch = 1_750_000_000, options = [], env = {} } = {}) {
  sh(join(sources, 'packaging/package.sh'), [join(sources, 'build-package'), ...options], { env: { SOURCE_DATE_EPOCH: String(epoch), ...env } });
  return join(sources, 'build-package');
}

/** The names of a folder's packages: those that end so. */
export const packagesOf = (folder, ending) => readdirSync(folder).filter(name => name.endsWith(ending)).sort();

/** Why no Debian root can be made and entered here; false: it can. */
export function whyNoRoot() {
  if (process.getuid() !== 0) return 'installing packages needs root';
  if (spawnSync('debootstrap', ['--version']).status !== 0) return 'debootstrap is not installed (apt-get install debootstrap)';
  const mount = spawnSync('unshare', ['--mount', '--pid', '--fork', 'sh', '-c', 'mount -t tmpfs none /mnt && mknod /mnt/null c 1 3'], { encoding: 'utf8' });
  if (mount.status !== 0) return `this machine lets nobody mount, or make a device: ${mount.stderr.trim()}`;
  return false;
}

/** A fresh Debian 12 in that folder, from the mirror that this machine's own apt uses. */
export function debianRoot(folder) {
  const lines = sh('apt-get', ['indextargets', '--format', '$(ORIGIN) $(CODENAME) $(REPO_URI)', 'Created-By: Packages']).split('\n');
  const mirror = lines.find(line => line.startsWith('Debian bookworm '))?.split(' ')[2];
  if (!mirror) throw new Error('apt knows no mirror of Debian 12 (bookworm)');
  sh('debootstrap', ['--variant=minbase', 'bookworm', folder, mirror]);
  const proxies = sh('apt-config', ['dump', '--format', '%F "%v";%n', 'Acquire']).split('\n').filter(line => /^Acquire::https?::(Proxy|Verify)/.test(line));
  writeFileSync(join(folder, 'etc/apt/apt.conf.d/00test'), ['Acquire::Languages "none";', 'APT::Install-Recommends "no";', ...proxies, ''].join('\n'));
  return folder;
}

// A mount and a PID namespace, and the folder as the root of the file system; a chroot could have no user namespace in it.
const enter = `set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
shift
mount -t proc proc proc
mkdir -p .outside
pivot_root . .outside
umount -l /.outside
cd /
exec "$@"`;
const entering = root => ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', enter, 'sh', root];
const inEnvironment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };

/** Runs a shell's command in the root; {code, stdout, stderr}. */
export function tryInside(root, command, { env = {} } = {}) {
  const done = spawnSync('unshare', [...entering(root), 'sh', '-c', command], { encoding: 'utf8', env: { ...inEnvironment, ...env }, timeout: 10 * 60_000, maxBuffer: 1 << 28 });
  return { code: done.status, stdout: done.stdout, stderr: done.stderr };
}

/** The same, for what has to end well. Returns what it printed. */
export function inside(root, command, options) {
  const { code, stdout, stderr } = tryInside(root, command, options);
  if (code !== 0) throw new Error(`${command}: code ${code}\n${stdout.slice(-4000)}\n${stderr.slice(-4000)}`);
  return stdout;
}

/** A host that runs in a root, as its service's user, with what is installed there. */
export class InstalledHost {
  constructor(t, root) {
    this.root = root;
    this.log = '';
    afterwards(t, () => this.stop());
  }

  async start(env = {}) {
    const command = ['setpriv', '--reuid=exportd', '--regid=exportd', '--init-groups', 'exportd', 'serve'];
    const child = spawn('unshare', [...entering(this.root), ...command], {
      env: { ...inEnvironment, XDG_STATE_HOME: '/var/lib', EXPORTD_HTTP_LISTEN: '127.0.0.1:0', ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
    this.child = child;
    child.stderr.on('data', chunk => { this.log += chunk; });
    this.exited = new Promise(done => child.on('close', code => { child.ended = true; done(code); }));
    const mark = this.log.length;
    await until(() => child.ended || /ready at (http:\S+)/.test(this.log.slice(mark)), 'the start of the installed host');
    if (child.ended) throw new Error(`the installed host did not start: ${this.log.slice(mark)}`);
    this.url = /ready at (http:\S+)/.exec(this.log.slice(mark))[1];
    return this;
  }

  async stop() {
    if (!this.child || this.child.ended) return;
    const { pid } = this.child;
    const host = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')); // unshare's only child
    process.kill(host, 'SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), patience);
    const code = await this.exited;
    clearTimeout(timer);
    if (code !== 0) throw new Error(`the installed host ended with code ${code}:\n${this.log.slice(-4000)}`);
  }

  /** Hands a job in and waits for its end, as the callback has it. */
  async runJob(body) {
    const answer = await fetch(`${this.url}/process`, { method: 'POST', headers: { 'content-type': 'application/json', prefer: 'wait=30' }, body: JSON.stringify(body) });
    return { status: answer.status, json: await answer.json() };
  }

  async get(path) { return (await fetch(this.url + path)).json(); }
}

/** Why no systemd can be booted in a root here; false: it can. */
export function whyNoBoot() {
  if (spawnSync('systemd-nspawn', ['--version']).status !== 0) return 'systemd-nspawn is not installed (apt-get install systemd-container)';
  const cgroups = readFileSync('/proc/self/mounts', 'utf8').split('\n').filter(line => / cgroup2? /.test(line) && !/ ro[, ]/.test(line));
  return cgroups.length === 0 && 'this machine has no control groups that systemd could use';
}

/** Boots the root's systemd, without a network but its own loopback, runs a bash script once all is up, and returns what it printed. */
export function boot(root, script) {
  writeFileSync(join(root, 'said'), '');
  writeFileSync(join(root, 'script'), script);
  writeFileSync(join(root, 'etc/systemd/system/said.service'), `[Unit]
After=exportd.service
[Service]
Type=oneshot
ExecStart=/bin/bash /script
StandardOutput=append:/said
StandardError=append:/said
ExecStopPost=/bin/systemctl poweroff --no-block
TimeoutStartSec=120
[Install]
WantedBy=multi-user.target
`);
  inside(root, 'systemctl enable said.service');
  const done = spawnSync('systemd-nspawn', ['--quiet', '--directory', root, '--private-network', '--register=no', '--keep-unit', '--boot',
    '--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self'], // nspawn's own list is older than they are
    { encoding: 'utf8', env: ownEnvironment(), stdio: ['ignore', 'pipe', 'pipe'], timeout: 180_000, killSignal: 'SIGKILL' });
  const said = readFileSync(join(root, 'said'), 'utf8');
  inside(root, 'systemctl disable said.service && rm /script /said /etc/systemd/system/said.service');
  if (done.status !== 0) throw new Error(`systemd did not boot, or not go down: ${done.error ?? done.status}\n${done.stdout.slice(-3000)}\n${done.stderr.slice(-2000)}\n${said}`);
  return said;
}
