// Pull requests on remotes beside GitHub: a real Git server over HTTP takes the push; GitLab and Gitea get their requests as their own clients send them.
import { test, describe } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Gitlab } from '@gitbeaker/rest';
import { giteaApi } from 'gitea-js';
import { confFolder, build, run, source, startHost, temporaryFolder, until } from '../support/host.mjs';
import { git, startGit } from '../support/git.mjs';
import { Gitea, GitLab, startForge } from '../support/forges.mjs';
import { startRelay } from '../support/relay.mjs';

const repro = name => JSON.parse(readFileSync(join(source, 'tests/data', `${name}.json`), 'utf8'));
const bootstrap = repro('bootstrap-20184'), search = repro('search-4711');
const TOKEN = 'tok-5f1e-never-to-be-seen';

const conf = (lines, secret, more = '') => ({
  'plugin.conf': `[plugin export-pr]\nnetwork = yes\ncache = git\nsecrets = GITHUB_TOKEN? GITHUB_ENTERPRISE_TOKEN? GITLAB_TOKEN? GITEA_TOKEN? GIT_TOKEN?\n${lines}\n[secrets]\n${secret} = \${TEST_TOKEN}\n`,
  'jobs.conf': `[jobs]\nbackoff = 20ms\nbackoff_max = 100ms\nmax_attempts = 5\n${more}`,
});
const start = (t, lines, secret, options = {}) => startHost(t, { plugins: ['export-pr'], conf: conf(lines, secret, options.more), env: { TEST_TOKEN: TOKEN }, ...options });
const plain = (t, server, options) => start(t, `git = ${options?.address ?? server.url}\ngit_user = bot\n${options?.lines ?? ''}`, 'GIT_TOKEN', options);
const ask = (host, data) => host.runJob({ task: 'pr', data: { repro: bootstrap, ...data } });
const users = { bot: TOKEN };
const addressOf = (server, name) => `${server.url}/${name}.git`;
const heads = (server, name) => git(server.path(name), 'for-each-ref', '--format=%(refname:lstrip=2)', 'refs/heads').split('\n');
const changes = (server, name, from, to) => git(server.path(name), 'diff', '--name-status', '--no-renames', from, to).split('\n').map(line => line.split('\t'));

