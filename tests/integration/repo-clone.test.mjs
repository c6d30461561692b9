// acquire-user-repo: what lies in the workspace against what git has, from a real Git server; hostile repositories, peers and tarballs.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterwards, patience, source, startHost, temporaryFolder, until } from '../support/host.mjs';
import { git, startGit } from '../support/git.mjs';
import { startRelay } from '../support/relay.mjs';

const TOKEN = 'tok-77c1-never-to-be-seen';
const users = { bot: TOKEN };

const conf = (lines = '', more = '') => ({
  'plugin.conf': `[plugin repo-clone]\nnetwork = yes\ncache = git\nsecrets = GITHUB_TOKEN? GITLAB_TOKEN? GITEA_TOKEN? GIT_TOKEN?\nschemes = https http\n${lines}\n[plugin peek]\nexec = yes\n`,
  'pipelines.conf': '[pipeline look]\nsteps = acquire-user-repo, peek\n',
  'jobs.conf': `[jobs]\nbackoff = 20ms\nbackoff_max = 100ms\nmax_attempts = 2\n${more}`,
});
const OPEN = 'allow = 127.0.0.0/8\n';
const start = (t, lines = OPEN, options = {}) => startHost(t, { plugins: ['repo-clone', 'peek'], conf: conf(lines, options.more), env: options.env ?? {}, ...options.host });
const acquire = (host, data) => host.runJob({ task: 'acquire-user-repo', data });
const sha1 = bytes => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
const addressOf = (server, name) => `${server.url}/${name}.git`;

/** A folder's files as git's ls-tree writes them: mode, id, path. */
function manifest(folder, prefix = '') {
  const lines = [];
  for (const entry of readdirSync(join(folder, prefix), { withFileTypes: true })) {
    const path = prefix ? `${prefix}/${entry.name}` : entry.name, full = join(folder, path);
    if (path === '.git') continue;
    if (entry.isDirectory()) lines.push(...manifest(folder, path));
    else if (entry.isSymbolicLink()) lines.push(`120000 ${sha1(Buffer.from(readlinkSync(full)))} ${path}`);
    else lines.push(`${lstatSync(full).mode & 0o100 ? '100755' : '100644'} ${sha1(readFileSync(full))} ${path}`);
  }
  return prefix ? lines : lines.sort();
}

/** The same, by git. */
const listed = (bare, commit, ...paths) => git(bare, 'ls-tree', '-r', '-z', commit, ...paths).split('\0').filter(Boolean)
  .map(line => /^(\d+) blob (\w+)\t(.*)$/s.exec(line)).filter(Boolean).map(([, mode, id, path]) => `${mode} ${id} ${path}`).sort();

/** Runs the pipeline that shows the workspace; returns the result and the folder with the files. */
async function look(t, host, data) {
  const job = await host.runJob({ task: 'look', data });
  assert.equal(job.status, 'completed', job.error);
  const folder = temporaryFolder(t);
  const tarball = job.result.artifacts.find(({ name }) => name === 'peek.tar');
  writeFileSync(join(folder, 'peek.tar'), Buffer.from(await (await fetch(tarball.url)).arrayBuffer()));
  execFileSync('tar', ['-xf', 'peek.tar'], { cwd: folder });
  return { result: job.result.steps[0].result, workspace: folder, folder: join(folder, 'repo') };
}

/** Writes one object of any kind and content into a bare repository. */
const object = (server, bare, kind, bytes) => {
  const done = spawnSync('git', ['hash-object', '-t', kind, '--literally', '-w', '--stdin'], { ...server.as, cwd: bare, input: bytes, encoding: 'utf8' });
  if (done.status !== 0) throw new Error(done.stderr);
  return done.stdout.trim();
};
const treeBytes = entries => Buffer.concat(entries.map(([mode, name, id]) => Buffer.concat([Buffer.from(`${mode} `), Buffer.from(name), Buffer.from([0]), Buffer.from(id, 'hex')])));

/** A repository whose only commit has this tree: build({blob, tree}) returns its id. */
function crafted(server, name, build) {
  const bare = server.make(name, { files: {} });
  const blob = content => object(server, bare, 'blob', content), tree = entries => object(server, bare, 'tree', treeBytes(entries));
  const root = build({ blob, tree });
  const who = 'Somebody <somebody@example.org> 1700000000 +0000';
  const commit = object(server, bare, 'commit', `tree ${root}\nauthor ${who}\ncommitter ${who}\n\nhostile\n`);
  execFileSync('git', ['update-ref', 'refs/heads/main', commit], { ...server.as, cwd: bare });
  return addressOf(server, name);
}

/** A real working tree with all that is odd and allowed, pushed to the server by git. */
function makeOdd(t, server, name = 'odd') {
  const work = temporaryFolder(t);
  const sh = script => execFileSync('sh', ['-ec', script], { cwd: work, stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: process.env.PATH, HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1', LC_ALL: 'C.UTF-8',
    GIT_AUTHOR_NAME: 'S', GIT_AUTHOR_EMAIL: 's@example.org', GIT_COMMITTER_NAME: 'S', GIT_COMMITTER_EMAIL: 's@example.org', GIT_COMMITTER_DATE: '1700000000 +0000', GIT_AUTHOR_DATE: '1700000000 +0000' } });
  const bare = server.path(name);
  sh(`git init -q -b main .
    mkdir -p packages/app/src 'a folder' docs/ä
    printf '# odd\\n' > README.md; : > empty; printf 'a\\r\\nb\\r\\n' > crlf.txt; printf 'x\\ny\\n' > unix.txt
    printf '* text=auto eol=crlf\\n*.bin filter=evil\\n' > .gitattributes; printf '\\000\\001\\002' > packages/app/data.bin
    printf '#!/bin/sh\\n' > run.sh; chmod 755 run.sh
    printf 'über\\n' > 'docs/ä/日本語 – ü.txt'; printf 'back\\n' > 'a folder/b\\c'
    ln -s ../README.md docs/readme; ln -s app packages/link; ln -s nowhere dangling
    printf 'code\\n' > packages/app/src/main.c
    printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%s\\nsize 123456\\n' ${'ab'.repeat(32)} > packages/app/movie.bin
    git -c core.autocrlf=false add -A; git commit -qm one
    git tag light; git tag -a -m 'a tag' v1.0; git checkout -q -b feature/two; printf 'two\\n' > two.txt; git add two.txt; git commit -qm two
    git checkout -q main; printf 'three\\n' > three.txt; git add three.txt; git commit -qm three`);
  git(work, 'clone', '-q', '--mirror', '--no-local', work, bare);
  execFileSync('chown', ['-R', `--reference=${server.folder}`, join(server.folder, 'repos')]);
  return bare;
}

