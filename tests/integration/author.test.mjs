// A plugin's author on their first day: `exportd new`, and every command of sdk/README.md, against an SDK that is installed below a prefix of its own.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { build, ownEnvironment, run, sanitized, source, startHost, temporaryFolder } from '../support/host.mjs';

const missing = ['cmake', 'cc', 'pkg-config', 'curl', 'make'].filter(program => spawnSync('which', [program]).status !== 0);
const skip = missing.length > 0 && `not installed: ${missing.join(', ')}`;

/** The blocks of commands of a Markdown file, in order: {mark: 'sh' or 'sh root', text}. */
function blocks(path) {
  return [...readFileSync(path, 'utf8').matchAll(/^```(sh(?: root)?)\n([\s\S]*?)^```$/gm)].map(([, mark, text]) => ({ mark, text }));
}

/** Installs this build below a folder; returns its environment: what a login shell of someone who works there would have. */
function installed(t) {
  const folder = temporaryFolder(t);
  const prefix = join(folder, 'prefix');
  const done = spawnSync('cmake', ['--install', build, '--prefix', prefix], { encoding: 'utf8', timeout: 120_000, env: { ...ownEnvironment(), DESTDIR: '' } });
  assert.equal(done.status, 0, done.stdout + done.stderr);
  const libraries = readdirSync(prefix).filter(name => name.startsWith('lib') && name !== 'libexec').flatMap(name => [join(prefix, name), ...readdirSync(join(prefix, name)).map(inner => join(prefix, name, inner))]);
  const plugins = libraries.map(path => join(path, 'exportd/plugins')).find(existsSync);
  assert.ok(plugins, `no plugins below ${prefix}`);
  const conf = join(prefix, 'etc/exportd/conf.d');
  const env = { ...ownEnvironment(), PATH: [join(prefix, 'bin'), process.env.PATH].join(delimiter), CMAKE_PREFIX_PATH: prefix, PKG_CONFIG_PATH: join(prefix, 'share/pkgconfig'),
    EXPORTD_HOST_STATE: join(folder, 'state'), TMPDIR: folder };
  return { folder, prefix, plugins, conf, env };
}

function shell(text, { env, cwd }) {
  const done = spawnSync('bash', ['-euo', 'pipefail', '-c', text], { env, cwd, encoding: 'utf8', timeout: 300_000 });
  return { code: done.status, out: done.stdout + done.stderr, stdout: done.stdout };
}

function ok(text, where) {
  const done = shell(text, where);
  assert.equal(done.code, 0, `${text}\n${done.out}`);
  return done;
}

/** What a plugin that is built with sanitizers needs of its worker it has: plugins of authors are built without. */
const sanitizerReason = sanitized && 'the run on the release build has this: an author builds against that';

