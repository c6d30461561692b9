// create-from-template: what a template becomes, against git; repositories made at GitHub, each request held to the description that GitHub publishes.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { afterwards, confFolder, pluginFolder, run, startHost, temporaryFolder } from '../support/host.mjs';
import { git, startGit } from '../support/git.mjs';
import { startPrism } from '../support/github.mjs';

const TOKEN = 'tok-4f0d-never-to-be-seen';
const PLUGINS = ['repo-clone', 'repo-template'];
const conf = (url, lines = '') => ({
  'p.conf': `[plugin repo-clone]\nnetwork = yes\nschemes = http https file\nallow = 127.0.0.0/8\n[plugin repo-template]\nnetwork = yes\nsecrets = GITHUB_TOKEN? GITEA_TOKEN? GIT_TOKEN?\n${url ? `git = ${url}\ngit_user = bot\n` : ''}${lines}\n[secrets]\nGIT_TOKEN = \${TEST_TOKEN}\nGITHUB_TOKEN = \${TEST_TOKEN}\nGITEA_TOKEN = \${TEST_TOKEN}\n`,
  'jobs.conf': '[jobs]\nbackoff = 20ms\nbackoff_max = 100ms\nmax_attempts = 3\n',
});
const manifest = value => JSON.stringify(value);
const files = {
  'template.json': manifest({
    description: 'A service', values: { name: { description: 'What the service is called' }, owner: { default: 'acme' }, package: { default: 'com.{{owner}}.{{name|snake}}' }, tier: { default: 'free', choices: ['free', 'paid'] } },
    exclude: ['docs/internal/', '*.tmp'], raw: ['views/'],
  }),
  'README.md': '# {{ name | upper }}\n\nBy {{owner}}, {{tier}}; {{name|pascal}} and {{name|camel}} and {{name|kebab}}.\n',
  '{{name|kebab}}.conf': 'name = {{name}}\n',
  'src/{{package|path}}/{{name|pascal}}.java': 'package {{package}};\nclass {{name|pascal}} {}\n',
  '.github/workflows/ci.yml': 'run: echo ${{ secrets.TOKEN }} {{{raw}}} {{#each x}} {{ a.b }} {{ f(x) }} {{ "q" }}\nname: {{name}}\n',
  'literal.txt': '\\{{name}} is written so\n',
  'views/page.hbs': '<h1>{{title}}</h1> {{name}}\n',
  'docs/internal/secret.md': 'not for {{anybody}}\n', 'docs/public.md': 'for {{name}}\n', 'scratch.tmp': '{{anything}}\n',
  'picture.bin': Buffer.from([0x89, 0, 0x7b, 0x7b, 0x6e, 0x61, 0x6d, 0x65, 0x7d, 0x7d, 0xff]),
};
const filled = {
  'README.md': '# MY APP 2\n\nBy acme, free; MyApp2 and myApp2 and my-app-2.\n',
  'my-app-2.conf': 'name = My app 2\n',
  'src/com/acme/my_app_2/MyApp2.java': 'package com.acme.my_app_2;\nclass MyApp2 {}\n',
  '.github/workflows/ci.yml': 'run: echo ${{ secrets.TOKEN }} {{{raw}}} {{#each x}} {{ a.b }} {{ f(x) }} {{ "q" }}\nname: My app 2\n',
  'literal.txt': '{{name}} is written so\n',
  'views/page.hbs': '<h1>{{title}}</h1> {{name}}\n',
  'docs/public.md': 'for My app 2\n',
  'picture.bin': files['picture.bin'].toString('latin1'),
};
const values = { name: 'My app 2' };

/** {path: content} of a commit, by git; a binary one's bytes as latin1. */
function contents(bare, commit) {
  return Object.fromEntries(git(bare, 'ls-tree', '-r', '--name-only', '-z', commit).split('\0').filter(Boolean).map(path => {
    const bytes = execFileSync('git', ['-c', 'safe.directory=*', 'cat-file', 'blob', `${commit}:${path}`], { cwd: bare });
    return [path, bytes.includes(0) ? bytes.toString('latin1') : bytes.toString()];
  }));
}

