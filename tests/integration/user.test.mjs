// The sandbox is the same for an ordinary user, without a home, as for root.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { chmodSync, chownSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { build, patience, pluginFolder, source, temporaryFolder, until } from '../support/host.mjs';
import { git } from '../support/git.mjs';

const nobody = 65534;

test('an ordinary user without a home runs jobs, sandboxed', { skip: process.getuid() !== 0 && 'needs root, to become someone else' }, async t => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  for (const name of ['exportd', 'exportd-worker']) copyFileSync(join(build, name), join(folder, name));
  pluginFolder(folder, ['misbehave', 'export-json', 'repo-clone', 'repo-build']);
  copyFileSync(join(source, 'tests/data/bootstrap-20184.json'), join(folder, 'repro.json'));
  chmodSync(join(folder, 'repro.json'), 0o644);
  const out = join(folder, 'out');
  mkdirSync(out);
  chownSync(out, nobody, nobody);
  const run = (args, env = {}) => {
    const done = spawnSync(join(folder, 'exportd'), ['run', '-q', ...args], { uid: nobody, gid: nobody, cwd: out, env: { PATH: process.env.PATH, TMPDIR: out, ...env }, encoding: 'utf8', timeout: patience });
    assert.equal(done.status, 0, done.stderr);
    return JSON.parse(done.stdout);
  };
  assert.equal(run(['report/json', '--repro', join(folder, 'repro.json'), '-o', out]).artifacts.length, 1);
  assert.deepEqual(run(['read_files', '--data', JSON.stringify({ paths: ['/etc/passwd', '/proc/self/environ', join(folder, 'repro.json')] })]),
    { '/etc/passwd': 'EACCES', '/proc/self/environ': 'EACCES', [join(folder, 'repro.json')]: 'EACCES' });
  assert.deepEqual(run(['fork_bomb']), { made: 0 });
  assert.deepEqual(run(['escape'], { EXPORTD_WORKER_EXEC: 'yes' }), { started: true });
  await until(() => !execFileSync('ps', ['-eo', 'args='], { encoding: 'utf8' }).includes(join(folder, 'plugins')) &&
    !execFileSync('ps', ['-eo', 'uid=,comm='], { encoding: 'utf8' }).split('\n').some(line => /^\s*65534\s+exportd-worker/.test(line)), 'the end of all that was started');

  const repository = join(out, 'hello');
  mkdirSync(repository);
  writeFileSync(join(repository, 'Makefile'), 'hello: hello.c\n\t$(CC) -o $@ $<\n');
  writeFileSync(join(repository, 'hello.c'), 'int main(void) { return 0; }\n');
  for (const args of [['init', '-q'], ['add', '.'], ['commit', '-q', '-m', 'First']]) git(repository, ...args);
  execFileSync('chown', ['-R', String(nobody), repository]);
  const env = { EXPORTD_PLUGIN_REPO_CLONE_SCHEMES: 'file', EXPORTD_PLUGIN_REPO_CLONE_READ: out, EXPORTD_PLUGIN_REPO_BUILD_EXEC: 'yes', EXPORTD_PLUGIN_REPO_BUILD_MEMORY: '4G', EXPORTD_PLUGIN_REPO_BUILD_COMMANDS: 'yes', EXPORTD_PLUGIN_REPO_BUILD_DISK: '64M' };
  assert.deepEqual(run(['build-assets', '--option', `repo_url=${repository}`, '-o', join(out, 'built')], env).manifest.map(({ path }) => path), ['hello']);
  const full = spawnSync(join(folder, 'exportd'), ['run', '-q', 'build-assets', '--data', JSON.stringify({ repo_url: repository, command: 'mkdir -p h/i; cd h/i; chmod 000 ../../h; i=0; while [ $i -lt 300 ]; do head -c 1000000 /dev/zero > f$i; i=$((i+1)); sleep 0.01; done' }), '-o', join(out, 'full')],
    { uid: nobody, gid: nobody, cwd: out, env: { PATH: process.env.PATH, TMPDIR: out, ...env }, encoding: 'utf8', timeout: patience });
  assert.match(full.stderr, /worker_disk/, 'a folder that is closed hides nothing');
});
