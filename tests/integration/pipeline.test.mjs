// Pipelines: routes that conf.d makes out of others. One workspace, one result, and a retry that goes on at the step that failed.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { confFolder, patience, pluginFolder, run, source, startHost, temporaryFolder, until } from '../support/host.mjs';

const conf = {
  'pipelines.conf': '[pipeline trip]\nsummary = There and back\nsteps = stepper-one, walker-one, stepper-two\n[pipeline with-repro]\nsteps = stepper-one, walker-repro\n',
  'jobs.conf': '[jobs]\nbackoff = 10ms\nbackoff_max = 20ms\nmax_attempts = 4\n',
};
const plugins = ['stepper', 'walker'];
const ran = (host, step) => (host.log.match(new RegExp(`ran ${step},`, 'g')) ?? []).length;
const kept = host => readdirSync(join(host.state, 'pipelines'));
const gone = host => until(() => kept(host).length === 0, 'the removal of what was kept');

test('steps share one workspace, each gets the result of the one before, and all of it is in the result', async t => {
  const host = await startHost(t, { plugins, conf });
  const { json: { plugins: listed, pipelines } } = await host.get('/plugins');
  assert.ok(listed.every(plugin => plugin.routes.every(({ route }) => !['trip', 'with-repro'].includes(route))));
  assert.deepEqual(pipelines.map(({ route, steps, summary }) => [route, steps, summary])[0], ['trip', ['stepper-one', 'walker-one', 'stepper-two'], 'There and back']);
  const job = await host.runJob({ task: 'trip', data: { line: 'hello', 'walker-one': { line: 'special', artifact: 'notes.txt' }, 'stepper-two': { artifact: 'notes.txt' } } });
  assert.equal(job.status, 'completed', job.error);
  const [first, second, third] = job.result.steps;
  assert.deepEqual([first.step, second.step, third.step], ['stepper-one', 'walker-one', 'stepper-two']);
  for (const { durationMs } of job.result.steps) assert.ok(durationMs >= 0 && durationMs < patience);
  assert.equal(first.result.notes, 'stepper-one hello\n');
  assert.equal(third.result.notes, 'stepper-one hello\nwalker-one special\nstepper-two hello\n');
  assert.deepEqual(third.result.previous, { notes: second.result.notes, previous: second.result.previous });
  assert.deepEqual(job.result.artifacts.map(({ name }) => name), ['notes.txt', 'stepper-two-notes.txt']);
  for (const [index, { url: at }] of job.result.artifacts.entries()) assert.equal(await (await fetch(at)).text(), [second, third][index].result.notes);
  await gone(host);
});

test('options are held against the steps before anything runs', async t => {
  const host = await startHost(t, { plugins, conf });
  for (const [data, message] of [
    [{ lin: 'x' }, /\/data\/lin: no step of trip has such an option/],
    [{ line: 1 }, /\/data\/stepper-one\/line: /],
    [{ 'walker-one': { wait_ms: -1 } }, /\/data\/walker-one\/wait_ms: /],
    [{ 'walker-one': 'x' }, /\/data\/walker-one: must be an object/],
    [{ steps: [] }, /\/data\/steps: no step/],
  ]) {
    const { status, json } = await host.process_({ task: 'trip', data });
    assert.equal(status, 422, JSON.stringify(json));
    assert.match(json.detail, message);
  }
  const { json } = await host.process_({ task: 'with-repro', data: {} });
  assert.match(json.detail, /needs a repro/);
});

test('a step that needs a repro gets it, the others don\'t', async t => {
  const host = await startHost(t, { plugins, conf });
  const repro = JSON.parse(readFileSync(join(source, 'tests/data/search-4711.json'), 'utf8'));
  const job = await host.runJob({ task: 'with-repro', data: { repro, line: 'x' } });
  assert.equal(job.status, 'completed', job.error);
  assert.equal(job.result.steps[1].result.notes, 'stepper-one x\nwalker-repro x\n');
});

