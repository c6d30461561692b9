// enrich-repo: what the document says against what git, npm's packages and GitHub's published example say, from a real Git server; hostile repositories.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import http from 'node:http';
import { afterwards, patience, source, startHost, until } from '../support/host.mjs';
import { git, startGit } from '../support/git.mjs';
import { startGitHub, startPrism } from '../support/github.mjs';

const require = createRequire(join(source, 'tests/package.json'));
const Ajv = require('ajv/dist/2020').default;
const schema = JSON.parse(readFileSync(join(source, 'plugins/repo-enrich/enrichment.schema.json'), 'utf8'));
const isEnrichment = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema);
const TOKEN = 'ghp_never-to-be-seen-77d0';

const peek = '[plugin peek]\nexec = yes\n';
const conf = (lines = '', clone = '') => ({
  'plugin.conf': `[plugin repo-clone]\nnetwork = yes\ncache = git\nschemes = http\nallow = 127.0.0.0/8\n${clone}\n[plugin repo-enrich]\nmemory = 512M\ncache = git\n${lines}\n${peek}`,
  'pipelines.conf': '[pipeline enrich-and-look]\nsteps = acquire-user-repo, enrich-repo, peek\n',
  'jobs.conf': '[jobs]\nbackoff = 20ms\nbackoff_max = 100ms\nmax_attempts = 2\n',
});
const start = (t, lines, clone, env = {}) => startHost(t, { plugins: ['repo-clone', 'repo-enrich', 'peek'], conf: conf(lines, clone), env });
const addressOf = (server, name) => `${server.url}/${name}.git`;

/** Checks a document against the published schema. */
function valid(document) {
  assert.ok(isEnrichment(document), JSON.stringify(isEnrichment.errors?.slice(0, 5), null, 1));
  return document;
}

/** Enriches; returns the document of the artifact, checked, and the job's result. */
async function enrich(host, data) {
  const job = await host.runJob({ task: 'enrich-repo', data });
  assert.equal(job.status, 'completed', job.error);
  const { artifacts, ...result } = job.result;
  const artifact = artifacts.find(({ name }) => name === 'enrichment.json');
  const text = await (await fetch(artifact.url)).text();
  const document = valid(JSON.parse(text));
  if (!result.trimmed) assert.deepEqual(result, document);
  return { document, result, text };
}

/** A repository by git fast-import: commits [{author, at, files, message}], times in seconds. */
function history(server, name, commits) {
  const bare = server.make(name, { files: {} });
  const data = content => { const bytes = Buffer.from(content); return Buffer.concat([Buffer.from(`data ${bytes.length}\n`), bytes, Buffer.from('\n')]); };
  const input = Buffer.concat(commits.flatMap(({ author, at, committed = at, zone = '+0000', files = {}, message = 'a change\n' }) => [
    Buffer.from(`commit refs/heads/main\nauthor ${author} ${at} ${zone}\ncommitter Somebody <somebody@example.org> ${committed} +0000\n`), data(message),
    ...Object.entries(files).flatMap(([path, content]) => typeof content === 'object' && content.link ? [Buffer.from(`M 120000 inline "${path}"\n`), data(content.link)] : [Buffer.from(`M 100644 inline ${path}\n`), data(content)])]));
  const done = spawnSync('git', ['fast-import', '--quiet', '--force'], { ...server.as, cwd: bare, input });
  if (done.status !== 0) throw new Error(done.stderr.toString());
  return bare;
}
const ada = 'Ada L <ada@example.org>';
const one = (server, name, files) => history(server, name, [{ author: ada, at: 1700000000, files }]);

/** This project's own repository, on the server; or a made one where the source is no checkout. */
function own(server) {
  const bare = server.path('own');
  execFileSync('mkdir', ['-p', join(server.folder, 'repos')]);
  if (!existsSync(join(source, '.git')) || spawnSync('git', ['-c', 'safe.directory=*', 'clone', '-q', '--bare', '--no-local', source, bare]).status !== 0)
    return history(server, 'own', Array.from({ length: 500 }, (_, i) => ({ author: `P${i % 7} <p${i % 7}@example.org>`, at: 1600000000 + i * 7777, files: { [`src/f${i % 90}.c`]: `int f${i};\n`.repeat(i) } })));
  execFileSync('chown', ['-R', `--reference=${server.folder}`, bare]);
  return bare;
}