const create = (host, data) => host.runJob({ task: 'create-from-template', data });
const holdsNoToken = (host, ...texts) => {
  for (const text of [host.log, ...texts.map(one => JSON.stringify(one))]) assert.ok(!text.includes(TOKEN), text);
  assert.equal(execFileSync('sh', ['-c', 'grep -rl -- "$0" "$1" || true', TOKEN, host.state], { encoding: 'utf8' }), '');
};

test('names and contents are filled, the rest is left out or as it was; an artifact where nothing is to be pushed', t => {
  const folder = temporaryFolder(t), path = join(folder, 'template');
  execFileSync('mkdir', [path]);
  for (const [name, text] of Object.entries(files)) {
    execFileSync('mkdir', ['-p', join(path, name, '..')]);
    writeFileSync(join(path, name), text, { mode: name.endsWith('.tmp') ? 0o644 : name === 'literal.txt' ? 0o755 : 0o644 });
  }
  git(path, 'init', '-q', '-b', 'main');
  git(path, 'add', '-A');
  git(path, 'commit', '-q', '-m', 'First');
  const done = run(['run', 'create-from-template', '-c', confFolder(folder, { 'p.conf': `[plugin repo-clone]\nschemes = file\nread = ${folder}\n` }), '-o', join(folder, 'out'), '--data', JSON.stringify({ repo_url: path, values })],
    { env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, PLUGINS) } });
  assert.equal(done.code, 0, done.stderr);
  const result = JSON.parse(done.stdout);
  execFileSync('tar', ['-xf', join(folder, 'out', result.archive)], { cwd: folder });
  const top = join(folder, 'My-app-2');
  for (const [name, text] of Object.entries(filled)) assert.equal(readFileSync(join(top, name), name === 'picture.bin' ? 'latin1' : 'utf8'), text, name);
  assert.equal(execFileSync('find', ['.', '-type', 'f'], { cwd: top, encoding: 'utf8' }).trim().split('\n').length, Object.keys(filled).length);
  assert.equal(execFileSync('find', ['.', '-perm', '-100', '-type', 'f'], { cwd: top, encoding: 'utf8' }), './literal.txt\n');
  assert.equal(result.values.package, 'com.acme.my_app_2');
  assert.equal(result.files, Object.keys(filled).length);
  assert.equal(result.url, undefined);
});

