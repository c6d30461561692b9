// The command line: `exportd run` with nothing else there, the commands that ask a running host, and what `exportd check` finds.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, confFolder, exportd, patience, pluginFolder, run, source, startHost, startReceiver, temporaryFolder, until } from '../support/host.mjs';

const repros = ['search-4711', 'bootstrap-20184'].map(name => join(source, 'tests/data', `${name}.json`));
const [aRepro] = repros;
const shipped = join(source, 'conf.d');
const plugins = ['noop', 'misbehave'];

function workersOf(pid) {
  return execFileSync('ps', ['-eo', 'args='], { encoding: 'utf8' }).split('\n').filter(line => line.includes(`exportd-worker ${pid} `));
}

/** Runs a command in an empty folder of its own, with nothing of this machine's configuration. */
function alone(t, args, options = {}) {
  const cwd = options.cwd ?? temporaryFolder(t);
  const done = run(args, { ...options, cwd, env: { HOME: cwd, XDG_STATE_HOME: join(cwd, '.state'), ...options.env } });
  assert.doesNotMatch(done.stderr, /Sanitizer|runtime error:/);
  assert.equal(done.signal, null, done.stderr);
  return { ...done, cwd };
}

function filesOf(result) {
  return new Map(result.artifacts.map(artifact => {
    assert.ok(artifact.url.startsWith('file:///'), artifact.url);
    const bytes = readFileSync(fileURLToPath(artifact.url));
    assert.equal(bytes.length, artifact.bytes);
    assert.equal(createHash('sha256').update(bytes).digest('hex'), artifact.sha256);
    assert.ok(artifact.media_type);
    return [artifact.name, artifact.sha256];
  }));
}

for (const route of ['report/pdf', 'report/json', 'docker', 'sandbox/stackblitz']) {
  test(`run ${route}: with nothing else there, and the same bytes twice`, t => {
    for (const repro of repros) {
      const first = alone(t, ['run', route, '--repro', repro]);
      assert.equal(first.code, 0, first.stderr);
      const files = filesOf(JSON.parse(first.stdout));
      assert.ok(files.size > 0);
      assert.deepEqual(readdirSync(first.cwd).sort(), [...files.keys()].sort(), 'its files and no others are in the folder');
      const second = alone(t, ['run', route, '--repro', repro, '-o', 'out', '--quiet']);
      assert.equal(second.code, 0, second.stderr);
      assert.equal(second.stderr, '');
      assert.deepEqual(readdirSync(join(second.cwd, 'out')).sort(), [...files.keys()].sort());
      assert.deepEqual(filesOf(JSON.parse(second.stdout)), files);
    }
  });
}

test('run: files that are there already are replaced', t => {
  const cwd = temporaryFolder(t);
  const [first, second] = repros.map(repro => JSON.parse(alone(t, ['run', 'report/pdf', '--repro', repro], { cwd }).stdout));
  if (first.artifacts[0].name === second.artifacts[0].name) assert.notEqual(first.artifacts[0].sha256, second.artifacts[0].sha256);
  filesOf(second);
});

test('run: the repro comes from standard input, options from --option and --data', t => {
  const done = alone(t, ['run', 'report/pdf', '--repro', '-', '--data', '{"page":"Letter"}', '--option', 'colour=#aa0000', '-o', 'out'], { input: readFileSync(aRepro) });
  assert.equal(done.code, 0, done.stderr);
  assert.ok(filesOf(JSON.parse(done.stdout)).size > 0);
});

test('run: an option that selects among routes does so by --option as by --data, and over it', t => {
  for (const args of [['--option', 'format=json'], ['--data', '{"format":"json"}'], ['--data', '{"format":"pdf"}', '--option', 'format=json'], ['--option', 'format=pdf', '--option', 'format=json']]) {
    const done = alone(t, ['run', 'report', '--repro', aRepro, '-c', shipped, ...args]);
    assert.equal(done.code, 0, done.stderr);
    assert.deepEqual(JSON.parse(done.stdout).artifacts.filter(artifact => artifact.name.endsWith('.pdf')), [], args.join(' '));
  }
  assert.match(JSON.parse(alone(t, ['run', 'report', '--repro', aRepro, '-c', shipped]).stdout).artifacts[0].name, /\.pdf$/, 'the default of conf.d');
});

