// A pull request on GitHub that was there: what people made of it stays theirs. And workers that die before a call is carried out, or go on to the next job.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { source, startHost } from '../support/host.mjs';
import { startGitHub } from '../support/github.mjs';

const bootstrap = JSON.parse(readFileSync(join(source, 'tests/data/bootstrap-20184.json'), 'utf8'));
const TOKEN = 'ghp_never-to-be-seen-77aa', NAME = 'owner/name', TEST = 'tests/regressions/20184.spec.js', BRANCH = 'bug-repro-20184';
const changed = structuredClone(bootstrap);
changed.test.code += '\n// more\n';

async function begin(t, { lines = '', ...options } = {}) {
  const github = await startGitHub(t, { token: TOKEN, people: ['anna', 'ben'], repositories: { [NAME]: {} }, ...options });
  const host = await startHost(t, { plugins: ['export-pr'], env: { TEST_TOKEN: TOKEN }, conf: {
    'plugin.conf': `[plugin export-pr]\nnetwork = yes\nworkers = 1\nsecrets = GITHUB_TOKEN\ngithub_api = ${github.api}\n${lines}\n[secrets]\nGITHUB_TOKEN = \${TEST_TOKEN}\n`,
    'jobs.conf': '[jobs]\nbackoff = 20ms\nbackoff_max = 100ms\nmax_attempts = 5\n' } });
  return { github, host, repository: github.repositories.get(NAME), ask: (data = {}) => host.runJob({ task: 'pr', data: { repro: bootstrap, repo_url: NAME, ...data } }) };
}

const calls = github => github.requests.map(({ method, path }) => `${method} ${path.replace(`/repos/${NAME}`, '')}`);

test('a text that somebody wrote over stays, and the commits go on', async t => {
  const { repository, ask } = await begin(t);
  await ask();
  Object.assign(repository.pulls[0], { title: 'Theirs', body: 'A maintainer\'s own words' });
  const again = await ask();
  assert.deepEqual([again.result.state, repository.pulls[0].title, repository.pulls[0].body], ['unchanged', 'Theirs', 'A maintainer\'s own words']);
  assert.match(again.result.note, /rewritten by hand/);
  assert.equal((await ask({ repro: changed })).result.state, 'updated');
  assert.equal(repository.pulls[0].title, 'Theirs');
});

test('line ends that GitHub\'s page makes are no change', async t => {
  const { github, repository, ask } = await begin(t);
  await ask();
  repository.pulls[0].body = repository.pulls[0].body.replaceAll('\n', '\r\n');
  const before = github.requests.length;
  assert.equal((await ask()).result.state, 'unchanged');
  assert.ok(!calls(github).slice(before).some(call => call.startsWith('PATCH')));
});

test('labels that others set stay; whoever has reviewed it is not asked again', async t => {
  const { repository, ask } = await begin(t);
  await ask({ labels: ['bug'], reviewers: ['anna'] });
  const [pull] = repository.pulls;
  pull.labels.push('theirs');
  Object.assign(pull, { reviewers: [], reviews: ['Anna'] }); // she is done
  const again = await ask({ labels: ['bug', 'late'], reviewers: ['anna', 'ben'], assignees: ['ben'] });
  assert.equal(again.status, 'completed', again.error);
  assert.deepEqual([pull.labels, pull.reviewers, pull.assignees], [['bug', 'theirs', 'late'], ['ben'], ['ben']]);
});

test('commits of others on top: the same test is found and left, another one is branch_taken', async t => {
  const { github, repository, ask } = await begin(t);
  await ask();
  const theirs = github.commit(NAME, BRANCH, { 'src/fix.js': 'mended\n' });
  const again = await ask();
  assert.deepEqual([again.result?.pr_number, again.result?.state, again.result?.commit], [1, 'unchanged', theirs], again.error);
  assert.match(again.result.note, /somebody else has added commits/);
  assert.equal((await ask({ repro: changed })).errorCode, 'branch_taken');
  assert.deepEqual([repository.branches.get(BRANCH), repository.pulls.length], [theirs, 1]);
});

test('a branch of others that happens to hold the test is not taken for this export\'s', async t => {
  const { github, repository, ask } = await begin(t);
  const theirs = github.commit(NAME, 'release', { [TEST]: bootstrap.test.code, 'more.txt': 'x' });
  repository.pulls.push({ number: 1, state: 'open', title: 'Release 2', body: 'All of it', draft: false, base: 'main', head: { owner: 'owner', branch: 'release', repository: NAME, sha: theirs }, labels: [], assignees: [], reviewers: [], teams: [] });
  assert.equal((await ask({ branch_name: 'release' })).errorCode, 'branch_taken');
  assert.deepEqual([repository.pulls[0].title, repository.branches.get('release')], ['Release 2', theirs]);
});