describe('onto a plain Git server', () => {
  test('one commit without a parent, with these files alone; the same again is found done; other content is left alone', async t => {
    const server = await startGit(t, { users: { bot: TOKEN }, publicRead: true });
    server.make('template', { files });
    const bare = server.make('target', { files: {} });
    const host = await startHost(t, { plugins: PLUGINS, conf: conf(server.url), env: { TEST_TOKEN: TOKEN } });
    const data = { repo_url: `${server.url}/template.git`, values, target_url: `${server.url}/target.git`, message: 'Begin\n', author: { name: 'Ada', email: 'ada@example.org' } };
    const job = await create(host, data);
    assert.equal(job.status, 'completed', job.error);
    assert.deepEqual(contents(bare, 'main'), filled);
    assert.equal(git(bare, 'log', '--format=%an <%ae> %s %P', 'main'), 'Ada <ada@example.org> Begin');
    assert.equal(job.result.commit, git(bare, 'rev-parse', 'main'));
    assert.equal(job.result.state, 'created');
    assert.equal(job.result.url, `${server.url}/target`);
    assert.equal(git(bare, 'fsck', '--strict'), '');
    const again = await create(host, data);
    assert.equal(again.result.state, 'unchanged', again.error);
    assert.equal(again.result.commit, job.result.commit);
    const other = await create(host, { ...data, values: { name: 'other' } });
    assert.equal(other.errorCode, 'branch_taken', other.error);
    assert.equal(git(bare, 'rev-parse', 'main'), job.result.commit);
    const beside = await create(host, { ...data, values: { name: 'other' }, target_branch: 'next' });
    assert.equal(beside.status, 'completed', beside.error);
    assert.equal(contents(bare, 'next')['other.conf'], 'name = other\n');
    holdsNoToken(host, job, again, other, beside);
  });

  test('a server that refuses, and one that conf.d doesn\'t name', async t => {
    const server = await startGit(t, { users: { bot: 'another' }, publicRead: true });
    server.make('template', { files });
    server.make('target', { files: {} });
    const host = await startHost(t, { plugins: PLUGINS, conf: conf(server.url), env: { TEST_TOKEN: TOKEN } });
    const data = { repo_url: `${server.url}/template.git`, values };
    const refused = await create(host, { ...data, target_url: `${server.url}/target.git` });
    assert.equal(refused.errorCode, 'git_unauthorized', refused.error);
    assert.match(refused.error, /GIT_TOKEN/);
    const elsewhere = await create(host, { ...data, target_url: 'https://elsewhere.example/x/y' });
    assert.equal(elsewhere.errorCode, 'remote_unknown', elsewhere.error);
    assert.match(elsewhere.error, /target_url.*\[plugin repo-template\]/);
    const unsupported = await create(host, { ...data, target_url: `${server.url}/target.git`, create: true });
    assert.equal(unsupported.errorCode, 'create_unsupported', unsupported.error);
    holdsNoToken(host, refused, elsewhere);
  });
});

