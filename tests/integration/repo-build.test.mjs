// build-assets: real builds by npm, pnpm, yarn, cmake and make in the sandbox; what they must not do; what is left of them.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterwards, pluginFolder, confFolder, run, source, startHost, temporaryFolder, until } from '../support/host.mjs';
import { git } from '../support/git.mjs';

const modules = join(source, 'tests/node_modules');
const PLUGINS = ['repo-clone', 'repo-build'];
const conf = (folder, lines = '', more = '') => ({
  'p.conf': `[plugin repo-clone]\nschemes = https file\nread = ${folder}\n[plugin repo-build]\nexec = yes\nmemory = 4G\ntimeout = 60s\n${lines}\n[jobs]\nmax_attempts = 1\n${more}`,
});

/** A repository of these files, {path: text}; returns its path. Those that begin with #! can be run. */
function repository(folder, name, files) {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, file)), { recursive: true });
    writeFileSync(join(path, file), text, { mode: text.startsWith('#!') ? 0o755 : 0o644 });
  }
  git(path, 'init', '-q', '-b', 'main');
  git(path, 'add', '-A');
  git(path, 'commit', '-q', '-m', 'First');
  return path;
}

const sha256 = bytes => createHash('sha256').update(bytes).digest('hex');

/** Unpacks what `exportd run` or a job left, holds it against the manifest, and returns {path: text} of its files. */
function unpack(t, tarball, manifest) {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'x.tar'), tarball);
  execFileSync('tar', ['-xf', 'x.tar'], { cwd: folder });
  const found = {};
  for (const file of manifest.files) {
    const path = join(folder, 'build', file.path);
    if (file.target !== undefined) continue;
    const bytes = readFileSync(path);
    assert.equal(bytes.length, file.bytes, file.path);
    assert.equal(sha256(bytes), file.sha256, file.path);
    found[file.path] = bytes.toString();
  }
  const listed = execFileSync('find', ['build', '!', '-type', 'd', '-print0'], { cwd: folder, encoding: 'utf8' }).split('\0').filter(Boolean);
  assert.deepEqual(listed.sort(), manifest.files.map(({ path }) => `build/${path}`).sort());
  return found;
}

/** Builds by `exportd run`: {code, stderr, result, files, manifest, log}. */
function build(t, path, options = {}, lines = '') {
  const folder = temporaryFolder(t);
  const config = confFolder(folder, conf(dirname(path), lines));
  const args = Object.entries({ repo_url: path, ...options }).flatMap(([key, value]) => ['--option', `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`]);
  const done = run(['run', 'build-assets', '-c', config, '-o', join(folder, 'out'), '--quiet', ...args],
    { env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, PLUGINS) } });
  if (done.code !== 0) return { ...done, out: existsSync(join(folder, 'out')) ? readdirSync(join(folder, 'out')) : [] };
  const result = JSON.parse(done.stdout);
  const at = name => readFileSync(join(folder, 'out', name));
  const manifest = JSON.parse(at('manifest.json'));
  return { ...done, result, manifest, log: at('build.log').toString(), files: unpack(t, at(result.archive), manifest), folder: join(folder, 'out') };
}

const bundler = `const fs = require('fs');
const { greet } = require('greeting');
fs.mkdirSync('dist/assets', { recursive: true });
fs.writeFileSync('dist/index.html', '<title>' + greet('wörld') + '</title>');
fs.writeFileSync('dist/assets/app.js', 'console.log(1)');
console.log('\\u001b[32mbuilt\\u001b[0m 2 files ✓');`;
const application = manager => ({
  'package.json': JSON.stringify({ name: 'shop', version: '1.0.0', scripts: { build: 'node bundle.js' }, dependencies: { greeting: 'file:./vendor/greeting' }, ...manager }),
  'bundle.js': bundler,
  'vendor/greeting/package.json': JSON.stringify({ name: 'greeting', version: '2.0.0', main: 'index.js' }),
  'vendor/greeting/index.js': "exports.greet = name => 'Hello ' + name;",
});
const lock = {
  npm: () => ['package-lock.json', JSON.stringify({ name: 'shop', version: '1.0.0', lockfileVersion: 3, requires: true, packages: {
    '': { name: 'shop', version: '1.0.0', dependencies: { greeting: 'file:./vendor/greeting' } },
    'node_modules/greeting': { resolved: 'vendor/greeting', link: true }, 'vendor/greeting': { name: 'greeting', version: '2.0.0' } } })],
  yarn: () => ['yarn.lock', '# yarn lockfile v1\n\n\n"greeting@file:./vendor/greeting":\n  version "2.0.0"\n'],
  pnpm: () => ['pnpm-lock.yaml', "lockfileVersion: '6.0'\n\nsettings:\n  autoInstallPeers: true\n  excludeLinksFromLockfile: false\n\ndependencies:\n  greeting:\n    specifier: file:./vendor/greeting\n    version: file:vendor/greeting\n\npackages:\n\n  file:vendor/greeting:\n    resolution: {directory: vendor/greeting, type: directory}\n    name: greeting\n    dev: false\n"],
};
const more = `path = ${modules}/.bin\nread = ${modules}\n`;

