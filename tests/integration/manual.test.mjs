// The manual: what it says of commands, settings and plugins is what the program says, and man shows it without a complaint.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build, ownEnvironment, run, source, temporaryFolder } from '../support/host.mjs';

const pages = ['man1', 'man5', 'man7'].flatMap(folder => readdirSync(join(build, 'man', folder)).map(name => join(build, 'man', folder, name)));
const page = name => readFileSync(pages.find(path => basename(path) === name), 'utf8');
const shipped = readdirSync(join(source, 'plugins')).filter(name => existsSync(join(source, 'plugins', name, 'CMakeLists.txt'))).sort();
const installed = program => spawnSync('which', [program]).status === 0;

function makeManual(...args) {
  const done = spawnSync(join(build, 'make-manual'), args, { encoding: 'utf8', env: ownEnvironment() });
  return { code: done.status, stdout: done.stdout, stderr: done.stderr };
}

/** A page as a terminal shows it: one line a paragraph, without the breaks of words. */
function shown(name) {
  const done = spawnSync('mandoc', ['-Tutf8', '-O', 'width=1000', pages.find(path => basename(path) === name)], { encoding: 'utf8' });
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.replace(/.\x08/g, '');
}

const noMandoc = !installed('mandoc') && 'mandoc is not installed (apt-get install mandoc)';

test('there is a page for the program, its settings, the making of plugins, and each plugin', () => {
  assert.deepEqual(pages.map(path => basename(path)).sort(), ['exportd.1', 'exportd.conf.5', 'exportd-plugin.7', ...shipped.map(name => `exportd-plugin-${name}.7`)].sort());
});

test('mandoc and groff find nothing to warn of', { skip: noMandoc }, () => {
  for (const path of pages) {
    const lint = spawnSync('mandoc', ['-Tlint', path], { encoding: 'utf8' });
    // Which other pages this machine has is not the page's fault.
    const complaints = (lint.stdout + lint.stderr).split('\n').filter(line => line && !/referenced manual not found|mandoc\.db/.test(line));
    assert.deepEqual(complaints, [], path);
    if (!installed('groff')) continue;
    const groff = spawnSync('groff', ['-ww', '-mdoc', '-Tutf8', '-z', path], { encoding: 'utf8' });
    assert.equal(groff.stderr, '', path);
  }
});

/** exportd(1)'s COMMANDS: what it says below each command's name. */
function commandsOfPage() {
  const text = page('exportd.1');
  const commands = new Map();
  let current;
  for (const line of text.slice(text.indexOf('.Sh COMMANDS'), text.indexOf('.Sh SIGNALS')).split('\n')) {
    const head = /^\.It Ic ([a-z]+)/.exec(line);
    if (head) current = head[1];
    if (current) commands.set(current, `${commands.get(current) ?? ''}${line}\n`);
  }
  return commands;
}

/** The options that a text of mdoc names, as they are typed. */
const optionsOf = text => new Set([...text.matchAll(/\bFl ([-a-z]+)/g)].map(([, name]) => `-${name}`));