test('run: exit code 1 where the job fails, and its reason without escapes', t => {
  const env = { EXPORTD_HOST_PLUGINS: pluginFolder(temporaryFolder(t), plugins) };
  const cases = [['refuse', /^exportd: refused: it never works: .*red/m], ['segfault', /^exportd: worker_crashed: .*SIGSEGV/m], ['flaky', /^exportd: not_yet: attempt 1 must fail/m],
    ['huge_result', /^exportd: result_too_large: .*max_result/m]];
  for (const [task, message] of cases) {
    const done = alone(t, ['run', task, '--data', '{"times":1}'], { env });
    assert.equal(done.code, 1, done.stderr);
    assert.equal(done.stdout, '');
    assert.match(done.stderr, message);
    assert.ok(!done.stderr.includes('\x1b'));
    assert.deepEqual(readdirSync(done.cwd), []);
  }
});

test('run: wrong use is exit code 2, with the mend', t => {
  const cwd = temporaryFolder(t);
  writeFileSync(join(cwd, 'file'), '');
  writeFileSync(join(cwd, 'bad.json'), '{"id": 1,,}');
  writeFileSync(join(cwd, 'list.json'), '[1]');
  writeFileSync(join(cwd, 'thin.json'), '{"id":"x","title":"y"}');
  writeFileSync(join(cwd, 'deep.json'), '['.repeat(100_000));
  const cases = [
    [[], /name one route\nusage: exportd run/],
    [['report/pdf', 'docker'], /name one route/],
    [['report/pdf'], /report\/pdf needs a repro: give it with --repro FILE/],
    [['report/html', '--repro', aRepro], /no plugin offers the task "report\/html"; the routes are: .*report\/json, report\/pdf/],
    [['report', '--repro', aRepro, '--option', 'format=html'], /no plugin offers "report" with that "format"; the routes are: report\/json, report\/pdf/],
    [['report/pdf', '--repro', aRepro, '--option', 'format=json'], /format.* must be /],
    [['report', '--repro', aRepro, '--data', '{"format":"html"}'], /no plugin offers "report" with that "format"; the routes are: report\/json, report\/pdf/],
    [['report', '--repro', aRepro], /needs the option "format"/],
    [['report/pdf', '--repor', aRepro], /there is no option --repor; did you mean --repro\?/],
    [['report/pdf', '--repro'], /--repro needs a value/],
    [['report/pdf', '-x'], /there is no option -x/],
    [['report/pdf', '--quiet=yes', '--repro', aRepro], /--quiet takes no value/],
    [['report/pdf', '--repro', 'missing.json'], /missing\.json: No such file or directory/],
    [['report/pdf', '--repro', '.'], /\.: .*Is a directory/],
    [['report/pdf', '--repro', 'file'], /json_invalid: file: /],
    [['report/pdf', '--repro', 'bad.json'], /json_invalid: bad\.json: .*line 1, column/],
    [['report/pdf', '--repro', 'deep.json'], /json_too_deep: deep\.json: /],
    [['report/pdf', '--repro', 'list.json'], /repro_invalid/],
    [['report/pdf', '--repro', 'thin.json'], /repro_invalid: .*test/],
    [['report/pdf', '--repro', '-'], /json_invalid: standard input: /],
    [['report/pdf', '--repro', aRepro, '--data', '{'], /json_invalid: --data: /],
    [['report/pdf', '--repro', aRepro, '--data', '[1]'], /--data: must be a JSON object/],
    [['report/pdf', '--repro', aRepro, '--option', 'pgae=A4'], /"?pgae"?: there is no such option; did you mean "page"\?/],
    [['report/pdf', '--repro', aRepro, '--option', 'page'], /--option page: must be NAME=VALUE/],
    [['report/pdf', '--repro', aRepro, '--option', 'page=A3'], /page/],
    [['report/pdf', '--repro', aRepro, '-o', 'file'], /-o file: not a folder/],
    [['report/pdf', '--repro', aRepro, '-o', 'file/below'], /-o file\/below can't be made: Not a directory/],
    [['report/pdf', '--repro', aRepro, '-o', '/proc/exportd'], /-o \/proc\/exportd can't be made: /],
    [['report/pdf', '--repro', aRepro, '-c', 'missing'], /missing.*No such file/],
  ];
  for (const [args, message] of cases) {
    const done = alone(t, ['run', ...args], { cwd, input: '' });
    assert.equal(done.code, 2, `${args.join(' ')}: ${done.stderr}`);
    assert.match(done.stderr, message, args.join(' '));
    assert.equal(done.stdout, '');
  }
  const noTemp = alone(t, ['run', 'report/pdf', '--repro', aRepro], { cwd, env: { TMPDIR: '/nowhere' } });
  assert.equal(noTemp.code, 2);
  assert.match(noTemp.stderr, /\/nowhere\/.* can't be made: .*set TMPDIR/);
});

for (const [signal, task] of [['SIGINT', 'pause_ms'], ['SIGTERM', 'pause_ms'], ['SIGINT', 'ignore_sigterm']]) {
  test(`run: ${signal} in the middle of ${task} leaves no process and no folder`, async t => {
    const folder = temporaryFolder(t);
    const temp = join(folder, 'temp');
    mkdirSync(temp);
    const conf = confFolder(folder, { 'w.conf': '[worker]\ngrace = 300ms\n' });
    const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EXPORTD_')));
    const child = spawn(exportd, ['run', task, '--data', '{"ms":600000}', '-c', conf, '-o', join(folder, 'out')], {
      env: { ...clean, TMPDIR: temp, EXPORTD_HOST_PLUGINS: pluginFolder(folder, plugins) }, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stderr.on('data', chunk => { said += chunk; });
    const ended = new Promise(done => child.on('close', (code, name) => done({ code, name })));
    await until(() => readdirSync(temp).length > 0 && workersOf(child.pid).some(line => line.trim().endsWith(' misbehave')), 'the worker');
    child.kill(signal);
    const { code, name } = await ended;
    assert.equal(name, null);
    assert.equal(code, 1, said);
    assert.match(said, /cancelled: the job was interrupted/);
    assert.deepEqual(workersOf(child.pid), []);
    assert.deepEqual(readdirSync(temp), []);
    assert.deepEqual(readdirSync(join(folder, 'out')), []);
  });
}

test('run: killed, it leaves no process', async t => {
  const folder = temporaryFolder(t);
  const child = spawn(exportd, ['run', 'ignore_sigterm', '-o', folder], { env: { ...process.env, TMPDIR: folder, EXPORTD_HOST_PLUGINS: pluginFolder(folder, plugins) }, stdio: 'ignore' });
  const ended = new Promise(done => child.on('close', done));
  await until(() => workersOf(child.pid).some(line => line.trim().endsWith(' misbehave')), 'the worker');
  child.kill('SIGKILL');
  await ended;
  await until(() => workersOf(child.pid).length === 0, 'the end of the worker');
});

test('run: on a terminal it shows a bar that fits, and takes it away', t => {
  if (spawnSync('script', ['--version']).status !== 0) return t.skip('script (bsdutils) is missing');
  const folder = temporaryFolder(t);
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EXPORTD_')));
  const done = spawnSync('script', ['-qec', `stty cols 50; '${exportd}' run report/pdf --repro '${aRepro}' -o '${folder}/out'`, '/dev/null'], { env: clean, encoding: 'utf8', input: '', timeout: 4 * patience });
  assert.equal(done.status, 0, done.stdout);
  const frames = [...done.stdout.matchAll(/\r\x1b\[K([█░]{30} +\d+ %[^\r{]*)/g)].map(match => match[1]);
  assert.ok(frames.length > 0, done.stdout);
  for (const frame of frames) assert.ok(frame.length < 50 && !frame.includes('\n'), frame);
  assert.match(done.stdout, /\r\x1b\[K\{/, 'the result stands where the bar was');
});

test('commands ask the running host, in tables and in JSON', async t => {
  const receiver = await startReceiver(t);
  const host = await startHost(t, { plugins, conf: { 'c.conf': '[jobs]\nmax_attempts = 1\n[webhook]\nallow = 127.0.0.1\n[worker]\nworkers = 1\n' } });
  const ask = (...args) => run([...args, '-c', host.conf], { env: { EXPORTD_HOST_STATE: host.state, EXPORTD_HOST_PLUGINS: host.plugins } });
  const table = (...args) => { const done = ask(...args); assert.equal(done.code, 0, done.stderr); return done.stdout; };
  const json = (...args) => JSON.parse(table(...args, '--json'));

  await host.runJob({ jobId: 'good/1', task: 'echo', data: { a: 1 }, callbackUrl: receiver.url });
  await host.runJob({ jobId: 'bad', task: 'refuse' });
  await host.process_({ jobId: 'long', task: 'pause_ms', data: { ms: 600_000 } });
  await until(async () => (await host.get('/jobs/long')).json.status === 'running', 'its start');
  await host.process_({ jobId: 'waits', task: 'echo' });

  const all = table('jobs');
  assert.match(all, /^JOB +ROUTE +STATUS +ATTEMPTS +CREATED +ERROR\n/);
  assert.match(all, /good\/1 +echo +completed +1\/1 /);
  assert.match(all, /bad +refuse +failed +1\/1 .*it never works/);
  assert.match(all, /long +pause_ms +running/);
  assert.ok(!all.includes('\x1b'));
  assert.deepEqual(json('jobs').jobs.map(job => job.jobId), ['waits', 'long', 'bad', 'good/1']);
  assert.ok(json('jobs', '--state', 'running').jobs.some(job => job.jobId === 'long'));
  const states = { completed: ['good/1'], failed: ['bad'], cancelled: [] };
  for (const [state, ids] of Object.entries(states)) assert.deepEqual(json('jobs', '--state', state).jobs.map(job => job.jobId), ids, state);
  assert.deepEqual(json('jobs', '--dead').jobs.map(job => job.jobId), ['bad']);
  assert.deepEqual(json('jobs', '--route', 'echo').jobs.map(job => job.jobId), ['waits', 'good/1']);
  assert.deepEqual(json('jobs', '--limit', '1').jobs.map(job => job.jobId), ['waits']);
  assert.deepEqual(json('jobs', 'good/1').result, { data: { a: 1 } });
  assert.deepEqual(JSON.parse(table('jobs', 'bad')).errorCode, 'refused');
  const unknown = ask('jobs', 'nobody');
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /there is no job of that id/);
  assert.match(ask('jobs', '--state', 'odd').stderr, /state must be pending/);

  assert.equal(table('cancel', 'waits', 'long'), 'waits: cancelled\nlong: cancelled\n');
  assert.equal((await host.finished('waits')).status, 'cancelled');
  assert.equal((await host.finished('long')).status, 'cancelled');
  const late = ask('cancel', 'long');
  assert.equal(late.code, 1);
  assert.match(late.stderr, /over already: it is cancelled/);
  assert.equal(table('retry', 'waits'), 'waits: waiting again\n');
  assert.equal((await host.finished('waits')).status, 'completed');
  assert.match(ask('retry', 'good/1').stderr, /was completed/);
  assert.equal(json('retry', 'bad').jobId, 'bad');
  await host.finished('bad');

  const { deliveries } = await until(() => { const found = json('deliveries'); return found.deliveries[0].status === 'delivered' && found; }, 'the delivery');
  assert.deepEqual(deliveries.map(delivery => [delivery.jobId, delivery.status, delivery.url]), [['good/1', 'delivered', receiver.url]]);
  assert.match(table('deliveries'), /^DELIVERY +JOB +STATUS +ATTEMPTS +NEXT +TO +LAST ERROR\nmsg_\S+ +good\/1 +delivered +1 /);
  assert.deepEqual(json('deliveries', '--dead').deliveries, []);

  assert.match(table('plugins'), /^PLUGIN +VERSION +ROUTES +ENABLED +SUMMARY\nmisbehave +1\.0\.0 .*\nnoop +1\.0\.0 +noop +yes +Does nothing/);
  assert.deepEqual(json('plugins').plugins.map(plugin => plugin.name), ['misbehave', 'noop']);
  assert.match(table('inspect', 'noop'), /^noop 1\.0\.0\n/);
  assert.equal(json('inspect', 'noop').name, 'noop');
  assert.equal(json('inspect', join(host.plugins, 'noop.so')).name, 'noop');
  assert.match(ask('inspect', 'nobody').stderr, /there is no plugin "nobody" in .*exportd plugins lists them/);

  const byUrl = run(['jobs', '--json', '--url', host.url], { env: { EXPORTD_HOST_STATE: temporaryFolder(t) } });
  assert.equal(JSON.parse(byUrl.stdout).jobs.length, 4);
});

test('commands use the token, and say where it is wrong', async t => {
  const host = await startHost(t, { plugins: ['noop'], conf: { 'h.conf': '[http]\ntoken = sesame-sesame\n' } });
  const ask = token => run(['jobs'], { env: { EXPORTD_HOST_STATE: host.state, ...token && { EXPORTD_HTTP_TOKEN: token } } });
  assert.equal(ask('sesame-sesame').code, 0);
  for (const token of [undefined, 'wrong-wrong-wrong']) {
    const { code, stderr } = ask(token);
    assert.equal(code, 1);
    assert.match(stderr, /\[http\] token/);
  }
});

test('where no host runs, commands say so: exit code 2', async t => {
  const nobody = await startReceiver(t);
  await nobody.close();
  for (const args of [['jobs'], ['jobs', 'x'], ['cancel', 'x'], ['retry', 'x'], ['deliveries'], ['deliveries', 'retry', 'x']]) {
    const { code, stderr } = alone(t, [...args, '--url', nobody.url]);
    assert.equal(code, 2, args.join(' '));
    assert.match(stderr, new RegExp(`no host answers at ${nobody.url}: .*; start one with: exportd serve, or name another with --url`));
  }
  const stranger = await startReceiver(t);
  const child = spawn(exportd, ['jobs', '--url', stranger.url], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', chunk => { said += chunk; });
  assert.equal(await new Promise(done => child.on('close', done)), 2);
  assert.match(said, /isn't exportd/);
});

test('wrong use of the commands is exit code 2, and names the nearest', t => {
  const cases = [
    [[], /usage: exportd COMMAND/], [['jbos'], /there is no command "jbos"; did you mean "jobs"\?/], [['xyzzy'], /there is no command "xyzzy"; exportd -h lists them/],
    [['jobs', '--jsn'], /there is no option --jsn; did you mean --json\?/], [['jobs', '--state'], /--state needs a value/], [['check', '--url', 'x'], /doesn't take the option -u/],
    [['cancel'], /name the job/], [['retry'], /name the job/], [['deliveries', 'resend'], /"resend"/], [['deliveries', 'retry'], /name the delivery/], [['inspect'], /name one plugin/],
    [['check', 'conf.d'], /"conf\.d" is too much; .*-c/], [['serve', 'conf.d'], /"conf\.d" is too much; .*-c/], [['plugins', 'x'], /"x" is too much/],
  ];
  for (const [args, message] of cases) {
    const { code, stderr, stdout } = alone(t, args);
    assert.equal(code, 2, args.join(' '));
    assert.match(stderr, message, args.join(' '));
    assert.equal(stdout, '');
  }
  for (const command of ['run', 'serve', 'check', 'plugins', 'inspect', 'jobs', 'cancel', 'retry', 'deliveries']) {
    const { code, stdout } = alone(t, [command, '-h']);
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^usage: exportd ${command}`));
  }
  assert.match(alone(t, ['-h']).stdout, /usage: exportd COMMAND/);
  assert.match(alone(t, ['--version']).stdout, /^exportd \d+\.\d+\.\d+\n$/);
});

/** [{level, place, message}], and the exit code. */
function check(t, conf, { env = {}, plugins: folder } = {}) {
  const path = typeof conf === 'string' ? conf : confFolder(temporaryFolder(t), conf);
  const done = alone(t, ['check', '--json', '-c', path], { env: { ...folder && { EXPORTD_HOST_PLUGINS: folder }, ...env } });
  const problems = JSON.parse(done.stdout);
  assert.equal(done.code, problems.some(problem => problem.level === 'error') ? 1 : 0, done.stdout);
  return problems.map(problem => ({ ...problem, place: problem.place.replace(`${path}/`, '') }));
}

test('check: the shipped conf.d is clean, plain and with every line taken as it stands', t => {
  const plain = alone(t, ['check', '-c', shipped]);
  assert.equal(plain.code, 0, plain.stderr);
  assert.equal(plain.stderr, '');
  assert.match(plain.stdout, /^store: SQLite in \S+\n(\S+: not set: .*\n)*ok: \d+ plugins, \d+ routes; sandbox: /);
  const offered = JSON.parse(run(['plugins', '--json']).stdout).plugins.flatMap(plugin => plugin.routes.map(route => route.route));
  const taken = Object.fromEntries(shippedFiles().map(name => [name, shippedLines(name).map(line => uncommented(line) ?? line).join('\n')]));
  const problems = check(t, taken).filter(problem => !(problem.level === 'warning' && /no plugin offers sandbox/.test(problem.message) && !offered.includes('sandbox/codesandbox')));
  assert.deepEqual(problems, []);
});

const shippedFiles = () => readdirSync(shipped).filter(name => name.endsWith('.conf'));
const shippedLines = name => readFileSync(join(shipped, name), 'utf8').split('\n');
/** "# key = value" and "# [section]" without the #; null for other lines. */
const uncommented = line => /^# ((?:[a-z_]+ =.*)|(?:\[[^\]]+\]))$/.exec(line)?.[1] ?? null;

test('check: every line of the shipped conf.d, broken, is named with its place and the nearest key', t => {
  let broken = 0;
  for (const name of shippedFiles()) {
    // The last letter goes, then the first: one run each, with all lines of one file broken.
    for (const mangle of [key => key.slice(0, -1), key => key.slice(1)]) {
      const wanted = [];
      const lines = shippedLines(name).map((line, index) => {
        const plain = uncommented(line) ?? line;
        const [, key, rest] = /^([a-z_]+)( =.*)$/.exec(plain) ?? [];
        if (!key) return plain;
        wanted.push({ place: `${name}:${index + 1}`, key, mangled: mangle(key) });
        return mangle(key) + rest;
      });
      const problems = check(t, { [name]: lines.join('\n') }).filter(problem => problem.level === 'error');
      assert.deepEqual(problems.map(problem => problem.place), wanted.map(line => line.place), name);
      for (const [i, line] of wanted.entries()) {
        assert.match(problems[i].message, new RegExp(`unknown key "${line.mangled}" in \\[.*\\]; did you mean "${line.key}"\\?`), line.place);
        broken++;
      }
    }
  }
  assert.ok(broken > 150, String(broken));
});

test('check: every kind of mistake is named with its file and line', t => {
  const folder = temporaryFolder(t);
  const some = pluginFolder(folder, ['noop', 'misbehave', 'export-docker']);
  const cases = [
    ['[htpp]\nlisten = 127.0.0.1:0\n', 1, /\[htpp\].*did you mean \[http\]\?/],
    ['[http]\n\nlisen = x\n', 3, /unknown key "lisen" in \[http\]; did you mean "listen"\?/],
    ['[http]\nxyzzy = 1\n', 2, /unknown key "xyzzy" in \[http\]/],
    ['[jobs]\nbackoff = 1s\nbackoff = 2s\n', 3, /backoff.*a\.conf:2/],
    ['[jobs]\nbackoff = 10\n', 2, /"10".*unit/],
    ['[jobs]\nmax_attempts = many\n', 2, /"many".*whole number/],
    ['[jobs]\nmax_attempts = 0\n', 2, /max_attempts.*1/],
    ['[http]\nmax_body = 64Q\n', 2, /"64Q".*size/],
    ['[host]\nlog_json = perhaps\n', 2, /"perhaps".*yes or no/],
    ['[host]\nsandbox = of\n', 2, /auto.*required.*off/],
    ['[host]\nstate = ~/exportd\n', 2, /no shell expands ~ here; write \$\{HOME\}\/exportd/],
    ['[plugin misbehave]\nread = relative/path\n', 2, /relative path; write an absolute one/],
    ['[http]\nlisten = 8080\n', 2, /address:port/],
    ['[http]\nlisten = 0.0.0.0:8080\n', 2, /others can reach.*token/],
    ['[webhook]\nallow = 10.0.0.0/33\n', 2, /10\.0\.0\.0\/33/],
    ['[webhook]\nsecret = whsec_!!!\n', 2, /base64/],
    ['listen = 127.0.0.1:0\n', 1, /section/],
    ['[http]\nthis is no setting\n', 2, /./],
    ['[http\nlisten = 127.0.0.1:0\n', 1, /./],
    [`[http]\n# fine\nhosts = ${'a'.repeat(242)}\n`, 3, /\b2\d\d bytes|long/],
    ['[http]\ntoken = ${NOT_SET_ANYWHERE}\n', 2, /NOT_SET_ANYWHERE/],
    ['[http]\ntoken = file:/not/there\n', 2, /\/not\/there.*No such file/],
    ['[http]\ntoken = file:here\n', 2, /absolute/],
    ['[plugin misbehave]\nsecrets = NOT_THERE\n', 2, /granted the secret NOT_THERE, which is not there; add it to \[secrets\]/],
    ['[plugin export-docker]\nmax_files = many\n', 2, /"max_files" in \[plugin export-docker\] is "many"; write a whole number/],
    ['[plugin export-docker]\nregistri = x\n', 2, /unknown key "registri" in \[plugin export-docker\]; did you mean "registry"\?/],
  ];
  for (const [text, line, message] of cases) {
    const problems = check(t, { 'a.conf': text }, { plugins: some }).filter(problem => problem.level === 'error');
    assert.equal(problems.length, 1, `${text}${JSON.stringify(problems)}`);
    assert.equal(problems[0].place, `a.conf:${line}`, text);
    assert.match(problems[0].message, message, text);
  }
  const bytes = join(confFolder(temporaryFolder(t), {}), '..', 'conf.d');
  writeFileSync(join(bytes, 'a.conf'), Buffer.concat([Buffer.from('[http]\nhosts = '), Buffer.from([0xff, 0xfe]), Buffer.from('\n')]));
  assert.equal(check(t, bytes)[0].level, 'error');
});

test('check: mistakes in several files are all found, and nothing of such a configuration is used', t => {
  const conf = { 'a.conf': '[http]\nlisen = 1\n[host]\nlog_level = loud\n', 'b.conf': '[jobs]\nbackof = 1s\n', 'ignored.txt': '[nonsense' };
  const problems = check(t, conf);
  assert.deepEqual(problems.map(problem => problem.place).sort(), ['a.conf:2', 'a.conf:4', 'b.conf:2']);
  const folder = temporaryFolder(t);
  const path = confFolder(folder, conf);
  const served = alone(t, ['serve', '-c', path]);
  assert.equal(served.code, 2);
  for (const place of ['a.conf:2', 'a.conf:4', 'b.conf:2']) assert.ok(served.stderr.includes(place), served.stderr);
  const ran = alone(t, ['run', 'report/pdf', '--repro', aRepro, '-c', path]);
  assert.equal(ran.code, 2);
  assert.deepEqual(readdirSync(ran.cwd), []);
});

test('check: what may be meant is a warning, and no error', t => {
  const some = pluginFolder(temporaryFolder(t), ['noop']);
  const unknown = check(t, { 'a.conf': '\n[plugin nope]\nworkers = 1\n[route report]\ndefault = pdf\n' }, { plugins: some });
  assert.deepEqual(unknown.map(problem => [problem.level, problem.place]), [['warning', 'a.conf:2'], ['warning', 'a.conf:5']]);
  assert.match(unknown[0].message, /\[plugin nope\]: there is no such plugin in .*; install it, or remove the section/);
  assert.match(unknown[1].message, /no plugin offers report\/pdf/);
  const variable = check(t, {}, { plugins: some, env: { EXPORTD_HTTP_LISEN: '127.0.0.1:0' } });
  assert.deepEqual(variable.map(problem => [problem.level, problem.place]), [['warning', 'environment EXPORTD_HTTP_LISEN']]);
  assert.match(variable[0].message, /EXPORTD_HTTP_LISTEN|"listen"/);
  const path = confFolder(temporaryFolder(t), { 'a.conf': '[secrets]\nTOKEN = literal\n' });
  chmodSync(join(path, 'a.conf'), 0o644);
  const readable = check(t, path, { plugins: some });
  assert.deepEqual(readable.map(problem => [problem.level, problem.place]), [['warning', 'a.conf:2']]);
  assert.ok(!readable[0].message.includes('literal ') && !JSON.stringify(readable).includes('"literal"'));
});

test('check: mistakes in the environment and in plugins are named too', t => {
  const folder = temporaryFolder(t);
  const some = pluginFolder(folder, ['noop']);
  const [problem] = check(t, {}, { plugins: some, env: { EXPORTD_HTTP_LISTEN: 'nowhere' } });
  assert.equal(problem.level, 'error');
  assert.equal(problem.place, 'environment EXPORTD_HTTP_LISTEN');
  writeFileSync(join(some, 'broken.so'), 'no library at all', { mode: 0o755 });
  const [broken] = check(t, {}, { plugins: some });
  assert.equal(broken.level, 'error');
  assert.ok(broken.place.endsWith('broken.so'));
  const [nowhere] = check(t, {}, { plugins: join(folder, 'nowhere') });
  assert.match(nowhere.message, /plugins' folder .*nowhere: No such file.*set \[host\] plugins/);
});

test('migrate by root leaves the store to the user whose folder it is', { skip: process.getuid() !== 0 && 'only root can make files for another user' }, t => {
  const folder = temporaryFolder(t);
  const state = join(folder, 'state');
  mkdirSync(state);
  chmodSync(folder, 0o755);
  chownSync(state, 65534, 65534);
  /* LeakSanitizer can't look at a process that has changed its user. */
  const { code, stderr } = run(['migrate'], { env: { EXPORTD_HOST_STATE: state, ASAN_OPTIONS: 'detect_leaks=0' } });
  assert.equal(code, 0, stderr);
  const files = readdirSync(state);
  assert.ok(files.includes('store.db'), files.join(', '));
  for (const file of files) assert.equal(statSync(join(state, file)).uid, 65534, file);
});
