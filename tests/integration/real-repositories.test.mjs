// Every task of the repository worker on two real repositories of different kinds, a C library (hiredis, with its makefile) and a TypeScript package (built by tsc), served by
// git http-backend: over HTTP with a callback, by `exportd run`, and as the shipped pipeline process-with-repo, on one host and on two.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { confFolder, pluginFolder, run, source, startHost, startReceiver, temporaryFolder, until } from '../support/host.mjs';
import { git, startGit } from '../support/git.mjs';
import { freePort } from '../support/servers.mjs';

const modules = join(source, 'tests/node_modules');
const PLUGINS = ['repo-clone', 'repo-enrich', 'repo-embed', 'repo-build', 'repo-template'];
const pipeline = readFileSync(join(source, 'conf.d/pipelines.conf'), 'utf8'); // as it is shipped
const conf = (more = '') => ({
  'p.conf': `[plugin repo-clone]\nnetwork = yes\ncache = git\nschemes = http\nallow = 127.0.0.0/8\n[plugin repo-enrich]\ncache = git\n[plugin repo-embed]\ncache = embeddings\n[plugin repo-build]\nexec = yes\nmemory = 4G\npath = ${modules}/.bin\nread = ${modules}\n[webhook]\nallow = 127.0.0.1\n`,
  'jobs.conf': `[jobs]\nbackoff = 20ms\nbackoff_max = 200ms\nmax_attempts = 4\n${more}`,
  'pipelines.conf': pipeline,
});

function filesOf(folder, wanted, prefix = '') {
  return Object.fromEntries(readdirSync(join(folder, prefix)).flatMap(name => {
    const path = prefix ? `${prefix}/${name}` : name;
    if (statSync(join(folder, path)).isDirectory()) return Object.entries(filesOf(folder, wanted, path));
    return wanted(path) ? [[path, readFileSync(join(folder, path))]] : [];
  }));
}

const kinds = {
  hiredis: {
    files: filesOf(join(modules, 'hiredis/deps/hiredis'), () => true), data: {},
    check({ enrichment, build, listed }) {
      assert.equal(enrichment.languages[0].name, 'C');
      assert.ok(enrichment.languages[0].percent > 80);
      assert.equal(enrichment.licence.spdx, 'BSD-3-Clause');
      assert.equal(enrichment.readme.file, 'README.md');
      assert.equal(enrichment.readme.title, 'HIREDIS');
      assert.equal(build.system, 'make');
      assert.ok(['libhiredis.a', 'libhiredis.so'].every(name => listed.includes(name)), listed.join());
      assert.ok(!listed.some(name => name.endsWith('.o')));
    },
  },
  base64: {
    files: filesOf(join(modules, '@stablelib/base64'), path => /^(base64\.ts|package\.json|tsconfig\.json|LICENSE)$/.test(path)), data: { install: false, output: 'lib' },
    check({ enrichment, build, listed }) {
      assert.equal(enrichment.languages[0].name, 'TypeScript');
      assert.equal(enrichment.licence.spdx, 'MIT');
      assert.deepEqual(enrichment.manifests.map(({ ecosystem, name }) => [ecosystem, name]), [['npm', '@stablelib/base64']]);
      assert.deepEqual(enrichment.manifests[0].dependencies.map(({ name, scope }) => [name, scope]), [['@stablelib/benchmark', 'development']]);
      assert.equal(build.system, 'npm');
      assert.deepEqual(listed, ['base64.d.ts', 'base64.js', 'base64.js.map']);
    },
  },
};

/** A server with both, each with a history of three commits by two people. */
async function startServer(t) {
  const server = await startGit(t, { users: {}, publicRead: true });
  for (const [name, { files }] of Object.entries(kinds)) {
    server.make(name, { files: {} });
    const paths = Object.keys(files);
    for (let part = 0; part < 3; part++) {
      server.commit(name, 'main', Object.fromEntries(paths.filter((_, i) => i % 3 === part).map(path => [path, files[path]])), `Part ${part}\n`);
    }
  }
  return server;
}

const artifact = async (result, name) => Buffer.from(await (await fetch(result.artifacts.find(one => one.name === name).url)).arrayBuffer());
const sha256 = bytes => createHash('sha256').update(bytes).digest('hex');

/** What the tarball of a build holds, as the manifest says. */
function unpack(t, build, tarball, manifest) {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'x.tar'), tarball);
  execFileSync('tar', ['-xf', 'x.tar'], { cwd: folder });
  for (const file of manifest.files) if (file.sha256) assert.equal(sha256(readFileSync(join(folder, 'build', file.path))), file.sha256, file.path);
  assert.equal(manifest.files.length, build.files);
  return manifest.files.map(({ path }) => path);
}