describe('a real repository', () => {
  test('this project: files, languages, the largest files and the history are what git says; twice the same bytes', { timeout: 4 * patience }, async t => {
    const server = await startGit(t, { publicRead: true });
    const bare = own(server);
    const host = await start(t, 'emails = yes');
    const { document, text } = await enrich(host, { repo_url: addressOf(server, 'own') });
    const files = git(bare, 'ls-tree', '-r', '-l', '-z', 'HEAD').split('\0').filter(Boolean).map(line => /^(\d+) blob \w+ +(\d+)\t(.*)$/s.exec(line)).filter(found => found && found[1] !== '120000')
      .map(([, , size, path]) => ({ path, bytes: Number(size) }));
    assert.equal(document.repository.commit, git(bare, 'rev-parse', 'HEAD'));
    assert.equal(document.files.count, files.length);
    assert.equal(document.files.bytes, files.reduce((sum, { bytes }) => sum + bytes, 0));
    const largest = [...files].sort((a, b) => b.bytes - a.bytes).slice(0, 10);
    assert.deepEqual(document.files.largest.map(({ bytes }) => bytes), largest.map(({ bytes }) => bytes));
    for (const { path, bytes } of document.files.largest) assert.equal(files.find(file => file.path === path).bytes, bytes);
    const sum = ending => files.filter(({ path }) => ending.test(path) && !/^(docs|examples)\/|min\.js$|(^|\/)(third_party|vendor)\//.test(path));
    const c = document.languages.find(({ name }) => name === 'C');
    assert.deepEqual([c.files, c.bytes], [sum(/\.[ch]$/).length, sum(/\.[ch]$/).reduce((all, { bytes }) => all + bytes, 0)]);
    assert.ok(Math.abs(document.languages.reduce((all, { percent }) => all + percent, 0) - 100) < 1);
    const log = git(bare, 'log', '--format=%aE').split('\n').map(email => email.toLowerCase());
    const { history: told } = document;
    assert.equal(told.source, 'mirror');
    assert.equal(told.commits, log.length);
    assert.equal(told.last.commit, git(bare, 'rev-parse', 'HEAD'));
    assert.equal(told.contributors.count, new Set(log).size);
    for (const { email, commits } of told.contributors.list) assert.equal(commits, log.filter(one => one === email).length, email);
    assert.equal(told.weekdays.reduce((all, one) => all + one, 0), log.length);
    assert.equal((await enrich(host, { repo_url: addressOf(server, 'own') })).text, text);
  });

  test('npm packages: name, licence, dependencies and readme are theirs', { timeout: 4 * patience }, async t => {
    const licences = { ajv: 'MIT', 'ajv-formats': 'MIT', 'fast-deep-equal': 'MIT', semver: 'ISC', graceful: null, minimist: 'MIT', typescript: 'Apache-2.0', 'playwright-core': 'Apache-2.0', tslib: '0BSD', 'json-schema-traverse': 'MIT',
      nats: 'Apache-2.0', pg: 'MIT', redis: 'MIT', uuid: 'MIT', qs: 'BSD-3-Clause', 'js-yaml': 'MIT', argparse: null, 'fast-uri': 'NOASSERTION', shortid: 'NOASSERTION', lodash: 'NOASSERTION', bowser: 'NOASSERTION', 'graceful-fs': null,
      'safe-stable-stringify': 'MIT', split2: 'ISC', yaml: 'ISC', yargs: 'MIT', 'standardwebhooks': 'MIT', tweetnacl: 'Unlicense', sprintf: null, 'spdx-license-ids': null };
    const folder = join(source, 'tests/node_modules');
    const known = Object.entries(licences).filter(([name, spdx]) => spdx && existsSync(join(folder, name, 'package.json')) && readdirSync(join(folder, name)).some(file => /^(un)?licen[cs]e/i.test(file)));
    assert.ok(known.length >= 15, `only ${known.length} of the packages are installed`);
    const server = await startGit(t, { publicRead: true });
    const host = await start(t);
    const seen = [];
    for (const [name, spdx] of known) {
      const files = Object.fromEntries(readdirSync(join(folder, name), { withFileTypes: true }).filter(entry => entry.isFile() && /^(package\.json|readme.*|(un)?licen[cs]e.*)$/i.test(entry.name)).map(entry => [entry.name, readFileSync(join(folder, name, entry.name))]));
      one(server, name, files);
      const { document } = await enrich(host, { repo_url: addressOf(server, name), with_history: false });
      const manifest = JSON.parse(files['package.json']);
      seen.push([name, document.licence.spdx]);
      assert.equal(document.licence.declared, manifest.license ?? null);
      const [told] = document.manifests;
      assert.deepEqual([told.file, told.ecosystem, told.name, told.version, told.truncated], ['package.json', 'npm', manifest.name, manifest.version, false]);
      const wanted = [['dependencies', 'runtime'], ['devDependencies', 'development'], ['peerDependencies', 'peer'], ['optionalDependencies', 'optional']]
        .flatMap(([key, scope]) => Object.entries(manifest[key] ?? {}).map(([dependency, requirement]) => ({ name: dependency, requirement, scope })));
      assert.deepEqual(told.dependencies, wanted);
      const readme = Object.keys(files).find(file => /^readme/i.test(file));
      if (readme) {
        assert.equal(document.readme.file, readme);
        const plain = files[readme].toString().replaceAll(/[^\p{L}\p{N}]+/gu, ' ');
        for (const text of [document.readme.title, document.readme.summary].filter(Boolean))
          for (const word of text.split(/[^\p{L}\p{N}]+/u).filter(Boolean).slice(0, 4)) assert.ok(plain.includes(word), `${name}: ${word}`);
      }
    }
    assert.deepEqual(seen, known);
  });
});

describe('history', () => {
  const commits = [
    { author: 'Old Name <ada@old.example>', at: 1690000000, files: { 'a.c': 'int a;\n', '.mailmap': 'Ada L <ada@example.org> <ada@old.example>\n' } },
    { author: ada, at: 1695000000, zone: '+1300', files: { 'a.c': 'int b;\n' } },
    { author: 'ADA <ADA@example.org>', at: 1700000000, files: { 'a.c': 'int c;\n' } },
    { author: 'Bo <bo@example.org>', at: 1701000000, files: { 'b.c': 'int d;\n' } },
  ];

  test('contributors are told apart by their addresses, by .mailmap too, and the addresses stay out unless they are wanted', async t => {
    const server = await startGit(t, { publicRead: true });
    const bare = history(server, 'x', commits);
    const { document, text } = await enrich(await start(t), { repo_url: addressOf(server, 'x') });
    const { contributors, first, last, months, weekdays, truncated } = document.history;
    assert.deepEqual(contributors.list.map(({ name, commits: count }) => [name, count]), [['ADA', 3], ['Bo', 1]]);
    assert.equal(contributors.count, 2);
    assert.deepEqual([contributors.list[0].first, contributors.list[0].last], ['2023-07-22T04:26:40Z', '2023-11-14T22:13:20Z']);
    assert.deepEqual([first.commit, last.commit, truncated], [git(bare, 'rev-list', '--max-parents=0', 'main'), git(bare, 'rev-parse', 'main'), false]);
    assert.ok(!text.includes('@'), text);
    assert.equal(months.at(-1).month, '2023-11');
    assert.equal(months[0].month, '2022-12');
    assert.deepEqual(months.filter(({ commits: count }) => count).map(({ month, commits: count }) => [month, count]), [['2023-07', 1], ['2023-09', 1], ['2023-11', 2]]);
    const days = git(bare, 'log', '--format=%ad', '--date=format:%u', 'main').split('\n').map(Number);
    assert.deepEqual(weekdays, [1, 2, 3, 4, 5, 6, 7].map(day => days.filter(one => one === day).length));
    const told = await enrich(await start(t, 'emails = yes\nmax_contributors = 1'), { repo_url: addressOf(server, 'x') });
    assert.deepEqual([told.document.history.contributors.count, told.document.history.contributors.list.map(({ email }) => email)], [2, ['ada@example.org']]);
  });

  test('beside the files, where it was put; and none where none was fetched, with the way to it', async t => {
    const server = await startGit(t, { publicRead: true });
    history(server, 'x', commits);
    const host = await startHost(t, { plugins: ['repo-clone', 'repo-enrich'], conf: { 'plugin.conf': conf()['plugin.conf'].replace(/(repo-enrich\][^]*?)cache = git\n/, '$1').replace(peek, '') } });
    const repo_url = addressOf(server, 'x');
    const beside = await enrich(host, { repo_url, history: true });
    assert.deepEqual([beside.document.history.source, beside.document.history.commits], ['checkout', 4]);
    const none = await enrich(host, { repo_url });
    assert.equal(none.document.history, null);
    assert.match(none.document.notes[0], /no history.*cache = git.*history=true/);
    const unwanted = await enrich(host, { repo_url, history: true, with_history: false });
    assert.deepEqual([unwanted.document.history, unwanted.document.notes], [null, []]);
    const without = await enrich(await startHost(t, { plugins: ['repo-clone', 'repo-enrich'], conf: { 'plugin.conf': conf()['plugin.conf'].replaceAll('cache = git\n', '').replace(peek, '') } }), { repo_url });
    assert.deepEqual([without.document.history.source, without.document.history.commits], ['mirror', 4]);
  });

  test('is bounded by commits', async t => {
    const server = await startGit(t, { publicRead: true });
    history(server, 'x', Array.from({ length: 700 }, (_, i) => ({ author: `P${i % 3} <p${i % 3}@example.org>`, at: 1600000000 + i, files: { a: `${i}\n` } })));
    for (const [most, count, truncated] of [[500, 500, true], [700, 700, false]]) {
      const { document } = await enrich(await start(t, `max_commits = ${most}`), { repo_url: addressOf(server, 'x') });
      assert.deepEqual([document.history.commits, document.history.truncated, document.history.first === null], [count, truncated, truncated]);
    }
  });

  test('a mirror that somebody holds is waited for, and then done without', async t => {
    let tarball;
    const api = http.createServer((request, response) => { response.writeHead(200, { 'content-type': 'application/x-gzip' }); response.end(tarball); });
    await new Promise(done => api.listen(0, '127.0.0.1', done));
    afterwards(t, () => { api.close(); api.closeAllConnections(); });
    const server = await startGit(t, { publicRead: true, api: `http://127.0.0.1:${api.address().port}` });
    const bare = history(server, 'o/x', commits);
    tarball = execFileSync('git', ['-c', 'safe.directory=*', 'archive', '--format=tar.gz', '--prefix=x/', 'main'], { cwd: bare, env: { PATH: process.env.PATH, HOME: '/nonexistent', GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*' } });
    const host = await start(t, 'mirror_wait = 300ms', `gitea = ${server.url}`);
    const data = { repo_url: addressOf(server, 'o/x') };
    const none = (await enrich(host, { ...data, mode: 'archive' })).document;
    assert.deepEqual([none.history, /no history/.test(none.notes[0])], [null, true]);
    assert.equal((await enrich(host, data)).document.history.commits, 4);
    assert.equal((await enrich(host, { ...data, mode: 'archive' })).document.history.commits, 4, 'the mirror has the commit that came as a tarball');
    const mirrors = join(host.state, 'cache/git/mirrors');
    const lock = join(mirrors, readdirSync(mirrors).find(name => name.endsWith('.lock')));
    const holder = spawn('flock', [lock, 'sleep', '60'], { detached: true, stdio: 'ignore' });
    afterwards(t, () => process.kill(-holder.pid, 'SIGKILL'));
    await until(() => spawnSync('flock', ['-n', lock, 'true']).status !== 0, 'the lock');
    const busy = (await enrich(host, { ...data, mode: 'archive' })).document;
    assert.deepEqual([busy.history, /another job/.test(busy.notes[0])], [null, true]);
  });

  test('no mirror but the repository\'s own is read, and none is thrown out', async t => {
    const server = await startGit(t, { publicRead: true });
    for (const name of ['one', 'two', 'three']) history(server, name, commits.map(commit => ({ ...commit, author: `Of ${name} <${name}@example.org>` })));
    const host = await start(t, '', 'cache_size = 8G');
    for (const name of ['one', 'two', 'three']) {
      const { document } = await enrich(host, { repo_url: addressOf(server, name) });
      assert.deepEqual(document.history.contributors.list.map(one => one.name), [`Of ${name}`]);
    }
    const mirrors = join(host.state, 'cache/git/mirrors');
    assert.equal(readdirSync(mirrors).filter(name => name.endsWith('.lock')).length, 3);
    assert.equal(readdirSync(mirrors).filter(name => !name.endsWith('.lock')).length, 3);
  });
});

describe('what lies in it', () => {
  test('tools, workflows, containers and manifests of many kinds; a pipeline\'s next step finds the repository', async t => {
    const server = await startGit(t, { publicRead: true });
    one(server, 'mono', {
      'package.json': JSON.stringify({ name: 'mono', workspaces: ['packages/*'], devDependencies: { vitest: '^1', '@playwright/test': '1.40.0' } }), 'pnpm-lock.yaml': 'x\n', 'playwright.config.ts': 'export default {};\n',
      'packages/a/package.json': '{"name":"a","license":"MIT"}', 'packages/a/node_modules/b/package.json': '{"name":"b"}', 'py/pyproject.toml': '[project]\nname="py"\ndependencies=["requests>=2"]\n', 'py/tests/test_a.py': 'import unittest\n',
      'rs/Cargo.toml': '[package]\nname="rs"\nversion="0.1.0"\nlicense="MIT OR Apache-2.0"\n', 'rs/src/lib.rs': `${'// words\n'.repeat(500)}#[cfg(test)]\nmod tests {}\n`, 'go/go.mod': 'module example.org/go\n', 'go/a_test.go': 'package a\n',
      'jvm/pom.xml': '<project><groupId>g</groupId><artifactId>j</artifactId><dependencies><dependency><groupId>org.junit.jupiter</groupId><artifactId>junit-jupiter</artifactId><version>5</version></dependency></dependencies></project>',
      '.github/workflows/ci.yml': '# words\nname: Build & test\non: push\n', '.github/workflows/b.yaml': 'on: push\n', '.gitlab-ci.yml': 'a:\n', Dockerfile: 'FROM scratch\n', 'compose.yaml': 'services: {}\n', 'docs/package.json': '{"name":"docs","dependencies":{"jest":"1"}}',
      'src/gen.go': '// Code generated by x. DO NOT EDIT.\npackage a\n', '.gitattributes': 'legacy/** linguist-vendored\n', 'legacy/old.pas': 'begin end.\n',
    });
    const host = await start(t);
    const { document } = await enrich(host, { repo_url: addressOf(server, 'mono') });
    assert.deepEqual(document.manifests.map(({ file, ecosystem, name }) => [file, ecosystem, name]), [['package.json', 'npm', 'mono'], ['docs/package.json', 'npm', 'docs'], ['go/go.mod', 'go', 'example.org/go'], ['jvm/pom.xml', 'maven', 'g:j'],
      ['py/pyproject.toml', 'pypi', 'py'], ['rs/Cargo.toml', 'cargo', 'rs'], ['packages/a/package.json', 'npm', 'a']]);
    assert.deepEqual(document.manifests[0].workspaces, ['packages/*']);
    const names = list => list.map(({ name }) => name).sort();
    assert.deepEqual(names(document.test_frameworks), ['cargo test', 'go test', 'junit', 'playwright', 'unittest', 'vitest']);
    assert.deepEqual(names(document.package_managers), ['pnpm']);
    assert.deepEqual(names(document.build_tools), ['cargo', 'go', 'maven']);
    assert.deepEqual(document.ci, [{ name: 'github-actions', files: [{ file: '.github/workflows/b.yaml' }, { file: '.github/workflows/ci.yml', name: 'Build & test' }] }, { name: 'gitlab-ci', files: [{ file: '.gitlab-ci.yml' }] }]);
    assert.deepEqual(document.containers, [{ name: 'docker', files: ['Dockerfile'] }, { name: 'compose', files: ['compose.yaml'] }]);
    assert.deepEqual(names(document.languages), ['Dockerfile', 'Go', 'Python', 'Rust', 'TypeScript']);
    assert.deepEqual([document.files.vendored, document.files.generated], [4, 2]);
    assert.equal(document.licence, null);
    const below = await enrich(host, { repo_url: addressOf(server, 'mono'), subfolder: 'packages/a' });
    assert.deepEqual([below.document.repository.folder, below.document.licence.spdx, below.document.files.count], ['repo/packages/a', 'MIT', 2]);
    const job = await host.runJob({ task: 'enrich-and-look', data: { repo_url: addressOf(server, 'mono') } });
    assert.equal(job.status, 'completed', job.error);
    assert.deepEqual(job.result.steps[1].result.repository, document.repository);
  });

  test('a result that is too large is cut there, and whole in the artifact', async t => {
    const server = await startGit(t, { publicRead: true });
    const dependencies = Object.fromEntries(Array.from({ length: 2500 }, (_, i) => [`package-${i}`, '^1.0.0']));
    one(server, 'large', Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`p${String(i).padStart(2, '0')}/package.json`, JSON.stringify({ name: `p${i}`, dependencies })])));
    const host = await start(t, 'max_manifests = 50');
    const { document, result } = await enrich(host, { repo_url: addressOf(server, 'large') });
    assert.equal(document.manifests.length, 50);
    assert.ok(document.manifests.every(({ dependencies: list, truncated }) => list.length === 2000 && truncated));
    assert.match(document.notes[0], /of 60 manifests the first 50/);
    assert.equal(result.trimmed, true);
    assert.ok(JSON.stringify(result).length <= 256 << 10);
    const { trimmed, ...rest } = result;
    valid(rest);
    assert.ok(rest.manifests.length > 0 && rest.manifests.every(({ truncated }) => truncated));
  });

  test('hostile repositories are described and do no harm', { timeout: 4 * patience }, async t => {
    const server = await startGit(t, { publicRead: true });
    const deep = (open, count) => open.repeat(count);
    one(server, 'evil', {
      'package.json': `{"name":"evil","dependencies":{${Array.from({ length: 40_000 }, (_, i) => `"dep-${i}":"1.0.0-${'x'.repeat(4)}"`).join(',')}}}`,
      'a/package.json': deep('[', 1 << 20), 'b/package.json': deep('{"a":', 200_000), 'c/package.json': Buffer.from([0x7b, 0x22, 0xff, 0x00, 0x22]), 'd/package.json': Buffer.alloc(3 << 20, 0x20), 'e/package.json': '{"name":{"a":1},"license":["MIT"],"dependencies":[1,2],"workspaces":7}',
      'f/package.json': JSON.stringify({ name: '\u202eevil\u001b[31m', version: 'v'.repeat(5000), dependencies: { ['n'.repeat(9000)]: 'r'.repeat(9000), '': 'x' } }),
      'a/Cargo.toml': deep('[', 1 << 19), 'b/Cargo.toml': `a = ${deep('{a=', 100_000)}`, 'c/Cargo.toml': deep('a.', 1 << 19), 'd/Cargo.toml': Buffer.from('[package]\nname="\xff\x00"\n', 'latin1'),
      'a/pom.xml': `<!DOCTYPE x [<!ENTITY a "${'a'.repeat(1000)}">${Array.from({ length: 9 }, (_, i) => `<!ENTITY a${i} "${deep(`&a${i || ''};`, 10)}">`).join('')}]><project>&a8;</project>`, 'b/pom.xml': deep('<a>', 300_000), 'c/pom.xml': '<!DOCTYPE p SYSTEM "file:///etc/passwd"><project><artifactId>c</artifactId></project>',
      'README.md': Buffer.concat([Buffer.from('# \x1b]0;evil\x07 '), Buffer.from([0xff, 0xfe, 0xc3]), Buffer.from(`\n\n${deep('[', 30_000)}\n\n${deep('> ', 10_000)}\n\n${deep('*a_ ', 5_000)}`)]),
      LICENSE: { link: '/etc/passwd' }, COPYING: deep('permission is hereby granted free of charge ', 40_000), '.gitattributes': `${deep('**/a*', 30)}*b linguist-vendored\n${deep('*a', 60)}b linguist-language=C\n`.repeat(50),
      [`${'a'.repeat(200)}.c`]: 'int a;\n', 'one-line.js': `x=${deep('a+', 1 << 20)}1`, 'binary.c': Buffer.alloc(100_000), 'requirements.txt': deep('x', 1 << 20), 'go.mod': `require (\n${deep('a v1\n', 100_000)}`, Gemfile: deep("gem '", 100_000),
      'build.gradle': deep('implementation "a:b:', 50_000), 'setup.cfg': `[options]\ninstall_requires =\n${deep(' a\n', 50_000)}`, 'CMakeLists.txt': deep('find_package(', 50_000), '.mailmap': deep('A <a@b> <c@d>\n', 10_000), '.github/workflows/x.yml': deep('name', 100_000), 'Pipfile': '\u0000\u0000',
      'a.csproj': '<Project><ItemGroup><PackageReference/></ItemGroup></Project>',
    });
    const host = await start(t);
    const began = Date.now();
    const { document, text } = await enrich(host, { repo_url: addressOf(server, 'evil') });
    assert.ok(Date.now() - began < patience / 2, `${Date.now() - began} ms`);
    const of = file => document.manifests.find(one => one.file === file);
    assert.deepEqual([of('package.json').name, of('package.json').dependencies.length, of('package.json').truncated], ['evil', 2000, true]);
    for (const file of ['a/package.json', 'b/package.json', 'c/package.json', 'd/package.json', 'a/Cargo.toml', 'b/Cargo.toml', 'c/Cargo.toml', 'a/pom.xml', 'b/pom.xml', 'Pipfile']) assert.ok(of(file).problem, file);
    assert.equal(of('c/pom.xml').name, 'c');
    assert.match(of('a/pom.xml').problem, /entities/);
    assert.match(of('d/package.json').problem, /2 MiB/);
    assert.ok(of('f/package.json').name === 'evil[31m' && of('f/package.json').dependencies.every(({ name, requirement }) => Buffer.byteLength(name) <= 203 && Buffer.byteLength(requirement) <= 203));
    assert.deepEqual([document.licence.spdx, document.licence.files.map(({ file }) => file)], ['NOASSERTION', ['COPYING', 'LICENSE']]);
    assert.ok(!/[\u0000-\u0008\u000b-\u001f\u202e]/.test(JSON.stringify(document)) && !text.includes('root:'), 'harmful text is in it');
    assert.equal(document.history.commits, 1);
    one(server, 'empty', { x: '' });
    const empty = (await enrich(host, { repo_url: addressOf(server, 'empty') })).document;
    assert.deepEqual([empty.languages, empty.licence, empty.readme, empty.manifests], [[], null, null, []]);
  });
});

