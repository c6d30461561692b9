// exportd test: every shipped plugin passes, and each bad one fails by the line that says why.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterwards, build, confFolder, exportd, ownEnvironment, pluginFolder, run, sanitized, source, temporaryFolder, until } from '../support/host.mjs';

const bad = name => join(build, 'test-plugins', `bad-${name}.so`);

/** A conformance run without other plugins around; env: more of the environment. */
function conformance(t, file, { args = [], env = {}, conf } = {}) {
  const folder = temporaryFolder(t);
  const more = conf ? ['-c', confFolder(folder, conf)] : [];
  const done = run(['test', file, '--json', ...more, ...args], { env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, []), TMPDIR: folder, ...env } });
  let report;
  try { report = JSON.parse(done.stdout); } catch { assert.fail(`no report (code ${done.code}, ${done.signal}): ${done.stdout}${done.stderr}`); }
  assert.deepEqual(readdirSync(folder).filter(name => name.startsWith('exportd-test-')), [], 'its own folder is gone');
  return { ...done, report, failed: report.checks.filter(check => check.verdict === 'failed') };
}

/** The checks that failed are these alone, and the first one's line matches. */
function assertFails(result, check, detail) {
  assert.deepEqual([...new Set(result.failed.map(one => one.check))], [check], JSON.stringify(result.report, null, 1));
  assert.match(result.failed[0].detail, detail);
  assert.equal(result.code, 1);
  assert.equal(result.report.passed, false);
}

const shipped = readdirSync(join(build, 'plugins')).filter(name => name.endsWith('.so'));

test('there are plugins to be held against the rules', () => assert.ok(shipped.length >= 11, shipped.join()));

for (const name of shipped)
  test(`${name} passes with the conf.d that is shipped`, t => {
    const { report, failed, code, stderr } = conformance(t, join(build, 'plugins', name), { args: ['-c', join(source, 'conf.d')] });
    assert.deepEqual(failed, []);
    assert.equal(code, 0, stderr);
    const made = report.checks.map(check => check.check);
    for (const check of ['loads', 'manifest', 'settings', 'routes', 'job', 'options', 'same-bytes', 'cancel', 'descriptors', 'memory', 'files', 'hostile', 'grants', 'workspace'])
      assert.ok(made.includes(check), `${check} was left out: ${made}`);
    assert.equal(report.checks.find(check => check.check === 'hostile').verdict, 'ok');
    for (const check of report.checks) assert.ok(check.detail.length > 10, JSON.stringify(check));
  });

test('most of them are done with the sample data, so that their output could be compared', t => {
  for (const name of ['export-json', 'export-pdf', 'export-docker', 'export-stackblitz', 'repo-build', 'repo-embed', 'repo-enrich', 'repo-template']) {
    const { report } = conformance(t, join(build, 'plugins', `${name}.so`), { args: ['-c', join(source, 'conf.d')] });
    assert.equal(report.checks.find(check => check.check === 'same-bytes').verdict, 'ok', name);
  }
});

const cases = [
  ['schema-open', 'options', /additionalProperties/],
  ['manifest', 'manifest', /summary is missing/],
  ['descriptors', 'descriptors', /\d+ more are open after \d+ more jobs/],
  ['memory', 'memory', /it grew by \d+ KB/, { sanitizer: 'AddressSanitizer keeps freed memory, so that memory is not judged' }],
  ['trusting', 'hostile', /a repro of id, title and test alone: .*(crashed|ended its process)/],
  ['greedy', 'hostile', /10 MB of text: .*(crashed|ended its process)/],
  ['writer', 'workspace', /writes outside its workspace: open\("\/var\/tmp\/bad-writer\.txt"\)/, { watched: true }],
  ['artifact', 'workspace', /not in the job's workspace/],
  ['network', 'grants', /socket\(AF_INET\)/, { watched: true }],
  ['program', 'grants', /fork\(\)/, { watched: true }],
  ['clock', 'same-bytes', /"made_at" is another one/],
  ['litter', 'files', /bad-litter-test/],
  ['secret', 'job', /(crashed|ended its process)/],
];

for (const [name, check, detail, needs = {}] of cases)
  test(`bad-${name} fails by its line "${check}"`, { skip: sanitized && needs.sanitizer }, t => {
    const result = conformance(t, bad(name));
    const watched = result.report.checks.find(one => one.check === 'watched');
    if (needs.watched && watched) return t.skip(watched.detail);
    assertFails(result, check, detail);
  });

test('a plugin that never asks whether it is cancelled fails by that line', t => {
  const result = conformance(t, bad('deaf'), { conf: { 'deaf.conf': '[plugin bad-deaf]\ngrace = 300ms\n' } });
  assertFails(result, 'cancel', /whole grace of 0.3 s, and was killed/);
});

test('a plugin that fails without a reason is told how to give one', t => {
  const { failed } = conformance(t, bad('mute'));
  assert.equal(failed[0].check, 'job');
  assert.match(failed[0].detail, /gives no reason; end with return exportd_fail/);
});

test('what can not be loaded fails by the cause that the loader found', t => {
  for (const [name, cause] of [['no-block', /exports no exportd_plugin_block/], ['abi-too-new', /built for plugin ABI 2/], ['crash-on-load', /crashed|ended/], ['missing-dependency', /library that it needs is missing/]])
    assertFails(conformance(t, join(build, 'broken-plugins', `${name}.so`)), 'loads', cause);
  assertFails(conformance(t, join(build, 'broken-plugins', 'bad-schema.so')), 'manifest', /schema/);
});

test('a route that another plugin has is taken', t => {
  const folder = temporaryFolder(t);
  assertFails(conformance(t, bad('route'), { env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, ['noop']) } }), 'routes', /clashes with "noop" of .*noop\.so/);
});