for (const [how, data] of [['asks for another attempt', { fail: 2 }], ['crashes', { crash: 2 }]]) {
  test(`a step that ${how} is tried again, and the steps before it aren't`, async t => {
    const host = await startHost(t, { plugins, conf });
    const job = await host.runJob({ task: 'trip', data: { line: 'x', 'walker-one': data } });
    assert.equal(job.status, 'completed', job.error);
    assert.equal(job.attempts, 3);
    assert.deepEqual(['stepper-one', 'walker-one', 'stepper-two'].map(step => ran(host, step)), [1, 3, 1]);
    assert.equal(job.result.steps[2].result.notes, `stepper-one x\n${'walker-one x\n'.repeat(3)}stepper-two x\n`);
    await gone(host);
  });
}

test('the first step begins with an empty workspace each time', async t => {
  const host = await startHost(t, { plugins, conf });
  const job = await host.runJob({ task: 'trip', data: { line: 'x', 'stepper-one': { fail: 2 } } });
  assert.equal(job.result.steps[0].result.notes, 'stepper-one x\n');
});

test('a failure names the step, and nothing is left', async t => {
  const host = await startHost(t, { plugins, conf });
  const job = await host.runJob({ task: 'trip', data: { 'walker-one': { refuse: true } } });
  assert.deepEqual([job.status, job.errorCode], ['failed', 'never']);
  assert.match(job.error, /^step 2 of 3, walker-one: not at all/);
  assert.equal(ran(host, 'stepper-two'), 0);
  await gone(host);
});

test('a failed one that is retried begins anew, at once or later', async t => {
  const host = await startHost(t, { plugins, conf });
  await host.runJob({ jobId: 'r', task: 'trip', data: { line: 'x', 'walker-one': { refuse: true } } });
  for (let i = 2; i <= 12; i++) {
    assert.equal((await host.request('POST', '/jobs/r/retry')).status, 202);
    await until(async () => ran(host, 'walker-one') === i && (await host.get('/jobs/r')).json.status === 'failed', `try ${i}`);
    assert.equal(ran(host, 'stepper-one'), i);
  }
  await gone(host);
});

test('one file that several steps hand over is one artifact, as the last of them left it', async t => {
  const host = await startHost(t, { plugins, conf: { ...conf, 'more.conf': '[pipeline thrice]\nsteps = stepper-one, stepper-one, walker-one, stepper-one\n' } });
  const job = await host.runJob({ task: 'thrice', data: { line: 'x', artifact: 'n.txt' } });
  assert.equal(job.status, 'completed', job.error);
  const texts = new Map(await Promise.all(job.result.artifacts.map(async ({ name, url }) => [name, await (await fetch(url)).text()])));
  assert.equal(texts.size, 2);
  assert.deepEqual([...texts.values()].sort((a, b) => a.length - b.length).map(text => text.trim().split('\n').length), [3, 4]);
});

test('a slow step holds the first one back: no more than some wait between them', async t => {
  const host = await startHost(t, { plugins, conf: { ...conf, 'w.conf': '[plugin walker]\nworkers = 1\n' } });
  for (let i = 0; i < 60; i++) await host.process_({ jobId: `b${i}`, task: 'trip', data: { 'walker-one': { wait_ms: 40 } } });
  let most = 0;
  await until(async () => {
    most = Math.max(most, kept(host).length);
    return (await host.metric('exportd_jobs_finished_total{route="trip",state="completed"}')) === 60;
  }, 'the end');
  assert.ok(most > 2 && most < 30, `${most} waited`);
  assert.equal((await host.runJob({ task: 'stepper-one' })).status, 'completed');
});

test('progress goes over all steps', async t => {
  const host = await startHost(t, { plugins, conf });
  const { json: { jobId } } = await host.process_({ task: 'trip', data: { 'walker-one': { wait_ms: 2000 } } });
  const seen = [];
  await until(async () => {
    const { json } = await host.get(`/jobs/${jobId}`);
    if (json.progress !== undefined) seen.push(json.progress.fraction ?? json.progress);
    return json.status === 'completed';
  }, 'the end');
  assert.ok(seen.some(fraction => fraction > 0.34 && fraction < 0.67), JSON.stringify(seen));
});

test('a cancel ends it between steps and within one', async t => {
  const host = await startHost(t, { plugins, conf });
  await host.process_({ jobId: 'c', task: 'trip', data: { 'walker-one': { wait_ms: 60_000 } } });
  await until(() => ran(host, 'walker-one') === 1, 'the second step');
  await host.request('DELETE', '/jobs/c');
  assert.equal((await host.finished('c')).status, 'cancelled');
  assert.equal(ran(host, 'stepper-two'), 0);
  await gone(host);
});

