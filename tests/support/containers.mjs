// A container out of packaging/Containerfile, made by Debian's buildah on a base that is a folder, and run without a daemon.
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterwards, ownEnvironment, patience, until } from './host.mjs';

export function whyNoBuildah() {
  return spawnSync('buildah', ['--version']).status !== 0 && 'buildah is not installed (apt-get install buildah)';
}

/** Images and containers in a folder of their own. */
export class Images {
  constructor(folder) {
    this.options = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs'];
    this.folder = folder;
  }

  try(...args) { return spawnSync('buildah', [...this.options, ...args], { encoding: 'utf8', env: ownEnvironment(), maxBuffer: 1 << 28, timeout: 10 * 60_000 }); }

  do(...args) {
    const done = this.try(...args);
    if (done.status !== 0) throw new Error(`buildah ${args.join(' ')}: code ${done.status}\n${done.stdout.slice(-4000)}\n${done.stderr.slice(-4000)}`);
    return done.stdout;
  }

  /** An image of that name, of all that is in the folder. */
  import(name, folder) {
    const container = this.do('from', 'scratch').trim();
    this.do('add', '--quiet', container, folder, '/');
    this.do('commit', '--quiet', '--rm', container, name);
  }

  config(image) { return JSON.parse(this.do('inspect', '--type', 'image', image)).Docker.config; }
}

/** All processes below one; buildah starts them from any of its threads. */
function descendants(pid) {
  const children = [];
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`))
      children.push(...(readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').match(/\d+/g) ?? []).map(Number));
  } catch { /* it ended */ }
  return children.flatMap(child => [child, ...descendants(child)]);
}

/** One container, whose command is the image's own. */
export class Container {
  constructor(t, images, image) {
    this.images = images;
    this.name = images.do('from', '--pull-never', image).trim();
    this.log = '';
    afterwards(t, () => this.stop());
  }

  arguments(env) {
    return ['run', '--isolation', 'chroot', '--network', 'host', ...Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]), this.name, '--'];
  }

  /** Runs a command in it to its end. */
  run(command, env = {}) { return this.images.try(...this.arguments(env), ...command); }

  async start(command, env) {
    const child = spawn('buildah', [...this.images.options, ...this.arguments(env), ...command], { env: ownEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => { this.log += chunk; });
    this.exited = new Promise(done => child.on('close', code => { child.ended = true; done(code); }));
    await until(() => child.ended || /ready at (http:\S+)/.test(this.log), 'the start of the container');
    if (child.ended) throw new Error(`the container did not start: ${this.log}`);
  }

  /** SIGTERM to its first process, as a container's engine does. */
  async stop() {
    if (!this.child || this.child.ended) return;
    const named = pid => { try { return readFileSync(`/proc/${pid}/comm`, 'utf8').trim(); } catch { return ''; } };
    for (const pid of descendants(this.child.pid)) if (named(pid) === 'exportd') process.kill(pid, 'SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), patience);
    const code = await this.exited;
    clearTimeout(timer);
    if (code !== 0) throw new Error(`the container ended with code ${code}:\n${this.log.slice(-4000)}`);
  }
}
