// Pull requests on GitHub. Every request that is made is held to the description that GitHub publishes, by prism; behind it a stateful server plays what GitHub keeps
// and refuses, with git's own object ids.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, confFolder, source, startHost, temporaryFolder, until } from '../support/host.mjs';
import { runBeside } from '../support/codesandbox.mjs';
import { startGitHub, startPrism } from '../support/github.mjs';

const repro = name => JSON.parse(readFileSync(join(source, 'tests/data', `${name}.json`), 'utf8'));
const bootstrap = repro('bootstrap-20184'), search = repro('search-4711');
const TOKEN = 'ghp_never-to-be-seen-5f1e';
const NAME = 'owner/name', TEST = 'tests/regressions/20184.spec.js';
const addressed = { repo_url: NAME };

const conf = (api, lines = '', more = '') => ({
  'plugin.conf': `[plugin export-pr]\nnetwork = yes\nsecrets = GITHUB_TOKEN? GITHUB_ENTERPRISE_TOKEN?\ngithub_api = ${api}\n${lines}\n[secrets]\nGITHUB_TOKEN = \${TEST_TOKEN}\n`,
  'jobs.conf': `[jobs]\nbackoff = 20ms\nbackoff_max = 100ms\nmax_attempts = 5\n${more}`,
});
const begin = async (t, { lines, token = TOKEN, more, ...options } = {}) => {
  const github = await startGitHub(t, { token: TOKEN, people: ['anna', 'ben'], repositories: { [NAME]: {} }, ...options });
  const host = await startHost(t, { plugins: ['export-pr'], conf: conf(github.api, lines, more), env: { TEST_TOKEN: token } });
  return { github, host, repository: github.repositories.get(NAME), ask: (data = {}) => host.runJob({ task: 'pr', data: { repro: bootstrap, ...addressed, ...data } }) };
};
const calls = github => github.requests.map(({ method, path }) => `${method} ${path.replace(`/repos/${NAME}`, '')}`);

function holdsNoToken(host, ...texts) {
  for (const text of [host.log, ...texts.map(one => JSON.stringify(one))]) assert.ok(!text.includes(TOKEN), text);
  assert.equal(execFileSync('sh', ['-c', 'grep -rl -- "$0" "$1" || true', TOKEN, host.state], { encoding: 'utf8' }), '', 'the state folder holds the token');
}

function killWorkers(host) {
  for (const line of execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n'))
    if (line.includes(`exportd-worker ${host.process.pid} export-pr`)) process.kill(Number(line.trim().split(' ')[0]), 'SIGKILL');
}

test('six calls whatever the size of the repository: a branch with the test, and a pull request with what a reviewer needs', async t => {
  const { github, host, repository, ask } = await begin(t, { repositories: { [NAME]: { branch: 'trunk', files: Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`src/${i % 50}/f${i}.js`, `${i}\n`])) } } });
  const job = await ask();
  assert.equal(job.status, 'completed', job.error);
  const { result } = job;
  assert.deepEqual([result.pr_url, result.pr_number, result.branch_name, result.test_path], [`https://github.com/${NAME}/pull/1`, 1, 'bug-repro-20184', TEST]);
  assert.deepEqual([result.state, result.base, result.commit], ['created', 'trunk', repository.branches.get('bug-repro-20184')]);
  assert.equal(github.requests.length, 6, calls(github).join('\n'));
  assert.deepEqual(github.changed(NAME, 'trunk', 'bug-repro-20184'), [TEST]);
  assert.equal(github.files(NAME, 'bug-repro-20184')[TEST].bytes.toString(), bootstrap.test.code);
  assert.equal(github.ahead(NAME, 'trunk', 'bug-repro-20184'), 1);
  const [pull] = repository.pulls;
  assert.match(pull.title, /XSS through data-target in collapse/);
  for (const part of [/20184/, /expected/i, /actual/i, new RegExp(TEST.replaceAll('.', '\\.')), /npx playwright test/]) assert.match(pull.body, part);
  assert.equal(pull.draft, false);
  holdsNoToken(host, job);
});

