// repo-clone beside git, both from one smart HTTP server: wall time from the request to the result, and of the command. Medians.
import { spawn, spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { GitServer } from '../support/git.mjs';
import { atEnd, build, folder, median, row, run, start } from './tools.mjs';

const ROUNDS = 5;
/* ext4 looks long for an inode where many were freed in the last seconds, and each job's workspace is removed after it. */
const PAUSE_MS = 6000;
const COMMITS = 10_000;
const environment = { PATH: process.env.PATH, HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0', GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*' };

/** A history of text that grows and changes, as fast-import reads it: always the same. */
function history() {
  const words = 'the quick brown fox jumps over lazy dog static int return struct const char void include while for if else break'.split(' ');
  let state = 1;
  const next = below => (state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) % below;
  const line = () => Array.from({ length: 4 + next(8) }, () => words[next(words.length)]).join(' ');
  const files = new Map(), parts = [];
  for (let commit = 0; commit < COMMITS; commit++) {
    const message = `change ${commit}: ${line()}\n`;
    parts.push(`commit refs/heads/main\ncommitter Somebody <somebody@example.org> ${1600000000 + commit * 60} +0000\ndata ${message.length}\n${message}`);
    for (let i = commit === 0 ? 400 : 1 + next(3); i > 0; i--) {
      const number = next(1500);
      const path = `src/part-${number % 30}/file-${number}.c`;
      const lines = files.get(path) ?? Array.from({ length: 40 + next(200) }, line);
      files.set(path, lines);
      for (let k = 0; k < 3; k++) lines[next(lines.length)] = line();
      if (next(3) === 0) lines.push(line());
      const text = `${lines.join('\n')}\n`;
      parts.push(`M 100644 inline ${path}\ndata ${text.length}\n${text}\n`);
    }
  }
  return parts.join('');
}

/** Serves git archive's tarballs as Gitea does. */
async function startApi(bare) {
  const server = http.createServer((request, response) => {
    const [, commit] = /\/archive\/(\w+)\.tar\.gz$/.exec(request.url);
    const child = spawn('git', ['archive', '--format=tar.gz', '--prefix=big/', commit], { cwd: bare(), env: environment, stdio: ['ignore', 'pipe', 'ignore'] });
    response.writeHead(200, { 'content-type': 'application/x-gzip' });
    child.stdout.pipe(response);
  });
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  atEnd(() => new Promise(done => { server.close(done); server.closeAllConnections(); }));
  return `http://127.0.0.1:${server.address().port}`;
}

function makeRepository(server, first) {
  server.make(first, { files: {} });
  const made = spawnSync('git', ['fast-import', '--quiet'], { ...server.as, cwd: server.path(first), env: environment, input: history() });
  if (made.status !== 0) throw new Error(made.stderr.toString());
  spawnSync('git', ['repack', '-adfq'], { ...server.as, cwd: server.path(first), env: environment });
}

export async function repositories() {
  const server = new GitServer();
  atEnd(() => server.close());
  const api = await startApi(() => server.path('o/big-0'));
  await server.start({ publicRead: true, api });
  makeRepository(server, 'o/big-0');
  for (let i = 1; i < ROUNDS; i++) cpSync(server.path('o/big-0'), server.path(`o/big-${i}`), { recursive: true });
  spawnSync('chown', ['-R', `--reference=${server.folder}`, join(server.folder, 'repos')]);
  const settings = { NETWORK: 'yes', CACHE: 'git', SCHEMES: 'http', GITEA: server.url, WORKERS: '1' };
  const host = await start('clone', join(build, 'plugins'), Object.fromEntries(Object.entries(settings).map(([key, value]) => [`EXPORTD_PLUGIN_REPO_CLONE_${key}`, value])));
  const seconds = async what => { const began = process.hrtime.bigint(); await what(); return Number(process.hrtime.bigint() - began) / 1e9; };
  const acquire = async data => (await new Promise(next => setTimeout(next, PAUSE_MS)), seconds(async () => {
    const answer = await fetch(`http://127.0.0.1:${host.port}/process`, { method: 'POST', headers: { 'content-type': 'application/json', prefer: 'wait=60' }, body: JSON.stringify({ task: 'acquire-user-repo', data }) });
    const job = await answer.json();
    if (job.status !== 'completed') throw new Error(JSON.stringify(job));
  }));
  const url = number => `${server.url}/o/big-${number}.git`;
  let clones = 0;
  const clone = (number, ...options) => seconds(() => run('git', ['clone', '-q', ...options, url(number), join(folder, `cloned-${clones++}`)], { env: environment }));
  await acquire({ repo_url: url(0), mode: 'archive' }); // the worker is warm
  const figures = { whole: [], shallow: [], first: [], second: [], archive: [] };
  for (let i = 0; i < ROUNDS; i++) {
    figures.whole.push(await clone(i));
    figures.shallow.push(await clone(i, '--depth', '1'));
    figures.first.push(await acquire({ repo_url: url(i) }));
    figures.second.push(await acquire({ repo_url: url(i) }));
    figures.archive.push(await acquire({ repo_url: url(i), mode: 'archive' }));
  }
  const ms = Object.fromEntries(Object.entries(figures).map(([name, list]) => [name, 1000 * median(list)]));
  const shown = name => `${ms[name].toFixed(0)} ms`;
  row('git clone, git clone --depth 1, 10,000 commits, local HTTP', `${shown('whole')}, ${shown('shallow')}`);
  row('a first acquisition, over git clone', `${shown('first')}; ratio ${(ms.first / ms.whole).toFixed(2)} (to reach: 1.5)`);
  row('a second one, over git clone --depth 1', `${shown('second')}; ratio ${(ms.second / ms.shallow).toFixed(2)} (to reach: 0.3)`);
  row('mode=archive, over git clone --depth 1', `${shown('archive')}; ratio ${(ms.archive / ms.shallow).toFixed(2)} (to reach: 1)`);
  await host.stop();
}