test('a mistake in its section of conf.d is a failure that names the line', t => {
  const result = conformance(t, join(build, 'plugins', 'export-json.so'), { conf: { 'x.conf': '[plugin export-json]\nno_such_key = 1\n' } });
  assertFails(result, 'settings', /no_such_key/);
});

test('a person reads one line a check, and a summary', t => {
  const { code, stdout } = run(['test', join(build, 'plugins', 'export-json.so')], { env: { EXPORTD_HOST_PLUGINS: pluginFolder(temporaryFolder(t), []) } });
  assert.equal(code, 0);
  const lines = stdout.trimEnd().split('\n');
  assert.match(lines.at(-1), /^export-json: \d+ ok, 0 failed, \d+ skipped$/);
  for (const line of lines.slice(0, -2)) assert.match(line, /^(ok|skipped) {2,}[a-z-]+ +\S/);
});

test('who is not root gets the same checks', { skip: process.getuid() !== 0 && 'only root can become another user' }, t => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  chownSync(folder, 65534, 65534);
  for (const name of ['exportd', 'exportd-worker', 'exportd-watch', 'plugins/export-json.so', 'test-plugins/bad-descriptors.so', 'test-plugins/bad-writer.so'])
    for (const to of [join(folder, name.split('/').at(-1))]) { copyFileSync(join(build, name), to); chmodSync(to, 0o755); chownSync(to, 65534, 65534); }
  const as = file => {
    const done = spawnSync(join(folder, 'exportd'), ['test', join(folder, file), '--json'], { uid: 65534, gid: 65534, cwd: folder, encoding: 'utf8', timeout: 120_000,
      env: { PATH: process.env.PATH, TMPDIR: folder, EXPORTD_HOST_PLUGINS: '/nonexistent' } });
    assert.ok(done.stdout, done.stderr);
    return JSON.parse(done.stdout);
  };
  const good = as('export-json.so');
  assert.equal(good.failed, 0, JSON.stringify(good));
  const watched = good.checks.find(check => check.check === 'watched');
  if (watched) return t.skip(watched.detail);
  assert.equal(good.checks.find(check => check.check === 'descriptors').verdict, 'ok');
  assert.deepEqual(as('bad-descriptors.so').checks.filter(check => check.verdict === 'failed').map(check => check.check), ['descriptors']);
  assert.deepEqual(as('bad-writer.so').checks.filter(check => check.verdict === 'failed').map(check => check.check), ['workspace']);
});

test('Ctrl-C ends a run soon, says so and leaves nothing behind', async t => {
  const folder = temporaryFolder(t);
  const child = spawn(exportd, ['test', join(build, 'plugins', 'export-docker.so')], { env: { ...ownEnvironment(), TMPDIR: folder, EXPORTD_HOST_PLUGINS: pluginFolder(folder, []) }, stdio: ['ignore', 'pipe', 'inherit'] });
  afterwards(t, () => child.kill('SIGKILL'));
  let out = '';
  child.stdout.on('data', chunk => { out += chunk; });
  const ended = new Promise(done => child.on('close', (code, signal) => done({ code, signal })));
  await until(() => /^ok +same-bytes/m.test(out), 'the check before the jobs in a row');
  await new Promise(done => setTimeout(done, 200)); // they run
  child.kill('SIGINT');
  assert.deepEqual(await ended, { code: 1, signal: null }, out);
  assert.match(out, /^FAILED +interrupted +the run was interrupted/m);
  assert.doesNotMatch(out, /^\S+ +(hostile|grants)/m);
  assert.deepEqual(readdirSync(folder), ['plugins']);
});

test('--input runs one job and shows its log, progress and result', t => {
  const repro = join(source, 'tests/data/search-4711.json');
  const plain = run(['test', join(build, 'plugins', 'export-json.so'), '--input', repro]);
  assert.equal(plain.code, 0, plain.stderr);
  assert.match(JSON.parse(plain.stdout).file, /^report-.*\.json$/);
  assert.match(plain.stderr, /^ *\d+ % +\S/m);
  assert.match(plain.stderr, /^artifact report-\S+\.json, \d+ bytes, application\/json, sha256 [0-9a-f]{64}$/m);
  assert.match(plain.stderr, /^done in \d+ ms$/m);
  const { code, stderr } = run(['test', join(build, 'plugins', 'export-json.so'), '--input', repro, '--option', 'no-such=1']);
  assert.equal(code, 2);
  assert.match(stderr, /no-such/);
});

