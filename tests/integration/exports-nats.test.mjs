// The contract's exports that leave the house, over NATS: as a caller asks for them, with all options in every request.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { source, startHost, temporaryFolder, until } from '../support/host.mjs';
import { Caller, startNats } from '../support/nats.mjs';
import { git, startGit } from '../support/git.mjs';

const TOKEN = 'tok-nats-never-to-be-seen';

/** Both reproductions, under their own ids. */
function reproFolder(t) {
  const folder = join(temporaryFolder(t), 'repros');
  mkdirSync(folder);
  return [folder, ...['bootstrap-20184', 'search-4711'].map(name => {
    const text = readFileSync(join(source, 'tests/data', `${name}.json`), 'utf8');
    const { id, bug } = JSON.parse(text);
    writeFileSync(join(folder, `${id}.json`), text);
    return { id, bug: bug.id };
  })];
}

test('pr and sandbox, on both reproductions', async t => {
  const [nats, server] = await Promise.all([startNats(t), startGit(t, { users: { bot: TOKEN } })]);
  const [folder, ...repros] = reproFolder(t);
  server.make('repo');
  const host = await startHost(t, {
    plugins: ['export-pr', 'export-codesandbox', 'export-stackblitz'],
    env: { TEST_TOKEN: TOKEN },
    conf: {
      'nats.conf': `[nats]\nurl = ${nats.url}\n`,
      'repros.conf': `[repros]\nfolder = ${folder}\n`,
      'pr.conf': `[plugin export-pr]\nnetwork = yes\ncache = git\nsecrets = GITHUB_TOKEN? GIT_TOKEN?\ngit = ${server.url}\ngit_user = bot\n[secrets]\nGIT_TOKEN = \${TEST_TOKEN}\n`,
      'sandbox.conf': '[route sandbox]\ndefault = stackblitz\n',
    },
  });
  await until(async () => !(await host.get('/readyz')).json.missing.some(text => text.startsWith('nats: ')), 'the connection to NATS');
  const caller = await Caller.connect(t, nats.url);
  for (const { id, bug } of repros) {
    const options = { repo_url: `${server.url}/repo.git`, branch_name: `bug-repro-${bug}`, format: 'pdf' };
    const ask = async (type, more) => {
      const { export_id: request } = caller.request(type, { repro_id: id, options: { ...options, ...more } });
      const { subject, json } = await caller.answer(request);
      assert.equal(subject, 'export.completed', JSON.stringify(json));
      assert.equal(json.export_type, type);
      return json.result;
    };
    const pull = await ask('pr', { platform: 'codesandbox' });
    assert.deepEqual([pull.branch_name, pull.test_path], [`bug-repro-${bug}`, `tests/regressions/${bug}.spec.js`]);
    assert.equal(git(server.path('repo'), 'diff', '--name-only', 'main', pull.branch_name), pull.test_path);
    const page = await ask('sandbox', { platform: 'stackblitz' });
    assert.match(page.artifacts[0].name, /\.html$/);
    assert.equal((await ask('sandbox', { platform: undefined })).platform, 'stackblitz');
    const link = await ask('sandbox', { platform: 'codesandbox', offline: true });
    assert.ok(link.url || link.artifacts.length === 1, JSON.stringify(link));
  }
  assert.ok(!host.log.includes(TOKEN) && !JSON.stringify(caller.messages).includes(TOKEN));
});
