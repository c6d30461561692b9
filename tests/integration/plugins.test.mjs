// Plugins that can't be loaded: each kind has its own message, and none stops the others.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, run, temporaryFolder, Host } from '../support/host.mjs';

function folderWith(t, names) {
  const folder = join(temporaryFolder(t), 'plugins');
  mkdirSync(folder, { mode: 0o755 });
  for (const name of names) {
    const broken = join(build, 'broken-plugins', `${name}.so`);
    copyFileSync(readdirSync(join(build, 'broken-plugins')).includes(`${name}.so`) ? broken : join(build, 'test-plugins', `${name}.so`), join(folder, `${name}.so`));
    chmodSync(join(folder, `${name}.so`), 0o755);
  }
  return folder;
}

function list(folder) {
  const { stdout, stderr, code } = run(['plugins', '--json'], { env: { EXPORTD_HOST_PLUGINS: folder } });
  assert.ok(stdout, stderr);
  return { ...JSON.parse(stdout), code };
}

function failure(t, prepare, names = ['noop']) {
  const folder = folderWith(t, names);
  prepare?.(folder);
  const { plugins, failures } = list(folder);
  assert.ok(plugins.some(plugin => plugin.name === 'noop'), 'the good plugin beside it works');
  assert.equal(failures.length, 1, JSON.stringify(failures));
  return failures[0];
}

const noop = () => readFileSync(join(build, 'test-plugins', 'noop.so'));

const cases = [
  ['a dangling link', 'plugin_missing', /No such file/, folder => symlinkSync('/nowhere.so', join(folder, 'x.so'))],
  ['a folder', 'plugin_missing', /not a regular file/, folder => mkdirSync(join(folder, 'x.so'))],
  ['a text file', 'plugin_not_shared_object', /no ELF header/, folder => writeFileSync(join(folder, 'x.so'), 'hello, this is text and no library\n', { mode: 0o755 })],
  ['an empty file', 'plugin_not_shared_object', /no ELF header/, folder => writeFileSync(join(folder, 'x.so'), '', { mode: 0o755 })],
  ['a program', 'plugin_not_shared_object', /not a shared object/, folder => {
    const bytes = noop();
    bytes.writeUInt16LE(2, 16); // ET_EXEC
    writeFileSync(join(folder, 'x.so'), bytes, { mode: 0o755 });
  }],
  ['another architecture', 'plugin_architecture', /made for AArch64, and this host runs on x86-64/, folder => {
    const bytes = noop();
    bytes.writeUInt16LE(183, 18); // EM_AARCH64
    writeFileSync(join(folder, 'x.so'), bytes, { mode: 0o755 });
  }],
  ['half a file', 'plugin_not_shared_object', /cut short: 4000 bytes/, folder => writeFileSync(join(folder, 'x.so'), noop().subarray(0, 4000), { mode: 0o755 })],
  ['a file that anyone may write', 'plugin_writable', /written by anyone \(mode 0757\); run: chmod o-w/, folder => {
    writeFileSync(join(folder, 'x.so'), noop());
    chmodSync(join(folder, 'x.so'), 0o757);
  }],
];
for (const [what, code, message, prepare] of cases) {
  test(`${what}: ${code}`, { skip: code === 'plugin_architecture' && process.arch !== 'x64' && 'x86-64 only' }, t => {
    const found = failure(t, prepare);
    assert.equal(found.code, code, found.error);
    assert.match(found.error, message);
    assert.ok(found.error.includes(found.file) || found.error.includes('x.so'), found.error);
  });
}