describe('what a template or a request may not', () => {
  const T = (more, extra = {}) => ({ 'template.json': manifest({ values: { name: {} }, ...more }), 'a.txt': '{{name}}\n', ...extra });
  const cases = [
    ['placeholders without a value, listed with their places', { 'a.txt': 'x\n{{one}} {{two|upper}}\n', '{{three}}.md': '' }, {}, /placeholder_unknown.*one \(a\.txt:2\), two \(a\.txt:2\)/s],
    ['a value that is missing', T({ values: { name: { description: 'Its name' }, other: {} } }), {}, /value_missing.*name \("Its name"\), other/],
    ['a value that the template doesn\'t know', T(), { name: 'x', nome: 'y' }, /value_invalid.*"nome"/],
    ['a value that is no choice', T({ values: { name: { choices: ['a', 'b'] } } }), { name: 'c' }, /value_invalid.*one of \["a","b"\]/],
    ['a value that is no text', T(), { name: [1] }, /value_invalid.*must be a text/],
    ['control characters', T(), { name: 'a\u0000b'.replace('\u0000', '\u001b') }, /value_invalid.*control/],
    ['a filter that there isn\'t', { 'a.txt': '{{name|rot13}}\n' }, { name: 'x' }, /template_invalid.*rot13/],
    ['a manifest that is no JSON', { 'template.json': '{', 'a.txt': '' }, {}, /template_invalid.*line 1/],
    ['a manifest with a key that there isn\'t', T({ excludes: [] }), { name: 'x' }, /template_invalid.*"excludes"/],
    ['a path out of the repository', { '{{name}}/a.txt': 'x' }, { name: '../..' }, /path_unsafe.*"\{\{name\}\}\/a\.txt" becomes "\.\.\/\.\.\/a\.txt"/],
    ['a path into .git', { '{{name}}/hooks/post-checkout': 'x' }, { name: '.git' }, /path_unsafe.*"\.git\/hooks/],
    ['two files of one name', { '{{name}}.txt': '1', 'a.txt': '2' }, { name: 'a' }, /path_unsafe.*"a\.txt"/],
    ['nothing', { 'template.json': '{}' }, {}, /template_empty/],
    ['a branch that is none', { 'a.txt': '' }, {}, /option_invalid.*target_branch/, { target_branch: 'a..b' }],
    ['a creation of nothing', { 'a.txt': '' }, {}, /option_invalid.*target_url/, { create: true }],
  ];
  for (const [name, these, given, expected, more = {}] of cases) {
    test(name, t => {
      const folder = temporaryFolder(t), path = join(folder, 'template');
      for (const [file, text] of Object.entries(these)) {
        execFileSync('mkdir', ['-p', join(path, file, '..')]);
        writeFileSync(join(path, file), text);
      }
      git(path, 'init', '-q', '-b', 'main');
      git(path, 'add', '-A');
      git(path, 'commit', '-q', '-m', 'First');
      const done = run(['run', 'create-from-template', '-c', confFolder(folder, { 'p.conf': `[plugin repo-clone]\nschemes = file\nread = ${folder}\n` }), '-o', join(folder, 'out'), '--quiet', '--data', JSON.stringify({ repo_url: path, values: given, ...more })],
        { env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, PLUGINS) } });
      assert.equal(done.code, 1, done.stdout);
      assert.match(done.stderr, expected);
    });
  }

  test('a great many of them are counted in no time', t => {
    const folder = temporaryFolder(t), path = join(folder, 'template');
    execFileSync('mkdir', [path]);
    writeFileSync(join(path, 'many.txt'), '{{ zz }}\n'.repeat(220_000));
    writeFileSync(join(path, 'filled.txt'), '{{ name }}\n'.repeat(180_000));
    const done = run(['run', 'create-from-template', '-c', confFolder(folder, { 'p.conf': `[plugin repo-clone]\nschemes = file\nread = ${folder}\n[plugin repo-template]\ntimeout = 20s\n` }), '-o', join(folder, 'out'), '--quiet', '--data', JSON.stringify({ repo_url: path, values })],
      { env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, PLUGINS) } });
    assert.match(done.stderr, /placeholder_unknown.*zz \(many\.txt:1\)/);
  });

  test('unknown ones stay where the manifest says so', t => {
    const folder = temporaryFolder(t), path = join(folder, 'template');
    execFileSync('mkdir', [path]);
    writeFileSync(join(path, 'template.json'), manifest({ unknown: 'keep', values: { name: {}, title: { default: '{{later}}!' }, later: { default: 'L{{name|cut:1}}' } } }));
    writeFileSync(join(path, 'a.vue'), '<p>{{ message }} {{name}} {{title}}</p>\n');
    git(path, 'init', '-q', '-b', 'main');
    git(path, 'add', '-A');
    git(path, 'commit', '-q', '-m', 'First');
    const done = run(['run', 'create-from-template', '-c', confFolder(folder, { 'p.conf': `[plugin repo-clone]\nschemes = file\nread = ${folder}\n` }), '-o', join(folder, 'out'), '--quiet', '--data', JSON.stringify({ repo_url: path, values })],
      { env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, PLUGINS) } });
    assert.equal(done.code, 0, done.stderr);
    assert.equal(execFileSync('tar', ['-xOf', join(folder, 'out', JSON.parse(done.stdout).archive), 'My-app-2/a.vue'], { encoding: 'utf8' }), '<p>{{ message }} My app 2 LM!</p>\n');
  });
});

