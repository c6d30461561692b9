// The sandbox is the same for an ordinary user, without a home, as for root.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { chmodSync, chownSync, copyFileSync, mkdirSync } from 'node:fs';
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { build, patience, pluginFolder, source, temporaryFolder, until } from '../support/host.mjs';

const nobody = 65534;

test('an ordinary user without a home runs jobs, sandboxed', { skip: process.getuid() !== 0 && 'needs root, to become someone else' }, async t => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  for (const name of ['exportd', 'exportd-worker']) copyFileSync(join(build, name), join(folder, name));
  pluginFolder(folder, ['misbehave', 'export-json']);
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
});