/** Yarn 1 asks /proc how much memory it uses, and there is one to be read only in a PID namespace. */
const namespaces = spawnSync('unshare', [...process.getuid() === 0 ? [] : ['-U'], '-pf', '--mount-proc', 'true']).status === 0;

for (const manager of ['npm', 'pnpm', 'yarn']) {
  test(`${manager} installs what the lock file names, and builds`, { skip: manager === 'yarn' && !namespaces && 'no PID namespace can be made here' }, t => {
    const path = repository(temporaryFolder(t), 'shop', { ...application(), ...Object.fromEntries([lock[manager]()]) });
    const { code, stderr, result, files, log } = build(t, path, {}, manager === 'npm' ? '' : more);
    assert.equal(code, 0, stderr);
    assert.deepEqual(files, { 'index.html': '<title>Hello wörld</title>', 'assets/app.js': 'console.log(1)' });
    assert.equal(result.system, manager);
    assert.equal(result.output, 'dist');
    assert.match(result.commands[0].command, { npm: /^npm ci /, pnpm: /^pnpm install --frozen-lockfile/, yarn: /^yarn install .*--frozen-lockfile/ }[manager]);
    assert.deepEqual(result.commands.map(({ exitCode }) => exitCode), [0, 0]);
    assert.match(log, /\$ \w+ run build[^]*built.* 2 files ✓/);
    assert.equal(result.repository.commit, git(path, 'rev-parse', 'HEAD'));
  });
}

const library = {
  'CMakeLists.txt': 'cmake_minimum_required(VERSION 3.13)\nproject(greet C)\nadd_library(greet SHARED greet.c)\nset_target_properties(greet PROPERTIES VERSION 1.2.3 SOVERSION 1)\nadd_executable(hello hello.c)\ntarget_link_libraries(hello greet)\ninclude(GNUInstallDirs)\ninstall(TARGETS greet hello LIBRARY DESTINATION lib)\ninstall(FILES greet.h TYPE INCLUDE)\n',
  'greet.h': 'const char *greet(void);\n', 'greet.c': '#include "greet.h"\nconst char *greet(void) { return "hello"; }\n',
  'hello.c': '#include "greet.h"\n#include <stdio.h>\nint main(void) { puts(greet()); return 0; }\n',
};

test('cmake: what it installs is the output, with its links', t => {
  const path = repository(temporaryFolder(t), 'greet', library);
  const { code, stderr, result, manifest, folder } = build(t, path, { format: 'tar.zst' });
  assert.equal(code, 0, stderr);
  assert.equal(result.system, 'cmake');
  assert.deepEqual(manifest.files.map(({ path: file, target }) => target ?? file).sort(), ['bin/hello', 'include/greet.h', 'lib/libgreet.so.1.2.3', 'libgreet.so.1', 'libgreet.so.1.2.3']);
  const unpacked = temporaryFolder(t);
  execFileSync('tar', ['--zstd', '-xf', join(folder, result.archive)], { cwd: unpacked });
  assert.equal(execFileSync(join(unpacked, 'build/bin/hello'), { env: { LD_LIBRARY_PATH: join(unpacked, 'build/lib') }, encoding: 'utf8' }), 'hello\n');
});

test('cmake without anything to install: the programs and libraries, without its own files', t => {
  const path = repository(temporaryFolder(t), 'greet', { ...library, 'CMakeLists.txt': library['CMakeLists.txt'].replace(/^install.*\n/gm, '') });
  const { code, stderr, manifest } = build(t, path);
  assert.equal(code, 0, stderr);
  assert.deepEqual(manifest.files.map(({ path: file }) => file), ['hello', 'libgreet.so', 'libgreet.so.1', 'libgreet.so.1.2.3']);
});