test('all options: labels, people, a draft, an author, a sign-off; at most eight calls', async t => {
  const { github, repository, ask } = await begin(t);
  const job = await ask({ branch_name: 'fix/ünïcödé-🔎', base: 'main', title: 'A "title" with 🔎', body: 'My words.', labels: ['bug', 'regression'], reviewers: ['anna'], team_reviewers: ['core'], assignees: ['ben'], draft: true,
    path: 'e2e/bug.spec.js', author: { name: 'Ada L', email: 'ada@example.org' }, sign_off: true });
  assert.equal(job.status, 'completed', job.error);
  const [pull] = repository.pulls;
  assert.deepEqual([pull.title, pull.labels, pull.assignees, pull.reviewers, pull.teams, pull.draft], ['A "title" with 🔎', ['bug', 'regression'], ['ben'], ['anna'], ['core'], true]);
  assert.match(pull.body, /^My words\./);
  const commit = github.commits.get(repository.branches.get('fix/ünïcödé-🔎'));
  assert.deepEqual([commit.author.name, commit.author.email, commit.author.date], ['Ada L', 'ada@example.org', `${bootstrap.created_at.slice(0, 19)}Z`]);
  assert.match(commit.message, /\nSigned-off-by: Ada L <ada@example.org>\n$/);
  assert.deepEqual(github.changed(NAME, 'main', 'fix/ünïcödé-🔎'), ['e2e/bug.spec.js']);
  assert.ok(github.requests.length <= 8, calls(github).join('\n'));
});