function killWorkers(host) {
  for (const line of execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n'))
    if (line.includes(`exportd-worker ${host.process.pid} export-pr`)) process.kill(Number(line.trim().split(' ')[0]), 'SIGKILL');
}

/** Nothing that the host wrote holds the token. */
function holdsNoToken(host, ...texts) {
  for (const text of [host.log, ...texts.map(one => JSON.stringify(one))]) assert.ok(!text.includes(TOKEN), text);
  const found = execFileSync('sh', ['-c', 'grep -rl -- "$0" "$1" || true', TOKEN, host.state], { encoding: 'utf8' });
  assert.equal(found, '', 'the state folder holds the token');
}

describe('a plain Git remote', () => {
  test('gets a branch that differs from its base by exactly the test', async t => {
    const server = await startGit(t, { users });
    server.make('one', { branch: 'trunk', files: { 'README.md': '# one\n', 'tests/other.spec.js': 'x\n' } });
    const host = await plain(t, server);
    const job = await ask(host, { repo_url: addressOf(server, 'one') });
    assert.equal(job.status, 'completed', job.error);
    const { result } = job;
    assert.equal(result.branch_name, 'bug-repro-20184');
    assert.equal(result.test_path, 'tests/regressions/20184.spec.js');
    assert.equal(result.base, 'trunk');
    assert.equal(result.state, 'created');
    assert.match(result.note, /no pull requests/);
    assert.ok(!('pr_url' in result) || result.pr_url === null);
    assert.deepEqual(heads(server, 'one').sort(), ['bug-repro-20184', 'trunk']);
    assert.deepEqual(changes(server, 'one', 'trunk', 'bug-repro-20184'), [['A', 'tests/regressions/20184.spec.js']]);
    assert.equal(git(server.path('one'), 'rev-parse', 'bug-repro-20184'), result.commit);
    assert.equal(git(server.path('one'), 'rev-parse', 'bug-repro-20184^'), git(server.path('one'), 'rev-parse', 'trunk'));
    assert.equal(git(server.path('one'), 'show', 'bug-repro-20184:tests/regressions/20184.spec.js'), bootstrap.test.code.trim());
    assert.match(git(server.path('one'), 'log', '-1', '--format=%(trailers)', 'bug-repro-20184'), new RegExp(`Exportd-Repro: ${bootstrap.id}`));
    git(server.path('one'), 'fsck', '--strict');
    holdsNoToken(host, job);
  });

  test('the same export again leaves all as it is; another test is a further commit', async t => {
    const server = await startGit(t, { users });
    server.make('one');
    const host = await plain(t, server);
    const first = await ask(host, { repo_url: addressOf(server, 'one') });
    const again = await ask(host, { repo_url: addressOf(server, 'one') });
    assert.equal(again.result.state, 'unchanged');
    assert.equal(again.result.commit, first.result.commit);
    const changed = structuredClone(bootstrap);
    changed.test.code += '\n// more\n';
    const second = await ask(host, { repo_url: addressOf(server, 'one'), repro: changed });
    assert.equal(second.result.state, 'updated', second.error);
    assert.equal(git(server.path('one'), 'rev-parse', 'bug-repro-20184^'), first.result.commit);
    assert.equal(git(server.path('one'), 'rev-list', '--count', 'main..bug-repro-20184'), '2');
  });

  test('all files of a repro, Unicode and binary, under the names and modes that they have', async t => {
    const server = await startGit(t, { users });
    server.make('one');
    const host = await plain(t, server);
    const rich = structuredClone(search);
    rich.files.push({ path: 'データ/画像 🔎.bin', content: Buffer.from([0, 1, 2, 255, 254]).toString('base64'), encoding: 'base64' },
      { path: 'scripts/run.sh', content: '#!/bin/sh\necho hi\n', encoding: 'utf-8' });
    const job = await ask(host, { repo_url: addressOf(server, 'one'), repro: rich, files: true });
    assert.equal(job.status, 'completed', job.error);
    const tree = git(server.path('one'), '-c', 'core.quotepath=off', 'ls-tree', '-r', job.result.branch_name);
    assert.match(tree, /100644 blob \w+\ttests\/regressions\/4711\/データ\/画像 🔎.bin/);
    assert.match(tree, /100755 blob \w+\ttests\/regressions\/4711\/scripts\/run.sh/);
    assert.equal(job.result.test_path, 'tests/regressions/4711/tests/regressions/4711.spec.js');
    assert.ok(changes(server, 'one', 'main', job.result.branch_name).every(([, path]) => path.replace(/^"/, '').startsWith('tests/regressions/4711/')), 'the repository\'s own package.json stays');
    const raw = execFileSync('git', ['-c', 'safe.directory=*', 'cat-file', 'blob', `${job.result.branch_name}:tests/regressions/4711/データ/画像 🔎.bin`], { cwd: server.path('one'), env: { ...process.env, HOME: '/nonexistent', GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*' } });
    assert.deepEqual([...raw], [0, 1, 2, 255, 254]);
    assert.match(git(server.path('one'), 'log', '-1', '--format=%B', job.result.branch_name), /古い検索結果が新しい結果を上書きする/);
  });

  test('a branch of somebody else is left alone: an error, or a number behind it, which a retry finds again', async t => {
    const server = await startGit(t, { users });
    server.make('one');
    const theirs = server.commit('one', 'bug-repro-20184', { 'work.txt': 'mine\n' });
    const host = await plain(t, server);
    const taken = await ask(host, { repo_url: addressOf(server, 'one') });
    assert.equal(taken.errorCode, 'branch_taken');
    assert.match(taken.error, /bug-repro-20184.*branch_name.*on_conflict/);
    for (let i = 0; i < 2; i++) {
      const numbered = await ask(host, { repo_url: addressOf(server, 'one'), on_conflict: 'number' });
      assert.equal(numbered.result?.branch_name, 'bug-repro-20184-2', numbered.error);
    }
    assert.equal(git(server.path('one'), 'rev-parse', 'bug-repro-20184'), theirs);
    assert.deepEqual(heads(server, 'one').sort(), ['bug-repro-20184', 'bug-repro-20184-2', 'main']);
    const moved = server.commit('one', 'bug-repro-20184-2', { 'fix.txt': 'a fix on top\n' });
    const changed = structuredClone(bootstrap);
    changed.test.code += '\n// more\n';
    const onTop = await ask(host, { repo_url: addressOf(server, 'one'), repro: changed, branch_name: 'bug-repro-20184-2' });
    assert.equal(onTop.errorCode, 'branch_taken');
    assert.equal(git(server.path('one'), 'rev-parse', 'bug-repro-20184-2'), moved);
  });

  test('what stands in the base already is nothing to open', async t => {
    const server = await startGit(t, { users });
    server.make('one', { files: { 'tests/regressions/20184.spec.js': bootstrap.test.code } });
    const host = await plain(t, server);
    const job = await ask(host, { repo_url: addressOf(server, 'one') });
    assert.equal(job.errorCode, 'nothing_to_change', JSON.stringify(job));
    assert.deepEqual(heads(server, 'one'), ['main']);
  });

  test('refusals are told with the mend', async t => {
    const server = await startGit(t, { users });
    server.make('empty', { files: {} });
    server.make('one');
    const host = await plain(t, server, { more: '' });
    const wrong = await startHost(t, { plugins: ['export-pr'], conf: conf(`git = ${server.url}\ngit_user = bot`, 'GIT_TOKEN'), env: { TEST_TOKEN: 'wrong-token' } });
    for (const [on, data, code, message] of [
      [host, { repo_url: addressOf(server, 'empty') }, 'repository_empty', /no commit on its default branch/],
      [host, { repo_url: addressOf(server, 'none') }, 'repository_not_found', /404.*GIT_TOKEN/],
      [host, { repo_url: `${server.url}/forbidden/one.git` }, 'git_forbidden', /403.*GIT_TOKEN/],
      [host, { repo_url: `${server.url}/moved/one.git` }, 'git_failed', /redirect|302/],
      [host, { repo_url: addressOf(server, 'one'), base: 'nowhere' }, 'base_not_found', /no branch nowhere/],
      [host, { repo_url: addressOf(server, 'one'), fork: true }, 'fork_unsupported', /GitHub only/],
      [host, { repo_url: 'https://elsewhere.example/one.git' }, 'remote_unknown', /elsewhere.example.*\[plugin export-pr\]/],
      [wrong, { repo_url: addressOf(server, 'one') }, 'git_unauthorized', /401.*GIT_TOKEN/],
    ]) {
      const job = await ask(on, data);
      assert.equal(job.errorCode, code, JSON.stringify(job));
      assert.match(job.error, message);
    }
    server.kill();
    await server.ended;
    const gone = await ask(host, { repo_url: addressOf(server, 'one') });
    assert.equal(gone.errorCode, 'service_unreachable');
    assert.equal(gone.attempts, 5);
    holdsNoToken(host, gone);
  });

  test('HTTPS: the authority that conf.d names is taken, another is not', async t => {
    const folder = temporaryFolder(t);
    const openssl = (...args) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=ca');
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=server');
    writeFileSync(join(folder, 'ext'), 'subjectAltName=IP:127.0.0.1\n');
    openssl('x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'ext', '-out', 'server.pem');
    execFileSync('chmod', ['-R', 'a+rX', folder]);
    const server = await startGit(t, { users, tls: { certificate: join(folder, 'server.pem'), key: join(folder, 'server.key') } });
    server.make('one');
    const good = await plain(t, server, { lines: `ca_file = ${join(folder, 'ca.pem')}` });
    const job = await ask(good, { repo_url: addressOf(server, 'one') });
    assert.equal(job.status, 'completed', job.error);
    const bad = await plain(t, server, { more: 'max_attempts = 1\n'.replace('max_attempts = 1\n', '') });
    const refused = await ask(bad, { repo_url: addressOf(server, 'one') });
    assert.equal(refused.errorCode, 'service_unreachable');
    assert.match(refused.error, /certificate/i);
  });

  test('two jobs on one repository at once, from two hosts\' workers, both arrive', async t => {
    const server = await startGit(t, { users });
    server.make('one', { files: Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`src/f${i}.js`, `${'x'.repeat(i)}\n`])) });
    const host = await plain(t, server, { lines: 'workers = 2' });
    const jobs = await Promise.all([bootstrap, search, { ...bootstrap, id: search.id, bug: { id: '77' } }].map(one => ask(host, { repo_url: addressOf(server, 'one'), repro: one })));
    for (const job of jobs) assert.equal(job.status, 'completed', job.error);
    assert.equal(heads(server, 'one').length, 4);
    const fetches = server.requests.filter(line => /POST .*git-upload-pack 200/.test(line)).length;
    assert.equal(fetches, 1, 'the mirror was fetched once, for all of them');
  });

  test('killed after each of its requests in turn, then tried again: one branch, one commit, the right content', async t => {
    const server = await startGit(t, { users });
    let last = 0;
    for (let stop = 1; stop <= 40 && (last === 0 || stop <= last); stop++) {
      server.make(`r${stop}`);
      let host, killed = false, count = 0;
      const relay = await startRelay(t, server.url, () => {
        if (killed || ++count < stop) return undefined;
        killed = true;
        return { then: () => killWorkers(host) };
      });
      host = await plain(t, server, { address: relay.endpoint });
      const job = await ask(host, { repo_url: `${relay.endpoint}/r${stop}.git` });
      assert.equal(job.status, 'completed', `killed at request ${stop}: ${job.error}`);
      if (killed) assert.ok(job.attempts > 1, `killed at request ${stop}`);
      else last = stop;
      assert.deepEqual(heads(server, `r${stop}`).sort(), ['bug-repro-20184', 'main']);
      assert.equal(git(server.path(`r${stop}`), 'rev-list', '--count', 'main..bug-repro-20184'), '1');
      assert.deepEqual(changes(server, `r${stop}`, 'main', 'bug-repro-20184'), [['A', 'tests/regressions/20184.spec.js']]);
      await host.stop();
    }
    assert.ok(last >= 4, `the export made ${last - 1} requests`);
  });

  test('exportd run does it without a server', async t => {
    const server = await startGit(t, { users });
    server.make('one');
    const folder = temporaryFolder(t);
    const settings = confFolder(folder, conf(`git = ${server.url}\ngit_user = bot`, 'GIT_TOKEN'));
    const done = run(['run', 'pr', '-c', settings, '--repro', join(source, 'tests/data/search-4711.json'), '--option', `repo_url=${addressOf(server, 'one')}`, '-o', join(folder, 'out')],
      { env: { TEST_TOKEN: TOKEN, EXPORTD_HOST_PLUGINS: join(build, 'plugins'), EXPORTD_HOST_STATE: folder } });
    assert.equal(done.code, 0, done.stderr);
    assert.equal(JSON.parse(done.stdout).branch_name, 'bug-repro-4711');
    assert.ok(!(done.stdout + done.stderr).includes(TOKEN));
  });
});

const wishes = { title: 'A title: ünïcödé "quoted" 🔎', labels: ['bug', 'regression'], reviewers: ['anna'], assignees: ['ben'], draft: true, branch_name: 'fix/bug-1' };

describe('GitLab', () => {
  const begin = async (t, options = {}) => {
    const forge = await startForge(t, GitLab, { token: TOKEN, users: ['anna', 'ben'], projects: { 'group/sub/one': {} }, ...options });
    const host = await start(t, `gitlab = ${forge.url}`, 'GITLAB_TOKEN');
    return { forge, host, to: { repo_url: `${forge.url}/group/sub/one` } };
  };

  test('a merge request, as GitLab\'s client would open it', async t => {
    const { forge, host, to } = await begin(t);
    const job = await ask(host, { ...to, ...wishes });
    assert.equal(job.status, 'completed', job.error);
    assert.equal(job.result.pr_number, 1);
    assert.equal(job.result.pr_url, `${forge.url}/group/sub/one/-/merge_requests/1`);
    assert.equal(job.result.state, 'created');
    const [made] = forge.pulls;
    assert.deepEqual([made.title, made.labels, made.reviewers, made.assignees, made.head, made.base], [`Draft: ${wishes.title}`, wishes.labels, [1], [2], 'fix/bug-1', 'main']);
    const ours = forge.requests.filter(({ path }) => path.includes('merge_requests'));

    const other = await begin(t);
    git(other.forge.repositories.path('group/sub/one'), 'branch', 'fix/bug-1', 'main');
    const client = new Gitlab({ host: other.forge.url, token: TOKEN });
    await client.MergeRequests.all({ projectId: 'group/sub/one', state: 'opened', sourceBranch: 'fix/bug-1', targetBranch: 'main' });
    await client.MergeRequests.create('group/sub/one', 'fix/bug-1', 'main', `Draft: ${wishes.title}`, { description: made.description, labels: wishes.labels, reviewerIds: [1], assigneeIds: [2], removeSourceBranch: true });
    const theirs = other.forge.requests.filter(({ path }) => path.includes('merge_requests'));
    assert.equal(ours.length, theirs.length);
    for (const [index, { method, path, query, body, headers }] of theirs.entries()) {
      assert.equal(ours[index].method, method);
      assert.equal(ours[index].path, path);
      assert.equal(ours[index].headers['private-token'], headers['private-token']);
      for (const [name, value] of Object.entries(query)) if (!['pagination', 'per_page', 'page'].includes(name)) assert.equal(ours[index].query[name], value, name);
      if (body) assert.deepEqual({ ...ours[index].body, labels: String(ours[index].body.labels) }, { ...body, labels: String(body.labels) });
    }
    holdsNoToken(host, job);
  });

  test('the same again finds it; new words and a new test bring it up to date', async t => {
    const { forge, host, to } = await begin(t);
    const first = await ask(host, to);
    const again = await ask(host, to);
    assert.deepEqual([again.result.pr_number, again.result.state, again.result.commit], [1, 'unchanged', first.result.commit]);
    const changed = structuredClone(bootstrap);
    changed.test.code += '\n// more\n';
    const third = await ask(host, { ...to, repro: changed, title: 'Another title' });
    assert.deepEqual([third.result.pr_number, third.result.state], [1, 'updated']);
    assert.equal(forge.pulls.length, 1);
    assert.equal(forge.pulls[0].title, 'Another title');
  });

  test('another run that was faster is no error; whom GitLab doesn\'t know is in the note', async t => {
    const { forge, host, to } = await begin(t);
    let asked = 0;
    forge.refuse = ({ method, path }) => path.endsWith('merge_requests') && method === 'GET' && asked++ === 0 ? (forge.pulls.push({ project: 'group/sub/one', number: 1, state: 'open', head: 'bug-repro-20184', base: 'main', title: 'x', description: 'y', labels: [] }), { status: 200, body: [] }) : undefined;
    const job = await ask(host, { ...to, reviewers: ['nobody-of-that-name'] });
    assert.equal(job.status, 'completed', job.error);
    assert.equal(job.result.pr_number, 1);
    assert.match(job.result.note, /no user nobody-of-that-name/);
    assert.equal(forge.pulls.length, 1);
  });

  test('refusals are told with the mend, and a limit of the rate is waited for', async t => {
    const { forge, host, to } = await begin(t);
    for (const [status, body, code, message] of [
      [401, { message: '401 Unauthorized' }, 'token_refused', /GITLAB_TOKEN/],
      [403, { message: '403 Forbidden' }, 'token_scope', /scope api/],
      [404, { message: '404 Project Not Found' }, 'repository_not_found', /group\/sub\/one.*repo_url/],
      [422, { message: ['Source branch "x" protected'] }, 'request_refused', /Source branch/],
    ]) {
      forge.refuse = ({ path }) => path.startsWith('/api/') ? { status, body } : undefined;
      const job = await ask(host, to);
      assert.equal(job.errorCode, code, JSON.stringify(job));
      assert.match(job.error, message);
    }
    let limited = 0;
    forge.refuse = () => limited++ === 0 ? { status: 429, body: { message: 'Retry later' }, headers: { 'retry-after': '1' } } : undefined;
    const began = Date.now();
    const job = await ask(host, to);
    assert.equal(job.status, 'completed', job.error);
    assert.equal(job.attempts, 2);
    assert.ok(Date.now() - began >= 1000);
    forge.refuse = () => ({ status: 502, body: {} });
    assert.equal((await ask(host, { ...to, branch_name: 'other' })).errorCode, 'service_unreachable');
  });
});

describe('Gitea', () => {
  const begin = async (t, options = {}) => {
    const forge = await startForge(t, Gitea, { token: TOKEN, users: ['anna', 'ben'], labels: ['other', 'bug'], projects: { 'owner/one': {} }, ...options });
    const host = await start(t, `gitea = ${forge.url}`, 'GITEA_TOKEN');
    return { forge, host, to: { repo_url: `${forge.url}/owner/one` } };
  };

  test('a pull request, as Gitea\'s client would open it', async t => {
    const { forge, host, to } = await begin(t);
    const job = await ask(host, { ...to, ...wishes });
    assert.equal(job.status, 'completed', job.error);
    assert.deepEqual([job.result.pr_number, job.result.pr_url, job.result.state], [1, `${forge.url}/owner/one/pulls/1`, 'created']);
    assert.match(job.result.note, /no label regression/);
    const [made] = forge.pulls;
    assert.deepEqual([made.title, made.labels, made.reviewers, made.assignees], [`WIP: ${wishes.title}`, ['bug'], ['anna'], ['ben']]);

    const other = await begin(t);
    git(other.forge.repositories.path('owner/one'), 'branch', 'fix/bug-1', 'main');
    const client = giteaApi(other.forge.url, { token: TOKEN });
    await client.repos.repoGetPullRequestByBaseHead('owner', 'one', 'main', encodeURIComponent('fix/bug-1')).catch(() => { /* 404 */ });
    await client.repos.issueListLabels('owner', 'one', { limit: 50 });
    await client.repos.repoCreatePullRequest('owner', 'one', { head: 'fix/bug-1', base: 'main', title: `WIP: ${wishes.title}`, body: made.body, labels: [2], assignees: ['ben'] });
    await client.repos.repoCreatePullReviewRequests('owner', 'one', 1, { reviewers: ['anna'] });
    const view = ({ method, path, query, body, headers }) => ({ method, path, query, body, token: headers.authorization?.replace(/^(token|bearer) /i, '') });
    assert.deepEqual(forge.requests.map(view), other.forge.requests.map(view));
    holdsNoToken(host, job);
  });

  test('the same again finds it, and brings it up to date; reviewers that are refused are in the note', async t => {
    const { forge, host, to } = await begin(t);
    const first = await ask(host, { ...to, reviewers: ['stranger'] });
    assert.match(first.result.note, /refuses the reviewers/);
    const again = await ask(host, to);
    assert.deepEqual([again.result.pr_number, again.result.state], [1, 'unchanged']);
    assert.equal((await ask(host, { ...to, title: 'Another' })).result.state, 'updated');
    assert.deepEqual([forge.pulls.length, forge.pulls[0].title], [1, 'Another']);
  });

  test('refusals are told with the mend', async t => {
    const { forge, host, to } = await begin(t);
    for (const [status, code, message] of [[401, 'token_refused', /GITEA_TOKEN/], [403, 'token_scope', /write:repository/], [422, 'request_refused', /422/]]) {
      forge.refuse = ({ path }) => path.startsWith('/api/') ? { status, body: { message: 'no' } } : undefined;
      const job = await ask(host, to);
      assert.equal(job.errorCode, code, JSON.stringify(job));
      assert.match(job.error, message);
    }
  });
});

for (const [Kind, key, secret, below] of [[Gitea, 'gitea', 'GITEA_TOKEN', 'owner'], [GitLab, 'gitlab', 'GITLAB_TOKEN', 'group/sub']]) {
  test(`${key}: killed after each request in turn, then tried again: one branch, one pull request`, async t => {
    const projects = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`${below}/r${i + 1}`, {}]));
    const forge = await startForge(t, Kind, { token: TOKEN, users: ['anna', 'ben'], labels: ['bug'], projects });
    for (let stop = 1; stop <= 16; stop++) {
      let host, killed = false, count = 0;
      const relay = await startRelay(t, forge.url, () => {
        if (killed || ++count < stop) return undefined;
        killed = true;
        return { then: () => killWorkers(host) };
      });
      host = await start(t, `${key} = ${relay.endpoint}`, secret);
      const job = await ask(host, { repo_url: `${relay.endpoint}/${below}/r${stop}`, labels: ['bug'], reviewers: ['anna'], assignees: ['ben'] });
      assert.equal(job.status, 'completed', `killed at request ${stop}: ${job.error}`);
      const made = forge.pulls.filter(({ project }) => project === `${below}/r${stop}`);
      assert.equal(made.length, 1, `killed at request ${stop}`);
      assert.equal(git(forge.repositories.path(`${below}/r${stop}`), 'rev-list', '--count', 'main..bug-repro-20184'), '1');
      await host.stop();
      if (!killed) return;
    }
    assert.fail('the export makes more requests than 16');
  });
}