test('make, with a configure before it: what is new, without objects', t => {
  const path = repository(temporaryFolder(t), 'hello', {
    'configure': '#!/bin/sh\nsed "s/@GREETING@/configured/" Makefile.in > Makefile\n',
    'Makefile.in': 'hello: hello.o\n\t$(CC) -o $@ $<\nhello.o: hello.c\n\t$(CC) -DGREETING=\'"@GREETING@"\' -c $<\n',
    'hello.c': '#include <stdio.h>\nint main(void) { puts(GREETING); return 0; }\n',
  });
  const { code, stderr, result, manifest, folder } = build(t, path);
  assert.equal(code, 0, stderr);
  assert.deepEqual(result.commands.map(({ command }) => command), ['sh ./configure --prefix=/usr', 'make -j2']);
  assert.deepEqual(manifest.files.map(({ path: file, executable }) => [file, executable]), [['hello', true]]);
  execFileSync('tar', ['-xf', result.archive], { cwd: folder });
  assert.equal(execFileSync(join(folder, 'build/hello'), { encoding: 'utf8' }), 'configured\n');
});

test('a command of the request, where conf.d allows it, with its environment and output', t => {
  const path = repository(temporaryFolder(t), 'x', { 'a.txt': 'a' });
  const options = { command: 'mkdir -p site/x && printf "%s" "$GREETING" > site/x/a.txt && cp a.txt site', output: 'site', environment: { GREETING: 'hällo $HOME' } };
  const refused = build(t, path, options);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /command_refused.*commands = yes/);
  const { code, stderr, files, result } = build(t, path, options, 'commands = yes');
  assert.equal(code, 0, stderr);
  assert.deepEqual(files, { 'a.txt': 'a', 'x/a.txt': 'hällo $HOME' });
  assert.equal(result.system, 'command');
});

const command = (t, text, options = {}, lines = '') => build(t, repository(temporaryFolder(t), 'x', { 'a.txt': 'a\n' }), { command: text, ...options }, `commands = yes\n${lines}`);

describe('what can\'t be built ends in a sentence', () => {
  const cases = [
    ['nothing to build with', { 'readme.md': 'x' }, {}, /build_unknown.*no package\.json, CMakeLists\.txt, configure or makefile/],
    ['no such script', { 'package.json': '{"scripts":{"test":"x"}}' }, {}, /build_unknown.*no script "build"/],
    ['a package.json that is none', { 'package.json': '{"scripts":' }, { when_missing: 'skip' }, /package_invalid.*line 1/],
    ['a manager that isn\'t there', { 'package.json': '{"scripts":{"build":"x"},"packageManager":"pnpm@9.0.0"}' }, {}, /builder_missing.*pnpm.*path of \[plugin repo-build\]/],
    ['a system that the repository hasn\'t got', { 'package.json': '{}' }, { system: 'cmake' }, /build_unknown.*no CMakeLists\.txt/],
    ['an output that isn\'t made', { 'Makefile': 'x:\n\ttouch x\n' }, { output: 'dist' }, /output_missing.*"dist"/],
    ['an output above the repository', { 'Makefile': 'x:\n\ttouch x\n' }, { output: '../..' }, /option_invalid/],
    ['an output by a link', { 'Makefile': 'x:\n\ttouch x; ln -s /etc out\n' }, { output: 'out' }, /output_missing/],
    ['a build that makes nothing', { 'Makefile': 'all:\n\t@true\n' }, {}, /output_missing.*made no file/],
    ['a PATH of the request\'s', { 'Makefile': 'x:\n\ttouch x\n' }, { environment: { PATH: '/tmp' } }, /option_invalid.*"PATH"/],
    ['dependencies that aren\'t there', { 'package.json': '{"scripts":{"build":"true"},"dependencies":{"left-pad":"1.3.0"}}' }, {}, /build_failed.*npm install.*no network here.*network = yes/],
  ];
  for (const [name, files, options, expected] of cases) {
    test(name, t => {
      const { code, stderr, out } = build(t, repository(temporaryFolder(t), 'x', files), options);
      assert.equal(code, 1);
      assert.match(stderr, expected);
      assert.deepEqual(out, []);
    });
  }

  test('the last lines of a build that fails, without what a terminal does with them', t => {
    const { code, stderr } = command(t, 'i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done; printf "\\033[31mred\\033[0m fault äöü\\n" >&2; exit 3');
    assert.equal(code, 1);
    assert.match(stderr, /build_failed: step 2 of 2, build-assets: .*ended with exit code 3.*it last wrote:.*line 98.*line 99.*red fault äöü/);
    assert.doesNotMatch(stderr, /line 70|\x1b/);
  });

  test('one that is killed', t => assert.match(command(t, 'kill -9 $$').stderr, /killed by signal 9 \(Killed\)/));

  test('too much output', t => {
    const { stderr } = command(t, 'mkdir dist; for i in 1 2 3 4 5 6; do echo x > dist/$i; done', {}, 'max_files = 5');
    assert.match(stderr, /output_too_large.*6 files.*max_files/);
  });

  test('a log beyond its limit is cut, and says so', t => {
    const { code, stderr, result, log } = command(t, 'head -c 300000 /dev/zero | tr "\\0" "x"; echo; echo the end; mkdir dist; echo > dist/a', {}, 'max_log = 64K');
    assert.equal(code, 0, stderr);
    assert.equal(log.length, 65536);
    assert.match(result.notes.join(), /build\.log holds the first 65536 of \d+ bytes/);
  });
});