/** The rows of a .npy of float32, and its shape. */
function readNpy(bytes) {
  assert.equal(bytes.subarray(0, 6).toString('latin1'), '\x93NUMPY');
  const header = bytes.subarray(10, 10 + bytes.readUInt16LE(8)).toString();
  const [rows, columns] = /'shape': \((\d+), (\d+)\)/.exec(header).slice(1).map(Number);
  return { rows, columns, size: bytes.length - 10 - bytes.readUInt16LE(8) };
}

async function checkAll(t, server, name, results, take) {
  const bare = server.path(name), tracked = git(bare, 'ls-files', '--with-tree=main').split('\n');
  const { acquire, enrichment, embeddings, build } = results;
  assert.equal(acquire.files, tracked.length);
  assert.equal(acquire.commit, git(bare, 'rev-parse', 'main'));
  assert.equal(acquire.bytes, git(bare, 'ls-tree', '-r', '-l', 'main').split('\n').reduce((sum, line) => sum + Number(line.split(/\s+/)[3]), 0));
  assert.equal(enrichment.files.count, tracked.length);
  assert.equal(enrichment.history.commits, 3);
  assert.equal(enrichment.repository.commit, acquire.commit);
  const npy = readNpy(await take('embeddings.npy'));
  assert.deepEqual([npy.rows, npy.columns, npy.size], [embeddings.chunks, embeddings.embedder.dimensions, embeddings.chunks * embeddings.embedder.dimensions * 4]);
  const lines = (await take('embeddings.jsonl')).toString().trim().split('\n').map(line => JSON.parse(line));
  assert.equal(lines.length, embeddings.chunks);
  assert.ok(lines.every(({ file }) => tracked.includes(file)));
  const listed = unpack(t, build, await take(build.archive), JSON.parse(await take('manifest.json')));
  kinds[name].check({ enrichment, build, listed });
}

for (const name of Object.keys(kinds)) {
  describe(name, () => {
    test('each task over HTTP, with a callback', async t => {
      const server = await startServer(t);
      const host = await startHost(t, { plugins: PLUGINS, conf: conf() });
      const { url, received } = await startReceiver(t);
      const results = {};
      const bodies = { acquire: 'acquire-user-repo', enrichment: 'enrich-repo', embeddings: 'compute-embeddings', build: 'build-assets' };
      for (const [key, task] of Object.entries(bodies)) {
        const { status, json } = await host.process_({ jobId: task, task, callbackUrl: url, data: { repo_url: `${server.url}/${name}.git`, ...task === 'build-assets' ? kinds[name].data : {} } });
        assert.equal(status, 202, JSON.stringify(json));
        const job = await host.finished(task, 120_000);
        assert.equal(job.status, 'completed', `${task}: ${job.error}`);
        results[key] = job.result;
        await until(() => received.some(({ json: body }) => body.jobId === task), 'the callback');
        assert.deepEqual(received.find(({ json: body }) => body.jobId === task).json.result, job.result);
      }
      const all = Object.values(results).flatMap(result => result.artifacts ?? []);
      await checkAll(t, server, name, results, file => artifact({ artifacts: all }, file));
      const again = await host.runJob({ task: 'compute-embeddings', data: { repo_url: `${server.url}/${name}.git` } });
      assert.deepEqual([again.result.embedded, again.result.reused], [0, results.embeddings.embedded], 'nothing that is unchanged is embedded again');
    });

    test('each by `exportd run`, and nearest to a question is what answers it', async t => {
      const server = await startServer(t), folder = temporaryFolder(t), config = confFolder(folder, conf());
      const results = {}, files = {};
      for (const [key, task] of Object.entries({ acquire: 'acquire-user-repo', enrichment: 'enrich-repo', embeddings: 'compute-embeddings', build: 'build-assets', template: 'create-from-template' })) {
        const out = join(folder, key);
        const data = { repo_url: `${server.url}/${name}.git`, ...key === 'build' ? kinds[name].data : {}, ...key === 'enrichment' ? { history: true } : {},
          ...key === 'embeddings' ? { query: [{ hiredis: 'connect to a unix domain socket', base64: 'decode url safe base64' }[name]], top: 3 } : {} };
        const done = run(['run', task, '-c', config, '-o', out, '--quiet', '--data', JSON.stringify(data)], { env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, PLUGINS) } });
        assert.equal(done.code, 0, `${task}: ${done.stderr}`);
        results[key] = JSON.parse(done.stdout);
        for (const one of results[key].artifacts ?? []) files[one.name] ??= readFileSync(join(out, one.name));
      }
      await checkAll(t, server, name, results, async file => files[file]);
      assert.equal(results.template.files, results.acquire.files, 'a template without placeholders is its files');
      const best = results.embeddings.nearest[0].chunks ?? results.embeddings.nearest[0].results;
      assert.ok(best.some(({ file }) => ({ hiredis: /^(net|hiredis|README|test|async)/, base64: /^base64\.ts$/ }[name]).test(file)), JSON.stringify(best));
    });
  });
}