/** A server with an odd repository, and a host. */
async function scene(t, lines, options) {
  const server = await startGit(t, { publicRead: true });
  const bare = makeOdd(t, server);
  return { server, bare, url: addressOf(server, 'odd'), host: await start(t, lines ?? OPEN, options) };
}

describe('what git has', () => {
  test('lies in the workspace: every file, mode and link, by branch, tag, annotated tag and commit', async t => {
    const { bare, url, host } = await scene(t);
    const rev = name => git(bare, 'rev-parse', `${name}^{commit}`);
    for (const [ref, branch, named] of [[undefined, 'main', 'refs/heads/main'], ['feature/two', 'feature/two', 'refs/heads/feature/two'], ['light', null, 'refs/tags/light'], ['v1.0', null, 'refs/tags/v1.0'],
      ['refs/tags/v1.0', null, 'refs/tags/v1.0'], [rev('feature/two'), null, rev('feature/two')], [rev('main~1').slice(0, 9), null, rev('main~1').slice(0, 9)]]) {
      const { result, folder } = await look(t, host, { repo_url: url, ...(ref && { ref }) });
      const commit = rev(ref ?? 'main');
      assert.deepEqual([result.commit, result.branch, result.ref, result.folder, result.mode], [commit, branch, named, 'repo', 'git']);
      assert.deepEqual(manifest(folder), listed(bare, commit), ref);
      assert.equal(result.files, listed(bare, commit).length);
      assert.equal(result.bytes, git(bare, 'ls-tree', '-r', '-l', commit).split('\n').reduce((sum, line) => sum + Number(line.split(/\s+/)[3]), 0));
      assert.deepEqual(result.lfs, [{ path: 'packages/app/movie.bin', oid: 'ab'.repeat(32), bytes: 123456 }]);
      assert.deepEqual(result.notes, []);
      assert.ok(!existsSync(join(folder, '.git')));
    }
  });

  test('is what git clone checks out', async t => {
    const { url, host } = await scene(t);
    const { folder } = await look(t, host, { repo_url: url });
    const clone = join(temporaryFolder(t), 'clone');
    git('/', '-c', 'core.autocrlf=false', '-c', 'core.attributesFile=/dev/null', 'clone', '-q', '--no-checkout', url, clone);
    git(clone, 'read-tree', 'HEAD');
    assert.deepEqual(manifest(folder).map(line => line.split(' ').slice(0, 2).join(' ')), git(clone, 'ls-files', '-s', '-z').split('\0').filter(Boolean).map(line => line.split(' ').slice(0, 2).concat(line.split('\t')[1]))
      .sort((a, b) => `${a[0]} ${a[1]} ${a[2]}` < `${b[0]} ${b[1]} ${b[2]}` ? -1 : 1).map(([mode, id]) => `${mode} ${id}`));
  });

  test('a subfolder alone, with its links', async t => {
    const { bare, url, host } = await scene(t);
    const { result, folder } = await look(t, host, { repo_url: url, subfolder: './packages//app/' });
    assert.equal(result.folder, 'repo/packages/app');
    assert.deepEqual(manifest(folder), listed(bare, 'main', 'packages/app/'));
    for (const [subfolder, code] of [['packages/none', 'subfolder_not_found'], ['README.md', 'subfolder_not_found'], ['packages/link', 'subfolder_not_found'], ['../x', 'option_invalid'], ['a/../../x', 'option_invalid'], ['.git', 'subfolder_not_found']])
      assert.equal((await acquire(host, { repo_url: url, subfolder })).errorCode, code, subfolder);
  });

  test('as a tarball: what is in it is what git has, and the same commit gives the same bytes', async t => {
    const { bare, url, host } = await scene(t);
    for (const archive of ['tar.gz', 'tar.zst']) {
      const bytes = [];
      for (let i = 0; i < 2; i++) {
        const job = await acquire(host, { repo_url: url, archive });
        assert.equal(job.status, 'completed', job.error);
        assert.equal(job.result.archive, `odd-${job.result.commit.slice(0, 12)}.${archive}`);
        bytes.push(Buffer.from(await (await fetch(job.result.artifacts[0].url)).arrayBuffer()));
      }
      assert.deepEqual(bytes[0], bytes[1]);
      const folder = temporaryFolder(t);
      writeFileSync(join(folder, 'it'), bytes[0]);
      execFileSync('tar', ['-xf', 'it'], { cwd: folder });
      rmSync(join(folder, 'it'));
      const [top] = readdirSync(folder);
      assert.deepEqual(manifest(join(folder, top)), listed(bare, 'main'));
    }
  });

  test('with its history: git log, git status and git fsck agree', async t => {
    const { bare, url, host } = await scene(t);
    for (const ref of ['main', 'v1.0']) {
      const { result, folder } = await look(t, host, { repo_url: url, ref, history: true });
      assert.equal(git(folder, 'rev-parse', 'HEAD'), result.commit);
      assert.equal(git(folder, 'rev-list', '--count', 'HEAD'), git(bare, 'rev-list', '--count', ref));
      assert.equal(git(folder, '-c', 'core.attributesFile=/dev/null', 'diff', '--cached', '--name-only', 'HEAD'), '');
      git(folder, 'fsck', '--full');
      assert.equal(git(folder, 'remote', 'get-url', 'origin'), url);
    }
  });

  test('a second time, only what is new comes; a branch that moved back is followed', async t => {
    const { server, bare, url, host } = await scene(t);
    const posts = () => server.requests.filter(line => /^POST .*git-upload-pack 200/.test(line)).length;
    await acquire(host, { repo_url: url });
    assert.equal(posts(), 1);
    assert.equal((await acquire(host, { repo_url: url })).status, 'completed');
    assert.equal(posts(), 1);
    const before = git(bare, 'rev-parse', 'main');
    server.commit('odd', 'main', { 'new.txt': 'new\n' });
    const { result } = await acquire(host, { repo_url: url });
    assert.equal(result.commit, git(bare, 'rev-parse', 'main'));
    assert.equal(posts(), 2);
    execFileSync('git', ['update-ref', 'refs/heads/main', before], { ...server.as, cwd: bare });
    assert.equal((await acquire(host, { repoUrl: url, depth: 1 })).result.commit, before);
  });

  test('what can\'t be had is said: an empty repository, refs and commits that aren\'t there', async t => {
    const { server, url, host } = await scene(t);
    server.make('empty', { files: {} });
    for (const [data, code, message] of [
      [{ repo_url: addressOf(server, 'empty') }, 'repository_empty', /no commit/],
      [{ repo_url: url, ref: 'none' }, 'ref_not_found', /"none"/],
      [{ repo_url: url, ref: 'refs/heads/none' }, 'ref_not_found', /none/],
      [{ repo_url: url, ref: '0123456789'.repeat(4) }, 'ref_not_found', /0123456789/],
      [{ repo_url: addressOf(server, 'nowhere') }, 'repository_not_found', /404/],
      [{ repo_url: `${server.url}/forbidden/odd.git` }, 'git_forbidden', /403/],
      [{ repo_url: `${server.url}/moved/odd.git` }, 'git_failed', /redirects.*302/],
      [{ repo_url: `${server.url}/busy/odd.git` }, 'service_unreachable', /503/],
      [{}, 'option_invalid', /repo_url/],
    ]) {
      const job = await acquire(host, data);
      assert.equal(job.errorCode, code, job.error);
      assert.match(job.error, message);
    }
  });

  test('a detached HEAD is its commit', async t => {
    const { server, bare, url, host } = await scene(t);
    execFileSync('git', ['update-ref', '--no-deref', 'HEAD', git(bare, 'rev-parse', 'main~1')], { ...server.as, cwd: bare });
    const job = await acquire(host, { repo_url: url });
    assert.equal(job.result.commit, git(bare, 'rev-parse', 'main~1'), job.error);
  });
});