/** GitHub, as far as new repositories go: state, and the git server that holds them. */
async function startCreator(t, server, { user = 'bot', orgs = ['acme'], refuse } = {}) {
  const creator = { requests: [], repositories: new Map(), refuse };
  const problem = (status, message, more = {}, headers = {}) => ({ status, headers, body: { message, documentation_url: 'https://docs.github.com/rest', status: String(status), ...more } });
  const taken = () => problem(422, 'Repository creation failed.', { errors: [{ resource: 'Repository', code: 'custom', field: 'name', message: 'name already exists on this account' }] });
  const make = (name, body, template) => {
    if (creator.repositories.has(name)) return taken();
    creator.repositories.set(name, { ...body, template });
    const files_ = template ? Object.fromEntries(Object.entries(contents(server.path(template), 'main'))) : {};
    server.make(name, { files: files_ });
    return { status: 201, body: show(name) };
  };
  const show = name => ({ full_name: name, name: name.split('/')[1], private: creator.repositories.get(name).private, ...(creator.repositories.get(name).template ? { template_repository: { full_name: creator.repositories.get(name).template } } : {}) });
  creator.answer = ({ method, path, body, headers }) => {
    if (headers.authorization !== `Bearer ${TOKEN}`) return problem(401, 'Bad credentials');
    const [, kind, owner, name, what] = path.split('/');
    if (method === 'GET' && path === '/user') return { status: 200, body: { login: user } };
    if (method === 'POST' && path === '/user/repos') return make(`${user}/${body.name}`, body);
    if (method === 'POST' && kind === 'orgs') return orgs.includes(owner) ? make(`${owner}/${body.name}`, body) : problem(404, 'Not Found');
    if (method === 'POST' && what === 'generate') return owner === 'acme' && name === 'template' ? make(`${body.owner}/${body.name}`, body, 'acme/template') : problem(404, 'Not Found');
    if (method === 'GET' && kind === 'repos') return creator.repositories.has(`${owner}/${name}`) ? { status: 200, body: show(`${owner}/${name}`) } : problem(404, 'Not Found');
    return problem(404, 'Not Found');
  };
  const service = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', chunk => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const seen = { method: request.method, path: request.url, headers: request.headers, body: text ? JSON.parse(text) : undefined, number: creator.requests.length + 1 };
      creator.requests.push(seen);
      const { status, body, headers = {} } = creator.refuse?.(seen, problem) ?? creator.answer(seen);
      const finish = () => { response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers }); response.end(JSON.stringify(body)); };
      creator.before ? creator.before(seen, finish, response) : finish();
    });
  });
  await new Promise(done => service.listen(0, '127.0.0.1', done));
  afterwards(t, () => new Promise(done => { service.close(done); service.closeAllConnections(); }));
  creator.url = `http://127.0.0.1:${service.address().port}`;
  return creator;
}