test('a host that stops in the middle goes on at that step when it is back', async t => {
  const host = await startHost(t, { plugins, conf: { ...conf, 'host.conf': '[host]\ndrain_timeout = 0s\n' } });
  await host.process_({ jobId: 's', task: 'trip', data: { line: 'x', 'walker-one': { wait_ms: 2000 } } });
  await until(() => ran(host, 'walker-one') === 1, 'the second step');
  await host.stop();
  await host.start();
  const job = await host.finished('s');
  assert.equal(job.status, 'completed', job.error);
  assert.equal(ran(host, 'stepper-one'), 1, 'it is not run again');
  assert.match(job.result.steps[2].result.notes, /^stepper-one x\n(walker-one x\n)+stepper-two x\n$/);
});

test('a host that is killed in the middle begins again where its workspace is lost, and never skips a step', async t => {
  const host = await startHost(t, { plugins, conf });
  await host.process_({ jobId: 'k', task: 'trip', data: { line: 'x', 'walker-one': { wait_ms: 1000 } } });
  await until(() => ran(host, 'walker-one') === 1, 'the second step');
  await host.kill();
  await host.start();
  const job = await host.finished('k');
  assert.equal(job.status, 'completed', job.error);
  assert.equal(job.result.steps[2].result.notes, 'stepper-one x\nwalker-one x\nstepper-two x\n');
  await gone(host);
});

test('many at once, through workers that are shared, each with a workspace of its own', async t => {
  const host = await startHost(t, { plugins, conf });
  const jobs = await Promise.all(Array.from({ length: 40 }, (_, i) => host.runJob({ task: 'trip', data: { line: `n${i}` } })));
  for (const [i, job] of jobs.entries()) assert.equal(job.result.steps[2].result.notes, ['stepper-one', 'walker-one', 'stepper-two'].map(step => `${step} n${i}\n`).join(''));
  await gone(host);
});

test('mistakes in conf.d are named with their place', t => {
  const folder = temporaryFolder(t);
  const env = { EXPORTD_HOST_PLUGINS: pluginFolder(folder, plugins), EXPORTD_HOST_STATE: join(folder, 'state') };
  const said = text => run(['check', '-c', confFolder(folder, { 'p.conf': text })], { env });
  for (const [text, code, message] of [
    ['[pipeline]\nsteps = stepper-one\n', 1, /p.conf:1: \[pipeline\] needs a name/],
    ['[pipeline Trip]\nsteps = stepper-one\n', 1, /p.conf:1: .*no task's name/],
    ['[pipeline trip]\nsteps =\n', 1, /p.conf:2: "steps".*is empty/],
    ['[pipeline trip]\nsummary = x\n', 1, /\[pipeline trip\] has no steps/],
    ['[pipeline trip]\nstep = stepper-one\n', 1, /p.conf:2: unknown key "step" in \[pipeline trip\]/],
    ['[pipeline trip]\nsteps = Stepper!\n', 1, /p.conf:2: .*"Stepper!", which is no route/],
    ['[pipeline trip]\nsteps = stepper-one, elsewhere\n', 0, /p.conf:2: warning: \[pipeline trip\] is left out: .*"elsewhere"/],
    ['[pipeline stepper-one]\nsteps = stepper-two\n', 1, /p.conf:2: .*a plugin offers a route of that name/],
    ['[pipeline trip]\nsteps = round\n[pipeline round]\nsteps = stepper-one\n', 1, /p.conf:2: .*the step round is a pipeline itself/],
    ['[plugin walker]\nenabled = no\n[pipeline trip]\nsteps = stepper-one walker-one\n', 0, /p.conf:4: warning: .*plugin walker of its step walker-one is disabled/],
  ]) {
    const { code: ended, stderr } = said(text);
    assert.match(stderr, message);
    assert.equal(ended, code, stderr);
  }
});

test('exportd run runs a pipeline, and says which step failed', t => {
  const folder = temporaryFolder(t);
  const args = (...more) => ['run', 'trip', '-c', confFolder(folder, conf), '-o', join(folder, 'out'), ...more];
  const env = { EXPORTD_HOST_PLUGINS: pluginFolder(folder, plugins), EXPORTD_HOST_STATE: join(folder, 'state') };
  const done = run(args('--option', 'line=x', '--data', '{"walker-one": {"artifact": "notes.txt"}}'), { env });
  assert.equal(done.code, 0, done.stderr);
  const result = JSON.parse(done.stdout);
  assert.equal(result.steps[2].result.notes, 'stepper-one x\nwalker-one x\nstepper-two x\n');
  assert.deepEqual(result.artifacts.map(({ name }) => name), ['notes.txt']);
  assert.equal(readFileSync(join(folder, 'out', 'notes.txt'), 'utf8'), result.steps[1].result.notes);
  const failed = run(args('--data', '{"walker-one": {"refuse": true}}'), { env });
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /step 2 of 3, walker-one: not at all/);
  assert.match(run(['plugins', '-c', confFolder(folder, conf)], { env }).stdout, /PIPELINE.*\n.*trip +stepper-one, walker-one, stepper-two +There and back/);
  assert.ok(!existsSync(join(folder, 'state')));
});