test('links out of the output, FIFOs and names that are no text are left out', t => {
  const { code, stderr, manifest, result } = command(t, 'mkdir -p dist/in; cd dist; echo 1 > a; ln -s a inside; ln -s /etc/passwd outside; ln -s ../../x in/up; ln -s ../a in/fine; mkfifo pipe; touch "$(printf "bad\\377name")"; touch "new\nline"');
  assert.equal(code, 0, stderr);
  assert.deepEqual(manifest.files.map(({ path }) => path).sort(), ['a', 'in/fine', 'inside', 'new\nline'].sort());
  assert.match(result.notes.join(), /2 links that lead out/);
  assert.match(result.notes.join(), /1 files whose names are no UTF-8/);
});

test('a second attempt begins clean: what the first left is neither in its way nor in the output', async t => {
  const folder = temporaryFolder(t);
  const path = repository(folder, 'x', { 'a.txt': 'first\n' });
  const host = await startHost(t, { plugins: PLUGINS, conf: { 'p.conf': conf(folder, 'commands = yes')['p.conf'].replace('timeout = 60s', 'timeout = 2s\ngrace = 200ms').replace('max_attempts = 1', 'max_attempts = 3\nbackoff = 10ms') } });
  const job = await host.runJob({ task: 'build-assets', data: { repo_url: path,
    command: 'mkdir -p dist node_modules; if grep -q second a.txt; then test ! -e dist/stale && test ! -e node_modules/half && echo made > dist/a; else echo second > a.txt; echo > dist/stale; echo > node_modules/half; mkfifo ../manifest.json; echo first attempt; sleep 1000; fi' } });
  assert.equal(job.status, 'completed', job.error);
  assert.equal(job.attempts, 2);
  assert.deepEqual(job.result.manifest.map(({ path: file }) => file), ['a']);
  assert.doesNotMatch(Buffer.from(await (await fetch(job.result.artifacts.find(({ name }) => name === 'build.log').url)).arrayBuffer()).toString(), /^first attempt/m);
});

test('names that the build took for itself, and a repository that it took away', t => {
  const { code, stderr, result } = command(t, 'mkfifo ../manifest.json ../x-build.tar.gz; mkdir dist; echo 1 > dist/a');
  assert.equal(code, 0, stderr);
  assert.equal(result.files, 1);
  for (const text of ['cd ..; rm -rf repo; echo x > repo', 'cd ..; rm -rf repo; ln -s /etc repo', 'cd ..; rm -rf repo']) {
    const done = command(t, text);
    assert.equal(done.code, 1);
    assert.match(done.stderr, /output_unreadable/);
  }
});

test('node_modules in the output are output', t => {
  const { code, stderr, files } = command(t, 'mkdir -p dist/node_modules/p node_modules/q; echo 1 > dist/node_modules/p/a; echo 2 > dist/b; echo 3 > node_modules/q/c', { output: 'dist' });
  assert.equal(code, 0, stderr);
  assert.deepEqual(files, { b: '2\n', 'node_modules/p/a': '1\n' });
});