describe('at GitHub', () => {
  const begin = async (t, { prism = false, ...options } = {}) => {
    const server = await startGit(t, { users: { 'x-access-token': TOKEN }, publicRead: true });
    server.make('acme/template', { files });
    server.make('acme/plain', { files: { 'a.txt': 'nothing to fill\n' } });
    const creator = await startCreator(t, server, options);
    const api = prism ? (await startPrism(t, creator.url)).url : creator.url;
    const host = await startHost(t, { plugins: PLUGINS, conf: conf('', `github = ${server.url}\ngithub_api = ${api}`), env: { TEST_TOKEN: TOKEN } });
    const data = { repo_url: `${server.url}/acme/template.git`, values, create: true };
    return { server, creator, host, data };
  };
  const calls = creator => creator.requests.map(({ method, path }) => `${method} ${path}`);

  test('a repository of one\'s own and one of an organization, made and filled; every request is one of GitHub\'s own description', async t => {
    const { server, creator, host, data } = await begin(t, { prism: true });
    const own = await create(host, { ...data, target_url: `${server.url}/bot/shop`, description: 'Sells things' });
    assert.equal(own.status, 'completed', own.error);
    assert.deepEqual(calls(creator), ['GET /repos/bot/shop', 'GET /user', 'POST /user/repos']);
    assert.deepEqual(creator.repositories.get('bot/shop'), { name: 'shop', private: true, auto_init: false, description: 'Sells things', template: undefined });
    assert.deepEqual(contents(server.path('bot/shop'), 'main'), filled);
    assert.deepEqual([own.result.created, own.result.state, own.result.url], [true, 'created', `${server.url}/bot/shop`]);
    const org = await create(host, { ...data, target_url: `${server.url}/acme/shop`, private: false });
    assert.equal(org.status, 'completed', org.error);
    assert.equal(creator.repositories.get('acme/shop').private, false);
    const again = await create(host, { ...data, target_url: `${server.url}/acme/shop`, private: false });
    assert.deepEqual([again.result?.created, again.result?.state], [false, 'unchanged'], again.error);
    holdsNoToken(host, own, org, again);
  });

  test('generate copies a template that has nothing to fill, and says where it can\'t', async t => {
    const { server, creator, host, data } = await begin(t, { prism: true });
    creator.answer = (answer => seen => seen.path === '/repos/acme/plain/generate' ? answer({ ...seen, path: '/repos/acme/template/generate' }) : answer(seen))(creator.answer);
    const plain = { repo_url: `${server.url}/acme/plain.git`, generate: true, target_url: `${server.url}/bot/copy` };
    const job = await create(host, plain);
    assert.equal(job.status, 'completed', job.error);
    assert.deepEqual(calls(creator), ['GET /repos/bot/copy', 'POST /repos/acme/plain/generate']);
    assert.equal(job.result.created, true);
    const taken = await create(host, plain); // the double says that it came from acme/template
    assert.equal(taken.errorCode, 'repository_taken', taken.error);
    const fills = await create(host, { ...data, create: false, generate: true, target_url: `${server.url}/bot/fills` });
    assert.equal(fills.errorCode, 'create_unsupported', fills.error);
    assert.match(fills.error, /placeholders to fill/);
  });

  test('refusals, each with its sentence', async t => {
    const { server, creator, host, data } = await begin(t);
    const ask = (name, refuse) => { creator.refuse = refuse; return create(host, { ...data, target_url: `${server.url}/${name}` }); };
    const missing = await ask('nobody-knows/x');
    assert.equal(missing.errorCode, 'owner_not_found', missing.error);
    const scope = await ask('acme/y', (seen, problem) => seen.method === 'POST' ? problem(403, 'Resource not accessible by personal access token') : undefined);
    assert.equal(scope.errorCode, 'token_scope', scope.error);
    assert.match(scope.error, /GITHUB_TOKEN.*scope repo.*not accessible/);
    const invalid = await ask('acme/z', (seen, problem) => seen.method === 'POST' ? problem(422, 'Validation Failed', { errors: [{ message: 'name is too short' }] }) : undefined);
    assert.equal(invalid.errorCode, 'request_refused', invalid.error);
    assert.match(invalid.error, /name is too short/);
    const unknown = await ask('acme/w', (seen, problem) => problem(401, 'Bad credentials'));
    assert.equal(unknown.errorCode, 'token_refused', unknown.error);
    let limited = 0;
    const slow = await ask('acme/v', (seen, problem) => seen.method === 'POST' && limited++ === 0 ? problem(403, 'You have exceeded a secondary rate limit', {}, { 'retry-after': '1' }) : undefined);
    assert.equal(slow.status, 'completed', slow.error);
    assert.equal(slow.attempts, 2);
    holdsNoToken(host, missing, scope, invalid, unknown, slow);
  });

  test('killed after each call, and before: the next attempt ends with the same repository', async t => {
    const { server, creator, host, data } = await begin(t);
    const kill = () => {
      for (const line of execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n'))
        if (line.includes(`exportd-worker ${host.process.pid} repo-template`)) process.kill(Number(line.trim().split(' ')[0]), 'SIGKILL');
    };
    for (let number = 1; number <= 3; number++) {
      const name = `acme/killed-${number}`;
      let count = 0, killed = false;
      creator.before = (seen, finish, response) => {
        if (++count === number && !killed) {
          killed = true;
          kill();
          response.destroy();
        } else {
          finish();
        }
      };
      const job = await create(host, { ...data, target_url: `${server.url}/${name}` });
      assert.equal(job.status, 'completed', `${number}: ${job.error}`);
      assert.ok(killed);
      assert.equal(job.attempts, 2);
      assert.deepEqual(contents(server.path(name), 'main'), filled);
      assert.equal(git(server.path(name), 'rev-list', '--count', '--all'), '1');
    }
  });
});