test('the same again finds it; new words and a new test bring it up to date; a closed one is opened anew', async t => {
  const { github, repository, ask } = await begin(t);
  const first = await ask();
  const again = await ask();
  assert.deepEqual([again.result.pr_number, again.result.state, again.result.commit], [1, 'unchanged', first.result.commit]);
  const titled = await ask({ title: 'Another title', labels: ['late'], reviewers: ['anna'] });
  assert.deepEqual([titled.result.pr_number, titled.result.state, repository.pulls[0].title, repository.pulls[0].labels, repository.pulls[0].reviewers], [1, 'updated', 'Another title', ['late'], ['anna']]);
  const changed = structuredClone(bootstrap);
  changed.test.code += '\n// more\n';
  const moved = await ask({ repro: changed });
  assert.deepEqual([moved.result.pr_number, moved.result.state, github.ahead(NAME, 'main', 'bug-repro-20184')], [1, 'updated', 2]);
  repository.pulls[0].state = 'closed';
  const anew = await ask({ repro: changed });
  assert.deepEqual([anew.result.pr_number, anew.result.state], [2, 'created']);
  assert.match(anew.result.note, /#1 was closed/);
});

test('a branch that others moved or made is left alone: an error, or a number, which a retry finds again', async t => {
  const { github, repository, ask } = await begin(t);
  const theirs = github.commit(NAME, 'bug-repro-20184', { 'work.txt': 'mine' });
  const taken = await ask();
  assert.equal(taken.errorCode, 'branch_taken');
  for (let i = 0; i < 2; i++) {
    const numbered = await ask({ on_conflict: 'number' });
    assert.deepEqual([numbered.result?.branch_name, numbered.result?.pr_number], ['bug-repro-20184-2', 1], numbered.error);
  }
  assert.equal(repository.branches.get('bug-repro-20184'), theirs);
  const moved = github.commit(NAME, 'bug-repro-20184-2', { [TEST]: '// a reviewer\'s own words\n' });
  const refused = await ask({ branch_name: 'bug-repro-20184-2' });
  assert.equal(refused.errorCode, 'branch_taken');
  assert.equal(repository.branches.get('bug-repro-20184-2'), moved);
  assert.equal(repository.pulls.length, 1);
});

test('a fork, where the token may not push; or where it is wished', async t => {
  const { github, repository, ask, host } = await begin(t, { repositories: { [NAME]: { push: false } } });
  github.forkDelayMs = 50;
  const job = await ask({ labels: ['bug'] });
  assert.equal(job.status, 'completed', job.error);
  const fork = github.repositories.get('bot/name');
  assert.deepEqual([repository.pulls.length, repository.pulls[0].head.owner, fork.branches.has('bug-repro-20184'), repository.branches.has('bug-repro-20184')], [1, 'bot', true, false]);
  assert.match(job.result.note, /refuses the labels \(403/);
  assert.equal((await ask()).result.state, 'unchanged');
  holdsNoToken(host, job);
  const wished = await begin(t);
  assert.equal((await wished.ask({ fork: true })).status, 'completed');
  assert.equal(wished.repository.pulls[0].head.owner, 'bot');
});

for (const [what, options, data] of [['in the repository', {}, { labels: ['bug'], assignees: ['ben'], reviewers: ['anna'] }], ['by a fork', { repositories: { [NAME]: { push: false } } }, {}], ['with a binary file', {}, { files: true, repro: { ...bootstrap, files: [{ path: 'data.bin', content: 'AP+A/w==', encoding: 'base64' }] } }]]) {
  test(`killed after each call in turn, ${what}, before the answer is read: one branch, one pull request, the right content`, async t => {
    let last = 0;
    for (let stop = 1; stop <= 20 && last === 0; stop++) {
      const { github, host, repository, ask } = await begin(t, options);
      let killed = false;
      github.before = (seen, answer, finish, response) => {
        if (killed || seen.number < stop) return undefined;
        killed = true;
        killWorkers(host);
        response.destroy();
        return true;
      };
      const job = await ask(data);
      assert.equal(job.status, 'completed', `killed at call ${stop}: ${job.error}`);
      if (killed) assert.ok(job.attempts > 1);
      else last = stop;
      const head = github.repositories.get(options.repositories ? 'bot/name' : NAME);
      assert.deepEqual([...head.branches.keys()].sort(), ['bug-repro-20184', 'main'], `killed at call ${stop}`);
      assert.equal(repository.pulls.length, 1, `killed at call ${stop}`);
      assert.equal(head.branches.get('bug-repro-20184'), job.result.commit);
      assert.equal(github.ahead(head.name, 'main', 'bug-repro-20184'), 1);
      if (data.labels) assert.deepEqual([repository.pulls[0].labels, repository.pulls[0].assignees, repository.pulls[0].reviewers], [['bug'], ['ben'], ['anna']], `killed at call ${stop}`);
      if (data.files) assert.deepEqual([...github.files(NAME, 'bug-repro-20184')['tests/regressions/20184/data.bin'].bytes], [0, 255, 128, 255]);
      await host.stop();
    }
    assert.ok(last > 6, `the export made ${last - 1} calls`);
  });
}

test('limits of the rate, primary and secondary, are waited for by the job, not by the worker', async t => {
  const { github, host, ask } = await begin(t);
  const soon = () => String(Math.floor(Date.now() / 1000) + 2);
  for (const answer of [
    () => ({ status: 429, headers: { 'retry-after': '1' }, body: { message: 'Too many' } }),
    () => ({ status: 403, headers: { 'retry-after': '1' }, body: { message: 'You have exceeded a secondary rate limit.' } }),
    () => ({ status: 403, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': soon() }, body: { message: 'API rate limit exceeded' } }),
  ]) {
    let refused = 0;
    github.refuse = ({ path }) => path.endsWith('/git/trees') && refused++ === 0 ? answer() : undefined;
    const began = Date.now();
    const { json: { jobId } } = await host.process_({ task: 'pr', data: { repro: bootstrap, ...addressed, branch_name: `b${Math.random().toString(36).slice(2)}` } });
    await until(async () => (await host.get(`/jobs/${jobId}`)).json.status === 'pending' && refused > 0, 'the wait');
    assert.equal(await host.metric('exportd_jobs_running'), 0);
    const job = await host.finished(jobId);
    assert.equal(job.status, 'completed', job.error);
    assert.equal(job.attempts, 2);
    assert.ok(Date.now() - began >= 900);
  }
  github.refuse = () => ({ status: 403, body: { message: 'You have exceeded a secondary rate limit' } });
  const { json: { jobId } } = await host.process_({ task: 'pr', data: { repro: bootstrap, ...addressed } });
  await until(async () => (await host.get(`/jobs/${jobId}`)).json.errorCode === 'rate_limited' || host.log.includes('rate_limited'), 'the limit');
});

test('refusals have a code and a sentence with the mend', async t => {
  const { github, host, ask } = await begin(t, { more: '' });
  const at = (method, end, answer) => ({ method: asked, path }) => asked === method && path.endsWith(end) ? { headers: {}, ...answer } : undefined;
  const message = (text, errors) => ({ message: text, errors });
  for (const [refuse, code, sentence] of [
    [at('GET', NAME, { status: 401, body: message('Bad credentials') }), 'token_refused', /GITHUB_TOKEN/],
    [at('GET', NAME, { status: 404, body: message('Not Found') }), 'repository_not_found', /owner\/name.*scope repo/],
    [at('GET', NAME, { status: 301, body: message('Moved Permanently') }), 'repository_moved', /repo_url/],
    [at('GET', NAME, { status: 403, headers: { 'x-github-sso': 'required; url=https://github.com/orgs/x/sso?authorization_request=1' }, body: message('Resource protected by organization SAML enforcement.') }), 'sso_required', /single sign-on.*GITHUB_TOKEN/],
    [at('GET', NAME, { status: 451, body: message('Repository access blocked') }), 'repository_blocked', /blocked/],
    [at('POST', '/git/trees', { status: 404, body: message('Not Found') }), 'token_scope', /Contents and Pull requests: write/],
    [at('POST', '/git/trees', { status: 403, body: message('Resource not accessible by personal access token') }), 'token_scope', /GITHUB_TOKEN.*scope repo/],
    [at('POST', '/git/trees', { status: 409, body: message('Git Repository is empty.') }), 'repository_empty', /no commit/],
    [at('POST', '/git/trees', { status: 403, body: message('Repository was archived so is read-only.') }), 'repository_archived', /unarchive/],
    [at('POST', '/git/refs', { status: 422, body: message('Repository rule violations found') }), 'branch_refused', /another branch_name/],
    [at('POST', '/pulls', { status: 422, body: message('Validation Failed', [{ message: 'Draft pull requests are not supported in this repository.' }]) }), 'request_refused', /Draft pull requests are not supported/],
    [at('POST', '/pulls', { status: 410, body: message('Issues are disabled') }), 'request_refused', /410/],
    [at('POST', '/pulls', { status: 403, body: message('Resource not accessible by integration') }), 'token_scope', /Pull requests: write/],
    [at('GET', NAME, { status: 502, body: message('Bad Gateway') }), 'service_unreachable', /502/],
    [at('GET', NAME, { status: 200, body: [] }), 'answer_unexpected', /github_api/],
  ]) {
    github.refuse = refuse;
    const job = await ask({ branch_name: `b${Math.random().toString(36).slice(2)}` });
    assert.equal(job.errorCode, code, JSON.stringify(job));
    assert.match(job.error, sentence);
    assert.equal(job.attempts, ['service_unreachable', 'answer_unexpected'].includes(code) ? 5 : 1, code);
  }
  github.refuse = undefined;
  for (const [data, code, sentence] of [
    [{ base: 'nowhere' }, 'base_not_found', /no branch nowhere/],
    [{ branch_name: 'a..b' }, 'branch_invalid', /a\.\.b/],
    [{ repo_url: 'https://bot:secret@github.com/owner/name' }, 'repo_url_invalid', /user or a password/],
    [{ repo_url: 'https://evil.example/owner/name' }, 'remote_unknown', /evil\.example.*\[plugin export-pr\]/],
    [{ repo_url: 'https://github.com/owner' }, 'repo_url_invalid', /owner\/name/],
    [{ repo_url: 'ftp://github.com/owner/name' }, 'repo_url_invalid', /https/],
    [{ repo_url: 'https://github.com.evil.example/owner/name' }, 'remote_unknown', /evil/],
    [{ path: '../../etc/passwd' }, 'repro_unsafe', /\.\./],
    [{ path: '.github/workflows/x.yml' }, 'repro_unsafe', /steers/],
    [{ repro: { ...bootstrap, files: [{ path: '../escape.js', content: 'x' }] }, files: true }, 'repro_unsafe', /escape/],
  ]) {
    const job = await ask(data);
    assert.equal(job.errorCode, code, JSON.stringify(job));
    assert.match(job.error, sentence);
  }
  for (const strangers of [{ reviewers: ['stranger'] }, { labels: ['a'], assignees: ['stranger'] }]) {
    const job = await ask({ ...strangers, branch_name: `b${Math.random().toString(36).slice(2)}` });
    assert.equal(job.status, 'completed', job.error);
    if (strangers.reviewers) assert.match(job.result.note, /refuses the reviewers \(422/);
  }
  holdsNoToken(host);
});

test('more files or bytes than conf.d allows are refused before any call; what is no text goes as it is', async t => {
  const { github, ask } = await begin(t, { lines: 'max_files = 3\nmax_bytes = 20K' });
  const files = count => Array.from({ length: count }, (_, i) => ({ path: `f${i}.txt`, content: 'x', encoding: 'utf-8' }));
  for (const [more, sentence] of [[files(9), /more than 3 files; take out/], [[{ path: 'big.txt', content: 'x'.repeat(30_000), encoding: 'utf-8' }], /20480|20 K|bytes/]]) {
    const job = await ask({ repro: { ...bootstrap, files: more }, files: true });
    assert.deepEqual([job.errorCode, job.attempts], ['repro_too_large', 1], job.error);
    assert.match(job.error, sentence);
  }
  assert.equal(github.requests.length, 0);
  const odd = Buffer.from([0xff, 0xfe, 0, 0x80, 0x0a]);
  const job = await ask({ repro: { ...bootstrap, files: [{ path: 'odd.bin', content: odd.toString('base64'), encoding: 'base64' }] }, files: true });
  assert.equal(job.status, 'completed', job.error);
  assert.deepEqual(github.files(NAME, 'bug-repro-20184')['tests/regressions/20184/odd.bin'].bytes, odd);
});

test('archived, empty, and nothing to change', async t => {
  assert.equal((await (await begin(t, { repositories: { [NAME]: { archived: true } } })).ask()).errorCode, 'repository_archived');
  assert.equal((await (await begin(t, { repositories: { [NAME]: { files: null } } })).ask()).errorCode, 'repository_empty');
  const same = await begin(t, { repositories: { [NAME]: { files: { [TEST]: bootstrap.test.code } } } });
  const job = await same.ask();
  assert.equal(job.errorCode, 'nothing_to_change', JSON.stringify(job));
  assert.deepEqual([...same.repository.branches.keys()], ['main']);
});

test('hostile words from a repro ping nobody, close nothing, and bring no HTML', async t => {
  const { repository, ask } = await begin(t);
  const hostile = structuredClone(bootstrap);
  Object.assign(hostile, { title: '@everyone \u001b[31mred\u001b[0m <img src=x onerror=alert(1)> fixes #1 \u202Egnp', description: 'Hi @anna, closes #12.\n\n<script>alert(1)</script>\n\n![x](https://evil.example/pixel.png)\n\n/close\n' });
  hostile.steps = [{ action: '@ben <b>x</b>', expected: '| a | b |', actual: '`code` GH-7' }];
  const job = await ask({ repro: hostile });
  assert.equal(job.status, 'completed', job.error);
  const [pull] = repository.pulls;
  for (const text of [pull.title, pull.body]) {
    assert.doesNotMatch(text, /(^|[^\w`&;])@(everyone|anna|ben)\b/, text);
    assert.doesNotMatch(text, /\u001b|\u202e/);
  }
  const outsideCode = pull.body.split('\n').filter(line => !line.startsWith('    ')).join('\n').replace(/^```[^]*?^```/gm, '');
  assert.doesNotMatch(outsideCode, /<(img|script|b)\b/i);
  assert.doesNotMatch(pull.body, /!\[x\]\(https:\/\/evil/);
  assert.doesNotMatch(pull.body, /^\/close/m);
  assert.doesNotMatch(pull.body, /closes #12/);
});

test('a GitHub Enterprise Server has its own token and its API below /api/v3', async t => {
  const github = await startGitHub(t, { token: 'enterprise-token', repositories: { [NAME]: {} } });
  const host = await startHost(t, { plugins: ['export-pr'], env: { TEST_TOKEN: 'enterprise-token' },
    conf: { 'plugin.conf': `[plugin export-pr]\nnetwork = yes\nsecrets = GITHUB_TOKEN? GITHUB_ENTERPRISE_TOKEN?\nenterprise = ${github.api}\n[secrets]\nGITHUB_ENTERPRISE_TOKEN = \${TEST_TOKEN}\n` } });
  const job = await host.runJob({ task: 'pr', data: { repro: search, repo_url: `${github.api}/${NAME}.git` } });
  assert.equal(job.status, 'completed', job.error);
  assert.ok(github.requests.every(({ raw }) => raw.startsWith('/api/v3/repos/')));
  assert.equal((await host.runJob({ task: 'pr', data: { repro: search, repo_url: NAME } })).errorCode, 'token_missing');
});

describe('GitHub\'s published description', () => {
  const endings = [];
  const context = { after: ending => endings.push(ending) };
  let github, prism, host;
  before(async () => {
    github = await startGitHub(context, { token: TOKEN, people: ['anna', 'ben'], repositories: { [NAME]: {}, 'other/name': { push: false }, 'owner/enterprise': {} } });
    prism = await startPrism(context, github.api);
    host = await startHost(context, { plugins: ['export-pr'], conf: conf(prism.url, 'request_timeout = 60s'), env: { TEST_TOKEN: TOKEN } });
  });
  after(async () => { for (const ending of endings.reverse()) await ending(); });

  const violations = () => prism.log.split('\n').filter(line => /Violation: request/i.test(line));

  test('takes every request: new, again, moved, numbered, forked, with all options, with binary files', async () => {
    const rich = structuredClone(search);
    rich.files.push({ path: 'データ 🔎.bin', content: 'AP+A/w==', encoding: 'base64' });
    const moved = structuredClone(bootstrap);
    moved.test.code += '// more\n';
    github.commit('owner/enterprise', 'bug-repro-20184', { x: 'y' });
    for (const data of [
      { repro: bootstrap, repo_url: NAME, labels: ['bug'], reviewers: ['anna'], team_reviewers: ['core'], assignees: ['ben'], draft: true },
      { repro: bootstrap, repo_url: NAME, labels: ['late'], assignees: ['anna'] },
      { repro: moved, repo_url: NAME, title: 'Another' },
      { repro: rich, repo_url: NAME, files: true, branch_name: 'feature/ünïcödé' },
      { repro: bootstrap, repo_url: 'other/name' },
      { repro: bootstrap, repo_url: 'owner/enterprise', on_conflict: 'number' },
      { repro: bootstrap, repo_url: 'owner/enterprise', on_conflict: 'number' },
    ]) {
      const job = await host.runJob({ task: 'pr', data });
      assert.equal(job.status, 'completed', `${JSON.stringify(data.repo_url)}: ${job.error}\n${prism.log.slice(-2000)}`);
    }
    assert.deepEqual(violations(), []);
    assert.ok(github.requests.length > 40, 'they went through prism');
    assert.equal((prism.log.match(/Forwarding/gi) ?? []).length >= github.requests.length, true, prism.log.slice(0, 2000));
    holdsNoToken(host);
  });

  test('and prism would have told', async () => {
    const bad = await fetch(`${prism.url}/repos/${NAME}/git/refs`, { method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}`, 'user-agent': 'x' }, body: JSON.stringify({ ref: 'refs/heads/x', sha: 7 }) });
    await bad.text();
    assert.ok(violations().length > 0, prism.log.slice(-3000));
  });
});

test('a forge is found by its name, too', async t => {
  const github = await startGitHub(t, { token: TOKEN, repositories: { [NAME]: {} } });
  const host = await startHost(t, { plugins: ['export-pr'], conf: conf(github.api.replace('127.0.0.1', 'localhost')), env: { TEST_TOKEN: TOKEN } });
  const job = await host.runJob({ task: 'pr', data: { repro: bootstrap, ...addressed } });
  assert.equal(job.status, 'completed', job.error);
});

test('exportd run opens one, for both reproductions', async t => {
  const github = await startGitHub(t, { token: TOKEN, repositories: { [NAME]: {} } });
  const folder = temporaryFolder(t);
  for (const [name, number] of [['bootstrap-20184', 1], ['search-4711', 2]]) {
    const done = await runBeside(['run', 'pr', '-c', confFolder(folder, conf(github.api)), '--repro', join(source, `tests/data/${name}.json`), '--option', 'repo_url=https://github.com/owner/name', '--option', 'labels=bug,flaky', '-o', join(folder, 'out')],
      { env: { TEST_TOKEN: TOKEN, EXPORTD_HOST_PLUGINS: join(build, 'plugins'), EXPORTD_HOST_STATE: folder } });
    assert.equal(done.code, 0, done.stderr);
    assert.equal(JSON.parse(done.stdout).pr_number, number);
    assert.ok(!(done.stdout + done.stderr).includes(TOKEN));
  }
});

test('the token is in no process list and in no environment of a worker', async t => {
  const { github, host, ask } = await begin(t);
  let seen = '';
  github.before = (_, __, finish) => {
    seen += execFileSync('sh', ['-c', 'for p in /proc/[0-9]*; do if tr "\\0" " " < $p/cmdline 2>/dev/null | grep -q exportd-worker; then tr "\\0" "\\n" < $p/cmdline; tr "\\0" "\\n" < $p/environ 2>/dev/null; fi; done; ps -eo args'], { encoding: 'utf8' });
    finish();
    return true;
  };
  assert.equal((await ask()).status, 'completed');
  assert.match(seen, /exportd-worker/);
  assert.ok(!seen.includes(TOKEN));
  assert.ok(host.process.pid);
});