test('variables of the request stand above those that every build gets', t => {
  const { code, stderr, files } = command(t, 'node -e "console.log(process.env.CI, process.env.NO_COLOR, process.env.OWN)" > out.txt', { environment: { CI: 'false', OWN: 'x' }, output: '.' });
  assert.equal(code, 0, stderr);
  assert.equal(files['out.txt'], 'false 1 x\n');
});

test('an installation that fails is none: the build\'s own files are the output', t => {
  const path = repository(temporaryFolder(t), 'greet', { ...library, 'CMakeLists.txt': `${library['CMakeLists.txt']}install(FILES nothing.txt DESTINATION share)\n` });
  const { code, stderr, manifest, result } = build(t, path);
  assert.equal(code, 0, stderr);
  assert.deepEqual(manifest.files.map(({ path: file }) => file), ['hello', 'libgreet.so', 'libgreet.so.1', 'libgreet.so.1.2.3']);
  assert.match(result.notes.join(), /cmake --install .* ended with exit code 1/);
});

test('a long command is cut between characters', t => {
  const { code, stderr, result } = command(t, `mkdir dist; echo > dist/a # ${'é'.repeat(600)}`);
  assert.equal(code, 0, stderr);
  assert.match(result.commands[0].command, /é$/);
});

describe('a build that does what it must not', () => {
  test('forks and stays: all of it is gone when the job is over', t => {
    const mark = `stay-${process.pid}-${Date.now()}`;
    const { code, stderr } = command(t, `mkdir dist; echo > dist/a; for i in 1 2 3; do (setsid sh -c 'while true; do sleep 1; done # ${mark}' >/dev/null 2>&1 &) ; done; sh -c 'sleep 1000 # ${mark}' & echo started`);
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(execFileSync('ps', ['-eo', 'args='], { encoding: 'utf8' }), new RegExp(mark));
  });

  test('hangs: stopped, with what it last wrote', t => {
    const began = Date.now();
    const { code, stderr } = command(t, 'echo waiting for nothing; sleep 1000', {}, 'build_time = 1s');
    assert.equal(code, 1);
    assert.match(stderr, /build_timeout.*stopped after 1\.\d s.*build_time.*waiting for nothing/);
    assert.ok(Date.now() - began < 30000);
  });

  test('hangs and ignores SIGTERM: killed', t => {
    assert.match(command(t, 'trap "" TERM; echo stubborn; while true; do sleep 1; done', {}, 'build_time = 1s').stderr, /build_timeout.*stubborn/);
  });

  test('fills the disk', t => {
    assert.match(command(t, 'i=0; while true; do head -c 1000000 /dev/zero > f$i || exit 1; i=$((i+1)); done', {}, 'disk = 64M').stderr, /worker_disk.*64 MB.*\[plugin repo-build\] disk/);
  });

  test('fills one file', t => {
    assert.match(command(t, 'head -c 90000000 /dev/zero > f', {}, 'disk = 64M').stderr, /(File too large|signal 25|exit code 153|worker_disk).*disk/s);
  });

  test('reads the home folder and the host\'s state', t => {
    const secret = join(temporaryFolder(t), 'secret.txt');
    writeFileSync(secret, 'the-secret-71c', { mode: 0o644 });
    const { code, stderr } = command(t, `echo "HOME=$HOME"; ls ${homedir()}; cat ${secret}`);
    assert.equal(code, 1);
    assert.match(stderr, /[Pp]ermission denied/);
    assert.match(stderr, /may read the system's programs and its own folder/);
    assert.doesNotMatch(stderr, /the-secret-71c/);
  });

  test('writes beside its folder', t => {
    const beside = join(temporaryFolder(t), 'x');
    assert.equal(command(t, `echo 1 > ${beside}`).code, 1);
    assert.ok(!existsSync(beside));
  });

  test('opens a connection', async t => {
    let connections = 0;
    const server = net.createServer(socket => { connections++; socket.destroy(); });
    await new Promise(done => server.listen(0, '127.0.0.1', done));
    afterwards(t, () => new Promise(done => server.close(done)));
    const path = repository(temporaryFolder(t), 'x', {
      'package.json': '{"scripts":{"build":"node c.js"}}',
      'c.js': `require('net').connect(${server.address().port}, '127.0.0.1').on('connect', () => process.exit(0)).on('error', e => { console.error(String(e)); process.exit(1); });`,
    });
    const { code, stderr } = build(t, path);
    assert.equal(code, 1);
    assert.match(stderr, /EACCES.*builds have no network here|builds have no network here.*EACCES/s);
    assert.equal(connections, 0);
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'p.conf'), ''); // and with the grant it goes through, so that the test above tells something
    const open = build(t, repository(temporaryFolder(t), 'y', {
      'package.json': '{"scripts":{"build":"node c.js"}}',
      'c.js': `require('fs').mkdirSync('dist'); require('fs').writeFileSync('dist/a', '');require('net').connect(${server.address().port}, '127.0.0.1').on('connect', () => process.exit(0)).on('error', e => { console.error(String(e)); process.exit(1); });`,
    }), {}, 'network = yes');
    assert.equal(open.code, 0, open.stderr);
  });

  test('has no secret, and nothing of the host\'s environment', t => {
    const { code, stderr, log } = command(t, 'env | sort; mkdir dist; echo > dist/a');
    assert.equal(code, 0, stderr);
    const names = log.split('\n').filter(line => line.includes('=')).map(line => line.split('=')[0]);
    assert.deepEqual(names.filter(name => !/^(CI|GIT_CONFIG_NOSYSTEM|HOME|LANG|NO_COLOR|OLDPWD|OPENSSL_CONF|PATH|PWD|SHLVL|TERM|TMPDIR|_|npm_config_\w+|SOURCE_DATE_EPOCH)$/.test(name) && !name.startsWith('$ ')), []);
  });
});