describe('submodules', () => {
  /** "parent" with submodules {path: [url, commit]}; names may be given. */
  function parent(server, modules) {
    const text = Object.entries(modules).map(([path, { name = path, url }]) => `[submodule "${name}"]\n\tpath = ${path}\n\turl = ${url}\n`).join('');
    return crafted(server, 'parent', ({ blob, tree }) => tree([['100644', '.gitmodules', blob(text)], ['100644', 'README', blob('parent\n')],
      ...Object.entries(modules).map(([path, { commit }]) => ['160000', path, commit])].sort(([, a], [, b]) => a < b ? -1 : 1)));
  }

  test('are checked out where they are wanted, by relative addresses too, at the commit that the parent names', async t => {
    const { server, bare, host } = await scene(t);
    const commit = git(bare, 'rev-parse', 'main~1');
    const url = parent(server, { one: { url: '../odd.git', commit }, two: { url: addressOf(server, 'odd'), commit: git(bare, 'rev-parse', 'feature/two') } });
    const without = await look(t, host, { repo_url: url });
    assert.deepEqual(without.result.submodules.map(({ path, state }) => [path, state]), [['one', 'left out'], ['two', 'left out']]);
    assert.deepEqual(readdirSync(join(without.folder, 'one')), []);
    const { result, folder } = await look(t, host, { repo_url: url, submodules: true });
    assert.deepEqual(result.submodules, [{ path: 'one', commit, url: addressOf(server, 'odd'), state: 'cloned' }, { path: 'two', commit: git(bare, 'rev-parse', 'feature/two'), url: addressOf(server, 'odd'), state: 'cloned' }]);
    assert.deepEqual(manifest(join(folder, 'one')), listed(bare, commit));
    assert.deepEqual(manifest(join(folder, 'two')), listed(bare, 'feature/two'));
    assert.equal(result.files, 2 + listed(bare, commit).length + listed(bare, 'feature/two').length);
  });

  test('with addresses and names that no repository needs stay empty folders', async t => {
    const { server, bare, host } = await scene(t);
    const commit = git(bare, 'rev-parse', 'main');
    const url = parent(server, { a: { url: 'file:///etc', commit }, b: { url: 'ssh://git@example.org/x', commit }, c: { url: 'git@example.org:x/y.git', commit }, d: { url: '../../../../x', commit }, e: { url: '/etc', commit },
      f: { name: '../../hooks', url: addressOf(server, 'odd'), commit }, g: { url: '-u./evil', commit }, h: { url: 'ext::sh -c evil', commit }, i: { url: `http://me:${TOKEN}@127.0.0.1/x`, commit } });
    const { result, folder } = await look(t, host, { repo_url: url, submodules: true });
    for (const one of result.submodules) {
      assert.equal(one.state, 'refused', JSON.stringify(one));
      assert.ok(one.reason);
      assert.deepEqual(readdirSync(join(folder, one.path)), []);
    }
    assert.equal(result.submodules.length, 9);
    assert.ok(!JSON.stringify(result).includes(TOKEN));
  });

  test('that lie in each other without end are refused', async t => {
    const server = await startGit(t, { publicRead: true });
    const bare = server.make('loop', { files: { a: 'a\n' } });
    const first = git(bare, 'rev-parse', 'main');
    let commit = first;
    const who = 'Somebody <somebody@example.org> 1700000000 +0000';
    for (let i = 0; i < 8; i++) {
      const modules = object(server, bare, 'blob', `[submodule "in"]\npath = in\nurl = ./\n`);
      const tree = object(server, bare, 'tree', treeBytes([['100644', '.gitmodules', modules], ['160000', 'in', commit]]));
      commit = object(server, bare, 'commit', `tree ${tree}\nparent ${commit}\nauthor ${who}\ncommitter ${who}\n\nx\n`);
    }
    execFileSync('git', ['update-ref', 'refs/heads/main', commit], { ...server.as, cwd: bare });
    const host = await start(t);
    const job = await acquire(host, { repo_url: addressOf(server, 'loop'), submodules: true });
    assert.equal(job.status, 'completed', job.error);
    assert.deepEqual(job.result.submodules.map(({ state }) => state), ['cloned', 'cloned', 'cloned', 'cloned', 'cloned', 'refused']);
  });
});

