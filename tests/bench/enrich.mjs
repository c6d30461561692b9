// repo-enrich over a repository of thousands of files and commits: CPU in a warm worker, with the history and without; the floors are git's own.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GitServer } from '../support/git.mjs';
import { atEnd, build, cpuMs, resident, row, start, workers } from './tools.mjs';

const FILES = 3200, COMMITS = 10_000, ROUNDS = 8;

/** Source files of some KB in many languages, packages with manifests, and a history by 300 people; always the same. */
function history() {
  const endings = ['c', 'h', 'js', 'ts', 'py', 'go', 'rs', 'java', 'rb', 'css', 'html', 'sh', 'md', 'json', 'yml', 'bin'];
  const words = 'the quick brown fox jumps over lazy dog static int return struct const char void include while for if else break'.split(' ');
  let state = 1;
  const next = below => (state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) % below;
  const lines = count => Array.from({ length: count }, () => `${Array.from({ length: 4 + next(8) }, () => words[next(words.length)]).join(' ')}\n`).join('');
  const file = (path, text) => `M 100644 inline ${path}\ndata ${Buffer.byteLength(text)}\n${text}\n`;
  const head = (commit, message) => `commit refs/heads/main\nauthor Person ${commit % 300} <p${commit % 300}@example.org> ${1600000000 + commit * 600} +0200\ncommitter Somebody <somebody@example.org> ${1600000000 + commit * 600} +0000\ndata ${message.length}\n${message}\n`;
  const parts = [head(0, 'begin'), file('LICENSE', readFileSync('/usr/share/common-licenses/Apache-2.0', 'utf8')), file('README.md', `# Large\n\n${lines(200)}`)];
  for (let i = 0; i < FILES; i++) {
    const ending = endings[i % endings.length];
    parts.push(file(`part-${i % 40}/src/file-${i}.${ending}`, ending === 'bin' ? '\0'.repeat(20_000) : lines(60 + next(200))));
  }
  for (let i = 0; i < 40; i++) parts.push(file(`part-${i}/package.json`, JSON.stringify({ name: `part-${i}`, license: 'MIT', dependencies: Object.fromEntries(Array.from({ length: 80 }, (_, k) => [`dependency-${k}`, `^${i}.${k}.0`])) }, null, 2)));
  for (let i = 1; i < COMMITS; i++) parts.push(head(i, `change ${i}: ${words[next(words.length)]}`), file(`part-${i % 40}/notes.md`, `${i}\n`));
  return parts.join('');
}

export async function enriching() {
  const server = new GitServer();
  atEnd(() => server.close());
  await server.start({ publicRead: true });
  server.make('large', { files: {} });
  const made = spawnSync('git', ['fast-import', '--quiet'], { ...server.as, cwd: server.path('large'), input: history() });
  if (made.status !== 0) throw new Error(made.stderr.toString());
  spawnSync('git', ['repack', '-adq'], { ...server.as, cwd: server.path('large') });
  const both = { CACHE: 'git', WORKERS: '1' };
  const settings = (plugin, keys) => Object.fromEntries(Object.entries(keys).map(([key, value]) => [`EXPORTD_PLUGIN_${plugin}_${key}`, value]));
  const host = await start('enrich', join(build, 'plugins'), { ...settings('REPO_CLONE', { ...both, NETWORK: 'yes', SCHEMES: 'http', ALLOW: '127.0.0.0/8' }), ...settings('REPO_ENRICH', { ...both, MEMORY: '512M' }) });
  const post = async data => {
    const answer = await fetch(`http://127.0.0.1:${host.port}/process`, { method: 'POST', headers: { 'content-type': 'application/json', prefer: 'wait=60' }, body: JSON.stringify({ task: 'enrich-repo', data: { repo_url: `${server.url}/large.git`, ...data } }) });
    const job = await answer.json();
    if (job.status !== 'completed') throw new Error(JSON.stringify(job));
    return job.result;
  };
  const { files, history: told } = await post({});
  const pid = workers(host).find(worker => readFileSync(`/proc/${worker}/cmdline`, 'utf8').includes('repo-enrich'));
  const measure = async data => {
    const before = cpuMs(pid);
    for (let i = 0; i < ROUNDS; i++) await post(data);
    return (cpuMs(pid) - before) / ROUNDS;
  };
  const without = await measure({ with_history: false }), whole = await measure({});
  const script = `for i in $(seq 5); do git -c safe.directory='*' log --format='%aN%aE%at' main >/dev/null; done; times`;
  const [, times] = spawnSync('bash', ['-c', script], { cwd: server.path('large'), encoding: 'utf8' }).stdout.trim().split('\n');
  const log = times.split(' ').reduce((sum, text) => { const [, m, s] = /(\d+)m([\d.]+)s/.exec(text); return sum + Number(m) * 60 + Number(s); }, 0) * 1000 / 5;
  row(`enrich-repo, ${files.count} files, ${(files.bytes / 1e6).toFixed(0)} MB, without history`, `${without.toFixed(0)} ms CPU in a warm worker (to reach: 1000)`);
  row(`its history of ${told.commits} commits, over git log`, `${(whole - without).toFixed(0)} ms CPU; ratio ${((whole - without) / log).toFixed(2)} (to reach: 2)`);
  row('worker resident after that', `${resident(pid).toFixed(1)} MB`);
  await host.stop();
}
