// docker: what real tar and buildah make of the tarball; hostile repros; the same input, the same bytes.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, source, temporaryFolder } from '../support/host.mjs';

const bootstrap = join(source, 'tests/data/bootstrap-20184.json');
const search = join(source, 'tests/data/search-4711.json');
const read = path => JSON.parse(readFileSync(path, 'utf8'));
const sh = (program, args, options = {}) => spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28, ...options });

function exported(t, repro, options = [], env = {}) {
  const out = temporaryFolder(t);
  const path = typeof repro === 'string' ? repro : join(out, 'repro.json');
  if (typeof repro !== 'string') writeFileSync(path, JSON.stringify(repro));
  const done = run(['run', 'docker', '--repro', path, '-o', join(out, 'o'), ...options.flatMap(o => ['--option', o])], { env });
  if (done.code !== 0) return { done };
  const result = JSON.parse(done.stdout);
  return { done, result, archive: join(out, 'o', result.archive) };
}

function unpacked(t, repro, options, env) {
  const found = exported(t, repro, options, env);
  assert.equal(found.done.code, 0, found.done.stderr);
  const folder = temporaryFolder(t);
  const tar = sh('tar', ['-C', folder, '-xf', found.archive]);
  assert.equal(tar.status, 0, tar.stderr);
  assert.equal(tar.stderr, '');
  return { ...found, folder: join(folder, found.result.folder) };
}

/** All files below a folder, as {path: content}. */
function tree(folder, prefix = '') {
  const files = {};
  for (const entry of readdirSync(join(folder, prefix), { withFileTypes: true })) {
    const path = join(prefix, entry.name);
    assert.ok(entry.isDirectory() || entry.isFile(), path);
    if (entry.isDirectory()) Object.assign(files, tree(folder, path));
    else files[path] = readFileSync(join(folder, path));
  }
  return files;
}

for (const repro of [bootstrap, search]) {
  test(`${repro.match(/[^/]*$/)}: real tar unpacks it, and every file of the repro is in it`, t => {
    const gz = unpacked(t, repro, ['archive=tar.gz']);
    const files = tree(gz.folder);
    const document = read(repro);
    for (const { path, content } of document.files) assert.equal(files[path].toString(), content, path);
    assert.equal(files[document.test.path].toString(), document.test.code);
    for (const name of ['Dockerfile', 'docker-compose.yml', '.dockerignore', 'README.md']) assert.ok(files[name].length, name);
    assert.equal(JSON.parse(files['package.json']).devDependencies['@playwright/test'], '1.65.1');
    assert.match(files.Dockerfile.toString(), /^FROM mcr\.microsoft\.com\/playwright:v1\.65\.1-noble$/m);
    assert.ok(files['README.md'].toString().includes('docker compose run --rm repro\n'));
    assert.deepEqual(tree(unpacked(t, repro, ['archive=tar.zst']).folder), files);
  });
}