test('presets of conf.d hold where the request says nothing, and a mistake in them is said at once', async t => {
  const preset = text => ({ ...conf, 'pipelines.conf': `[pipeline trip]\nsteps = stepper-one, walker-one\noptions = ${text}\n` });
  const host = await startHost(t, { plugins, conf: preset('{"line": "preset", "walker-one": {"line": "own", "artifact": "notes.txt"}}') });
  const plain = await host.runJob({ task: 'trip' });
  assert.equal(plain.result.steps[1].result.notes, 'stepper-one preset\nwalker-one own\n', plain.error);
  const said = await host.runJob({ task: 'trip', data: { line: 'said', 'walker-one': { line: 'mine' } } });
  assert.equal(said.result.steps[1].result.notes, 'stepper-one said\nwalker-one mine\n', said.error);
  assert.deepEqual(said.result.artifacts.map(({ name }) => name), ['notes.txt']);
  const flat = await host.runJob({ task: 'trip', data: { line: 'said' } });
  assert.equal(flat.result.steps[1].result.notes, 'stepper-one said\nwalker-one said\n', flat.error);
  for (const [text, message] of [['{"lin": 1}', /no step has an option "lin"/], ['{"line": 1}', /options\/stepper-one\/line: must be of type string/], ['{', /must be a JSON object: /], ['[]', /must be a JSON object, such/]]) {
    const folder = temporaryFolder(t);
    const done = run(['check', '-c', confFolder(folder, preset(text))], { env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, plugins), EXPORTD_HOST_STATE: join(folder, 'state') } });
    assert.equal(done.code, 1, done.stderr);
    assert.match(done.stderr, message);
    assert.match(done.stderr, /pipelines\.conf:3/);
  }
});

test('a task that names what comes first: alone it is a pipeline of both with its own result, in a pipeline it is a step', async t => {
  const host = await startHost(t, { plugins: ['stepper', 'walker'], conf: { ...conf, 'pipelines.conf': '[pipeline both]\nsteps = stepper-one, walker-after\n' } });
  const { json: { plugins: listed, pipelines } } = await host.get('/plugins');
  const route = listed.flatMap(({ routes }) => routes).find(one => one.route === 'walker-after');
  assert.equal(route.after, 'stepper-one');
  assert.deepEqual(pipelines.map(({ route: name }) => name), ['both']);
  const alone = await host.runJob({ task: 'walker-after', data: { line: 'x', 'stepper-one': { line: 'first' } } });
  assert.equal(alone.result.notes, 'stepper-one first\nwalker-after x\n', alone.error);
  assert.equal(alone.result.previous.notes, 'stepper-one first\n');
  const both = await host.runJob({ task: 'both', data: { line: 'y' } });
  assert.equal(both.result.steps[1].result.notes, 'stepper-one y\nwalker-after y\n', both.error);
  const only = await startHost(t, { plugins: ['walker'] });
  const missing = await only.process_({ task: 'walker-after', data: { line: 'z' } });
  assert.equal(missing.status, 404, 'where the first is not there, the task is not offered');
  assert.match(only.log, /warning: the task walker-after of the plugin walker is left out: stepper-one has to come first/);
});