test('over HTTP: progress shows what the build writes, artifacts can be had, and a cancelled build is gone', async t => {
  const folder = temporaryFolder(t);
  const path = repository(folder, 'slow', { 'Makefile': 'all:\n\t@echo first words; sleep 1; mkdir -p dist; echo made > dist/a; echo last words\nforever:\n\t@echo at it; sleep 1000 # forever-mark\n' });
  const host = await startHost(t, { plugins: PLUGINS, conf: conf(folder, 'commands = yes') });
  await host.process_({ jobId: 'b', task: 'build-assets', data: { repo_url: path } });
  await until(async () => (await host.get('/jobs/b')).json.stage === 'first words', 'the first words');
  const job = await host.finished('b');
  assert.equal(job.status, 'completed', job.error);
  assert.equal(job.result.system, 'make');
  const artifact = name => fetch(job.result.artifacts.find(one => one.name === name).url);
  const manifest = await (await artifact('manifest.json')).json();
  assert.deepEqual(unpack(t, Buffer.from(await (await artifact(job.result.archive)).arrayBuffer()), manifest), { 'dist/a': 'made\n' });
  assert.equal(await (await artifact('build.log')).text(), '$ make -j2\nfirst words\nlast words\n');

  await host.process_({ jobId: 'c', task: 'build-assets', data: { repo_url: path, command: 'make forever' } });
  await until(async () => (await host.get('/jobs/c')).json.stage === 'at it', 'the build');
  await host.request('DELETE', '/jobs/c');
  assert.equal((await host.finished('c')).status, 'cancelled');
  assert.doesNotMatch(execFileSync('ps', ['-eo', 'args='], { encoding: 'utf8' }), /forever-mark/);
});

test('without acquire-user-repo there is no repository, and the error says how to get one', t => {
  const folder = temporaryFolder(t);
  const config = confFolder(folder, { 'p.conf': '[plugin repo-build]\nexec = yes\n' });
  const done = run(['run', 'build-assets', '-c', config, '-o', join(folder, 'out')], { env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, ['repo-build']) } });
  assert.equal(done.code, 2);
  assert.match(done.stderr, /the task "build-assets" of the plugin repo-build needs acquire-user-repo to come first, and no plugin offers that/);
});

test('without the exec grant nothing is started', t => {
  const folder = temporaryFolder(t);
  const path = repository(folder, 'x', { 'Makefile': 'x:\n\ttouch x\n' });
  const config = confFolder(folder, { 'p.conf': `[plugin repo-clone]\nschemes = file\nread = ${folder}\n` });
  const done = run(['run', 'build-assets', '-c', config, '-o', join(folder, 'out'), '--option', `repo_url=${path}`], { env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, PLUGINS) } });
  assert.equal(done.code, 1);
  assert.match(done.stderr, /grant_missing.*exec = yes/);
});