for (const archive of ['tar.gz', 'tar.zst'])
  test(`${archive}: the same input gives the same bytes, owned by root, of the repro's time`, t => {
    const first = exported(t, search, [`archive=${archive}`, 'include_screenshots=true']);
    const second = exported(t, search, [`archive=${archive}`, 'include_screenshots=true'], { TZ: 'Asia/Tokyo', LC_ALL: 'C' });
    assert.deepEqual(readFileSync(second.archive), readFileSync(first.archive));
    const lines = sh('tar', ['-tvf', first.archive, '--full-time', '--numeric-owner'], { env: { ...process.env, TZ: 'UTC' } }).stdout.trim().split('\n');
    for (const line of lines) assert.match(line, /^(drwxr-xr-x|-rw-r--r--|-rwxr-xr-x) 0\/0 +\d+ 2026-11-21 19:32:08 repro-4711\//);
  });

const smallest = { id: '1', title: 't', test: { path: 'tests/a.spec.js', code: '' }, environment: { playwright: '1.65.1' } };
const hostile = {
  'an absolute path': [{ path: '/etc/passwd', content: '' }],
  'a drive': [{ path: 'C:\\x', content: '' }],
  '..': [{ path: 'a/../../x', content: '' }],
  'a control character': [{ path: 'a\u001b[2J', content: '' }],
  'a link': [{ path: 'a', content: '/etc/passwd', type: 'symlink' }],
  'the mode of a link': [{ path: 'a', content: '/etc/passwd', mode: '120777' }],
  'two of one path': [{ path: 'a', content: '1' }, { path: './a', content: '2' }],
  'twins by case': [{ path: 'a', content: '1' }, { path: 'A', content: '2' }],
  'a file that is a folder': [{ path: 'a', content: '1' }, { path: 'a/b', content: '2' }],
  'a .git folder': [{ path: '.git/config', content: '' }],
};
for (const [what, files] of Object.entries(hostile))
  test(`${what} is refused by name`, t => {
    const { done } = exported(t, { ...smallest, files });
    assert.equal(done.code, 1);
    assert.match(done.stderr + done.stdout, /repro_unsafe/);
    assert.doesNotMatch(done.stderr, /\u001b\[2J/);
  });

test('10,000 files go through, and 20,001 are refused', { timeout: 120_000 }, t => {
  const files = count => Array.from({ length: count }, (_, i) => ({ path: `many/${i % 100}/${i}.txt`, content: `${i}` }));
  const { archive } = exported(t, { ...smallest, files: files(10_000) });
  assert.ok(sh('tar', ['-tf', archive]).stdout.split('\n').length > 10_000);
  const { done } = exported(t, { ...smallest, files: files(20_001) });
  assert.notEqual(done.code, 0); // the host's own limit, or the plugin's
});

test('a version that is none is asked for', t => {
  const { done } = exported(t, { ...smallest, environment: { playwright: '^1.65.1' } });
  assert.equal(done.code, 1);
  assert.match(done.stderr + done.stdout, /"\^1\.65\.1" in \/environment\/playwright, which is not one exact version/);
  assert.equal(exported(t, { ...smallest, environment: {} }, ['playwright_version=1.60.0']).result.image, 'mcr.microsoft.com/playwright:v1.60.0-noble');
});

// A stand-in for Playwright's image: busybox, the user, and npm and npx that say how they were called.
function standIn(folder) {
  const image = join(folder, 'image');
  for (const path of ['bin', 'etc', 'tmp', 'usr/bin', 'home/pwuser']) mkdirSync(join(image, path), { recursive: true });
  copyFileSync('/bin/busybox', join(image, 'bin/busybox'));
  for (const name of ['sh', 'mkdir', 'chown', 'chmod', 'id', 'ls', 'cat']) symlinkSync('busybox', join(image, 'bin', name));
  writeFileSync(join(image, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\npwuser:x:1001:1001::/home/pwuser:/bin/sh\n');
  writeFileSync(join(image, 'etc/group'), 'root:x:0:\npwuser:x:1001:\n');
  for (const name of ['npm', 'npx']) {
    writeFileSync(join(image, 'usr/bin', name), `#!/bin/sh\necho "${name} $* as $(id -un) in $PWD" >> calls\ncat calls\n`);
    chmodSync(join(image, 'usr/bin', name), 0o755);
  }
  writeFileSync(join(folder, 'Containerfile'), 'FROM scratch\nCOPY image/ /\nENV PATH=/usr/bin:/bin\n');
}

function whyNoBuildah() {
  if (sh('buildah', ['--version']).status !== 0) return 'buildah is not installed (apt-get install buildah)';
  if (!existsSync('/bin/busybox') || sh('/bin/busybox', ['true']).status !== 0 || sh('ldd', ['/bin/busybox']).status === 0)
    return 'no static busybox for the stand-in image (apt-get install busybox-static)';
  if (process.getuid() !== 0) return 'buildah with chroot isolation needs root here';
  return false;
}

test('buildah builds it on a stand-in image, and the test runs as pwuser', { skip: whyNoBuildah(), timeout: 300_000 }, t => {
  const { folder, result } = unpacked(t, bootstrap, ['repeat=3']);
  const place = temporaryFolder(t);
  const offline = sh('unshare', ['-n', 'true']).status === 0 ? ['unshare', '-n'] : [];
  const buildah = (...args) => {
    const all = [...offline, 'buildah', '--root', join(place, 'root'), '--runroot', join(place, 'run'), '--storage-driver', 'vfs', ...args];
    return sh(all[0], all.slice(1), { cwd: place });
  };
  standIn(place);
  const isolated = ['--isolation', 'chroot', '--network', 'host'];
  const made = buildah('bud', ...isolated, '-t', result.image, '.');
  if (made.status !== 0) return t.skip(`buildah can't build here: ${made.stderr.trim().split('\n').at(-1)}`);
  const built = buildah('bud', ...isolated, '--pull-never', '-t', 'repro', folder);
  assert.equal(built.status, 0, built.stdout + built.stderr);
  const { OCIv1: { config } } = JSON.parse(buildah('inspect', '--type', 'image', 'repro').stdout);
  assert.equal(config.User, 'pwuser');
  assert.deepEqual(config.Entrypoint.slice(-5), ['test', 'tests/regressions/20184.spec.js', '--output=/results/test-results', '--reporter=list,html,json', '--repeat-each=3']);
  const container = buildah('from', '--pull-never', 'repro').stdout.trim();
  const ran = buildah('run', ...isolated, container, '--', ...config.Entrypoint);
  assert.equal(ran.status, 0, ran.stderr);
  assert.match(ran.stdout, /npm install --no-audit --no-fund as pwuser in \/home\/pwuser\/repro\n/);
  assert.match(ran.stdout, /npx playwright test tests\/regressions\/20184\.spec\.js .* as pwuser/);
  const files = buildah('run', ...isolated, container, '--', 'ls', '-ld', '/results', 'server.js', 'public/index.html').stdout;
  for (const line of files.trim().split('\n')) assert.match(line, / pwuser +pwuser /);
});

test('what is in the archive is as large as it says', t => {
  const { archive, result } = exported(t, bootstrap);
  assert.equal(statSync(archive).size, result.artifacts[0].bytes);
});