test('exportd new refuses names and folders that would not do, and says what would', t => {
  const folder = temporaryFolder(t);
  const refuse = (args, message) => {
    const { code, stderr } = run(['new', ...args], { cwd: folder });
    assert.equal(code, 2, `${args}: ${stderr}`);
    assert.match(stderr, message);
  };
  for (const name of ['My-Export', 'my_export', '9lives', 'a/b', '../x', '', 'my-', 'x'.repeat(61), 'a b', "a'b"]) refuse([name], /can't be a plugin's name.*use a-z, 0-9 and -/);
  for (const name of ['test', 'install', 'exportd']) refuse([name], /take another name/);
  refuse([], /name one plugin/);
  refuse(['a', 'b'], /name one plugin/);
  refuse(['a', '--nonsense'], /nonsense/);
  refuse(['a', '--route', 'thing/html'], /say which option selects it: --route thing\/OPTION=html/);
  refuse(['a', '--route', 'report/for mat=html'], /may hold a-z 0-9/);
  refuse(['a', '--route', 'report/format='], /may hold a-z 0-9/);
  refuse(['a', '--route', '"; drop'], /may hold a-z 0-9/);
  mkdirSync(join(folder, 'there'));
  refuse(['there'], /is there already/);
  symlinkSync('/nonexistent', join(folder, 'link'));
  refuse(['b', '-d', 'link'], /is there already/);
  const lost = run(['new', 'c', '-d', 'no/such/folder'], { cwd: folder });
  assert.equal(lost.code, 1);
  assert.match(lost.stderr, /no\/such\/folder can't be made/);
  assert.deepEqual(readdirSync(folder).sort(), ['link', 'there']);
});

test('exportd new writes a source under 40 lines, and nothing that is left to be filled in', t => {
  const folder = temporaryFolder(t);
  const { code, stdout } = run(['new', 'html-report', '--route', 'report/format=html', '-d', 'out'], { cwd: folder });
  assert.equal(code, 0);
  assert.match(stdout, /the plugin html-report with the route report\/html/);
  const files = readdirSync(join(folder, 'out'), { recursive: true }).sort();
  assert.deepEqual(files, ['.gitignore', 'CMakeLists.txt', 'Makefile', 'README.md', 'conf.d', 'conf.d/html-report.conf', 'copyright', 'html-report.c', 'sample.json', 'test.c']);
  for (const file of files.filter(name => name !== 'conf.d')) assert.doesNotMatch(readFileSync(join(folder, 'out', file), 'utf8'), /@[A-Z]+@/, file);
  const text = readFileSync(join(folder, 'out/html-report.c'), 'utf8');
  assert.ok(text.split('\n').length <= 40, `${text.split('\n').length} lines`);
  assert.match(text, /\.task = "report", \.option = "format", \.value = "html",/);
});

test('a plugin that a selecting option chooses builds, conforms and runs beside those that are there', { skip: skip || sanitizerReason }, t => {
  const { folder, env, plugins } = installed(t);
  ok('exportd new html-report --route report/html && cd html-report && cmake -S . -B build && cmake --build build && ctest --test-dir build --output-on-failure && cmake --install build', { env, cwd: folder });
  assert.ok(existsSync(join(plugins, 'html-report.so')));
  assert.equal(JSON.parse(ok('exportd run report/html --option name=Ada -o out', { env, cwd: folder }).stdout).greeted, 'Ada');
  assert.equal(readFileSync(join(folder, 'out/greeting.txt'), 'utf8'), 'Hello, Ada!\n');
  ok('exportd run report/json --repro "$REPRO" -o out', { env: { ...env, REPRO: join(source, 'tests/data/search-4711.json') }, cwd: folder });
});

test('what is installed below another prefix finds its own worker, watcher, plugins, settings and template, and does so where it is moved', { skip: spawnSync('which', ['cmake']).status !== 0 && 'cmake is not installed' }, t => {
  const { folder, prefix, plugins, conf } = installed(t);
  const moved = join(folder, 'moved');
  writeFileSync(join(conf, 'nats.conf'), '[nats]\nstrem = X\n');
  for (const at of [prefix, moved]) {
    if (at === moved) renameSync(prefix, moved);
    const env = { ...ownEnvironment(), PATH: [join(at, 'bin'), process.env.PATH].join(delimiter), EXPORTD_HOST_STATE: join(folder, 'state'), TMPDIR: folder };
    const where = { env, cwd: folder };
    const refused = shell('exportd check', where);
    assert.equal(refused.code, 1, refused.out);
    assert.ok(refused.out.includes(`${conf.replace(prefix, at)}/nats.conf:2: unknown key "strem"`), refused.out);
    writeFileSync(join(conf.replace(prefix, at), 'nats.conf'), '');
    const all = JSON.parse(ok('exportd plugins --json', where).stdout);
    assert.ok(all.plugins.length >= 11 && all.failures.length === 0, JSON.stringify(all.failures));
    for (const plugin of all.plugins) assert.ok(plugin.file.startsWith(plugins.replace(prefix, at)), plugin.file);
    const report = ok(`exportd test ${plugins.replace(prefix, at)}/export-json.so`, where).out;
    assert.match(report, /^ok +workspace/m);
    assert.doesNotMatch(report, /exportd-watch/, 'it would say so where it did not find its watcher');
    ok('exportd new thing && rm -r thing', where);
    writeFileSync(join(conf.replace(prefix, at), 'nats.conf'), '[nats]\nstrem = X\n');
  }
});

test('the Makefile builds and installs without CMake', { skip: skip || sanitizerReason }, t => {
  const { folder, env, prefix } = installed(t);
  ok('exportd new by-make && cd by-make && make && exportd test by-make.so -c conf.d --input sample.json && make install DESTDIR=../root', { env, cwd: folder });
  const there = spawnSync('find', [join(folder, 'root'), '-name', 'by-make.*'], { encoding: 'utf8' }).stdout.trim().split('\n');
  assert.equal(there.length, 2, there.join());
  for (const path of there) assert.ok(path.startsWith(join(folder, 'root') + prefix), path);
  const lost = shell('make -B', { env: { ...env, PKG_CONFIG_PATH: '/nonexistent', PKG_CONFIG_LIBDIR: '/nonexistent' }, cwd: join(folder, 'by-make') });
  assert.notEqual(lost.code, 0);
  assert.match(lost.out, /pkg-config does not find exportd/);
});

test('every command of sdk/README.md does what it says', { skip: skip || sanitizerReason, timeout: 600_000 }, async t => {
  const { folder, env, plugins, conf } = installed(t);
  const host = await startHost(t, { folder: join(folder, 'host-of-the-test'), plugins, env: { EXPORTD_HOST_STATE: env.EXPORTD_HOST_STATE } });
  // The same settings as the installed ones: the host reads that very folder.
  await host.stop();
  host.conf = conf;
  await host.start();
  const rpm = spawnSync('which', ['rpmbuild']).status === 0;
  const commands = blocks(join(source, 'sdk/README.md'));
  assert.ok(commands.length >= 10 && commands.some(block => block.mark === 'sh root'));
  const script = commands.filter(block => block.mark === 'sh').map(block => block.text)
    .map(text => (rpm ? text : text.replace(/^.*cpack -G RPM.*$/gm, ':')))
    .map((text, i) => `echo '=== block ${i + 1}' >&2\n${text}`).join('\n');
  const done = spawnSync('bash', ['-euxo', 'pipefail', '-c', script], { cwd: folder, encoding: 'utf8', timeout: 500_000,
    env: { ...env, EXPORTD_HTTP_LISTEN: new URL(host.url).host, EXPORTD_URL: host.url } });
  assert.equal(done.status, 0, done.stdout.slice(-3000) + done.stderr.slice(-6000));

  // What a reader would look for in the output.
  assert.match(done.stdout, /100% tests passed, 0 tests failed out of 2/);
  assert.match(done.stdout, /^my-export: \d+ ok, 0 failed, \d+ skipped$/m);
  assert.match(done.stdout, /"greeted": "Grace"/);
  assert.match(done.stdout, /"status": ?"completed"/);
  assert.match(done.stdout, /^Hello, Ada!$/m);
  const job = await host.get('/jobs/first');
  assert.equal(job.json.status, 'completed');
  assert.equal(job.json.result.artifacts[0].name, 'greeting.txt');
  assert.ok(existsSync(join(plugins, 'my-export.so')) && existsSync(join(conf, 'my-export.conf')));

  const made = readdirSync(join(folder, 'my-export/build'));
  const deb = made.find(name => /^exportd-plugin-my-export_1\.0\.0_\w+\.deb$/.test(name));
  assert.ok(deb, made.join());
  if (spawnSync('which', ['dpkg-deb']).status === 0) {
    const control = spawnSync('dpkg-deb', ['-f', join(folder, 'my-export/build', deb), 'Depends'], { encoding: 'utf8' }).stdout;
    assert.match(control, /^exportd \(>= \d/);
    assert.match(control, /libjansson4/);
    const list = spawnSync('dpkg-deb', ['-c', join(folder, 'my-export/build', deb)], { encoding: 'utf8' }).stdout;
    assert.match(list, /exportd\/plugins\/my-export\.so$/m);
    assert.match(list, /exportd\/conf\.d\/my-export\.conf$/m);
    assert.match(spawnSync('dpkg-deb', ['--ctrl-tarfile', join(folder, 'my-export/build', deb)], { encoding: 'latin1' }).stdout, /conffiles/);
  }
  if (rpm) assert.ok(made.some(name => /^exportd-plugin-my-export-1\.0\.0-1\.\w+\.rpm$/.test(name)), made.join());

  // As the guide's block for root has it: where the installed files are, by pkg-config's word.
  const where = name => ok(`pkg-config --variable=${name} exportd`, { env, cwd: folder }).stdout.trim();
  assert.equal(resolve(where('plugindir')), plugins);
  assert.equal(resolve(where('confdir')), conf);

  // The next build is taken in by a reload, and the host's own settings hold.
  writeFileSync(join(conf, 'my-export.conf'), '[plugin my-export]\ngreeting = Welcome\n');
  ok('exportd reload', { cwd: folder, env: { ...env, EXPORTD_HTTP_LISTEN: new URL(host.url).host } });
  const second = await host.runJob({ jobId: 'second', task: 'my-export', data: { name: 'Grace' } });
  assert.equal(second.status, 'completed');
  assert.equal((await host.get('/artifacts/second/greeting.txt')).text, 'Welcome, Grace!\n');
});
