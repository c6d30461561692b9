// acquire-user-repo of a folder that is no repository: what lies there, by the rules of a repository's tree.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { confFolder, pluginFolder, run, temporaryFolder } from '../support/host.mjs';

function acquire(t, folder, options, lines = `schemes = file\nread = ${folder}`) {
  const own = temporaryFolder(t);
  const config = confFolder(own, { 'p.conf': `[plugin repo-clone]\n${lines}\n` });
  const args = Object.entries(options).flatMap(([key, value]) => ['--option', `${key}=${value}`]);
  const done = run(['run', 'acquire-user-repo', '-c', config, '-o', own, '--quiet', '--option', 'archive=tar.gz', ...args], { env: { EXPORTD_HOST_PLUGINS: pluginFolder(own, ['repo-clone']) } });
  if (done.code !== 0) return done;
  const result = JSON.parse(done.stdout);
  const listed = execFileSync('tar', ['-tvf', join(own, result.archive)], { encoding: 'utf8' }).trim().split('\n')
    .map(line => line.replace(/^(\S)(\S+) +\S+ +\S+ \S+ \S+ [^/]+\//, (_, kind, mode) => `${kind === 'l' ? 'l' : mode.includes('x') ? 'x' : '-'} `)).sort();
  return { ...done, result, listed };
}

function makeFolder(t) {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'top/sub/deep'), { recursive: true });
  writeFileSync(join(folder, 'top/a.txt'), 'a\n');
  writeFileSync(join(folder, 'top/run.sh'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(join(folder, 'top/sub/ü.txt'), 'u\n');
  writeFileSync(join(folder, 'top/sub/deep/b.txt'), 'b\n');
  symlinkSync('../a.txt', join(folder, 'top/sub/inside'));
  symlinkSync('/etc/passwd', join(folder, 'top/outside'));
  execFileSync('mkfifo', [join(folder, 'top/pipe')]);
  mkdirSync(join(folder, 'top/empty'));
  return folder;
}

test('files, links and modes as they lie there; what leads out is made harmless', t => {
  const folder = makeFolder(t);
  const { result, listed, stderr } = acquire(t, folder, { repo_url: join(folder, 'top/') });
  assert.ok(result, stderr);
  assert.deepEqual(listed, ['- a.txt', '- outside', '- sub/deep/b.txt', '- sub/ü.txt', 'l sub/inside -> ../a.txt', 'x run.sh'].sort());
  assert.deepEqual([result.mode, result.commit, result.ref, result.files, result.folder], ['folder', undefined, null, 6, 'repo']);
  assert.match(result.notes.join('\n'), /pipe.*left out/);
  assert.match(result.notes.join('\n'), /outside/);
  assert.deepEqual(acquire(t, folder, { repo_url: `file://${join(folder, 'top')}` }).listed, listed);
});

test('by a link to it, and with the copy\'s own place in it', t => {
  const folder = makeFolder(t);
  symlinkSync(join(folder, 'top'), join(folder, 'link'));
  const { result, listed, stderr } = acquire(t, folder, { repo_url: join(folder, 'link') });
  assert.ok(result, stderr);
  assert.ok(listed.includes('- a.txt'));
  const around = temporaryFolder(t);
  mkdirSync(join(around, 'tmp'));
  writeFileSync(join(around, 'b.txt'), 'b\n');
  const own = confFolder(around, { 'p.conf': `[plugin repo-clone]\nschemes = file\nread = ${around}\n` });
  const done = run(['run', 'acquire-user-repo', '-c', own, '-o', around, '--quiet', '--option', `repo_url=${around}`], { env: { EXPORTD_HOST_PLUGINS: pluginFolder(around, ['repo-clone']), TMPDIR: join(around, 'tmp') } });
  assert.equal(done.code, 0, done.stderr);
  assert.match(JSON.parse(done.stdout).notes.join(), /where this copy is made/);
});

test('a subfolder alone, with its path', t => {
  const folder = makeFolder(t);
  const { result, listed, stderr } = acquire(t, folder, { repo_url: join(folder, 'top'), subfolder: 'sub/deep' });
  assert.ok(result, stderr);
  assert.deepEqual(listed, ['- sub/deep/b.txt']);
  assert.equal(result.folder, 'repo/sub/deep');
});

test('what a folder can\'t have, and what may not be read', t => {
  const folder = makeFolder(t), top = join(folder, 'top');
  symlinkSync('/etc', join(top, 'etc'));
  for (const [options, message, lines] of [
    [{ repo_url: top, ref: 'main' }, /option_invalid.*no ref and no history/],
    [{ repo_url: top, history: 'true' }, /option_invalid/],
    [{ repo_url: top, subfolder: 'nothing' }, /subfolder_not_found.*"nothing"/],
    [{ repo_url: top, subfolder: 'etc' }, /subfolder_not_found/],
    [{ repo_url: top }, /repository_not_found|git_failed|permission|can't/i, 'schemes = file\nread = /usr/share'],
    [{ repo_url: top }, /scheme_refused/, `schemes = https\nread = ${folder}`],
    [{ repo_url: top }, /repository_too_large.*max_files/, `schemes = file\nread = ${folder}\nmax_files = 3`],
  ]) {
    const done = acquire(t, folder, options, lines);
    assert.equal(done.code, 1, JSON.stringify(options));
    assert.match(done.stderr, message);
  }
  mkdirSync(join(top, 'sub/.git/hooks'), { recursive: true });
  writeFileSync(join(top, 'sub/.git/hooks/x'), '');
  assert.match(acquire(t, folder, { repo_url: top }).stderr, /repository_unsafe.*\.git/);
});