test('--input: a job that fails says so with its code, and ends with 1', t => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'in.json'), '{}');
  const { code, stderr } = run(['test', join(build, 'test-plugins', 'misbehave.so'), '--input', join(folder, 'in.json'), '--route', 'refuse']);
  assert.equal(code, 1);
  assert.match(stderr, /refused: it never works/);
  const crash = run(['test', join(build, 'test-plugins', 'misbehave.so'), '--input', join(folder, 'in.json'), '--route', 'segfault']);
  assert.equal(crash.code, 1);
  assert.match(crash.stderr, /worker_(crashed|exited)/);
});

test('wrong use ends with 2 and says what is wrong', t => {
  const so = join(build, 'plugins', 'export-json.so');
  for (const [args, message] of [[['test'], /name one plugin's \.so file/], [['test', '/no/such.so'], /No such file/], [['test', so, '--gdb'], /give --input FILE/],
    [['test', so, '--gdb', '--valgrind', '--input', '-'], /not both/], [['test', so, '--nonsense'], /nonsense/], [['test', so, '--input', '/no/such.json'], /No such file/],
    [['test', join(build, 'test-plugins', 'misbehave.so'), '--input', '-'], /several routes/]]) {
    const { code, stderr } = run(args, { input: '{}' });
    assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
    assert.match(stderr, message);
  }
});

test('--valgrind runs the job under valgrind and says what that gives up', { skip: (!existsSync('/usr/bin/valgrind') && 'valgrind is not installed') || (sanitized && 'valgrind and AddressSanitizer do not go together') }, t => {
  const folder = temporaryFolder(t);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'in.json'), '{}');
  const { code, stdout, stderr } = run(['test', bad('memory'), '--input', join(folder, 'in.json'), '--valgrind']);
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), {});
  assert.match(stderr, /under valgrind the worker has no sandbox/);
  assert.match(stderr, /HEAP SUMMARY/);
});

test('--gdb stops where the plugin crashes', { skip: (!existsSync('/usr/bin/gdb') && 'gdb is not installed') || (sanitized && 'gdb and AddressSanitizer do not go together') }, t => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'in.json'), '{}');
  const { code, stdout, stderr } = run(['test', join(build, 'test-plugins', 'misbehave.so'), '--route', 'segfault', '--input', join(folder, 'in.json'), '--gdb'], { input: 'run\nbacktrace\nquit\n' });
  if (/Cannot (?:PTRACE|trace)|ptrace: Operation not permitted/i.test(stdout + stderr)) return t.skip('ptrace is not allowed here');
  assert.equal(code, 1, stderr);
  assert.match(stdout, /#0 .*segfault \(job=/);
  assert.match(stderr, /under gdb the worker has no sandbox/);
});

for (const [name, abi] of [['abi-1-0', [1, 0]], ['abi-1-1', [1, 1]], ['abi-1-2', [1, 2]]])
  test(`a plugin built with the frozen header of ABI ${abi.join('.')} loads, runs and passes today`, t => {
    const folder = temporaryFolder(t);
    const plugins = pluginFolder(folder, [name]);
    const conf = confFolder(folder, { 'frozen.conf': `[plugin ${name}]\nwidth = 132\nsecrets = FROZEN_SECRET\n` });
    const env = { EXPORTD_HOST_PLUGINS: plugins, FROZEN_SECRET: 'open sesame' };
    const seen = run(['inspect', '--json', join(plugins, `${name}.so`)], { env });
    assert.deepEqual(JSON.parse(seen.stdout).plugins?.[0]?.abi ?? JSON.parse(seen.stdout).abi, abi, seen.stdout);
    const out = join(folder, 'out');
    const done = run(['run', name, '-c', conf, '-o', out], { env });
    assert.equal(done.code, 0, done.stderr);
    const { artifacts, ...result } = JSON.parse(done.stdout);
    assert.deepEqual(result, { starts: 1, cancelled: false, width: 132, none: null, secret: 'open sesame', cached: false });
    assert.equal(artifacts[0].name, 'note.txt');
    assert.equal(readFileSync(join(out, 'note.txt'), 'utf8'), `written by ${name}\n`);
    assert.match(done.stderr, new RegExp(`job \\S+ on ${name}, attempt 1`));
    const failed = run(['run', name, '-c', conf, '--option', 'mode=fail'], { env });
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /asked_for: the request asked for a failure/);
    const again = run(['run', `${name}-again/second`, '-c', conf], { env });
    assert.deepEqual(JSON.parse(again.stdout), { route: `${name}-again/second` });
    assert.deepEqual(conformance(t, join(plugins, `${name}.so`)).failed, []);
  });