test('once it is merged and its branch is gone, the same export answers with it', async t => {
  const { github, repository, ask } = await begin(t);
  const first = await ask();
  Object.assign(repository.pulls[0], { state: 'closed', merged: true });
  github.commit(NAME, 'main', { [TEST]: bootstrap.test.code }, 'squashed\n');
  repository.branches.delete(BRANCH);
  const again = await ask();
  assert.deepEqual([again.result?.pr_number, again.result?.state, again.result?.pr_url], [1, 'unchanged', first.result.pr_url], again.error);
  assert.match(again.result.note, /was merged/);
  assert.deepEqual([...repository.branches.keys()], ['main']);
});

test('a new branch that GitHub doesn\'t show everywhere yet is asked for again', async t => {
  const { github, repository, ask } = await begin(t);
  let late = 0;
  github.refuse = ({ method, path }) => method === 'POST' && path.endsWith('/pulls') && late++ === 0 ? { status: 422, body: { message: 'Validation Failed', errors: [{ resource: 'PullRequest', field: 'head', code: 'invalid' }] } } : undefined;
  const job = await ask();
  assert.deepEqual([job.status, job.attempts, repository.pulls.length, job.result?.state], ['completed', 2, 1, 'created'], job.error);
});

test('labels that GitHub drops without a word are in the note', async t => {
  const { github, ask } = await begin(t);
  github.refuse = ({ method, path }) => method === 'PATCH' && path.includes('/issues/') ? { status: 200, body: { number: 1, labels: [], assignees: [{ login: 'ben' }] } } : undefined;
  const job = await ask({ labels: ['bug'], assignees: ['ben'] });
  assert.match(job.result.note, /did not set all of the labels/);
  assert.doesNotMatch(job.result.note, /assignees/);
});

test('a warm worker keeps its connection from job to job, and survives its end', async t => {
  const { github, ask } = await begin(t);
  for (let i = 0; i < 3; i++) assert.equal((await ask({ branch_name: `b${i}` })).status, 'completed');
  assert.equal(github.connections, 1);
  await github.drop();
  assert.equal((await ask({ branch_name: 'last' })).status, 'completed');
  assert.equal(github.connections, 2);
});

const killWorkers = host => {
  for (const line of execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n'))
    if (line.includes(`exportd-worker ${host.process.pid} export-pr`)) process.kill(Number(line.trim().split(' ')[0]), 'SIGKILL');
};

for (const [what, repositories] of [['in the repository', { [NAME]: {} }], ['by a fork', { [NAME]: { push: false } }]])
  test(`killed when each call in turn has come and is not carried out, ${what}: one branch, one pull request, the right content`, async t => {
    const { github, host, ask } = await begin(t, { repositories });
    let last = 0;
    for (let stop = 1; stop <= 20 && last === 0; stop++) {
      const name = `owner/r${stop}`;
      github.add(name, repositories[NAME]);
      let killed = false, count = 0;
      github.refuse = () => {
        if (killed || ++count < stop) return undefined;
        killed = true;
        killWorkers(host);
        return { status: 500, body: {} };
      };
      const job = await ask({ repo_url: name, labels: ['bug'], assignees: ['ben'], reviewers: ['anna'] });
      assert.equal(job.status, 'completed', `killed at call ${stop}: ${job.error}`);
      if (killed) assert.ok(job.attempts > 1);
      else last = stop;
      const repository = github.repositories.get(name), head = repositories[NAME].push === false ? `bot/r${stop}` : name;
      assert.equal(repository.pulls.length, 1, `killed at call ${stop}`);
      assert.deepEqual([...github.repositories.get(head).branches.keys()].sort(), [BRANCH, 'main'], `killed at call ${stop}`);
      assert.equal(github.ahead(head, 'main', BRANCH), 1);
      assert.deepEqual(github.changed(head, 'main', BRANCH), [TEST]);
      assert.equal(github.files(head, BRANCH)[TEST].bytes.toString(), bootstrap.test.code);
      if (head === name) assert.deepEqual([repository.pulls[0].labels, repository.pulls[0].assignees, repository.pulls[0].reviewers], [['bug'], ['ben'], ['anna']], `killed at call ${stop}`);
    }
    assert.ok(last > 7, `the export made ${last - 1} calls`);
  });