describe('a hostile repository', () => {
  const evil = 'evil\n';
  const refused = {
    'a folder ..': ({ blob, tree }) => tree([['40000', '..', tree([['100644', 'x', blob(evil)]])]]),
    'a slash in a name': ({ blob, tree }) => tree([['100644', 'a/../../x', blob(evil)]]),
    'an absolute name': ({ blob, tree }) => tree([['100644', '/tmp/exportd-evil', blob(evil)]]),
    'a folder .git with a hook': ({ blob, tree }) => tree([['40000', '.git', tree([['40000', 'hooks', tree([['100755', 'post-checkout', blob(evil)]])]])]]),
    '.GIT': ({ blob, tree }) => tree([['40000', '.GIT', tree([['100644', 'config', blob(evil)]])]]),
    '.git by its short name': ({ blob, tree }) => tree([['40000', 'GIT~1', tree([['100644', 'config', blob(evil)]])]]),
    '.git with what macOS ignores': ({ blob, tree }) => tree([['40000', '.g\u200cit', tree([['100644', 'config', blob(evil)]])]]),
    '.git with what Windows ignores': ({ blob, tree }) => tree([['40000', 'x', tree([['100644', '.git . .::$INDEX_ALLOCATION', blob(evil)]])]]),
    '.git behind a backslash': ({ blob, tree }) => tree([['100644', 'a\\.git\\config', blob(evil)]]),
    'a submodule at .git': ({ tree }) => tree([['160000', '.Git', '12'.repeat(20)]]),
    'a link and a folder of one name': ({ blob, tree }) => tree([['120000', 'a', blob('/tmp')], ['40000', 'a', tree([['100644', 'exportd-evil', blob(evil)]])]]),
    'a link and a folder that case tells apart': ({ blob, tree }) => tree([['120000', 'A', blob('docs')], ['40000', 'a', tree([['100644', 'x', blob(evil)]])]]),
    'two links that case tells apart': ({ blob, tree }) => tree([['120000', 'Ä', blob('x')], ['120000', 'ä', blob('y')]]),
    'a control character': ({ blob, tree }) => tree([['100644', 'a\u001b[2J', blob(evil)]]),
    'a mark that turns text': ({ blob, tree }) => tree([['100644', 'a\u202egpj.exe', blob(evil)]]),
    'a name that is not UTF-8': ({ blob, tree }) => tree([['100644', Buffer.from([0x61, 0xff, 0xfe]), blob(evil)]]),
    'an endlessly deep folder': ({ blob, tree }) => { let id = tree([['100644', 'x', blob(evil)]]); for (let i = 0; i < 300; i++) id = tree([['40000', 'd', id]]); return id; },
    'a tree that is none': ({ blob }) => blob('no tree'),
  };
  test('is refused, by name, and leaves nothing', async t => {
    const server = await startGit(t, { publicRead: true });
    const host = await start(t);
    let number = 0;
    for (const [what, build] of Object.entries(refused)) {
      const job = await acquire(host, { repo_url: crafted(server, `evil-${number++}`, build) });
      assert.equal(job.status, 'failed', what);
      assert.match(job.errorCode, what === 'a tree that is none' ? /./ : /* the server's git stumbles over it first */ /^repository_unsafe$/, `${what}: ${job.error}`);
      assert.doesNotMatch(job.error, /[\u001b\u202e]/);
    }
    assert.ok(!existsSync('/tmp/exportd-evil'));
    assert.equal(execFileSync('find', [host.state, '-name', 'post-checkout*', '-o', '-name', 'exportd-evil'], { encoding: 'utf8' }), '');
  });

  const bombs = {
    'a tree of ten to the tenth': ({ blob, tree }) => { let id = blob('x\n'), mode = '100644'; for (let i = 0; i < 10; i++) { id = tree(Array.from({ length: 10 }, (_, n) => [mode, `n${n}`, id])); mode = '40000'; } return id; },
    'folders alone': ({ tree }) => { let id = tree([]); for (let i = 0; i < 8; i++) id = tree(Array.from({ length: 10 }, (_, n) => ['40000', `n${n}`, id])); return id; },
    'one large file under many names': ({ blob, tree }) => { const id = blob(Buffer.alloc(1 << 20)); return tree(Array.from({ length: 900 }, (_, n) => ['100644', `n${String(n).padStart(4, '0')}`, id])); },
    'a file over the limit': ({ blob, tree }) => tree([['100644', 'large', blob(Buffer.alloc(3 << 20))]]),
  };
  test('that would fill the disk is refused before the first file', { timeout: 120_000 }, async t => {
    const server = await startGit(t, { publicRead: true });
    const host = await start(t, `${OPEN}max_files = 1000\nmax_bytes = 100M\nmax_file_bytes = 2M\n`);
    let number = 0;
    for (const [what, build] of Object.entries(bombs)) {
      const job = await acquire(host, { repo_url: crafted(server, `bomb-${number++}`, build) });
      assert.equal(job.errorCode, 'repository_too_large', `${what}: ${job.error}`);
    }
    assert.equal((await acquire(host, { repo_url: crafted(server, 'deep-down', ({ blob, tree }) => tree([['40000', 'in', tree([['100644', 'a', blob('a\n')]])], ['100644', 'large', blob(Buffer.alloc(3 << 20))]])), subfolder: 'in' })).status, 'completed');
  });

  test('links that lead out become files with a note, those inside stay, and no file goes through one', async t => {
    const server = await startGit(t, { publicRead: true });
    const host = await start(t);
    const out = ['/etc/passwd', '../..', '..', 'd/../../x', 'self/../../../etc', 'd/../d', '.git/config', './../repo', ''];
    const url = crafted(server, 'links', ({ blob, tree }) => tree([['40000', 'd', tree([['120000', 'up', blob('../file')], ['100644', 'in', blob('in\n')]])], ['100644', 'file', blob('file\n')],
      ...out.map((target, n) => ['120000', `out${n}`, blob(target)]), ['120000', 'self', blob('.')], ['120000', 'to', blob('d/in')]]));
    const { result, folder } = await look(t, host, { repo_url: url });
    for (const [n, target] of out.entries()) {
      assert.ok(lstatSync(join(folder, `out${n}`)).isFile(), target);
      assert.equal(readFileSync(join(folder, `out${n}`), 'utf8'), target);
    }
    assert.equal(result.notes.length, out.length);
    assert.deepEqual(['self', 'to', 'd/up'].map(name => readlinkSync(join(folder, name))), ['.', 'd/in', '../file']);
  });

  test('files, and folders, that case alone tells apart stay, with a note', async t => {
    const server = await startGit(t, { publicRead: true });
    const host = await start(t);
    const url = crafted(server, 'twins', ({ blob, tree }) => tree([['40000', 'D', tree([['100644', 'x', blob('1')]])], ['100644', 'Makefile', blob('1')], ['40000', 'd', tree([['100644', 'x', blob('2')]])], ['100644', 'makefile', blob('2')]]));
    const { result, folder } = await look(t, host, { repo_url: url });
    assert.equal(manifest(folder).length, 4);
    assert.equal(result.notes.length, 3);
  });

  test('larger than one fetch may be is left where it is', async t => {
    const server = await startGit(t, { publicRead: true });
    const url = crafted(server, 'large', ({ blob, tree }) => tree([['100644', 'noise', blob(randomBytes(2 << 20))]]));
    const host = await start(t, `${OPEN}max_fetch = 1M\n`);
    const job = await acquire(host, { repo_url: url });
    assert.equal(job.errorCode, 'repository_too_large', job.error);
    assert.match(job.error, /1 MB/);
  });
});