test('exportd(1) has every command and every option that the program names, and no others', () => {
  const help = run(['-h']).stdout;
  const commands = [...help.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map(([, name]) => name);
  assert.ok(commands.length >= 13, help);
  const described = commandsOfPage();
  assert.deepEqual([...described.keys()].sort(), [...commands].sort());
  for (const command of commands) {
    const usage = run([command, '-h']);
    assert.equal(usage.code, 0, usage.stderr);
    const named = new Set(usage.stdout.match(/(?<=[[ |(])--?[a-z]+\b/g) ?? []);
    const written = optionsOf(described.get(command));
    for (const option of named) assert.ok(written.has(option), `exportd(1) does not say ${option} of exportd ${command}`);
    for (const option of written) {
      // --output is the long form of -o; what else the page says the program has to take.
      if (named.has(option)) continue;
      const taken = run([command, option]);
      assert.doesNotMatch(taken.stderr, /there is no option|doesn't take/, `exportd ${command} ${option}`);
    }
  }
});

/** {section: [{key, type, text}]} of exportd.conf(5), as it is shown. */
function settingsOfPage() {
  const sections = {};
  let section, entry;
  const text = shown('exportd.conf.5');
  for (const line of text.slice(text.indexOf('\nSETTINGS\n'), text.indexOf('\nRELOAD\n')).split('\n')) {
    const head = /^ {3}\[([a-z0-9]+)/.exec(line), item = /^ {5}([a-z0-9_]+) = (\S.*)$/.exec(line);
    if (head) sections[section = head[1]] = [];
    else if (item && section) sections[section].push(entry = { key: item[1], type: item[2], text: '' });
    else if (entry && /^ {6,}\S/.test(line)) entry.text += `${entry.text ? ' ' : ''}${line.trim()}`;
  }
  return sections;
}

/** The settings of a file of conf.d: {key, comment, value, set}. */
function settingsOfFile(text) {
  const settings = [];
  let comment = [];
  for (const line of text.split('\n')) {
    const setting = /^(# )?([a-z0-9_]+) =(?: (.*))?$/.exec(line);
    if (setting) settings.push({ key: setting[2], comment: comment.join(' '), value: setting[3] ?? '', set: !setting[1] });
    comment = !setting && line.startsWith('# ') ? [...comment, line.slice(2)] : [];
  }
  return settings;
}

const plain = text => text.replace(/ {2,}/g, ' ');

test('exportd.conf(5) says of each setting what its file in conf.d says', { skip: noMandoc }, () => {
  const sections = settingsOfPage();
  for (const name of ['host', 'http', 'jobs', 'store', 'nats', 'redis', 's3', 'repros', 'webhook', 'upstream', 'worker']) {
    const file = settingsOfFile(readFileSync(join(source, 'conf.d', `${name}.conf`), 'utf8'));
    assert.ok(file.length >= 3, name);
    assert.deepEqual(sections[name]?.map(({ key }) => key), file.map(({ key }) => key), name);
    for (const [at, { key, comment, value }] of file.entries()) {
      const said = plain(sections[name][at].text);
      assert.ok(said.startsWith(comment), `[${name}] ${key}: ${said}\n${comment}`);
      if (value) assert.ok(said.includes(`Default: ‘${value}’.`), `[${name}] ${key}: ${said}`);
    }
  }
});

test('exportd.conf(5) says which settings wait for the next start', { skip: noMandoc }, () => {
  const waiting = (section, key) => settingsOfPage()[section].find(setting => setting.key === key).text.endsWith('A change takes effect at the next start.');
  for (const [section, key] of [['host', 'state'], ['http', 'listen'], ['nats', 'url'], ['store', 'lease']]) assert.ok(waiting(section, key), key);
  for (const [section, key] of [['host', 'log_level'], ['http', 'token'], ['worker', 'memory']]) assert.ok(!waiting(section, key), key);
});

/** EXPORTD_INTEGER, _BOOLEAN, _DURATION and _SIZE. */
const isNumber = option => option.type >= 1 && option.type <= 4;

test("each plugin's file in conf.d says what its manifest says", () => {
  const shared = settingsOfFile(readFileSync(join(source, 'conf.d/worker.conf'), 'utf8'));
  for (const name of shipped) {
    const manifest = JSON.parse(run(['inspect', '--json', join(build, 'plugins', `${name}.so`)]).stdout);
    const file = settingsOfFile(readFileSync(join(source, 'conf.d', `${name}.conf`), 'utf8'));
    assert.deepEqual(file.map(({ key }) => key), [...shared, ...manifest.settings.map(setting => ({ key: setting.name }))].map(({ key }) => key), name);
    for (const [at, { comment, key, value, set }] of file.entries()) {
      if (at < shared.length) {
        assert.ok(comment === shared[at].comment || comment.startsWith(`${shared[at].comment} `), `${name} ${key}: ${comment}`);
        assert.ok(set || value === shared[at].value, `${name} ${key} = ${value}`);
      } else {
        const option = manifest.settings[at - shared.length];
        assert.equal(comment, `${option.help.replace(/\.$/, '')}.`, `${name} ${key}`);
        // A number can't be empty: where it has no default the file shows an example.
        if (option.default === null && isNumber(option)) assert.match(value, /^\d/, `${name} ${key}`);
        else assert.equal(value, option.default ?? '', `${name} ${key}`);
      }
    }
  }
});

test('make-manual conf writes what conf.d holds', () => {
  for (const name of readdirSync(join(source, 'conf.d')).map(file => basename(file, '.conf'))) {
    if (['routes', 'pipelines', 'secrets'].includes(name)) continue;
    const { code, stdout, stderr } = makeManual('conf', shipped.includes(name) ? join(build, 'plugins', `${name}.so`) : name);
    assert.equal(code, 0, stderr);
    const text = readFileSync(join(source, 'conf.d', `${name}.conf`), 'utf8');
    // A plugin's file sets some of what every plugin has, and may say more of it; all else is the same line for line.
    if (!shipped.includes(name)) assert.equal(text.slice(text.indexOf('\n[') + 1), stdout, name);
    else assert.deepEqual(settingsOfFile(text).slice(14).map(({ key, comment }) => [key, comment]), settingsOfFile(stdout).slice(14).map(({ key, comment }) => [key, comment]), name);
  }
});

test("a plugin's page has its routes, their options, its settings and what it asks for", { skip: noMandoc }, () => {
  for (const name of shipped) {
    const manifest = JSON.parse(run(['inspect', '--json', join(build, 'plugins', `${name}.so`)]).stdout);
    const text = plain(shown(`exportd-plugin-${name}.7`));
    assert.match(text, new RegExp(`exportd-plugin-${name} – ${manifest.summary.slice(0, 10)}`));
    for (const { route, options } of manifest.routes) {
      assert.ok(text.includes(`The route ${route}\n`), `${name} ${route}`);
      for (const [option, schema] of Object.entries(options.properties ?? {}))
        if (schema.const === undefined) {
          assert.ok(text.includes(`\n ${option}: ${schema.type ?? 'value'}\n`), `${name} ${option}`);
          if (schema.description) assert.ok(text.includes(schema.description), `${name} ${option}: ${schema.description}`);
        }
    }
    for (const setting of manifest.settings) {
      assert.match(text, new RegExp(`\n ${setting.name} = (text|integer|yes/no|duration|size|path)\n`), `${name} ${setting.name}`);
      assert.ok(text.includes(setting.help), `${name} ${setting.name}: ${setting.help}`);
    }
    for (const asked of [...manifest.grants, ...manifest.secrets]) assert.ok(text.includes(`‘${asked}’`), `${name} ${asked}`);
  }
});

test('exportd-plugin(7) names every call and every word of the interface, and its example is a plugin', { skip: noMandoc || (!installed('cc') && 'cc is not installed') }, t => {
  const header = readFileSync(join(source, 'sdk/include/exportd/plugin.h'), 'utf8'), text = page('exportd-plugin.7');
  const calls = new Set([...header.matchAll(/^static inline .*?\b(exportd_[a-z_]+)\(/gm)].map(([, name]) => name));
  assert.ok(calls.size >= 12, [...calls].join());
  for (const call of calls) assert.ok(text.includes(`.It Fn ${call} `), call);
  const table = /^struct exportd_plugin \{([\s\S]*?)^\};/m.exec(header)[1].replace(/\/\*[\s\S]*?\*\//g, '');
  const members = [...table.matchAll(/\(\*([a-z]+)\)\(|\b([a-z]+);/g)].map(([, call, member]) => call ?? member);
  assert.ok(members.length >= 10 && members.includes('init') && members.includes('grants'), members.join());
  for (const member of members) assert.match(text, new RegExp(`^\\.It .*\\b${member}\\b`, 'm'), member);
  for (const word of header.match(/\bEXPORTD_(?:GRANT_[A-Z]+|NEEDS_REPRO|OK|RETRY|FAIL)\b/g)) assert.ok(text.includes(word), word);
  const folder = temporaryFolder(t);
  const code = /^\.Bd -literal -offset indent\n(#include <exportd\/plugin\.h>[\s\S]*?)^\.Ed/m.exec(text)[1];
  writeFileSync(join(folder, 'hello.c'), `${code.replace(/\\e/g, '\\')}`);
  const made = spawnSync('cc', ['-std=c11', '-Wall', '-Wextra', '-Werror', '-Wno-unused-parameter', '-shared', '-fPIC', '-I', join(source, 'sdk/include'), 'hello.c', '-o', 'hello.so', '-Wl,-z,defs', '-ljansson'], { cwd: folder, encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  const done = run(['test', join(folder, 'hello.so'), '--input', '-'], { cwd: folder, input: '{}' });
  assert.equal(done.code, 0, done.stdout + done.stderr);
  assert.match(done.stdout + done.stderr, /"greeting": ?"hello"/);
});

test('make-manual says what is wrong with a template, a section and a plugin, and does not go on', t => {
  const folder = temporaryFolder(t);
  const template = join(folder, 'template');
  writeFileSync(template, '.Dd today\n@SECTION host@\n');
  const short = makeManual('settings', template);
  assert.equal(short.code, 1);
  assert.match(short.stderr, /names sections with 7 of the table's \d+ settings/);
  writeFileSync(template, '@SECTION hosts@\n');
  assert.match(makeManual('settings', template).stderr, /has no section hosts/);
  assert.equal(makeManual('settings', join(folder, 'none')).code, 1);
  assert.match(makeManual('conf', 'hosts').stderr, /has no section "hosts"/);
  const lost = makeManual('plugin', join(folder, 'none.so'));
  assert.equal(lost.code, 1);
  assert.match(lost.stderr, /none\.so: .*No such file/);
  assert.equal(makeManual().code, 2);
});

test('the pages are the same whatever the environment says', () => {
  const again = spawnSync(join(build, 'make-manual'), ['settings', join(source, 'packaging/manual/exportd.conf.5.in')], { encoding: 'utf8', env: { ...ownEnvironment(), EXPORTD_HTTP_LISTEN: 'nonsense', LC_ALL: 'C' } });
  assert.equal(again.stdout, page('exportd.conf.5'));
  const plugin = spawnSync(join(build, 'make-manual'), ['plugin', join(build, 'plugins/export-json.so')], { encoding: 'utf8', env: { ...ownEnvironment(), EXPORTD_HTTP_LISTEN: 'nonsense', LC_ALL: 'C' } });
  assert.equal(plugin.stdout, page('exportd-plugin-export-json.7'));
});