const built = [
  ['missing-dependency', 'plugin_dependency_missing', /libexportd-test-dependency\.so/],
  ['undefined-symbol', 'plugin_symbol_undefined', /exportd_nobody_defines_this/],
  ['no-block', 'plugin_no_block', /EXPORTD_PLUGIN/],
  ['bad-magic', 'plugin_no_block', /magic word/],
  ['abi-too-new', 'plugin_abi_too_new', /ABI 2\.0, and this host speaks 1\.3/],
  ['abi-minor-too-new', 'plugin_abi_too_new', /ABI 1\.4, and this host speaks 1\.3/],
  ['abi-too-old', 'plugin_abi_too_old', /ABI 0\.9, and this host speaks 1\.3/],
  ['crash-on-load', 'worker_crashed', /SIGSEGV.*while it was loaded/],
  ['exit-on-load', 'worker_exited', /exit code 7 while it was loaded/],
  ['bad-schema', 'plugin_invalid', /keyword "patternX"/],
];
for (const [name, code, message] of built) {
  test(`${name}: ${code}`, t => {
    const found = failure(t, null, ['noop', name]);
    assert.equal(found.code, code, found.error);
    assert.match(found.error, message);
    assert.ok(found.file.endsWith(`${name}.so`));
  });
}

test('two plugins with one name: both paths are named', t => {
  const found = failure(t, null, ['noop', 'same-name']);
  assert.equal(found.code, 'plugin_name_taken');
  assert.match(found.error, /same-name\.so: it calls itself "noop", and so does .*\/noop\.so/);
});

test('two plugins with one route: both paths are named', t => {
  const found = failure(t, null, ['noop', 'same-route']);
  assert.equal(found.code, 'plugin_route_taken');
  assert.match(found.error, /same-route\.so: its route "noop" clashes with "noop" of .*\/noop\.so/);
});

test('a folder that anyone may write: nothing in it is loaded', t => {
  const folder = folderWith(t, ['noop']);
  chmodSync(folder, 0o777);
  const { plugins, failures } = list(folder);
  assert.equal(plugins.length, 0);
  assert.equal(failures[0].code, 'plugin_writable');
  assert.match(failures[0].error, /the folder may be written by anyone/);
});

test('all of them together leave the good ones, and the host starts', async t => {
  const names = readdirSync(join(build, 'broken-plugins')).filter(name => name.endsWith('.so')).map(name => name.slice(0, -3));
  const folder = folderWith(t, ['misbehave', 'noop', ...names]);
  const host = await new Host(t, { plugins: folder }).start();
  const { json } = await host.get('/plugins');
  const good = json.plugins.map(plugin => plugin.name);
  assert.ok(good.includes('noop') && good.includes('misbehave') && good.includes('init-fails'), String(good));
  assert.equal(json.failures.length, names.length - 1);
  assert.equal((await host.runJob({ task: 'noop' })).status, 'completed');
  const job = await host.runJob({ task: 'init-fails', maxAttempts: 1 });
  assert.equal(job.status, 'failed');
  assert.equal(job.errorCode, 'no_fonts');
  assert.match(job.error, /install some/);
  const { stderr } = run(['plugins'], { env: { EXPORTD_HOST_PLUGINS: folder } });
  for (const name of names.filter(n => n !== 'init-fails')) assert.ok(stderr.includes(name), `${name} is named`);
  rmSync(join(folder, 'noop.so'));
});

test('inspect shows routes, options with types and defaults, grants and file', t => {
  for (const plugin of ['export-pdf', 'export-json', 'export-docker']) {
    const { stdout, code, stderr } = run(['inspect', plugin]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^export-/);
    assert.match(stdout, /\.so/);
    assert.match(stdout, /granted +network no, exec no/);
    assert.match(stdout, /options:/);
    const { stdout: text } = run(['inspect', plugin, '--json']);
    const object = JSON.parse(text);
    for (const route of object.routes)
      for (const [name, schema] of Object.entries(route.options.properties))
        assert.ok(schema.const !== undefined || (schema.type && schema.description), `${plugin} ${route.route} ${name} is documented`);
  }
});

test('a folder that is named relative to where one stands', t => {
  const folder = folderWith(t, ['noop']);
  const { code, stdout, stderr } = run(['run', 'noop'], { env: { EXPORTD_HOST_PLUGINS: 'plugins' }, cwd: join(folder, '..') });
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), {});
});