describe('GitHub', () => {
  const example = () => {
    const whole = JSON.parse(readFileSync(require.resolve('@octokit/openapi/generated/api.github.com.deref.json'), 'utf8'));
    return Object.values(whole.paths['/repos/{owner}/{repo}'].get.responses['200'].content['application/json'].examples)[0].value;
  };

  /** A Git server whose addresses are GitHub's for conf.d, and GitHub's API. */
  async function scene(t, lines = '', { token = TOKEN } = {}) {
    const server = await startGit(t, { publicRead: true });
    one(server, 'octocat/Hello-World', { 'a.c': 'int a;\n' });
    const github = await startGitHub(t, { token: TOKEN });
    const begin = api => start(t, `network = yes\nsecrets = GITHUB_TOKEN?\ngithub_web = ${server.url}\ngithub_api = ${api}\n${lines}\n[secrets]\nGITHUB_TOKEN = \${TEST_TOKEN}\n`, '', { TEST_TOKEN: token });
    return { server, github, begin, data: { repo_url: addressOf(server, 'octocat/Hello-World') } };
  }

  test('is asked by a request of its published description, and what it answers is told; the token is shown to nobody', { timeout: 4 * patience }, async t => {
    const { github, begin, data } = await scene(t, 'ask_github = yes');
    const answer = example();
    github.refuse = ({ method, path }) => method === 'GET' && path === '/repos/octocat/Hello-World' ? { status: 200, body: answer } : undefined;
    const prism = await startPrism(t, github.api);
    const host = await begin(prism.url);
    const { document, text } = await enrich(host, data);
    assert.deepEqual(document.github, { full_name: answer.full_name, description: answer.description, homepage: answer.homepage, stars: answer.stargazers_count, forks: answer.forks_count, watchers: answer.subscribers_count, open_issues: answer.open_issues_count,
      topics: answer.topics, default_branch: answer.default_branch, archived: answer.archived, fork: answer.fork, licence: answer.license.spdx_id, created_at: answer.created_at, pushed_at: answer.pushed_at });
    assert.equal(github.requests.length, 1);
    assert.equal(github.requests[0].headers.authorization, `Bearer ${TOKEN}`);
    assert.ok(/Forwarding/i.test(prism.log) && !/Violation: request/i.test(prism.log), prism.log);
    assert.deepEqual(document.notes, []);
    for (const words of [text, host.log]) assert.ok(!words.includes(TOKEN));
    assert.equal((await enrich(host, { ...data, with_github: false })).document.github, null);
    assert.equal(github.requests.length, 1);
  });

  test('is not asked unless conf.d says so, nor about what lies elsewhere', async t => {
    const { server, github, begin, data } = await scene(t);
    assert.deepEqual([(await enrich(await begin(github.api), data)).document.github, github.requests.length], [null, 0]);
    const elsewhere = await start(t, `network = yes\nask_github = yes\ngithub_api = ${github.api}\n`);
    assert.deepEqual([(await enrich(elsewhere, data)).document.github, github.requests.length], [null, 0]);
    one(server, 'deep', { a: 'x\n' });
    const host = await start(t, `network = yes\nask_github = yes\ngithub_web = ${server.url}\ngithub_api = ${github.api}\n`);
    assert.deepEqual([(await enrich(host, { repo_url: addressOf(server, 'deep') })).document.github, github.requests.length], [null, 0]);
  });

  test('what it refuses, and that it doesn\'t answer, is a note and no failure', async t => {
    const { github, begin, data } = await scene(t, 'ask_github = yes\ngithub_timeout = 1s');
    const host = await begin(github.api);
    for (const [answer, words] of [[{ status: 404, body: { message: 'Not Found' } }, /404.*GITHUB_TOKEN/], [{ status: 401, body: {} }, /401.*GITHUB_TOKEN/], [{ status: 403, body: {}, headers: { 'x-ratelimit-remaining': '0' } }, /limits the rate/],
      [{ status: 429, body: {} }, /limits the rate/], [{ status: 500, body: {} }, /500/], [{ status: 200, body: [] }, /something else/], [{ status: 301, body: {}, headers: { location: 'http://127.0.0.1:1/x' } }, /301/],
      [{ status: 200, body: { stargazers_count: 'many', topics: 'x', description: 7 } }, null]]) {
      github.refuse = () => answer;
      const { document } = await enrich(host, data);
      if (words) assert.deepEqual([document.github, words.test(document.notes[0])], [null, true], document.notes[0]);
      else assert.deepEqual([document.github.stars, document.github.topics, document.notes], [null, [], []]);
    }
    github.refuse = ({ path }) => path === '/repositories/7' ? { status: 200, body: { full_name: 'new/name', stargazers_count: 3 } } : { status: 301, body: {}, headers: { location: `${github.api}/repositories/7` } };
    assert.equal((await enrich(host, data)).document.github.full_name, 'new/name');
    github.before = () => true; // it says nothing
    assert.match((await enrich(host, data)).document.notes[0], /GitHub was not asked/);
    const closed = await begin('http://127.0.0.1:1');
    assert.match((await enrich(closed, data)).document.notes[0], /can't be reached/);
  });

  test('without the grant there is no way to it', async t => {
    const { server, github, data } = await scene(t);
    const host = await start(t, `ask_github = yes\ngithub_web = ${server.url}\ngithub_api = ${github.api}`);
    assert.match((await enrich(host, data)).document.notes[0], /GitHub was not asked/);
    assert.equal(github.requests.length, 0);
  });
});

test('a job without a repository, and options that are no options, are refused with the mend', async t => {
  const host = await start(t);
  const job = await host.runJob({ task: 'enrich-repo', data: {} });
  assert.deepEqual([job.status, job.errorCode], ['failed', 'option_invalid'], job.error);
  assert.match(job.error, /repo_url/);
  const refused = await host.process_({ task: 'enrich-repo', data: { repo_url: 'https://example.org/a/b', with_histori: true } });
  assert.equal(refused.status, 422, refused.text);
  assert.match(refused.text, /with_histor/);
});