describe('addresses', () => {
  test('that no clone goes to are refused in a sentence', async t => {
    const host = await start(t);
    for (const [repo_url, code, message] of [
      ['git@github.com:owner/name.git', 'scheme_refused', /ssh.*https:/],
      ['ssh://git@github.com/owner/name', 'scheme_refused', /ssh:.*https:/],
      ['git://github.com/owner/name', 'scheme_refused', /git:/],
      ['file:///etc', 'scheme_refused', /file:.*schemes/],
      ['/etc', 'scheme_refused', /path on this machine/],
      ['ext::sh -c id', 'scheme_refused', /https:/],
      ['owner/name', 'repo_url_invalid', /scheme/],
      [`https://me:${TOKEN}@github.com/owner/name`, 'repo_url_invalid', /user or a password/],
      ['https://github.com', 'repo_url_invalid', /no repository/],
      ['https://github.com/owner', 'repo_url_invalid', /owner\/name/],
      ['https://github.com/owner/name?x=1', 'repo_url_invalid', /query/],
      ['https://github.com/owner/../name', 'repo_url_invalid', /\.\./],
      ['https://github.com/owner/%2e%2e/name', 'repo_url_invalid', /%/],
    ]) {
      const job = await acquire(host, { repo_url });
      assert.equal(job.errorCode, code, `${repo_url}: ${job.error}`);
      assert.match(job.error, message);
      assert.ok(!job.error.includes(TOKEN));
    }
  });

  test('that are not public are refused at the connection, by number or by name, unless conf.d names them', async t => {
    const server = await startGit(t, { publicRead: true });
    server.make('one');
    const guarded = await start(t, '');
    for (const url of [addressOf(server, 'one'), `http://localhost:${server.port}/one.git`, `http://[::ffff:127.0.0.1]:${server.port}/one.git`, `http://2130706433:${server.port}/one.git`]) {
      const job = await acquire(guarded, { repo_url: url });
      assert.equal(job.errorCode, 'address_forbidden', `${url}: ${job.error}`);
      assert.match(job.error, /127\.0\.0\.1|::1/);
    }
    assert.deepEqual(server.requests, []);
    const named = await start(t, `git = ${server.url}\n`);
    assert.equal((await acquire(named, { repo_url: addressOf(server, 'one') })).status, 'completed');
    assert.equal((await acquire(guarded, { repo_url: 'http://169.254.169.254/latest/meta-data' })).errorCode, 'address_forbidden');
  });

  const name = hostname();
  const resolves = spawnSync('getent', ['ahostsv4', name], { encoding: 'utf8' }).stdout?.startsWith('127.');
  test('by a name are looked up, and what they lead to counts', { skip: !resolves && `${name} is no name of this machine's in /etc/hosts` }, async t => {
    const server = await startGit(t, { publicRead: true });
    server.make('one');
    const repo_url = `http://${name}:${server.port}/one.git`;
    assert.equal((await acquire(await start(t, ''), { repo_url })).errorCode, 'address_forbidden');
    assert.equal((await acquire(await start(t), { repo_url })).status, 'completed');
  });

  test('of this machine are cloned where conf.d says so', async t => {
    const server = await startGit(t, { publicRead: true });
    const bare = makeOdd(t, server);
    const host = await start(t, `read = ${server.folder}\n`);
    assert.equal((await acquire(host, { repo_url: bare })).errorCode, 'scheme_refused');
    const open = await startHost(t, { plugins: ['repo-clone', 'peek'], conf: { ...conf(), 'plugin.conf': `[plugin repo-clone]\ncache = git\nnetwork = yes\nschemes = file\nread = ${server.folder}\n[plugin peek]\nexec = yes\n` } });
    for (const repo_url of [bare, `file://${bare}`]) {
      const { result, folder } = await look(t, open, { repo_url });
      assert.deepEqual(manifest(folder), listed(bare, 'main'));
      assert.equal(result.branch, 'main');
    }
  });
});

/** Nothing that the host wrote holds the token. */
function holdsNoToken(host, ...texts) {
  for (const text of [host.log, ...texts.map(one => JSON.stringify(one))]) assert.ok(!text.includes(TOKEN), text);
  assert.equal(execFileSync('sh', ['-c', 'grep -rl -- "$0" "$1" || true', TOKEN, host.state], { encoding: 'utf8' }), '', 'the state folder holds the token');
}

describe('a token', () => {
  test('goes to the address that conf.d names, and is written down nowhere', async t => {
    const server = await startGit(t, { users });
    server.make('one');
    const host = await start(t, `git = ${server.url}\ngit_user = bot\n`, { more: `[secrets]\nGIT_TOKEN = \${TEST_TOKEN}\n`, env: { TEST_TOKEN: TOKEN } });
    const { result, folder } = await look(t, host, { repo_url: addressOf(server, 'one'), history: true });
    assert.equal(result.files, 1);
    assert.ok(!execFileSync('grep', ['-r', '', join(folder, '.git/config')], { encoding: 'utf8' }).includes(TOKEN));
    const missing = await acquire(host, { repo_url: addressOf(server, 'none') });
    assert.equal(missing.errorCode, 'repository_not_found');
    assert.match(missing.error, /GIT_TOKEN/);
    holdsNoToken(host, result, missing);
    const wrong = await start(t, `git = ${server.url}\ngit_user = bot\n`, { more: `[secrets]\nGIT_TOKEN = \${TEST_TOKEN}\n`, env: { TEST_TOKEN: 'wrong' } });
    const refused = await acquire(wrong, { repo_url: addressOf(server, 'one') });
    assert.equal(refused.errorCode, 'git_unauthorized');
    assert.match(refused.error, /401.*GIT_TOKEN/);
  });

  test('goes nowhere else: not to another port, host or scheme, not along a redirect', async t => {
    const seen = [];
    const other = http.createServer((request, response) => { seen.push(request.headers.authorization); response.writeHead(404).end(); });
    await new Promise(done => other.listen(0, '127.0.0.1', done));
    afterwards(t, () => new Promise(done => { other.close(done); other.closeAllConnections(); }));
    const port = other.address().port;
    const host = await start(t, `${OPEN}git = http://127.0.0.1:1 http://localhost:${port} https://127.0.0.1:${port} http://127.0.0.1:${port}/named\n`, { more: `[secrets]\nGIT_TOKEN = \${TEST_TOKEN}\n`, env: { TEST_TOKEN: TOKEN } });
    for (const path of ['x/y.git', 'namedx/y.git', 'named/../y.git', 'named%2f..%2fy.git']) await acquire(host, { repo_url: `http://127.0.0.1:${port}/${path}` });
    assert.ok(seen.length >= 2);
    assert.deepEqual([...new Set(seen)], [undefined]);
    await acquire(host, { repo_url: `http://127.0.0.1:${port}/named/y.git` });
    assert.match(seen.at(-1), /^Basic /);
    holdsNoToken(host);
  });
});