test('process-with-repo: one workspace, each step\'s time, artifacts of all; a repository without a build ends well', async t => {
  const server = await startServer(t);
  const host = await startHost(t, { plugins: PLUGINS, conf: conf() });
  for (const name of Object.keys(kinds)) {
    const job = await host.runJob({ task: 'process-with-repo', data: { repo_url: `${server.url}/${name}.git`, ...kinds[name].data } });
    assert.equal(job.status, 'completed', job.error);
    assert.deepEqual(job.result.steps.map(({ step }) => step), ['acquire-user-repo', 'enrich-repo', 'compute-embeddings', 'build-assets']);
    for (const { durationMs } of job.result.steps) assert.ok(Number.isInteger(durationMs) && durationMs >= 0);
    const [acquire, enrichment, embeddings, build] = job.result.steps.map(({ result }) => result);
    await checkAll(t, server, name, { acquire, enrichment, embeddings, build }, file => artifact(job.result, file));
  }
  server.make('words', { files: { 'README.md': '# Words\n\nOnly words.\n' } });
  const words = await host.runJob({ task: 'process-with-repo', data: { repo_url: `${server.url}/words.git` } });
  assert.equal(words.status, 'completed', words.error);
  assert.equal(words.result.steps[3].result.skipped, true);
});

test('process-with-repo over two hosts, and either killed in the middle: one end, one callback, the same result', async t => {
  const SECRET = 'between-the-two';
  const server = await startServer(t);
  const env = { EXPORTD_WEBHOOK_SECRET: SECRET, EXPORTD_WEBHOOK_BACKOFF: '50ms', EXPORTD_WEBHOOK_BACKOFF_MAX: '200ms' };
  const [workerPort, frontPort] = [await freePort(), await freePort()];
  const worker = await startHost(t, { plugins: PLUGINS, conf: conf(), env: { ...env, EXPORTD_HTTP_LISTEN: `127.0.0.1:${workerPort}` } });
  const front = await startHost(t, { plugins: ['noop'], conf: { 'u.conf': '[upstream]\ntasks = process-with-repo\n[webhook]\nallow = 127.0.0.1\n[jobs]\nbackoff = 20ms\nbackoff_max = 200ms\nmax_attempts = 6\n' },
    env: { ...env, EXPORTD_HTTP_LISTEN: `127.0.0.1:${frontPort}`, REPO_WORKER_API_URL: `http://127.0.0.1:${workerPort}` } });
  const { url, received } = await startReceiver(t);
  const ask = async (jobId, name) => {
    const { status, json } = await front.process_({ jobId, task: 'process-with-repo', callbackUrl: url, data: { repo_url: `${server.url}/${name}.git`, ...kinds[name].data } });
    assert.equal(status, 202, JSON.stringify(json));
  };
  const check = async (jobId, name) => {
    const job = await front.finished(jobId, 120_000);
    assert.equal(job.status, 'completed', job.error);
    const [acquire, enrichment, embeddings, build] = job.result.steps.map(({ result }) => result);
    await checkAll(t, server, name, { acquire, enrichment, embeddings, build }, file => artifact(job.result, file));
    await until(() => received.some(({ json }) => json.jobId === jobId), 'the callback');
    await new Promise(done => setTimeout(done, 300));
    assert.equal(received.filter(({ json }) => json.jobId === jobId).length, 1);
    assert.deepEqual(received.find(({ json }) => json.jobId === jobId).json.result, job.result);
  };
  await ask('plain', 'base64');
  await check('plain', 'base64');
  for (const [jobId, host] of [['worker-killed', worker], ['front-killed', front]]) {
    await ask(jobId, 'hiredis');
    await until(async () => (await worker.get(`/jobs/${jobId}`)).json?.progress > 0.5, 'the middle of the job', 60_000);
    await host.kill();
    await host.start();
    await check(jobId, 'hiredis');
  }
});