describe('workers and peers', () => {
  /** A repository that takes a while: noise that doesn't compress. */
  function makeLarge(server, name = 'large', files = 200) {
    server.make(name, { files: {} });
    server.commit(name, 'main', Object.fromEntries(Array.from({ length: files }, (_, i) => [`f${i}`, randomBytes(30_000).toString('latin1')])));
    return server.path(name);
  }

  test('two at once on one cold mirror: one fetch, two right workspaces', async t => {
    const server = await startGit(t, { publicRead: true });
    const bare = makeLarge(server);
    const host = await start(t);
    const both = await Promise.all([1, 2].map(() => look(t, host, { repo_url: addressOf(server, 'large') })));
    for (const { folder } of both) assert.deepEqual(manifest(folder), listed(bare, 'main'));
    assert.equal(server.requests.filter(line => line.startsWith('POST')).length, 1);
  });

  test('progress names objects, files and bytes', async t => {
    const server = await startGit(t, { publicRead: true });
    makeLarge(server, 'large', 600);
    const host = await start(t);
    const { json } = await host.process_({ task: 'acquire-user-repo', data: { repo_url: addressOf(server, 'large'), archive: 'tar.gz' } });
    const events = await (await fetch(`${host.url}/jobs/${json.jobId}/events`)).text();
    assert.match(events, /fetching: \d+ of 602 objects, [\d.]+ MB|checking out: \d+ of 600 files, [\d.]+ MB/);
    assert.equal((await host.finished(json.jobId)).status, 'completed');
  });

  function killWorkers(host) {
    let killed = 0;
    for (const line of execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n'))
      if (line.includes(`exportd-worker ${host.process.pid} repo-clone`)) { process.kill(Number(line.trim().split(' ')[0]), 'SIGKILL'); killed++; }
    return killed;
  }

  test('kill -9 in mid-fetch leaves no broken cache', async t => {
    const server = await startGit(t, { publicRead: true });
    const bare = makeLarge(server);
    let halves = 0;
    const relay = await startRelay(t, server.url, ({ method, url }, request, response) => {
      if (method !== 'POST' || halves >= 2) return undefined;
      const target = new URL(server.url);
      const upstream = http.request({ hostname: target.hostname, port: target.port, method, path: url, headers: request.headers }, answer => {
        response.writeHead(answer.statusCode, answer.rawHeaders);
        let sent = 0;
        answer.on('data', chunk => { if (sent < 1 << 20) response.write(chunk); else if (sent < 1 << 30) { sent = 1 << 30; halves++; } sent += chunk.length; });
      });
      request.pipe(upstream);
      return 'answered';
    });
    const host = await start(t, OPEN, {});
    const accepted = await host.process_({ task: 'look', data: { repo_url: `${relay.endpoint}/large.git` } });
    await until(() => halves === 1, 'half a pack');
    await until(() => execFileSync('find', [host.state, '-name', 'pack_git2_*'], { encoding: 'utf8' }) !== '', 'a pack that is being written');
    assert.ok(killWorkers(host) >= 1);
    await until(() => halves === 2, 'the second attempt');
    killWorkers(host);
    await host.finished(accepted.json.jobId);
    const { folder } = await look(t, host, { repo_url: `${relay.endpoint}/large.git` });
    assert.deepEqual(manifest(folder), listed(bare, 'main'));
    assert.equal(execFileSync('find', [host.state, '-name', 'pack_git2_*'], { encoding: 'utf8' }), '');
    const [mirror] = readdirSync(join(host.state, 'cache/git/mirrors')).filter(name => !name.endsWith('.lock'));
    git(join(host.state, 'cache/git/mirrors', mirror), 'fsck', '--full', '--strict');
  });

  test('a peer that says nothing is given up, and one that stops in the middle too', async t => {
    const server = await startGit(t, { publicRead: true });
    makeLarge(server);
    const silent = net.createServer(() => {});
    await new Promise(done => silent.listen(0, '127.0.0.1', done));
    afterwards(t, () => silent.close());
    const relay = await startRelay(t, server.url, ({ method, url }, request, response) => {
      if (method !== 'POST') return undefined;
      const target = new URL(server.url);
      request.pipe(http.request({ hostname: target.hostname, port: target.port, method, path: url, headers: request.headers }, answer => {
        response.writeHead(answer.statusCode, answer.rawHeaders);
        answer.once('data', chunk => response.write(chunk));
      }));
      return 'answered';
    });
    const host = await start(t, `${OPEN}stall_timeout = 1s\n`);
    for (const url of [`http://127.0.0.1:${silent.address().port}/x.git`, `${relay.endpoint}/large.git`]) {
      const began = Date.now();
      const job = await acquire(host, { repo_url: url });
      assert.equal(job.errorCode, 'service_timeout', job.error);
      assert.ok(Date.now() - began < 20_000);
    }
  });

  test('a job is cancelled while nothing flows', async t => {
    const silent = net.createServer(() => {});
    const connected = new Promise(done => silent.on('connection', done));
    await new Promise(done => silent.listen(0, '127.0.0.1', done));
    afterwards(t, () => silent.close());
    const host = await start(t, `${OPEN}grace = 10m\n`);
    const { json } = await host.process_({ task: 'acquire-user-repo', data: { repo_url: `http://127.0.0.1:${silent.address().port}/x.git` } });
    await connected;
    await host.request('DELETE', `/jobs/${json.jobId}`);
    assert.equal((await host.finished(json.jobId)).status, 'cancelled', 'by itself, and not after its grace');
    assert.doesNotMatch(host.log, /killed/);
  });

  test('what is no Git server is said to be none', async t => {
    const page = http.createServer((_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>hello'));
    await new Promise(done => page.listen(0, '127.0.0.1', done));
    afterwards(t, () => new Promise(done => { page.close(done); page.closeAllConnections(); }));
    const host = await start(t);
    const job = await acquire(host, { repo_url: `http://127.0.0.1:${page.address().port}/x` });
    assert.equal(job.errorCode, 'repository_not_found');
    assert.match(job.error, /not as a Git repository/);
  });
});

describe('mode=archive', () => {
  /** What git archive makes of a commit: the attributes (line ends, what is left out) have a say there, as at the forges. */
  function archived(t, bare, commit, ...paths) {
    const folder = temporaryFolder(t);
    const made = spawnSync('git', ['-c', 'safe.directory=*', 'archive', commit, ...paths], { cwd: bare, maxBuffer: 1 << 28 }).stdout;
    execFileSync('tar', ['-x'], { cwd: folder, input: made });
    return manifest(folder);
  }

  /** What git archive makes of a commit, as forges do; GitHub by way of another path, as codeload is. */
  async function forge(t, options = {}) {
    const asked = [];
    const api = http.createServer((request, response) => {
      const url = new URL(request.url, 'http://forge');
      asked.push({ path: request.url, token: request.headers['private-token'] ?? request.headers.authorization });
      const send = ref => {
        const made = options.tarball?.(url) ?? spawnSync('git', ['-c', 'safe.directory=*', 'archive', '--format=tar.gz', '--prefix=owner-odd-123/', ref], { cwd: bare, maxBuffer: 1 << 28 }).stdout;
        response.writeHead(200, { 'content-type': 'application/x-gzip' });
        if (options.cut) { response.write(made.subarray(0, made.length / 2)); setTimeout(() => response.destroy(), 50); } else response.end(made);
      };
      if (options.status) return void response.writeHead(options.status, options.headers ?? {}).end('{}');
      const [, ref] = /^\/api\/(?:v4\/projects\/owner%2Fodd\/repository\/archive\.tar\.gz\?sha=|v1\/repos\/owner\/odd\/archive\/|v3\/repos\/owner\/odd\/tarball\/|codeload\/)(\w+)(?:\.tar\.gz)?$/.exec(request.url) ?? [];
      if (!ref) return void response.writeHead(404).end();
      if (request.url.includes('/tarball/')) return void response.writeHead(302, { location: options.location?.(ref) ?? `/api/codeload/${ref}` }).end();
      send(ref);
    });
    await new Promise(done => api.listen(0, '127.0.0.1', done));
    afterwards(t, () => new Promise(done => { api.close(done); api.closeAllConnections(); }));
    const server = await startGit(t, { users: { 'x-access-token': TOKEN }, api: `http://127.0.0.1:${api.address().port}` });
    const bare = makeOdd(t, server, 'owner/odd');
    return { asked, server, bare, url: addressOf(server, 'owner/odd') };
  }
  const kinds = { gitlab: ['GITLAB_TOKEN', TOKEN], gitea: ['GITEA_TOKEN', `token ${TOKEN}`], enterprise: ['GITHUB_TOKEN', `Bearer ${TOKEN}`] };
  const at = (t, kind, server, lines = '') => start(t, `${kind} = ${server.url}\n${lines}`, { more: `[secrets]\n${kinds[kind][0]} = \${TEST_TOKEN}\n`, env: { TEST_TOKEN: TOKEN } });

  for (const kind of Object.keys(kinds))
    test(`${kind}: the tarball of the very commit, with the files that git archive gives`, async t => {
      const { asked, bare, url, server } = await forge(t);
      const host = await at(t, kind, server);
      for (const ref of [undefined, 'v1.0', 'feature/two', git(bare, 'rev-parse', 'main~1')]) {
        asked.length = 0;
        const { result, folder, workspace } = await look(t, host, { repo_url: url, mode: 'archive', ...(ref && { ref }) });
        const commit = git(bare, 'rev-parse', `${ref ?? 'main'}^{commit}`);
        assert.equal(result.commit, commit);
        assert.ok(asked[0].path.includes(commit));
        assert.equal(asked[0].token, kinds[kind][1]);
        if (kind === 'enterprise') assert.deepEqual(asked[1], { path: `/api/codeload/${commit}`, token: undefined });
        assert.deepEqual(manifest(folder), archived(t, bare, commit));
        assert.equal(result.files, listed(bare, commit).length);
        assert.equal(result.lfs.length, 1);
        assert.deepEqual(readdirSync(workspace).filter(name => name !== 'peek.tar'), ['repo']);
      }
      const { result, folder } = await look(t, host, { repo_url: url, mode: 'archive', subfolder: 'packages/app' });
      assert.deepEqual(manifest(folder), archived(t, bare, 'main', 'packages/app/'));
      assert.equal(result.folder, 'repo/packages/app');
      assert.ok(!existsSync(join(host.state, 'cache/git/mirrors')) || readdirSync(join(host.state, 'cache/git/mirrors')).length === 0);
      assert.equal((await acquire(host, { repo_url: url, mode: 'archive', subfolder: 'none' })).errorCode, 'subfolder_not_found');
      assert.equal((await acquire(host, { repo_url: url, mode: 'archive', submodules: true })).errorCode, 'option_invalid');
      holdsNoToken(host);
    });

  test('a redirect goes to the forge\'s hosts alone, and to those that conf.d names', async t => {
    let port;
    const { asked, url, server } = await forge(t, { location: ref => `http://localhost:${port}/api/codeload/${ref}` });
    port = server.port;
    const host = await at(t, 'enterprise', server);
    const job = await acquire(host, { repo_url: url, mode: 'archive' });
    assert.equal(job.errorCode, 'redirect_refused', job.error);
    assert.match(job.error, /localhost.*archive_hosts/);
    const named = await at(t, 'enterprise', server, 'archive_hosts = localhost\n');
    assert.equal((await acquire(named, { repo_url: url, mode: 'archive' })).status, 'completed');
    assert.equal(asked.at(-1).token, undefined);
  });

  test('what a forge refuses, and a tarball that is cut short, is said', async t => {
    for (const [options, code, message] of [[{ status: 401 }, 'git_unauthorized', /401.*GITLAB_TOKEN/], [{ status: 403 }, 'git_forbidden', /403/], [{ status: 404 }, 'repository_not_found', /404/], [{ status: 503 }, 'service_unreachable', /503/],
      [{ status: 403, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Math.floor(Date.now() / 1000) + 2) } }, 'service_unreachable', /later/],
      [{ cut: true }, 'archive_invalid', /cut short/], [{ tarball: () => gzipSync(Buffer.from('no tar')) }, 'archive_invalid', /broken/], [{ tarball: () => Buffer.from('<html>') }, 'archive_invalid', /broken/]]) {
      const { url, server } = await forge(t, options);
      const host = await at(t, 'gitlab', server);
      const job = await acquire(host, { repo_url: url, mode: 'archive' });
      assert.equal(job.errorCode, code, `${JSON.stringify(options)}: ${job.error}`);
      assert.match(job.error, message);
    }
  });

  /** One entry of a tarball, in ustar's form. */
  function entry(name, { type = '0', content = '', link = '', size } = {}) {
    const header = Buffer.alloc(512), body = Buffer.from(content);
    header.write(name, 0, 100); header.write('0000644\0', 100); header.write('0000000\0', 108); header.write('0000000\0', 116);
    header.write(`${(size ?? body.length).toString(8).padStart(11, '0')}\0`, 124); header.write('14500000000\0', 136); header.write('        ', 148); header.write(type, 156); header.write(link, 157, 100); header.write('ustar\x0000', 257);
    header.write(`${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148);
    return Buffer.concat([header, body, Buffer.alloc((512 - body.length % 512) % 512)]);
  }
  const tar = (...entries) => gzipSync(Buffer.concat([...entries, Buffer.alloc(1024)]));

  test('a hostile tarball is refused or made harmless', { timeout: 240_000 }, async t => {
    let tarball;
    const { url, server } = await forge(t, { tarball: () => tarball });
    const host = await at(t, 'gitea', server, 'max_bytes = 10M\nmax_files = 100\n');
    const bad = {
      'a path that leads out': [entry('top/../../evil', { content: 'x' })],
      'an absolute path': [entry('/tmp/exportd-evil', { content: 'x' })],
      'a file beside the top folder': [entry('top/a', { content: 'x' }), entry('other/b', { content: 'x' })],
      '.git': [entry('top/.git/hooks/post-checkout', { content: 'x' })],
      'a file through a link': [entry('top/l', { type: '2', link: '/tmp' }), entry('top/l/exportd-evil', { content: 'x' })],
      'a file through a link inside': [entry('top/d/', { type: '5' }), entry('top/l', { type: '2', link: 'd' }), entry('top/l/x', { content: 'x' })],
      'a second name of a file': [entry('top/a', { content: 'x' }), entry('top/b', { type: '1', link: 'top/a' })],
      'a second name of the host\'s file': [entry('top/b', { type: '1', link: '/etc/passwd' })],
      'a device': [entry('top/null', { type: '3' })],
      'a pipe': [entry('top/pipe', { type: '6' })],
      'one path twice': [entry('top/a', { content: 'x' }), entry('top/a', { content: 'y' })],
      'a control character': [entry('top/a\u001b[2J', { content: 'x' })],
    };
    for (const [what, entries] of Object.entries(bad)) {
      tarball = tar(...entries);
      const job = await acquire(host, { repo_url: url, mode: 'archive' });
      assert.equal(job.errorCode, 'repository_unsafe', `${what}: ${job.error}`);
    }
    assert.ok(!existsSync('/tmp/exportd-evil'));
    tarball = tar(entry('top/bomb', { content: Buffer.alloc(11 << 20) }));
    assert.equal((await acquire(host, { repo_url: url, mode: 'archive' })).errorCode, 'repository_too_large');
    tarball = tar(...Array.from({ length: 101 }, (_, i) => entry(`top/${i}`)));
    assert.equal((await acquire(host, { repo_url: url, mode: 'archive' })).errorCode, 'repository_too_large');
    tarball = tar(entry('top/l', { type: '2', link: '/etc/passwd' }), entry('top/in', { type: '2', link: 'l' }));
    const { result, folder } = await look(t, host, { repo_url: url, mode: 'archive' });
    assert.ok(lstatSync(join(folder, 'l')).isFile());
    assert.equal(result.notes.length, 1);
  });

  test('is for forges', async t => {
    const { url, host } = await scene(t);
    assert.equal((await acquire(host, { repo_url: url, mode: 'archive' })).errorCode, 'archive_unsupported');
  });
});

describe('a real repository', () => {
  test('this project\'s own history: every commit that is asked for is what git has', { timeout: 4 * patience }, async t => {
    const server = await startGit(t, { publicRead: true });
    const bare = server.path('own');
    execFileSync('mkdir', ['-p', join(server.folder, 'repos')]);
    const made = existsSync(join(source, '.git')) && spawnSync('git', ['-c', 'safe.directory=*', 'clone', '-q', '--bare', '--no-local', source, bare]).status === 0;
    if (made) {
      execFileSync('chown', ['-R', `--reference=${server.folder}`, bare]);
    } else {
      server.make('own', { files: {} });
      const lines = Array.from({ length: 3000 }, (_, i) => `commit refs/heads/main\ncommitter S <s@example.org> ${1600000000 + i} +0000\ndata 2\nx\nM 100644 inline d${i % 40}/f${i % 700}\ndata ${String(i).length + 1}\n${i}\n\n`).join('');
      spawnSync('git', ['fast-import', '--quiet'], { ...server.as, cwd: bare, input: lines });
    }
    const commits = git(bare, 'rev-list', 'HEAD').split('\n');
    const host = await start(t);
    for (const ref of [undefined, commits[commits.length >> 1], commits.at(-1)]) {
      const { result, folder } = await look(t, host, { repo_url: addressOf(server, 'own'), ...(ref && { ref }) });
      assert.equal(result.commit, ref ?? commits[0]);
      assert.deepEqual(manifest(folder), listed(bare, ref ?? 'HEAD'));
    }
    const { folder } = await look(t, host, { repo_url: addressOf(server, 'own'), history: true });
    assert.equal(git(folder, 'rev-list', '--count', 'HEAD'), String(commits.length));
    assert.equal(git(folder, 'status', '--porcelain'), '');
  });
});

test('what the server itself complains of is in the error', async t => {
  const server = await startGit(t, { users, publicRead: true });
  const bare = server.make('broken', { files: { 'a.txt': randomBytes(2000).toString('hex') } });
  const blob = git(bare, 'rev-parse', 'main:a.txt');
  execFileSync('sh', ['-c', 'for pack in objects/pack/*.pack; do mv $pack p; rm -f objects/pack/*; git -c safe.directory=* unpack-objects -q < p; rm p; done; true'], { cwd: bare });
  rmSync(join(bare, 'objects', blob.slice(0, 2), blob.slice(2)));
  const job = await acquire(await start(t), { repo_url: addressOf(server, 'broken') });
  assert.equal(job.errorCode, 'git_failed', job.error);
  assert.match(job.error, new RegExp(`the server says "fatal: .*${blob}`));
});

test('what it complains of may come in pieces', async t => {
  const pieces = ['Counting objects: 3\\nfat', 'al: no room on ', 'the server'].map(text => `printf '${text}' >&2; sleep 0.3`).join('\n');
  const server = await startGit(t, { users, publicRead: true, packs: `#!/bin/sh\ncat >/dev/null\n${pieces}\nexit 128\n` });
  server.make('broken', { files: { 'a.txt': 'a' } });
  const job = await acquire(await start(t), { repo_url: addressOf(server, 'broken') });
  assert.equal(job.errorCode, 'git_failed', job.error);
  assert.match(job.error, /the server says "fatal: no room on the server"/);
});
